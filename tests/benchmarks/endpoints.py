"""Latency of every reading endpoint over HTTP, beside the bare statements that it runs."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from statistics import median
from typing import Any
from unittest.mock import patch
from urllib.parse import quote, urlencode

import uvicorn
from fastapi import FastAPI

from benchmarks.load import CUSTOMER, PROVIDER
from optiinfra.collector_client import CollectorClient
from optiinfra.domain import iso
from optiinfra.settings import Settings
from optiinfra_database import Store
from performance_agent.main import create_app as performance_app
from resource_agent.main import create_app as resource_app

_WARM_UP = 3
#: A p95 is the median of the p95 of so many blocks of rounds: one burst of other work on the
#: machine, which would be the whole p95 of a single block, then counts for nothing.
_BLOCKS = 3
#: Endpoints whose answer over a fixed customer and window must not slow down with the store.
STEADY = ("latest", "summary 24 h", "trends 24 h", "trends 7 d", "summary 7 d", "resources list")


@dataclass(frozen=True, slots=True)
class Latency:
    """One endpoint at one size, in seconds; `bare` are its statements alone."""

    name: str
    p50: float
    p95: float
    bare_p50: float
    bare_p95: float
    statements: int
    answer_bytes: int


def measure(store: Store, *, end: datetime, rounds: int) -> list[Latency]:
    """Every endpoint in turn, requests and bare statements interleaved."""
    settings = Settings()
    # What the load left behind is no garbage of a service.
    gc.collect()
    gc.freeze()
    ((resource_id,),) = store.query(
        "SELECT min(resource_id) FROM resources_latest WHERE customer_id = {customer:String}",
        {"customer": CUSTOMER},
    )
    latencies = []
    for make, paths in (
        (performance_app, _performance_paths(end, resource_id)),
        (resource_app, _resource_paths(end, resource_id)),
    ):
        app = make(settings, store, CollectorClient("http://127.0.0.1:9"))
        with served(app) as port, _Client(port) as client:
            latencies += [
                _latency(store, client, name, path, rounds) for name, path in paths.items()
            ]
    return latencies


def _performance_paths(end: datetime, resource_id: str) -> Mapping[str, str]:
    base = f"/api/v2/performance/{CUSTOMER}/{PROVIDER}"
    day, week = _window(end, 1), _window(end, 7)
    return {
        "metrics": f"{base}/metrics?{urlencode(day)}",
        "metrics of one resource 7 d": f"{base}/metrics?"
        + urlencode(week | {"resource_id": resource_id, "limit": 10_000}),
        "latest": f"{base}/latest",
        "trends 24 h": f"{base}/trends?{urlencode(day)}",
        "trends 7 d": f"{base}/trends?{urlencode(week)}",
        "trends by resource 24 h, 1 h": f"{base}/trends?"
        + urlencode(day | {"group_by": "resource", "interval": "1h", "limit": 10_000}),
        "by-resource 24 h": f"{base}/by-resource?{urlencode(day)}",
        "by-resource 7 d": f"{base}/by-resource?{urlencode(week)}",
        "summary 24 h": f"{base}/summary?{urlencode(day)}",
        "summary 7 d": f"{base}/summary?{urlencode(week)}",
        "coverage": f"{base}/coverage?{urlencode(day)}",
    }


def _resource_paths(end: datetime, resource_id: str) -> Mapping[str, str]:
    base = f"/api/v2/resources/{CUSTOMER}/{PROVIDER}"
    as_of = iso(end - timedelta(days=2))
    return {
        "resources list": f"{base}/list",
        "resources list as of 2 d ago": f"{base}/list?{urlencode({'as_of': as_of})}",
        "one resource": f"{base}/{quote(resource_id)}",
        "resources by-type": f"{base}/by-type",
        "resource changes": f"{base}/changes?{urlencode(_window(end, 7))}",
        "resources summary": f"{base}/summary",
    }


def _window(end: datetime, days: int) -> dict[str, Any]:
    return {"start": iso(end - timedelta(days=days)), "end": iso(end)}


def _latency(store: Store, client: _Client, name: str, path: str, rounds: int) -> Latency:
    for _ in range(_WARM_UP):
        client.get(path)
    with (
        patch.object(store, "query", wraps=store.query) as query,
        patch.object(store, "query_bytes", wraps=store.query_bytes) as query_bytes,
    ):
        _seconds, answer_bytes = client.get(path)
    statements: list[Callable[[], object]] = [
        partial(store.query, *call.args, **call.kwargs) for call in query.call_args_list
    ]
    statements += [
        partial(store.query_bytes, *call.args, **call.kwargs) for call in query_bytes.call_args_list
    ]

    served: list[float] = []
    bare: list[float] = []
    for _ in range(rounds * _BLOCKS):
        served.append(client.get(path)[0])
        started = time.perf_counter()
        for statement in statements:
            statement()
        bare.append(time.perf_counter() - started)
    return Latency(
        name,
        p50=median(served),
        p95=_p95(served, rounds),
        bare_p50=median(bare),
        bare_p95=_p95(bare, rounds),
        statements=len(statements),
        answer_bytes=answer_bytes,
    )


def _p95(times: Sequence[float], rounds: int) -> float:
    blocks = [sorted(times[at : at + rounds]) for at in range(0, len(times), rounds)]
    return median(block[int(rounds * 0.95)] for block in blocks)


class _Client:
    """A process that asks; in this one it would hold the interpreter's lock against the
    server."""

    def __init__(self, port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.client", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> _Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def get(self, path: str) -> tuple[float, int]:
        """Seconds until the whole answer was there, and its size."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(path + "\n")
        self._process.stdin.flush()
        seconds, status, size = self._process.stdout.readline().split()
        if status != "200":
            raise RuntimeError(f"{path} answered {status}")
        return float(seconds), int(size)


@contextmanager
def served(app: FastAPI) -> Iterator[int]:
    """The app behind uvicorn in a thread, as its own process would serve it."""
    listener = socket.create_server(("127.0.0.1", 0))
    # asyncio does so itself for a port that it opens, not for a socket made like this one.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
