"""`POST trigger-collection`, the same in every service that serves collected data."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.concurrency import run_in_threadpool

from optiinfra.accounts import NAME_PATTERN
from optiinfra.collector_client import CollectorClient
from optiinfra.domain import Kind, iso
from optiinfra.web.auth import Access, Role
from optiinfra.web.time_range import Moment


class TriggerRequest(BaseModel):
    """What to collect now. Without start and end, what the schedule would collect next."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"customer_id": "local", "provider": "host"}},
    )

    customer_id: str = Field(pattern=NAME_PATTERN)
    provider: str = Field(pattern=NAME_PATTERN, description="a provider of the customer, or all")
    account_id: str | None = Field(
        default=None, pattern=NAME_PATTERN, description="one account; every one when left out"
    )
    start: Moment | None = Field(default=None, description="collect this window again, from here")
    end: Moment | None = Field(default=None, description="up to here; now when only start is given")

    @model_validator(mode="after")
    def _window(self) -> TriggerRequest:
        if self.end is not None and self.start is None:
            raise ValueError("end needs start with it")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("start must be before end")
        return self


class TriggerAnswer(BaseModel):
    """The runs that were started, or are going already, and where to follow them."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "run_ids": ["0199f3c2a7d5"],
                "status_url": "/api/v2/collections/0199f3c2a7d5",
            }
        }
    )

    run_ids: list[str]
    status_url: str = Field(description="the run; with several runs, the customer's recent runs")


async def trigger_collection(
    request: Request, body: TriggerRequest, kind: Kind, access: Access, collector: CollectorClient
) -> TriggerAnswer:
    """Hand the wish on to the data collector and answer at once. Needs the role member."""
    await run_in_threadpool(access.require, body.customer_id, body.provider, Role.MEMBER)
    wish: dict[str, Any] = {
        "customer_id": body.customer_id,
        "provider": body.provider,
        "kinds": [kind.value],
    }
    if body.account_id is not None:
        wish["account_id"] = body.account_id
    for name, moment in (("start", body.start), ("end", body.end)):
        if moment is not None:
            wish[name] = iso(moment)
    headers = dict(request.headers) | {"x-request-id": request.state.request_id}
    answer = await collector.start_collection(wish, headers)
    run_ids = [str(run_id) for run_id in answer["run_ids"]]
    where = f"/{run_ids[0]}" if len(run_ids) == 1 else f"?customer_id={body.customer_id}"
    return TriggerAnswer(run_ids=run_ids, status_url=f"/api/v2/collections{where}")
