"""The web page beside the API: it answers browsers and never stands before a route."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from support.api import Api

from optiinfra_standalone.page import install_page, is_built

INDEX = "<!doctype html><title>OptiInfra</title>"
SCRIPT = "console.log('page')\n" * 100
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def api(tmp_path: Path) -> Api:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "favicon.svg").write_text("<svg/>")
    (tmp_path / "assets" / "index-a1b2c3.js").write_text(SCRIPT)
    routes = [
        Route(path, lambda _: PlainTextResponse("service"))
        for path in ("/api/v2/accounts", "/docs", "/health/live", "/metrics", "/openapi.json")
    ]
    app = Starlette(routes=routes)
    install_page(app, tmp_path)
    return Api(app)


@pytest.mark.parametrize("path", ["/", "/fleet", "/resources/acme/arn:aws:eks:x:1:cluster/a.b"])
def test_a_browser_gets_the_page_at_every_address(api: Api, path: str) -> None:
    answer = api.get(path, headers=BROWSER)
    assert answer.status_code == 200
    assert answer.text == INDEX
    assert answer.headers["cache-control"] == "no-cache"


def test_hashed_files_are_kept_and_compressed(api: Api) -> None:
    answer = api.get("/assets/index-a1b2c3.js")
    assert answer.text == SCRIPT
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert api.get("/favicon.svg").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path", ["/api/v2/accounts", "/docs", "/health/live", "/metrics", "/openapi.json"]
)
def test_no_route_is_shadowed(api: Api, path: str) -> None:
    assert api.get(path, headers=BROWSER).text == "service"
    assert api.post(path).status_code == 405
    assert api.get(f"{path}/nothing", headers=BROWSER).status_code == 404


def test_what_is_not_there_is_told_to_programs(api: Api) -> None:
    assert api.get("/nothing").status_code == 404
    assert api.get("/assets/gone.js").status_code == 404
    assert api.post("/fleet").status_code == 404


@pytest.mark.parametrize("path", ["/../secret", "/%2e%2e/secret", "/assets/..%2f..%2fsecret"])
def test_nothing_outside_its_folder_is_served(api: Api, tmp_path: Path, path: str) -> None:
    (tmp_path.parent / "secret").write_text("secret")
    assert "secret" not in api.get(path).text


def test_without_an_index_it_is_not_built(tmp_path: Path) -> None:
    assert not is_built(tmp_path)
