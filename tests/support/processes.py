"""Starting and stopping real processes of the product."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

TESTS = Path(__file__).resolve().parent.parent
OPTIINFRA = Path(sys.executable).with_name("optiinfra")


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """The environment of a process whose store is in `folder`, and with no other settings."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("OPTIINFRA_")}
    own = {f"OPTIINFRA_{name.upper()}": value for name, value in settings.items()}
    return {
        **inherited,
        "PYTHONPATH": str(TESTS),
        "NO_COLOR": "1",
        "COLUMNS": "200",
        "OPTIINFRA_STORE": f"chdb://{folder}/store",
        **own,
    }


@dataclass
class Standalone:
    """A running `optiinfra standalone`."""

    url: str
    process: subprocess.Popen[str]
    output: Path

    def get(self, path: str, **arguments: object) -> httpx.Response:
        return httpx.get(self.url + path, timeout=20, **arguments)  # type: ignore[arg-type]

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(how)
        return self.process.wait(timeout=30)


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """One `optiinfra` command to its end."""
    return subprocess.run(
        [str(OPTIINFRA), *arguments],
        cwd=folder,
        env=environment(folder, **settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def standalone(folder: Path, **settings: str) -> Iterator[Standalone]:
    """`optiinfra standalone` in `folder`, from its first ready answer to its end."""
    port = free_port()
    output = folder / f"output-{port}"
    with output.open("w") as sink:
        process = subprocess.Popen(
            [str(OPTIINFRA), "standalone", "--port", str(port)],
            cwd=folder,
            env=environment(folder, **settings),
            stdout=sink,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        server = Standalone(f"http://127.0.0.1:{port}", process, output)
        transport = httpx.HTTPTransport(retries=0)
        with httpx.Client(transport=transport, timeout=5) as client:
            while process.poll() is None:
                try:
                    if client.get(server.url + "/health/ready").status_code == 200:
                        break
                except httpx.TransportError:
                    continue
        assert process.poll() is None, output.read_text()
        yield server
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
