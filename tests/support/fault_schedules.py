"""Random schedules of faults, and what must hold of the inventory through each of them.

A schedule is a few cycles in which a small fleet changes and its listings go wrong. It follows
from its number alone, which a failure names. After every cycle the inventory is compared with
what the fake really holds: a listing that counts as complete leaves exactly that, any other
one leaves everything as it was, and the change log tells both and nothing else.

The fake of a provider takes part by satisfying `Cloud`.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import count
from typing import Any, Protocol

import pyarrow as pa
from support.collector import RETENTION, Clock

from data_collector.pipeline import Pipeline
from data_collector.storage.clickhouse_writer import ClickHouseWriter
from data_collector.storage.inventory_diff import ResourceChange, State
from data_collector.storage.inventory_listing import Description, Part
from data_collector.storage.inventory_writer import InventoryWriter
from data_collector.storage.run_ledger import Outcome, Run, RunLedger, Standing, new_run
from optiinfra.accounts import Account
from optiinfra.domain import Change, Gap, Kind, Scope, ScopeStatus
from optiinfra.provider import Provider
from optiinfra_database import Store
from optiinfra_database.tables import RESOURCE_CHANGES, RESOURCES_LATEST

CYCLE = timedelta(minutes=15)
#: A test follows so many schedules, `PART` after `PART`; `make faults` has more of them followed.
PART = 100
PARTS = range(0, int(os.environ.get("OPTIINFRA_TEST_SCHEDULES", PART)), PART)


class Fault(StrEnum):
    """What becomes of one request. A fake commits it in its provider's own way."""

    THROTTLE = "throttle"  # asks to slow down
    DROP = "drop"  # the connection closes without an answer
    HALF = "half"  # the answer breaks off in its middle
    EMPTY = "empty"  # a success whose page lacks everything that belongs in it
    DENIED = "denied"  # good credentials that may not read this
    EXPIRED = "expired"  # the token is no longer taken
    TIMEOUT = "timeout"  # no answer in time
    BROKEN = "broken"  # a server error


class Event(StrEnum):
    """How a fleet changes."""

    CREATED = "created"
    DELETED = "deleted"
    STATUS_CHANGED = "status_changed"


@dataclass(frozen=True, slots=True)
class Trouble:
    """The `times` requests of a listing that follow its first `after` ones meet a fault."""

    fault: Fault
    after: int
    times: int


class Weather:
    """The troubles of one listing. A fake asks at each request what becomes of it."""

    def __init__(self, troubles: Iterable[Trouble] = ()) -> None:
        self._troubles = tuple(troubles)
        self._requests = count()
        self.struck: set[Fault] = set()

    def fault(self) -> Fault | None:
        """What becomes of the request that asks; None where it is answered as it should be."""
        request = next(self._requests)
        for trouble in self._troubles:
            if trouble.after <= request < trouble.after + trouble.times:
                self.struck.add(trouble.fault)
                return trouble.fault
        return None


class Cloud(Protocol):
    """A fake with a fleet of a few resources; new for each schedule."""

    #: Set before each listing.
    weather: Weather

    def create(self, pick: int) -> None:
        """One more resource; `pick` chooses which type and where."""
        ...

    def delete(self, resource_id: str) -> None:
        """It no longer exists, and no listing names it."""
        ...

    def change_status(self, resource_id: str) -> None:
        """Give it another canonical status, where its type has one that can be told."""
        ...

    def truth(self, scope: str) -> Mapping[str, str]:
        """The canonical status of what the scope of that name holds, by resource id."""
        ...


@dataclass(frozen=True, slots=True)
class Tally:
    """What schedules came to; it shows that they were worth running."""

    complete: int = 0
    incomplete: int = 0
    survived: int = 0
    deleted: int = 0
    struck: frozenset[Fault] = frozenset()

    def __add__(self, other: Tally) -> Tally:
        """Both together. `survived` counts complete listings that met a fault."""
        return Tally(
            self.complete + other.complete,
            self.incomplete + other.incomplete,
            self.survived + other.survived,
            self.deleted + other.deleted,
            self.struck | other.struck,
        )


Entry = tuple[int, str, str]


class MemoryBooks:
    """The inventory in memory: everything but the tables is the collector's own."""

    def __init__(self) -> None:
        self.ledger = _MemoryLedger()
        self.inventory = _MemoryInventory()

    def there(self) -> Mapping[str, str]:
        """Status by id of everything that is not deleted."""
        states = self.inventory.states.items()
        return {key: state.description.status for key, state in states if not state.deleted_at}

    def gone(self) -> set[str]:
        """The ids of everything that is deleted."""
        return {key for key, state in self.inventory.states.items() if state.deleted_at}

    def log(self) -> list[Entry]:
        """The change log but for changes of configuration: moment, change, resource."""
        return [
            (entry.timestamp, str(entry.change), entry.resource_id)
            for entry in self.inventory.changes
            if entry.change is not Change.CONFIG_CHANGED
        ]


class StoreBooks:
    """The inventory of one customer in a store, read as `MemoryBooks` is."""

    def __init__(self, store: Store, customer_id: str) -> None:
        self.ledger = RunLedger(store)
        self.inventory = InventoryWriter(store, part=2)
        self._store = store
        self._customer = {"customer": customer_id}

    def there(self) -> Mapping[str, str]:
        return {key: status for key, status, deleted in self._states() if not deleted}

    def gone(self) -> set[str]:
        return {key for key, _, deleted in self._states() if deleted}

    def log(self) -> list[Entry]:
        rows = self._store.query(
            "SELECT toUnixTimestamp(timestamp), toString(change), resource_id "
            "FROM resource_changes FINAL WHERE customer_id = {customer:String} "
            "AND change != 'config_changed'",
            self._customer,
        )
        return [(moment, change, key) for moment, change, key in rows]

    def _states(self) -> Sequence[Sequence[Any]]:
        return self._store.query(
            "SELECT resource_id, status, deleted_at > toDateTime(0, 'UTC') "
            "FROM resources_latest FINAL WHERE customer_id = {customer:String}",
            self._customer,
        )


Books = MemoryBooks | StoreBooks


class _MemoryInventory(InventoryWriter):
    """The inventory writer with dictionaries in place of its tables."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.changes: list[ResourceChange] = []
        self._now = lambda: datetime.now(UTC)
        self._part = 2  # a listing of a few is written in parts as one of thousands is

    def _insert(self, schema: pa.Schema, columns: Mapping[str, Any]) -> None:
        if schema is RESOURCES_LATEST:
            described = Description.__dataclass_fields__
            for row in _rows(columns):
                description = Description(**{name: row[name] for name in described})
                times = row["first_seen"], row["last_seen"], row["deleted_at"]
                self.states[row["resource_id"]] = State(row["scope"], description, *times)
        elif schema is RESOURCE_CHANGES:
            logged = ResourceChange.__dataclass_fields__
            for row in _rows(columns):
                fields = {name: row[name] for name in logged}
                self.changes.append(ResourceChange(**fields | {"change": Change(row["change"])}))

    def _last_listed(self, scoped: Mapping[str, Any]) -> int:
        states = self._of_part(scoped).values()
        return max((one.as_of for one in states if one.scope == scoped["scope"]), default=0)

    def _changes_after(self, scoped: Mapping[str, Any], moment: int) -> list[ResourceChange]:
        return []  # no write is ever cut off here

    def _states(self, scoped: Mapping[str, Any], ids: Iterable[str]) -> dict[str, State]:
        asked = set(ids)
        return {
            key: state
            for key, state in self._of_part(scoped).items()
            if key in asked or (state.scope == scoped["scope"] and not state.deleted_at)
        }

    def _of_part(self, scoped: Mapping[str, Any]) -> Mapping[str, State]:
        part = Part(scoped["part"], scoped["parts"])
        return {key: state for key, state in self.states.items() if part.holds(key)}


def _rows(columns: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """The columns' rows; a single value stands for the whole column."""
    for number in range(len(columns["resource_id"])):
        yield {
            name: column[number] if isinstance(column, list) else column
            for name, column in columns.items()
        }


class _MemoryLedger(RunLedger):
    """A ledger that forgets: what a listing says does not depend on those before it."""

    def __init__(self) -> None:
        pass

    def record_outcome(self, run: Run, outcome: Outcome, gaps: Sequence[Gap] = ()) -> None:
        pass

    def standing(self, run: Run, scope: str, now: datetime) -> Standing:
        return Standing()


@dataclass
class _Follower:
    """One schedule on its way: what must be in the books by now, and what is."""

    number: int
    cloud: Cloud
    provider: Provider
    account: Account
    scopes: Sequence[Scope]
    books: Books
    clock: Clock
    _chance: random.Random = field(init=False)
    _expected: dict[str, dict[str, str]] = field(default_factory=dict, init=False)
    _gone: set[str] = field(default_factory=set, init=False)
    _log: list[Entry] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.number)
        self._pipeline = Pipeline(
            ledger=self.books.ledger,
            writer=_NO_POINTS,
            inventory=self.books.inventory,
            retention=RETENTION,
            now=self.clock,
        )

    def follow(self) -> Tally:
        """A quiet cycle, some with changes and faults, and a quiet one again."""
        for _ in range(self._chance.randint(3, 7)):
            self.cloud.create(self._chance.randrange(1 << 30))
        tally = self._cycle(quiet=True)
        for _ in range(self._chance.randint(2, 4)):
            self._change_fleet()
            tally += self._cycle(quiet=False)
        tally += self._cycle(quiet=True)
        living = {key for scope in self.scopes for key in self.cloud.truth(scope.name)}
        assert self.books.there().keys() == living, self._said("the last quiet cycle")
        return replace(tally, deleted=len(self._gone))

    def _change_fleet(self) -> None:
        for _ in range(self._chance.randint(0, 3)):
            event = self._chance.choice(list(Event))
            living = sorted(key for one in self.scopes for key in self.cloud.truth(one.name))
            if event is Event.CREATED:
                self.cloud.create(self._chance.randrange(1 << 30))
            elif living and event is Event.DELETED:
                self.cloud.delete(self._chance.choice(living))
            elif living:
                self.cloud.change_status(self._chance.choice(living))

    def _cycle(self, *, quiet: bool) -> Tally:
        self.clock.forward(CYCLE)
        run = new_run(self.account, Kind.RESOURCES, "test", None)
        tally = Tally()
        for scope in self.scopes:
            self.cloud.weather = weather = Weather(() if quiet else self._troubles())
            deadline = self.clock() + CYCLE
            outcome = self._pipeline.collect(
                run, self.provider, self.account, scope, deadline=deadline
            )
            assert outcome
            complete = outcome.status is ScopeStatus.OK
            where = self._said(f"{scope.name} {outcome.status} {outcome.error} {weather.struck}")
            assert complete or weather.struck, f"incomplete without a fault: {where}"
            if complete:
                self._listed(scope)
            self._check(where)
            tally += Tally(
                complete=complete,
                incomplete=not complete,
                survived=complete and bool(weather.struck),
                struck=frozenset(weather.struck),
            )
        return tally

    def _troubles(self) -> list[Trouble]:
        """None to two of them, early enough to be met, some longer than anybody tries."""
        return [
            Trouble(
                self._chance.choice(list(Fault)),
                after=self._chance.choice((0, 0, 1, 1, 2, 3)),
                times=self._chance.choice((1, 2, 100, 100)),
            )
            for _ in range(self._chance.choice((0, 1, 1, 1, 2)))
        ]

    def _listed(self, scope: Scope) -> None:
        """What a complete listing at this moment has to leave behind."""
        now, truth = int(self.clock().timestamp()), dict(self.cloud.truth(scope.name))
        before = self._expected.get(scope.name, {})
        for key in sorted(before.keys() | truth.keys()):
            if key not in before:
                self._log.append((now, Change.CREATED.value, key))
            elif key not in truth:
                self._log.append((now, Change.DELETED.value, key))
            elif before[key] != truth[key]:
                self._log.append((now, Change.STATUS_CHANGED.value, key))
        self._gone = (self._gone | before.keys()) - truth.keys()
        self._expected[scope.name] = truth

    def _check(self, where: str) -> None:
        there, gone = self.books.there(), self.books.gone()
        living = {key for scope in self.scopes for key in self.cloud.truth(scope.name)}
        assert not gone & living, f"deleted while it lives: {where}"
        expected = {key: value for one in self._expected.values() for key, value in one.items()}
        assert there == expected, f"not what the listing saw: {where}"
        assert gone == self._gone, f"not what went: {where}"
        assert sorted(self.books.log()) == sorted(self._log), f"another change log: {where}"

    def _said(self, what: str) -> str:
        return f"schedule {self.number}, {self.clock():%H:%M}: {what}"


def survive(
    number: int,
    cloud: Cloud,
    provider: Provider,
    account: Account,
    *,
    scopes: Sequence[Scope] | None = None,
    books: Books | None = None,
    clock: Clock | None = None,
) -> Tally:
    """Follow the schedule of that number; AssertionError where the inventory is wrong.

    `scopes` are what is listed, all of the account's unless given; `clock` is the provider's,
    where it has one. The books must be empty and are in memory unless given.
    """
    return _Follower(
        number=number,
        cloud=cloud,
        provider=provider,
        account=account,
        scopes=scopes or provider.scopes(account, Kind.RESOURCES),
        books=books or MemoryBooks(),
        clock=clock or Clock(),
    ).follow()


class _NoPoints(ClickHouseWriter):
    """Stands where a pipeline wants a writer of points; listings have none."""

    def __init__(self) -> None:
        pass


_NO_POINTS = _NoPoints()
