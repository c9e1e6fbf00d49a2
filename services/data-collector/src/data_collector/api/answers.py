"""What the data collector answers, for OpenAPI and for the tests that hold answers to it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from optiinfra.domain import DropReason, Kind, RunStatus, ScopeStatus

_RUN_ID = "019ab3e0f1c2a4d07be1c9de55f04b1a2c88"


class TimeSpan(BaseModel):
    """What a run or scope was about: from the first window's start to the last one's end."""

    start: datetime
    end: datetime


class RunSummary(BaseModel):
    """One collection of one kind for one account."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "run_id": _RUN_ID,
                "customer_id": "local",
                "provider": "host",
                "account_id": "this-host",
                "kind": "performance",
                "trigger": "schedule",
                "status": "succeeded",
                "window": {"start": "2026-11-20T09:15:00Z", "end": "2026-11-20T09:16:00Z"},
                "queued_at": "2026-11-20T09:15:00.020Z",
                "started_at": "2026-11-20T09:15:00.041Z",
                "finished_at": "2026-11-20T09:15:01.320Z",
                "rows": 42,
                "api_calls": 1,
                "estimated_price_usd": 0.0,
                "error": None,
            }
        }
    )

    run_id: str
    customer_id: str
    provider: str
    account_id: str
    kind: Kind
    trigger: str = Field(description="schedule, startup, request or command")
    status: RunStatus
    window: TimeSpan | None = Field(description="null while nothing was collected")
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    rows: int = Field(description="rows written")
    api_calls: int = Field(description="requests made to the provider")
    estimated_price_usd: float
    error: str | None


class ScopeOutcome(BaseModel):
    """What came of one scope of a run."""

    scope: str
    status: ScopeStatus
    window: TimeSpan
    rows: int
    dropped: dict[DropReason, int] = Field(description="values refused, by reason")
    api_calls: dict[str, int] = Field(description="requests, by API operation")
    estimated_price_usd: float
    error: str | None
    error_class: str | None = Field(description="the error's name, which says what to do")


class RunDetail(RunSummary):
    """A run with the scopes that have an outcome by now."""

    scopes: list[ScopeOutcome]


class RunList(BaseModel):
    """A page of runs, newest first."""

    data: list[RunSummary]
    next_cursor: str | None
    start: datetime
    end: datetime


class Bill(BaseModel):
    """What a provider was asked in one UTC month."""

    month: str = Field(pattern=r"^\d{4}-\d{2}$", examples=["2026-11"])
    api_calls: int = Field(description="requests made to the provider")
    throttles: int = Field(description="answers that asked to slow down")
    estimated_price_usd: float


class AccountUsage(BaseModel):
    """This month's bill so far and last month's."""

    this_month: Bill
    last_month: Bill


class CustomerView(BaseModel):
    """A customer that the caller may see."""

    customer_id: str = Field(examples=["local"])
    providers: list[str] = Field(description="sorted", examples=[["host"]])


class CustomerList(BaseModel):
    """Every customer that the caller may see, by name."""

    data: list[CustomerView]
    next_cursor: None = Field(description="null: every customer is here")


class AccountView(BaseModel):
    """An account as configured, without its secrets, its newest finished runs and its bill."""

    account_id: str
    provider: str
    kinds: list[Kind]
    credentials: dict[str, str] = Field(
        description="names and references; a secret itself is never here"
    )
    endpoints: dict[str, str]
    last_runs: dict[Kind, RunSummary]
    usage: dict[Kind, AccountUsage] = Field(description="by kind, each that the provider offers")


class AccountList(BaseModel):
    """The accounts of one customer."""

    customer_id: str
    data: list[AccountView]
    next_cursor: None = Field(description="always null: there is one page")
