"""Every point counts once: collected twice, corrected, late, and with rollups or without."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.api import Api
from support.points import put_customer, put_outcome, put_points, refresh_rollups

from optiinfra.collector_client import CollectorClient
from optiinfra.settings import Settings
from optiinfra_database import Store
from performance_agent.main import create_app

AWS = "/api/v2/performance/acme/aws"
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
STEP = timedelta(minutes=30)
TIMES = [NOW - timedelta(days=10) + STEP * n for n in range(480)]
DAY_VALUES = [float(n % 48) + 1 for n in range(480)]
RESOURCES = ("i-1", "i-2")


@pytest.fixture
def api(store: Store) -> Api:
    put_customer(store, "acme", "aws")
    return Api(create_app(Settings(), store, CollectorClient("http://127.0.0.1:9")))


def collect(store: Store, part: slice = slice(None), *, plus: float = 0.0, later: int = 0) -> None:
    """Insert a part of both series; a `later` collection is the newer word."""
    for resource in RESOURCES:
        put_points(
            store,
            TIMES[part],
            [value + plus for value in DAY_VALUES[part]],
            resource_id=resource,
            collected_at=NOW + timedelta(seconds=later),
        )


def rows(api: Api, path: str) -> list[dict[str, Any]]:
    response = api.get(f"{AWS}/{path}")
    assert response.status_code == 200, response.text
    data: list[dict[str, Any]] = response.json()["data"]
    return data


ANSWERS = (
    "metrics?timeframe=30d&limit=10000",
    "latest?max_age=90d",
    "trends?timeframe=30d",
    "trends?timeframe=7d&interval=1h",
    "trends?timeframe=30d&interval=1d&group_by=resource",
    "by-resource?timeframe=30d&sort=resource_id",
    "summary?timeframe=30d",
    "summary?timeframe=30d&resource_id=i-1",
)


def answers(api: Api) -> dict[str, list[dict[str, Any]]]:
    found = {path: rows(api, path) for path in ANSWERS}
    for data in found.values():
        for row in data:
            row.pop("collected_at", None)
    return found


def same(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k], tolerance) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(
            same(a, b, tolerance) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, float | int) and not isinstance(one, bool):
        return math.isclose(one, other, rel_tol=tolerance)
    return bool(one == other)


def again(store: Store) -> None:
    collect(store, later=60)


def overlapping(store: Store) -> None:
    for start in range(0, 480, 100):
        collect(store, slice(max(0, start - 50), start + 150), later=start)


def corrected_back(store: Store) -> None:
    collect(store, slice(100, 200), plus=40.0, later=60)
    collect(store, slice(100, 200), later=120)


def stale(store: Store) -> None:
    """An old collection that arrives late must not win."""
    collect(store, slice(100, 200), plus=40.0, later=-60)


@pytest.mark.parametrize("repeat", [again, overlapping, corrected_back, stale])
@pytest.mark.parametrize("rolled_up", [False, True], ids=["points", "rollups"])
def test_collecting_again_changes_no_answer(
    store: Store, api: Api, repeat: Callable[[Store], None], rolled_up: bool
) -> None:
    collect(store)
    if rolled_up:
        refresh_rollups(store, NOW)
    before = answers(api)
    repeat(store)
    if rolled_up:
        refresh_rollups(store, NOW)
    after = answers(api)
    assert before["metrics?timeframe=30d&limit=10000"]
    for path in ANSWERS:
        assert same(before[path], after[path], 1e-9), path


def test_a_correction_counts_everywhere(store: Store, api: Api) -> None:
    collect(store)
    collect(store, slice(479, 480), plus=1000.0, later=60)
    (summary,) = rows(api, "summary?timeframe=30d")
    assert (summary["count"], summary["max"]) == (960, DAY_VALUES[-1] + 1000)
    assert rows(api, "latest")[0]["metric_value"] == DAY_VALUES[-1] + 1000
    assert rows(api, "by-resource?timeframe=30d")[0]["last_value"] == DAY_VALUES[-1] + 1000


def test_rollups_answer_as_the_points_do(store: Store, api: Api) -> None:
    collect(store)
    by_points = answers(api)
    refresh_rollups(store, NOW)
    by_rollups = answers(api)
    for path in ANSWERS:
        if path.startswith(("metrics", "latest")):
            continue
        for exact, rolled in zip(by_points[path], by_rollups[path], strict=True):
            for name, value in exact.items():
                if name in ("p50", "p95", "p99"):
                    # Within 1 % of a neighbour in rank; neighbours are 1 apart here.
                    assert abs(value - rolled[name]) <= 1 + 0.011 * value, (path, name)
                else:
                    assert same(value, rolled[name], 1e-9), (path, name)


@pytest.mark.parametrize(
    "path",
    [
        "summary?timeframe=30d",
        "summary?timeframe=30d&resource_id=i-1",
        "trends?timeframe=30d&interval=1d",
        "by-resource?timeframe=30d",
    ],
)
def test_rollups_are_what_a_long_range_reads(store: Store, api: Api, path: str) -> None:
    """Where the points of a clean hour are gone, the rollup still knows them."""
    collect(store)
    refresh_rollups(store, NOW)
    whole = sum(row["count"] for row in rows(api, path))
    store.command("TRUNCATE TABLE performance_metrics")
    put_points(store, [NOW - timedelta(minutes=5)], [1.0], resource_id="i-1")
    # All but the first day of the daily rollup, which the range may cut, and the last.
    assert sum(row["count"] for row in rows(api, path)) >= whole * 0.75


@pytest.mark.parametrize(
    "path",
    [
        "summary?timeframe=24h",
        "trends?timeframe=7d&interval=15m",
        "trends?timeframe=7d&resource_id=i-1",
    ],
)
def test_points_are_read_where_no_rollup_fits(store: Store, api: Api, path: str) -> None:
    collect(store)
    refresh_rollups(store, NOW)
    store.command("TRUNCATE TABLE performance_metrics")
    assert rows(api, path) == []


def test_what_came_after_the_refresh_counts_at_once(store: Store, api: Api) -> None:
    """A late window is in no rollup yet: from there on the points are read."""
    collect(store, slice(0, 400))
    refresh_rollups(store, NOW)
    late = slice(240, 480)
    collect(store, late, later=60)
    put_outcome(
        store,
        (TIMES[240], TIMES[479] + STEP),
        finished_at=NOW + timedelta(minutes=2),
        run_id="late",
    )
    (summary,) = rows(api, "summary?timeframe=30d")
    assert summary["count"] == 960
    assert sum(row["count"] for row in rows(api, "trends?timeframe=30d&interval=1d")) == 960
    assert {row["count"] for row in rows(api, "by-resource?timeframe=30d")} == {480}
