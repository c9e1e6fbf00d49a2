"""Performance: what is chosen stands in the URL; gaps have reasons; what is shown can be taken."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect
from support.browser import OpenTab

ACME = "/performance?customer=acme"
PNG = b"\x89PNG\r\n\x1a\n"


def chart(page: Page) -> None:
    """Wait until lines are drawn."""
    expect(page.get_by_role("img", name="over time").locator("canvas")).to_be_visible()


def parameters(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_the_metric_and_the_resources_are_kept_in_the_url(clouds: str, open_tab: OpenTab) -> None:
    page = open_tab(clouds + ACME).page
    chart(page)
    page.get_by_role("combobox", name="Metric").select_option(
        "compute_instance/network_in_bytes_per_sec"
    )
    expect(page.get_by_role("heading", name="Network in bytes per second, all")).to_be_visible()
    boxes = page.get_by_role("region", name="Resources by this metric").get_by_role("checkbox")
    boxes.nth(0).check()
    expect(page.get_by_role("heading", name="one resource")).to_be_visible()
    boxes.nth(2).check()
    expect(page.get_by_role("heading", name="2 resources")).to_be_visible()
    page.get_by_role("button", name="p95").click()
    expect(page.get_by_role("button", name="p95")).to_have_attribute("aria-pressed", "true")
    asked = parameters(page)
    assert asked["metric"] == ["network_in_bytes_per_sec"]
    assert len(asked["resource"]) == 2
    page.reload()
    expect(page.get_by_role("heading", name="2 resources")).to_be_visible()
    expect(page.get_by_role("button", name="p95")).to_have_attribute("aria-pressed", "true")
    page.go_back()
    expect(page.get_by_role("button", name="p95")).to_have_attribute("aria-pressed", "false")


def test_customer_provider_and_range_are_filters_of_every_page(
    clouds: str, open_tab: OpenTab
) -> None:
    page = open_tab(clouds + ACME).page
    chart(page)
    page.get_by_label("Provider").select_option("Google Cloud")
    cells = page.get_by_role("region", name="Resources by this metric").get_by_role("cell")
    expect(cells.filter(has_text="AWS")).to_have_count(0)
    expect(cells.filter(has_text="Google Cloud").first).to_be_visible()
    page.get_by_role("button", name="Time range").click()
    page.get_by_role("button", name="Last 6 hours").click()
    page.get_by_role("link", name="Collection").first.click()
    asked = parameters(page)
    assert (asked["customer"], asked["provider"]) == (["acme"], ["gcp"])
    assert asked["timeframe"] == ["6h"]
    page.get_by_label("Customer").select_option("globex")
    expect(page).not_to_have_url(re.compile("provider="))


def test_dragging_zooms_and_back_returns(clouds: str, open_tab: OpenTab) -> None:
    page = open_tab(clouds + ACME).page
    chart(page)
    page.wait_for_load_state("networkidle")  # what still comes would move the chart
    box = page.locator(".u-over").bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.4, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, middle, steps=5)
    page.mouse.up()
    expect(page).to_have_url(re.compile("start=.*end="))
    expect(page.get_by_role("button", name="Last 24 hours")).to_be_visible()
    page.go_back()
    expect(page).not_to_have_url(re.compile("start="))


def test_a_range_of_ones_own_is_in_the_viewers_zone(clouds: str, open_tab: OpenTab) -> None:
    page = open_tab(clouds + ACME).page
    chart(page)
    page.get_by_role("button", name="Time range").click()
    start = page.get_by_label("From", exact=True).input_value()
    page.get_by_label("To", exact=True).fill(start)
    page.get_by_role("button", name="Show this range").click()
    expect(page.get_by_role("alert")).to_contain_text("before the end")
    day = start.partition("T")[0]
    page.get_by_label("From", exact=True).fill(f"{day}T00:00")
    page.get_by_label("To", exact=True).fill(f"{day}T23:00")
    page.get_by_role("button", name="Show this range").click()
    # Kolkata is five and a half hours ahead of UTC.
    expect(page).to_have_url(re.compile(r"start=[^&]*T18%3A30%3A00Z&end=[^&]*T17%3A30%3A00Z"))
    page.keyboard.press("Escape")


def test_gaps_are_told_with_their_reason(clouds: str, open_tab: OpenTab) -> None:
    tab = open_tab(f"{clouds}/performance?customer=initech&timeframe=24h")
    page = tab.page
    chart(page)
    page.get_by_text(re.compile(r"\d+ gaps? and why")).click()
    gaps = page.get_by_role("region", name="Gaps")
    expect(gaps.get_by_role("row").filter(has_text="Denied").first).to_contain_text("403")
    box = page.locator(".u-over").bounding_box()
    assert box
    page.mouse.move(box["x"] + 4, box["y"] + 40)
    tooltip = page.get_by_role("img", name="over time")
    expect(tooltip).to_contain_text("UTC")
    expect(tooltip).to_contain_text(re.compile("Denied|Not collected"))
    tab.shot("performance-gap")


def test_what_is_shown_can_be_taken_away(clouds: str, open_tab: OpenTab, tmp_path: Path) -> None:
    page = open_tab(clouds + ACME).page
    chart(page)
    with page.expect_download() as csv:
        page.get_by_role("button", name="CSV").click()
    csv.value.save_as(tmp_path / "trends.csv")
    assert csv.value.suggested_filename == "acme-cpu_utilization.csv"
    heading, *rows = (tmp_path / "trends.csv").read_text().splitlines()
    assert {"bucket_start", "avg", "p95", "max"} <= set(heading.replace('"', "").split(","))
    assert len(rows) > 50
    with page.expect_download() as png:
        page.get_by_role("button", name="PNG").click()
    png.value.save_as(tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(PNG)
