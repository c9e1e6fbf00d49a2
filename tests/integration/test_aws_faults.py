"""What AWS, the network and the operator can get wrong: a clear error, and the rest complete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import stamina
from fakes.aws import FakeAws, Faults
from support.aws import account
from support.collector import Clock, TestCollector

from data_collector.collectors.aws import AwsProvider
from data_collector.collectors.aws.session import Session
from optiinfra.accounts import Account
from optiinfra.calls import Calls, Limit
from optiinfra.domain import Gap, Kind, ScopeStatus, Series, Window, floor_time
from optiinfra.errors import (
    ContractError,
    CredentialError,
    DeniedError,
    OptiInfraError,
    ThrottledError,
    TransientError,
    UnsupportedError,
)

pytest.importorskip("moto.server", reason="moto is not installed")

ROLE = {"role_arn": "arn:aws:iam::123456789012:role/optiinfra"}


@pytest.fixture(autouse=True, scope="module")
def _no_pauses() -> Iterator[None]:
    stamina.set_testing(True, attempts=3)
    yield
    stamina.set_testing(False)


@pytest.fixture(scope="module")
def running() -> Iterator[FakeAws]:
    with FakeAws() as fake:
        fake.instances(2)
        fake.database("orders")
        yield fake


@pytest.fixture
def fake(running: FakeAws) -> Iterator[FakeAws]:
    running.requests.clear()
    yield running
    running.faults = Faults()


def list_all(provider: AwsProvider, one: Account) -> dict[str, OptiInfraError | int]:
    """By service and region what was listed, or the error."""
    found: dict[str, OptiInfraError | int] = {}
    for scope in provider.scopes(one, Kind.RESOURCES):
        try:
            found[scope.name] = len(list(provider.list_resources(one, scope)))
        except OptiInfraError as error:
            found[scope.name] = error
    return found


@pytest.mark.parametrize(
    ("faults", "kind", "words"),
    [
        (Faults(error="wrong_key"), CredentialError, "does not know these credentials"),
        (Faults(error="expired"), CredentialError, "expired"),
        (Faults(error="clock"), CredentialError, "clock is off"),
        (Faults(error="broken"), TransientError, "AWS answers 500"),
        (Faults(html=True), ContractError, "web page"),
        (Faults(cut=1.0), TransientError, "in us-east-1"),
        (Faults(drop=1.0), TransientError, "ConnectionClosedError"),
        (Faults(throttle=1.0), ThrottledError, "throttled"),
        (Faults(deny={"us-east-1"}), DeniedError, "not permitted"),
    ],
    ids=lambda value: "" if isinstance(value, Faults | type) else value.replace(" ", "-"),
)
def test_each_fault_is_one_clear_error_everywhere(fake, faults, kind, words):
    fake.faults = faults
    provider, one = AwsProvider(), account(fake)
    for name, error in list_all(provider, one).items():
        assert isinstance(error, kind), (name, error)
        assert words in str(error)
    (scope,) = provider.scopes(one, Kind.PERFORMANCE)
    end = floor_time(datetime.now(UTC), timedelta(minutes=5))
    with pytest.raises(kind, match=words) as caught:
        list(provider.collect_performance(one, scope, Window(end - timedelta(minutes=15), end)))
    assert "Welcome" not in str(caught.value)
    (first, *_) = provider.check(one)
    assert not first.ok
    assert words in first.advice


def test_a_missing_permission_is_named_and_the_rest_is_listed(fake):
    fake.faults = Faults(deny={"DescribeVolumes", "DescribeDBClusters"})
    provider, one = AwsProvider(), account(fake)
    found = list_all(provider, one)
    assert found["aws/prod/us-east-1/ec2"] == 2
    assert found["aws/prod/us-east-1/vpc"] == 1
    assert isinstance(found["aws/prod/us-east-1/ebs"], DeniedError)
    assert isinstance(found["aws/prod/us-east-1/rds"], DeniedError)
    missing = {check.what: check.advice for check in provider.check(one) if not check.ok}
    assert set(missing) == {"ec2:DescribeVolumes", "rds:DescribeDBClusters"}
    assert "grant ec2:DescribeVolumes" in missing["ec2:DescribeVolumes"]


def test_a_permission_that_only_adds_to_what_is_listed_keeps_no_listing_back(store, fake):
    fake.faults = Faults(deny={"DescribeInstanceTypes", "DescribeTargetGroups"})
    fake.instances(2, region="us-west-2")
    fake.balancer("web", region="us-west-2")
    clock, one = Clock(datetime.now(UTC)), account(fake, regions=["us-west-2"])
    kind = TestCollector(store, AwsProvider(clock=clock), one, clock)
    outcomes = {outcome.scope: outcome for outcome in kind.collect(Kind.RESOURCES)}
    for service, rows in (("ec2", 2), ("elb", 1)):
        outcome = outcomes[f"aws/prod/us-west-2/{service}"]
        assert (outcome.status, outcome.rows) == (ScopeStatus.OK, rows)


def test_metrics_go_on_without_a_service_that_is_denied(fake):
    fake.faults = Faults(deny={"DescribeDBInstances"})
    provider, one = AwsProvider(), account(fake)
    (scope,) = provider.scopes(one, Kind.PERFORMANCE)
    end = floor_time(datetime.now(UTC), timedelta(minutes=5)) - timedelta(minutes=10)
    items = list(provider.collect_performance(one, scope, Window(end - timedelta(minutes=15), end)))
    types = {item.resource_type for item in items if isinstance(item, Series)}
    assert types == {"compute_instance"}
    denied = [item for item in items if isinstance(item, Gap) and item.reason == "denied"]
    assert ["rds" in gap.detail for gap in denied] == [True]


def test_a_region_that_is_not_enabled_or_denied_is_skipped_and_the_run_goes_on(store, fake):
    clock = Clock(datetime.now(UTC))
    regions = ["us-east-1", "af-south-1", "eu-west-1"]
    fake.faults = Faults(disabled_regions={"af-south-1"}, deny={"eu-west-1"})
    one = account(fake, regions=regions)
    kind = TestCollector(store, AwsProvider(clock=clock), one, clock)
    outcomes = {outcome.scope: outcome for outcome in kind.collect(Kind.PERFORMANCE)}
    assert outcomes["aws/prod/us-east-1"].status is ScopeStatus.OK
    assert outcomes["aws/prod/af-south-1"].status is ScopeStatus.DENIED
    assert "not enabled" in outcomes["aws/prod/af-south-1"].error
    assert outcomes["aws/prod/eu-west-1"].status is ScopeStatus.DENIED


def test_a_region_that_does_not_exist(fake):
    one = replace(account(fake, regions=["ma-north-1"]), endpoints={})
    (result, *_) = list_all(AwsProvider(), one).values()
    assert isinstance(result, UnsupportedError)


def test_every_enabled_region_by_default(fake):
    provider, one = AwsProvider(), account(fake, regions=[])
    names = [scope.name for scope in provider.scopes(one, Kind.PERFORMANCE)]
    assert "aws/prod/eu-west-1" in names
    assert len(provider.scopes(one, Kind.RESOURCES)) == 6 * len(names)
    assert fake.requests["DescribeRegions"] == 1
    fake.faults = Faults(deny={"DescribeRegions"})
    with pytest.raises(DeniedError, match="name the account's regions"):
        AwsProvider().scopes(one, Kind.PERFORMANCE)


def test_a_role_is_assumed_once_and_again_before_its_keys_expire(fake, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "collector")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "collector")
    monkeypatch.setenv("ACME_EXTERNAL_ID", "the-secret-external-id")
    clock = Clock(datetime.now(UTC))
    provider = AwsProvider(session=Session(now=clock))
    credentials = {**ROLE, "external_id": "env:ACME_EXTERNAL_ID"}
    one = replace(account(fake), credentials=credentials)
    assert all(isinstance(value, int) for value in list_all(provider, one).values())
    assert fake.requests["AssumeRole"] == 1
    clock.forward(timedelta(minutes=55))
    (scope, *_) = provider.scopes(one, Kind.RESOURCES)
    assert list(provider.list_resources(one, scope))
    assert fake.requests["AssumeRole"] == 2
    assert one.calls.counts()["AssumeRole"] == 2


def test_a_role_that_may_not_be_assumed(fake, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "collector")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "collector")
    fake.faults = Faults(deny={"AssumeRole"})
    one = replace(account(fake), credentials=ROLE)
    (check,) = AwsProvider().check(one)
    assert "external id" in check.advice


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        ({**ROLE, "external_id": "env:NOT_SET_ANYWHERE"}, "env:NOT_SET_ANYWHERE"),
        ({"profile": "no-such-profile"}, "no-such-profile"),
        ({"role": "x"}, "unknown credentials role"),
        ({}, "no credentials"),
    ],
)
def test_credentials_that_are_not_there(fake, monkeypatch, tmp_path, credentials, words):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    one = replace(account(fake), credentials=credentials)
    (check,) = AwsProvider().check(one)
    assert not check.ok
    assert words in check.advice
    (scope, *_) = AwsProvider().scopes(one, Kind.RESOURCES)
    with pytest.raises(CredentialError):
        list(AwsProvider().list_resources(one, scope))


class Paces:
    """A limiter that notes whose limits were kept to."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def wait(self, limit: Limit) -> None:
        self.names.append(limit.name)

    def throttled(self, limit: Limit, retry_after: timedelta | None) -> None:
        """Nothing to note."""

    def succeeded(self, limit: Limit) -> None:
        """Nothing to note."""


def paces_of(provider: AwsProvider, one: Account) -> list[str]:
    paces = Paces()
    (scope, *_) = provider.scopes(one, Kind.RESOURCES)
    assert list(provider.list_resources(replace(one, calls=Calls(paces)), scope))
    return paces.names


@pytest.fixture
def own_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "collector")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "collector")


@pytest.mark.usefixtures("own_keys")
def test_two_entries_of_one_aws_account_share_its_limits(fake):
    provider = AwsProvider()
    prod = replace(account(fake), credentials={})
    again = replace(prod, customer_id="globex", account_id="other")
    limit = "aws/123456789012/us-east-1/ec2"
    assert paces_of(provider, prod)[1:] == [limit, limit]
    assert paces_of(provider, again) == [limit]
    by_role = replace(prod, account_id="role", credentials=ROLE)
    assert limit in paces_of(provider, by_role)
    assert fake.requests["GetCallerIdentity"] == 1


@pytest.mark.usefixtures("own_keys")
def test_limits_go_by_our_own_names_where_sts_does_not_answer(fake):
    clock = Clock(datetime.now(UTC))
    provider = AwsProvider(session=Session(now=clock))
    prod = replace(account(fake), credentials={})
    fake.faults = Faults(deny={"GetCallerIdentity"})
    for _ in range(2):
        assert set(paces_of(provider, prod)[1:]) <= {"aws/acme/prod/us-east-1/ec2"}
    assert fake.requests["GetCallerIdentity"] == 1
    fake.faults = Faults()
    clock.forward(timedelta(minutes=61))
    assert paces_of(provider, prod)[-1] == "aws/123456789012/us-east-1/ec2"
