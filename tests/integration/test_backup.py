"""A copy of the stopped store is a backup: elsewhere it gives the same answers."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime, timedelta

from support.processes import Standalone, standalone

from optiinfra.domain import iso


def answers(server: Standalone, until: datetime) -> dict[str, object]:
    """What was known at a moment, from every reader."""
    window = {"start": iso(until - timedelta(hours=1)), "end": iso(until)}
    asked = {
        "/api/v2/performance/local/host/metrics": window,
        "/api/v2/performance/local/host/trends": window,
        "/api/v2/resources/local/host/list": {"as_of": iso(until)},
        "/api/v2/resources/local/host/changes": window,
        "/api/v2/collections": {"customer_id": "local", **window},
    }
    return {path: server.get(path, params=params).json()["data"] for path, params in asked.items()}


def test_a_copied_store_answers_elsewhere_as_the_original_did(tmp_path):
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    copy.mkdir()
    with standalone(original) as server:
        deadline = time.monotonic() + 60
        while True:
            runs = server.get("/api/v2/collections", params={"customer_id": "local"}).json()["data"]
            if len(runs) >= 2 and all(run["finished_at"] for run in runs):
                break
            assert time.monotonic() < deadline, runs
        until = datetime.now(UTC) + timedelta(seconds=1)
        # The moment has to have passed before what was known at it can be asked for.
        while datetime.now(UTC) < until:
            assert server.get("/health/live").status_code == 200
        before = answers(server, until)
        assert server.stop() == 0
    assert all(before.values())
    shutil.copytree(original / "store", copy / "store", symlinks=True)
    shutil.rmtree(original)
    # Nothing more is collected.
    (copy / "accounts.yaml").write_text("customers: {}\n")
    with standalone(copy, accounts=str(copy / "accounts.yaml")) as server:
        assert answers(server, until) == before
