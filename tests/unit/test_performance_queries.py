from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from optiinfra.catalog import METRICS
from optiinfra.domain import Window
from optiinfra.web.problems import Problem
from performance_agent.api.queries import FilterQuery, LatestQuery, TrendsQuery

RETENTION = timedelta(days=90)


def test_every_metric_of_the_catalog_can_be_asked_for() -> None:
    assert FilterQuery(metric_name=list(METRICS)).metric_name == list(METRICS)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cpu_utilisation", "did you mean cpu_utilization"),
        ("zzz", "docs/metrics.md"),
        ("x" * 100_000, "docs/metrics.md"),
        ("", "docs/metrics.md"),
    ],
    ids=lambda value: value[:20],
)
def test_unknown_metric_is_told_what_there_is(name: str, hint: str) -> None:
    with pytest.raises(ValidationError, match=hint):
        FilterQuery(metric_name=[name])


@pytest.mark.parametrize(
    ("max_age", "age"),
    [
        ("15m", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("90d", RETENTION),
    ],
)
def test_age_is_minutes_hours_or_days(max_age: str, age: timedelta) -> None:
    assert LatestQuery(max_age=max_age).window(RETENTION).duration == age


def test_age_over_the_retention_is_refused() -> None:
    with pytest.raises(Problem) as refused:
        LatestQuery(max_age="91d").window(RETENTION)
    assert refused.value.extra["errors"][0]["parameter"] == "max_age"


@pytest.mark.parametrize(
    ("hours", "interval"),
    [(1, "5m"), (6, "5m"), (7, "15m"), (24, "15m"), (25, "1h"), (169, "6h"), (721, "1d")],
)
def test_auto_interval_grows_with_the_window(hours: int, interval: str) -> None:
    end = datetime(2026, 11, 20, tzinfo=UTC)
    window = Window(end - timedelta(hours=hours), end)
    name, width = TrendsQuery().bucket(window)
    assert name == interval
    assert 1 <= window.duration / width <= 200


def test_a_given_interval_is_taken_as_it_is() -> None:
    given: dict[str, Any] = {"interval": "6h"}
    end = datetime(2026, 11, 20, tzinfo=UTC)
    window = Window(end - timedelta(hours=1), end)
    assert TrendsQuery(**given).bucket(window) == ("6h", timedelta(hours=6))
