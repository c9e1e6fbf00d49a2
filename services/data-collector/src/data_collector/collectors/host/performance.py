"""From two readings of a machine to its series. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from data_collector.collectors.host import resources
from data_collector.collectors.host.metrics import DISK_COUNTERS, INTERFACE_COUNTERS
from data_collector.machine import Filesystem, Machine, Rates, Reading, total
from optiinfra.catalog import ResourceType
from optiinfra.domain import Gap, GapReason, Series, epoch_seconds

_NOTHING: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class _Entity:
    """What a series belongs to, and the bucket its point stands in."""

    resource_id: str
    name: str
    type: ResourceType
    stamp: datetime

    def series(
        self, metric: str, value: float, metadata: Mapping[str, object] = _NOTHING
    ) -> Series:
        return Series(
            metric=metric,
            resource_id=self.resource_id,
            resource_name=self.name,
            resource_type=self.type,
            timestamps=epoch_seconds([self.stamp]),
            values=np.array([value], dtype=np.float64),
            metadata=metadata,
        )

    def known(
        self, metric: str, value: float | None, metadata: Mapping[str, object] = _NOTHING
    ) -> Series | Gap:
        """The series, or why there is none."""
        if value is None:
            return Gap(
                GapReason.UNSUPPORTED, "the machine does not offer it", self.resource_id, metric
            )
        return self.series(metric, value, metadata)


def normalise(reading: Reading, rates: Rates, stamp: datetime) -> Iterator[Series | Gap]:
    """Every series of one machine, each with the one point at `stamp`.

    The machine's own disk and network rates are the sums over its whole physical disks and
    its physical interfaces; its storage is that of its root filesystem, named in the point's
    metadata. A rate's metadata says over how many seconds it is the mean.
    """
    machine = reading.machine
    span: Mapping[str, object] = {"interval_seconds": round(rates.span)}
    yield from _machine(reading, rates, stamp, span)
    for name in reading.disks:
        disk = _Entity(resources.disk_id(machine, name), name, ResourceType.STORAGE_VOLUME, stamp)
        yield from _device(disk, rates.disks.get(name), span)
    for name in reading.interfaces:
        interface = _Entity(
            resources.interface_id(machine, name), name, ResourceType.NETWORK, stamp
        )
        yield from _device(interface, rates.interfaces.get(name), span)
    for mountpoint, filesystem in reading.filesystems.items():
        resource_id = resources.filesystem_id(machine, mountpoint)
        volume = _Entity(resource_id, mountpoint, ResourceType.STORAGE_VOLUME, stamp)
        yield from _storage(volume, filesystem, _NOTHING)
    yield from resources.unreadable(reading)
    for part in reading.failed:
        yield Gap(GapReason.FAILED, f"the exporter could not read {part}")


def availability(machine: Machine, percent: float, stamp: datetime) -> Series:
    """Whether the machine answered: 100 or 0."""
    return _host(machine, stamp).series("availability", percent)


def _host(machine: Machine, stamp: datetime) -> _Entity:
    return _Entity(machine.machine_id, machine.hostname, ResourceType.HOST, stamp)


def _machine(
    reading: Reading, rates: Rates, stamp: datetime, span: Mapping[str, object]
) -> Iterator[Series | Gap]:
    host = _host(reading.machine, stamp)
    yield availability(reading.machine, 100.0, stamp)
    yield host.series("response_time", 1000 * reading.duration)
    yield host.known("uptime", reading.uptime)
    yield host.known("memory_utilization", reading.memory_utilization)
    yield host.known("cpu_utilization", rates.cpu_utilization, span)
    sums = total(rates.disks) | total(rates.interfaces)
    for metric in (*DISK_COUNTERS, *INTERFACE_COUNTERS):
        yield host.known(metric, sums.get(metric), span)
    if reading.root is None:
        yield host.known("storage_free_bytes", None)
        yield host.known("storage_utilization", None)
    else:
        root = reading.filesystems[reading.root]
        yield from _storage(host, root, {"mountpoint": reading.root})


def _storage(
    entity: _Entity, filesystem: Filesystem, metadata: Mapping[str, object]
) -> Iterator[Series | Gap]:
    yield entity.series("storage_free_bytes", filesystem.available, metadata)
    yield entity.known("storage_utilization", filesystem.utilization, metadata)


def _device(
    entity: _Entity, values: Mapping[str, float] | None, span: Mapping[str, object]
) -> Iterator[Series | Gap]:
    if values is None:
        yield Gap(
            GapReason.NOT_YET_PUBLISHED,
            "appeared since the reading before; a rate needs two",
            entity.resource_id,
        )
        return
    for metric, value in values.items():
        yield entity.series(metric, value, span)
