"""Resident memory of the standalone process, idle and under load."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.report import Row

_START_SECONDS = 60
_SETTLE_SECONDS = 10
_LOAD_SECONDS = 20
_CLIENTS = 8
_PATHS = (
    "/api/v2/performance/local/host/latest",
    "/api/v2/performance/local/host/metrics",
    "/api/v2/performance/local/host/trends",
    "/api/v2/performance/local/host/summary",
    "/api/v2/performance/local/host/by-resource",
    "/api/v2/resources/local/host/list",
    "/api/v2/resources/local/host/summary",
)


def measure() -> list[Row]:
    """This machine collected by itself, then every reader asked by several clients at once."""
    with _standalone() as (process, port):
        _wait_for_points(port)
        time.sleep(_SETTLE_SECONDS)
        idle = process.memory_info().rss
        peak, answers = _under_load(process, port)
    return [
        Row("standalone, resident memory idle", f"{idle / 2**20:.0f} MiB"),
        Row(
            f"standalone, highest resident memory with {_CLIENTS} clients",
            f"{peak / 2**20:.0f} MiB ({answers / _LOAD_SECONDS:.0f} answers/s)",
        ),
    ]


@contextmanager
def _standalone() -> Iterator[tuple[psutil.Process, int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with TemporaryDirectory() as folder:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("OPTIINFRA_")}
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / "optiinfra"), "standalone"],
            cwd=folder,
            env=inherited
            | {"OPTIINFRA_STORE": f"chdb://{folder}/store", "OPTIINFRA_PORT": str(port)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield psutil.Process(process.pid), port
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_points(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            status, body = _get(http.client.HTTPConnection("127.0.0.1", port, timeout=5), _PATHS[0])
            if status == http.client.OK and b'"metric_name"' in body:
                return
        except OSError:
            pass  # not listening yet
        time.sleep(0.2)
    raise RuntimeError(f"standalone had no points within {_START_SECONDS} s")


def _under_load(process: psutil.Process, port: int) -> tuple[int, int]:
    """The highest resident memory seen and the number of answers."""
    end = time.monotonic() + _LOAD_SECONDS
    answers = [0] * _CLIENTS

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.monotonic() < end:
            status, _ = _get(connection, _PATHS[(number + answers[number]) % len(_PATHS)])
            if status != http.client.OK:
                raise RuntimeError(f"standalone answered {status} under load")
            answers[number] += 1

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(_CLIENTS)]
    for client in clients:
        client.start()
    peak = 0
    while any(client.is_alive() for client in clients):
        peak = max(peak, process.memory_info().rss)
        time.sleep(0.05)
    return peak, sum(answers)


def _get(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read()
