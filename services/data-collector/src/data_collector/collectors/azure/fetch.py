"""What is asked of Azure: the inventory, the sizes of machines, and metrics.

Every request is counted, paced, and tried again while that is worth while within one run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from data_collector.collectors.azure.errors import translated
from data_collector.collectors.azure.metrics import Query
from data_collector.collectors.azure.options import options_of
from data_collector.collectors.azure.resources import QUERY, Row, is_subscription
from data_collector.collectors.azure.session import Session
from optiinfra.accounts import Account
from optiinfra.calls import Limit
from optiinfra.domain import Window
from optiinfra.errors import ContractError, DeniedError, ThrottledError, TransientError
from optiinfra.retry import call_with_retry

T = TypeVar("T")

GET_BATCH = "metrics:getBatch"
GRAPH = "ResourceGraph/resources"
SKUS = "Compute/skus"

#: Rows per page of Resource Graph, its maximum.
PAGE = 1000
ATTEMPTS = 5
DEADLINE = timedelta(seconds=90)
#: What a provider asks to wait beyond this is left to the next run.
LONGEST_WAIT = timedelta(seconds=30)
_API_VERSION = "2024-02-01"


@dataclass(frozen=True, slots=True)
class _Page:
    """One page of Resource Graph."""

    rows: Sequence[Row]
    total: int
    truncated: bool
    token: str | None


def list_rows(session: Session, account: Account) -> Iterator[Row]:
    """Every row of the one query, page by page.

    Ending without an error proves that every page arrived and that the subscription could be
    read: DeniedError where it could not, TransientError where the pages do not add up or something
    came or went between them.
    """
    where = session.where
    readable = False
    token: str | None = None
    total: int | None = None
    seen: set[str] = set()
    while True:
        page = _retried(partial(_graph_page, session, account, token))
        if total not in (None, page.total):
            # A row that went moves those after it up, and one may pass from a page that is yet
            # to come to one that was read before.
            raise TransientError(f"{where}: resources came or went while they were listed")
        total = page.total
        for row in page.rows:
            row_id = str(row["id"]).lower()
            if row_id in seen:
                continue  # it moved to the next page while the pages were read
            seen.add(row_id)
            if is_subscription(row):
                readable = True
            else:
                yield row
        if not page.token:
            break
        if page.token == token:
            raise ContractError(f"{where}: Resource Graph gives the same page again")
        token = page.token
    if page.truncated:
        raise ContractError(f"{where}: Resource Graph cut its answer short")
    if len(seen) < page.total:
        raise TransientError(f"{where}: Resource Graph listed {len(seen)} of {page.total} rows")
    if not readable:
        raise DeniedError(
            f"{where}: the subscription cannot be read; check subscription_id and grant Reader "
            "on the subscription"
        )


def _graph_page(session: Session, account: Account, token: str | None) -> _Page:
    from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions

    options = options_of(account)
    query = QueryRequest(
        query=QUERY,
        subscriptions=[options.subscription_id],
        options=QueryRequestOptions(top=PAGE, skip_token=token, result_format="objectArray"),
    )
    # Resource Graph counts by who asks, whatever subscription it is about.
    asker = account.credentials.get("client_id", account.account_id)
    limit = Limit(f"azure/{asker}/resource-graph", options.graph_calls_per_second)
    where = f"{session.where}: Resource Graph"
    with account.calls.made(GRAPH, limit=limit), translated(where):
        answer = session.graph().resources(query)
    try:
        rows: list[dict[str, Any]] = list(answer.data)  # type: ignore[arg-type]
        for row in rows:
            row["id"], row["name"], row["type"]
        return _Page(
            rows,
            int(answer.total_records),
            str(answer.result_truncated) == "true",
            answer.skip_token or None,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ContractError(f"{where} answers in an unknown shape") from error


def list_skus(session: Session, account: Account, region: str) -> Iterator[Mapping[str, Any]]:
    """Every SKU of Compute in a region, as JSON."""
    options = options_of(account)
    limit = Limit(
        f"azure/{options.subscription_id}/management", options.management_calls_per_second
    )
    where = f"{session.where}: Compute SKUs of {region}"
    pages: Any = (
        session.compute(options.subscription_id)
        .resource_skus.list(filter=f"location eq '{region}'")
        .by_page()
    )

    def page() -> list[Mapping[str, Any]]:
        with account.calls.made(SKUS, limit=limit), translated(where):
            return [sku.as_dict() for sku in next(pages)]

    yield from _retried(page)
    while pages.continuation_token:
        yield from _retried(page)


def get_batch(
    session: Session,
    account: Account,
    region: str,
    query: Query,
    resource_ids: Sequence[str],
    window: Window,
) -> Sequence[Mapping[str, Any]]:
    """The values of one metrics call, one entry per resource.

    Raises RefusedError where Azure does not take the call as it stands.
    """
    from azure.core.rest import HttpRequest

    options = options_of(account)
    limit = Limit(f"azure/{options.subscription_id}/metrics", options.metric_calls_per_second)
    where = f"{session.where}: metrics of {region}"
    # The client's own method makes an object of every point and drops each metric's error.
    request = HttpRequest(
        "POST",
        f"/subscriptions/{options.subscription_id}/metrics:getBatch",
        params={
            "api-version": _API_VERSION,
            "starttime": _iso(window.start),
            "endtime": _iso(window.end),
            "interval": _duration(query.granularity),
            "metricnamespace": query.namespace,
            "metricnames": ",".join(query.names),
            "aggregation": ",".join(query.aggregations),
            **({"filter": query.filter} if query.filter else {}),
        },
        json={"resourceids": list(resource_ids)},
    )

    def answer() -> Sequence[Mapping[str, Any]]:
        with account.calls.made(GET_BATCH, limit=limit), translated(where):
            body = json.loads(session.metrics(region).send_request(request).text())
            if isinstance(body, str):  # rarely the service encodes its JSON twice
                body = json.loads(body)
        if not isinstance(body, dict) or not isinstance(body.get("values"), list):
            raise ContractError(f"{where}: an answer of unknown shape")
        return [value for value in body["values"] if isinstance(value, dict)]

    return _retried(answer)


def _retried(call: Callable[[], T]) -> T:
    """The call's answer, tried again while that is worth while within one run."""

    def attempt() -> T | ThrottledError:
        try:
            return call()
        except ThrottledError as error:
            if error.retry_after and error.retry_after > LONGEST_WAIT:
                return error
            raise

    answer = call_with_retry(attempt, attempts=ATTEMPTS, deadline=DEADLINE)
    if isinstance(answer, ThrottledError):
        raise answer
    return answer


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _duration(span: timedelta) -> str:
    return f"PT{span // timedelta(minutes=1)}M"
