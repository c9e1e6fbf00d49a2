"""The performance agent as a process of its own: `python -m performance_agent.main`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import APIRouter, FastAPI

from optiinfra.collector_client import CollectorClient
from optiinfra.logging import configure_logging
from optiinfra.settings import Settings, load_settings
from optiinfra.tracing import configure_tracing
from optiinfra.web.app import create_service
from optiinfra.web.process import serve
from optiinfra_database import Store, connect
from optiinfra_database.directory import Directory
from optiinfra_database.migrate import require_migrated
from performance_agent.api.performance_routes_v2 import create_router
from performance_agent.readers.coverage_reader import CoverageReader
from performance_agent.readers.performance_reader import PerformanceReader

PORT = 8002


def create_routers(settings: Settings, store: Store, collector: CollectorClient) -> list[APIRouter]:
    """The service's routes over this store, for its own app or for one that has more."""
    return [
        create_router(
            PerformanceReader(store),
            CoverageReader(store, settings.collect_interval),
            collector,
            settings.retention,
        )
    ]


def create_app(settings: Settings, store: Store, collector: CollectorClient) -> FastAPI:
    """The service over this store; it closes the collector client when it stops."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await collector.aclose()

    return create_service(
        title="OptiInfra performance agent",
        description="Performance metrics of customers' fleets, with their coverage.",
        routers=create_routers(settings, store, collector),
        settings=settings,
        readiness={"store": store.ping, "schema": partial(require_migrated, store)},
        directory=Directory(store),
        lifespan=lifespan,
    )


def main() -> None:
    """Serve until told to stop."""
    settings = load_settings()
    configure_logging(settings.log_format)
    configure_tracing("performance-agent")
    store = connect(settings.store.get_secret_value(), create_database=False)
    try:
        app = create_app(settings, store, CollectorClient(settings.data_collector_url))
        serve(app, settings, port=PORT)
    finally:
        store.close()


if __name__ == "__main__":
    main()
