"""One trigger is one trace and one request id, from the agent to the provider's calls."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from support.processes import environment, free_port
from support.servers import clickhouse_server, redis_server

REQUEST_ID = "trace-me-42"


class Listener:
    """An OTLP endpoint that keeps what it is told."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Span]] = []
        self.came = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told = ExportTraceServiceRequest.FromString(body)
                with outer.came:
                    for of_process in told.resource_spans:
                        (service,) = (
                            one.value.string_value
                            for one in of_process.resource.attributes
                            if one.key == "service.name"
                        )
                        for scope in of_process.scope_spans:
                            outer.spans += [(service, span) for span in scope.spans]
                    outer.came.notify_all()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def trace_with(self, *names: str) -> list[tuple[str, Span]]:
        """The first trace that has spans of all these names, when it has them."""

        def found() -> list[tuple[str, Span]]:
            for trace_id in {span.trace_id for _, span in self.spans}:
                trace = [(who, span) for who, span in self.spans if span.trace_id == trace_id]
                if set(names) <= {span.name for _, span in trace}:
                    return trace
            return []

        with self.came:
            self.came.wait_for(found, timeout=120)
            told = sorted({(who, span.name) for who, span in self.spans})
            assert found(), f"only {told}"
            return found()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    running = Listener()
    yield running
    running.stop()


class Processes:
    """The product's processes over one broker and one store, and where they write."""

    def __init__(self, folder: Path, stack: ExitStack, settings: dict[str, str]) -> None:
        self._folder = folder
        self._stack = stack
        self._environment = environment(folder, log_format="json", **settings)

    def start(self, name: str, *arguments: str, **changed: str) -> None:
        output = self._stack.enter_context((self._folder / name).open("w"))
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=self._folder,
            env=self._environment | changed,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)

    def logged(self, name: str) -> list[dict[str, Any]]:
        lines = (self._folder / name).read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


def until_up(url: str) -> None:
    while True:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/health/ready", timeout=5).is_success:
                return


def test_a_trigger_is_one_trace_and_one_request_id(tmp_path: Path, listener: Listener) -> None:
    ports = {"collector": free_port(), "agent": free_port()}
    collector, agent = (f"http://127.0.0.1:{port}" for port in ports.values())
    with ExitStack() as stack:
        broker = stack.enter_context(redis_server(tmp_path))
        store = stack.enter_context(clickhouse_server(tmp_path / "clickhouse"))
        processes = Processes(
            tmp_path,
            stack,
            {"store": store.url, "broker": broker.url, "data_collector_url": collector},
        )
        told = {"OTEL_EXPORTER_OTLP_ENDPOINT": listener.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        processes.start(
            "collector", "data_collector.main", OPTIINFRA_PORT=str(ports["collector"]), **told
        )
        until_up(collector)
        processes.start(
            "agent", "performance_agent.main", OPTIINFRA_PORT=str(ports["agent"]), **told
        )
        celery = ("celery", "-A", "data_collector.celery_app", "worker", "--concurrency", "1")
        processes.start("worker", *celery, **told)
        until_up(agent)
        answer = httpx.post(
            f"{agent}/api/v2/performance/trigger-collection?token=planted-in-an-address",
            json={"customer_id": "local", "provider": "host"},
            timeout=30,
        )
        assert answer.status_code == 401
        answer = httpx.post(
            f"{agent}/api/v2/performance/trigger-collection",
            json={"customer_id": "local", "provider": "host"},
            headers={"X-Request-ID": REQUEST_ID},
            timeout=30,
        )
        assert answer.status_code == 202
        (run_id,) = answer.json()["run_ids"]
        trace = listener.trace_with(
            "POST /api/v2/performance/trigger-collection",
            "start collection",
            "POST /api/v2/collections",
            "run_account_task",
            "collect_scope_task",
            "clickhouse INSERT performance_metrics",
        )
    assert {who for who, _ in trace} == {"performance-agent", "data-collector", "worker"}
    # Every span hangs on another one, but the first.
    ids = {span.span_id for _, span in trace}
    roots = [span.name for _, span in trace if span.parent_span_id not in ids]
    assert roots == ["POST /api/v2/performance/trigger-collection"]
    assert "planted-in-an-address" not in str(listener.spans)
    finished = [one for one in processes.logged("worker") if one["event"] == "run_finished"]
    assert [(one["run_id"], one["request_id"], one["task"]) for one in finished] == [
        (run_id, REQUEST_ID, "collect_scope_task")
    ]


@pytest.mark.parametrize(
    "module", ["performance_agent.main", "data_collector.tasks", "optiinfra_standalone.cli"]
)
def test_without_an_endpoint_nothing_of_the_sdk_is_loaded(module: str, tmp_path: Path) -> None:
    program = (
        f"import sys, {module}\n"
        "from optiinfra.tracing import configure_tracing\n"
        "assert not configure_tracing('x')\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert told.stdout.strip() == "[]"
