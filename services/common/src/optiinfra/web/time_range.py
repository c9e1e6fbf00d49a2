"""The time range of a question: a timeframe back from now, or start and end."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from optiinfra.domain import Window
from optiinfra.web.problems import invalid_parameter

Timeframe = Literal["1h", "6h", "24h", "7d", "30d", "90d"]

DEFAULT_TIMEFRAME: Timeframe = "24h"
_TIMEFRAMES: dict[Timeframe, timedelta] = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
# A client that computes "90 days ago" itself must not fail for the seconds its request took.
_GRACE = timedelta(hours=1)
_RFC_3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


def _rfc_3339(value: object) -> object:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError(
            "must be a time with a zone as in RFC 3339, like 2026-11-20T09:15:00Z "
            "(a + in a URL is written %2B)"
        )
    return value


#: A moment with a zone; a naive time or a number is refused.
Moment = Annotated[datetime, BeforeValidator(_rfc_3339)]


class TimeRangeQuery(BaseModel):
    """The parameters of a time range; endpoints add theirs by inheriting."""

    model_config = ConfigDict(extra="forbid")

    timeframe: Timeframe | None = Field(
        default=None, description="how far back from now; 24h when neither this nor start is given"
    )
    start: Moment | None = Field(
        default=None, description="RFC 3339 with a zone, instead of timeframe; included"
    )
    end: Moment | None = Field(
        default=None, description="RFC 3339 with a zone; excluded; now when only start is given"
    )

    def window(self, retention: timedelta, now: datetime | None = None) -> Window:
        """The half-open window in whole seconds of UTC, never reaching beyond now.

        Raises a 422 problem for a contradiction or for a range that is no longer kept.
        """
        now = _whole_second(now or datetime.now(UTC))
        if self.start is None:
            if self.end is not None:
                raise invalid_parameter("end", "needs start with it")
            length = _TIMEFRAMES[self.timeframe or DEFAULT_TIMEFRAME]
            if length > retention:
                raise invalid_parameter("timeframe", _over(retention))
            return Window(now - length, now)
        if self.timeframe is not None:
            raise invalid_parameter("timeframe", "cannot stand beside start; give one of them")
        start = _whole_second(self.start)
        end = _whole_second(self.end) if self.end is not None else now
        if start >= now:
            raise invalid_parameter("start", "lies in the future")
        if start >= end:
            raise invalid_parameter("start", "must be before end")
        if start < now - retention - _GRACE:
            raise invalid_parameter("start", _over(retention))
        return Window(start, min(end, now))


def _over(retention: timedelta) -> str:
    return f"reaches back further than the {retention.days} days that are kept"


def _whole_second(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError:  # the first and last hours of the calendar, moved by their zone
        return moment.replace(microsecond=0, tzinfo=UTC)
