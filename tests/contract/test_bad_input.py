"""Whatever is wrong with an account, the ledger and `accounts check` say what to do about it,
and what is not touched by it is collected."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stamina
from fakes import aws, azure, gcp, vultr
from support.google_credentials import TokenEndpoint, service_account

from data_collector.coordination.memory import MemoryCoordination
from data_collector.pipeline import Pipeline
from data_collector.runs import Runs
from data_collector.storage.clickhouse_writer import ClickHouseWriter
from data_collector.storage.inventory_writer import InventoryWriter
from data_collector.storage.run_ledger import RunLedger
from optiinfra.accounts import Account, read_accounts
from optiinfra.domain import Kind
from optiinfra.errors import ConfigError
from optiinfra.provider import load_provider, options_model
from optiinfra_database import Store

RETENTION = timedelta(days=90)


@dataclass(frozen=True)
class Seen:
    """What an operator sees of an account after one cycle."""

    statuses: Mapping[str, str]
    #: What the ledger says of whatever is not well.
    ledger: str
    #: What `accounts check` says is missing.
    missing: str


def cycle(store: Store, account: Account) -> Seen:
    """One run of each kind, and a check."""
    ledger = RunLedger(store)
    pipeline = Pipeline(
        ledger=ledger,
        writer=ClickHouseWriter(store, retention=RETENTION),
        inventory=InventoryWriter(store),
        retention=RETENTION,
    )
    runs = Runs(
        ledger=ledger,
        pipeline=pipeline,
        coordination=MemoryCoordination(),
        interval=timedelta(minutes=15),
    )
    statuses, said = {}, []
    for kind in (Kind.RESOURCES, Kind.PERFORMANCE):
        run, _ = runs.open(account, kind, trigger="test")
        run, scopes = runs.begin(run, account)
        for scope in scopes:
            runs.collect(run, account, scope)
        ended = ledger.find_run(run.run_id)
        assert ended is not None
        for scope in ended["scopes"]:
            statuses[f"{kind} {scope['scope']}"] = scope["status"]
            said.append(scope["error"] or "")
        said.append(ended["error"] or "")
        if not scopes:
            statuses[f"{kind}"] = ended["status"]
    missing = [
        f"{check.what}: {check.advice}"
        for check in load_provider(account.provider).check(account)
        if not check.ok
    ]
    return Seen(statuses, "\n".join(filter(None, said)), "\n".join(missing))


CREDENTIALS = "wrong or expired credentials"
PERMISSION = "a missing permission"
REGION = "an unknown region"
WEB_PAGE = "an endpoint that speaks HTML"
CUT = "a body cut in the middle"
CLOCK = "a clock that is off"
CASE = "ids that differ in case"
#: Name of the account for each thing that can be wrong.
NAMES = {
    CREDENTIALS: "credentials",
    PERMISSION: "permission",
    REGION: "region",
    WEB_PAGE: "web-page",
    CUT: "cut",
    CLOCK: "clock",
    CASE: "case",
}


@contextmanager
def on_aws(
    wrong: str, fleet: aws.FakeAws, tmp_path: Path, *, again: bool = False
) -> Iterator[Account]:
    fleet.faults = {
        CREDENTIALS: aws.Faults(error="expired"),
        PERMISSION: aws.Faults(deny={"DescribeVolumes"}),
        REGION: aws.Faults(disabled_regions={"xx-north-1"}),
        WEB_PAGE: aws.Faults(html=True),
        CUT: aws.Faults(cut=1.0),
        CLOCK: aws.Faults(error="clock"),
    }.get(wrong, aws.Faults())
    regions = ["us-east-1", *(["xx-north-1"] if wrong == REGION else [])]
    yield Account(
        "acme",
        NAMES[wrong],
        "aws",
        options={"regions": regions},
        credentials={"anonymous": True},
        endpoints={"default": fleet.url},
    )


@contextmanager
def on_gcp(
    wrong: str, fleet: aws.FakeAws, tmp_path: Path, *, again: bool = False
) -> Iterator[Account]:
    faults = {
        CREDENTIALS: gcp.Faults(unauthenticated=True),
        PERMISSION: gcp.Faults(deny={"compute.disks"}),
        REGION: gcp.Faults(unreachable={gcp.ZONES[0]}),
        WEB_PAGE: gcp.Faults(html=True),
        CUT: gcp.Faults(cut_rate=1.0),
    }.get(wrong)
    with gcp.FakeGcp(instances=4, faults=faults) as fake, TokenEndpoint() as tokens:
        credentials: dict[str, Any] = {"anonymous": True}
        if wrong == CLOCK:
            key = tmp_path / "key.json"
            key.write_text(json.dumps(service_account(tokens.url)))
            credentials = {"service_account_file": f"file:{key}"}
        options = load_provider("gcp").options.model_validate({"project": "acme-web"})
        yield Account(
            "acme", NAMES[wrong], "gcp", options.model_dump(), credentials, fake.endpoints
        )


@contextmanager
def on_azure(
    wrong: str, fleet: aws.FakeAws, tmp_path: Path, *, again: bool = False
) -> Iterator[Account]:
    faults = {
        CREDENTIALS: azure.Faults(expired_token=True),
        PERMISSION: azure.Faults(denied_regions={"eastus"}),
        REGION: azure.Faults(unknown_regions={"eastus"}),
        WEB_PAGE: azure.Faults(html=True),
        CUT: azure.Faults(cut=1.0),
        CLOCK: azure.Faults(expired_token=True, clock_off=timedelta(hours=2)),
    }.get(wrong)
    with azure.AzureFake(azure.fleet(24), faults=faults) as fake:
        options = load_provider("azure").options.model_validate(
            {"subscription_id": azure.SUBSCRIPTION}
        )
        yield Account(
            "acme",
            NAMES[wrong],
            "azure",
            options.model_dump(),
            {"anonymous": True},
            {"management": fake.url, "metrics": fake.url},
        )


@contextmanager
def on_vultr(
    wrong: str, fleet: aws.FakeAws, tmp_path: Path, *, again: bool = False
) -> Iterator[Account]:
    faults = {
        PERMISSION: vultr.Faults(deny={"blocks"}),
        WEB_PAGE: vultr.Faults(html={"databases"}),
        CUT: vultr.Faults(cut_rate=1.0),
        CLOCK: vultr.Faults(skew=timedelta(hours=2)),
    }.get(wrong)
    key = tmp_path / "key"
    key.write_text("expired" if wrong == CREDENTIALS else vultr.KEY)
    with vultr.FakeVultr(faults=faults) as fake:
        if wrong == REGION:
            fake.lists["instances"][0]["region"] = "MARS"
        if wrong == CASE:
            for body in (*fake.lists["blocks"], *fake.lists["load_balancers"]):
                body["id"] = body["id"].upper() if again else body["id"]
        options = load_provider("vultr").options.model_validate({})
        yield Account(
            "acme",
            NAMES[wrong],
            "vultr",
            options.model_dump(),
            {"api_key": f"file:{key}"},
            {"default": fake.url},
        )


@dataclass(frozen=True)
class Expected:
    """What an operator should see: patterns of the scopes that fail, of how, and of what is said.

    An empty pattern stands for nothing: every scope is well, or nothing is missing.
    """

    failing: str
    status: str
    ledger: str
    check: str


CLOUDS = {"aws": on_aws, "gcp": on_gcp, "azure": on_azure, "vultr": on_vultr}
EVERYTHING = ".*"
NOTHING = Expected("", "", "", "")
EXPECTED = {
    ("aws", CREDENTIALS): Expected(EVERYTHING, "failed", "have expired", "have expired"),
    ("gcp", CREDENTIALS): Expected(EVERYTHING, "failed", "expired", "have expired"),
    ("azure", CREDENTIALS): Expected(
        EVERYTHING, "failed", "check the credentials", "check the credentials"
    ),
    ("vultr", CREDENTIALS): Expected(EVERYTHING, "failed", "wrong or expired", "wrong or expired"),
    ("aws", PERMISSION): Expected(
        "resources .*/ebs", "denied", "DescribeVolumes.*accounts check", "grant ec2:DescribeVolumes"
    ),
    ("gcp", PERMISSION): Expected(
        "resources .*/compute",
        "denied",
        "needs the permission compute.disks.list",
        "grant roles/compute.viewer",
    ),
    ("azure", PERMISSION): Expected(
        "performance .*/eastus/.*", "denied", "grant Monitoring Reader", "grant Monitoring Reader"
    ),
    ("vultr", PERMISSION): Expected(
        "resources .*/blocks", "denied", "give that user the permission", "permission to view it"
    ),
    ("aws", REGION): Expected(
        ".*/xx-north-1.*", "denied", "has not enabled the region", "region xx-north-1.*no such"
    ),
    # A zone that Google itself cannot reach; it says so, and asks for no other permission.
    ("gcp", REGION): Expected(
        ".*/(compute|monitoring)", "failed|partial", "us-central1-a is not complete", ""
    ),
    ("azure", REGION): Expected(
        "performance .*/eastus/.*", "failed", "NoRegisteredProvider", "NoRegisteredProvider"
    ),
    # The API lists an account as one, whatever its regions are called.
    ("vultr", REGION): NOTHING,
    ("aws", WEB_PAGE): Expected(EVERYTHING, "failed", "web page.*check the", "check the endpoint"),
    ("gcp", WEB_PAGE): Expected(
        "resources .*/compute", "failed", "speak JSON; check it", "speak JSON; check it"
    ),
    ("azure", WEB_PAGE): Expected(EVERYTHING, "failed", "check the endpoint", "check the endpoint"),
    ("vultr", WEB_PAGE): Expected(
        ".*/databases", "failed", "is it the API's address", "is it the API's address"
    ),
    ("aws", CUT): Expected(EVERYTHING, "failed", "broke off", "broke off"),
    ("gcp", CUT): Expected(
        ".*/(compute|monitoring)",
        "failed|partial",
        "the connection was lost",
        "connection was lost",
    ),
    ("azure", CUT): Expected(EVERYTHING, "failed", "does not answer", "does not answer"),
    ("vultr", CUT): Expected(EVERYTHING, "failed", "does not answer", "does not answer"),
    ("aws", CLOCK): Expected(EVERYTHING, "failed", "clock is off", "clock is off"),
    ("gcp", CLOCK): Expected(EVERYTHING, "failed", "clock is off", "clock is off"),
    ("azure", CLOCK): Expected(
        EVERYTHING, "failed", "clock is 120 minutes off", "clock is 120 minutes off"
    ),
    # What is read now would stand in the wrong bucket; an inventory has none.
    ("vultr", CLOCK): Expected("performance .*", "failed", r"-7\d+ s off", r"clock is -7\d+ s off"),
}


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


@pytest.fixture(scope="module")
def fleet() -> Iterator[aws.FakeAws]:
    pytest.importorskip("moto.server", reason="moto is not installed")
    with aws.FakeAws() as fake:
        fake.instances(2, volumes=True)
        fake.database("orders")
        yield fake


@pytest.mark.parametrize("wrong", [name for name in NAMES if name != CASE])
@pytest.mark.parametrize("cloud", CLOUDS)
def test_it_is_told_and_the_rest_is_collected(store, fleet, tmp_path, cloud, wrong):
    expected = EXPECTED[cloud, wrong]
    with CLOUDS[cloud](wrong, fleet, tmp_path) as account:
        seen = cycle(store, account)
    failing = {name: status for name, status in seen.statuses.items() if status != "ok"}
    assert seen.statuses.keys() - failing.keys() == {
        name for name in seen.statuses if not re.fullmatch(expected.failing, name)
    }
    assert all(re.fullmatch(expected.status, status) for status in failing.values()), failing
    for text, pattern in ((seen.ledger, expected.ledger), (seen.missing, expected.check)):
        assert bool(text) == bool(pattern), text
        assert re.search(pattern, text), text


@pytest.mark.parametrize("cloud", CLOUDS)
def test_ids_in_another_case_are_the_same_resources(store, fleet, tmp_path, cloud):
    for again in (False, True):
        with CLOUDS[cloud](CASE, fleet, tmp_path, again=again) as account:
            seen = cycle(store, account)
        assert set(seen.statuses.values()) == {"ok"}, seen
    changes = store.query("SELECT change, count() FROM resource_changes FINAL GROUP BY change")
    ((resources,),) = store.query("SELECT count() FROM resources_latest FINAL")
    assert [tuple(row) for row in changes] == [("created", resources)]
    ((nameless,),) = store.query(
        "SELECT count() FROM performance_metrics "
        "WHERE resource_id NOT IN (SELECT resource_id FROM resources_latest FINAL)"
    )
    assert nameless == 0, "a reading of something that the inventory calls otherwise"


def test_a_region_that_cannot_be_one_is_told_with_its_line(tmp_path):
    path = tmp_path / "accounts.yaml"
    path.write_text(
        "customers:\n  acme:\n    accounts:\n"
        "      - id: prod\n        provider: aws\n        regions: [us-east-1, Virginia]\n"
    )
    with pytest.raises(ConfigError, match=r"accounts.yaml:6: .*regions.1"):
        list(read_accounts(path, options_model))
