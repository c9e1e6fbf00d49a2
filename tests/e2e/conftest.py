"""A real browser before real processes of the product."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from support.browser import NAMES, OpenTab, installed, launch
from support.demo import collected, demo
from support.processes import Standalone, standalone

from optiinfra_standalone.page import PAGE, is_built


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not installed():
        pytest.skip(f"no browser is installed: none of {', '.join(NAMES)}")
    if not is_built(PAGE):
        pytest.skip("the page is not built; make page builds it")
    with sync_playwright() as playwright:
        chromium = launch(playwright)
        yield chromium
        chromium.close()


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[OpenTab]:
    """Opens tabs of their own; a script error or a violated policy in one fails the test."""
    with OpenTab(browser) as opened:
        yield opened
    for tab in opened.tabs:
        assert tab.complaints == []


@pytest.fixture(scope="session")
def clouds(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `make demo`, every cloud collected once."""
    with demo(tmp_path_factory.mktemp("demo"), resources=60) as server:
        for customer_id in ("acme", "globex", "local"):
            _until_collected(server, customer_id)
        yield server.url


@pytest.fixture
def machine(browser: Browser, tmp_path: Path) -> Iterator[Standalone]:
    """This machine, collected once."""
    with standalone(tmp_path) as server:
        _until_collected(server, "local")
        yield server


def _until_collected(server: Standalone, customer_id: str) -> None:
    providers = {
        one["provider"] for one in server.get(f"/api/v2/accounts/{customer_id}").json()["data"]
    }
    wanted = {(one, kind) for one in providers for kind in ("performance", "resources")}
    while not collected(server, customer_id) >= wanted:
        time.sleep(0.2)  # polling as the API means it
