"""Collection on this machine: a trigger followed to its end, runs, and what they were made of."""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import expect
from support.browser import OpenTab
from support.processes import Standalone

COLLECTION = "/collection?customer=local"


def test_a_trigger_is_followed_to_its_end(machine: Standalone, open_tab: OpenTab) -> None:
    tab = open_tab(machine.url + COLLECTION)
    page = tab.page
    page.get_by_label("What").select_option("Performance")
    page.get_by_role("button", name="Collect", exact=True).click()
    expect(page.get_by_role("status")).to_have_text(re.compile("of 1 run has ended"))
    expect(page.get_by_role("status")).to_have_text("1 of 1 run has ended")
    link = page.get_by_role("link", name="Performance of host/this-host")
    link.click()
    run_id = page.url.rpartition("run=")[2]
    run = httpx.get(f"{machine.url}/api/v2/collections/{run_id}").json()
    assert run["status"] == "succeeded"
    assert run["trigger"] == "request"
    scopes = page.get_by_role("region", name="Scopes of the run").get_by_role("row")
    expect(scopes).to_have_count(1 + len(run["scopes"]))
    expect(scopes.nth(1)).to_contain_text(run["scopes"][0]["scope"])
    expect(scopes.nth(1)).to_contain_text("Ok")
    runs = page.get_by_role("region", name="Runs", exact=True)
    expect(runs.get_by_role("row").filter(has_text="request")).to_have_count(1)
    tab.shot("collection-followed")


def test_runs_are_filtered_by_kind(machine: Standalone, open_tab: OpenTab) -> None:
    page = open_tab(machine.url + COLLECTION).page
    runs = page.get_by_role("region", name="Runs", exact=True).get_by_role("row")
    expect(runs).to_have_count(3)
    page.get_by_role("button", name="Resources", exact=True).click()
    expect(runs).to_have_count(2)
    expect(runs.nth(1)).to_contain_text("Resources")
    expect(page).to_have_url(re.compile("kind=resources"))


def test_a_run_that_is_not_there_is_told(machine: Standalone, open_tab: OpenTab) -> None:
    page = open_tab(f"{machine.url}{COLLECTION}&run=nothing").page
    expect(page.get_by_role("alert")).to_contain_text("no such run")
    page.get_by_role("button", name="Close this run").click()
    expect(page.get_by_role("alert")).to_have_count(0)
