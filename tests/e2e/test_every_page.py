"""Every page, in both themes and on a phone: it shows itself, complains of nothing, and keeps
nobody out.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from support.browser import OpenTab, Theme

PAGES = {
    "fleet": "/",
    "performance": "/performance",
    "resources": "/resources",
    "changes": "/changes",
    "collection": "/collection",
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_it_is_whole_and_open_to_everybody(
    clouds: str, open_tab: OpenTab, name: str, theme: Theme
) -> None:
    tab = open_tab(clouds + PAGES[name], theme=theme)
    expect(tab.page.get_by_role("heading", level=1)).to_have_text(name.capitalize())
    tab.page.wait_for_load_state("networkidle")
    expect(tab.page.get_by_role("status").filter(has_text="Loading")).to_have_count(0)
    tab.shot(f"{name}-{theme}")
    assert tab.serious_violations() == []


@pytest.mark.parametrize("name", PAGES)
def test_it_fits_a_phone(clouds: str, open_tab: OpenTab, name: str) -> None:
    tab = open_tab(clouds + PAGES[name], phone=True)
    expect(tab.page.get_by_role("heading", level=1)).to_have_text(name.capitalize())
    tab.page.wait_for_load_state("networkidle")
    tab.shot(f"{name}-phone")
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert tab.page.evaluate(overflow) == 0
    assert tab.serious_violations() == []
