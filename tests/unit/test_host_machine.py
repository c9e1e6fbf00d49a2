"""Rates between two readings, and what counts as a disk, an interface and a filesystem."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_collector.machine import (
    Disk,
    Filesystem,
    Interface,
    Machine,
    Reading,
    increase,
    is_physical_interface,
    kept_filesystems,
    rates,
    total,
    whole_disks,
)

MACHINE = Machine("m-1", "web")
BYTES = "disk_read_bytes_per_sec"


def reading(taken_at: float, **fields: Any) -> Reading:
    return Reading(MACHINE, taken_at=taken_at, duration=0.01, **fields)


def cpu(
    idle: float, user: float, iowait: float = 0.0, cpu: str = "0"
) -> dict[tuple[str, str], float]:
    return {(cpu, "idle"): idle, (cpu, "user"): user, (cpu, "iowait"): iowait}


def disk(value: float) -> Disk:
    return Disk({BYTES: value})


def test_cpu_is_the_share_that_was_neither_idle_nor_waiting_for_disks() -> None:
    before = reading(0, cpu_seconds=cpu(idle=100, user=10, iowait=5))
    after = reading(10, cpu_seconds=cpu(idle=106, user=13, iowait=6))
    assert rates(before, after).cpu_utilization == pytest.approx(30.0)


def test_guest_time_is_not_counted_twice() -> None:
    before = reading(0, cpu_seconds=cpu(0, 0) | {("0", "guest"): 0})
    after = reading(10, cpu_seconds=cpu(idle=5, user=5) | {("0", "guest"): 5})
    assert rates(before, after).cpu_utilization == pytest.approx(50.0)


def test_iowait_that_slips_back_is_no_restart() -> None:
    before = reading(0, cpu_seconds=cpu(idle=100, user=10, iowait=5_000))
    after = reading(10, cpu_seconds=cpu(idle=105, user=15, iowait=4_999))
    assert rates(before, after).cpu_utilization == pytest.approx(50.0)


def test_a_cpu_that_was_plugged_in_does_not_count_yet() -> None:
    before = reading(0, cpu_seconds=cpu(0, 0))
    after = reading(10, cpu_seconds=cpu(idle=9, user=1) | cpu(idle=0, user=5_000, cpu="1"))
    assert rates(before, after).cpu_utilization == pytest.approx(10.0)


def test_cpu_is_unknown_without_time_having_passed() -> None:
    same = reading(0, cpu_seconds=cpu(1, 1))
    assert rates(same, replace(same, taken_at=1.0)).cpu_utilization is None
    assert rates(reading(0), reading(1)).cpu_utilization is None


def test_a_rate_is_the_increase_over_the_span() -> None:
    found = rates(reading(5, disks={"sda": disk(100)}), reading(15, disks={"sda": disk(150)}))
    assert found.span == 10
    assert found.disks == {"sda": {BYTES: 5.0}}


def test_a_counter_that_fell_began_at_zero_again() -> None:
    found = rates(reading(0, disks={"sda": disk(100)}), reading(10, disks={"sda": disk(30)}))
    assert found.disks["sda"][BYTES] == pytest.approx(3.0)


def test_after_a_reboot_every_counter_began_at_zero_however_far_it_is() -> None:
    before = reading(
        0, uptime=9_000, disks={"sda": disk(100)}, cpu_seconds=cpu(idle=1_000, user=10)
    )
    after = reading(900, uptime=300, disks={"sda": disk(900)}, cpu_seconds=cpu(idle=225, user=75))
    found = rates(before, after)
    assert found.disks["sda"][BYTES] == pytest.approx(1.0)
    assert found.cpu_utilization == pytest.approx(25.0)


def test_a_step_of_the_clock_is_no_reboot() -> None:
    before = reading(0, uptime=9_000, disks={"sda": disk(100)})
    after = reading(900, uptime=8_500, disks={"sda": disk(1_000)})
    assert rates(before, after).disks["sda"][BYTES] == pytest.approx(1.0)


def test_devices_may_come_and_go() -> None:
    before = reading(0, disks={"sda": disk(0), "old": disk(7)})
    after = reading(10, disks={"sda": disk(10), "new": disk(7_000)})
    found = rates(before, after)
    assert found.disks == {"sda": {BYTES: 1.0}}
    assert total(found.disks) == {BYTES: 1.0}


def test_interfaces_add_up() -> None:
    packets = "network_in_packets_per_sec"
    before = reading(0, interfaces={n: Interface({packets: 0}) for n in ("eth0", "eth1")})
    after = reading(2, interfaces={n: Interface({packets: 10}) for n in ("eth0", "eth1")})
    assert total(rates(before, after).interfaces) == {packets: 10.0}


@settings(deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 2**53 // 4096), st.floats(1.0, 7_200.0), st.sampled_from([False, True])
        ),
        min_size=1,
        max_size=30,
    )
)
def test_rates_add_up_to_what_was_counted_whatever_the_restarts(
    steps: list[tuple[int, float, bool]],
) -> None:
    """Restarts that reach the counter's old value are seen through the uptime alone."""
    counter = counted = 0
    recovered = clock = 0.0
    booted = -1_000.0
    before = reading(clock, uptime=clock - booted, disks={"sda": disk(counter)})
    for moved, seconds, restarts in steps:
        if restarts:
            counter, booted = 0, clock + seconds / 2
        clock += seconds
        counter += moved
        counted += moved
        after = reading(clock, uptime=clock - booted, disks={"sda": disk(counter)})
        found = rates(before, after)
        assert found.disks["sda"][BYTES] >= 0
        recovered += found.disks["sda"][BYTES] * found.span
        before = after
    assert recovered == pytest.approx(counted, rel=1e-9)


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 1e9), min_size=6, max_size=6),
    st.lists(st.floats(0, 1e9), min_size=6, max_size=6),
    st.floats(0.1, 1e4),
)
def test_cpu_is_a_percentage_whatever_the_counters_do(
    before: list[float], after: list[float], uptime: float
) -> None:
    modes = ("user", "system", "idle", "iowait", "steal", "guest")
    found = rates(
        reading(0, cpu_seconds={("0", mode): v for mode, v in zip(modes, before, strict=True)}),
        reading(
            60,
            uptime=uptime,
            cpu_seconds={("0", mode): v for mode, v in zip(modes, after, strict=True)},
        ),
    ).cpu_utilization
    assert found is None or 0 <= found <= 100


@settings(deadline=None)
@given(st.floats(0, 1e15), st.floats(0, 1e15))
def test_a_counter_never_decreases(before: float, after: float) -> None:
    assert increase(before, after) >= 0
    assert increase(before, after, restarted=True) == after


@pytest.mark.parametrize(
    ("names", "whole"),
    [
        (["vda", "vda1", "vda15", "loop0", "zram0"], {"vda"}),
        (["nvme0n1", "nvme0n1p1", "nvme0n10", "nvme1n1"], {"nvme0n1", "nvme0n10", "nvme1n1"}),
        (["mmcblk0", "mmcblk0p1", "mmcblk0boot0"], {"mmcblk0"}),
        (["sda", "sda1", "sdaa", "dm-0", "md0", "md127p1", "sr0"], {"sda", "sdaa"}),
        (["xvda1", "xvdb"], {"xvda1", "xvdb"}),
        (["disk0"], {"disk0"}),
        ([], set()),
    ],
)
def test_whole_physical_disks_are_counted_once(names: list[str], whole: set[str]) -> None:
    assert whole_disks(names) == whole


@pytest.mark.parametrize("name", ["eth0", "ens5", "enp0s31f6", "wlan0", "ib0", "en0", "eno1np0"])
def test_a_physical_interface_counts(name: str) -> None:
    assert is_physical_interface(name)


@pytest.mark.parametrize(
    "name",
    [
        "lo",
        "lo0",
        "docker0",
        "veth12ab",
        "br-0a1b",
        "br0",
        "virbr0",
        "cni0",
        "flannel.1",
        "cali1",
        "tun0",
        "wg0",
        "bond0",
        "eth0.100",
        "ifb0",
        "dummy0",
        "tailscale0",
        "vnet3",
    ],
)
def test_a_virtual_interface_does_not(name: str) -> None:
    assert not is_physical_interface(name)


def test_a_filesystem_counts_once_and_only_with_data_on_this_machine() -> None:
    mounts = [
        ("/var/lib/docker/bind", "/dev/sda1", "ext4"),
        ("/", "/dev/sda1", "ext4"),
        ("/data", "tank/data", "zfs"),
        ("/net", "server:/export", "nfs4"),
        ("/run", "tmpfs", "tmpfs"),
        ("/snap/core/1", "/dev/loop0", "squashfs"),
    ]
    assert kept_filesystems(mounts) == {"/": ("/dev/sda1", "ext4"), "/data": ("tank/data", "zfs")}
    assert kept_filesystems([("/", "overlay", "overlay")]) == {"/": ("overlay", "overlay")}


def test_a_filesystem_is_as_full_as_df_says() -> None:
    assert Filesystem("/dev/sda1", "ext4", 1000, 300, 600).utilization == pytest.approx(100 / 3)
    assert Filesystem("none", "ext4", 0, 0, 0).utilization is None


@settings(deadline=None)
@given(st.floats(1, 1e16))
def test_a_full_filesystem_is_full_and_not_fuller(used: float) -> None:
    assert Filesystem("d", "ext4", used, used, 0).utilization == 100


def test_the_root_filesystem_stands_for_the_machine() -> None:
    some = Filesystem("d", "ext4", 1, 0, 1)
    assert reading(0, filesystems={"/boot": some, "/": some}).root == "/"
    assert reading(0).root is None
