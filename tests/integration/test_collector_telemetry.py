"""What Prometheus scrapes from the collector's API: it is the store's and the queue's word."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families
from support.api import Api
from support.collector import Clock, TestCollector

from data_collector.celery_app import QUEUE, app, waiting_tasks
from data_collector.main import create_app
from data_collector.runtime import build_runtime
from data_collector.storage.run_ledger import Outcome, RunLedger, new_run
from optiinfra.accounts import Account
from optiinfra.domain import DropReason, Kind, ScopeStatus
from optiinfra.errors import BrokerUnavailableError, ThrottledError
from optiinfra.settings import Settings
from optiinfra.testing.simulated import SimulatedProvider
from optiinfra_database import Store, connect

HOST = Account("local", "this-host", "host")
LABELS = {"customer_id": "local", "provider": "host", "account_id": "this-host"}


def outcome(
    scope: str,
    status: ScopeStatus,
    *,
    age: timedelta = timedelta(),
    until: datetime | None = None,
    completed_at: datetime | None = None,
) -> Outcome:
    finished_at = datetime.now(UTC) - age
    return Outcome(
        scope=scope,
        status=status,
        window_start=finished_at - timedelta(minutes=15),
        window_end=finished_at,
        collected_until=until,
        started_at=finished_at,
        finished_at=finished_at,
        rows=7,
        dropped={DropReason.DUPLICATE: 2},
        api_calls={"ListThings": 3, "GetThing": 1},
        throttles=1,
        price_usd=0.25,
        completed_at=completed_at,
    )


def record(store: Store, *outcomes: Outcome, kind: Kind = Kind.PERFORMANCE) -> None:
    ledger = RunLedger(store)
    run = new_run(HOST, kind, "test", None)
    ledger.record_run(run)
    for one in outcomes:
        ledger.record_outcome(run, one)


class Scrape:
    """One answer of `/metrics`, by name and labels."""

    def __init__(self, text: str) -> None:
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        """The sample's value, None where it is not there."""
        return self._samples.get((name, frozenset(labels.items())))


def scrape(store: Store, settings: Settings) -> Scrape:
    return Scrape(Api(create_app(build_runtime(settings, store))).get("/metrics").text)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(accounts=tmp_path / "none.yaml")


def test_what_any_worker_did_adds_up(store, settings):
    record(store, outcome("host/a", ScopeStatus.OK), outcome("host/b", ScopeStatus.DENIED))
    record(store, outcome("host/a", ScopeStatus.OK))
    found = scrape(store, settings)
    of = {**LABELS, "kind": "performance"}
    assert found.value("optiinfra_provider_api_calls_total", operation="ListThings", **of) == 9
    assert found.value("optiinfra_provider_api_calls_total", operation="GetThing", **of) == 3
    assert found.value("optiinfra_provider_api_throttles_total", **of) == 3
    assert found.value("optiinfra_provider_api_price_usd_total", **of) == 0.75
    assert found.value("optiinfra_rows_written_total", **of) == 21
    assert found.value("optiinfra_values_dropped_total", reason="duplicate", **of) == 6
    assert found.value("optiinfra_scope_outcomes_total", status="ok", **of) == 2
    assert found.value("optiinfra_scope_outcomes_total", status="denied", **of) == 1


def test_counters_start_anew_with_the_month(store, settings):
    record(store, outcome("host/a", ScopeStatus.OK, age=timedelta(days=32)))
    found = scrape(store, settings)
    assert found.value("optiinfra_rows_written_total", **LABELS, kind="performance") is None


def test_an_account_is_as_fresh_as_its_scope_furthest_behind(store, settings):
    now = datetime.now(UTC)
    record(
        store,
        outcome("host/a", ScopeStatus.OK, until=now, completed_at=now),
        outcome("host/b", ScopeStatus.THROTTLED, until=now - timedelta(hours=3)),
        outcome("host/never", ScopeStatus.DENIED),
        # Long out of the configuration.
        outcome("host/gone", ScopeStatus.OK, age=timedelta(days=2), until=now - timedelta(days=2)),
    )
    found = scrape(store, settings)
    of = {**LABELS, "kind": "performance"}
    assert found.value("optiinfra_freshness_seconds", **of) == pytest.approx(3 * 3600, abs=60)
    assert found.value("optiinfra_backlog_seconds", **of) == pytest.approx(3 * 3600, abs=120)
    assert found.value("optiinfra_last_success_timestamp_seconds", **of) == pytest.approx(
        now.timestamp(), abs=1
    )
    for status in ("ok", "throttled", "denied"):
        assert found.value("optiinfra_scopes", status=status, **of) == 1


def test_an_account_that_never_succeeded_is_there_to_be_noticed(store, settings):
    found = scrape(store, settings)
    for kind in ("performance", "resources"):
        last = found.value("optiinfra_last_success_timestamp_seconds", **LABELS, kind=kind)
        assert last == 0
        assert found.value("optiinfra_freshness_seconds", **LABELS, kind=kind) is None
    assert found.value("optiinfra_store_up") == 1


def test_a_store_that_is_away_is_told_and_breaks_no_scrape(settings):
    away = connect("clickhouse://127.0.0.1:9/nothing", create_database=False)
    found = scrape(away, settings)
    assert found.value("optiinfra_store_up") == 0
    assert found.value("optiinfra_broker_up") == 1


def test_a_throttled_answer_is_counted_although_the_next_one_was_good(store):
    class Throttling(SimulatedProvider):
        def list_resources(self, account, scope):
            with pytest.raises(ThrottledError), account.calls.made("ListThings"):
                raise ThrottledError("slow down")
            yield from super().list_resources(account, scope)

    account = Account("acme", "prod", "simulated", options={"scopes": 1})
    collector = TestCollector(store, Throttling(), account, Clock(datetime.now(UTC)))
    (listed,) = collector.collect(Kind.RESOURCES)
    assert listed.status is ScopeStatus.OK
    rows = store.query("SELECT throttles, api_calls['ListThings'] FROM collection_outcomes")
    assert [tuple(row) for row in rows] == [(1, 1)]


def test_the_queue_is_as_deep_as_what_nobody_took(redis_url, monkeypatch):
    monkeypatch.setitem(app.conf, "broker_url", redis_url)
    with redis.Redis.from_url(redis_url) as server:
        server.flushall()
        assert waiting_tasks() == 0, "a queue that was never used"
        server.lpush(QUEUE, "one", "two")
        assert waiting_tasks() == 2
        server.flushall()


def test_a_broker_that_is_away_has_no_depth(monkeypatch):
    monkeypatch.setitem(app.conf, "broker_url", "redis://127.0.0.1:9/0")
    monkeypatch.setitem(app.conf, "broker_transport_options", {"max_retries": 0})
    with pytest.raises(BrokerUnavailableError):
        waiting_tasks()
