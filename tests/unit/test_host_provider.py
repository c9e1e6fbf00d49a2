"""The provider `host`: options, scopes, readings kept, series and inventory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from data_collector import node_exporter
from data_collector.collectors.host import HostProvider, performance, resources, session
from data_collector.collectors.host.metrics import (
    ABSENT_OF,
    DISK_COUNTERS,
    INTERFACE_COUNTERS,
    NATIVE,
    PSUTIL,
)
from data_collector.collectors.host.plugin import HostOptions, ReadingMemory
from data_collector.machine import Disk, Filesystem, Interface, Machine, Reading, rates
from optiinfra.accounts import Account
from optiinfra.calls import Calls
from optiinfra.catalog import METRICS, ResourceType
from optiinfra.domain import Gap, GapReason, Kind, Resource, Scope, Series, Window
from optiinfra.errors import (
    DeniedError,
    OptiInfraError,
    ThrottledError,
    TransientError,
    UnsupportedError,
)
from optiinfra.provider import load_provider

MINUTE = timedelta(minutes=1)
STAMP = datetime.now(UTC).replace(second=0, microsecond=0)
WINDOW = Window(STAMP, STAMP + MINUTE)
MACHINE = Machine("m-1", "web", vcpus=4, os="Debian", kernel="6.1", architecture="x86_64")
TARGET = "http://10.0.0.5:9100/metrics"


def reading(taken_at: float = 0.0, moved: float = 0.0) -> Reading:
    """A machine on which everything moved `moved` since its start."""
    return Reading(
        machine=MACHINE,
        taken_at=taken_at,
        duration=0.025,
        boot_time=1_700_000_000.0,
        uptime=50_000.0,
        memory_total=1000.0,
        memory_available=250.0,
        cpu_seconds={("0", "idle"): 3 * moved, ("0", "user"): moved},
        disks={
            name: Disk(dict.fromkeys(node_exporter.DISK_COUNTERS, moved), size=500)
            for name in ("sda", "sdb")
        },
        interfaces={
            "eth0": Interface(dict.fromkeys(node_exporter.INTERFACE_COUNTERS, moved), up=True),
            "eth1": Interface(dict.fromkeys(node_exporter.INTERFACE_COUNTERS, moved), up=False),
        },
        filesystems={
            "/": Filesystem("/dev/sda1", "ext4", 400, 100, 300),
            "/srv": Filesystem("/dev/sdb1", "xfs", 400, 390, 10),
        },
    )


def account(*targets: str) -> Account:
    return Account("acme", "racks", "host", options={"targets": list(targets)})


def series_of(before: Reading, after: Reading) -> dict[tuple[str, str], Series]:
    answer = performance.normalise(after, rates(before, after), STAMP)
    return {(s.resource_id, s.metric): s for s in answer if isinstance(s, Series)}


class Machines:
    """Answers in place of the machines: one reading, or an error, per call."""

    def __init__(self, *answers: Reading | OptiInfraError) -> None:
        self.answers = list(answers)
        self.pauses: list[float] = []
        self.provider = HostProvider(pause=self.pauses.append)

    def scrape(self, url: str, calls: Calls) -> Reading:
        answer = self.answers.pop(0)
        if isinstance(answer, OptiInfraError):
            raise answer
        return answer

    def collect(self, window: Window = WINDOW) -> list[Series | Gap]:
        scope = self.provider.scopes(account(TARGET), Kind.PERFORMANCE)[0]
        return list(self.provider.collect_performance(account(TARGET), scope, window))


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Machines]:
    def make(*answers: Reading | OptiInfraError) -> Machines:
        made = Machines(*answers)
        monkeypatch.setattr(node_exporter, "scrape", made.scrape)
        return made

    return make


def value(answer: list[Series | Gap], metric: str, resource_id: str = "m-1") -> float:
    [found] = [
        series
        for series in answer
        if isinstance(series, Series)
        and (series.metric, series.resource_id) == (metric, resource_id)
    ]
    return float(found.values[0])


def test_the_plugin_loads_without_psutil_and_without_a_parser() -> None:
    code = (
        "import sys; from optiinfra.provider import load_provider; load_provider('host'); "
        "sys.exit('psutil' in sys.modules or 'prometheus_client' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert isinstance(load_provider("host"), HostProvider)


@pytest.mark.parametrize(
    "target",
    ["ftp://10.0.0.5/metrics", "10.0.0.5:9100", "http://", "http://h:99999/", "http://[::1/", ""],
)
def test_a_target_must_be_a_url(target: str) -> None:
    with pytest.raises(ValidationError, match="must be a URL like"):
        HostOptions(targets=[target])


def test_a_target_holds_no_password_and_the_refusal_does_not_either() -> None:
    with pytest.raises(ValidationError) as raised:
        HostOptions(targets=["http://user:word@10.0.0.5:9100/metrics"])
    assert raised.value.errors()[0]["msg"].endswith("must not hold a user name or a password")


def test_one_machine_is_one_target() -> None:
    with pytest.raises(ValidationError, match=r"10\.0\.0\.5:80 stands 2 times"):
        HostOptions(targets=["http://10.0.0.5/metrics", "http://10.0.0.5:80/other"])


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="target"):
        HostOptions.model_validate({"target": TARGET})


def test_there_is_one_scope_per_machine_for_both_kinds() -> None:
    provider = HostProvider()
    [local] = provider.scopes(account(), Kind.PERFORMANCE)
    assert local.name.startswith("host/racks/")
    assert local.attributes == {}
    remote = provider.scopes(account(TARGET, "https://web.example/m"), Kind.RESOURCES)
    assert remote == [
        Scope("host/racks/10.0.0.5:9100", {"target": TARGET}),
        Scope("host/racks/web.example:443", {"target": "https://web.example/m"}),
    ]
    assert provider.scopes(account(TARGET), Kind.COST) == []
    assert Account("acme", "racks", "host").options == {}
    assert len(provider.scopes(Account("acme", "racks", "host"), Kind.RESOURCES)) == 1


def test_the_first_collection_reads_twice_a_second_apart(
    machines: Callable[..., Machines],
) -> None:
    fleet = machines(reading(0, moved=0), reading(1, moved=8))
    answer = fleet.collect()
    assert fleet.pauses == [1.0]
    assert value(answer, "cpu_utilization") == pytest.approx(25.0)
    assert value(answer, "disk_read_bytes_per_sec") == pytest.approx(16.0)


def test_the_next_collection_reads_once_and_spans_the_time_between(
    machines: Callable[..., Machines],
) -> None:
    fleet = machines(reading(0), reading(1), reading(901, moved=900))
    fleet.collect()
    answer = fleet.collect()
    assert fleet.pauses == [1.0]
    assert value(answer, "network_out_packets_per_sec", "m-1/interface/eth0") == 1.0
    rated = [s for s in answer if isinstance(s, Series) and s.metric.endswith("per_sec")]
    assert {s.metadata["interval_seconds"] for s in rated} == {900}


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(1.2, id="sooner than a second"),
        pytest.param(7_300.0, id="over two hours later"),
    ],
)
def test_a_reading_that_says_nothing_of_the_present_is_not_used(
    machines: Callable[..., Machines], later: float
) -> None:
    fleet = machines(reading(0), reading(1), reading(later), reading(later + 1, moved=8))
    fleet.collect()
    assert value(fleet.collect(), "cpu_utilization") == pytest.approx(25.0)
    assert fleet.pauses == [1.0, 1.0]


def test_another_machine_behind_the_address_has_no_reading_before(
    machines: Callable[..., Machines],
) -> None:
    other = replace(MACHINE, machine_id="m-2")
    fleet = machines(
        reading(0),
        reading(1),
        replace(reading(901, moved=5), machine=other),
        replace(reading(902, moved=8), machine=other),
    )
    fleet.collect()
    assert value(fleet.collect(), "disk_read_bytes_per_sec", "m-2") == pytest.approx(6.0)


def test_a_reading_is_stamped_with_the_last_bucket_of_its_window(
    machines: Callable[..., Machines],
) -> None:
    fleet = machines(reading(0), reading(1), reading(100))
    for window in (WINDOW, Window(STAMP - timedelta(hours=3), STAMP + MINUTE)):
        stamps = {int(s.timestamps[0]) for s in fleet.collect(window) if isinstance(s, Series)}
        assert stamps == {int(STAMP.timestamp())}


def test_a_task_that_waited_in_a_queue_still_reads(machines: Callable[..., Machines]) -> None:
    waited = Window(STAMP - 6 * MINUTE, STAMP - 5 * MINUTE)
    answer = machines(reading(0), reading(1)).collect(waited)
    assert value(answer, "availability") == 100


def test_the_past_cannot_be_read(machines: Callable[..., Machines]) -> None:
    fleet = machines()
    yesterday = Window(STAMP - timedelta(days=1), STAMP - timedelta(days=1) + MINUTE)
    [gap] = fleet.collect(yesterday)
    assert isinstance(gap, Gap)
    assert gap.reason is GapReason.UNSUPPORTED


def test_a_machine_that_stops_answering_is_unavailable_and_its_scope_fails(
    machines: Callable[..., Machines],
) -> None:
    fleet = machines(reading(0), reading(1), TransientError("gone"))
    fleet.collect()
    scope = fleet.provider.scopes(account(TARGET), Kind.PERFORMANCE)[0]
    collection = fleet.provider.collect_performance(account(TARGET), scope, WINDOW)
    unavailable = next(collection)
    assert isinstance(unavailable, Series)
    assert (unavailable.metric, unavailable.resource_id) == ("availability", "m-1")
    assert unavailable.values.tolist() == [0.0]
    with pytest.raises(TransientError, match="gone"):
        next(collection)


@pytest.mark.parametrize("error", [TransientError("gone"), DeniedError("no")])
def test_a_machine_never_seen_has_no_availability(
    machines: Callable[..., Machines], error: OptiInfraError
) -> None:
    fleet = machines(error)
    scope = fleet.provider.scopes(account(TARGET), Kind.PERFORMANCE)[0]
    with pytest.raises(type(error)):
        next(fleet.provider.collect_performance(account(TARGET), scope, WINDOW))


@pytest.mark.parametrize("error", [DeniedError("no"), ThrottledError("slower")])
def test_a_machine_that_refuses_answers_and_is_not_called_unavailable(
    machines: Callable[..., Machines], error: OptiInfraError
) -> None:
    fleet = machines(reading(0), reading(1), error)
    fleet.collect()
    scope = fleet.provider.scopes(account(TARGET), Kind.PERFORMANCE)[0]
    with pytest.raises(type(error)):
        next(fleet.provider.collect_performance(account(TARGET), scope, WINDOW))


def test_the_machine_of_another_worker_is_not_mistaken_for_this_one() -> None:
    with pytest.raises(UnsupportedError, match="elsewhere can only be read on that machine"):
        list(HostProvider().list_resources(account(), Scope("host/racks/elsewhere")))


def test_check_names_each_machine(machines: Callable[..., Machines]) -> None:
    fleet = machines(reading(), TransientError("does not answer"))
    checks = list(fleet.provider.check(account(TARGET, "http://10.0.0.6:9100/metrics")))
    assert [check.ok for check in checks] == [True, False]
    assert "10.0.0.6" in checks[1].what
    assert checks[1].advice == "does not answer"
    assert fleet.provider.price({"scrape": 10**6}) == 0.0


def test_memory_is_bounded_and_forgets_the_machine_read_longest_ago() -> None:
    memory = ReadingMemory(capacity=2)
    for name in ("a", "b", "a", "c"):
        memory.put(("acme", name), reading())
    assert memory.get(("acme", "b")) is None
    assert memory.get(("acme", "a")) is not None
    assert memory.get(("other", "a")) is None


def test_every_metric_of_a_machine_and_its_parts() -> None:
    found = series_of(reading(0), reading(10, moved=40))
    host = {metric: s.values[0] for (owner, metric), s in found.items() if owner == "m-1"}
    assert host == pytest.approx(
        {
            "availability": 100.0,
            "response_time": 25.0,
            "uptime": 50_000.0,
            "memory_utilization": 75.0,
            "cpu_utilization": 25.0,
            "storage_free_bytes": 300.0,
            "storage_utilization": 25.0,
        }
        | dict.fromkeys(node_exporter.DISK_COUNTERS, 8.0)
        | dict.fromkeys(node_exporter.INTERFACE_COUNTERS, 8.0)
    )
    assert found["m-1/filesystem/srv", "storage_utilization"].values[0] == pytest.approx(97.5)
    assert found["m-1", "storage_utilization"].metadata == {"mountpoint": "/"}
    assert found["m-1/disk/sdb", "disk_write_ops_per_sec"].values[0] == pytest.approx(4.0)
    assert found["m-1/disk/sdb", "disk_write_ops_per_sec"].metadata == {"interval_seconds": 10}


def test_what_a_part_of_a_host_does_not_have_is_told() -> None:
    devices = {*DISK_COUNTERS, "storage_free_bytes", "storage_utilization"}
    made = {
        ResourceType.HOST: {row.canonical for row in PSUTIL},
        ResourceType.STORAGE_VOLUME: devices,
        ResourceType.NETWORK: set(INTERFACE_COUNTERS),
    }
    for kind, reasons in ABSENT_OF.items():
        can_have = {metric.name for metric in METRICS.values() if kind in metric.entities}
        assert made[kind] | reasons.keys() == can_have, kind
        assert not made[kind] & reasons.keys(), kind


def test_every_series_stands_in_the_native_table_and_fits_the_catalog() -> None:
    found = series_of(reading(0), reading(10, moved=40))
    yielded = {series.metric for series in found.values()}
    for table in (PSUTIL, node_exporter.NATIVE):
        assert {row.canonical for row in table} == yielded
        assert len(table) == len(yielded)
    assert {row.canonical for row in NATIVE} <= METRICS.keys()
    for series in found.values():
        assert series.resource_type in METRICS[series.metric].entities


def test_what_a_machine_does_not_offer_is_a_gap_and_no_zero() -> None:
    bare = Reading(MACHINE, taken_at=0, duration=0.01)
    answer = list(
        performance.normalise(
            replace(bare, taken_at=1.0), rates(bare, replace(bare, taken_at=1.0)), STAMP
        )
    )
    assert {s.metric for s in answer if isinstance(s, Series)} == {"availability", "response_time"}
    gaps = {gap.metric_name: gap.reason for gap in answer if isinstance(gap, Gap)}
    assert set(gaps.values()) == {GapReason.UNSUPPORTED}
    assert {"cpu_utilization", "uptime", "disk_read_ops_per_sec", "storage_utilization"} <= set(
        gaps
    )


def test_a_new_device_and_an_unreadable_filesystem_are_gaps() -> None:
    before, after = reading(0), reading(10, moved=40)
    answer = list(
        performance.normalise(
            replace(after, unreadable={"/secret": "Permission denied"}, failed=("netdev",)),
            rates(replace(before, disks={"sda": before.disks["sda"]}), after),
            STAMP,
        )
    )
    assert [gap for gap in answer if isinstance(gap, Gap)] == [
        Gap(
            GapReason.NOT_YET_PUBLISHED,
            "appeared since the reading before; a rate needs two",
            "m-1/disk/sdb",
        ),
        Gap(GapReason.DENIED, "Permission denied", "m-1/filesystem/secret"),
        Gap(GapReason.FAILED, "the exporter could not read netdev"),
    ]


def test_the_inventory_is_the_machine_and_its_parts() -> None:
    listed = [r for r in resources.normalise(reading(), "local") if isinstance(r, Resource)]
    by_id = {resource.resource_id: resource for resource in listed}
    assert list(by_id) == [
        "m-1",
        "m-1/disk/sda",
        "m-1/disk/sdb",
        "m-1/filesystem/",
        "m-1/filesystem/srv",
        "m-1/interface/eth0",
        "m-1/interface/eth1",
    ]
    assert by_id["m-1"].metadata == {
        "native_status": "up",
        "hostname": "web",
        "vcpus": 4,
        "memory_bytes": 1000,
        "storage_bytes": 1000,
        "os": "Debian",
        "kernel": "6.1",
        "architecture": "x86_64",
        "boot_time": "2023-11-14T22:13:20Z",
    }
    assert by_id["m-1/filesystem/srv"].metadata["device"] == "/dev/sdb1"
    assert (by_id["m-1/interface/eth0"].status, by_id["m-1/interface/eth1"].status) == (
        "running",
        "stopped",
    )
    assert {r.metadata["attached_to"] for r in listed[1:]} == {"m-1"}


def test_what_is_not_known_stays_out_of_the_metadata() -> None:
    unknown = Reading(Machine("m-1", "web"), taken_at=0, duration=0.1, boot_time=float("nan"))
    [machine] = resources.normalise(unknown, "remote")
    assert isinstance(machine, Resource)
    assert machine.metadata == {"native_status": "up", "hostname": "web"}


def test_a_listing_without_a_collector_is_not_complete(
    machines: Callable[..., Machines],
) -> None:
    fleet = machines(replace(reading(), failed=("diskstats",), disks={}))
    scope = fleet.provider.scopes(account(TARGET), Kind.RESOURCES)[0]
    seen: list[Resource | Gap] = []
    with pytest.raises(TransientError, match="could not read diskstats"):
        seen.extend(fleet.provider.list_resources(account(TARGET), scope))


def test_a_failed_reading_of_this_machine_does_not_call_it_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = HostProvider(pause=lambda _: None)
    [scope] = provider.scopes(account(), Kind.PERFORMANCE)
    list(provider.collect_performance(account(), scope, WINDOW))

    def fail(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(psutil, "net_io_counters", fail)
    with pytest.raises(TransientError):
        next(provider.collect_performance(account(), scope, WINDOW))


@pytest.fixture
def bare_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    """psutil as in a container that shows nothing."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    for name in ("virtual_memory", "disk_io_counters", "net_io_counters", "boot_time"):
        monkeypatch.setattr(psutil, name, refuse)
    monkeypatch.setattr(psutil, "net_if_stats", dict)
    monkeypatch.setattr(psutil, "disk_usage", refuse)


@pytest.mark.usefixtures("bare_psutil")
def test_a_machine_that_shows_little_is_read_as_far_as_it_goes() -> None:
    calls = Calls()
    here = session.read_local(calls)
    assert (here.memory_total, here.boot_time, here.disks, here.interfaces) == (None, None, {}, {})
    assert here.filesystems == {}
    assert set(here.unreadable.values()) <= {"Permission denied"}
    assert here.cpu_seconds
    assert calls.counts() == {"read": 1}


def test_a_failure_is_not_taken_for_an_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(psutil, "disk_io_counters", fail)
    with pytest.raises(TransientError, match="Too many open files"):
        session.read_local(Calls())


def test_this_machine_is_known_by_systemd_then_dbus_then_name_and_mac(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    systemd, dbus = tmp_path / "machine-id", tmp_path / "dbus"
    monkeypatch.setattr(session, "_MACHINE_ID_FILES", (systemd, dbus))
    made_up = session.machine_id()
    assert made_up == session.machine_id()
    dbus.write_text("d0b5\n", encoding="ascii")
    assert session.machine_id() == "d0b5"
    systemd.write_text("\n", encoding="ascii")  # as images that are not yet booted have it
    assert session.machine_id() == "d0b5"
    systemd.write_text("5d5d\n", encoding="ascii")
    assert session.machine_id() == "5d5d"
