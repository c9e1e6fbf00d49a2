"""Reading this machine through psutil. Loads psutil when it runs."""

from __future__ import annotations

import platform
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from data_collector.collectors.host.metrics import DISK_COUNTERS, INTERFACE_COUNTERS
from data_collector.machine import (
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
from optiinfra.errors import TransientError

T = TypeVar("T")

_MACHINE_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def read_local(calls: Calls) -> Reading:
    """This machine, now. What it does not offer is left out; TransientError where it fails."""
    import psutil

    with calls.made("read"):
        started = time.monotonic()
        memory = _offered(psutil.virtual_memory)
        boot_time = _offered(psutil.boot_time)
        filesystems, unreadable = _filesystems()
        cpu_seconds = _cpu_seconds()
        disks = _disks()
        interfaces = _interfaces()
        taken_at = time.monotonic()
    return Reading(
        machine=_machine(),
        taken_at=taken_at,
        duration=taken_at - started,
        boot_time=boot_time,
        uptime=None if boot_time is None else time.time() - boot_time,
        memory_total=memory.total if memory else None,
        memory_available=memory.available if memory else None,
        cpu_seconds=cpu_seconds,
        disks=disks,
        interfaces=interfaces,
        filesystems=filesystems,
        unreadable=unreadable,
    )


def machine_id() -> str:
    """What identifies this machine and survives a change of its name.

    systemd's machine id, else D-Bus's, else a UUID made of host name and MAC address.
    """
    for path in _MACHINE_ID_FILES:
        with suppress(OSError):
            if text := path.read_text(encoding="ascii").strip():
                return text
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{socket.gethostname()}/{uuid.getnode():012x}"))


def _offered(read: Callable[[], T]) -> T | None:
    """What psutil answers, or None where this system does not offer or allow it.

    Any other failure is raised as TransientError: taken for an absence, it would delete
    devices that are there.
    """
    import psutil

    try:
        return read()
    except (psutil.Error, FileNotFoundError, PermissionError, RuntimeError):
        return None
    except OSError as error:
        raise TransientError(f"this machine cannot be read ({error.strerror})") from error


def _machine() -> Machine:
    import psutil

    try:
        os_name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        os_name = platform.system()
    return Machine(
        machine_id=machine_id(),
        hostname=socket.gethostname(),
        vcpus=psutil.cpu_count(),
        os=os_name,
        kernel=platform.release(),
        architecture=platform.machine(),
    )


def _cpu_seconds() -> dict[tuple[str, str], float]:
    import psutil

    times = _offered(lambda: psutil.cpu_times(percpu=True)) or []
    return {
        (str(cpu), mode): seconds
        for cpu, fields in enumerate(times)
        for mode, seconds in fields._asdict().items()
    }


def _disks() -> dict[str, Disk]:
    import psutil

    devices = _offered(lambda: psutil.disk_io_counters(perdisk=True)) or {}
    return {
        name: Disk(_counters(devices[name]._asdict(), DISK_COUNTERS), size=_disk_size(name))
        for name in sorted(whole_disks(devices))
    }


def _disk_size(name: str) -> int | None:
    """Bytes, where the kernel says it; /sys counts sectors of 512 bytes on every disk."""
    try:
        return 512 * int(Path("/sys/block", name, "size").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _interfaces() -> dict[str, Interface]:
    import psutil

    devices = _offered(lambda: psutil.net_io_counters(pernic=True)) or {}
    states = _offered(psutil.net_if_stats) or {}
    addresses = _offered(psutil.net_if_addrs) or {}
    macs = {
        name: entry.address
        for name, entries in addresses.items()
        for entry in entries
        if entry.family == psutil.AF_LINK
    }
    return {
        name: Interface(
            _counters(fields._asdict(), INTERFACE_COUNTERS),
            up=states[name].isup if name in states else None,
            speed=states[name].speed * 1_000_000 or None if name in states else None,
            mac=macs.get(name, ""),
        )
        for name, fields in sorted(devices.items())
        if is_physical_interface(name)
    }


def _filesystems() -> tuple[dict[str, Filesystem], dict[str, str]]:
    import psutil

    mounts = _offered(lambda: psutil.disk_partitions(all=True)) or []
    # A container mounts single files of its host's disk, like /etc/hosts.
    kept = kept_filesystems(
        (mount.mountpoint, mount.device, mount.fstype)
        for mount in mounts
        if not Path(mount.mountpoint).is_file()
    )
    readable: dict[str, Filesystem] = {}
    unreadable: dict[str, str] = {}
    for mountpoint, (device, fstype) in kept.items():
        try:
            usage = psutil.disk_usage(mountpoint)
        except OSError as error:
            unreadable[mountpoint] = error.strerror or type(error).__name__
        else:
            readable[mountpoint] = Filesystem(device, fstype, usage.total, usage.used, usage.free)
    return readable, unreadable


def _counters(fields: Mapping[str, float], wanted: Mapping[str, str]) -> dict[str, float]:
    return {metric: fields[field] for metric, field in wanted.items()}
