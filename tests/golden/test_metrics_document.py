"""docs/metrics.md says what the catalog and the providers' tables say."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from support.golden import REPOSITORY, hold_against

from optiinfra.catalog import METRICS
from optiinfra.catalog.document import metrics_document
from optiinfra.catalog.native import NativeMetric
from optiinfra.provider import installed_providers


def metrics_modules() -> dict[str, ModuleType]:
    """The module `metrics` of each of our own providers."""
    return {
        name: import_module(f"data_collector.collectors.{name}.metrics")
        for name in installed_providers()
        if (REPOSITORY / "services/data-collector/src/data_collector/collectors" / name).is_dir()
    }


def native_tables() -> dict[str, tuple[NativeMetric, ...]]:
    return {name: module.NATIVE for name, module in metrics_modules().items()}


def test_the_document_is_the_one_that_was_looked_at():
    absent = {name: getattr(module, "ABSENT", {}) for name, module in metrics_modules().items()}
    hold_against(REPOSITORY / "docs" / "metrics.md", metrics_document(native_tables(), absent))


def test_every_source_makes_a_metric_of_the_catalog():
    for provider, table in native_tables().items():
        assert {row.canonical for row in table} <= METRICS.keys(), provider
        assert all(row.source for row in table), provider
