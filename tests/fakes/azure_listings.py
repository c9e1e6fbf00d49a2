"""The fake of Azure without a socket, listed by very many small schedules of faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from itertools import cycle, islice
from typing import Any
from unittest import mock

from fakes.azure import (
    BALANCER,
    CLUSTER,
    DISK,
    NETWORK,
    POSTGRESQL,
    SQL,
    VM,
    AzureFake,
    Faults,
    resource,
)
from support.fault_schedules import Fault, Weather

#: Where a type's status stands in its body, and native words with what they mean.
STATUSES: Mapping[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    VM: (
        "extended.instanceView.powerState.code",
        (("PowerState/running", "running"), ("PowerState/deallocated", "stopped")),
    ),
    DISK: ("diskState", (("Attached", "in_use"), ("Unattached", "available"))),
    SQL: ("status", (("Online", "running"), ("Paused", "stopped"), ("Suspect", "error"))),
    POSTGRESQL: ("state", (("Ready", "running"), ("Stopped", "stopped"))),
    BALANCER: ("provisioningState", (("Succeeded", "running"), ("Failed", "error"))),
    NETWORK: ("provisioningState", (("Succeeded", "running"), ("Updating", "pending"))),
    CLUSTER: ("powerState.code", (("Running", "running"), ("Stopped", "stopped"))),
}
_FAULTS: Mapping[Fault | None, Faults] = {
    None: Faults(),
    Fault.THROTTLE: Faults(throttle=1.0),
    Fault.DROP: Faults(drop=1.0),
    Fault.HALF: Faults(cut=1.0),
    Fault.DENIED: Faults(deny_graph=True, deny_skus=True),
    Fault.EXPIRED: Faults(expired_token=True),
    Fault.BROKEN: Faults(broken=True),
}
#: Successes that lack what belongs in them, each in its turn.
_EMPTY = (
    Faults(empty_page=True),
    Faults(truncate=True),
    Faults(lose_page=True),
    Faults(hide_subscription=True),
    Faults(html=True),
)


class ListedCloud:
    """A subscription. Satisfies `support.fault_schedules.Cloud`; `number` chooses with which of
    the empty successes it begins."""

    def __init__(self, fake: AzureFake, number: int = 0) -> None:
        self.weather = Weather()
        self._fake = fake
        self._statuses: dict[str, int] = {}
        self._made = 0
        self._empty = islice(cycle(_EMPTY), number % len(_EMPTY), None)
        fake.bodies.clear()

    def create(self, pick: int) -> None:
        self._made += 1
        body = resource(list(STATUSES)[pick % len(STATUSES)], self._made, "eastus")
        self._fake.add(body)
        self._say(body, 0)

    def delete(self, resource_id: str) -> None:
        self._fake.remove(resource_id)
        del self._statuses[resource_id]

    def change_status(self, resource_id: str) -> None:
        self._say(self._fake.bodies[resource_id], self._statuses[resource_id] + 1)

    def truth(self, scope: str) -> Mapping[str, str]:
        bodies = self._fake.bodies
        return {key: self._word(bodies[key], at)[1] for key, at in self._statuses.items()}

    def _say(self, body: dict[str, Any], number: int) -> None:
        self._statuses[body["id"].lower()] = number
        *path, last = STATUSES[body["type"]][0].split(".")
        place = body["properties"]
        for part in path:
            place = place[part]
        place[last] = self._word(body, number)[0]

    def _word(self, body: Mapping[str, Any], number: int) -> tuple[str, str]:
        words = STATUSES[body["type"]][1]
        return words[number % len(words)]

    def send(self, request: Any, **_: Any) -> Any:
        """What comes back for a request, or the error of the network that does."""
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3 import HTTPResponse

        fault = self.weather.fault()
        if fault is Fault.TIMEOUT:
            raise requests.ReadTimeout(request=request)
        self._fake.faults = next(self._empty) if fault is Fault.EMPTY else _FAULTS[fault]
        answer = self._fake.answer(request.method, request.path_url, request.body or b"")
        if not answer.status:
            raise requests.ConnectionError(request=request)
        body = answer.body[: len(answer.body) // 2] if answer.cut else answer.body
        raw = HTTPResponse(
            BytesIO(body),
            headers={
                **answer.headers,
                "Content-Type": answer.content_type,
                "Content-Length": str(len(answer.body)),
            },
            status=answer.status,
            preload_content=False,
        )
        return HTTPAdapter().build_response(request, raw)


@contextmanager
def reached(cloud: ListedCloud) -> Iterator[None]:
    """Every request of the SDK comes to the cloud instead of to a socket."""
    with mock.patch("requests.adapters.HTTPAdapter.send", lambda _, *a, **kw: cloud.send(*a, **kw)):
        yield
