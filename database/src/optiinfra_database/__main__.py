"""`python -m optiinfra_database`: bring the tables up to this version, and end."""

from __future__ import annotations

import structlog

from optiinfra.logging import configure_logging
from optiinfra.settings import load_settings
from optiinfra_database import connect, migrate


def main() -> None:
    """Apply what is pending and set the retention."""
    settings = load_settings()
    configure_logging(settings.log_format)
    store = connect(settings.store.get_secret_value())
    try:
        applied = migrate(store, retention_days=settings.retention_days)
    finally:
        store.close()
    log = structlog.get_logger()
    log.info("migrated", store=store.where, applied=[migration.name for migration in applied])


if __name__ == "__main__":
    main()
