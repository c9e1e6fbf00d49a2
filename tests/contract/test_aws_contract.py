"""The provider `aws` keeps the contract, against moto behind the fake's proxy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import stamina
from fakes.aws import FakeAws

from data_collector.collectors.aws import AwsProvider
from optiinfra.accounts import Account
from optiinfra.testing.contract import sample_window, violations

pytest.importorskip("moto.server", reason="moto is not installed")

NOW = datetime.now(UTC).replace(minute=2, second=0, microsecond=0) - timedelta(days=2)


@pytest.fixture(scope="module")
def fleet() -> Iterator[FakeAws]:
    stamina.set_testing(True, attempts=5)
    with FakeAws(clock=lambda: NOW) as fake:
        fake.instances(3, volumes=True)
        fake.instances(1, kind="i3en.large", detailed=True, agent=True)
        fake.instances(1, kind="m4.large", region="eu-west-1")
        fake.stop(fake.instances(1)[0])
        fake.database("orders")
        fake.database("ledger", engine="aurora-postgresql", kind="db.serverless")
        fake.balancer("web")
        fake.balancer("tcp", kind="network")
        fake.cluster("main", insights=True)
        yield fake
    stamina.set_testing(False)


@pytest.mark.parametrize(
    "options",
    [{}, {"agent_metrics": True, "container_insights": True, "period": 60}],
    ids=["plain", "everything"],
)
def test_aws(fleet: FakeAws, options: dict[str, object]) -> None:
    provider = AwsProvider(clock=lambda: NOW)
    account = Account(
        "acme",
        "main",
        "aws",
        options={"regions": ["us-east-1", "eu-west-1"], **options},
        credentials={"anonymous": True},
        endpoints={"default": fleet.url},
    )
    assert violations(provider, account, sample_window(provider.timing, NOW)) == []


def test_aws_that_denies_everything(fleet: FakeAws) -> None:
    provider = AwsProvider(clock=lambda: NOW)
    account = Account(
        "acme",
        "denied",
        "aws",
        options={"regions": ["us-east-1"]},
        credentials={"anonymous": True},
        endpoints={"default": fleet.url},
    )
    fleet.faults.deny = {"us-east-1"}
    try:
        assert violations(provider, account, sample_window(provider.timing, NOW)) == []
    finally:
        fleet.faults.deny = set()
