"""`/api/v2/resources`: the inventory, what is known of one resource, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from optiinfra.collector_client import CollectorClient
from optiinfra.domain import Kind, Window, iso
from optiinfra.web.answers import list_answer, object_answer
from optiinfra.web.auth import ALL_PROVIDERS, Access, CurrentAccess
from optiinfra.web.formats import Exportable, Format, format_responses, stream
from optiinfra.web.paging import Cursor, PageQuery, decode_cursor, encode_cursor, question
from optiinfra.web.problems import Problem, problem_responses
from optiinfra.web.triggers import TriggerAnswer, TriggerRequest, trigger_collection
from resource_agent.api.answers import (
    Resource,
    ResourceChanges,
    Resources,
    ResourcesByType,
    ResourceSummary,
)
from resource_agent.api.queries import (
    ByTypeQuery,
    ChangesQuery,
    ListQuery,
    MomentQuery,
    SummaryQuery,
)
from resource_agent.readers.resource_reader import Key, ResourceReader
from resource_agent.readers.selection import Owner

_SCOPE = "/{customer_id}/{provider}"
_RESOURCE_KEY = (str, str)
_CHANGE_KEY = (int, str, str, str, int)
_PAGED = problem_responses(400) | format_responses()
_EPOCH = datetime.fromtimestamp(0, UTC)


def create_router(
    reader: ResourceReader, collector: CollectorClient, retention: timedelta
) -> APIRouter:
    """The routes; `retention` bounds what may be asked for."""
    router = APIRouter(prefix="/api/v2/resources", tags=["resources"])
    _add_trigger(router, collector)
    _add_list(router, reader, retention)
    _add_groups(router, reader, retention)
    _add_changes(router, reader, retention)
    # An id may hold anything, slashes and the names of endpoints included: last.
    _add_one(router, reader, retention)
    return router


def _add_trigger(router: APIRouter, collector: CollectorClient) -> None:
    @router.post(
        "/trigger-collection",
        status_code=202,
        response_model=TriggerAnswer,
        responses=problem_responses(400),
        summary="List resources now",
    )
    async def trigger(
        request: Request, body: TriggerRequest, access: CurrentAccess
    ) -> TriggerAnswer:
        """Starts a run per account and answers at once. Needs the role member.

        While a run of the same account is going, its id is answered.
        """
        return await trigger_collection(request, body, Kind.RESOURCES, access, collector)


def _add_list(router: APIRouter, reader: ResourceReader, retention: timedelta) -> None:
    @router.get(
        f"{_SCOPE}/list", response_model=Resources, responses=_PAGED, summary="The inventory"
    )
    def resources(
        request: Request,
        customer_id: str,
        provider: str,
        query: Annotated[ListQuery, Query()],
        access: CurrentAccess,
    ) -> Response:
        """What is there now or was there at a moment, in order of id.

        A resource is there until a complete listing of its scope lacks it.
        """
        asked, cursor = _cursor(request, query, _RESOURCE_KEY)
        as_of = query.moment(retention)
        owner = _owner(access, customer_id, provider)
        form = query.chosen(request.headers.get("accept"))
        if form is not Format.JSON:
            export = reader.export_resources(
                owner,
                query.filters(),
                limit=_given_limit(query),
                as_of=as_of,
                include_deleted=query.include_deleted,
            )
            return _download(request, export, form)
        page = reader.get_resources(
            owner,
            query.filters(),
            limit=query.limit,
            as_of=as_of,
            include_deleted=query.include_deleted,
            after=cursor.key if cursor else None,
        )
        moment = cursor.window.end if cursor else as_of or datetime.now(UTC)
        return list_answer(
            page.rows.text,
            next_cursor=_next_cursor(asked, Window(_EPOCH, moment), page.next_key),
            start=None,
            end=iso(moment),
        )


def _add_groups(router: APIRouter, reader: ResourceReader, retention: timedelta) -> None:
    @router.get(
        f"{_SCOPE}/by-type", response_model=ResourcesByType, summary="The inventory by type"
    )
    def by_type(
        customer_id: str,
        provider: str,
        query: Annotated[ByTypeQuery, Query()],
        access: CurrentAccess,
    ) -> Response:
        """What is there now: per type the counts, and the first `limit` resources by id."""
        owner = _owner(access, customer_id, provider)
        rows = reader.get_resources_by_type(owner, query.resource_type, limit=query.limit)
        return list_answer(rows.text)

    @router.get(
        f"{_SCOPE}/summary", response_model=ResourceSummary, summary="The inventory in numbers"
    )
    def in_numbers(
        customer_id: str,
        provider: str,
        query: Annotated[SummaryQuery, Query()],
        access: CurrentAccess,
    ) -> Response:
        """Counts by type, status, region and provider, and totals, of what `list` answers to
        the same filters.

        Totals leave out what is terminated or gone, and count nothing twice: vCPUs and memory are
        those of compute instances, hosts and databases; storage is that of databases and of
        storage volumes that are no filesystem on another volume.
        """
        summary = reader.get_resource_summary(
            _owner(access, customer_id, provider),
            query.filters(),
            as_of=query.moment(retention),
            include_deleted=query.include_deleted,
        )
        return object_answer(summary.text)


def _add_changes(router: APIRouter, reader: ResourceReader, retention: timedelta) -> None:
    @router.get(
        f"{_SCOPE}/changes",
        response_model=ResourceChanges,
        responses=_PAGED,
        summary="What changed",
    )
    def changes(
        request: Request,
        customer_id: str,
        provider: str,
        query: Annotated[ChangesQuery, Query()],
        access: CurrentAccess,
    ) -> Response:
        """Newest first. A change happened between `since` and `timestamp`: the two complete
        listings that differ."""
        asked, cursor = _cursor(request, query, _CHANGE_KEY)
        window = cursor.window if cursor else query.window(retention)
        owner = _owner(access, customer_id, provider)
        form = query.chosen(request.headers.get("accept"))
        if form is not Format.JSON:
            export = reader.export_resource_changes(
                owner, window, query.filters(), limit=_given_limit(query)
            )
            return _download(request, export, form)
        page = reader.get_resource_changes(
            owner,
            window,
            query.filters(),
            limit=query.limit,
            after=cursor.key if cursor else None,
        )
        return list_answer(
            page.rows.text,
            window=window,
            next_cursor=_next_cursor(asked, window, page.next_key),
        )


def _add_one(router: APIRouter, reader: ResourceReader, retention: timedelta) -> None:
    @router.get(f"{_SCOPE}/{{resource_id:path}}", response_model=Resource, summary="One resource")
    def resource(
        customer_id: str,
        provider: str,
        resource_id: str,
        query: Annotated[MomentQuery, Query()],
        access: CurrentAccess,
    ) -> Response:
        """The last known state, also of a resource that is gone, or the state at a moment.

        The id may hold slashes. With the provider `all`, an id that several providers know
        is answered from the one that saw it last.
        """
        found = reader.get_resource_by_id(
            _owner(access, customer_id, provider), resource_id, as_of=query.moment(retention)
        )
        if not found:
            when = " at that moment" if query.as_of else ""
            raise Problem(404, "Not Found", f"There is no resource {resource_id!r}{when}.")
        return object_answer(found.text)


def _owner(access: Access, customer_id: str, provider: str) -> Owner:
    providers: Sequence[str] = [provider]
    if provider == ALL_PROVIDERS:
        providers = access.directory.providers(customer_id)
    return Owner(customer_id, providers)


def _cursor(
    request: Request, query: PageQuery, key_types: Sequence[type]
) -> tuple[bytes, Cursor | None]:
    asked = question(request.url.path, query)
    if query.cursor is None:
        return asked, None
    return asked, decode_cursor(asked, query.cursor, key_types)


def _next_cursor(asked: bytes, window: Window, next_key: Key | None) -> str | None:
    return encode_cursor(asked, Cursor(window, next_key)) if next_key else None


def _given_limit(query: PageQuery) -> int | None:
    return query.limit if "limit" in query.model_fields_set else None


def _download(request: Request, export: Exportable, form: Format) -> Response:
    endpoint = request.url.path.rsplit("/", 1)[-1]
    return stream(export, form, f"resources-{endpoint}")
