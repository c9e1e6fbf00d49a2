"""Which days of bandwidth each resource was asked for, whichever process asked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from data_collector.collectors.vultr.performance import DAY, Days
from optiinfra.domain import iso
from optiinfra.notes import Notes

#: What is older is asked for as if it never had been.
LIFETIME = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class _Question:
    """In which bucket a resource was last asked, and for which days."""

    stamp: str
    days: Days


@dataclass
class Asked:
    """The questions of one scope, as they are noted under `name`. Safe to share between threads.

    `stamp` is the bucket of the collection under way, and `unsettled` how many days before the
    last one may still change.
    """

    notes: Notes
    name: str
    stamp: datetime
    unsettled: int
    _known: dict[str, _Question] = field(init=False)
    _kept: dict[str, _Question] = field(default_factory=dict, init=False)
    _news: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        groups = json.loads(self.notes.get(self.name) or "[]")
        self._known = {}
        for stamp, first, last, ids in groups:
            question = _Question(stamp, Days(date.fromisoformat(first), date.fromisoformat(last)))
            self._known.update(dict.fromkeys(ids, question))
        self._now = iso(self.stamp)

    def due(self, resource_id: str, published: Days) -> Days | None:
        """The days to ask a resource for, None where it was asked already."""
        known = self._known.get(resource_id)
        if known is None:
            return published
        self._kept[resource_id] = known
        if known.days.last < published.last:
            # Back to what had not settled when it was last read, and one day for good measure.
            first = known.days.last - self.unsettled * DAY
            return Days(max(first, published.first), published.last)
        # The same bucket again wants the same answer again.
        return known.days if known.stamp == self._now else None

    def answered(self, resource_id: str, days: Days) -> None:
        """It was asked for these days, and nothing of the answer is missing."""
        self._kept[resource_id] = _Question(self._now, days)
        self._news = True

    def note(self) -> None:
        """Note what was asked; of a resource that is no longer listed nothing is kept."""
        if not self._news:
            return
        groups: dict[_Question, list[str]] = {}
        for resource_id, question in self._kept.items():
            groups.setdefault(question, []).append(resource_id)
        text = json.dumps(
            [
                [one.stamp, one.days.first.isoformat(), one.days.last.isoformat(), ids]
                for one, ids in groups.items()
            ]
        )
        self.notes.put(self.name, text, LIFETIME)
