"""A browser's tabs, and what tests ask of them."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from typing import Literal

from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright
from support.golden import REPOSITORY

SCREENSHOTS = REPOSITORY / "tests" / "e2e" / "screenshots"
AXE = REPOSITORY / "services" / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}

NAMES = ("chromium", "chromium-browser", "google-chrome")

Theme = Literal["light", "dark"]
_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: What the browser itself reports of an answer that a test asked for.
_ANSWERS = re.compile(r"Failed to load resource")


@dataclass
class Tab:
    """One tab, and what it complained about."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def shot(self, name: str) -> None:
        """Keep what is shown; `make e2e` leaves it in tests/e2e/screenshots."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def serious_violations(self) -> list[str]:
        """What axe finds that keeps somebody out, with where."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run()")["violations"]
        return [
            f"{one['id']}: {[node['target'] for node in one['nodes']]} {one['help']}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]


def installed() -> str | None:
    """The machine's own Chromium; none is ever downloaded."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def launch(playwright: Playwright) -> Browser:
    """Start it. The caller has looked whether it is installed."""
    return playwright.chromium.launch(executable_path=installed(), args=_ARGUMENTS)


class OpenTab:
    """Opens tabs that share nothing with each other, and closes them at the end."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.tabs: list[Tab] = []

    def __enter__(self) -> OpenTab:
        return self

    def __exit__(self, *_: object) -> None:
        for tab in self.tabs:
            tab.page.context.close()

    def __call__(
        self, url: str = "about:blank", *, theme: Theme = "light", phone: bool = False
    ) -> Tab:
        context = self._browser.new_context(
            viewport=PHONE if phone else DESKTOP,  # type: ignore[arg-type]
            color_scheme=theme,
            timezone_id="Asia/Kolkata",
            locale="en-GB",
            has_touch=phone,
        )
        context.set_default_timeout(15_000)
        tab = Tab(context.new_page())
        tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tab.page.on("console", lambda message: _note(tab, message))
        self.tabs.append(tab)
        tab.page.goto(url)
        return tab


def _note(tab: Tab, message: ConsoleMessage) -> None:
    if message.type == "error" and not _ANSWERS.search(message.text):
        tab.complaints.append(message.text)
