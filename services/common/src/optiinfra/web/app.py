"""The application factory that every service is made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal

import structlog
from fastapi import APIRouter, Depends, FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response

from optiinfra.errors import OptiInfraError
from optiinfra.settings import Settings
from optiinfra.web.auth import Authentication, Directory, create_authenticator, create_guard
from optiinfra.web.documents import add_docs
from optiinfra.web.hardening import RequestBounds, SecurityHeaders
from optiinfra.web.problems import ProblemDocument, install_problem_handlers, problem_responses
from optiinfra.web.rates import create_rates
from optiinfra.web.telemetry import Measures, RequestTelemetry

log = structlog.get_logger()

#: By name, what must work before the service takes requests; raises when it does not.
Readiness = Mapping[str, Callable[[], None]]
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Live(BaseModel):
    """The process runs."""

    status: Literal["live"] = "live"


class Ready(BaseModel):
    """Whether requests can be answered; `not_ready` says what is away and why."""

    status: Literal["ready", "not_ready"]
    not_ready: dict[str, str] = {}


class Service(FastAPI):
    """FastAPI whose OpenAPI document knows problem documents and, where used, tokens."""

    needs_token = False

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            components = document.setdefault("components", {})
            schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas = components.setdefault("schemas", {})
            schemas |= schema.pop("$defs") | {"ProblemDocument": schema}
            if self.needs_token:
                components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
                document["security"] = [{"bearer": []}]
        return super().openapi()


def create_service(
    *,
    title: str,
    description: str,
    routers: Sequence[APIRouter],
    settings: Settings,
    readiness: Readiness,
    directory: Directory,
    lifespan: Lifespan | None = None,
    measures: Sequence[CollectorRegistry] = (),
) -> Service:
    """A service with these routers behind the guard, and what every service has.

    The routers' paths begin with `/api/`, where nothing is answered without a token. Every
    route answers its errors as problem documents, and documents them. `measures` are the
    service's own, shown beside those of its requests.
    """
    app = Service(
        title=title,
        description=description,
        version="2",
        lifespan=lifespan,
        docs_url=None,
        # Spans where a tracer is configured; measures and logs are our own.
        telemetry={"operation_spans": False, "metrics": False, "logs": False},
        redoc_url=None,
        # A redirect would name whatever host and scheme the request claims.
        redirect_slashes=False,
    )
    app.needs_token = settings.auth == "jwt"
    requests = Measures()
    # The innermost first. A token is asked for before any byte of a body is read.
    app.add_middleware(Authentication, authenticate=create_authenticator(settings))
    app.add_middleware(RequestBounds)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After", "Content-Disposition"],
        )
    app.add_middleware(RequestTelemetry, measures=requests)
    app.add_middleware(SecurityHeaders)
    install_problem_handlers(app)
    guard = create_guard(directory, create_rates(settings))
    for router in routers:
        app.include_router(
            router,
            dependencies=[Depends(guard)],
            responses=problem_responses(401, 403, 404, 413, 414, 422, 429, 431, 500, 503),
        )
    app.include_router(_operations(readiness, [requests.registry, *measures]))
    add_docs(app)
    return app


def _operations(readiness: Readiness, registries: Sequence[CollectorRegistry]) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/health/live", response_model=Live, summary="The process runs")
    async def live() -> Live:
        return Live()

    @router.get(
        "/health/ready",
        response_model=Ready,
        responses={503: {"model": Ready, "description": "Not ready"}},
        summary="Requests can be answered",
    )
    def ready() -> Response:
        away = {}
        for name, check in readiness.items():
            try:
                check()
            except OptiInfraError as error:
                away[name] = str(error)
            except Exception:  # readiness must answer whatever a dependency does
                log.exception("readiness_check_failed", dependency=name)
                away[name] = "failed; see the log"
        answer = Ready(status="not_ready" if away else "ready", not_ready=away)
        return JSONResponse(
            answer.model_dump(exclude_defaults=True),
            status_code=503 if away else 200,
            headers={"Retry-After": "5"} if away else None,
        )

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        summary="Measures for Prometheus",
    )
    def metrics() -> Response:
        text = b"".join(generate_latest(registry) for registry in registries)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return router
