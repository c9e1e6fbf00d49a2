"""What the answers hold, for OpenAPI and for the tests that hold real answers against it.

Routes hand the engine's JSON on as it is; no model runs on that path.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from optiinfra.catalog import ResourceType
from optiinfra.domain import GapReason


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _List(_Answer):
    next_cursor: str | None = Field(description="asks for the next page; null on the last one")
    start: datetime = Field(description="of the window that was read, included")
    end: datetime = Field(description="of the window that was read, excluded")


class Point(_Answer):
    """One value of one series; `timestamp` is the start of its bucket."""

    timestamp: datetime = Field(examples=["2026-11-20T09:15:00Z"])
    customer_id: str = Field(examples=["local"])
    provider: str = Field(examples=["host"])
    account_id: str = Field(examples=["this-host"])
    metric_type: ResourceType = Field(description="the type of the resource it belongs to")
    resource_id: str = Field(examples=["0a1b2c3d4e5f"])
    resource_name: str = Field(examples=["web-1"])
    metric_name: str = Field(examples=["cpu_utilization"])
    metric_value: float = Field(examples=[12.5])
    unit: str = Field(description="UCUM", examples=["%"])
    settled: bool = Field(description="false while the provider may still change it")
    collected_at: datetime = Field(examples=["2026-11-20T09:21:07Z"])
    metadata: dict[str, Any] = Field(examples=[{}])


class Points(_List):
    data: list[Point]


class Statistics(_Answer):
    """Statistics over points.

    Quantiles are values that were measured; where rollups took part, they are within 1 % of
    the value at that rank or of its neighbour.
    """

    metric_name: str = Field(examples=["cpu_utilization"])
    metric_type: ResourceType
    unit: str = Field(examples=["%"])
    avg: float = Field(examples=[14.2])
    min: float = Field(examples=[2.1])
    max: float = Field(examples=[97.0])
    p50: float = Field(examples=[11.8])
    p95: float = Field(examples=[43.9])
    p99: float = Field(examples=[88.0])
    count: int = Field(description="points", examples=[288])


class TrendBucket(Statistics):
    bucket_start: datetime = Field(examples=["2026-11-20T09:15:00Z"])
    provider: str | None = Field(default=None, description="with group_by=resource")
    resource_id: str | None = Field(default=None, description="with group_by=resource")
    resource_name: str | None = Field(default=None, description="with group_by=resource")


class Trends(_List):
    data: list[TrendBucket]
    interval: str = Field(description="the width of a bucket", examples=["15m"])


class ResourceStatistics(Statistics):
    provider: str = Field(examples=["host"])
    resource_id: str = Field(examples=["0a1b2c3d4e5f"])
    resource_name: str = Field(examples=["web-1"])
    last_value: float = Field(examples=[12.5])
    last_at: datetime = Field(examples=["2026-11-20T09:15:00Z"])


class ResourceRanking(_List):
    data: list[ResourceStatistics]
    total: int = Field(description="rows of the whole ranking", examples=[42])


class MetricStatistics(Statistics):
    resources: int = Field(description="how many resources have the metric", examples=[3])


class CoverageTotals(_Answer):
    """How much of the window was collected."""

    ratio: float = Field(
        ge=0, le=1, description="mean over all scopes of the share collected", examples=[0.98]
    )
    collected_until: datetime | None = Field(
        description="every scope is collected up to here", examples=["2026-11-20T09:15:00Z"]
    )
    gaps: int = Field(description="how many; the endpoint coverage lists them", examples=[1])


class Summary(_List):
    data: list[MetricStatistics]
    coverage: CoverageTotals


class GapFound(_Answer):
    """A part of the window that is missing, and why."""

    start: datetime
    end: datetime
    reason: GapReason
    resource_id: str | None = Field(description="null when it is the whole scope")
    metric_name: str | None = Field(description="null when it is every metric")
    detail: str | None


class ScopeCoverage(_Answer):
    provider: str = Field(examples=["host"])
    account_id: str = Field(examples=["this-host"])
    scope: str = Field(examples=["host/this-host/local"])
    collected_until: datetime | None
    windows_collected: int = Field(description="collected windows that touch the range")
    ratio: float = Field(ge=0, le=1, description="share of the range that is collected")
    gaps: list[GapFound]


class Coverage(_List):
    data: list[ScopeCoverage]
