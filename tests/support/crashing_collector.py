"""A collector process to be killed: checks what the one before it left, then goes on.

    python -m support.crashing_collector <store directory> <acknowledged time, epoch seconds>

It prints `checked` when everything acknowledged is in the store and nothing twice, then
`ack <time>` after each cycle whose outcomes are all in the ledger. Any other end is a
failure that its traceback tells.
"""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

from support.collector import RETENTION, Clock, TestCollector, points_of

from data_collector.storage.rollups import Rollups
from optiinfra.accounts import Account
from optiinfra.domain import Kind, Resource, Window, floor_time
from optiinfra.logging import configure_logging
from optiinfra.testing.simulated import TIMING, SimulatedProvider
from optiinfra_database import connect, migrate

CYCLE = timedelta(minutes=15)
ACCOUNT = Account("acme", "prod", "simulated", options={"seed": 7, "resources": 12, "scopes": 2})
BEGAN = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=6)


def check(collector: TestCollector, provider: SimulatedProvider, acknowledged: datetime) -> None:
    """Everything acknowledged is there; what a cut-off cycle added is right as well."""
    window = Window(
        floor_time(BEGAN + CYCLE - timedelta(days=1), TIMING.period),
        floor_time(acknowledged + CYCLE - TIMING.delay, TIMING.period),
    )
    promised = points_of(provider.truth(ACCOUNT, window, acknowledged))
    promised = {key: v for key, v in promised.items() if key[2] < _published(acknowledged)}
    possible = points_of(provider.truth(ACCOUNT, window, acknowledged + CYCLE))
    stored = collector.stored_points()
    lost = promised.keys() - stored.keys()
    assert not lost, f"{len(lost)} acknowledged points are lost, as {sorted(lost)[:3]}"
    wrong = {
        key for key, value in stored.items() if value not in (promised.get(key), possible.get(key))
    }
    assert not wrong, f"{len(wrong)} points are wrong, as {sorted(wrong)[:3]}"


def check_inventory(collector: TestCollector, provider: SimulatedProvider) -> None:
    """After a complete listing the inventory is that listing, and the log leads to it."""
    listed = {
        resource.resource_id
        for scope in provider.scopes(ACCOUNT, Kind.RESOURCES)
        for resource in provider.list_resources(ACCOUNT, scope)
        if isinstance(resource, Resource)
    }
    current = collector.store.query(
        "SELECT resource_id FROM resources_latest FINAL WHERE deleted_at = 0"
    )
    assert {resource_id for (resource_id,) in current} == listed
    balance: Counter[str] = Counter()
    for resource_id, change in collector.store.query(
        "SELECT resource_id, change FROM resource_changes FINAL "
        "WHERE change IN ('created', 'deleted') ORDER BY timestamp"
    ):
        balance[resource_id] += 1 if change == "created" else -1
        assert balance[resource_id] in (0, 1), f"{resource_id}: {change} twice"
    assert {resource_id for resource_id, alive in balance.items() if alive} == listed


def _published(at: datetime) -> int:
    return int(floor_time(at - TIMING.delay, TIMING.period).timestamp())


def main(directory: str, acknowledged: datetime) -> None:
    configure_logging("console", level="ERROR")
    store = connect(f"chdb://{directory}")
    migrate(store)
    clock = Clock(acknowledged)
    provider = SimulatedProvider(clock=clock)
    collector = TestCollector(store, provider, ACCOUNT, clock)
    rollups = Rollups(store, retention=RETENTION)
    if acknowledged > BEGAN:
        check(collector, provider, acknowledged)
    marks = {
        scope.name: collector.watermark(scope.name)
        for scope in provider.scopes(ACCOUNT, Kind.PERFORMANCE)
    }
    print("checked", flush=True)
    while clock.now < datetime.now(UTC) - timedelta(hours=1):
        clock.forward(CYCLE)
        for outcome in collector.collect(Kind.PERFORMANCE):
            mark = marks.pop(outcome.scope, None)
            assert mark is None or outcome.window_start <= mark, "a hole behind the watermark"
        collector.collect(Kind.RESOURCES)
        check_inventory(collector, provider)
        rollups.refresh(clock.now)
        print(f"ack {int(clock.now.timestamp())}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], datetime.fromtimestamp(int(sys.argv[2]), UTC))
