"""From a reading of a machine to its inventory. Pure.

Only what stays the same from one listing to the next is metadata; what moves is a metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import isfinite

from data_collector.machine import Machine, Reading
from optiinfra.catalog import ResourceStatus, ResourceType
from optiinfra.domain import Gap, GapReason, Resource, iso


def disk_id(machine: Machine, name: str) -> str:
    """The id of a block device, in inventory and metrics alike."""
    return f"{machine.machine_id}/disk/{name}"


def filesystem_id(machine: Machine, mountpoint: str) -> str:
    """The id of a filesystem. No doubled slash, which web servers like to merge."""
    return f"{machine.machine_id}/filesystem/{mountpoint.removeprefix('/')}"


def interface_id(machine: Machine, name: str) -> str:
    """The id of a network interface."""
    return f"{machine.machine_id}/interface/{name}"


def normalise(reading: Reading, region: str) -> Iterator[Resource | Gap]:
    """The machine, then its disks, filesystems and interfaces."""
    machine = reading.machine
    yield Resource(
        resource_id=machine.machine_id,
        resource_name=machine.hostname,
        resource_type=ResourceType.HOST,
        status=ResourceStatus.RUNNING,
        region=region,
        metadata=_known(
            native_status="up",
            hostname=machine.hostname,
            vcpus=machine.vcpus,
            memory_bytes=_whole(reading.memory_total),
            storage_bytes=_storage_bytes(reading),
            os=machine.os,
            kernel=machine.kernel,
            architecture=machine.architecture,
            boot_time=_moment(reading.boot_time),
        ),
    )
    for name, disk in reading.disks.items():
        yield Resource(
            resource_id=disk_id(machine, name),
            resource_name=name,
            resource_type=ResourceType.STORAGE_VOLUME,
            status=ResourceStatus.IN_USE,
            region=region,
            metadata=_known(
                volume_kind="disk", storage_bytes=disk.size, attached_to=machine.machine_id
            ),
        )
    for mountpoint, filesystem in reading.filesystems.items():
        yield Resource(
            resource_id=filesystem_id(machine, mountpoint),
            resource_name=mountpoint,
            resource_type=ResourceType.STORAGE_VOLUME,
            status=ResourceStatus.IN_USE,
            region=region,
            metadata=_known(
                volume_kind="filesystem",
                native_status="mounted",
                storage_bytes=_whole(filesystem.size),
                mountpoint=mountpoint,
                fstype=filesystem.fstype,
                device=filesystem.device,
                attached_to=machine.machine_id,
            ),
        )
    for name, interface in reading.interfaces.items():
        status, native_status = _STATES[interface.up]
        yield Resource(
            resource_id=interface_id(machine, name),
            resource_name=name,
            resource_type=ResourceType.NETWORK,
            status=status,
            region=region,
            metadata=_known(
                native_status=native_status,
                speed_bits_per_sec=interface.speed,
                mac=interface.mac,
                attached_to=machine.machine_id,
            ),
        )
    yield from unreadable(reading)


def unreadable(reading: Reading) -> Iterator[Gap]:
    """The filesystems that are there and refused to be read."""
    for mountpoint, reason in reading.unreadable.items():
        yield Gap(GapReason.DENIED, reason, filesystem_id(reading.machine, mountpoint))


_STATES: Mapping[bool | None, tuple[ResourceStatus, str]] = {
    True: (ResourceStatus.RUNNING, "up"),
    False: (ResourceStatus.STOPPED, "down"),
    None: (ResourceStatus.UNKNOWN, ""),
}


def _storage_bytes(reading: Reading) -> int | None:
    """The sizes of the disks added up, or of the filesystems where no disk says its own."""
    sizes = [disk.size for disk in reading.disks.values() if disk.size is not None]
    return sum(sizes) or _whole(sum(f.size for f in reading.filesystems.values())) or None


def _whole(value: float | None) -> int | None:
    return int(value) if value is not None and isfinite(value) else None


def _moment(epoch: float | None) -> str:
    seconds = _whole(epoch)
    return "" if seconds is None else iso(datetime.fromtimestamp(seconds, UTC))


def _known(**entries: object) -> dict[str, object]:
    """The metadata without what is not known."""
    return {key: value for key, value in entries.items() if value not in (None, "")}
