"""Where a canonical metric comes from on a provider. `docs/metrics.md` is generated from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NativeMetric:
    """One row of a provider's native -> canonical table.

    `canonical` names an entry of the catalog, `source` the provider's own metric or field,
    `note` says how the one becomes the other where it is not taken as it is.
    """

    canonical: str
    source: str
    note: str = ""
