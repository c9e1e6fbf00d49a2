"""The data collector's REST API as a process of its own."""

from __future__ import annotations

from data_collector.api.collection_routes import create_router
from data_collector.celery_app import waiting_tasks
from data_collector.runtime import Runtime, build_runtime, use_runtime
from data_collector.telemetry import collector_registry
from optiinfra.logging import configure_logging
from optiinfra.settings import load_settings
from optiinfra.tracing import configure_tracing
from optiinfra.web.app import Service, create_service
from optiinfra.web.process import serve
from optiinfra_database import connect, migrate

PORT = 8005


def create_app(runtime: Runtime) -> Service:
    """The API over a runtime whose store is migrated."""
    return create_service(
        title="OptiInfra data collector",
        description="Starts collections and tells what came of them.",
        routers=[create_router(runtime)],
        settings=runtime.settings,
        readiness={"store": runtime.store.ping, "accounts": runtime.accounts.check},
        directory=runtime.directory,
        measures=[collector_registry(runtime, waiting_tasks)],
    )


def main() -> None:
    """Migrate, announce the accounts and serve until stopped."""
    settings = load_settings()
    configure_logging(settings.log_format)
    configure_tracing("data-collector")
    store = connect(settings.store.get_secret_value())
    migrate(store, retention_days=settings.retention_days)
    runtime = build_runtime(settings, store)
    use_runtime(runtime)
    runtime.announce_accounts()
    serve(create_app(runtime), settings, port=PORT)


if __name__ == "__main__":
    main()
