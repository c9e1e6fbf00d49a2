"""The provider `vultr` keeps the contract, on a kind Vultr and on unkind ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina
from fakes.vultr import KEY, FakeVultr, Faults

from data_collector.collectors.vultr import VultrProvider
from optiinfra.accounts import Account
from optiinfra.testing.contract import violations


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("VULTR_API_KEY", KEY)
    with stamina.set_testing(True, attempts=6, cap=True):
        yield


def account(fake: FakeVultr, **options: object) -> Account:
    return Account(
        "acme",
        "edge",
        "vultr",
        options=VultrProvider().options.model_validate(options).model_dump(),
        credentials={"api_key": "env:VULTR_API_KEY"},
        endpoints={"default": fake.url},
    )


def test_without_exporters() -> None:
    with FakeVultr() as fake:
        assert violations(VultrProvider(), account(fake, per_page=2)) == []


def test_with_exporters_on_some_instances() -> None:
    with FakeVultr(exporters=2) as fake:
        exporting = {"port": fake.exporter_port, "tags": ["exporter"]}
        assert violations(VultrProvider(), account(fake, node_exporter=exporting)) == []


@pytest.mark.parametrize(
    "faults",
    [
        Faults(down=True),
        Faults(html={"instances", "databases"}),
        Faults(deny={"instances", "bare_metals"}),
        Faults(wrong_shape={"blocks", "vke_clusters"}),
        Faults(half_page={"instances", "databases"}),
        Faults(circle={"instances"}),
        Faults(throttle_rate=0.2, drop_rate=0.05, cut_rate=0.05),
    ],
    ids=["down", "html", "denied", "shape", "half", "circle", "lossy"],
)
def test_on_an_unkind_vultr(faults: Faults) -> None:
    with FakeVultr(faults=faults) as fake:
        assert violations(VultrProvider(), account(fake)) == []


def test_with_a_wrong_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VULTR_API_KEY", "expired")
    with FakeVultr() as fake:
        assert violations(VultrProvider(), account(fake)) == []
