"""The web page in a real browser: how much it loads, and how soon it shows something.

The store holds a month of recorded series, which standalone serves as it serves any.
"""

from __future__ import annotations

import gzip
import statistics
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page, sync_playwright
from support.browser import OpenTab, launch
from support.processes import standalone

from benchmarks import load
from benchmarks.report import Row, at_most
from benchmarks.sources import Source
from optiinfra_database import connect, migrate
from optiinfra_standalone.page import PAGE

#: Points of all customers: enough for a month of each.
_POINTS = 3_000_000
_RESOURCES = 20
BUNDLE_KB = 350.0
_FIRST_PAINT_SECONDS = 1.5
_DRAWN_SECONDS = 0.5

_FIRST_PAINT = """
() => performance.getEntriesByName("first-contentful-paint")[0].startTime / 1000
"""
# From the last byte of the chart's data to the first drawing of all of it.
_DRAWN = """
() => {
  const asked = performance.getEntriesByType("resource");
  const came = Math.max(...asked.filter((one) => one.name.includes("/trends"))
    .map((one) => one.responseEnd));
  const drawn = performance.getEntriesByName("chart-drawn").find((one) => one.startTime > came);
  return (drawn.startTime - came) / 1000;
}
"""


def bundle_bytes() -> int:
    """What a first visit loads of scripts and styles, compressed."""
    files = [*PAGE.glob("assets/*.js"), *PAGE.glob("assets/*.css")]
    return sum(len(gzip.compress(file.read_bytes())) for file in files)


def measure(sources: Sequence[Source], *, rounds: int) -> list[Row]:
    """Medians over so many visits, each in a tab that has nothing cached."""
    bundle = bundle_bytes() / 1000
    with TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        store = connect(f"chdb://{folder}/store")
        migrate(store)
        load.fill(store, sources, _POINTS, end=load.quarter_hour())
        ids = [
            str(row[0])
            for row in store.query(
                "SELECT DISTINCT resource_id FROM metrics_latest "
                "WHERE customer_id = {customer_id:String} AND metric_name = 'cpu_utilization' "
                "ORDER BY resource_id LIMIT {limit:UInt32}",
                {"customer_id": load.CUSTOMER, "limit": _RESOURCES},
            )
        ]
        store.close()
        browser = launch(playwright)
        with standalone(folder) as server:
            first = [_first_paint(browser, server.url) for _ in range(rounds)]
            drawn = [_chart(browser, server.url, ids) for _ in range(rounds)]
    return [
        at_most("page, scripts and styles compressed, kB", bundle, BUNDLE_KB, "gzip"),
        _seconds("page, first contentful paint, s", first, _FIRST_PAINT_SECONDS),
        _seconds(
            f"page, chart of 30 days of {len(ids)} resources after its data came, s",
            drawn,
            _DRAWN_SECONDS,
        ),
    ]


def _seconds(what: str, measured: Sequence[float], target: float) -> Row:
    detail = f"median of {len(measured)}, slowest {max(measured):.3f}"
    return at_most(what, statistics.median(measured), target, detail)


def _first_paint(browser: Browser, url: str) -> float:
    with OpenTab(browser) as open_tab:
        page = open_tab(url).page
        page.get_by_role("heading", name="Fleet").wait_for()
        return _number(page, _FIRST_PAINT)


def _chart(browser: Browser, url: str, ids: Sequence[str]) -> float:
    resources = "".join(f"&resource={one}" for one in ids)
    path = f"/performance?customer={load.CUSTOMER}&timeframe=30d&metric=cpu_utilization{resources}"
    with OpenTab(browser) as open_tab:
        page = open_tab(url + path).page
        page.get_by_role("img", name="over time").locator("canvas").wait_for(timeout=60_000)
        page.wait_for_load_state("networkidle")
        return _number(page, _DRAWN)


def _number(page: Page, script: str) -> float:
    return float(page.evaluate(script))
