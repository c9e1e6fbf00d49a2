"""The parameters of the performance endpoints."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from optiinfra.catalog import METRICS, ResourceType
from optiinfra.domain import Window
from optiinfra.web.formats import FormatQuery
from optiinfra.web.paging import PageQuery
from optiinfra.web.problems import invalid_parameter
from optiinfra.web.time_range import TimeRangeQuery
from performance_agent.readers.performance_reader import Sort
from performance_agent.readers.selection import Selection

MAX_REPEATS = 1000

_AGE_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def _known_metric(name: str) -> str:
    if name in METRICS:
        return name
    close = difflib.get_close_matches(name[:100], METRICS, n=3)
    hint = f"; did you mean {', '.join(close)}?" if close else "; docs/metrics.md lists them"
    raise ValueError(f"is no metric of the catalog{hint}")


MetricName = Annotated[str, AfterValidator(_known_metric)]


class FilterQuery(BaseModel):
    """Which series; an empty filter lets everything through."""

    model_config = ConfigDict(extra="forbid")

    resource_id: list[str] = Field(
        default=[], max_length=MAX_REPEATS, description="the provider's own id; repeatable"
    )
    metric_name: list[MetricName] = Field(
        default=[], max_length=MAX_REPEATS, description="a metric of the catalog; repeatable"
    )
    metric_type: ResourceType | None = Field(
        default=None, description="the type of the resource that the points belong to"
    )

    def selection(self, customer_id: str, providers: Sequence[str], window: Window) -> Selection:
        """The same as the readers take it."""
        return Selection(
            customer_id=customer_id,
            providers=providers,
            window=window,
            resource_ids=self.resource_id,
            metric_names=self.metric_name,
            metric_type=self.metric_type,
        )


class MetricsQuery(FormatQuery, PageQuery, TimeRangeQuery, FilterQuery):
    """Of `metrics`."""

    order: Literal["asc", "desc"] = Field(
        default="desc", description="by time; newest first is desc"
    )


class LatestQuery(FormatQuery, PageQuery, FilterQuery):
    """Of `latest`."""

    max_age: str = Field(
        default="24h",
        pattern=r"^[1-9][0-9]{0,5}[mhd]$",
        description="leaves out series without a point this young: minutes, hours or days, "
        "like 15m, 2h, 1d",
    )

    def window(self, retention: timedelta) -> Window:
        """From the oldest point that may be shown up to now."""
        number, unit = self.max_age[:-1], self.max_age[-1]
        age = int(number) * _AGE_UNITS[unit]
        if age > retention:
            raise invalid_parameter(
                "max_age", f"reaches back further than the {retention.days} days that are kept"
            )
        now = datetime.now(UTC).replace(microsecond=0)
        return Window(now - age, now)


Interval = Literal["auto", "5m", "15m", "1h", "6h", "1d"]
_INTERVALS: dict[str, timedelta] = {
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "1d": timedelta(days=1),
}
# The finest that stays readable as one line of a chart: some 70 to 170 buckets.
_AUTO: Sequence[tuple[timedelta, str]] = (
    (timedelta(hours=6), "5m"),
    (timedelta(days=1), "15m"),
    (timedelta(days=7), "1h"),
    (timedelta(days=30), "6h"),
)


class TrendsQuery(FormatQuery, PageQuery, TimeRangeQuery, FilterQuery):
    """Of `trends`."""

    interval: Interval = Field(default="auto", description="the width of a bucket")
    group_by: Literal["metric", "resource"] = Field(
        default="metric", description="one line per metric, or per metric and resource"
    )

    def bucket(self, window: Window) -> tuple[str, timedelta]:
        """The interval by name and width."""
        name: str = self.interval
        if name == "auto":
            name = next((name for longest, name in _AUTO if window.duration <= longest), "1d")
        return name, _INTERVALS[name]


class ByResourceQuery(FormatQuery, TimeRangeQuery, FilterQuery):
    """Of `by-resource`: a ranking, which has a limit but no pages."""

    sort: Sort = Field(default=Sort.AVG, description="numbers from the highest, resource_id from A")
    limit: int = Field(default=1000, ge=1, le=10_000, description="rows of the ranking")


class SummaryQuery(FormatQuery, TimeRangeQuery, FilterQuery):
    """Of `summary`."""


class CoverageQuery(TimeRangeQuery):
    """Of `coverage`."""
