"""Reading a machine through its Prometheus node_exporter.

`scrape` does the network, `parse` is pure. Shared by every provider whose machines may run
the exporter, since providers do not import each other.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import cache
from math import inf
from urllib.parse import urlsplit

import httpx

from data_collector.machine import (
    DISK_NOTE,
    INTERFACE_NOTE,
    Disk,
    Filesystem,
    Interface,
    Machine,
    Reading,
    is_physical_interface,
    kept_filesystems,
    whole_disks,
)
from optiinfra.calls import Calls
from optiinfra.catalog.native import NativeMetric
from optiinfra.errors import ContractError, DeniedError, ThrottledError, TransientError
from optiinfra.retry import call_with_retry

CONNECT_SECONDS = 5.0
WHOLE_SECONDS = 10.0
MAX_BYTES = 16 * 1024 * 1024

#: What firmware reports where the vendor never set a UUID; many machines share each.
_PLACEHOLDER_UUIDS = frozenset(
    {
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "03000200-0400-0500-0006-000700080009",
    }
)

#: The exporter's collectors that are read here. Without one of these a machine that has
#: disks would look as if it had none.
_NEEDED_COLLECTORS = frozenset({"cpu", "diskstats", "filesystem", "meminfo", "netdev"})

#: Counters of a block device and of an interface, by the metric that their rate is.
DISK_COUNTERS = {
    "disk_read_bytes_per_sec": "node_disk_read_bytes_total",
    "disk_write_bytes_per_sec": "node_disk_written_bytes_total",
    "disk_read_ops_per_sec": "node_disk_reads_completed_total",
    "disk_write_ops_per_sec": "node_disk_writes_completed_total",
}
INTERFACE_COUNTERS = {
    "network_in_bytes_per_sec": "node_network_receive_bytes_total",
    "network_out_bytes_per_sec": "node_network_transmit_bytes_total",
    "network_in_packets_per_sec": "node_network_receive_packets_total",
    "network_out_packets_per_sec": "node_network_transmit_packets_total",
}

#: node_exporter families by the canonical metric that they become.
NATIVE: tuple[NativeMetric, ...] = (
    NativeMetric(
        "cpu_utilization",
        "node_cpu_seconds_total",
        "100 x (1 - idle and iowait share) of the increase between two scrapes, over all CPUs",
    ),
    NativeMetric(
        "memory_utilization",
        "node_memory_MemTotal_bytes, node_memory_MemAvailable_bytes",
        "100 x (1 - available / total)",
    ),
    *(NativeMetric(metric, family, DISK_NOTE) for metric, family in DISK_COUNTERS.items()),
    *(
        NativeMetric(metric, family, INTERFACE_NOTE)
        for metric, family in INTERFACE_COUNTERS.items()
    ),
    NativeMetric("storage_free_bytes", "node_filesystem_avail_bytes"),
    NativeMetric(
        "storage_utilization",
        "node_filesystem_size_bytes, node_filesystem_free_bytes, node_filesystem_avail_bytes",
        "as df: 100 x used / (used + available), used = size - free",
    ),
    NativeMetric("uptime", "node_time_seconds, node_boot_time_seconds", "time - boot time"),
    NativeMetric("availability", "the scrape", "100 when it was answered, 0 when it was not"),
    NativeMetric("response_time", "the scrape", "from the request to the last byte"),
)


def address(url: str) -> str:
    """`host:port` of a target's URL, the port always written."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def scrape(url: str, calls: Calls) -> Reading:
    """The machine behind a node_exporter URL, read now with a few attempts.

    Raises TransientError where it does not answer (ThrottledError where it says so),
    DeniedError where it asks for credentials and ContractError where the answer is no
    exposition of node_exporter.
    """

    def attempt() -> Reading:
        with calls.made("scrape"):
            text, duration = fetch(url)
        return parse(text, target=url, taken_at=time.monotonic(), duration=duration)

    return call_with_retry(attempt, attempts=3, deadline=timedelta(seconds=20))


def fetch(url: str) -> tuple[str, float]:
    """The exposition's text and the seconds it took; errors as in `scrape`, no retry."""
    trust = _trusted_authorities()
    started = time.monotonic()
    try:
        # A target is on the operator's own network: no proxy and no .netrc of the process.
        with (
            httpx.Client(
                timeout=httpx.Timeout(CONNECT_SECONDS),
                verify=trust,
                trust_env=False,
                follow_redirects=False,
            ) as client,
            client.stream("GET", url, headers={"Accept": "text/plain"}) as answer,
        ):
            _raise_for_status(url, answer)
            body = bytearray()
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise ContractError(f"{url}: the answer is larger than {MAX_BYTES} bytes")
                if time.monotonic() - started > WHOLE_SECONDS:
                    raise TransientError(f"{url}: no whole answer within {WHOLE_SECONDS:.0f} s")
    except httpx.TransportError as error:
        raise TransientError(f"{url}: does not answer ({type(error).__name__})") from error
    except httpx.HTTPError as error:
        raise ContractError(f"{url}: cannot be read ({type(error).__name__})") from error
    duration = time.monotonic() - started
    try:
        return body.decode(), duration
    except UnicodeDecodeError as error:
        raise ContractError(f"{url}: the answer is not UTF-8 text") from error


@cache
def _trusted_authorities() -> ssl.SSLContext:
    """The system's own; loading them takes longer than a scrape."""
    return ssl.create_default_context()


def parse(text: str, *, target: str, taken_at: float, duration: float) -> Reading:
    """A reading out of an exposition. ContractError where it is none of node_exporter's.

    The machine's id is the firmware's UUID, which the exporter can read as root only, else
    the node's name with the target's address.
    """
    samples = _Samples(text, target)
    boot_time, now = samples.value("node_boot_time_seconds"), samples.value("node_time_seconds")
    filesystems, unreadable = _filesystems(samples)
    return Reading(
        machine=_machine(samples, target),
        taken_at=taken_at,
        duration=duration,
        boot_time=boot_time,
        uptime=None if boot_time is None or now is None else now - boot_time,
        memory_total=samples.value("node_memory_MemTotal_bytes"),
        memory_available=samples.value("node_memory_MemAvailable_bytes"),
        cpu_seconds={
            (labels["cpu"], labels["mode"]): value
            for labels, value in samples.of("node_cpu_seconds_total")
            if {"cpu", "mode"} <= labels.keys()
        },
        disks=_disks(samples),
        interfaces=_interfaces(samples),
        filesystems=filesystems,
        unreadable=unreadable,
        failed=tuple(
            name
            for name, success in samples.by("collector", "node_scrape_collector_success").items()
            if name in _NEEDED_COLLECTORS and not success
        ),
    )


class _Samples:
    """The samples of an exposition by name."""

    def __init__(self, text: str, target: str) -> None:
        from prometheus_client.parser import text_string_to_metric_families

        self._by_name: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        try:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    self._by_name.setdefault(sample.name, []).append((sample.labels, sample.value))
        except (ValueError, KeyError, IndexError) as error:
            raise ContractError(f"{target}: the answer is no Prometheus exposition") from error
        if not any(name.startswith("node_") for name in self._by_name):
            raise ContractError(f"{target}: the answer holds no metric of node_exporter")

    def of(self, name: str) -> Iterable[tuple[Mapping[str, str], float]]:
        return self._by_name.get(name, ())

    def value(self, name: str) -> float | None:
        return next((value for _, value in self.of(name)), None)

    def info(self, name: str) -> Mapping[str, str]:
        return next((labels for labels, _ in self.of(name)), {})

    def by(self, label: str, name: str) -> dict[str, float]:
        return {labels[label]: value for labels, value in self.of(name) if label in labels}


def _machine(samples: _Samples, target: str) -> Machine:
    uname = samples.info("node_uname_info")
    uuid = samples.info("node_dmi_info").get("product_uuid", "").lower()
    hostname = uname.get("nodename") or address(target)
    named = f"{hostname}@{address(target)}" if uname.get("nodename") else hostname
    return Machine(
        machine_id=uuid if uuid and uuid not in _PLACEHOLDER_UUIDS else named,
        hostname=hostname,
        vcpus=len(samples.by("cpu", "node_cpu_seconds_total")) or None,
        os=samples.info("node_os_info").get("pretty_name") or uname.get("sysname", ""),
        kernel=uname.get("release", ""),
        architecture=uname.get("machine", ""),
    )


def _disks(samples: _Samples) -> dict[str, Disk]:
    devices = _counters(samples, DISK_COUNTERS)
    return {name: Disk(devices[name]) for name in sorted(whole_disks(devices))}


def _interfaces(samples: _Samples) -> dict[str, Interface]:
    up = samples.by("device", "node_network_up")
    speed = samples.by("device", "node_network_speed_bytes")
    mac = {
        labels.get("device", ""): labels.get("address", "")
        for labels, _ in samples.of("node_network_info")
    }
    return {
        name: Interface(
            counters,
            up=up[name] == 1 if name in up else None,
            # A driver that does not know its speed says -1 Mbit/s.
            speed=int(8 * speed[name]) if 0 < speed.get(name, 0) < inf else None,
            mac=mac.get(name, ""),
        )
        for name, counters in sorted(_counters(samples, INTERFACE_COUNTERS).items())
        if is_physical_interface(name)
    }


def _counters(samples: _Samples, families: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """The counters of each device, by metric."""
    devices: dict[str, dict[str, float]] = {}
    for metric, family in families.items():
        for name, value in samples.by("device", family).items():
            devices.setdefault(name, {})[metric] = value
    return devices


def _filesystems(samples: _Samples) -> tuple[dict[str, Filesystem], dict[str, str]]:
    size = samples.by("mountpoint", "node_filesystem_size_bytes")
    free = samples.by("mountpoint", "node_filesystem_free_bytes")
    available = samples.by("mountpoint", "node_filesystem_avail_bytes")
    failed = samples.by("mountpoint", "node_filesystem_device_error")
    kept = kept_filesystems(
        (labels["mountpoint"], labels["device"], labels["fstype"])
        for name in ("node_filesystem_size_bytes", "node_filesystem_device_error")
        for labels, _ in samples.of(name)
        if {"mountpoint", "device", "fstype"} <= labels.keys()
    )
    readable = {
        mountpoint: Filesystem(
            device,
            fstype,
            size[mountpoint],
            size[mountpoint] - free[mountpoint],
            available[mountpoint],
        )
        for mountpoint, (device, fstype) in kept.items()
        if mountpoint in size and mountpoint in free and mountpoint in available
    }
    return readable, {
        mountpoint: "the exporter could not read it"
        for mountpoint in kept
        if mountpoint not in readable and failed.get(mountpoint)
    }


def _raise_for_status(url: str, answer: httpx.Response) -> None:
    status = answer.status_code
    if status == httpx.codes.OK:
        return
    if status == httpx.codes.TOO_MANY_REQUESTS:
        seconds = answer.headers.get("Retry-After", "")
        raise ThrottledError(
            f"{url}: asks for fewer requests",
            retry_after=timedelta(seconds=int(seconds)) if seconds.isdecimal() else None,
        )
    if answer.is_server_error:
        raise TransientError(f"{url}: answers {status}")
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise DeniedError(f"{url}: asks for credentials ({status})")
    if answer.is_redirect:
        raise ContractError(f"{url}: redirects elsewhere ({status}); name the final URL as target")
    raise ContractError(f"{url}: answers {status}; is it the exporter's metrics path?")
