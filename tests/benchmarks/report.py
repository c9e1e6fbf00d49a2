"""What is measured, as rows of one markdown table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, with its target where it has one; `met` says whether it is reached."""

    what: str
    figure: str
    target: str = ""
    met: bool | None = None


def at_most(what: str, figure: float, target: float, detail: str) -> Row:
    """A figure that must not be larger than `target`."""
    return Row(what, f"{figure:.3f} ({detail})", f"<= {target:.3g}", figure <= target)


def both_at_most(what: str, p50: float, p95: float, target: float, detail: str) -> Row:
    """Two ratios of latencies, neither of which may be larger than `target`."""
    return Row(
        what,
        f"p50 {p50:.2f}, p95 {p95:.2f} ({detail})",
        f"<= {target:.3g}",
        max(round(p50, 2), round(p95, 2)) <= target,
    )


def markdown(rows: Iterable[Row]) -> str:
    """The table, a missed target in bold."""
    lines = ["| measure | figure | target | |", "|---|---|---|---|"]
    for row in rows:
        verdict = {None: "", True: "met", False: "**missed**"}[row.met]
        lines.append(f"| {row.what} | {row.figure} | {row.target} | {verdict} |")
    return "\n".join(lines) + "\n"
