"""Collecting from the command line: here, or through the process that has the store."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from data_collector.runtime import Runtime
from optiinfra.accounts import Account
from optiinfra.domain import Kind, Window, iso
from optiinfra.errors import OptiInfraError, TransientError
from optiinfra.provider import load_provider
from optiinfra_standalone.server import CONCURRENCY

_POLL_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Progress:
    """A run came further; `run` is as the API shows it, with the scopes that are done."""

    run: dict[str, Any]
    expected_scopes: int | None


class Collecting(Protocol):
    """Starts the runs and yields each step until all have ended."""

    def collect(self, accounts: Sequence[Account], kinds: Sequence[Kind]) -> Iterator[Progress]: ...


class CollectHere:
    """With the store open in this process: no broker and no worker is needed."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def collect(self, accounts: Sequence[Account], kinds: Sequence[Kind]) -> Iterator[Progress]:
        for account in accounts:
            offered = load_provider(account.provider).kinds
            for kind in (kind for kind in kinds if kind in offered):
                yield from self._collect(account, kind)

    def _collect(self, account: Account, kind: Kind) -> Iterator[Progress]:
        runs = self._runtime.runs
        run, _is_new = runs.open(account, kind, trigger="command")
        run, scopes = runs.begin(run, account)
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            futures = [pool.submit(runs.collect, run, account, scope) for scope in scopes]
            for future in as_completed(futures):
                future.result()
                yield Progress(self._shown(run.run_id), len(scopes))
        if not scopes:
            yield Progress(self._shown(run.run_id), 0)

    def _shown(self, run_id: str) -> dict[str, Any]:
        return self._runtime.ledger.find_run(run_id) or {}


class CollectThere:
    """Through the REST API of the OptiInfra that is running."""

    def __init__(self, url: str, token: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=10)

    def collect(self, accounts: Sequence[Account], kinds: Sequence[Kind]) -> Iterator[Progress]:
        waiting: list[str] = []
        for account in accounts:
            answer = self._asked(
                "POST",
                "/api/v2/collections",
                json={
                    "customer_id": account.customer_id,
                    "provider": account.provider,
                    "account_id": account.account_id,
                    "kinds": list(kinds),
                },
            )
            waiting += answer["run_ids"]
        while waiting:
            for run_id in list(waiting):
                run = self._asked("GET", f"/api/v2/collections/{run_id}")
                if run["status"] not in ("queued", "running"):
                    waiting.remove(run_id)
                    yield Progress(run, len(run["scopes"]))
                elif run["scopes"]:
                    yield Progress(run, None)
            time.sleep(_POLL_SECONDS)

    def recent_runs(self, customer_id: str, window: Window, limit: int) -> list[dict[str, Any]]:
        """A customer's runs of the window, newest first."""
        asked = {"customer_id": customer_id, "start": iso(window.start), "limit": limit}
        found: list[dict[str, Any]] = self._asked("GET", "/api/v2/collections", params=asked)[
            "data"
        ]
        return found

    def _asked(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        try:
            response = self._client.request(method, path, **arguments)
            while response.status_code == httpx.codes.TOO_MANY_REQUESTS:
                time.sleep(int(response.headers["Retry-After"]))
                response = self._client.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise TransientError(
                f"the store is in use, but nothing answers at {self._client.base_url}; set "
                "OPTIINFRA_HOST and OPTIINFRA_PORT to where OptiInfra is running"
            ) from error
        answer: dict[str, Any] = response.json()
        if response.is_error:
            raise OptiInfraError(f"{response.status_code}: {answer.get('detail')}")
        return answer
