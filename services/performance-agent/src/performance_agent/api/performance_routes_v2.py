"""`/api/v2/performance`: points, latest values, trends, rankings, summary and coverage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from optiinfra.collector_client import CollectorClient
from optiinfra.domain import Kind, Window
from optiinfra.web.answers import list_answer
from optiinfra.web.auth import ALL_PROVIDERS, Access, CurrentAccess
from optiinfra.web.formats import Exportable, Format, FormatQuery, format_responses, stream
from optiinfra.web.paging import Cursor, PageQuery, decode_cursor, encode_cursor, question
from optiinfra.web.problems import problem_responses
from optiinfra.web.triggers import TriggerAnswer, TriggerRequest, trigger_collection
from performance_agent.api.answers import (
    Coverage,
    Points,
    ResourceRanking,
    Summary,
    Trends,
)
from performance_agent.api.queries import (
    ByResourceQuery,
    CoverageQuery,
    LatestQuery,
    MetricsQuery,
    SummaryQuery,
    TrendsQuery,
)
from performance_agent.readers.coverage_reader import CoverageReader
from performance_agent.readers.performance_reader import Page, PerformanceReader

_SCOPE = "/{customer_id}/{provider}"
_POINT_KEY = (int, str, str, str)
_LATEST_KEY = (str, str, str)
_TREND_KEY = (str, str, int)
_RESOURCE_TREND_KEY = (str, str, str, str, int)
_PAGED = problem_responses(400) | format_responses()


def create_router(
    reader: PerformanceReader,
    coverage: CoverageReader,
    collector: CollectorClient,
    retention: timedelta,
) -> APIRouter:
    """The routes; `retention` bounds what may be asked for."""
    router = APIRouter(prefix="/api/v2/performance", tags=["performance"])
    _add_trigger(router, collector)
    _add_points(router, reader, retention)
    _add_statistics(router, reader, coverage, retention)
    _add_coverage(router, coverage, retention)
    return router


def _add_trigger(router: APIRouter, collector: CollectorClient) -> None:

    @router.post(
        "/trigger-collection",
        status_code=202,
        response_model=TriggerAnswer,
        summary="Collect performance metrics now",
    )
    async def trigger(
        request: Request, body: TriggerRequest, access: CurrentAccess
    ) -> TriggerAnswer:
        """Starts a run per account and answers at once. Needs the role member.

        While a run of the same account is going, its id is answered.
        """
        return await trigger_collection(request, body, Kind.PERFORMANCE, access, collector)


def _add_points(router: APIRouter, reader: PerformanceReader, retention: timedelta) -> None:
    @router.get(f"{_SCOPE}/metrics", response_model=Points, responses=_PAGED, summary="Points")
    def metrics(
        request: Request,
        customer_id: str,
        provider: str,
        query: Annotated[MetricsQuery, Query()],
        access: CurrentAccess,
    ) -> Response:
        """Every point of the window, newest first unless `order=asc`."""
        asked, cursor = _cursor(request, query, _POINT_KEY)
        window = cursor.window if cursor else query.window(retention)
        selection = query.selection(customer_id, _providers(access, customer_id, provider), window)
        ascending = query.order == "asc"
        form = _form(request, query)
        if form is not Format.JSON:
            export = reader.export_performance_metrics(
                selection, ascending=ascending, limit=_given_limit(query)
            )
            return _download(request, export, form)
        page = reader.get_performance_metrics(
            selection,
            ascending=ascending,
            limit=query.limit,
            after=cursor.key if cursor else None,
        )
        return _page_answer(asked, window, page)

    @router.get(
        f"{_SCOPE}/latest",
        response_model=Points,
        responses=_PAGED,
        summary="The newest point of each series",
    )
    def latest(
        request: Request,
        customer_id: str,
        provider: str,
        query: Annotated[LatestQuery, Query()],
        access: CurrentAccess,
    ) -> Response:
        """A series without a point younger than `max_age` is left out."""
        asked, cursor = _cursor(request, query, _LATEST_KEY)
        window = cursor.window if cursor else query.window(retention)
        selection = query.selection(customer_id, _providers(access, customer_id, provider), window)
        form = _form(request, query)
        if form is not Format.JSON:
            export = reader.export_latest_performance(selection, limit=_given_limit(query))
            return _download(request, export, form)
        page = reader.get_latest_performance(
            selection, limit=query.limit, after=cursor.key if cursor else None
        )
        return _page_answer(asked, window, page)


def _add_statistics(
    router: APIRouter, reader: PerformanceReader, coverage: CoverageReader, retention: timedelta
) -> None:
    @router.get(
        f"{_SCOPE}/trends",
        response_model=Trends,
        responses=_PAGED,
        summary="Statistics per bucket of time",
    )
    def trends(
        request: Request,
        customer_id: str,
        provider: str,
        query: Annotated[TrendsQuery, Query()],
        access: CurrentAccess,
    ) -> Response:
        """Per metric, or per metric and resource with `group_by=resource`.

        Quantiles are exact up to three days. Over longer ranges rollups may take part; then
        they are within 1 % of the value at that rank or of its neighbour.
        """
        by_resource = query.group_by == "resource"
        key_types = _RESOURCE_TREND_KEY if by_resource else _TREND_KEY
        asked, cursor = _cursor(request, query, key_types)
        window = cursor.window if cursor else query.window(retention)
        interval, bucket = query.bucket(window)
        selection = query.selection(customer_id, _providers(access, customer_id, provider), window)
        form = _form(request, query)
        if form is not Format.JSON:
            export = reader.export_performance_trends(
                selection, bucket=bucket, by_resource=by_resource, limit=_given_limit(query)
            )
            return _download(request, export, form)
        page = reader.get_performance_trends(
            selection,
            bucket=bucket,
            by_resource=by_resource,
            limit=query.limit,
            after=cursor.key if cursor else None,
        )
        return _page_answer(asked, window, page, interval=interval)

    @router.get(
        f"{_SCOPE}/by-resource",
        response_model=ResourceRanking,
        responses=format_responses(),
        summary="Statistics per resource and metric, ranked",
    )
    def by_resource(
        request: Request,
        customer_id: str,
        provider: str,
        query: Annotated[ByResourceQuery, Query()],
        access: CurrentAccess,
    ) -> Response:
        """The first `limit` rows of the ranking; `total` says how many there are.

        Compare like with like: filter by `metric_name`. Quantiles are as in trends.
        """
        window = query.window(retention)
        selection = query.selection(customer_id, _providers(access, customer_id, provider), window)
        form = _form(request, query)
        if form is not Format.JSON:
            export = reader.export_performance_by_resource(
                selection, sort=query.sort, limit=_given_limit(query)
            )
            return _download(request, export, form)
        ranking = reader.get_performance_by_resource(selection, sort=query.sort, limit=query.limit)
        return list_answer(ranking.rows.text, window=window, total=ranking.total)

    @router.get(
        f"{_SCOPE}/summary",
        response_model=Summary,
        responses=format_responses(),
        summary="Statistics per metric, and coverage",
    )
    def summary(
        request: Request,
        customer_id: str,
        provider: str,
        query: Annotated[SummaryQuery, Query()],
        access: CurrentAccess,
    ) -> Response:
        """Over the whole window. `coverage` says how much of it was collected.

        Quantiles are as in trends; with rollups, `resources` is an estimate beyond some
        thousand.
        """
        window = query.window(retention)
        providers = _providers(access, customer_id, provider)
        selection = query.selection(customer_id, providers, window)
        form = _form(request, query)
        if form is not Format.JSON:
            return _download(request, reader.export_performance_summary(selection), form)
        rows = reader.get_performance_summary(selection)
        totals = coverage.get_coverage_totals(customer_id, providers, window)
        return list_answer(rows.text, window=window, coverage=json.loads(totals.text))


def _add_coverage(router: APIRouter, coverage: CoverageReader, retention: timedelta) -> None:
    @router.get(
        f"{_SCOPE}/coverage",
        response_model=Coverage,
        summary="What was collected, what is missing and why",
    )
    def covered(
        customer_id: str,
        provider: str,
        query: Annotated[CoverageQuery, Query()],
        access: CurrentAccess,
    ) -> Response:
        """Per scope. Missing is never zero: a gap has a reason."""
        window = query.window(retention)
        rows = coverage.get_coverage(customer_id, _providers(access, customer_id, provider), window)
        return list_answer(rows.text, window=window)


def _providers(access: Access, customer_id: str, provider: str) -> Sequence[str]:
    if provider == ALL_PROVIDERS:
        return access.directory.providers(customer_id)
    return [provider]


def _cursor(
    request: Request, query: PageQuery, key_types: Sequence[type]
) -> tuple[bytes, Cursor | None]:
    asked = question(request.url.path, query)
    if query.cursor is None:
        return asked, None
    return asked, decode_cursor(asked, query.cursor, key_types)


def _page_answer(asked: bytes, window: Window, page: Page, **members: str) -> Response:
    next_cursor = None
    if page.next_key is not None:
        next_cursor = encode_cursor(asked, Cursor(window, page.next_key))
    return list_answer(page.rows.text, window=window, next_cursor=next_cursor, **members)


def _form(request: Request, query: FormatQuery) -> Format:
    return query.chosen(request.headers.get("accept"))


def _given_limit(query: PageQuery | ByResourceQuery) -> int | None:
    return query.limit if "limit" in query.model_fields_set else None


def _download(request: Request, export: Exportable, form: Format) -> Response:
    endpoint = request.url.path.rsplit("/", 1)[-1]
    return stream(export, form, f"performance-{endpoint}")
