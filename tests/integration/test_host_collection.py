"""The provider `host` against this machine, psutil and a real node_exporter."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from support.collector import Clock, TestCollector
from support.node_exporter import NodeExporter, free_port, run_node_exporter

from data_collector import node_exporter as exporter
from data_collector.collectors.host import HostProvider
from data_collector.collectors.host.session import read_local
from data_collector.machine import rates
from optiinfra.accounts import Account
from optiinfra.calls import Calls
from optiinfra.domain import Gap, Kind, Resource, Series, Window, floor_time
from optiinfra.errors import TransientError
from optiinfra_database import Store

LOCAL = Account("local", "this-host", "host")


@pytest.fixture(scope="module")
def node_exporter() -> Iterator[NodeExporter]:
    yield from run_node_exporter()


def now_window() -> Window:
    start = floor_time(datetime.now(UTC), timedelta(minutes=1))
    return Window(start, start + timedelta(minutes=1))


def collect(provider: HostProvider, account: Account) -> dict[tuple[str, str], float]:
    [scope] = provider.scopes(account, Kind.PERFORMANCE)
    return {
        (series.resource_name, series.metric): float(series.values[0])
        for series in provider.collect_performance(account, scope, now_window())
        if isinstance(series, Series)
    }


def listing(account: Account) -> list[Resource]:
    provider = HostProvider()
    [scope] = provider.scopes(account, Kind.RESOURCES)
    return [r for r in provider.list_resources(account, scope) if not isinstance(r, Gap)]


def test_this_machine_reads_as_psutil_says() -> None:
    memory = psutil.virtual_memory()
    usage = psutil.disk_usage("/")
    found = collect(HostProvider(), LOCAL)
    host = {
        metric: value for (name, metric), value in found.items() if name == socket.gethostname()
    }
    assert host["memory_utilization"] == pytest.approx(memory.percent, abs=5)
    assert host["storage_utilization"] == pytest.approx(usage.percent, abs=1)
    assert host["storage_free_bytes"] == pytest.approx(usage.free, rel=0.05)
    assert host["uptime"] == pytest.approx(time.time() - psutil.boot_time(), abs=5)
    assert host["availability"] == 100
    assert 0 <= host["cpu_utilization"] <= 100


def test_a_reading_has_settled_as_soon_as_it_is_stored(store: Store) -> None:
    """Nobody will ever say another value of that moment."""
    collector = TestCollector(store, HostProvider(), LOCAL, Clock(datetime.now(UTC)))
    collector.collect(Kind.PERFORMANCE)
    points = "SELECT count(), countIf(settled) FROM performance_metrics FINAL"
    [(stored, settled)] = store.query(points)
    assert stored == settled > 0


def test_cpu_is_what_psutil_works_out_from_the_same_counters() -> None:
    before, first = read_local(Calls()), psutil.cpu_times()
    deadline = time.process_time() + 0.3
    while time.process_time() < deadline:
        pass
    after, second = read_local(Calls()), psutil.cpu_times()
    moved = {name: max(0.0, getattr(second, name) - getattr(first, name)) for name in first._fields}
    spent = sum(v for name, v in moved.items() if name not in ("guest", "guest_nice"))
    busy = spent - moved["idle"] - moved.get("iowait", 0.0)
    assert rates(before, after).cpu_utilization == pytest.approx(100 * busy / spent, abs=10)


def test_written_bytes_show_up_on_the_disks(tmp_path: Path) -> None:
    before = read_local(Calls())
    if not before.disks:
        pytest.skip("this machine shows no block device")
    first = psutil.disk_io_counters(perdisk=True)
    (tmp_path / "ballast").write_bytes(b"x" * 4_000_000)
    second = psutil.disk_io_counters(perdisk=True)
    after = read_local(Calls())
    found = rates(before, after)
    for name, disk in found.disks.items():
        seen = disk["disk_write_bytes_per_sec"] * found.span
        assert seen >= second[name].write_bytes - first[name].write_bytes


def test_this_machine_is_listed_with_its_parts() -> None:
    machine, *parts = listing(LOCAL)
    assert machine.resource_type == "host"
    assert machine.metadata["vcpus"] == psutil.cpu_count()
    assert machine.metadata["memory_bytes"] == psutil.virtual_memory().total
    assert machine.resource_name == socket.gethostname()
    assert {part.metadata["attached_to"] for part in parts} <= {machine.resource_id}
    assert not {"lo"} & {part.resource_name for part in parts}


def test_psutil_and_node_exporter_agree_about_one_machine(node_exporter: NodeExporter) -> None:
    before = read_local(Calls()), exporter.scrape(node_exporter.url, Calls())
    deadline = time.process_time() + 0.3
    while time.process_time() < deadline:
        pass
    local, remote = read_local(Calls()), exporter.scrape(node_exporter.url, Calls())
    assert remote.disks.keys() == local.disks.keys()
    assert remote.interfaces.keys() == local.interfaces.keys()
    assert remote.filesystems.keys() == local.filesystems.keys()
    assert remote.memory_total == local.memory_total
    assert remote.boot_time == pytest.approx(local.boot_time, abs=2)
    assert remote.uptime == pytest.approx(local.uptime, abs=5)
    assert remote.machine.vcpus == local.machine.vcpus
    assert remote.machine.kernel == local.machine.kernel
    assert remote.machine.os == local.machine.os
    assert remote.memory_utilization == pytest.approx(local.memory_utilization, abs=5)
    for mountpoint, filesystem in local.filesystems.items():
        assert remote.filesystems[mountpoint].utilization == pytest.approx(
            filesystem.utilization, abs=1
        )
    ours, theirs = rates(before[0], local), rates(before[1], remote)
    assert theirs.cpu_utilization == pytest.approx(ours.cpu_utilization, abs=20)
    for name, interface in local.interfaces.items():
        for metric, counter in interface.counters.items():
            # Read after psutil, so never behind it; nobody sends a gigabyte in between.
            assert 0 <= remote.interfaces[name].counters[metric] - counter < 1e9


def test_one_dead_target_fails_its_scope_alone(node_exporter: NodeExporter) -> None:
    dead = f"http://127.0.0.1:{free_port()}/metrics"
    account = Account("acme", "racks", "host", options={"targets": [dead, node_exporter.url]})
    provider = HostProvider()
    first, second = provider.scopes(account, Kind.PERFORMANCE)
    with pytest.raises(TransientError, match="does not answer"):
        list(provider.collect_performance(account, first, now_window()))
    alive = list(provider.collect_performance(account, second, now_window()))
    assert any(isinstance(s, Series) and s.metric == "cpu_utilization" for s in alive)
    assert [check.ok for check in provider.check(account)] == [False, True]


def test_an_exporter_that_stops_leaves_availability_zero() -> None:
    running = run_node_exporter()
    target = next(running)
    account = Account("acme", "racks", "host", options={"targets": [target.url]})
    provider = HostProvider()
    collect(provider, account)
    next(running, None)
    [scope] = provider.scopes(account, Kind.PERFORMANCE)
    answers: list[Series | Gap] = []
    with pytest.raises(TransientError):
        answers.extend(provider.collect_performance(account, scope, now_window()))
    [unavailable] = answers
    assert isinstance(unavailable, Series)
    assert (unavailable.metric, unavailable.values.tolist()) == ("availability", [0.0])
