"""Every service, the worker and beat in one process and on one port."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn
from starlette.types import Receive, Scope, Send

from data_collector import tasks
from data_collector.api.collection_routes import create_router
from data_collector.celery_app import InProcess, waiting_tasks
from data_collector.runtime import Runtime, build_runtime, use_runtime
from data_collector.telemetry import collector_registry
from optiinfra.collector_client import CollectorClient
from optiinfra.errors import ConfigError
from optiinfra.settings import Settings
from optiinfra.web.app import Lifespan, Service, create_service
from optiinfra.web.process import SERVER_OPTIONS
from optiinfra_database import connect, migrate
from optiinfra_standalone.page import PAGE, install_page, is_built
from performance_agent.main import create_routers as performance_routers
from resource_agent.main import create_routers as resource_routers

PORT = 8000
#: Collections under way at once; they wait for the network most of the time.
CONCURRENCY = 8
#: From Ctrl-C to the exit, at most: for requests, then for collections under way. What is
#: cut off is collected again.
REQUESTS_SECONDS = 1
COLLECTIONS_SECONDS = 3


def serve(settings: Settings, *, on_ready: Callable[[str], None]) -> None:
    """Run until SIGINT or SIGTERM. `on_ready` gets the address once it answers.

    Raises ConfigError when the port is taken, StoreError when the store cannot be used.
    """
    port = settings.port or PORT
    listener = _listen(settings.host, port)
    store = connect(settings.store.get_secret_value())
    try:
        migrate(store, retention_days=settings.retention_days)
        runtime = build_runtime(settings, store)
        use_runtime(runtime)
        runtime.announce_accounts()
        workers = InProcess(settings, concurrency=CONCURRENCY)

        @asynccontextmanager
        async def lifespan(_app: object) -> AsyncIterator[None]:
            workers.start()
            # The inventory first: clouds that are asked about resources by id need it.
            tasks.collect_resource_data_task.apply_async(args=("startup",))
            tasks.collect_performance_data_task.apply_async(args=("startup",))
            on_ready(f"http://{settings.host}:{port}")
            yield
            workers.stop(COLLECTIONS_SECONDS)

        config = uvicorn.Config(
            create_app(runtime, lifespan=lifespan),
            timeout_graceful_shutdown=REQUESTS_SECONDS,
            **SERVER_OPTIONS,
        )
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        use_runtime(None)
        listener.close()
        store.close()


def create_app(runtime: Runtime, lifespan: Lifespan | None = None, page: Path = PAGE) -> Service:
    """One app with the routes of every service, and the web page where it is built.

    Triggers go to the collector over HTTP as everywhere; here the wire is the app itself.
    """
    itself = _Loopback()
    collector = CollectorClient("http://standalone", transport=httpx.ASGITransport(app=itself))
    app = create_service(
        title="OptiInfra",
        description="Performance and inventory of every customer on every cloud.",
        routers=[
            *performance_routers(runtime.settings, runtime.store, collector),
            *resource_routers(runtime.settings, runtime.store, collector),
            create_router(runtime),
        ],
        settings=runtime.settings,
        readiness={"store": runtime.store.ping, "accounts": runtime.accounts.check},
        directory=runtime.directory,
        lifespan=lifespan,
        measures=[collector_registry(runtime, waiting_tasks)],
    )
    if is_built(page):
        install_page(app, page)
    itself.app = app
    return app


class _Loopback:
    """The app before it exists: its own routes need a client of it."""

    app: Service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def _listen(host: str, port: int) -> socket.socket:
    """The listening socket, taken before the store is: a taken port changes nothing."""
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
        # asyncio does this only for sockets that it makes itself; without it an answer of
        # two segments waits for the client's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port} ({error.strerror}); stop what uses that port or "
            "set OPTIINFRA_PORT"
        ) from error
