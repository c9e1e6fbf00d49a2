"""Asking CloudWatch: several requests under way, their answers in the order of the queries."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import structlog

from data_collector.collectors.aws.faults import RefusedError
from data_collector.collectors.aws.performance import Result, merged
from data_collector.collectors.aws.queries import Query, batches, datapoints
from data_collector.collectors.aws.session import Api, Session
from optiinfra.accounts import Account
from optiinfra.domain import GapReason, Window

log = structlog.get_logger()

GET_METRIC_DATA = Api("cloudwatch", "GetMetricData", "MetricDataResults", "get_metric_data")
#: USD per metric requested.
PRICE = 0.01 / 1000

#: Requests under way at once; AWS takes a second or two for a full one.
_AT_ONCE = 4
#: AWS's other limit: points per second and region of the last three hours.
_POINTS_PER_SECOND = 180_000
#: More refused queries than this in one request are no accident, and are not hunted down.
_MOST_REFUSED = 8


def answers(
    session: Session, account: Account, region: str, queries: Iterable[Query], window: Window
) -> Iterator[tuple[Query, Result]]:
    """Each query with its result, in order, as the answers arrive."""
    waiting: deque[tuple[list[Query], Future[list[Result]]]] = deque()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for batch in batches(queries, window):
            waiting.append((batch, pool.submit(_asked, session, account, region, batch, window)))
            if len(waiting) > _AT_ONCE:
                yield from _answered(*waiting.popleft())
        while waiting:
            yield from _answered(*waiting.popleft())


def _answered(
    batch: Sequence[Query], results: Future[list[Result]]
) -> Iterator[tuple[Query, Result]]:
    yield from zip(batch, results.result(), strict=True)


def _asked(
    session: Session, account: Account, region: str, batch: Sequence[Query], window: Window
) -> list[Result]:
    """The results of one request. Where AWS refuses it for single queries, those are found by
    halving, and the rest is answered all the same."""
    results: list[Result] = []
    refused = 0
    stack = [batch]
    while stack:
        part = stack.pop()
        try:
            results += _results(session, account, region, part, window)
        except RefusedError as error:
            if len(part) > 1:
                middle = len(part) // 2
                stack += [part[middle:], part[:middle]]
                continue
            refused += 1
            if refused > _MOST_REFUSED:
                raise
            results.append(Result(status=error.code, reason=GapReason.UNSUPPORTED))
    return results


def _results(
    session: Session, account: Account, region: str, batch: Sequence[Query], window: Window
) -> list[Result]:
    points = datapoints(batch, window)
    pages = list(
        session.pages(
            account,
            region,
            GET_METRIC_DATA,
            {
                "MetricDataQueries": [
                    query.native(f"m{number}") for number, query in enumerate(batch)
                ],
                "StartTime": window.start,
                "EndTime": window.end,
                "ScanBy": "TimestampAscending",
            },
            units=len(batch),
            per_second=_POINTS_PER_SECOND / points,
        )
    )
    for page in pages:
        for message in page.get("Messages", ()):
            log.warning("cloudwatch_message", region=region, code=message.get("Code", ""))
    return merged(pages, len(batch))
