"""Where a canonical metric comes from on a provider. `docs/metrics.md` is generated from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from optiinfra.catalog.resources import ResourceType


@dataclass(frozen=True, slots=True)
class NativeMetric:
    """One row of a provider's native -> canonical table.

    `canonical` names an entry of the catalog, `source` the provider's own metric or field,
    `note` says how the one becomes the other where it is not taken as it is.
    """

    canonical: str
    source: str
    note: str = ""


def told_by_metric(absent: Mapping[ResourceType, Mapping[str, str]]) -> dict[str, str]:
    """For the documentation: by canonical metric, which types of resource lack it and why.

    `absent` has the reasons by type and canonical metric.
    """
    types: dict[str, dict[str, list[str]]] = {}
    for resource_type, reasons in absent.items():
        for metric, reason in reasons.items():
            types.setdefault(metric, {}).setdefault(reason, []).append(f"`{resource_type}`")
    return {
        metric: "; ".join(f"{', '.join(which)}: {reason}" for reason, which in reasons.items())
        for metric, reasons in types.items()
    }
