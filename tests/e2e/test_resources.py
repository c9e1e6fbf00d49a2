"""Resources: filters stand in the URL and count what they leave; one resource tells its links,
its metrics and its changes, whatever its id looks like.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from support.browser import OpenTab, Theme
from support.inventory_fleet import ARN, AZURE_VM, MACHINE
from support.processes import Standalone, environment, standalone

COUNT = 2000
ACME = "/resources?customer=acme"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def fleet(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """Standalone over a store with many resources and their past."""
    folder = tmp_path_factory.mktemp("fleet")
    filling = [sys.executable, "-m", "support.inventory_fleet", str(folder), f"--resources={COUNT}"]
    subprocess.run(filling, env=environment(folder), check=True, timeout=120)
    with standalone(folder) as server:
        yield server


def parameters(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def shown(page: Page, count: int) -> None:
    """Wait until the page says how many resources it speaks of."""
    noun = "resource" if count == 1 else "resources"
    told = page.get_by_role("status").filter(has_text=re.compile(rf"^{count:,} {noun}"))
    expect(told).to_be_visible()


def rows(page: Page) -> int:
    return page.get_by_role("table", name="Resources").locator("tbody tr[aria-rowindex]").count()


def test_filters_stand_in_the_url_and_say_what_they_leave(
    fleet: Standalone, open_tab: OpenTab
) -> None:
    tab = open_tab(fleet.url + ACME)
    page = tab.page
    shown(page, COUNT - 1)
    kinds = page.get_by_role("group", name="Type")
    expect(kinds.get_by_text(re.compile(r"Database\s*39$"))).to_be_visible()
    kinds.get_by_label("Database").check()
    shown(page, 39)
    # Counts of a facet are of what its other values would show.
    expect(kinds.get_by_text(re.compile(r"Load balancer\s*1$"))).to_be_visible()
    expect(page.get_by_role("group", name="Status").get_by_role("checkbox")).to_have_count(1)
    page.get_by_label("Tag", exact=True).fill("env")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("alert")).to_contain_text("key:value")
    page.get_by_label("Tag", exact=True).fill("env:staging")
    page.get_by_role("button", name="Add").click()
    shown(page, 13)
    asked = parameters(page)
    assert (asked["resource_type"], asked["tag"]) == (["database"], ["env:staging"])
    tab.shot("resources-filtered")
    page.reload()
    shown(page, 13)
    expect(kinds.get_by_label("Database")).to_be_checked()
    page.go_back()
    shown(page, 39)
    page.get_by_role("button", name="Remove the filter Database").click()
    shown(page, COUNT - 1)


def test_names_are_found_and_nothing_says_what_to_do(fleet: Standalone, open_tab: OpenTab) -> None:
    page = open_tab(fleet.url + ACME).page
    page.get_by_label("Name or id").fill("SHOP-1")
    expect(page).to_have_url(re.compile("q=SHOP-1"))
    page.get_by_label("Name or id").fill("no such thing")
    expect(page.get_by_text("Nothing matches these filters")).to_be_visible()
    shown(page, 0)
    page.get_by_role("button", name="Clear filters").first.click()
    shown(page, COUNT - 1)
    expect(page.get_by_label("Name or id")).to_have_value("")


def test_what_is_gone_and_what_was_are_shown_when_asked_for(
    fleet: Standalone, open_tab: OpenTab
) -> None:
    page = open_tab(f"{fleet.url}{ACME}&resource_type=storage_volume").page
    there = (COUNT - 2) // 2 - 1
    shown(page, there)
    page.get_by_label("Also what is gone").check()
    shown(page, there + 1)
    expect(page).to_have_url(re.compile("include_deleted=true"))
    began = fleet.get(f"/api/v2/resources/acme/aws/{MACHINE}").json()["first_seen"]
    page.goto(f"{fleet.url}{ACME}&resource_type=storage_volume&as_of={began}")
    shown(page, there + 1)
    expect(page.get_by_label("Also what is gone")).to_be_disabled()


def test_scrolling_asks_for_pages_and_keeps_few_rows(fleet: Standalone, open_tab: OpenTab) -> None:
    page = open_tab(fleet.url + ACME).page
    shown(page, COUNT - 1)
    last = page.locator(f"tr[aria-rowindex='{COUNT}']")
    most = 0
    for _ in range(60):
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        expect(page.locator("tbody tr[aria-rowindex]").first).to_be_visible()
        most = max(most, rows(page))
        if last.count():
            break
        page.wait_for_load_state("networkidle")
    expect(last).to_be_visible()
    assert most < 60
    expect(page.get_by_role("table", name="Resources")).to_have_attribute(
        "aria-rowcount", str(COUNT)
    )


def test_rows_are_gone_through_with_the_keyboard(fleet: Standalone, open_tab: OpenTab) -> None:
    page = open_tab(fleet.url + ACME).page
    links = page.get_by_role("table", name="Resources").get_by_role("link")
    links.first.focus()
    for _ in range(40):
        page.keyboard.press("ArrowDown")
    focused = "document.activeElement.closest('tr')?.getAttribute('aria-rowindex')"
    assert page.evaluate(focused) == "42"
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused) == "41"
    name = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Resources")


def test_the_csv_holds_all_that_the_filters_leave(fleet: Standalone, open_tab: OpenTab) -> None:
    page = open_tab(f"{fleet.url}{ACME}&status=stopped").page
    expect(page.get_by_role("table", name="Resources")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == "acme-resources.csv"
    with Path(download.value.path()).open(newline="") as text:
        found = list(csv.DictReader(text))
    shown(page, len(found))
    assert {row["status"] for row in found} == {"stopped"}


@pytest.mark.parametrize(("resource_id", "name"), [(AZURE_VM, "shop-1"), (ARN, "shop")])
def test_an_id_may_hold_slashes(
    fleet: Standalone, open_tab: OpenTab, resource_id: str, name: str
) -> None:
    page = open_tab(f"{fleet.url}{ACME}&q={quote(resource_id, safe='')}").page
    page.get_by_role("table", name="Resources").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    assert unquote(urlsplit(page.url).path) == f"/resources/{resource_id}"
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page.get_by_text(resource_id).first).to_be_visible()


def test_a_resource_tells_its_links_its_metrics_and_its_changes(
    fleet: Standalone, open_tab: OpenTab
) -> None:
    tab = open_tab(f"{fleet.url}/resources/{MACHINE}?customer=acme")
    page = tab.page
    expect(page.get_by_role("img", name="CPU utilization over time")).to_be_visible()
    expect(page.get_by_role("img", name="over time")).to_have_count(2)
    expect(page.get_by_text("m5.2xlarge").first).to_be_visible()
    expect(page.locator("del").filter(has_text="m5.xlarge")).to_be_visible()
    expect(page.locator("ins").filter(has_text="m5.2xlarge")).to_be_visible()
    with page.expect_download() as picture:
        page.get_by_role("button", name="Save CPU utilization as a picture").click()
    assert Path(picture.value.path()).read_bytes().startswith(PNG)
    page.get_by_role("link", name="search-0-root").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("search-0-root")
    expect(page.get_by_text("No metrics in this time")).to_be_visible()
    page.get_by_role("link", name="shop-0").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("shop-0")
    page.get_by_role("link", name="env:staging").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Resources")
    assert parameters(page)["tag"] == ["env:staging"]


@pytest.mark.parametrize(("theme", "phone"), [("light", False), ("dark", False), ("light", True)])
def test_a_resource_is_open_to_everybody(
    fleet: Standalone, open_tab: OpenTab, theme: Theme, phone: bool
) -> None:
    tab = open_tab(f"{fleet.url}/resources/{MACHINE}?customer=acme", theme=theme, phone=phone)
    expect(tab.page.get_by_role("img", name="CPU utilization over time")).to_be_visible()
    expect(tab.page.locator("del").first).to_be_visible()
    tab.shot(f"resource-{'phone' if phone else theme}")
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert tab.page.evaluate(overflow) == 0
    assert tab.serious_violations() == []


def test_a_resource_that_is_not_there_says_where_to_look(
    fleet: Standalone, open_tab: OpenTab
) -> None:
    page = open_tab(f"{fleet.url}/resources/i-none?customer=acme").page
    expect(page.get_by_text("There is no such resource")).to_be_visible()
    page.get_by_role("link", name="See all resources").click()
    shown(page, COUNT - 1)


def test_changes_are_narrowed_and_lead_to_their_resource(
    fleet: Standalone, open_tab: OpenTab
) -> None:
    page = open_tab(f"{fleet.url}/changes?customer=acme").page
    expect(page.get_by_role("heading", level=2).first).to_contain_text(
        re.compile("Today|Yesterday")
    )
    page.get_by_role("button", name="Show older changes").click()
    kinds = page.get_by_role("group", name="What happened")
    kinds.get_by_role("button", name="Status changed").click()
    entries = page.locator("main section li")
    expect(entries).to_have_count(1)
    expect(entries).to_contain_text("Running")
    kinds.get_by_role("button", name="Config changed").click()
    expect(entries).to_have_count(2)
    assert parameters(page)["change"] == ["status_changed", "config_changed"]
    expect(entries.locator("time").first).to_have_attribute("title", re.compile("UTC"))
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert len(Path(download.value.path()).read_text().strip().splitlines()) == 3
    page.get_by_label("Type of resource").select_option("Database")
    expect(page.get_by_text("No such change in this time")).to_be_visible()
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_role("button", name="Config changed").click()
    page.get_by_role("link", name="shop-0").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("shop-0")


def test_a_slow_list_shows_that_it_is_on_its_way(fleet: Standalone, open_tab: OpenTab) -> None:
    tab = open_tab()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    tab.page.route("**/list?*", hold)
    tab.page.goto(fleet.url + ACME)
    expect(tab.page.get_by_role("status").filter(has_text="Loading resources")).to_be_visible()
    shown(tab.page, COUNT - 1)
    for route in held:
        route.continue_()
    tab.page.unroute("**/list?*")
    expect(tab.page.get_by_role("table", name="Resources")).to_be_visible()


@pytest.mark.parametrize("path", [ACME, "/changes?customer=acme"])
def test_a_store_that_is_away_is_told_and_asked_again(
    fleet: Standalone, open_tab: OpenTab, path: str
) -> None:
    tab = open_tab()
    away = {"title": "Service Unavailable", "status": 503, "detail": "The store does not answer."}
    address = "**/api/v2/resources/**"
    tab.page.route(
        address,
        lambda route: route.fulfill(
            status=503, body=json.dumps(away), content_type="application/problem+json"
        ),
    )
    tab.page.goto(fleet.url + path)
    # The page asks twice more before it says so.
    told = expect(tab.page.get_by_role("alert"))
    told.to_contain_text("The store does not answer.", timeout=15_000)
    tab.page.unroute(address)
    tab.page.get_by_role("button", name="Try again").click()
    expect(tab.page.get_by_role("alert")).to_have_count(0)
    expect(tab.page.get_by_text("shop-1").first).to_be_visible()
