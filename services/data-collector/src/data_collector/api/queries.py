"""What the data collector is asked: bodies and query parameters."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from optiinfra.accounts import NAME_PATTERN
from optiinfra.domain import Kind
from optiinfra.web.paging import PageQuery
from optiinfra.web.time_range import TimeRangeQuery
from optiinfra.web.triggers import TriggerRequest


class CollectionRequest(TriggerRequest):
    """What to collect now, and which kinds of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"customer_id": "local", "provider": "host", "kinds": ["performance"]}
        }
    )

    kinds: list[Kind] = Field(
        [Kind.PERFORMANCE, Kind.RESOURCES], min_length=1, description="what to collect"
    )


class CollectionsQuery(TimeRangeQuery, PageQuery):
    """Which runs to list."""

    customer_id: Annotated[str, Field(pattern=NAME_PATTERN)]
    provider: Annotated[str, Field(pattern=NAME_PATTERN)] | None = Field(
        None, description="one provider of the customer"
    )
    kind: Kind | None = Field(None, description="one kind")
