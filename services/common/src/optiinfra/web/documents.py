"""`/docs`: the OpenAPI document to read and to try, without a word from another origin."""

from __future__ import annotations

from html import escape

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="/docs/assets/favicon-32x32.png">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
# A file of its own, so that the page needs no inline script.
_START = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true});\n'
# Swagger UI styles its elements inline.
_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def add_docs(app: FastAPI) -> None:
    """Serve the app's document at `/docs`, with the Swagger UI that is installed beside it."""

    async def page(_: Request) -> Response:
        text = _PAGE.format(title=escape(app.title))
        return HTMLResponse(text, headers={"Content-Security-Policy": _POLICY})

    async def start(_: Request) -> Response:
        return Response(_START, media_type="text/javascript")

    app.router.routes += [
        Route("/docs", page),
        Route("/docs/start.js", start),
        Mount("/docs/assets", StaticFiles(packages=[("fastapi_swagger", "resources")])),
    ]
