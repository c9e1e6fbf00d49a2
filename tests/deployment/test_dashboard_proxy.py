"""The dashboard's nginx: the page, and each API from the service that has it."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from getpass import getuser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from support.golden import REPOSITORY
from support.processes import free_port

FOLDER = REPOSITORY / "deploy" / "dashboard"


class Echo(BaseHTTPRequestHandler):
    """Answers with the service's name and the path as it came."""

    service = ""

    def do_GET(self) -> None:
        body = f"{self.service} {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, str]]:
    """The three services' addresses, by the name of nginx's variable."""
    addresses, servers = {}, []
    for name in ("PERFORMANCE_AGENT", "RESOURCE_AGENT", "DATA_COLLECTOR"):
        handler = type(name, (Echo,), {"service": name})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        addresses[name] = f"127.0.0.1:{server.server_port}"
    yield addresses
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def page(
    services: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """nginx over the image's own files, with everything below /tmp elsewhere."""
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    (folder / "html" / "assets").mkdir(parents=True)
    (folder / "html" / "index.html").write_text("<title>OptiInfra</title>")
    (folder / "html" / "assets" / "app-1a2b.js").write_text("0")
    server = (FOLDER / "server.conf.template").read_text()
    for name, address in services.items():
        server = server.replace(f"${{{name}}}", address)
    server = server.replace("listen 8080", f"listen 127.0.0.1:{port}")
    server = server.replace("/usr/share/nginx/html", str(folder / "html"))
    (folder / "server.conf").write_text(server)
    main = (FOLDER / "nginx.conf").read_text().replace("/tmp/", f"{folder}/")
    main = main.replace("include /etc/nginx/mime.types;", "types { text/html html; }")
    main = main.replace("/dev/stdout", str(folder / "access.log"))
    (folder / "nginx.conf").write_text(main)
    command = [
        program,
        "-p",
        str(folder),
        "-c",
        str(folder / "nginx.conf"),
        "-g",
        f"daemon off; user {getuser()};",
    ]
    process = subprocess.Popen([*command, "-e", "stderr"])
    transport = httpx.HTTPTransport(retries=8)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=transport) as client:
        yield client
    process.terminate()
    process.wait(timeout=30)


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/api/v2/performance/acme/aws/latest?limit=3", "PERFORMANCE_AGENT"),
        ("/api/v2/resources/acme/azure/%2Fsubscriptions%2Fa%2Fb?as_of=x", "RESOURCE_AGENT"),
        ("/api/v2/collections", "DATA_COLLECTOR"),
        ("/api/v2/collections/0a1b", "DATA_COLLECTOR"),
        ("/api/v2/accounts", "DATA_COLLECTOR"),
        ("/api/v2/accounts/acme", "DATA_COLLECTOR"),
    ],
)
def test_an_api_is_answered_by_its_service_with_the_path_as_it_came(page, path, service):
    assert page.get(path).text == f"{service} {path}"


@pytest.mark.parametrize("path", ["/", "/fleet", "/resources/acme"])
def test_every_view_is_the_page_and_is_asked_for_anew(page, path):
    answer = page.get(path)
    assert "<title>OptiInfra</title>" in answer.text
    assert answer.headers["cache-control"] == "no-cache"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_what_has_a_hash_in_its_name_is_kept(page):
    assert "immutable" in page.get("/assets/app-1a2b.js").headers["cache-control"]
    assert page.get("/assets/gone-3c4d.js").status_code == 404


def test_other_apis_and_long_bodies_are_refused(page):
    assert page.get("/api/v1/anything").status_code == 404
    assert page.post("/api/v2/collections", content=b"x" * 70_000).status_code == 413


def test_neither_tokens_nor_queries_are_logged(page, tmp_path_factory):
    page.get("/api/v2/accounts?customer=planted-customer", headers={"Authorization": "planted"})
    (log,) = tmp_path_factory.getbasetemp().glob("nginx0/access.log")
    assert "/api/v2/accounts" in log.read_text()
    assert "planted" not in log.read_text()


def test_it_says_that_it_lives(page):
    assert page.get("/health/live").json() == {"status": "live"}
