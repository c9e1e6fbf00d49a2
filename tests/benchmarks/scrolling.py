"""How smoothly the table of resources scrolls, in a real browser over a store of 10 000.

It is scrolled once per frame: fast down to the end, while its pages load, and then slower back
up. The time between frames holds what else the machine does, and what the browser takes to
paint without a graphics card; a long page of nothing, scrolled alike, tells those. What the main
thread works for a frame is the table's own.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright
from support.browser import OpenTab, launch
from support.processes import environment, standalone

from benchmarks.report import Row, at_most

RESOURCES = 10_000
#: Pixels of one frame: some 17 rows, 1 000 rows a second; and 4 rows.
_FAST, _SLOW = 1000, 240
_FRAMES = 600
#: A frame at 60 Hz for rows that nobody can read, half of one for those that somebody may.
_FAST_MS, _SLOW_MS = 16.7, 8.0
_OWN = ("ScriptDuration", "RecalcStyleDuration", "LayoutDuration")

_EMPTY = "<body style='margin:0;height:700000px'>"
_SCROLL = """
async ([step, frames]) => {
  const between = [];
  let before = await new Promise(requestAnimationFrame);
  while (between.length < frames) {
    scrollBy(0, step);
    const now = await new Promise(requestAnimationFrame);
    between.push(now - before);
    before = now;
  }
  return between;
}
"""


@dataclass(frozen=True, slots=True)
class Scrolled:
    """Times between frames, and the table's own work for one, in milliseconds."""

    p50: float
    p95: float
    work: float


def measure() -> list[Row]:
    """Frame times of the table, beside those of an empty page."""
    with TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        filling = ["-m", "support.inventory_fleet", name, f"--resources={RESOURCES}"]
        subprocess.run([sys.executable, *filling], env=environment(folder), check=True)
        browser = launch(playwright)
        with standalone(folder) as server, OpenTab(browser) as open_tab:
            empty = open_tab().page
            empty.set_content(_EMPTY)
            nothing = _scroll(empty, _FAST)
            page = open_tab(f"{server.url}/resources?customer=acme").page
            page.get_by_role("table", name="Resources").wait_for(timeout=60_000)
            down = _scroll(page, _FAST)
            up = _scroll(page, -_SLOW)
    return [
        _row("down 1 000 px per frame while its pages load", down, nothing, _FAST_MS),
        _row("back up 240 px per frame", up, nothing, _SLOW_MS),
    ]


def _row(how: str, found: Scrolled, nothing: Scrolled, target: float) -> Row:
    detail = (
        f"between frames p50 {found.p50:.1f}, p95 {found.p95:.1f}; "
        f"of an empty page {nothing.p50:.1f}, {nothing.p95:.1f}"
    )
    what = f"page, {RESOURCES:,} resources scrolled {how}, own work per frame, ms"
    return at_most(what, found.work, target, detail)


def _scroll(page: Page, step: int) -> Scrolled:
    developer = page.context.new_cdp_session(page)
    developer.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = _worked(developer.send("Performance.getMetrics"))
    frames = page.evaluate(_SCROLL, [step, _FRAMES])
    after = _worked(developer.send("Performance.getMetrics"))
    p50, p95 = np.percentile(frames, [50, 95])
    return Scrolled(float(p50), float(p95), (after - before) * 1000 / len(frames))


def _worked(metrics: dict[str, list[dict[str, Any]]]) -> float:
    """Seconds that the main thread has spent on scripts, styles and layout."""
    return sum(float(one["value"]) for one in metrics["metrics"] if one["name"] in _OWN)
