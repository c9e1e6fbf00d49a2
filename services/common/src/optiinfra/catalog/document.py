"""`docs/metrics.md`: every canonical metric and what it is made from on each provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optiinfra.catalog.metrics import METRICS, Metric
from optiinfra.catalog.native import NativeMetric

_HEAD = """# Metrics

Generated from `optiinfra.catalog` and the providers' tables by `make golden`; a test holds it
to them. A metric has one name, one unit (as UCUM writes it) and one meaning on every provider.
`nothing` says of which resources a provider cannot have it, and why; a provider that is not
named under a metric has no such resources.
"""


#: For a provider and a canonical metric, why the one cannot give the other.
Absent = Mapping[str, Mapping[str, str]]


def metrics_document(tables: Mapping[str, Sequence[NativeMetric]], absent: Absent) -> str:
    """The whole document, given each provider's native -> canonical table."""
    sections = [_section(metric, tables, absent) for metric in METRICS.values()]
    return "\n".join([_HEAD, *sections])


def _section(metric: Metric, tables: Mapping[str, Sequence[NativeMetric]], absent: Absent) -> str:
    rows = [
        f"| {provider} | {_cell(native.source, code=True)} | {_cell(native.note)} |"
        for provider, table in sorted(tables.items())
        for native in table
        if native.canonical == metric.name
    ]
    rows += [
        f"| {provider} | nothing | {_cell(reasons[metric.name])} |"
        for provider, reasons in sorted(absent.items())
        if metric.name in reasons
    ]
    made = ["| provider | made from | how |", "|---|---|---|", *rows] if rows else []
    entities = ", ".join(f"`{entity}`" for entity in metric.entities)
    return "\n".join(
        [
            f"## {metric.name}",
            "",
            f"{metric.description[0].upper()}{metric.description[1:]}, in `{metric.unit}`.",
            f"Of {entities}.",
            "",
            *made,
            *([""] if made else []),
        ]
    )


def _cell(text: str, *, code: bool = False) -> str:
    escaped = text.replace("|", "\\|")
    return f"`{escaped}`" if code and escaped else escaped
