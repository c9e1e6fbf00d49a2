"""`make demo`: four clouds without an account."""

from __future__ import annotations

import signal
import time
from typing import Any

import httpx
import pytest
from support.demo import collected, demo
from support.processes import Standalone

pytest.importorskip("moto.server", reason="moto is not installed")

CLOUDS = {"acme": {"aws", "gcp"}, "globex": {"azure", "vultr"}}


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
