"""AWS's inventory in the store: no listing that is not complete says anything."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import stamina
from fakes.aws import FakeAws, Faults
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.aws import account
from support.collector import Clock, TestCollector

from data_collector.collectors.aws import AwsProvider
from optiinfra.domain import Kind, Resource, ScopeStatus
from optiinfra.errors import TransientError

pytest.importorskip("moto.server", reason="moto is not installed")

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True, scope="module")
def _no_pauses() -> Iterator[None]:
    stamina.set_testing(True, attempts=5)
    yield
    stamina.set_testing(False)


ATTEMPTS = st.lists(
    st.tuples(
        st.sampled_from(["quiet", "throttle", "drop", "cut", "deny", "broken"]),
        st.sampled_from(["nothing", "launch", "terminate"]),
    ),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def shared_fake() -> Iterator[FakeAws]:
    with FakeAws() as running:
        running.database("orders")
        running.balancer("web")
        yield running


@pytest.mark.thorough
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(attempts=ATTEMPTS)
def test_no_schedule_of_faults_deletes_what_exists(store, shared_fake, attempts):
    for table in ("resource_metrics", "resource_changes", "resources_latest"):
        store.command(f"TRUNCATE TABLE {table}")
    fake, clock = shared_fake, Clock()
    kind = TestCollector(store, AwsProvider(clock=clock), account(fake), clock)
    alive, gone = set(fake.instances(3)), set()
    fake.faults = Faults()
    kind.collect(Kind.RESOURCES)
    for trouble, event in attempts:
        clock.forward(15 * MINUTE)
        if event == "launch":
            alive |= set(fake.instances(1))
        elif event == "terminate" and alive:
            ended = alive.pop()
            fake.client("ec2").terminate_instances(InstanceIds=[ended])
            fake.client("ec2").describe_instances()
            gone.add(ended)
        fake.faults = {
            "quiet": Faults(list_pages={"DescribeInstances": 5}),
            "throttle": Faults(throttle=0.7),
            "drop": Faults(drop=0.7),
            "cut": Faults(cut=0.7),
            "deny": Faults(deny={"DescribeInstances", "DescribeDBClusters", "DescribeTags"}),
            "broken": Faults(error="broken"),
        }[trouble]
        kind.collect(Kind.RESOURCES)
    fake.faults = Faults()
    clock.forward(15 * MINUTE)
    assert {one.status for one in kind.collect(Kind.RESOURCES)} == {ScopeStatus.OK}

    deleted = {
        row[0]
        for row in store.query(
            "SELECT resource_id FROM resource_changes FINAL WHERE change = 'deleted'"
        )
    }
    assert not deleted & alive
    assert not [one for one in deleted if one.startswith("arn:")]
    states = dict(store.query("SELECT resource_id, status FROM resources_latest FINAL"))
    assert {states[one] for one in alive} <= {"running"}
    assert {states[one] for one in gone} <= {"terminated"}


def test_a_listing_that_ends_is_complete(shared_fake):
    """Over 100 schedules of faults on listings of several pages."""
    fake = shared_fake
    fake.faults = Faults()
    fake.instances(4, region="us-west-2")
    provider, one = AwsProvider(), account(fake, regions=["us-west-2"])
    (scope, *_) = provider.scopes(one, Kind.RESOURCES)

    def ids() -> set[str]:
        items = provider.list_resources(one, scope)
        return {item.resource_id for item in items if isinstance(item, Resource)}

    everything = ids()
    ended = broken = 0
    for number in range(100):
        share = number % 10 / 10
        fake.faults = Faults(
            throttle=share / 3,
            drop=share / 3,
            cut=share / 3,
            list_pages={"DescribeInstances": 1 + number % 3},
        )
        try:
            assert ids() == everything
            ended += 1
        except TransientError:
            broken += 1
    fake.faults = Faults()
    assert ended > 30
    assert broken > 5
