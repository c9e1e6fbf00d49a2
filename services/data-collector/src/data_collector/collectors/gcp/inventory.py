"""What an account has, listed once and shared between its performance and its resources runs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from data_collector.collectors.gcp import resources
from data_collector.collectors.gcp.session import Session
from data_collector.packing import Packed, pages
from optiinfra.calls import Calls
from optiinfra.domain import Resource
from optiinfra.errors import ContractError

#: How long performance relies on a listing: a little more than a cycle, so that the resources
#: run of the cycle before serves. What it does not know yet is looked up at once.
FRESH_FOR = timedelta(minutes=20)
#: Machine types do not change; new ones are asked for when they are first met.
SIZES_FOR = timedelta(days=1)

COMPUTE = "compute"
ASSET = "asset"


@dataclass(frozen=True, slots=True)
class Listing:
    """One complete listing of a scope, and when it began."""

    listed_at: datetime
    resources: Packed[Resource]


class MachineSizes:
    """Sizes of machine types, by name. Bounded by the number of types that Google has."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[datetime, tuple[int, int] | None]] = {}

    def of(
        self, names: set[str], now: datetime, load: Callable[[Sequence[str]], resources.Sizes]
    ) -> resources.Sizes:
        """The sizes of `names`; `load` is asked for those that are not known yet."""
        with self._lock:
            missing = sorted(
                name
                for name in names
                if name not in self._known or now - self._known[name][0] > SIZES_FOR
            )
        if missing:
            loaded = load(missing)
            with self._lock:
                self._known.update({name: (now, loaded.get(name)) for name in missing})
        with self._lock:
            known = {name: self._known[name][1] for name in names}
        return {name: size for name, size in known.items() if size}


@dataclass
class Inventories:
    """The last listing of each scope. Bounded; safe to share between threads."""

    now: Callable[[], datetime]
    capacity: int = 256
    sizes: MachineSizes = field(default_factory=MachineSizes)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _locks: OrderedDict[Hashable, threading.Lock] = field(default_factory=OrderedDict)
    _listings: dict[Hashable, Listing] = field(default_factory=dict)

    def listing(
        self,
        key: Hashable,
        session: Session,
        calls: Calls,
        project: str,
        service: str,
        *,
        not_before: datetime,
    ) -> Listing:
        """A listing of `service` that began at `not_before` or later; made now if there is none.

        Whoever comes while it is made waits for it. Raises what the listing raises.
        """
        key = (key, service)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
            self._locks.move_to_end(key)
            while len(self._locks) > self.capacity:
                self._listings.pop(self._locks.popitem(last=False)[0], None)
        with lock:
            known = self._listings.get(key)
            if known is not None and known.listed_at >= not_before:
                return known
            began = self.now()
            listed = _compute if service == COMPUTE else _asset
            try:
                found = Packed(listed(session, calls, project, self.sizes, began))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise ContractError(f"{project}: a {service} resource of another shape") from error
            listing = Listing(began, found)
            with self._lock:
                stale = [k for k, v in self._listings.items() if began - v.listed_at > FRESH_FOR]
                for old in stale:
                    del self._listings[old]
                self._listings[key] = listing
            return listing


def _compute(
    session: Session, calls: Calls, project: str, sizes: MachineSizes, now: datetime
) -> Iterator[Resource]:
    """Instances, disks, forwarding rules and networks of the project."""
    ids: dict[str, str] = {}
    for instances in pages(session.aggregated(calls, "instances")):
        names = {resources.machine_type_name(body) for body in instances} - {""}
        known = sizes.of(
            {name for name in names if not resources.custom_size(name)},
            now,
            lambda some: resources.machine_sizes(session.aggregated(calls, "machineTypes", some)),
        )
        for body in instances:
            ids[resources.path_of(body)] = str(body["id"])
            yield resources.normalise_instance(body, known)
    for body in session.aggregated(calls, "disks"):
        yield resources.normalise_disk(body, ids)
    for body in session.aggregated(calls, "forwardingRules"):
        yield resources.normalise_forwarding_rule(body, project)
    for body in session.networks(calls):
        yield resources.normalise_network(body)


def _asset(
    session: Session, calls: Calls, project: str, sizes: MachineSizes, now: datetime
) -> Iterator[Resource]:
    """Cloud SQL instances and GKE clusters of the project."""
    for result in session.assets(calls):
        yield resources.normalise_asset(result, project)
