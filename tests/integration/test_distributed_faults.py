"""Faults that only processes have, each to the end where the store is as the provider says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import redis
from support.cluster import (
    Cluster,
    assert_every_point_is_there_once,
    running_cluster,
    until,
)

from optiinfra_database import Store, connect

pytestmark = pytest.mark.thorough

#: An account of each kind of poison; what eats all memory is killed by the kernel as here.
POISON = """
    import os
    import signal
    import sys
    import threading
    from dataclasses import dataclass, replace

    from optiinfra.testing.simulated import SimulatedOptions, SimulatedProvider

    class Options(SimulatedOptions):
        poison: str

    def plain(account):
        options = {name: value for name, value in account.options.items() if name != "poison"}
        return replace(account, options=options)

    @dataclass
    class Poison(SimulatedProvider):
        def scopes(self, account, kind):
            return super().scopes(plain(account), kind)

        def collect_performance(self, account, scope, window):
            poison = account.options["poison"] if scope.name.endswith("part-0") else ""
            if poison == "raises":
                raise ZeroDivisionError
            if poison == "exits":
                sys.exit(1)
            if poison == "garbage":
                yield "no series at all"
            if poison == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            if poison == "hangs":
                threading.Event().wait()
            yield from super().collect_performance(plain(account), scope, window)

    provider = Poison(name="poison", options=Options)
"""
POISONS = ("raises", "exits", "garbage", "dies", "hangs")  # the last one does not end
ACCOUNTS = """
customers:
  acme:
    accounts:
      - {id: emptied, provider: gated, scopes: 1}
      - {id: upgraded, provider: gated, scopes: 1}
      - {id: ticked, provider: gated, scopes: 1}
      - {id: beside-poison, provider: gated, scopes: 1}
  mallory:
    accounts:
      - {id: raises, provider: poison, scopes: 2, poison: raises}
      - {id: exits, provider: poison, scopes: 2, poison: exits}
      - {id: garbage, provider: poison, scopes: 2, poison: garbage}
      - {id: dies, provider: poison, scopes: 2, poison: dies}
      - {id: hangs, provider: poison, scopes: 2, poison: hangs}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory, ACCOUNTS, poison=POISON) as running:
        yield running


@pytest.fixture(scope="module")
def store(cluster: Cluster) -> Iterator[Store]:
    opened = connect(cluster.store.url)
    yield opened
    opened.close()


def test_a_broker_that_is_emptied_loses_a_run_and_no_point(cluster, store):
    cluster.gate.shut()
    with cluster.worker("threads"):
        begun = cluster.started("emptied")
        cluster.gate.waiting("emptied")
        redis.Redis.from_url(cluster.broker.url).flushall()
        following = cluster.started("emptied")
        assert following != begun
        cluster.gate.open()
        assert cluster.ended(following)["status"] == "succeeded"
    assert cluster.run(begun)["error"] == "ended before it was finished"
    assert_every_point_is_there_once(store, "emptied")


def test_a_migration_while_everything_runs_stops_nothing(cluster, store):
    """Processes of the version before go on, and start again, beside those of the next one."""
    with cluster.worker("prefork"):
        assert cluster.ended(cluster.started("upgraded"))["status"] == "succeeded"
        tables = store.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() "
            "AND engine LIKE '%MergeTree' AND name != 'schema_migrations'"
        )
        for (table,) in tables:
            store.command(f"ALTER TABLE {table} ADD COLUMN of_the_next_version String")
        store.command(
            "INSERT INTO schema_migrations VALUES (9999, 'next', '', 'applied', now64(3))"
        )
        for kind in ("performance", "resources"):
            assert cluster.ended(cluster.started("upgraded", kind))["status"] == "succeeded"
    with cluster.worker("prefork"), cluster.services():
        assert cluster.ended(cluster.started("upgraded"))["status"] == "succeeded"
        for agent in ("performance_agent", "another_performance_agent"):
            assert cluster.read(agent, "/health/ready").status_code == 200
            latest = cluster.read(agent, "/api/v2/performance/acme/gated/latest").json()["data"]
            assert "upgraded" in {row["account_id"] for row in latest}
    assert_every_point_is_there_once(store, "upgraded")


def test_two_beats_and_two_workers_start_each_run_of_a_tick_once(cluster, store):
    with (
        cluster.worker("prefork"),
        cluster.worker("prefork"),
        cluster.beat(),
        cluster.beat(),
    ):

        def ended() -> list[str]:
            runs = cluster.read(
                "data_collector", "/api/v2/collections", customer_id="acme", kind="performance"
            ).json()["data"]
            scheduled = [run for run in runs if run["trigger"] == "schedule"]
            closed = all(run["finished_at"] for run in scheduled)
            return [run["account_id"] for run in scheduled] if closed else []

        expected = {"emptied", "upgraded", "ticked", "beside-poison"}
        found = until(lambda: accounts if expected <= set(accounts := ended()) else None)
        assert Counter(found) == dict.fromkeys(expected, 1)
    assert_every_point_is_there_once(store, "ticked")


def test_poisoned_accounts_leave_the_others_alone(cluster, store):
    with cluster.worker("prefork", concurrency=3):
        poisoned = {one: cluster.started(one) for one in POISONS}
        sound = cluster.started("beside-poison")
        assert cluster.ended(sound)["status"] == "succeeded"
        # The hanging one is left after minutes, which no test waits for.
        ended = {one: cluster.ended(poisoned[one]) for one in POISONS[:-1]}
    assert_every_point_is_there_once(store, "beside-poison")
    errors = {}
    for one, run in ended.items():
        assert run["status"] == "partial", run
        bad, good = sorted(run["scopes"], key=lambda scope: scope["scope"])
        assert (bad["status"], good["status"]) == ("failed", "ok"), run
        errors[one] = bad["error"]
    fault = "unexpected fault in the provider; see the log"
    assert errors == {
        "raises": fault,
        "exits": fault,
        "garbage": fault,
        "dies": "not begun again: 3 workers died over it",
    }
