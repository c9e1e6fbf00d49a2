"""The fake of Google Cloud without a socket, listed by very many small schedules of faults."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from typing import Any, NoReturn
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import grpc
from fakes.gcp import (
    ZONES,
    Cluster,
    Database,
    Device,
    Disk,
    FakeGcp,
    Machine,
    Rule,
    compute_page,
    network_id,
    search,
)
from support.fault_schedules import Fault, Weather

_HTTP: Mapping[Fault, tuple[int, str, str]] = {
    Fault.THROTTLE: (403, "PERMISSION_DENIED", "rateLimitExceeded"),
    Fault.DENIED: (403, "PERMISSION_DENIED", "forbidden"),
    Fault.EXPIRED: (401, "UNAUTHENTICATED", "authError"),
    Fault.BROKEN: (503, "UNAVAILABLE", "backendError"),
}
_GRPC: Mapping[Fault, grpc.StatusCode] = {
    Fault.THROTTLE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Fault.DROP: grpc.StatusCode.UNAVAILABLE,
    Fault.HALF: grpc.StatusCode.INTERNAL,  # what a message that cannot be read becomes
    Fault.EMPTY: grpc.StatusCode.INTERNAL,
    Fault.DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Fault.EXPIRED: grpc.StatusCode.UNAUTHENTICATED,
    Fault.TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    Fault.BROKEN: grpc.StatusCode.UNKNOWN,
}
_STATUSES = {"RUNNING": "running", "TERMINATED": "stopped", "REPAIRING": "degraded"}
_USER = f"zones/{ZONES[0]}/instances/somebody"


class ListedCloud:
    """A project. Satisfies `support.fault_schedules.Cloud`."""

    def __init__(self) -> None:
        self.weather = Weather()
        self._fake = FakeGcp(instances=0)
        self._fake.faults.page = 2
        self._made = 0
        for things in vars(self._fake.fleet).values():
            things.clear()

    def create(self, pick: int) -> None:
        self._made += 1
        number, zone = self._made, ZONES[pick % len(ZONES)]
        fleet = self._fake.fleet
        name = f"thing-{number}"
        match pick // len(ZONES) % 6:
            case 0:
                kind = ("e2-medium", "n2-custom-6-12288")[number % 2]
                devices = (Device("local-ssd-0", ""),)
                machine = Machine(str(number), name, zone, kind, "RUNNING", devices, agent=False)
                fleet.machines.append(machine)
            case 1:
                fleet.disks.append(Disk(str(number), name, zone, 10))
            case 2:
                fleet.rules.append(Rule(str(number), name, zone[:-2], "https_lb_rule"))
            case 3:
                fleet.networks.append(name)
            case 4:
                fleet.databases.append(Database(name, zone[:-2], "POSTGRES_16"))
            case _:
                fleet.clusters.append(Cluster(name, zone, 1))

    def delete(self, resource_id: str) -> None:
        for things in vars(self._fake.fleet).values():
            things[:] = [one for one in things if self._id(one) != resource_id]

    def change_status(self, resource_id: str) -> None:
        words = list(_STATUSES)
        for things in vars(self._fake.fleet).values():
            for at, one in enumerate(things):
                if self._id(one) != resource_id:
                    continue
                match one:
                    case Machine():
                        word = words[(words.index(one.status) + 1) % len(words)]
                        things[at] = replace(one, status=word)
                    case Disk():
                        things[at] = replace(one, users=() if one.users else (_USER,))
                    case Database():
                        things[at] = replace(one, running=not one.running)

    def truth(self, scope: str) -> Mapping[str, str]:
        fleet = self._fake.fleet
        states: dict[Any, str]
        if scope.endswith("/asset"):
            states = {one: "running" if one.running else "stopped" for one in fleet.databases}
            states |= dict.fromkeys(fleet.clusters, "running")
        else:
            states = {one: _STATUSES[one.status] for one in fleet.machines}
            states |= {one: "in_use" if one.users else "available" for one in fleet.disks}
            states |= dict.fromkeys(fleet.rules, "running")
            states |= dict.fromkeys(fleet.networks, "available")
        return {self._id(one): status for one, status in states.items()}

    def _id(self, thing: Any) -> str:
        project = self._fake.project
        match thing:
            case Machine() | Disk():
                return thing.id
            case Rule():
                where = f"regions/{thing.region}/forwardingRules/{thing.name}"
                return f"//compute.googleapis.com/projects/{project}/{where}"
            case Database():
                return f"{project}:{thing.name}"
            case Cluster():
                where = f"locations/{thing.location}/clusters/{thing.name}"
                return f"//container.googleapis.com/projects/{project}/{where}"
        return network_id(thing)

    # Compute over HTTP

    def send(self, request: Any, **_: Any) -> Any:
        """What comes back for a request, or the error of the network that does."""
        import requests

        fault = self.weather.fault()
        if fault is Fault.TIMEOUT:
            raise requests.ReadTimeout(request=request)
        if fault is Fault.DROP:
            raise requests.ConnectionError(request=request)
        if fault is not None and fault in _HTTP:
            code, status, reason = _HTTP[fault]
            error = {"code": code, "status": status, "errors": [{"reason": reason}]}
            return _response(request, code, json.dumps({"error": error}).encode())
        url = urlsplit(request.url)
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        collection = url.path.rpartition("/")[2]
        page = compute_page(self._fake, collection, query)
        if fault is Fault.EMPTY:
            # Where a zone does not answer, its resources are not there, and the page says so.
            warning = {"warning": {"code": "UNREACHABLE"}}
            page = (
                warning if collection == "networks" else {"items": {f"zones/{ZONES[0]}": warning}}
            )
        body = json.dumps(page).encode()
        return _response(request, 200, body, half=fault is Fault.HALF)

    # Asset over gRPC

    def search(self, request: Any) -> Any:
        """What comes back for a search; grpc.RpcError for what goes wrong."""
        fault = self.weather.fault()
        if fault is not None:
            raise _RpcError(_GRPC[fault])
        return search(self._fake, request)


def _response(request: Any, code: int, body: bytes, *, half: bool = False) -> Any:
    from requests.adapters import HTTPAdapter
    from urllib3 import HTTPResponse

    raw = HTTPResponse(
        BytesIO(body[: len(body) // 2] if half else body),
        headers={
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Retry-After": "0",
        },
        status=code,
        preload_content=False,
    )
    return HTTPAdapter().build_response(request, raw)


class _RpcError(grpc.RpcError):  # type: ignore[misc]  # gRPC has no types
    """A call that failed, as a channel tells it."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code)
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "refused"

    def trailing_metadata(self) -> tuple[()]:
        return ()

    def result(self) -> NoReturn:
        raise self


class _Channel(grpc.Channel):  # type: ignore[misc]  # gRPC has no types
    """As much of a channel as a client of one-to-one calls needs; it ends in the cloud."""

    def __init__(self, serve: Callable[[Any], Any]) -> None:
        self._serve = serve

    def unary_unary(self, _method: str, _serialise: Any, deserialise: Any, *_: Any) -> Any:
        return _Method(lambda asked: deserialise(self._serve(asked).SerializeToString()))

    unary_stream = stream_unary = stream_stream = unary_unary

    def close(self) -> None:
        """There is nothing to close."""

    subscribe = unsubscribe = __enter__ = __exit__ = close


class _Method:
    def __init__(self, serve: Callable[[Any], Any]) -> None:
        self._serve = serve

    def with_call(self, request: Any, **_: Any) -> tuple[Any, Any]:
        """The answer and the call, whose metadata nobody reads."""
        return self._serve(request), None


@contextmanager
def reached(current: Callable[[], ListedCloud]) -> Iterator[None]:
    """Every request comes to the current cloud instead of to a socket."""
    channel = _Channel(lambda asked: current().search(asked))
    with (
        mock.patch(
            "requests.adapters.HTTPAdapter.send", lambda _, *a, **kw: current().send(*a, **kw)
        ),
        mock.patch("grpc.insecure_channel", return_value=channel),
    ):
        yield
