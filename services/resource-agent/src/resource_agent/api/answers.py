"""What the answers hold, for OpenAPI and for the tests that hold real answers against it.

Routes hand the engine's JSON on as it is; no model runs on that path.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from optiinfra.catalog import ResourceStatus, ResourceType
from optiinfra.domain import Change


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Resource(_Answer):
    """A resource as the last complete listing of its scope that had it saw it."""

    resource_id: str = Field(description="the provider's own", examples=["i-0a1b2c3d"])
    resource_name: str = Field(examples=["web-1"])
    resource_type: ResourceType
    status: ResourceStatus
    region: str = Field(description="empty where there is none", examples=["us-east-1"])
    account_id: str = Field(examples=["prod"])
    provider: str = Field(examples=["aws"])
    scope: str = Field(examples=["aws/prod/us-east-1/ec2"])
    first_seen: datetime = Field(examples=["2026-11-01T00:00:00Z"])
    last_seen: datetime = Field(examples=["2026-11-20T09:15:00Z"])
    deleted_at: datetime | None = Field(
        description="the complete listing that lacked it; null while it is there"
    )
    unknown_since: datetime | None = Field(
        description="since when its scope has not been listed completely (failed, denied, "
        "throttled, cut off), so that nobody knows whether this state still holds; null while "
        "it is known"
    )
    timestamp: datetime = Field(
        description="the listing that this state comes from", examples=["2026-11-20T09:15:00Z"]
    )
    metadata: dict[str, Any] = Field(
        examples=[{"vcpus": 2, "memory_bytes": 8589934592, "tags": {"env": "prod"}}]
    )


class Resources(_Answer):
    data: list[Resource]
    next_cursor: str | None = Field(description="asks for the next page; null on the last one")
    start: None = Field(description="null: a state has a moment and no window")
    end: datetime = Field(description="the moment that the answer speaks of")


class Member(_Answer):
    resource_id: str = Field(examples=["i-0a1b2c3d"])
    resource_name: str = Field(examples=["web-1"])
    status: ResourceStatus
    region: str = Field(examples=["us-east-1"])
    account_id: str = Field(examples=["prod"])
    provider: str = Field(examples=["aws"])
    unknown_since: datetime | None = Field(description="as in `list`")


class TypeGroup(_Answer):
    """The resources of one type that are there now."""

    resource_type: ResourceType
    count: int = Field(examples=[12])
    unknown_count: int = Field(
        description="those whose scope the last listing did not see completely", examples=[0]
    )
    by_status: dict[str, int] = Field(examples=[{"running": 11, "stopped": 1}])
    by_region: dict[str, int] = Field(examples=[{"us-east-1": 12}])
    resources: list[Member] = Field(description="the first `limit` by id")


class ResourcesByType(_Answer):
    data: list[TypeGroup]
    next_cursor: None = Field(description="null: every type is here")


class ResourceChange(_Answer):
    """What happened to a resource between two complete listings of its scope."""

    timestamp: datetime = Field(
        description="the listing that showed it", examples=["2026-11-20T09:15:00Z"]
    )
    change: Change
    resource_id: str = Field(examples=["i-0a1b2c3d"])
    resource_name: str = Field(examples=["web-1"])
    resource_type: ResourceType
    account_id: str = Field(examples=["prod"])
    provider: str = Field(examples=["aws"])
    scope: str = Field(examples=["aws/prod/us-east-1/ec2"])
    run_id: str = Field(description="the run whose listing is the evidence")
    since: datetime | None = Field(
        description="when the state before was last seen; null for what was never seen before"
    )
    before: dict[str, Any] | None = Field(
        description="what differs, of a deletion the whole state, of a creation null",
        examples=[{"status": "running"}],
    )
    after: dict[str, Any] | None = Field(
        description="what differs, of a creation the whole state, of a deletion null",
        examples=[{"status": "stopped"}],
    )


class ResourceChanges(_Answer):
    data: list[ResourceChange]
    next_cursor: str | None = Field(description="asks for the next page; null on the last one")
    start: datetime = Field(description="of the window that was read, included")
    end: datetime = Field(description="of the window that was read, excluded")


class Totals(_Answer):
    """Sums of what is known; null where nothing is."""

    vcpus: float | None = Field(examples=[96])
    memory_bytes: int | None = Field(examples=[412316860416])
    storage_bytes: int | None = Field(examples=[2199023255552])


class Unknown(_Answer):
    """How many resources belong to a total and do not say."""

    vcpus: int = Field(examples=[0])
    memory_bytes: int = Field(examples=[2])
    storage_bytes: int = Field(examples=[0])


class ResourceSummary(_Answer):
    """What there is, counted.

    Totals leave out what is terminated or gone, and count nothing twice: vCPUs and memory are those
    of compute instances, hosts and databases; storage is that of databases and of storage
    volumes that are no filesystem on another volume.
    """

    resources: int = Field(examples=[40])
    unknown_count: int = Field(
        description="those whose scope the last listing did not see completely", examples=[0]
    )
    unknown_since: datetime | None = Field(
        description="since when the longest unknown of them is; null while all are known"
    )
    by_type: dict[str, int] = Field(examples=[{"compute_instance": 12, "storage_volume": 28}])
    by_status: dict[str, int] = Field(examples=[{"running": 12, "in_use": 28}])
    by_region: dict[str, int] = Field(examples=[{"us-east-1": 40}])
    by_provider: dict[str, int] = Field(examples=[{"aws": 40}])
    totals: Totals
    unknown: Unknown
