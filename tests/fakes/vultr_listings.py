"""The fake of Vultr without a socket, listed by very many small schedules of faults."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import httpx
from fakes.vultr import LISTS, FakeVultr
from support.fault_schedules import Fault, Weather

Body = dict[str, Any]

#: By the name of a scope: the key of its list, how one is made, and native words that its
#: status goes through with what they mean.
_KINDS: Mapping[str, tuple[str, Callable[[FakeVultr, int], Body], tuple[tuple[Body, str], ...]]] = {
    "instances": (
        "instances",
        lambda fake, number: fake._instance(number, exporting=False),
        (
            ({"status": "active", "power_status": "running"}, "running"),
            ({"status": "active", "power_status": "stopped"}, "stopped"),
            ({"status": "resizing", "power_status": "running"}, "pending"),
        ),
    ),
    "bare_metals": (
        "bare_metals",
        FakeVultr._bare_metal,
        (({"status": "active"}, "running"), ({"status": "suspended"}, "stopped")),
    ),
    "blocks": (
        "blocks",
        FakeVultr._block,
        (
            ({"status": "active", "attached_to_instance": ""}, "available"),
            ({"status": "active", "attached_to_instance": "AB-12"}, "in_use"),
        ),
    ),
    "databases": (
        "databases",
        FakeVultr._database,
        (({"status": "Running"}, "running"), ({"status": "Rebuilding"}, "pending")),
    ),
    "load_balancers": (
        "load_balancers",
        FakeVultr._load_balancer,
        (({"status": "active"}, "running"), ({"status": "pending"}, "pending")),
    ),
    "vpcs": ("vpcs", FakeVultr._vpc, (({}, "available"),)),
    "kubernetes": (
        "vke_clusters",
        FakeVultr._cluster,
        (({"status": "active"}, "running"), ({"status": "pending"}, "pending")),
    ),
}
_SCOPES = tuple(_KINDS)
_STATUSES = {Fault.THROTTLE: 429, Fault.DENIED: 403, Fault.EXPIRED: 401, Fault.BROKEN: 502}


class ListedCloud:
    """An account. Satisfies `support.fault_schedules.Cloud`."""

    def __init__(self) -> None:
        self.weather = Weather()
        self._fake = FakeVultr(
            instances=0,
            bare_metals=0,
            blocks=0,
            databases=0,
            load_balancers=0,
            vpcs=0,
            clusters=0,
        )
        #: By id: the scope, and how far its status has gone.
        self._living: dict[str, tuple[str, int]] = {}
        self._made = 0

    def create(self, pick: int) -> None:
        self._made += 1
        scope = _SCOPES[pick % len(_SCOPES)]
        key, make, _ = _KINDS[scope]
        body = make(self._fake, self._made)
        self._fake.lists[key].append(body)
        self._living[body["id"]] = scope, 0
        self._say(body["id"])

    def delete(self, resource_id: str) -> None:
        key = _KINDS[self._living.pop(resource_id)[0]][0]
        self._fake.lists[key] = [one for one in self._fake.lists[key] if one["id"] != resource_id]

    def change_status(self, resource_id: str) -> None:
        scope, at = self._living[resource_id]
        self._living[resource_id] = scope, at + 1
        self._say(resource_id)

    def truth(self, scope: str) -> Mapping[str, str]:
        name = scope.rpartition("/")[2]
        return {
            key: _KINDS[name][2][at % len(_KINDS[name][2])][1]
            for key, (where, at) in self._living.items()
            if where == name
        }

    def _say(self, resource_id: str) -> None:
        scope, at = self._living[resource_id]
        key, _, words = _KINDS[scope]
        body = self._fake.by_id(key, resource_id)
        assert body
        body.update(words[at % len(words)][0])

    def send(self, request: httpx.Request) -> httpx.Response:
        """What comes back for a request, or the error of the network that does."""
        fault = self.weather.fault()
        if fault is Fault.TIMEOUT:
            raise httpx.ReadTimeout("no answer in time", request=request)
        if fault is Fault.DROP:
            raise httpx.RemoteProtocolError("disconnected without an answer", request=request)
        if fault in _STATUSES:
            refusal = {"error": "refused"}
            return httpx.Response(_STATUSES[fault], json=refusal, headers={"Retry-After": "0"})
        path = urlsplit(str(request.url)).path
        _, document = self._fake.answer(path, dict(request.url.params))
        if fault is Fault.EMPTY:
            document = _emptied(document, LISTS[path])
        body = json.dumps(document).encode()
        if fault is Fault.HALF:
            return httpx.Response(200, stream=_BrokenOff(body[: len(body) // 2]))
        return httpx.Response(200, content=body)


def _emptied(document: Mapping[str, Any], key: str) -> Body:
    """The page without its entries. One that says no total has nothing else to lose but its
    list: an empty one would be the answer of an account that has none.
    """
    return {**document, key: []} if "meta" in document else {}


class _BrokenOff(httpx.SyncByteStream):
    """A body whose connection closes in its middle."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body
        raise httpx.RemoteProtocolError("peer closed connection without a complete body")


@contextmanager
def reached(cloud: ListedCloud) -> Iterator[None]:
    """Every request comes to the cloud instead of to a socket."""
    with mock.patch("httpx.HTTPTransport.handle_request", lambda _, request: cloud.send(request)):
        yield
