"""`optiinfra standalone` as a newcomer meets it: real processes, real ports, real faults."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from support.processes import Standalone, environment, free_port, run, standalone

LATEST = "/api/v2/performance/local/host/latest"


def until_finished(server: Standalone, run_id: str) -> dict[str, Any]:
    """Follow a run to its end."""
    while True:
        found: dict[str, Any] = server.get(f"/api/v2/collections/{run_id}").json()
        if found["status"] not in ("queued", "running"):
            return found
        time.sleep(0.1)  # polling as the API means it, not a guess at how long it takes


def first_collection(server: Standalone) -> None:
    """Wait for the run that starts by itself."""
    while True:
        runs = server.get("/api/v2/collections", params={"customer_id": "local"}).json()["data"]
        done = {one["kind"] for one in runs if one["status"] == "succeeded"}
        if done == {"performance", "resources"}:
            return
        time.sleep(0.1)


def test_this_machine_is_there_within_its_first_collection(tmp_path):
    with standalone(tmp_path) as server:
        first_collection(server)
        points = {
            (row["metric_name"], row["metric_type"]): row
            for row in server.get(LATEST).json()["data"]
        }
        memory = psutil.virtual_memory()
        uptime = time.time() - psutil.boot_time()
        for metric in (
            "cpu_utilization",
            "memory_utilization",
            "network_in_bytes_per_sec",
            "network_out_bytes_per_sec",
            "storage_utilization",
            "uptime",
            "availability",
            "response_time",
        ):
            assert (metric, "host") in points, metric
        used = 100 * (1 - memory.available / memory.total)
        assert points["memory_utilization", "host"]["metric_value"] == pytest.approx(used, abs=10)
        assert points["uptime", "host"]["metric_value"] == pytest.approx(uptime, abs=120)
        assert 0 <= points["cpu_utilization", "host"]["metric_value"] <= 100
        (host,) = server.get(
            "/api/v2/resources/local/host/list", params={"resource_type": "host"}
        ).json()["data"]
        assert host["metadata"]["vcpus"] == psutil.cpu_count()
        assert host["metadata"]["memory_bytes"] == memory.total
        assert server.stop() == 0


def test_a_trigger_is_answered_at_once_and_can_be_followed_to_its_end(tmp_path):
    with standalone(tmp_path) as server:
        first_collection(server)
        answer = httpx.post(
            server.url + "/api/v2/performance/trigger-collection",
            json={"customer_id": "local", "provider": "host"},
            timeout=20,
        )
        assert answer.status_code == 202
        (run_id,) = answer.json()["run_ids"]
        assert answer.json()["status_url"] == f"/api/v2/collections/{run_id}"
        finished = until_finished(server, run_id)
        assert finished["status"] == "succeeded"
        assert finished["trigger"] == "request"
        assert [scope["status"] for scope in finished["scopes"]] == ["ok"]
        assert finished["rows"] == finished["scopes"][0]["rows"] > 10

        # The commands meet the same process through its API, since it holds the store.
        shown = run(tmp_path, "runs", port=server.url.rpartition(":")[2])
        assert shown.returncode == 0, shown.stderr
        assert "performance" in shown.stdout
        collected = run(tmp_path, "collect", port=server.url.rpartition(":")[2])
        assert collected.returncode == 0, collected.stderr
        assert "succeeded" in collected.stdout


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopping_in_the_middle_of_a_collection_is_clean(tmp_path, how):
    with standalone(tmp_path) as server:
        assert server.stop(how) in (0, -signal.SIGTERM)
        assert "Traceback" not in server.output.read_text()
    with standalone(tmp_path) as server:
        first_collection(server)


def test_a_store_in_use_is_named_and_nothing_is_harmed(tmp_path):
    with standalone(tmp_path) as server:
        second = run(tmp_path, "standalone", port=str(free_port()))
        assert second.returncode == 1
        assert f"{tmp_path}/store" in second.stderr
        assert "another process" in second.stderr
        assert "Traceback" not in second.stderr
        assert server.get("/health/ready").status_code == 200


def test_a_port_in_use_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run(tmp_path, "standalone", "--port", str(port))
    assert refused.returncode == 2
    assert f"127.0.0.1:{port}" in refused.stderr
    assert "OPTIINFRA_PORT" in refused.stderr
    assert not (tmp_path / "store").exists(), "a taken port is found before the store is made"


def test_a_store_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    refused = run(tmp_path, "migrate", store=f"chdb://{tmp_path}/file/store")
    assert refused.returncode == 1
    assert f"{tmp_path}/file/store" in refused.stderr
    assert "OPTIINFRA_STORE" in refused.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_directory_that_is_not_writable_is_named(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    refused = run(tmp_path, "migrate", store=f"chdb://{tmp_path}/closed")
    assert refused.returncode == 1
    assert "not writable" in refused.stderr


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("store", "postgres://x", "chdb:///"),
        ("store", "chdb://", "directory"),
        ("port", "http", "OPTIINFRA_PORT"),
        ("host", "0.0.0.0", "OPTIINFRA_AUTH=jwt"),
        ("auth", "jwt", "OPTIINFRA_JWT_SECRET"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_in_one_line(tmp_path, name, value, told):
    refused = run(tmp_path, "standalone", **{name: value})
    assert refused.returncode == 2
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_accounts_file_with_a_mistake_is_told_with_its_line(tmp_path):
    (tmp_path / "accounts.yaml").write_text("customers:\n  acme:\n    accounts:\n      - id: x\n")
    refused = run(tmp_path, "standalone")
    assert refused.returncode == 2
    assert "accounts.yaml:4: customers.acme.accounts.0.provider" in refused.stderr


def test_a_target_that_does_not_answer_fails_its_scope_and_no_other(tmp_path):
    (tmp_path / "accounts.yaml").write_text(
        "customers:\n"
        "  local:\n"
        "    accounts:\n"
        "      - {id: this-host, provider: host}\n"
        "      - {id: away, provider: host, targets: ['http://127.0.0.1:9/metrics']}\n"
    )
    done = run(tmp_path, "collect", "--kind", "performance")
    assert done.returncode == 1
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.split()}
    assert "succeeded" in lines["local/host/this-host"]
    assert "failed" in lines["local/host/away"]
    assert "127.0.0.1:9" in done.stdout
    checked = run(tmp_path, "accounts", "check", "--account", "away")
    assert checked.returncode == 1
    assert "127.0.0.1:9" in checked.stdout


def test_the_first_collection_of_the_command_needs_no_server(tmp_path):
    done = run(tmp_path, "collect")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("succeeded") == 2
    status = run(tmp_path, "migrate", "--status")
    assert status.stdout.count("applied") >= 3
    nothing = run(tmp_path, "collect", "--customer", "nobody")
    assert nothing.returncode == 2
    assert "no account" in nothing.stderr


def test_a_dry_run_prints_the_statements_and_makes_no_table(tmp_path):
    dry = run(tmp_path, "migrate", "--dry-run")
    assert "CREATE TABLE IF NOT EXISTS performance_metrics" in dry.stdout
    assert run(tmp_path, "migrate", "--status").stdout.count("pending") >= 3
    assert "0001_performance" in run(tmp_path, "migrate").stdout
    assert "up to date" in run(tmp_path, "migrate").stdout


def test_tokens_open_what_they_name_and_nothing_else(tmp_path):
    secret = "tests-only-signing-key-" + "0" * 16
    with standalone(tmp_path, auth="jwt", jwt_secret=secret) as server:
        assert server.get(LATEST).status_code == 401
        for customer, expected in (("local", 200), ("acme", 403), ("*", 200)):
            made = run(tmp_path, "token", "--customer", customer, auth="jwt", jwt_secret=secret)
            headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
            assert server.get(LATEST, headers=headers).status_code == expected
        assert secret not in server.output.read_text()


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 64 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_told_and_loses_nothing_acknowledged(small_disk):
    filled = subprocess.run(
        [sys.executable, "-m", "support.filling_writer", str(small_disk / "store")],
        env=environment(small_disk),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert filled.returncode == 0, filled.stderr
    told, acknowledged, stored = filled.stdout.splitlines()
    assert "no space left" in told
    assert int(acknowledged) == int(stored) > 0
