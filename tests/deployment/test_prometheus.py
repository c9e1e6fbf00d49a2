"""Alert rules and dashboards ask for metrics that there are; every alert is explained."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from support.api import Api
from support.compose import read_compose
from support.golden import REPOSITORY

from data_collector.main import create_app
from data_collector.runtime import build_runtime
from data_collector.storage.run_ledger import Outcome, RunLedger, new_run
from optiinfra.accounts import Account
from optiinfra.domain import DropReason, Kind, ScopeStatus
from optiinfra.settings import Settings

FOLDER = REPOSITORY / "deploy" / "prometheus"
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    target["expr"]
    for path in (REPOSITORY / "deploy/grafana/dashboards").glob("*.json")
    for panel in json.loads(path.read_text())["panels"]
    for target in panel.get("targets", ())
    if "expr" in target
]
TOLD = re.compile(r"\boptiinfra[_:][\w:]+")
MATCHED = re.compile(r"\b(optiinfra_\w+)\{([^}]*)\}")


def promtool(*arguments: str) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def samples(store, tmp_path) -> dict[str, set[str]]:
    """The names and labels that a collector tells which has collected something."""
    run = new_run(Account("local", "this-host", "host"), Kind.PERFORMANCE, "test", None)
    now = datetime.now(UTC)
    RunLedger(store).record_run(run)
    outcome = Outcome(
        scope="host/this-host",
        status=ScopeStatus.OK,
        window_start=now,
        window_end=now,
        collected_until=now,
        started_at=now,
        finished_at=now,
        rows=1,
        dropped={DropReason.INVALID: 1},
        api_calls={"ListThings": 1},
        throttles=1,
        price_usd=1.0,
        completed_at=now,
    )
    RunLedger(store).record_outcome(run, outcome)
    api = Api(create_app(build_runtime(Settings(accounts=tmp_path / "none.yaml"), store)))
    api.get("/api/v2/accounts/local")
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(api.get("/metrics").text)
        for sample in family.samples
    }


def test_every_metric_that_is_asked_for_is_told(samples):
    asked = {name for expression in EXPRESSIONS for name in TOLD.findall(expression)}
    assert len(asked) > 10
    assert asked - RECORDED <= samples.keys()


def test_every_label_that_is_matched_is_told(samples):
    scraped = {"service", "job", "instance"}
    for expression in EXPRESSIONS:
        for name, matchers in MATCHED.findall(expression):
            labels = set(re.findall(r"(\w+)\s*[=!]~?", matchers))
            assert labels <= samples[name] | scraped, expression


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_of_whom_and_what_to_do(alert):
    assert alert["labels"]["severity"] in ("info", "warning", "critical")
    assert alert["annotations"]["summary"]
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^### (\w+)$", (REPOSITORY / page).read_text(), re.MULTILINE)
    assert anchor == alert["alert"].lower()
    assert alert["alert"] in headings


def test_every_alert_has_a_case():
    cases = yaml.safe_load(Path(__file__).with_name("rules.test.yml").read_text())
    expected = {
        case["alertname"]
        for test in cases["tests"]
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert expected == {alert["alert"] for alert in ALERTS}


def test_prometheus_understands_the_rules():
    promtool("check", "rules", str(FOLDER / "rules.yml"))


def test_alerts_come_when_they_should(tmp_path):
    shutil.copy(FOLDER / "rules.yml", tmp_path)
    shutil.copy(Path(__file__).with_name("rules.test.yml"), tmp_path)
    promtool("test", "rules", str(tmp_path / "rules.test.yml"))


def test_what_is_scraped_are_services_and_their_ports():
    services = read_compose(REPOSITORY / "docker-compose.yml")["services"]
    configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    scraped = {
        target
        for job in configuration["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    }
    assert {target.split(":")[0] for target in scraped} <= services.keys()
    assert scraped >= {"data-collector:8005", "performance-agent:8002", "resource-agent:8003"}
