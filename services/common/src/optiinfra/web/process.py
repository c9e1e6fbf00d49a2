"""A service as a process of its own."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI

from optiinfra.settings import Settings


def serve(app: FastAPI, settings: Settings, *, port: int) -> None:
    """Answer requests until told to stop; `port` is the service's own, unless PORT is set."""
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port or port,
        log_config=None,
        access_log=False,
    )
