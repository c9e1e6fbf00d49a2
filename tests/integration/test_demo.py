"""`make demo`: four clouds without an account."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.processes import Standalone, environment, free_port

pytest.importorskip("moto.server", reason="moto is not installed")

CLOUDS = {"acme": {"aws", "gcp"}, "globex": {"azure", "vultr"}}


@contextmanager
def demo(folder: Path, resources: int) -> Iterator[Standalone]:
    """The demo in a process of its own, from its first answer to its end."""
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
            process.wait(timeout=30)


def collected(server: Standalone, customer_id: str) -> set[tuple[str, str]]:
    """Provider and kind of the runs that ended, all of them well."""
    runs = server.get("/api/v2/collections", params={"customer_id": customer_id}).json()["data"]
    ended = [one for one in runs if one["status"] not in ("queued", "running")]
    assert {one["status"] for one in ended} <= {"succeeded"}, ended
    return {(one["provider"], one["kind"]) for one in ended}


def collected_at_all(server: Standalone, customer_id: str) -> bool:
    """Whether both kinds were collected, in whole or in part."""
    runs = server.get("/api/v2/collections", params={"customer_id": customer_id}).json()["data"]
    ended = {one["kind"] for one in runs if one["status"] in ("succeeded", "partial")}
    return ended == {"performance", "resources"}


def series(server: Standalone, customer_id: str, provider: str, metric: str) -> list[str]:
    """The times at which one of the resources has a point."""
    path = f"/api/v2/performance/{customer_id}/{provider}/metrics"
    points = data(server, f"{path}?metric_name={metric}&limit=10000")["data"]
    first = points[0]["resource_id"]
    return [point["timestamp"] for point in points if point["resource_id"] == first]


def data(server: Standalone, path: str) -> Any:
    answer = server.get(path)
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.json()


def test_four_clouds_are_there_without_an_account(tmp_path):
    with demo(tmp_path, resources=40) as server:
        for customer_id, providers in CLOUDS.items():
            wanted = {(one, kind) for one in providers for kind in ("performance", "resources")}
            while not collected(server, customer_id) >= wanted:
                time.sleep(0.2)  # polling as the API means it
            for provider in providers:
                latest = data(server, f"/api/v2/performance/{customer_id}/{provider}/latest")
                metrics = {row["metric_name"] for row in latest["data"]}
                assert metrics >= {"cpu_utilization", "availability"}, provider
                summary = data(server, f"/api/v2/resources/{customer_id}/{provider}/summary")
                assert summary["resources"] >= 8, provider
                assert {"compute_instance", "database"} <= summary["by_type"].keys()
                assert len(series(server, customer_id, provider, "cpu_utilization")) > 12, provider
                changes = data(server, f"/api/v2/resources/{customer_id}/{provider}/changes")
                assert {one["change"] for one in changes["data"]} >= {"created", "deleted"}
        while not collected_at_all(server, "initech"):
            time.sleep(0.2)
        coverage = data(server, "/api/v2/performance/initech/vultr/coverage")
        reasons = {gap["reason"] for scope in coverage["data"] for gap in scope["gaps"]}
        assert "denied" in reasons
        assert server.stop(signal.SIGINT) == 0
    assert "Traceback" not in server.output.read_text()
