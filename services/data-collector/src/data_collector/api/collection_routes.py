"""Routes of the data collector: start a collection, follow it, list accounts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from data_collector.api.answers import AccountList, CustomerList, RunDetail, RunList
from data_collector.api.queries import CollectionRequest, CollectionsQuery
from data_collector.runtime import Runtime
from data_collector.storage.ledger_totals import AccountKind, LedgerTotals, Usage
from data_collector.tasks import start_runs
from optiinfra.accounts import Account
from optiinfra.domain import Kind, Window, iso
from optiinfra.provider import load_provider
from optiinfra.web.auth import CurrentAccess, Role
from optiinfra.web.paging import Cursor, decode_cursor, encode_cursor, question
from optiinfra.web.problems import Problem, invalid_parameter, problem_responses
from optiinfra.web.triggers import TriggerAnswer


def create_router(runtime: Runtime) -> APIRouter:
    """The collector's routes over a runtime."""
    router = APIRouter(prefix="/api/v2", tags=["collections"])

    @router.post("/collections", status_code=202, summary="Collect now")
    def start_collection(body: CollectionRequest, access: CurrentAccess) -> TriggerAnswer:
        """Answers at once; follow `status_url` to the end.

        While a run of the same account and kind is going, its id is answered instead.
        """
        access.require(body.customer_id, body.provider, Role.MEMBER)
        accounts = runtime.accounts.find(body.customer_id, body.provider, body.account_id)
        if not accounts:
            raise invalid_parameter(
                "account_id" if body.account_id else "provider",
                "no such account is configured for this customer now",
            )
        run_ids: list[str] = []
        for account in accounts:
            offered = load_provider(account.provider).kinds
            run_ids += start_runs(
                runtime,
                account,
                [kind for kind in body.kinds if kind in offered],
                trigger="request",
                requested=_requested(body),
            )
        if not run_ids:
            raise invalid_parameter("kinds", "the provider offers none of these kinds")
        where = f"/{run_ids[0]}" if len(run_ids) == 1 else f"?customer_id={body.customer_id}"
        return TriggerAnswer(run_ids=run_ids, status_url=f"/api/v2/collections{where}")

    @router.get(
        "/collections",
        response_model=RunList,
        responses=problem_responses(400),
        summary="Recent runs",
    )
    def recent_runs(request: Request, query: Annotated[CollectionsQuery, Query()]) -> JSONResponse:
        """A customer's runs, newest first."""
        asked = question(request.url.path, query)
        cursor = decode_cursor(asked, query.cursor, [str]) if query.cursor else None
        window = cursor.window if cursor else query.window(runtime.settings.retention)
        runs = runtime.ledger.recent_runs(
            query.customer_id,
            window,
            provider=query.provider if query.provider not in (None, "all") else "",
            kind=query.kind,
            limit=query.limit + 1,
            before=str(cursor.key[0]) if cursor else "",
        )
        page = runs[: query.limit]
        following = None
        if len(runs) > len(page):
            following = encode_cursor(asked, Cursor(window, (page[-1]["run_id"],)))
        return JSONResponse(
            {
                "data": page,
                "next_cursor": following,
                "start": iso(window.start),
                "end": iso(window.end),
            }
        )

    @router.get("/collections/{run_id}", response_model=RunDetail, summary="One run")
    def one_run(run_id: str, access: CurrentAccess) -> JSONResponse:
        """The run with its scopes as far as they have come."""
        run = runtime.ledger.find_run(run_id)
        if run is None or not access.principal.sees(run["customer_id"]):
            # One answer for both: a run of somebody else's does not exist for this caller.
            raise Problem(404, "Not Found", "There is no such run.")
        return JSONResponse(run)

    @router.get("/accounts", response_model=CustomerList, summary="Customers")
    def customers(access: CurrentAccess) -> JSONResponse:
        """The customers whose data the caller may ask for."""
        return JSONResponse(
            {
                "data": [
                    {"customer_id": customer_id, "providers": providers}
                    for customer_id, providers in runtime.directory.customers().items()
                    if access.principal.sees(customer_id)
                ],
                "next_cursor": None,
            }
        )

    @router.get("/accounts/{customer_id}", response_model=AccountList, summary="Accounts")
    def accounts(customer_id: str) -> JSONResponse:
        """What is configured, without secrets, and what came of it last."""
        last_runs = runtime.ledger.last_runs(customer_id)
        usage = _Usage(runtime.totals, customer_id)
        return JSONResponse(
            {
                "customer_id": customer_id,
                "data": [
                    {
                        "account_id": account.account_id,
                        "provider": account.provider,
                        "kinds": sorted(load_provider(account.provider).kinds),
                        "credentials": {k: str(v) for k, v in account.credentials.items()},
                        "endpoints": dict(account.endpoints),
                        "last_runs": _of_account(last_runs, account.provider, account.account_id),
                        "usage": usage.of_account(account),
                    }
                    for account in runtime.accounts.find(customer_id)
                ],
                "next_cursor": None,
            }
        )

    return router


class _Usage:
    """The bills of a customer's accounts for this UTC month and the last one."""

    def __init__(self, totals: LedgerTotals, customer_id: str) -> None:
        this_month = datetime.now(UTC).date().replace(day=1)
        last_month = (this_month - timedelta(days=1)).replace(day=1)
        self._months = {
            name: (f"{month:%Y-%m}", totals.usage(month, customer_id))
            for name, month in (("this_month", this_month), ("last_month", last_month))
        }

    def of_account(self, account: Account) -> dict[str, Any]:
        """Its bills by kind, as the API shows them."""
        return {
            kind: {
                name: _bill(month, used.get(_account_kind(account, kind)))
                for name, (month, used) in self._months.items()
            }
            for kind in sorted(load_provider(account.provider).kinds)
        }


def _account_kind(account: Account, kind: Kind) -> AccountKind:
    return AccountKind(account.customer_id, account.provider, account.account_id, kind)


def _bill(month: str, used: Usage | None) -> dict[str, Any]:
    return {
        "month": month,
        "api_calls": sum(used.api_calls.values()) if used else 0,
        "throttles": used.throttles if used else 0,
        "estimated_price_usd": round(used.price_usd, 6) if used else 0.0,
    }


def _requested(body: CollectionRequest) -> Window | None:
    if body.start is None:
        return None
    now = datetime.now(UTC)
    start, end = body.start.astimezone(UTC), (body.end or now).astimezone(UTC)
    if start >= min(end, now):
        raise invalid_parameter("start", "must be before end and before now")
    return Window(start, min(end, now))


def _of_account(
    last_runs: dict[tuple[str, str, str], dict[str, Any]], provider: str, account_id: str
) -> dict[str, Any]:
    return {
        kind: run
        for (of_provider, of_account, kind), run in last_runs.items()
        if (of_provider, of_account) == (provider, account_id)
    }
