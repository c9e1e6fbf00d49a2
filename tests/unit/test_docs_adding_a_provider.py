"""docs/adding-a-provider.md: what it names exists, and its template keeps the contract."""

from __future__ import annotations

import importlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from optiinfra.accounts import Account
from optiinfra.catalog import METRICS
from optiinfra.domain import Kind, Series
from optiinfra.provider import Provider
from optiinfra.testing.contract import sample_window, violations

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adding-a-provider.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
SYMBOLS = sorted(set(re.findall(r"`((?:optiinfra|data_collector)(?:\.\w+)+)`", TEXT)))
PATHS = sorted(set(re.findall(r"`((?:services|tests)/[\w./-]+)`", TEXT)))

MACHINES: list[dict[str, Any]] = [
    {"id": "m-1", "name": "web", "state": "UP", "region": "eu-1", "tags": {"team": "shop"}},
    {"id": "m-2", "name": "batch", "state": "DOWN", "region": "eu-1"},
]


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_symbol_that_the_page_names_exists(symbol: str) -> None:
    try:
        importlib.import_module(symbol)
    except ModuleNotFoundError:
        module, _, name = symbol.rpartition(".")
        assert hasattr(importlib.import_module(module), name)


def test_the_page_names_the_seam_and_files_that_exist() -> None:
    assert "optiinfra.provider.Provider" in SYMBOLS
    existing = [path for path in PATHS if "acmecloud" not in path]
    assert existing
    for path in existing:
        assert (PAGE.parents[1] / path).exists(), path


@pytest.fixture
def acmecloud() -> Iterator[str]:
    """The cloud that the template is written for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == "/machines":
                data = MACHINES
            else:
                query = parse_qs(url.query)
                times = range(int(query["from"][0]), int(query["to"][0]), 300)
                load = [[time, 0.25] for time in times]
                data = [
                    {"id": m["id"], "name": m["name"], "load": load if m["state"] == "UP" else []}
                    for m in MACHINES
                ]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"data": data}).encode())

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_template_runs_and_keeps_the_contract(acmecloud: str) -> None:
    template: dict[str, Any] = {"__name__": "acmecloud"}
    exec(compile(BLOCKS[-1], str(PAGE), "exec"), template)
    provider: Provider = template["provider"]
    account = Account("acme", "main", "acmecloud", options={"endpoint": acmecloud})
    assert violations(provider, account) == []
    [scope] = provider.scopes(account, Kind.PERFORMANCE)
    window = sample_window(provider.timing)
    answer = list(provider.collect_performance(account, scope, window))
    [web] = [series for series in answer if isinstance(series, Series)]
    assert web.values.tolist() == [25.0] * 4
    assert {row.canonical for row in template["NATIVE"]} <= METRICS.keys()
