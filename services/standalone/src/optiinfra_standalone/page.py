"""The web page beside the API: the built files of services/dashboard."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

#: Where `make page` builds it.
PAGE = Path(__file__).resolve().parents[3] / "dashboard" / "dist"
#: First segments that are the services' own: what is not there is told by a problem document.
_SERVICES = {"api", "docs", "health", "metrics", "openapi.json", "redoc"}
_INDEX = "index.html"


def is_built(folder: Path) -> bool:
    """Whether there is a page to serve."""
    return (folder / _INDEX).is_file()


def install_page(app: Starlette, folder: Path) -> None:
    """Answer with the page where no route of the app does; routes come first, always."""
    app.router.default = _Page(folder, otherwise=app.router.default)


class _Page:
    """Files of the page, and its index for every address that a browser goes to."""

    def __init__(self, folder: Path, otherwise: ASGIApp) -> None:
        self._files = GZipMiddleware(_Files(directory=folder))
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asks = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if asks and scope["path"].split("/")[1] not in _SERVICES:
            await self._files(scope, receive, send)
        else:
            await self._otherwise(scope, receive, send)


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            response = await super().get_response(_INDEX if path == "." else path, scope)
        except HTTPException:
            # The page's router knows its addresses; programs are told that there is nothing.
            if "text/html" not in Headers(scope=scope).get("accept", ""):
                raise
            response = await super().get_response(_INDEX, scope)
        # A built file's name changes with its content; the index says which are current.
        hashed = path.startswith("assets/")
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if hashed else "no-cache"
        )
        return response
