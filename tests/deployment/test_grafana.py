"""The dashboards: every panel's query runs and finds what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from support.collector import Clock, TestCollector
from support.golden import REPOSITORY
from support.inventory import list_scope, resource

from data_collector.storage.run_ledger import Outcome, RunLedger, new_run
from optiinfra.accounts import Account
from optiinfra.domain import Gap, GapReason, Kind, RunStatus, ScopeStatus
from optiinfra.testing.simulated import SimulatedProvider
from optiinfra_database import Store
from optiinfra_database.directory import Directory

# The store is filled once, by one worker.
pytestmark = pytest.mark.xdist_group("grafana")

FOLDER = REPOSITORY / "deploy" / "grafana"
BOARDS = {path.stem: json.loads(path.read_text()) for path in (FOLDER / "dashboards").glob("*")}
SOURCES = {
    source["uid"]: source["type"]
    for source in yaml.safe_load((FOLDER / "provisioning/datasources/optiinfra.yml").read_text())[
        "datasources"
    ]
}
CHOSEN = {"customer": "acme", "provider": "simulated", "metric": "cpu_utilization"}
ACCOUNT = Account("acme", "prod", "simulated", options={"resources": 3})


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries() -> Iterator[Any]:
    """Every SQL of every panel and variable, with whether a chart over time is made of it."""
    for name, board in BOARDS.items():
        for panel in panels(board):
            for target in panel["targets"]:
                if "rawSql" in target:
                    chart = target["queryType"] == "timeseries"
                    yield pytest.param(target["rawSql"], chart, id=f"{name}-{panel['title']}")
        for variable in board["templating"]["list"]:
            yield pytest.param(variable["query"], False, id=f"{name}-${variable['name']}")


def filled_in(text: str, now: datetime) -> str:
    """The SQL as Grafana's plugin sends it for the last day."""
    start, end = (int(moment.timestamp()) for moment in (now - timedelta(days=1), now))
    text = re.sub(
        r"\$__timeInterval\((\w+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 60 second)", text
    )
    text = re.sub(
        r"\$__timeFilter\((\w+)\)",
        rf"\1 >= toDateTime({start}) AND \1 <= toDateTime({end})",
        text,
    )
    return re.sub(r"\$\{(\w+):singlequote\}", lambda name: f"'{CHOSEN[name[1]]}'", text)


@pytest.fixture(scope="module")
def filled(migrated_store: Store) -> Store:
    """A customer that was collected twice in the last hours, with a scope that failed."""
    now = datetime.now(UTC) + timedelta(seconds=5)
    Directory(migrated_store).announce([("acme", "simulated", "prod")])
    clock = Clock(now - timedelta(hours=3))
    collector = TestCollector(migrated_store, SimulatedProvider(clock=clock), ACCOUNT, clock)
    for _ in range(2):
        collector.collect(Kind.PERFORMANCE)
        collector.collect(Kind.RESOURCES)
        clock.forward(timedelta(minutes=150))
    for hours, status in ((2, "running"), (1, "stopped")):
        seen_at = now - timedelta(hours=hours)
        one = resource("listed", status=status)
        list_scope(migrated_store, seen_at, one, account=ACCOUNT, scope="simulated/prod/listed")
    ledger = RunLedger(migrated_store)
    run = new_run(ACCOUNT, Kind.PERFORMANCE, "schedule", None, now=now - timedelta(minutes=20))
    ledger.record_run(run)
    failed = Outcome(
        scope="simulated/prod/denied",
        status=ScopeStatus.DENIED,
        window_start=now - timedelta(hours=1),
        window_end=now - timedelta(minutes=30),
        collected_until=None,
        started_at=now - timedelta(minutes=20),
        finished_at=now - timedelta(minutes=19),
        error="may not read",
        api_calls={"ListThings": 3},
        price_usd=0.25,
    )
    ledger.record_outcome(run, failed, [Gap(GapReason.STOPPED, "i-1", "cpu_utilization")])
    return migrated_store


@pytest.mark.parametrize(("sql", "chart"), list(queries()))
def test_a_query_runs_and_finds_what_there_is(filled, sql, chart):
    sql = filled_in(sql, datetime.now(UTC) + timedelta(minutes=1))
    assert "$" not in sql
    answer = json.loads(filled.query_bytes(sql, format="JSONCompact"))
    assert answer["data"]
    if chart:
        assert answer["meta"][0]["name"] == "time"
        assert any(column["type"].startswith(("Float", "UInt")) for column in answer["meta"])


def test_a_fleet_is_asked_for_in_few_rows():
    """Tables that grow with the fleet or with time are cut off."""
    for board in BOARDS.values():
        for panel in panels(board):
            if panel["type"] == "table" and "ORDER BY" in str(panel["targets"]):
                sql = panel["targets"][0]["rawSql"]
                assert "LIMIT" in sql or "GROUP BY customer_id, provider" in sql, panel["title"]


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_board_can_be_provisioned(board):
    assert re.fullmatch(r"optiinfra-\w+", board["uid"])
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another"
        taken |= cells
    for source in re.findall(r"'type': '([\w-]+)', 'uid': '([\w-]+)'", str(board)):
        assert SOURCES[source[1]] == source[0]
    declared = {variable["name"] for variable in board["templating"]["list"]}
    assert set(re.findall(r"\$\{(\w+):", str(board))) <= declared


def test_every_view_is_there():
    assert BOARDS.keys() == {"fleet", "customer", "collection"}
    compose = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
    provider = yaml.safe_load((FOLDER / "provisioning/dashboards/optiinfra.yml").read_text())
    mounted = [volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]]
    assert provider["providers"][0]["options"]["path"] in mounted


def test_runs_that_end_are_told_from_those_that_go_on():
    """What the boards call by name are statuses that there are."""
    named = set(re.findall(r"status (?:NOT )?IN \(([^)]+)\)", str(BOARDS)))
    statuses = {name for names in named for name in re.findall(r"\w+", names)}
    assert statuses <= {str(status) for status in [*ScopeStatus, *RunStatus]}
