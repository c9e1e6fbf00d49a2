"""`make demo` in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from support.processes import Standalone, environment, free_port


@contextmanager
def demo(folder: Path, resources: int) -> Iterator[Standalone]:
    """The demo from its first answer to its end."""
    port = free_port()
    output = folder / "output"
    with output.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "fakes.demo", f"--port={port}", f"--resources={resources}"],
            cwd=folder,
            env=environment(folder),
            stdout=sink,
            stderr=subprocess.STDOUT,
            text=True,
        )
    server = Standalone(f"http://127.0.0.1:{port}", process, output)
    try:
        while process.poll() is None:
            try:
                server.get("/health/live")
                break
            except httpx.TransportError:
                time.sleep(0.05)  # polling for its port
        assert process.poll() is None, output.read_text()
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=60)


def collected(server: Standalone, customer_id: str) -> set[tuple[str, str]]:
    """Provider and kind of the runs that ended, all of them well."""
    runs = server.get("/api/v2/collections", params={"customer_id": customer_id}).json()["data"]
    ended = [one for one in runs if one["status"] not in ("queued", "running")]
    assert {one["status"] for one in ended} <= {"succeeded"}, ended
    return {(one["provider"], one["kind"]) for one in ended}
