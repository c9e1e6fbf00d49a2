"""The parameters of the resource endpoints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from optiinfra.catalog import ResourceStatus, ResourceType
from optiinfra.domain import Change
from optiinfra.web.formats import FormatQuery
from optiinfra.web.paging import PageQuery
from optiinfra.web.problems import invalid_parameter
from optiinfra.web.time_range import Moment, TimeRangeQuery
from resource_agent.readers.resource_reader import ChangeFilters
from resource_agent.readers.selection import Filters

MAX_REPEATS = 1000

#: A key, a colon, a value; either may hold colons of its own.
Tag = Annotated[str, Field(pattern=r"^[\s\S]+:[\s\S]*$")]
Id = Annotated[str, Field(min_length=1)]
Types = Annotated[
    list[ResourceType], Field(max_length=MAX_REPEATS, description="repeatable: any of them")
]


class MomentQuery(BaseModel):
    """The moment whose state is asked for."""

    model_config = ConfigDict(extra="forbid")

    as_of: Moment | None = Field(
        None,
        description="the state as complete listings showed it by then, RFC 3339 with a zone; "
        "now when left out",
    )

    def moment(self, retention: timedelta) -> datetime | None:
        """The moment in whole seconds; a 422 problem for one that nothing is known of."""
        if self.as_of is None:
            return None
        now = datetime.now(UTC)
        if self.as_of > now:
            raise invalid_parameter("as_of", "lies in the future")
        if self.as_of < now - retention:
            raise invalid_parameter(
                "as_of", f"reaches back further than the {retention.days} days that are kept"
            )
        return self.as_of.astimezone(UTC).replace(microsecond=0)


class SelectionQuery(MomentQuery):
    """Which resources, and of when."""

    resource_type: Types = Field([])
    status: list[ResourceStatus] = Field(
        [], max_length=MAX_REPEATS, description="repeatable: any of them"
    )
    region: list[str] = Field([], max_length=MAX_REPEATS, description="repeatable: any of them")
    tag: list[Tag] = Field(
        [],
        max_length=MAX_REPEATS,
        description="key:value, both as they are and whole; repeatable: every one of them",
        examples=[["env:prod"]],
    )
    attached_to: list[Id] = Field(
        [],
        max_length=MAX_REPEATS,
        description="ids of resources that what is asked for hangs on, as its metadata says; "
        "repeatable: any of them",
    )
    q: str | None = Field(
        None, min_length=1, description="part of the name or id, in upper or lower case"
    )
    include_deleted: bool = Field(
        False, description="also what is gone, with its last state; not beside as_of"
    )

    def filters(self) -> Filters:
        """The same as the reader takes it."""
        return Filters(
            resource_types=self.resource_type,
            statuses=self.status,
            regions=self.region,
            tags=self.tag,
            attached_to=self.attached_to,
            text=self.q,
        )

    def moment(self, retention: timedelta) -> datetime | None:
        """The moment, which has no deleted resources to include."""
        if self.as_of is not None and self.include_deleted:
            raise invalid_parameter("include_deleted", "cannot stand beside as_of")
        return super().moment(retention)


class ListQuery(FormatQuery, PageQuery, SelectionQuery):
    """Of `list`."""


class SummaryQuery(SelectionQuery):
    """Of `summary`."""


class ByTypeQuery(BaseModel):
    """Of `by-type`."""

    model_config = ConfigDict(extra="forbid")

    resource_type: Types = Field([])
    limit: int = Field(
        100, ge=1, le=1000, description="resources shown per type; counts are of all of them"
    )


class ChangesQuery(FormatQuery, PageQuery, TimeRangeQuery):
    """Of `changes`."""

    change: list[Change] = Field([], max_length=MAX_REPEATS, description="repeatable: any of them")
    resource_id: list[str] = Field(
        [], max_length=MAX_REPEATS, description="the provider's own id; repeatable"
    )
    resource_type: Types = Field([])

    def filters(self) -> ChangeFilters:
        """The same as the reader takes it."""
        return ChangeFilters(
            changes=self.change,
            resource_ids=self.resource_id,
            resource_types=self.resource_type,
        )
