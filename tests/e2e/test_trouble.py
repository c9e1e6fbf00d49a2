"""When things go wrong: no token, an old one, one that may not, no API, a slow one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Route, expect
from pydantic import SecretStr
from support.browser import OpenTab, Tab
from support.processes import Standalone, standalone

from optiinfra.settings import Settings
from optiinfra.web.auth import Role, issue_token

SECRET = "tests-only-signing-key-" + "0" * 16


def token(role: Role = Role.MEMBER, *, lifetime: timedelta = timedelta(hours=1)) -> str:
    settings = Settings(auth="jwt", jwt_secret=SecretStr(SECRET))
    return issue_token(settings, customers=["local"], role=role, subject="e2e", lifetime=lifetime)


@pytest.fixture(scope="module")
def guarded(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of standalone with authentication, this machine collected once."""
    folder = tmp_path_factory.mktemp("guarded")
    with standalone(folder, auth="jwt", jwt_secret=SECRET) as server:
        headers = {"Authorization": f"Bearer {token()}"}
        latest = "/api/v2/performance/local/host/latest"
        while not server.get(latest, headers=headers).json()["data"]:
            pass  # the first collection comes by itself
        yield server.url


def sign_in(tab: Tab, text: str) -> None:
    tab.page.get_by_label("Token").fill(text)
    tab.page.get_by_role("button", name="Sign in").click()


def test_a_token_is_asked_for_and_brings_back_the_same_page(
    guarded: str, open_tab: OpenTab
) -> None:
    tab = open_tab(f"{guarded}/performance?customer=local&timeframe=6h")
    expect(tab.page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(tab.page.get_by_role("alert")).to_contain_text("Send a token")
    assert tab.serious_violations() == []
    tab.shot("sign-in")
    sign_in(tab, "nonsense")
    expect(tab.page.get_by_role("alert")).to_contain_text("not valid")
    sign_in(tab, token())
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Performance")
    assert tab.page.url == f"{guarded}/performance?customer=local&timeframe=6h"
    assert "eyJ" not in tab.page.url
    tab.page.reload()
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Performance")
    tab.page.get_by_role("button", name="Sign out").click()
    expect(tab.page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert tab.page.evaluate("JSON.stringify(sessionStorage)").count("eyJ") == 0


def test_an_expired_token_says_so(guarded: str, open_tab: OpenTab) -> None:
    tab = open_tab(guarded)
    sign_in(tab, token())
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Fleet")
    old = token(lifetime=timedelta(hours=-1))
    tab.page.evaluate("old => sessionStorage.setItem('optiinfra.token', old)", old)
    tab.page.goto(f"{guarded}/collection?customer=local")
    expect(tab.page.get_by_role("alert")).to_have_text("The token has expired.")
    tab.shot("token-expired")
    sign_in(tab, token())
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Collection")


def test_who_may_not_collect_is_told(guarded: str, open_tab: OpenTab) -> None:
    tab = open_tab(f"{guarded}/collection?customer=local")
    sign_in(tab, token(Role.VIEWER))
    tab.page.get_by_role("button", name="Collect", exact=True).click()
    expect(tab.page.get_by_role("alert")).to_contain_text("needs the role member")


def test_another_customer_is_told_and_can_be_left(guarded: str, open_tab: OpenTab) -> None:
    tab = open_tab(f"{guarded}/performance?customer=acme")
    sign_in(tab, token())
    expect(tab.page.get_by_role("alert")).to_contain_text("Pick another customer")
    tab.page.get_by_label("Customer").select_option("local")
    expect(tab.page.get_by_role("heading", name="CPU utilization")).to_be_visible()


def test_an_api_that_is_away_is_told_and_found_again(tmp_path: Path, open_tab: OpenTab) -> None:
    with standalone(tmp_path) as server:
        tab = open_tab(f"{server.url}/collection?customer=local")
        expect(tab.page.get_by_role("region", name="Runs", exact=True)).to_be_visible()
        server.stop()
        tab.page.get_by_role("link", name="Performance").first.click()
        expect(tab.page.get_by_role("alert").first).to_contain_text("The API is away")
        tab.shot("api-away")
    with standalone(tmp_path) as again:
        # Another port now: the same tab goes there as if its own address had come back.
        tab.page.route(f"{server.url}/api/**", lambda route: _elsewhere(route, again))
        expect(tab.page.get_by_role("heading", name="CPU utilization")).to_be_visible(
            timeout=30_000
        )
        expect(tab.page.get_by_role("alert")).to_have_count(0, timeout=30_000)


def _elsewhere(route: Route, server: Standalone) -> None:
    address = re.sub(r"http://[^/]+", server.url, route.request.url)
    found = httpx.get(address)
    route.fulfill(status=found.status_code, body=found.content, headers=dict(found.headers))


def test_a_slow_answer_shows_that_it_is_on_its_way(machine: Standalone, open_tab: OpenTab) -> None:
    tab = open_tab()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    tab.page.route("**/trends?*", hold)
    tab.page.goto(f"{machine.url}/performance?customer=local")
    expect(tab.page.get_by_role("status").filter(has_text="Loading the chart")).to_be_visible()
    # The rest of the page does not wait for it.
    expect(tab.page.get_by_role("region", name="Resources by this metric")).to_be_visible()
    tab.shot("slow")
    for route in held:
        route.continue_()
    tab.page.unroute("**/trends?*")
    expect(tab.page.get_by_role("img", name="over time").locator("canvas")).to_be_visible()
