"""Which points a question is about, as bound conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optiinfra.domain import Window


@dataclass(frozen=True, slots=True)
class Selection:
    """Points of one customer within a window; empty filters let everything through."""

    customer_id: str
    providers: Sequence[str]
    window: Window
    resource_ids: Sequence[str] = ()
    metric_names: Sequence[str] = ()
    metric_type: str | None = None

    def conditions(self) -> list[str]:
        """Everything but time, as SQL conditions over columns of the same name."""
        conditions = ["customer_id = {customer_id:String}", "provider IN {providers:Array(String)}"]
        if self.metric_names:
            conditions.append("metric_name IN {metric_names:Array(String)}")
        if self.resource_ids:
            conditions.append("resource_id IN {resource_ids:Array(String)}")
        if self.metric_type is not None:
            conditions.append("metric_type = {metric_type:String}")
        return conditions

    def params(self) -> dict[str, Any]:
        """What `conditions` and `between("start", "end")` refer to."""
        return {
            "customer_id": self.customer_id,
            "providers": list(self.providers),
            "metric_names": list(self.metric_names),
            "resource_ids": list(self.resource_ids),
            "metric_type": self.metric_type or "",
            "start": epoch(self.window.start),
            "end": epoch(self.window.end),
        }


def between(start: str, end: str, column: str = "timestamp") -> str:
    """The half-open condition on a time column; the names are those of epoch parameters."""
    return (
        f"{column} >= toDateTime({{{start}:UInt32}}, 'UTC') "
        f"AND {column} < toDateTime({{{end}:UInt32}}, 'UTC')"
    )


def epoch(moment: datetime) -> int:
    """Whole seconds since 1970, as times are bound."""
    return int(moment.timestamp())


def where(*conditions: str) -> str:
    return "WHERE " + " AND ".join(conditions)
