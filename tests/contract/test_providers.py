"""Every provider that can run here keeps the contract."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from support.node_exporter import NodeExporter

from optiinfra.accounts import Account
from optiinfra.provider import Provider, installed_providers, load_provider
from optiinfra.testing.contract import sample_window, violations
from optiinfra.testing.hostile import Fault, HostileProvider
from optiinfra.testing.simulated import SimulatedProvider

#: An hour in which no simulated machine comes or goes.
QUIET = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)


def account(provider: Provider, **options: object) -> Account:
    model = provider.options.model_validate(options)
    return Account("acme", "main", provider.name, options=model.model_dump())


@pytest.mark.parametrize("name", installed_providers())
def test_an_installed_provider_loads_under_its_own_name(name: str) -> None:
    assert load_provider(name).name == name


def test_host_reading_this_machine() -> None:
    provider = load_provider("host")
    assert violations(provider, account(provider)) == []


def test_host_reading_a_node_exporter(node_exporter: NodeExporter) -> None:
    provider = load_provider("host")
    assert violations(provider, account(provider, targets=[node_exporter.url])) == []


def test_host_whose_target_does_not_answer(unused_url: str) -> None:
    provider = load_provider("host")
    assert violations(provider, account(provider, targets=[unused_url])) == []


@pytest.mark.parametrize("fault", [f for f in Fault if f is not Fault.UNKNOWN_METRIC])
def test_hostile_breaks_no_rule_by_what_the_writer_and_the_errors_are_for(fault: Fault) -> None:
    provider = HostileProvider()
    assert violations(provider, account(provider, faults=[fault])) == []


def test_simulated() -> None:
    provider = SimulatedProvider(clock=lambda: QUIET)
    window = sample_window(provider.timing, QUIET)
    assert violations(provider, account(provider), window) == []
