"""The provider `gcp` keeps the contract, whatever its project does."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import stamina
from fakes.gcp import FakeGcp, Faults

from data_collector.collectors.gcp import GcpProvider
from optiinfra.accounts import Account
from optiinfra.testing.contract import sample_window, violations

NOW = datetime(2026, 11, 20, 12, 3, tzinfo=UTC)

EVERY_COMPUTE = {"compute.instances", "compute.disks", "compute.forwardingRules"}


@pytest.mark.parametrize(
    "faults",
    [
        Faults(),
        Faults(page=7, late_rate=0.1),
        Faults(throttle_rate=0.2, drop_rate=0.05),
        Faults(deny={"monitoring.ListTimeSeries", "monitoring.ListMetricDescriptors"}),
        Faults(deny=EVERY_COMPUTE),
        Faults(unauthenticated=True),
        Faults(html=True),
    ],
    ids=["calm", "paged and late", "throttled", "no metrics", "no compute", "no token", "html"],
)
def test_gcp(faults: Faults) -> None:
    provider = GcpProvider(now=lambda: NOW)
    options = provider.options.model_validate({"project": "acme-web"}).model_dump()
    with FakeGcp(instances=8, clock=lambda: NOW, faults=faults) as fake:
        account = Account(
            "acme",
            "web",
            "gcp",
            options=options,
            credentials={"anonymous": True},
            endpoints=fake.endpoints,
        )
        window = sample_window(provider.timing, NOW)
        with stamina.set_testing(True, attempts=4):
            assert violations(provider, account, window) == []
