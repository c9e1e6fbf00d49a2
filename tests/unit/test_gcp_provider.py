"""The provider `gcp`: normalisers, errors, credentials and what bad input comes to."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stamina
from fakes.gcp import SECRET, Device, FakeGcp, Faults
from google.api_core import exceptions as api
from google.auth.exceptions import RefreshError, TransportError
from google.cloud import monitoring_v3 as monitoring
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from structlog.testing import capture_logs
from support.collector import Clock
from support.google_credentials import TokenEndpoint, service_account

from data_collector.collectors.gcp import GcpProvider, performance, plugin, resources
from data_collector.collectors.gcp.errors import credential_error, named_error
from data_collector.collectors.gcp.metrics import (
    ABSENT_OF,
    ALTERNATIVES,
    PLAN,
    QUERIES,
    Direct,
    Disks,
    Share,
)
from data_collector.collectors.gcp.plugin import GcpOptions
from optiinfra.accounts import Account
from optiinfra.catalog import METRICS, ResourceStatus, ResourceType
from optiinfra.domain import Gap, GapReason, Kind, Resource, Series, Window
from optiinfra.errors import (
    ContractError,
    CredentialError,
    DeniedError,
    OptiInfraError,
    ThrottledError,
    TransientError,
    UnsupportedError,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
WINDOW = Window(NOW - timedelta(minutes=35), NOW - timedelta(minutes=5))
START = int(WINDOW.start.timestamp())
PERIOD = timedelta(minutes=5)
WHAT = "acme/web: a call"


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4):
        yield


@pytest.fixture
def fake() -> Iterator[FakeGcp]:
    with FakeGcp(instances=8, clock=lambda: NOW) as made:
        yield made


def account_of(fake: FakeGcp, **options: object) -> Account:
    model = GcpOptions.model_validate({"project": fake.project, **options})
    return Account(
        "acme",
        "web",
        "gcp",
        options=model.model_dump(),
        credentials={"anonymous": True},
        endpoints=fake.endpoints,
    )


def collected(provider: GcpProvider, account: Account) -> tuple[list[Series], list[Gap]]:
    (scope,) = provider.scopes(account, Kind.PERFORMANCE)
    items = list(provider.collect_performance(account, scope, WINDOW))
    return (
        [item for item in items if isinstance(item, Series)],
        [item for item in items if isinstance(item, Gap)],
    )


def listed(provider: GcpProvider, account: Account, service: str) -> list[Resource]:
    (scope,) = (
        scope
        for scope in provider.scopes(account, Kind.RESOURCES)
        if scope.attributes["service"] == service
    )
    return [r for r in provider.list_resources(account, scope) if isinstance(r, Resource)]


def provider_now() -> GcpProvider:
    return GcpProvider(now=lambda: NOW)


def reading(volumes: dict[tuple[str, str], resources.Volume] | None = None) -> performance.Reading:
    return performance.Reading(
        project="acme-web",
        window=WINDOW,
        period=PERIOD,
        names=lambda _: "",
        volume_of=lambda instance, device: (volumes or {}).get((instance, device)),
    )


def time_series(labels: dict[str, str], points: dict[int, float], **metric: str) -> Any:
    """A native series; `points` are values by bucket start."""
    series = monitoring.TimeSeries.pb(monitoring.TimeSeries())
    series.resource.labels.update(labels)
    series.metric.labels.update(metric)
    for start in sorted(points, reverse=True):
        point = series.points.add()
        point.interval.end_time.seconds = start + 300
        point.value.double_value = points[start]
    return series


def item_for(metric: str, kind: type) -> Any:
    return next(one for one in PLAN if isinstance(one, kind) and metric in str(one.rows))


VM = {"instance_id": "1", "zone": "us-central1-a"}


class TestTable:
    def test_every_metric_of_a_type_has_a_source_or_a_reason(self) -> None:
        made: dict[ResourceType, set[str]] = {kind: set() for kind in ABSENT_OF}
        for item in PLAN:
            metrics = {row.canonical for row in item.rows}
            if isinstance(item, Disks):
                made[ResourceType.STORAGE_VOLUME] |= metrics
            if not isinstance(item, Disks) or item.summed:
                made[item.queries[0].entity.type] |= metrics
        for kind, reasons in ABSENT_OF.items():
            can_have = {metric.name for metric in METRICS.values() if kind in metric.entities}
            assert made[kind] | reasons.keys() == can_have, kind
            assert not made[kind] & reasons.keys(), kind

    def test_no_metric_type_is_asked_for_twice(self) -> None:
        assert len({query.type for query in QUERIES}) == len(QUERIES)

    def test_only_memory_and_connections_have_two_sources(self) -> None:
        assert {name for name, _ in ALTERNATIVES} == {"memory_utilization", "db_connections"}

    def test_the_plugin_loads_without_googles_libraries(self) -> None:
        code = (
            "import sys; from data_collector.collectors.gcp import provider; "
            "loaded = [m for m in sys.modules if m.startswith(('google', 'grpc'))]; "
            "assert not loaded, loaded; print(provider.name)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], check=False, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout.strip()) == (0, "gcp"), done.stderr


class TestSeries:
    def test_a_point_carries_the_start_of_its_bucket(self) -> None:
        (series,) = reading().normalise(PLAN[0], [[time_series(VM, {START: 0.5})]])
        assert (series.timestamps.tolist(), series.values.tolist()) == ([START], [50.0])

    def test_points_outside_the_window_are_not_taken(self) -> None:
        end = int(WINDOW.end.timestamp())
        answer = [[time_series(VM, {START - 300: 0.1, START: 0.2, end: 0.3})]]
        (series,) = reading().normalise(PLAN[0], answer)
        assert series.timestamps.tolist() == [START]

    def test_a_point_without_a_value_is_missing_and_not_zero(self) -> None:
        native = time_series(VM, {START: 0.5, START + 300: 0.5})
        native.points[0].ClearField("value")
        (series,) = reading().normalise(PLAN[0], [[native]])
        assert series.timestamps.tolist() == [START]

    def test_a_distribution_is_its_mean_and_none_without_requests(self) -> None:
        rule = {"forwarding_rule_name": "web", "region": "global"}
        native = time_series(rule, {START: 0, START + 300: 0})
        for point, count in zip(native.points, (0, 4), strict=True):
            point.value.distribution_value.count = count
            point.value.distribution_value.mean = 12.5
        (series,) = reading().normalise(item_for("lb_latency", Direct), [[native]])
        assert (series.timestamps.tolist(), series.values.tolist()) == ([START], [12.5])
        assert series.resource_id == (
            "//compute.googleapis.com/projects/acme-web/global/forwardingRules/web"
        )

    @given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=6), page=st.integers(1, 7))
    @settings(deadline=None)
    def test_a_series_cut_by_pages_is_one_again(self, lengths: list[int], page: int) -> None:
        whole = [
            ({**VM, "instance_id": str(n)}, {START + 300 * k: n + k / 10 for k in range(length)})
            for n, length in enumerate(lengths)
        ]
        flat = [
            (labels, start, points[start])
            for labels, points in whole
            for start in sorted(points, reverse=True)
        ]
        pages = []
        for at in range(0, len(flat), page):
            parts: dict[str, Any] = {}
            for labels, start, value in flat[at : at + page]:
                parts.setdefault(labels["instance_id"], (labels, {}))[1][start] = value
            pages.append([time_series(labels, points) for labels, points in parts.values()])
        rows = list(performance.merged_rows(pages, WINDOW, PERIOD))
        assert [row.labels["instance_id"] for row in rows] == [str(n) for n in range(len(lengths))]
        for row, (_, points) in zip(rows, whole, strict=True):
            assert dict(zip(row.times.tolist(), row.values.tolist(), strict=True)) == points
            assert row.times.tolist() == sorted(points, reverse=True)

    @given(
        ratios=st.lists(st.floats(0, 1.5), min_size=1, max_size=6),
    )
    def test_a_ratio_becomes_percent_whatever_it_is(self, ratios: list[float]) -> None:
        points = {START + 300 * n: ratio for n, ratio in enumerate(ratios)}
        (series,) = reading().normalise(PLAN[0], [[time_series(VM, points)]])
        np.testing.assert_allclose(series.values[::-1], [100 * ratio for ratio in ratios])

    def test_disks_add_up_and_stand_alone(self) -> None:
        volumes = {
            ("1", "boot"): resources.Volume("10", "boot-disk", 1),
            ("1", "shared"): resources.Volume("20", "shared-disk", 2),
            ("2", "shared"): resources.Volume("20", "shared-disk", 2),
        }
        answer = [
            [
                time_series(VM, {START: 1.0, START + 300: 2.0}, device_name="boot"),
                time_series(VM, {START: 10.0}, device_name="shared"),
            ],
            [
                time_series({**VM, "instance_id": "2"}, {START: 100.0}, device_name="shared"),
                time_series(VM, {START: 1000.0}, device_name="local-ssd-0"),
            ],
        ]
        item = item_for("disk_read_bytes_per_sec", Disks)
        found = {
            (series.resource_id, int(time)): value
            for series in reading(volumes).normalise(item, answer)
            for time, value in zip(series.timestamps, series.values.tolist(), strict=True)
        }
        assert found == {
            ("10", START): 1.0,
            ("10", START + 300): 2.0,
            ("20", START): 110.0,
            ("1", START): 1011.0,
            ("1", START + 300): 2.0,
            ("2", START): 100.0,
        }

    def test_a_share_needs_both_of_its_parts(self) -> None:
        item = item_for("storage_free_bytes", Share)
        labels = {"database_id": "acme-web:db", "region": "us-east1"}
        used = [[time_series(labels, {START: 25.0, START + 300: 30.0})]]
        total = [[time_series(labels, {START: 100.0, START + 600: 100.0})]]
        found = {
            series.metric: (series.timestamps.tolist(), series.values.tolist())
            for series in reading().normalise(item, used, total)
        }
        assert found == {
            "storage_utilization": ([START], [25.0]),
            "storage_free_bytes": ([START], [75.0]),
        }

    def test_the_agents_memory_stands_before_the_balloons(self) -> None:
        shared = reading()
        (agent,) = shared.normalise(
            item_for("percent_used", Direct), [[time_series(VM, {START: 40.0})]]
        )
        balloon = item_for("memory_utilization", Share)
        points = {START: 1.0, START + 300: 3.0}
        whole = {START: 4.0, START + 300: 4.0}
        (rest,) = shared.normalise(balloon, [[time_series(VM, points)]], [[time_series(VM, whole)]])
        assert (agent.timestamps.tolist(), agent.values.tolist()) == ([START], [40.0])
        assert (rest.timestamps.tolist(), rest.values.tolist()) == ([START + 300], [75.0])


class TestResources:
    @pytest.mark.parametrize(
        ("name", "size"),
        [
            ("custom-2-4096", (2, 4 * 1024**3)),
            ("n2-custom-4-8192-ext", (4, 8 * 1024**3)),
            ("db-custom-2-7680", (2, 7680 * 1024**2)),
            ("e2-medium", None),
        ],
    )
    def test_custom_machine_types_say_their_size(self, name: str, size: object) -> None:
        assert resources.custom_size(name) == size

    @pytest.mark.parametrize(
        ("location", "region"),
        [
            ("us-central1-a", "us-central1"),
            ("europe-west1", "europe-west1"),
            ("northamerica-northeast1-b", "northamerica-northeast1"),
            ("global", "global"),
            ("", ""),
        ],
    )
    def test_regions(self, location: str, region: str) -> None:
        assert resources.region_of(location) == region

    def test_terminated_is_stopped_and_an_unknown_status_is_unknown(self) -> None:
        body = {"id": "1", "name": "vm", "zone": "zones/us-east1-b"}
        of = {
            status: resources.normalise_instance({**body, "status": status}, {}).status
            for status in ("TERMINATED", "REPAIRING", "HIBERNATING")
        }
        assert of == {
            "TERMINATED": ResourceStatus.STOPPED,
            "REPAIRING": ResourceStatus.DEGRADED,
            "HIBERNATING": ResourceStatus.UNKNOWN,
        }

    def test_an_asset_without_a_body_is_described_by_the_index(self) -> None:
        found = resources.normalise_asset(
            {
                "name": "//container.googleapis.com/projects/acme-web/zones/us-east1-b/clusters/c",
                "assetType": "container.googleapis.com/Cluster",
                "location": "us-east1-b",
                "state": "RUNNING",
                "labels": {"team": "a"},
                "createTime": "2026-01-01T02:00:00+02:00",
            },
            "acme-web",
        )
        assert found.resource_id == (
            "//container.googleapis.com/projects/acme-web/locations/us-east1-b/clusters/c"
        )
        assert (found.status, found.region) == ("running", "us-east1")
        assert found.metadata == {
            "native_status": "RUNNING",
            "zone": "us-east1-b",
            "tags": {"team": "a"},
            "created_at": "2026-01-01T00:00:00Z",
        }

    def test_an_asset_of_another_type_breaks_the_contract(self) -> None:
        with pytest.raises(ContractError):
            resources.normalise_asset({"name": "a/b", "assetType": "x/Y"}, "acme-web")

    def test_inventory_has_sizes_links_and_no_secrets(self, fake: FakeGcp) -> None:
        found = {r.resource_id: r for r in listed(provider_now(), account_of(fake), "compute")}
        instance = found[fake.fleet.machines[0].id]
        assert instance.metadata["vcpus"] == 2
        assert instance.metadata["memory_bytes"] == 4 * 1024**3
        assert instance.metadata["zone"] == "us-central1-a"
        assert found[fake.fleet.machines[2].id].metadata["vcpus"] == 6  # custom
        disk = found[fake.fleet.disks[0].id]
        assert disk.metadata["attached_to"] == instance.resource_id
        assert disk.metadata["storage_bytes"] == 10 * 1024**3
        assets = listed(provider_now(), account_of(fake), "asset")
        assert SECRET not in json.dumps([dict(r.metadata) for r in (*found.values(), *assets)])

    def test_each_listing_is_made_anew_but_machine_types_once_a_day(self, fake: FakeGcp) -> None:
        clock = Clock(NOW)
        provider, account = GcpProvider(now=clock), account_of(fake)
        for hours in (0, 1, 22, 2):
            clock.forward(timedelta(hours=hours))
            listed(provider, account, "compute")
        assert fake.asked["compute.instances"] == 4
        assert fake.asked["compute.machineTypes"] == 2

    def test_performance_relies_on_the_listing_of_the_cycle_before(self, fake: FakeGcp) -> None:
        clock = Clock(NOW)
        provider, account = GcpProvider(now=clock), account_of(fake)
        listed(provider, account, "compute")
        for minutes in (15, 4, 2):
            clock.forward(timedelta(minutes=minutes))
            collected(provider, account)
        assert fake.asked["compute.instances"] == 2

    def test_an_unknown_status_is_logged_once(self, fake: FakeGcp) -> None:
        fake.fleet.machines[:2] = [
            replace(machine, status="HIBERNATING") for machine in fake.fleet.machines[:2]
        ]
        provider, account = provider_now(), account_of(fake)
        with capture_logs() as logs:
            listed(provider, account, "compute")
            listed(provider, account, "compute")
        assert [one["status"] for one in logs if one["event"] == "gcp_unknown_status"] == [
            "HIBERNATING"
        ]


class TestGaps:
    def test_what_has_no_points_says_why(self, fake: FakeGcp) -> None:
        _, gaps = collected(provider_now(), account_of(fake))
        reasons = {(gap.reason, gap.resource_id, gap.metric_name) for gap in gaps}
        machines = fake.fleet.machines
        stopped = next(m for m in machines if not m.running)
        bare = next(m for m in machines if m.running and not m.agent and m.type[:2] != "e2")
        assert (GapReason.STOPPED, stopped.id, "") in reasons
        assert (GapReason.NO_AGENT, bare.id, "memory_utilization") in reasons
        assert (GapReason.STOPPED, "6000000000000000002", "") in reasons  # an unattached disk
        assert (GapReason.STOPPED, "acme-web:db-2", "") in reasons
        assert any(reason is GapReason.UNSUPPORTED and "rule-3" in i for reason, i, _ in reasons)
        used_by_stopped = next(d for d in fake.fleet.disks if stopped.path in d.users)
        assert (GapReason.STOPPED, used_by_stopped.id, "") in reasons

    def test_a_failed_part_is_a_gap_and_drops_nothing_else(self, fake: FakeGcp) -> None:
        fake.faults.failed_parts = {QUERIES[0].type: 14, QUERIES[1].type: 7, QUERIES[4].type: 8}
        series, gaps = collected(provider_now(), account_of(fake))
        of = {gap.metric_name: gap.reason for gap in gaps if "code" in gap.detail}
        assert of == {
            "cpu_utilization": GapReason.FAILED,
            "memory_utilization": GapReason.DENIED,
            "disk_read_bytes_per_sec": GapReason.THROTTLED,
        }
        assert any(one.metric == "cpu_utilization" for one in series)

    def test_without_compute_metrics_still_come_and_volumes_are_a_gap(self, fake: FakeGcp) -> None:
        fake.faults.deny = {"compute.disks"}
        series, gaps = collected(provider_now(), account_of(fake))
        assert {one.resource_type for one in series} >= {"compute_instance", "database"}
        assert [(gap.reason, gap.resource_id) for gap in gaps] == [(GapReason.DENIED, "")]
        assert "compute.disks.list" in gaps[0].detail

    def test_a_second_look_that_fails_leaves_what_the_first_one_saw(self, fake: FakeGcp) -> None:
        provider, account = provider_now(), account_of(fake)
        before, _ = collected(provider, account)
        machine = fake.fleet.machines[0]
        fake.fleet.machines[0] = replace(machine, devices=(*machine.devices, Device("new", "")))
        fake.rebuild()
        fake.faults.throttle = {"compute.disks"}
        provider.now = lambda: NOW + timedelta(minutes=1)
        after, gaps = collected(provider, account)
        volumes = [
            {one.resource_id for one in series if one.resource_type == ResourceType.STORAGE_VOLUME}
            for series in (before, after)
        ]
        assert volumes[0] == volumes[1]
        assert [gap.reason for gap in gaps] == [GapReason.THROTTLED]

    def test_a_collection_ends_in_time(
        self, fake: FakeGcp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plugin, "COLLECTION_DEADLINE", timedelta(seconds=-1))
        with pytest.raises(TransientError, match="no time is left"):
            collected(provider_now(), account_of(fake))
        assert not fake.asked["monitoring.ListTimeSeries"]

    def test_a_metric_type_that_google_renamed_is_an_option(self, fake: FakeGcp) -> None:
        account = account_of(fake, metric_types={QUERIES[0].type: QUERIES[0].type + "2"})
        fake._raws[QUERIES[0].type + "2"] = replace(fake._raws[QUERIES[0].type], low=2, high=2)
        series, _ = collected(provider_now(), account)
        of = {one.values[0] for one in series if one.metric == "cpu_utilization"}
        assert 200.0 in of

    def test_a_metric_that_is_published_late_is_read_from_earlier_on(self, fake: FakeGcp) -> None:
        name = QUERIES[0].type
        fake._raws[name] = replace(fake._raws[name], delay=3600)
        series, _ = collected(provider_now(), account_of(fake))
        cpu = next(one for one in series if one.resource_type == ResourceType.COMPUTE_INSTANCE)
        assert cpu.metric == "cpu_utilization"
        assert cpu.settling == timedelta(seconds=3660)
        assert int(cpu.timestamps.min()) < START
        assert int(cpu.timestamps.max()) <= int((NOW - timedelta(hours=1)).timestamp())


class TestBadInput:
    """Each has one clear outcome, in the collection as in the check."""

    @pytest.mark.parametrize(
        ("faults", "error"),
        [
            (Faults(unauthenticated=True), CredentialError),
            (Faults(deny={"monitoring.ListTimeSeries"}), DeniedError),
            (Faults(throttle={"monitoring.ListTimeSeries"}), ThrottledError),
            (Faults(drop_rate=1.0), TransientError),
        ],
    )
    def test_performance(self, fake: FakeGcp, faults: Faults, error: type[Exception]) -> None:
        fake.faults = faults
        with pytest.raises(error) as raised:
            collected(provider_now(), account_of(fake))
        assert type(raised.value) is error
        assert "acme/web" in str(raised.value)

    @pytest.mark.parametrize(
        ("faults", "error", "says"),
        [
            (Faults(unauthenticated=True), CredentialError, "access token"),
            (Faults(deny={"compute.networks"}), DeniedError, "compute.networks.list"),
            (Faults(throttle={"compute.disks"}), ThrottledError, "quota"),
            (Faults(drop_rate=1.0), TransientError, "connection"),
            (Faults(cut_rate=1.0), TransientError, "connection"),
            (Faults(html=True), ContractError, "does not speak JSON"),
            (Faults(unreachable={"us-central1-b"}), TransientError, "zones/us-central1-b"),
        ],
    )
    def test_resources(
        self, fake: FakeGcp, faults: Faults, error: type[Exception], says: str
    ) -> None:
        fake.faults = faults
        with pytest.raises(error, match=says) as raised:
            listed(provider_now(), account_of(fake), "compute")
        assert type(raised.value) is error

    def test_one_service_that_is_denied_leaves_the_other_complete(self, fake: FakeGcp) -> None:
        fake.faults.deny = {"asset.SearchAllResources"}
        provider, account = provider_now(), account_of(fake)
        assert listed(provider, account, "compute")
        with pytest.raises(DeniedError, match=r"cloudasset\.assets\.searchAllResources"):
            listed(provider, account, "asset")

    def test_an_endpoint_that_speaks_html_is_no_grpc(self, fake: FakeGcp) -> None:
        page = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Html)
        thread = threading.Thread(target=page.serve_forever, args=(0.05,))
        thread.start()
        url = f"http://127.0.0.1:{page.server_port}"
        account = replace(
            account_of(fake), endpoints={**fake.endpoints, "monitoring": url, "asset": url}
        )
        try:
            with pytest.raises(ContractError, match="does not speak gRPC"):
                collected(provider_now(), account)
            with pytest.raises(ContractError, match="does not speak gRPC"):
                listed(provider_now(), account, "asset")
        finally:
            page.shutdown()
            page.server_close()
            thread.join()

    def test_every_request_is_counted(self, fake: FakeGcp) -> None:
        fake.faults = Faults(throttle_rate=0.2, drop_rate=0.05, page=50)
        account = account_of(fake)
        collected(provider_now(), account)
        assert dict(account.calls.counts()) == dict(fake.asked)
        assert account.calls.units()["monitoring.SeriesReturned"] > 0

    def test_a_listing_whose_pages_never_end_is_given_up(self, fake: FakeGcp) -> None:
        account = account_of(fake)
        fake.faults.page = 0  # every page says: more, from the start
        with pytest.raises(ContractError, match="never ends"):
            listed(provider_now(), account, "compute")

    @pytest.mark.parametrize("project", ["", "Acme", 'a"b', "12345 6", "x" * 200])
    def test_a_project_that_cannot_be_one(self, project: str) -> None:
        with pytest.raises(ValidationError):
            GcpOptions.model_validate({"project": project})

    def test_options_nobody_reads(self) -> None:
        with pytest.raises(ValidationError):
            GcpOptions.model_validate({"project": "acme-web", "region": "us-east1"})


class _Html(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...

    def handle(self) -> None:
        self.request.recv(1024)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>")


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "named"),
        [
            (api.ServiceUnavailable("Socket closed"), TransientError),
            (api.DeadlineExceeded("late"), TransientError),
            (api.InternalServerError("oh"), TransientError),
            (api.BadGateway("oh"), TransientError),
            (api.ResourceExhausted("slow"), ThrottledError),
            (api.PermissionDenied("no"), DeniedError),
            (api.Unauthenticated("who"), CredentialError),
            (api.Unknown("Getting metadata from plugin failed with error: x"), CredentialError),
            (api.ServiceUnavailable("Trying to connect an http1.x server"), ContractError),
            (api.InvalidArgument("bad filter"), ContractError),
            (api.NotFound("no such metric"), UnsupportedError),
            (api.MethodNotImplemented("what"), UnsupportedError),
            (TransportError("no route"), TransientError),
            (RefreshError("invalid_grant: Invalid JWT Signature."), CredentialError),
            (RefreshError("later", retryable=True), TransientError),
        ],
    )
    def test_googles_errors_by_what_to_do(
        self, error: Exception, named: type[OptiInfraError]
    ) -> None:
        found = named_error(error, WHAT, "a.permission")
        assert type(found) is named
        assert WHAT in str(found)

    def test_a_message_never_holds_what_was_answered(self) -> None:
        for error in (
            api.InvalidArgument(SECRET),
            api.PermissionDenied(SECRET),
            RefreshError(SECRET),
        ):
            assert SECRET not in str(named_error(error, WHAT, "a.permission"))

    def test_a_denial_names_the_permission(self) -> None:
        assert "a.permission" in str(named_error(api.PermissionDenied("no"), WHAT, "a.permission"))

    def test_an_api_that_is_switched_off_is_named(self) -> None:
        error = api.PermissionDenied(
            "off",
            error_info={
                "reason": "SERVICE_DISABLED",
                "metadata": {"service": "cloudasset.googleapis.com"},
            },
        )
        assert "cloudasset.googleapis.com is not enabled" in str(named_error(error, WHAT, "p"))

    def test_a_clock_that_is_off_is_a_credential_error_that_says_so(self) -> None:
        error = RefreshError("invalid_grant: Token must be a short-lived token")
        assert "clock" in str(credential_error(error, WHAT))

    def test_retry_after_is_passed_on(self, fake: FakeGcp) -> None:
        fake.faults.throttle = {"asset.SearchAllResources"}
        with pytest.raises(ThrottledError) as raised:
            listed(provider_now(), account_of(fake), "asset")
        assert raised.value.retry_after == timedelta(milliseconds=1)


class TestCredentials:
    def check(self, account: Account) -> str:
        """The advice of the only check, that of the credentials."""
        (check,) = provider_now().check(account)
        assert (check.what, check.ok) == ("credentials", False)
        return check.advice

    def with_credentials(self, **credentials: str) -> Account:
        options = GcpOptions.model_validate({"project": "acme-web"}).model_dump()
        return Account("acme", "web", "gcp", options=options, credentials=credentials)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        account = self.with_credentials(service_account_file=f"file:{tmp_path}/none.json")
        assert "is not there" in self.check(account)

    @pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"type": "service_account"}'])
    @pytest.mark.parametrize("key", ["service_account_file", "workload_identity_file"])
    def test_a_file_that_is_none(self, tmp_path: Path, key: str, text: str) -> None:
        path = tmp_path / "key.json"
        path.write_text(text)
        advice = self.check(self.with_credentials(**{key: f"file:{path}"}))
        assert advice == "acme/web: the credentials cannot be used"

    def test_a_key_nobody_knows(self) -> None:
        assert "unknown credentials: role_arn" in self.check(self.with_credentials(role_arn="a"))

    def test_no_default_credentials(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
        assert "cannot be used" in self.check(self.with_credentials())

    def test_a_refused_key_and_impersonation(self, tmp_path: Path) -> None:
        """A real key of nobody's, against a token endpoint that refuses it."""
        with TokenEndpoint() as endpoint:
            path = tmp_path / "key.json"
            path.write_text(json.dumps(service_account(endpoint.url)))
            for more in ({}, {"impersonate": "reader@acme-web.iam.gserviceaccount.com"}):
                account = self.with_credentials(service_account_file=f"file:{path}", **more)
                advice = self.check(account)
                assert "invalid_grant" in advice
                assert "clock" in advice
            assert endpoint.asked == 2

    def test_workload_identity_proves_itself_by_its_file(self, tmp_path: Path) -> None:
        with TokenEndpoint() as endpoint:
            (tmp_path / "subject").write_text("a subject's word")
            config = {
                "type": "external_account",
                "audience": "//iam.googleapis.com/projects/1/locations/global/pools/a/providers/b",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": endpoint.url,
                "credential_source": {"file": str(tmp_path / "subject")},
            }
            path = tmp_path / "config.json"
            path.write_text(json.dumps(config))
            account = self.with_credentials(workload_identity_file=f"file:{path}")
            assert "invalid_grant" in self.check(account)
            assert endpoint.asked == 1

    def test_a_check_names_each_missing_permission_and_its_role(self, fake: FakeGcp) -> None:
        fake.faults.deny = {"compute.disks", "monitoring.ListTimeSeries"}
        missing = {
            check.what: check.advice
            for check in provider_now().check(account_of(fake))
            if not check.ok
        }
        assert missing.keys() == {"monitoring.timeSeries.list", "compute.disks.list"}
        assert "roles/compute.viewer" in missing["compute.disks.list"]
        assert "roles/monitoring.viewer" in missing["monitoring.timeSeries.list"]
