"""The provider `vultr` on a fake: what it asks for, how often, and what it makes of refusals."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import stamina
from fakes.vultr import KEY, FakeVultr, Faults
from pydantic import ValidationError

from data_collector.collectors.vultr import VultrProvider, exporter, session
from data_collector.collectors.vultr.exporter import Exporters
from data_collector.collectors.vultr.memory import Memory, concurrently
from data_collector.collectors.vultr.options import NodeExporterOptions, VultrOptions
from data_collector.collectors.vultr.performance import Target
from data_collector.coordination.memory import MemoryBudgets
from optiinfra.accounts import Account
from optiinfra.calls import Calls
from optiinfra.catalog import ResourceStatus, ResourceType
from optiinfra.domain import Gap, GapReason, Kind, Resource, Scope, Series, Window, floor_time
from optiinfra.errors import (
    ContractError,
    CredentialError,
    DeniedError,
    OptiInfraError,
    ThrottledError,
    TransientError,
    UnsupportedError,
)

PERIOD = timedelta(minutes=5)
DAY = timedelta(days=1)
NOON = datetime(2026, 11, 20, 12, 2, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("VULTR_API_KEY", KEY)
    with stamina.set_testing(True, attempts=6, cap=True):
        yield


class Clock:
    """Says what it was set to."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def window(self) -> Window:
        start = floor_time(self.now, PERIOD)
        return Window(start, start + PERIOD)


def account(url: str, **options: object) -> Account:
    return Account(
        "acme",
        "edge",
        "vultr",
        options=VultrOptions.model_validate(options).model_dump(),
        credentials={"api_key": "env:VULTR_API_KEY"},
        endpoints={"default": url},
    )


def provider(clock: Clock, workers: int = 4) -> VultrProvider:
    exporters = Exporters(pause=lambda _: None, monotonic=_Ticks())
    return VultrProvider(clock=clock, exporters=exporters, workers=workers)


class _Ticks:
    """A monotonic clock on which a minute goes by with every look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 60
        return self.now


def collect(
    of: VultrProvider, whose: Account, clock: Clock, *services: str
) -> tuple[list[Series | Gap], Counter[str]]:
    """What a cycle gives, and the calls that it made."""
    counted = replace(whose, calls=Calls())
    answers: list[Series | Gap] = []
    for scope in of.scopes(counted, Kind.PERFORMANCE):
        if not services or scope.attributes["service"] in services:
            answers += of.collect_performance(counted, scope, clock.window())
    return answers, Counter(counted.calls.counts())


def listing(of: VultrProvider, whose: Account, service: str = "instances") -> list[Resource]:
    scope = Scope(f"vultr/edge/{service}", {"service": service})
    return [item for item in of.list_resources(whose, scope) if isinstance(item, Resource)]


def gaps(answers: list[Series | Gap], reason: GapReason) -> list[Gap]:
    return [answer for answer in answers if isinstance(answer, Gap) and answer.reason is reason]


# -- calls


def test_a_thousand_instances_take_the_fewest_calls_that_the_api_allows() -> None:
    """Two pages, and bandwidth once a day per instance, which has no batch."""
    clock = Clock()
    with FakeVultr(instances=1000, bare_metals=20, databases=30, clock=clock) as fake:
        of, whose = provider(clock), account(fake.url)
        _, first = collect(of, whose, clock)
        assert first == {
            "list_instances": 2,
            "list_bare_metals": 1,
            "list_databases": 1,
            "list_load_balancers": 1,
            "list_kubernetes": 1,
            "list_plans": 2,
            "get_bandwidth": 1020,
            "get_database_usage": 30,
        }
        clock.now += timedelta(minutes=15)
        _, usual = collect(of, whose, clock)
        assert usual.total() == 2 + 1 + 1 + 1 + 1 + 30
        clock.now += DAY
        _, next_day = collect(of, whose, clock)
        assert next_day["get_bandwidth"] == 1020
        assert sum(fake.requests.values()) == (first + usual + next_day).total()
    assert of.price(first) == 0.0


def test_a_listing_made_for_the_inventory_serves_the_metrics_of_its_bucket() -> None:
    clock = Clock()
    with FakeVultr(clock=clock) as fake:
        of, whose = provider(clock), account(fake.url)
        assert len(listing(of, whose)) == 3
        collect(of, whose, clock, "instances")
        assert fake.requests["/v2/instances"] == 1
        clock.now += PERIOD
        collect(of, whose, clock, "instances")
        assert fake.requests["/v2/instances"] == 2
        listing(of, whose)
        assert fake.requests["/v2/instances"] == 2, "no run for the inventory has had it"
        listing(of, whose)
        assert fake.requests["/v2/instances"] == 3, "who asks again wants to know what changed"


@pytest.mark.parametrize("first", [Kind.PERFORMANCE, Kind.RESOURCES])
def test_a_cycle_takes_the_fewest_calls_whichever_kind_comes_first(first: Kind) -> None:
    """Of a thousand instances, thirty databases and one page of everything else."""
    clock = Clock()
    with FakeVultr(instances=1000, databases=30, clock=clock) as fake:
        of, whose = provider(clock), account(fake.url)
        for _ in range(2):  # the first cycle asks for plans and bandwidth too, which last a day
            fake.requests.clear()
            for kind in sorted(of.kinds, key=lambda kind: kind is not first):
                if kind is Kind.PERFORMANCE:
                    collect(of, whose, clock)
                else:
                    for scope in of.scopes(whose, kind):
                        listing(of, whose, scope.attributes["service"])
            clock.now += timedelta(minutes=15)
    assert fake.requests.total() == 2 + 6 + 30


def test_plans_are_asked_for_once_a_day() -> None:
    clock = Clock()
    with FakeVultr(clock=clock) as fake:
        of, whose = provider(clock), account(fake.url)
        first = listing(of, whose, "kubernetes")
        clock.now += timedelta(hours=23)
        assert listing(of, whose, "kubernetes") == first
        assert fake.requests["/v2/plans"] == 1
        clock.now += timedelta(hours=2)
        fake.faults.wrong_shape = set()
        listing(of, whose, "kubernetes")
        assert fake.requests["/v2/plans"] == 2


def test_bandwidth_that_failed_is_asked_for_again_in_the_next_cycle() -> None:
    clock = Clock()
    with FakeVultr(clock=clock, bare_metals=0) as fake:
        of, whose = provider(clock), account(fake.url)
        listing(of, whose)
        fake.faults.down = True
        answers, _ = collect(of, whose, clock, "instances")
        assert len(gaps(answers, GapReason.FAILED)) == 6
        fake.faults.down = False
        clock.now += timedelta(minutes=15)
        answers, calls = collect(of, whose, clock, "instances")
        assert calls["get_bandwidth"] == 3
        assert not gaps(answers, GapReason.FAILED)


def test_bandwidth_that_is_denied_is_not_asked_for_all_day() -> None:
    clock = Clock()
    with FakeVultr(clock=clock) as fake:
        of, whose = provider(clock), account(fake.url)
        listing(of, whose)
        fake.faults.deny = {"instances"}
        answers, _ = collect(of, whose, clock, "instances")
        assert {gap.metric_name for gap in gaps(answers, GapReason.DENIED)} == {
            "network_in_bytes_per_sec",
            "network_out_bytes_per_sec",
        }
        fake.faults.deny = set()
        clock.now += timedelta(minutes=15)
        _, calls = collect(of, whose, clock, "instances")
        assert calls["get_bandwidth"] == 0


def test_an_instance_that_went_after_it_was_listed_is_a_gap() -> None:
    clock = Clock()
    with FakeVultr(clock=clock) as fake:
        of, whose = provider(clock), account(fake.url)
        listing(of, whose)
        gone = fake.lists["instances"].pop()
        answers, _ = collect(of, whose, clock, "instances")
    assert {gap.resource_id for gap in gaps(answers, GapReason.NOT_COLLECTED)} == {gone["id"]}
    assert len({a.resource_id for a in answers if isinstance(a, Series)}) == 3


def test_what_time_does_not_suffice_for_is_left_to_the_next_cycle() -> None:
    clock = Clock()
    with FakeVultr(instances=40, clock=clock) as fake:
        of, whose = provider(clock), account(fake.url)
        of.monotonic = _Ticks()  # eight minutes are over after eight requests
        answers, calls = collect(of, whose, clock, "instances")
        left = gaps(answers, GapReason.NOT_COLLECTED)
        assert 0 < calls["get_bandwidth"] < 40
        assert f"{40 - calls['get_bandwidth']} of 40" in left[0].detail
        clock.now += timedelta(minutes=15)
        _, more = collect(of, whose, clock, "instances")
    assert more["get_bandwidth"] > 0
    assert max(count for path, count in fake.requests.items() if "bandwidth" in path) == 1


def test_the_pace_is_that_of_the_source_address_and_shared_by_all_accounts() -> None:
    class Limiter(MemoryBudgets):
        def __init__(self) -> None:
            super().__init__()
            self.names: Counter[str] = Counter()

        def wait(self, limit: Any) -> None:
            self.names[limit.name] += 1
            assert limit.per_second == 30
            super().wait(limit)

    clock, limiter = Clock(), Limiter()
    with FakeVultr(instances=30, clock=clock, faults=Faults(rate=31)) as fake:
        for name in ("one", "two"):
            of = provider(clock)
            whose = replace(account(fake.url), account_id=name, calls=Calls(limiter))
            for scope in of.scopes(whose, Kind.PERFORMANCE):
                assert not gaps(
                    list(of.collect_performance(whose, scope, clock.window())),
                    GapReason.THROTTLED,
                )
    assert set(limiter.names) == {"vultr/source-address"}
    assert sum(fake.requests.values()) <= limiter.names.total()


# -- paging


@pytest.mark.parametrize("per_page", [1, 2, 3, 7, 500])
def test_every_page_size_gives_the_same_listing(per_page: int) -> None:
    clock = Clock()
    with FakeVultr(instances=7, clock=clock) as fake:
        found = listing(provider(clock), account(fake.url, per_page=per_page))
        assert [r.resource_id for r in found] == [one["id"] for one in fake.lists["instances"]]
        assert fake.requests["/v2/instances"] == -(-7 // per_page)


@pytest.mark.parametrize(
    ("faults", "error", "words"),
    [
        (Faults(half_page={"instances"}), TransientError, "listed 1 of 3"),
        (Faults(circle={"instances"}), ContractError, "circle"),
        (Faults(wrong_shape={"instances"}), ContractError, "no list instances"),
        (Faults(html={"instances"}), ContractError, "other than JSON"),
        (Faults(deny={"instances"}), DeniedError, "403"),
        (Faults(throttle_rate=1.0), ThrottledError, "fewer requests"),
        (Faults(drop_rate=1.0), TransientError, "does not answer"),
        (Faults(cut_rate=1.0), TransientError, "does not answer"),
        (Faults(down=True), TransientError, "does not answer"),
    ],
)
def test_a_listing_that_is_not_whole_raises(
    faults: Faults, error: type[OptiInfraError], words: str
) -> None:
    clock = Clock()
    with FakeVultr(clock=clock, faults=faults) as fake, pytest.raises(error, match=words):
        listing(provider(clock), account(fake.url, per_page=2))


def test_a_listing_that_changes_between_its_pages_raises() -> None:
    clock = Clock()
    with FakeVultr(instances=4, clock=clock) as fake:

        class Changing(Calls):
            """What was third is on the first page by the time that the second one is asked for."""

            @contextmanager
            def made(self, operation: str, **_: Any) -> Iterator[None]:
                yield
                fake.lists["instances"].pop(0)

        whose = replace(account(fake.url, per_page=2), calls=Changing())
        with pytest.raises(TransientError, match="changed while"):
            listing(provider(clock), whose)


class Script:
    """Serves the same bytes to everybody."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                self.send_response_only(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Nobody reads it."""

        self.asked = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v2"

    def __enter__(self) -> Script:
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "headers", "error"),
    [
        (200, b'{"instances": [{"id": "a"', {}, TransientError),
        (200, b"", {}, TransientError),
        (200, b"[1, 2]", {}, ContractError),
        (200, b"[" * 100_000, {}, ContractError),
        (200, b'{"instances": [7]}', {}, ContractError),
        (200, b'{"instances": [{"label": "no id"}]}', {}, ContractError),
        (200, b'{"instances": null}', {}, ContractError),
        (200, b"\xff\xfe", {}, ContractError),
        (302, b"", {"Location": "http://169.254.169.254/"}, ContractError),
        (400, b'{"error": "secret detail"}', {}, ContractError),
        (404, b"{}", {}, UnsupportedError),
        (500, b"<html>secret detail</html>", {}, TransientError),
        (503, b"", {"Retry-After": "5"}, TransientError),
    ],
)
def test_bad_answers_are_named_and_their_bodies_never_shown(
    status: int, body: bytes, headers: dict[str, str], error: type[OptiInfraError]
) -> None:
    with Script(status, body, headers) as script, pytest.raises(error) as caught:
        listing(provider(Clock()), account(script.url))
    assert type(caught.value) is error
    assert "secret" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_an_empty_account_may_write_null() -> None:
    with Script(200, b'{"instances": null, "meta": {"total": 0}}') as script:
        assert listing(provider(Clock()), account(script.url)) == []


def test_numbers_beyond_json_are_not_known() -> None:
    body = b'{"instances": [{"id": "a", "ram": NaN, "disk": 1e999, "hostname": -Infinity}]}'
    with Script(200, body) as script:
        [resource] = listing(provider(Clock()), account(script.url))
    assert resource.metadata == {}


def test_nobody_waits_for_a_long_retry_after() -> None:
    with Script(429, b"{}", {"Retry-After": "3600"}) as script:
        with pytest.raises(ThrottledError) as caught:
            listing(provider(Clock()), account(script.url))
        assert script.asked == 1
    assert caught.value.retry_after == timedelta(hours=1)


# -- credentials, endpoints, clocks


@pytest.mark.parametrize("key", ["not-the-key", "", "two\nlines", "ключ"])
def test_a_bad_key_is_a_credential_error(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VULTR_API_KEY", key)
    with FakeVultr() as fake, pytest.raises(CredentialError) as caught:
        listing(provider(Clock()), account(fake.url))
    assert not key or key not in str(caught.value)


def test_anonymous_is_for_loopback_and_sends_no_key() -> None:
    anonymous = replace(account("http://127.0.0.1:9/v2"), credentials={"anonymous": True})
    with Script(200, b'{"instances": []}') as script:
        here = replace(anonymous, endpoints={"default": script.url})
        assert listing(provider(Clock()), here) == []
    with pytest.raises(CredentialError):
        listing(provider(Clock()), replace(anonymous, endpoints={}))


@pytest.mark.parametrize(
    ("endpoints", "url"),
    [
        ({}, "https://api.vultr.com/v2"),
        ({"default": "http://127.0.0.1:5555"}, "http://127.0.0.1:5555/v2"),
        ({"default": "http://127.0.0.1:5555/v2/"}, "http://127.0.0.1:5555/v2"),
        ({"default": "https://proxy.example/vultr/v2"}, "https://proxy.example/vultr/v2"),
    ],
)
def test_the_endpoint_stands_in_for_the_api(endpoints: dict[str, str], url: str) -> None:
    assert session.endpoint(Account("acme", "edge", "vultr", endpoints=endpoints)) == url


def test_accounts_share_no_client_and_a_bounded_number_is_kept() -> None:
    clients = session.Clients(capacity=2)
    accounts = [Account("acme", f"a{number}", "vultr") for number in range(3)]
    first, second, third = (clients.of(one) for one in accounts)
    assert len({id(first), id(second), id(third)}) == 3
    assert clients.of(accounts[2]) is third
    assert clients.of(accounts[0]) is not first


def test_a_clock_that_is_off_is_told_and_nothing_is_stamped_by_it() -> None:
    clock = Clock()
    with FakeVultr(clock=clock, faults=Faults(skew=timedelta(hours=1))) as fake:
        of = provider(clock)
        assert len(listing(of, account(fake.url))) == 3
        with pytest.raises(ContractError, match="clock is -3600 s off"):
            collect(of, account(fake.url), clock, "instances")
        checks = {check.what: check for check in provider(clock).check(account(fake.url))}
        assert not checks["clock"].ok
        assert checks["list instances"].ok


def test_a_window_of_the_past_cannot_be_read() -> None:
    clock = Clock()
    scope = Scope("vultr/edge/instances", {"service": "instances"})
    past = Window(NOON - DAY, NOON - DAY + PERIOD)
    [gap] = provider(clock).collect_performance(account("http://127.0.0.1:9"), scope, past)
    assert isinstance(gap, Gap)
    assert gap.reason is GapReason.UNSUPPORTED


def test_a_check_names_what_is_missing() -> None:
    clock = Clock()
    with FakeVultr(clock=clock, faults=Faults(deny={"vke_clusters"})) as fake:
        exporting = {"port": fake.exporter_port, "tags": ["exporter"]}
        found = list(provider(clock).check(account(fake.url, node_exporter=exporting)))
    bad = {check.what: check.advice for check in found if not check.ok}
    assert set(bad) == {"list kubernetes", f"read node_exporter on port {fake.exporter_port}"}
    assert "permission" in bad["list kubernetes"]


def test_a_check_with_a_wrong_key_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VULTR_API_KEY", "wrong")
    with FakeVultr() as fake:
        [check] = provider(Clock()).check(account(fake.url))
    assert not check.ok
    assert "401" in check.advice


# -- exporters


def target(**fields: object) -> Target:
    base = Target(
        native_id="i",
        resource_id="i",
        name="web",
        type=ResourceType.COMPUTE_INSTANCE,
        status=ResourceStatus.RUNNING,
        native_status="active/running",
        created=None,
    )
    return replace(base, **fields)  # type: ignore[arg-type]


MAIN = NodeExporterOptions()
INTERNAL = NodeExporterOptions(address="internal_ip")


@pytest.mark.parametrize(
    ("address", "options", "loopback"),
    [
        ("127.0.0.1", MAIN, False),
        ("127.8.0.1", MAIN, False),
        ("::1", MAIN, False),
        ("::ffff:127.0.0.1", MAIN, True),
        ("::ffff:169.254.169.254", MAIN, True),
        ("2002:7f00:1::", MAIN, False),
        ("64:ff9b::a9fe:a9fe", MAIN, True),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", MAIN, False),
        ("2001:db8::1", MAIN, False),
        ("ff0e::1", MAIN, False),
        ("169.254.169.254", MAIN, False),
        ("169.254.169.254", MAIN, True),
        ("169.254.169.254", INTERNAL, True),
        ("fe80::1", MAIN, True),
        ("fd00:ec2::254", INTERNAL, True),
        ("100.100.100.200", MAIN, True),
        ("100.100.100.200", INTERNAL, True),
        ("10.0.0.5", MAIN, True),
        ("192.168.1.1", MAIN, False),
        ("224.0.0.1", MAIN, True),
        ("255.255.255.255", INTERNAL, True),
        ("8.8.8.8", INTERNAL, True),
        ("127.0.0.1", INTERNAL, False),
        ("metadata.google.internal", MAIN, True),
        ("8.8.8.8@127.0.0.1", MAIN, True),
        ("8.8.8.8:80/x?", MAIN, True),
        ("2130706433", MAIN, True),
        ("0x7f.1", MAIN, True),
        ("127.1", MAIN, False),
    ],
)
def test_an_inventory_cannot_point_at_what_is_no_instance(
    address: str, options: NodeExporterOptions, loopback: bool
) -> None:
    own = target(main_ip=address, internal_ip=address)
    with pytest.raises(DeniedError):
        exporter.url(own, options, loopback=loopback)


@pytest.mark.parametrize(
    ("address", "options", "loopback", "url"),
    [
        ("45.76.36.72", MAIN, False, "http://45.76.36.72:9100/metrics"),
        ("2a05:f480::7", MAIN, False, "http://[2a05:f480::7]:9100/metrics"),
        ("10.1.96.3", INTERNAL, False, "http://10.1.96.3:9100/metrics"),
        ("127.1.0.2", MAIN, True, "http://127.1.0.2:9100/metrics"),
        ("127.1.0.2", INTERNAL, True, "http://127.1.0.2:9100/metrics"),
    ],
)
def test_an_instance_is_asked_at_its_own_address(
    address: str, options: NodeExporterOptions, loopback: bool, url: str
) -> None:
    own = target(main_ip=address, internal_ip=address)
    assert exporter.url(own, options, loopback=loopback) == url


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::"])
def test_an_instance_without_an_address_has_no_agent(address: str) -> None:
    with pytest.raises(UnsupportedError):
        exporter.url(target(main_ip=address), MAIN, loopback=False)


def test_a_refused_address_is_a_gap_and_is_never_connected_to() -> None:
    clock = Clock()
    with FakeVultr(instances=2, exporters=2, clock=clock) as fake:
        bad = fake.lists["instances"][0]
        bad["main_ip"] = "169.254.169.254"
        of = provider(clock)
        whose = account(fake.url, node_exporter={"port": fake.exporter_port})
        answers, calls = collect(of, whose, clock, "instances")
    [gap] = gaps(answers, GapReason.DENIED)
    assert gap.resource_id == bad["id"]
    assert calls["scrape"] == 2, "the other instance's two"
    assert calls["get_bandwidth"] == 0


def test_an_exporter_that_redirects_is_not_followed() -> None:
    clock = Clock()
    with (
        Script(302, b"", {"Location": "http://127.0.0.1:1/"}) as script,
        FakeVultr(instances=1, exporters=1, clock=clock) as fake,
    ):
        fake.lists["instances"][0]["main_ip"] = "127.0.0.1"
        port = int(script.url.split(":")[2].split("/")[0])
        whose = account(fake.url, node_exporter={"port": port})
        answers, _ = collect(provider(clock), whose, clock, "instances")
    assert "redirects" in gaps(answers, GapReason.NO_AGENT)[0].detail
    assert script.asked == 1


def test_only_tagged_and_running_instances_are_asked_and_the_rest_has_bandwidth() -> None:
    clock = Clock()
    with FakeVultr(instances=4, exporters=2, bare_metals=0, clock=clock) as fake:
        fake.lists["instances"][1]["power_status"] = "stopped"
        exporting = {"port": fake.exporter_port, "tags": ["exporter"]}
        whose = account(fake.url, node_exporter=exporting, bandwidth_days=2)
        answers, calls = collect(provider(clock), whose, clock, "instances")
    assert calls["get_bandwidth"] == 2
    assert set(fake.scrapes) == {fake.lists["instances"][0]["id"]}
    assert len(gaps(answers, GapReason.STOPPED)) == 1
    daily = {
        answer.resource_id
        for answer in answers
        if isinstance(answer, Series) and answer.metadata.get("bucket_seconds")
    }
    assert daily == {one["id"] for one in fake.lists["instances"][2:]}
    missing = {gap.resource_id for gap in gaps(answers, GapReason.NO_AGENT)}
    assert missing == daily


def test_nothing_listens_where_an_exporter_should_be() -> None:
    clock = Clock()
    with FakeVultr(instances=3, exporters=3, clock=clock) as fake:
        whose = account(fake.url, node_exporter={"port": 1})
        answers, calls = collect(provider(clock), whose, clock, "instances")
    assert len(gaps(answers, GapReason.NO_AGENT)) == 3
    assert calls["scrape"] == 3, "one attempt each"
    assert len([answer for answer in answers if isinstance(answer, Series)]) == 3


# -- parts


def test_the_provider_loads_without_what_it_scrapes_with() -> None:
    code = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from data_collector.collectors.vultr import provider\n"
        "print(provider.name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "vultr"


def test_scopes_are_the_listings() -> None:
    names = [scope.name for scope in VultrProvider().scopes(account("http://x"), Kind.RESOURCES)]
    assert names == [
        f"vultr/edge/{service}"
        for service in (
            "instances",
            "bare_metals",
            "blocks",
            "databases",
            "load_balancers",
            "vpcs",
            "kubernetes",
        )
    ]
    assert VultrProvider().scopes(account("http://x"), Kind.COST) == []


@pytest.mark.parametrize(
    "options",
    [
        {"per_page": 501},
        {"bandwidth_days": 0},
        {"gigabyte_bytes": 1},
        {"node_exporter": {"port": 0}},
        {"node_exporter": {"address": "kvm"}},
        {"node_exporter": {"url": "http://x"}},
        {"region": "ewr"},
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VultrOptions.model_validate(options)


def test_a_memory_forgets_what_was_put_longest_ago() -> None:
    memory: Memory[str, int] = Memory(2)
    for number, key in enumerate("abac"):
        memory.put(key, number)
    assert [memory.get(key) for key in "abc"] == [2, None, 3]


def test_side_by_side_never_runs_ahead_of_who_takes_the_results() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = concurrently(lambda number: number, items(), workers=3)
    next(results)
    assert len(taken) <= 6
    results.close()  # type: ignore[attr-defined]
    assert len(taken) <= 6
    assert sorted(concurrently(lambda number: number, range(50), workers=3)) == list(range(50))
