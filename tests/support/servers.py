"""Redis, and ClickHouse as `support.clickhouse_http` plays it, as processes of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import pytest
from support.processes import TESTS, free_port


class Server:
    """A server that a test starts, stops and starts again at the same address."""

    def __init__(
        self,
        command: Sequence[str],
        url: str,
        *,
        ready: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.url = url
        self._command = command
        self._ready = ready
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process that runs; AssertionError while none does."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns once the server says that it answers."""
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        told = []
        for line in self._process.stdout:
            told.append(line)
            if self._ready in line:
                return
        raise AssertionError(f"{self._command[0]} did not start: {''.join(told)}")

    def stop(self) -> None:
        """Returns once it has ended; what it holds in memory only is gone."""
        if self._process is None:
            return
        self._process.terminate()
        self._process.wait(timeout=30)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None


class NamedServer(Server):
    """A server that somebody else runs; a test that would stop it is skipped."""

    def __init__(self, url: str) -> None:
        super().__init__([], url, ready="")

    def start(self) -> None:
        """It runs already."""

    def stop(self) -> None:
        pytest.skip("the store that OPTIINFRA_TEST_STORE names is not the tests' to stop")

    def __exit__(self, *_: object) -> None:
        """It goes on."""


def redis_server(folder: Path, *, certificate: Path | None = None) -> Server:
    """A Redis that writes nothing to disk; the test is skipped where there is none.

    With a certificate (and its key in the same file) it speaks TLS and nothing else.
    """
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    port = str(free_port())
    command = [program, "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    if certificate is None:
        plain = [*command, "--port", port]
        return Server(plain, f"redis://127.0.0.1:{port}/0", ready="Ready to accept connections")
    pem = str(certificate)
    tls = ["--tls-cert-file", pem, "--tls-key-file", pem, "--tls-auth-clients", "no"]
    return Server(
        [*command, "--port", "0", "--tls-port", port, *tls],
        f"rediss://localhost:{port}/0",
        ready="Ready to accept connections",
    )


def clickhouse_server(
    folder: Path,
    credentials: str = "default:",
    *,
    reader: str = "",
    certificate: Path | None = None,
) -> Server:
    """ClickHouse's HTTP interface over a store in `folder`, for `user:password`.

    `reader` is a second user, who may only read. With a certificate it speaks TLS.
    """
    port = str(free_port())
    command = [sys.executable, "-m", "support.clickhouse_http", str(folder), port]
    command += ["--user", credentials]
    if reader:
        command += ["--reader", reader]
    if certificate:
        command += ["--certificate", str(certificate)]
    address = f"localhost:{port}" if certificate else f"127.0.0.1:{port}"
    return Server(
        command,
        f"clickhouse{'s' if certificate else ''}://{credentials}@{address}/optiinfra_metrics",
        ready="ready",
        environment={"PYTHONPATH": str(TESTS)},
    )


def cluster_server(folder: Path) -> Server:
    """A cluster of two shards behind ClickHouse's HTTP interface, with its data in `folder`."""
    port = str(free_port())
    return Server(
        [sys.executable, "-m", "support.cluster_http", str(folder / "store"), port],
        f"clickhouse://127.0.0.1:{port}/optiinfra_metrics?cluster=optiinfra",
        ready="ready",
        environment={"PYTHONPATH": str(TESTS)},
    )
