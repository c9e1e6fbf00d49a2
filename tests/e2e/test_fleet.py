"""The fleet: every customer with its providers, what keeps one back, and the way to the cause."""

from __future__ import annotations

import re

from playwright.sync_api import expect
from support.browser import OpenTab


def test_every_customer_is_there_with_its_providers_and_how_fresh_they_are(
    clouds: str, open_tab: OpenTab
) -> None:
    page = open_tab(clouds).page
    for name in ("acme", "globex", "initech", "local"):
        expect(page.get_by_role("heading", name=name)).to_be_visible()
    acme = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="acme"))
    for provider in ("AWS", "Google Cloud"):
        row = acme.get_by_role("listitem").filter(has_text=provider)
        expect(row).to_contain_text("Fresh")
        expect(row).to_contain_text(re.compile(r"[1-9]\d* resources"))


def test_a_refusal_is_told_and_leads_to_the_scopes(clouds: str, open_tab: OpenTab) -> None:
    page = open_tab(clouds).page
    page.get_by_role("link", name=re.compile("may not read it")).click()
    expect(page).to_have_url(re.compile(r"/collection\?.*customer=initech"))
    page.get_by_role("table").first.get_by_role("link", name="Partial").first.click()
    scopes = page.get_by_role("region", name="Scopes of the run")
    expect(scopes.get_by_role("row").filter(has_text="Denied").first).to_contain_text("403")


def test_customers_are_found_by_a_part_of_their_name(clouds: str, open_tab: OpenTab) -> None:
    page = open_tab(clouds).page
    page.get_by_role("searchbox", name="Find a customer").fill("GLO")
    expect(page.get_by_role("heading", level=3)).to_have_text(["globex"])
    page.get_by_role("searchbox", name="Find a customer").fill("nobody")
    expect(page.get_by_text("No customer is called so")).to_be_visible()


def test_movers_lead_to_their_chart(clouds: str, open_tab: OpenTab) -> None:
    page = open_tab(f"{clouds}/?timeframe=6h").page
    movers = page.get_by_role("region", name="Top movers").get_by_role("row")
    mover = movers.nth(1).get_by_role("link")
    name = mover.inner_text()
    mover.click()
    expect(page).to_have_url(re.compile(r"/performance\?.*timeframe=6h.*resource="))
    expect(page.get_by_role("heading", name="CPU utilization, one resource")).to_be_visible()
    expect(page.get_by_role("checkbox", name=name, exact=True)).to_be_checked()


def test_the_keyboard_reaches_everything_in_order(clouds: str, open_tab: OpenTab) -> None:
    page = open_tab(clouds).page
    expect(page.get_by_role("heading", name="acme")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("searchbox", name="Find a customer")).to_be_focused()
    page.get_by_role("link", name="Collection").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Collection")
    expect(page.locator("#page")).to_be_focused()
