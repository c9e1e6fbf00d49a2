"""One machine's counters and gauges at one moment, and what two such readings say.

A reading has the same shape whether it came from psutil or from node_exporter, so the rules
for what counts as a disk, a filesystem and an interface stand here once. Nothing here does
I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

#: CPU modes that are no work. Waiting for a disk leaves the CPU free for others, so it
#: counts as idle, as in psutil.cpu_percent().
IDLE_MODES = frozenset({"idle", "iowait"})
#: Linux counts guest time in `user` and `nice` already.
DOUBLE_COUNTED_MODES = frozenset({"guest", "guest_nice"})

#: Block devices that hold no disk of their own: memory, removable media, and those layered
#: over other devices (device mapper, software RAID), whose traffic the disks below count.
_VIRTUAL_DISK = re.compile(r"(loop|ram|zram|fd|sr|dm-|md|bcache|drbd|zd)\d")
_PARTITION = re.compile(r"(?P<disk>.+?)(p\d+|\d+|boot\d+|rpmb)")
DISK_NOTE = (
    "rate between two readings; a machine's is the sum over its whole physical disks, without "
    "partitions, loop, memory, device-mapper and RAID devices"
)

#: Interfaces whose packets never leave the machine or pass a physical interface as well:
#: loopback, bridges, container and tunnel ends, bonds (their members count), VLANs.
_VIRTUAL_INTERFACE = re.compile(
    r"lo\d*|.*\.\d+|(veth|docker|podman|br-|virbr|vmbr|vnet|cni|flannel|cali|cilium|lxc|lxd|"
    r"kube-|nodelocaldns|weave|dummy|ifb|tun|tap|tailscale|wg|bond|team|vlan|gre|erspan|sit|"
    r"ip6tnl|ip6gre|ip_vti|ip6_vti|ovs-|fwbr|fwpr|fwln|bridge|utun|awdl|llw|anpi|gif|stf).*|br\d+"
)
INTERFACE_NOTE = (
    "rate between two readings; a machine's is the sum over its physical interfaces, without "
    "loopback, bridges, container and tunnel ends, bonds and VLANs"
)

#: Filesystems that keep data on this machine. Network ones are left out: their server
#: reports them, and asking for their size hangs while it is away.
_LOCAL_FILESYSTEMS = frozenset(
    [
        "apfs",
        "bcachefs",
        "btrfs",
        "exfat",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "fuseblk",
        "hfs",
        "jfs",
        "msdos",
        "ntfs",
        "ntfs3",
        "reiserfs",
        "ufs",
        "vfat",
        "xfs",
        "zfs",
    ]
)


@dataclass(frozen=True, slots=True)
class Disk:
    """A whole disk. `counters` go up since it appeared, by the metric that their rate is;
    `size` in bytes where known.
    """

    counters: Mapping[str, float]
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface. `counters` as a disk's; `speed` in bits per second where known."""

    counters: Mapping[str, float]
    up: bool | None = None
    speed: int | None = None
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Filesystem:
    """A mounted filesystem in bytes; `available` is what an ordinary user can still write."""

    device: str
    fstype: str
    size: float
    used: float
    available: float

    @property
    def utilization(self) -> float | None:
        """Percent taken as `df` shows it, of used and available, without reserved blocks."""
        usable = self.used + self.available
        return 100 * (self.used / usable) if usable else None


@dataclass(frozen=True, slots=True)
class Machine:
    """What does not change while the machine runs. Empty or None where not known."""

    machine_id: str
    hostname: str
    vcpus: int | None = None
    os: str = ""
    kernel: str = ""
    architecture: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything read from a machine at one moment.

    `taken_at` is this process's monotonic clock and `duration` how long the reading took,
    both in seconds. `cpu_seconds` holds the time counter of each (cpu, mode). `unreadable`
    names filesystems that refused to be read, with the reason, and `failed` the parts of the
    reading that failed as a whole. Otherwise None and an empty mapping mean that the machine
    does not offer it.
    """

    machine: Machine
    taken_at: float
    duration: float
    boot_time: float | None = None
    uptime: float | None = None
    memory_total: float | None = None
    memory_available: float | None = None
    cpu_seconds: Mapping[tuple[str, str], float] = field(default_factory=dict)
    disks: Mapping[str, Disk] = field(default_factory=dict)
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    filesystems: Mapping[str, Filesystem] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    failed: tuple[str, ...] = ()

    @property
    def memory_utilization(self) -> float | None:
        if not self.memory_total or self.memory_available is None:
            return None
        return 100 * (1 - self.memory_available / self.memory_total)

    @property
    def root(self) -> str | None:
        """The mount point that stands for the machine: `/`, or the nearest thing to it."""
        return min(
            self.filesystems, key=lambda mountpoint: (len(mountpoint), mountpoint), default=None
        )


@dataclass(frozen=True, slots=True)
class Rates:
    """What happened between two readings, per second of `span`.

    `disks` and `interfaces` hold the devices that both readings saw, with the catalog's
    metric names as keys; a device that appeared in between has no rate yet.
    """

    span: float
    cpu_utilization: float | None
    disks: Mapping[str, Mapping[str, float]]
    interfaces: Mapping[str, Mapping[str, float]]


def rates(previous: Reading, current: Reading) -> Rates:
    """The rates between two readings of one machine, the later one second."""
    span = current.taken_at - previous.taken_at
    rebooted = current.uptime is not None and current.uptime < span
    return Rates(
        span=span,
        cpu_utilization=_cpu_utilization(
            {} if rebooted else previous.cpu_seconds, current.cpu_seconds
        ),
        disks={
            name: _per_second(previous.disks[name].counters, disk.counters, span, rebooted)
            for name, disk in current.disks.items()
            if name in previous.disks
        },
        interfaces={
            name: _per_second(
                previous.interfaces[name].counters, interface.counters, span, rebooted
            )
            for name, interface in current.interfaces.items()
            if name in previous.interfaces
        },
    )


def increase(before: float, after: float, *, restarted: bool = False) -> float:
    """How far a counter went; one that fell, or whose machine restarted, began at zero again."""
    return after if restarted or after < before else after - before


def total(devices: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The devices' rates added up, by metric."""
    sums: dict[str, float] = {}
    for device in devices.values():
        for metric, value in device.items():
            sums[metric] = sums.get(metric, 0.0) + value
    return sums


def whole_disks(names: Iterable[str]) -> set[str]:
    """The whole physical disks among block devices.

    A partition is a device beside which its whole disk is listed; a lone `xvda1` is what
    some clouds call a disk.
    """
    listed = set(names)

    def is_partition(name: str) -> bool:
        match = _PARTITION.fullmatch(name)
        return match is not None and match["disk"] in listed

    return {n for n in listed if not _VIRTUAL_DISK.match(n) and not is_partition(n)}


def is_physical_interface(name: str) -> bool:
    """Whether an interface carries traffic of its own to and from the machine."""
    return _VIRTUAL_INTERFACE.fullmatch(name) is None


def kept_filesystems(mounts: Iterable[tuple[str, str, str]]) -> dict[str, tuple[str, str]]:
    """Of (mount point, device, type) those to report: mount point to (device, type).

    Only filesystems with data on the machine, and `/` whatever it is (a container's is an
    overlay). A device mounted in several places counts once, at its shortest mount point.
    """
    by_device: dict[str, tuple[str, str]] = {}
    for mountpoint, device, fstype in sorted(mounts, key=lambda mount: (len(mount[0]), mount)):
        if fstype in _LOCAL_FILESYSTEMS or mountpoint == "/":
            by_device.setdefault(device, (mountpoint, fstype))
    return {mountpoint: (device, fstype) for device, (mountpoint, fstype) in by_device.items()}


def _per_second(
    before: Mapping[str, float], after: Mapping[str, float], span: float, restarted: bool
) -> dict[str, float]:
    return {
        metric: increase(before[metric], value, restarted=restarted) / span
        for metric, value in after.items()
        if metric in before
    }


def _cpu_utilization(
    before: Mapping[tuple[str, str], float], after: Mapping[tuple[str, str], float]
) -> float | None:
    """Percent of the CPU time between two readings that was not idle.

    Without a reading before, the time since the machine's start. The kernel lets idle and
    iowait slip back a little; that is no restart, so a counter that fell has not moved.
    """
    busy = idle = 0.0
    for (cpu, mode), seconds in after.items():
        if before and (cpu, mode) not in before:
            continue
        moved = max(0.0, seconds - before.get((cpu, mode), 0.0))
        if mode in IDLE_MODES:
            idle += moved
        elif mode not in DOUBLE_COUNTED_MODES:
            busy += moved
    return 100 * (busy / (busy + idle)) if busy + idle else None
