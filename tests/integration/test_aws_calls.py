"""What a cycle of AWS costs: the fewest calls that CloudWatch's limits allow."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

import pytest
from fakes.aws import FakeAws
from support.aws import account
from support.collector import Clock, points_of

from data_collector.collectors.aws import AwsProvider
from optiinfra.domain import Kind, Series, Window, floor_time

pytest.importorskip("moto.server", reason="moto is not installed")

PERIOD = timedelta(minutes=5)


def test_a_thousand_instances_take_the_fewest_calls():
    clock = Clock()
    with FakeAws(clock=clock) as fake:
        count_calls(fake, clock)


def count_calls(fake: FakeAws, clock: Clock) -> None:
    fake.instances(1000)
    fake.database("orders")
    fake.balancer("web")
    provider, one = AwsProvider(clock=clock), account(fake)
    for scope in provider.scopes(one, Kind.RESOURCES):
        assert list(provider.list_resources(one, scope)) or scope.name.endswith("/eks")
    fake.requests.clear()
    end = floor_time(clock.now, PERIOD) - 2 * PERIOD
    (scope,) = provider.scopes(one, Kind.PERFORMANCE)
    items = list(provider.collect_performance(one, scope, Window(end - 3 * PERIOD, end)))
    # Each has a boot volume; 7 has two for 5xx and two target groups among them.
    queries = 1000 * (10 + 6) + 12 + 7
    assert set(fake.requests) == {"GetMetricData"}, "the inventory is not listed again"
    assert fake.requests["GetMetricData"] <= 1.05 * ceil(queries / 500)
    assert one.calls.units()["GetMetricData"] == queries
    assert provider.price({"GetMetricData": queries}) == pytest.approx(0.16019)
    got = points_of(item for item in items if isinstance(item, Series))
    true = fake.truth(end - 3 * PERIOD, end)
    kept = {key: value for key, value in got.items() if key in true}
    assert kept == pytest.approx(true)
    assert {metric for metric, _, _ in got.keys() - true.keys()} == {"availability"}
