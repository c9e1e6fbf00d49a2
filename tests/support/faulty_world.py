"""A fleet of workers among which everything fails, in one thread and from one seed.

Tasks, runs, pipeline, ledger, writers and store are the product's own. Three seams belong to
this module: what reaches the store, what reaches the broker, and who delivers messages. At
each call through one of them a worker may be killed, an answer may get lost, and anything
may happen first: time passes, other workers work, the store goes away.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import pyarrow as pa
from celery.app.task import Task
from kombu.exceptions import OperationalError
from support.collector import Clock, Points, points_of

from data_collector import runtime as runtime_module
from data_collector import tasks
from data_collector.celery_app import app
from data_collector.coordination.memory import MemoryCoordination
from data_collector.patience import Patience
from data_collector.runtime import Runtime, build_runtime, use_runtime
from optiinfra.accounts import Account
from optiinfra.domain import Kind, Resource, Scope, Window, floor_time
from optiinfra.errors import (
    BrokerUnavailableError,
    OptiInfraError,
    StoreUnavailableError,
    ThrottledError,
    TransientError,
)
from optiinfra.settings import Settings
from optiinfra.testing.simulated import TIMING, SimulatedProvider
from optiinfra_database import Store

T = TypeVar("T")

PROVIDER = "faulty"
INTERVAL = timedelta(minutes=15)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
WORKERS = 3
COLLECT_PERFORMANCE = tasks.collect_performance_data_task.name
COLLECT_RESOURCES = tasks.collect_resource_data_task.name

#: What the installed provider's module holds: the provider of whatever world is current.
SOURCE = "from support.faulty_world import provider"


class Killed(BaseException):
    """kill -9: nothing that this worker would do from here on has an effect."""


@dataclass
class Tally:
    """What a schedule did and what came of it."""

    schedules: int = 0
    points: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        self.schedules += other.schedules
        self.points += other.points
        self.acknowledged += other.acknowledged
        self.lost += other.lost
        self.doubled += other.doubled
        self.wrong += other.wrong
        self.faults += other.faults


@dataclass(frozen=True)
class Message:
    task: str
    arguments: str


@dataclass
class Worker:
    """A worker process: dead once killed, and while suspended its monotonic clock stands."""

    asleep: float = 0.0
    steps_to_live: int | None = None
    dead: bool = False
    busy: bool = False
    runtime: Runtime = field(init=False)


class World:
    """One customer's account, collected by a few workers over a store and a broker."""

    def __init__(self, store: Store, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.store = store
        # Midnight and so much of a day, that a schedule is the same at whatever time it is run.
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.clock = Clock(today - timedelta(days=6) + self.random.random() * 24 * HOUR)
        self.began = self.clock.now
        self.account = Account(
            f"customer-{seed}",
            "prod",
            PROVIDER,
            options={
                "seed": seed,
                "scopes": self.random.choice([1, 1, 1, 1, 2, 2, 5]),
                "resources": 2,
                "late_rate": self.random.choice([0.0, 0.1, 0.5]),
            },
        )
        accounts = folder / f"accounts-{seed}.yaml"
        described = {"id": "prod", "provider": PROVIDER, **self.account.options}
        accounts.write_text(
            json.dumps({"customers": {self.account.customer_id: {"accounts": [described]}}})
        )
        self.settings = Settings(accounts=accounts)
        self.coordination = MemoryCoordination(self._seconds)
        self.queue: list[Message] = []
        self.tally = Tally(schedules=1)
        # Listings cost as much time as points, and less can go wrong with them.
        self._lists = self.random.random() < 0.5
        self.calm = True
        self.store_is = "well"
        self.store_ahead = timedelta()
        self.broker_is_away = False
        self._depth = 0
        self._current: Worker | None = None
        provider.world = self
        self.workers = [self._worker() for _ in range(WORKERS)]

    def run(self) -> Tally:
        """A good beginning, faults, and an end in which nothing fails any more."""
        with (
            patch.object(Task, "apply_async", _published),
            patch.object(Patience, "items", _in_this_thread),
            self._running(),
        ):
            self.cycle()
            self.calm = False
            for _ in range(self.random.randint(2, 3)):
                self.random.choices(
                    [self._plain, self._store_fails, self._broker_fails, self._clock_jumps],
                    weights=[4, 3, 3, 1],
                )[0]()
            self.calm = True
            self._check_acknowledged()
            for _ in range(2):
                self.cycle()
            self._check_everything()
        return self.tally

    def cycle(self) -> None:
        """One interval: beat ticks, and the workers do what they find in the queue."""
        self.clock.forward(INTERVAL)
        self._tick()
        while self.queue:
            self._work()

    # What goes wrong

    def fault(self, name: str) -> None:
        self.tally.faults[name] += 1

    def _plain(self) -> None:
        """An interval with kills, lost answers, and messages twice and out of order."""
        if self.random.random() < 0.5:
            victim = self.random.choice(self.workers)
            victim.steps_to_live = self.random.randint(1, 60)
        self.cycle()

    def _store_fails(self) -> None:
        self.store_is = self.random.choice(["away", "slow", "read-only", "full"])
        self.fault(f"store {self.store_is}")
        for _ in range(self.random.choice([1, 1, 1, 4])):  # for up to an hour
            self.cycle()
        self.store_is = "well"

    def _broker_fails(self) -> None:
        """Gone for a while, and what it held with it; or emptied while everything runs."""
        if self.random.random() < 0.5:
            self._empty_broker()
        else:
            self.fault("broker restarted")
            self.broker_is_away = True
            self.cycle()
            self._empty_broker(counted=False)
            self.broker_is_away = False
        self.cycle()

    def _empty_broker(self, *, counted: bool = True) -> None:
        if counted:
            self.fault("broker emptied")
        self.queue.clear()
        self.coordination = MemoryCoordination(self._seconds)

    def _clock_jumps(self) -> None:
        """The store's clock is off for an interval or more, and then put right.

        One that is ahead is put right, and its scopes are collected again, before the time
        that it claimed has come: after that nothing tells its claims from honest ones.
        """
        hours = self.random.choice([-6, -1, 6, 12, 24])
        self.fault("clock ahead" if hours > 0 else "clock behind")
        self.store_ahead = hours * HOUR
        for _ in range(self.random.choice([1, 2, 3])):
            self._plain()
        self.store_ahead = timedelta()
        self._plain()

    def step(self) -> None:
        """The running worker is about to do something that others can see."""
        worker = self._current
        if worker is None:
            return
        if worker.dead:
            raise Killed
        if self.calm:
            return
        if worker.steps_to_live is not None:
            worker.steps_to_live -= 1
            if worker.steps_to_live <= 0:
                worker.dead = True
                self.fault("worker killed")
                raise Killed
        if self._depth < 2 and self.random.random() < 0.01:
            self._meanwhile(worker)

    def _meanwhile(self, worker: Worker) -> None:
        """The worker is held up; others go on."""
        self.fault("worker held up")
        self._depth += 1
        before = self.clock.now
        for _ in range(self.random.randint(1, 3)):
            self.clock.forward(self.random.uniform(0, 20) * MINUTE)
            if self.random.random() < 0.3:
                self._tick()
            for _ in range(self.random.randint(0, 3)):
                self._work()
        if self.random.random() < 0.5:
            self.fault("worker suspended")
            worker.asleep += (self.clock.now - before).total_seconds()
        self._depth -= 1

    # The seams

    def to_store(self, act: Callable[[], T], *, writes: bool) -> T:
        self.step()
        if self.store_is == "away" or (writes and self.store_is in ("read-only", "full")):
            raise StoreUnavailableError(f"the store is {self.store_is}")
        if self.store_is == "slow":
            self.clock.forward(self.random.uniform(0, 2) * MINUTE)
        done = act()
        self.step()
        if self._answer_is_lost():
            raise StoreUnavailableError("the store's answer got lost")
        return done

    def to_broker(self, act: Callable[[], T], away: Exception) -> T:
        self.step()
        if self.broker_is_away:
            raise away
        done = act()
        self.step()
        if self._answer_is_lost():
            raise away
        return done

    def _answer_is_lost(self) -> bool:
        lost = not self.calm and self._current is not None and self.random.random() < 0.01
        if lost:
            self.fault("answer lost")
        return lost

    def to_provider(self, answer: Sequence[T]) -> Iterator[T]:
        self.step()
        luck = 1.0 if self.calm else self.random.random()
        if luck < 0.05:
            self.fault("provider throttles")
            raise ThrottledError("slow down")
        cut = luck < 0.1
        for number, item in enumerate(answer):
            if cut and number == len(answer) // 2:
                self.fault("provider breaks off")
                raise TransientError("the connection was lost")
            yield item
        self.step()

    def store_time(self) -> datetime:
        return self.clock.now + self.store_ahead

    # Beat, broker and workers

    def publish(self, task: str, arguments: Sequence[Any]) -> None:
        self.queue.append(Message(task, json.dumps(list(arguments))))

    def _tick(self) -> None:
        if self.broker_is_away:
            return
        beats = 1
        if not self.calm and self.random.random() < 0.15:
            self.fault("two beats")
            beats = 2
        for _ in range(beats):
            self.publish(COLLECT_PERFORMANCE, ())
            if self._lists and (self.calm or self.random.random() < 0.5):
                self.publish(COLLECT_RESOURCES, ())

    def _work(self) -> None:
        """One message to a worker that is free."""
        free = [worker for worker in self.workers if not worker.busy]
        if self.broker_is_away or not self.queue or not free:
            self.queue = [] if self.broker_is_away else self.queue
            return
        position = 0
        if not self.calm and self.random.random() < 0.2:
            position = self.random.randrange(len(self.queue))
            self.tally.faults["message out of order"] += position > 0
        message = self.queue.pop(position)
        if not self.calm and self.random.random() < 0.05:
            self.fault("message twice")
            self.queue.insert(self.random.randint(0, len(self.queue)), message)
        self._deliver(message, self.random.choice(free))

    def _deliver(self, message: Message, worker: Worker) -> None:
        outer, self._current, worker.busy = self._current, worker, True
        use_runtime(worker.runtime)
        try:
            app.tasks[message.task].run(*json.loads(message.arguments))
        except (OptiInfraError, OperationalError):
            pass  # the task failed; Celery would log it
        except Killed:
            self.workers[self.workers.index(worker)] = self._worker()
            if self.random.random() < 0.5:
                self.queue.append(message)  # delivered again, since nobody acknowledged it
        finally:
            worker.busy = False
            self._current = outer
            use_runtime(outer.runtime if outer else None)

    def _worker(self) -> Worker:
        worker = Worker()
        with patch.object(runtime_module, "connect_coordination", lambda _: Broker(self)):
            worker.runtime = build_runtime(self.settings, FaultyStore(self))
        # Its monotonic clock is the world's, less what it slept through.
        worker.runtime.now._monotonic = lambda: self._seconds() - worker.asleep  # type: ignore[attr-defined]
        return worker

    def _seconds(self) -> float:
        return self.clock.now.timestamp()

    @contextmanager
    def _running(self) -> Iterator[None]:
        try:
            yield
        finally:
            use_runtime(None)

    # What must be true

    def truth(self, until: datetime, at: datetime, *, days: int = 1) -> Points:
        window = Window(
            floor_time(self.began + INTERVAL - timedelta(days=days), TIMING.period),
            floor_time(until, TIMING.period),
        )
        return points_of(provider.truth(self.account, window, at))

    def stored(self) -> Sequence[Sequence[Any]]:
        return self.store.query(
            "SELECT metric_name, resource_id, toUnixTimestamp(timestamp), metric_value "
            "FROM performance_metrics FINAL WHERE customer_id = {customer:String}",
            {"customer": self.account.customer_id},
        )

    def _check_acknowledged(self) -> None:
        """What the ledger says is collected is in the store, in the midst of the faults.

        Claims from the future say nothing; the scope's next collection takes them back.
        """
        stored = {(metric, resource, at) for metric, resource, at, _ in self.stored()}
        marks = self.store.query(
            "SELECT scope, max(collected_until) FROM collection_outcomes FINAL "
            "WHERE customer_id = {customer:String} AND kind = 'performance' "
            "AND collected_until > 0 GROUP BY scope "
            "HAVING max(finished_at) <= {soon:DateTime('UTC')}",
            {"customer": self.account.customer_id, "soon": self.clock.now + MINUTE},
        )
        for scope, until in marks:
            promised = {
                key
                for key in self.truth(until, until + TIMING.delay)
                if key[1].startswith(f"{scope}/")
            }
            self.tally.acknowledged += len(promised)
            self.tally.lost += len(promised - stored)

    def _check_everything(self) -> None:
        """After the faults the store holds what the provider has, once; so does every view."""
        now = self.clock.now
        rows = self.stored()
        stored = {(metric, resource, at): value for metric, resource, at, value in rows}
        truth = self.truth(now - TIMING.delay, now)
        self.tally.points += len(rows)
        self.tally.doubled += len(rows) - len(stored)
        self.tally.lost += len(truth.keys() - stored.keys())
        # A collector whose clock was behind has reached further back.
        truth = self.truth(now - TIMING.delay, now, days=3)
        self.tally.wrong += sum(value != truth.get(key) for key, value in stored.items())
        latest: dict[tuple[str, str], tuple[int, float]] = {}
        for (metric, resource, at), value in stored.items():
            latest[metric, resource] = max(latest.get((metric, resource), (0, 0.0)), (at, value))
        assert latest == {
            (metric, resource): (at, value)
            for metric, resource, at, value in self._query(
                "SELECT metric_name, resource_id, toUnixTimestamp(timestamp), metric_value "
                "FROM metrics_latest FINAL"
            )
        }
        if self._lists:
            self._check_inventory()
        open_runs = self._query(
            "SELECT run_id, status FROM collection_runs FINAL",
            " AND status IN ('queued', 'running')",
        )
        assert not open_runs, "a run never ended"

    def _check_inventory(self) -> None:
        listed = {
            resource.resource_id
            for scope in provider.scopes(self.account, Kind.RESOURCES)
            for resource in provider.list_resources(self.account, scope)
            if isinstance(resource, Resource)
        }
        there = self._query("SELECT resource_id FROM resources_latest FINAL", " AND deleted_at = 0")
        assert {resource_id for (resource_id,) in there} == listed
        balance: Counter[str] = Counter()
        for resource_id, change in self._query(
            "SELECT resource_id, change FROM resource_changes FINAL",
            " AND change IN ('created', 'deleted') ORDER BY timestamp, since",
        ):
            balance[resource_id] += 1 if change == "created" else -1
            assert balance[resource_id] in (0, 1), f"{resource_id}: {change} twice"
        assert {resource_id for resource_id, alive in balance.items() if alive} == listed

    def _query(self, select: str, condition: str = "") -> Sequence[Sequence[Any]]:
        return self.store.query(
            f"{select} WHERE customer_id = {{customer:String}}{condition}",
            {"customer": self.account.customer_id},
        )


class FaultyStore(Store):
    """The store as a worker of the world reaches it."""

    def __init__(self, world: World) -> None:
        self.__dict__ = world.store.__dict__.copy()
        self._world = world

    def query(self, sql: str, params: Any = None) -> Sequence[Sequence[Any]]:
        if "now64(6, 'UTC')" in sql:
            return self._world.to_store(lambda: [(self._world.store_time(),)], writes=False)
        return self._world.to_store(partial(super().query, sql, params), writes=False)

    def query_bytes(self, sql: str, params: Any = None, *, format: str) -> bytes:
        act = partial(super().query_bytes, sql, params, format=format)
        return self._world.to_store(act, writes=False)

    def command(self, sql: str, params: Any = None) -> None:
        self._world.to_store(partial(super().command, sql, params), writes=True)

    def insert_arrow(self, table: str, rows: pa.Table) -> None:
        self._world.to_store(partial(super().insert_arrow, table, rows), writes=True)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self._world.to_store(partial(super().insert, table, columns, rows), writes=True)


class Broker:
    """Coordination as a worker of the world reaches it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*arguments: Any) -> Any:
            return self._world.to_broker(
                lambda: getattr(self._world.coordination, name)(*arguments),
                BrokerUnavailableError("the broker does not answer"),
            )

        return ask


def _published(task: Task[..., Any], args: Sequence[Any] = (), **_options: Any) -> None:
    """In place of `apply_async`: the message goes to the world's queue."""
    provider.world.to_broker(
        lambda: provider.world.publish(task.name, args), OperationalError("away")
    )


def _in_this_thread(_: Patience, _key: str, produce: Callable[[], Iterator[T]]) -> Iterator[T]:
    """In place of a provider's own thread: everything happens in one order."""
    return produce()


@dataclass
class WorldProvider(SimulatedProvider):
    """The simulated provider of whatever world is current; its own clock is right."""

    world: World = field(init=False)

    def _delivered(
        self, account: Account, scope: Scope, operation: str, answer: Sequence[T]
    ) -> Iterator[T]:
        yield from self.world.to_provider(answer)


provider = WorldProvider(name=PROVIDER)
provider.clock = lambda: provider.world.clock.now
