"""What a write came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from optiinfra.domain import DropReason


@dataclass(slots=True)
class WriteReport:
    """Rows that are in the store now, and values refused, by reason."""

    rows: int = 0
    dropped: Counter[DropReason] = field(default_factory=Counter)

    def add(self, other: WriteReport) -> None:
        """Count another write in."""
        self.rows += other.rows
        self.dropped.update(other.dropped)
