"""Which windows a scope is asked for next. Pure: time goes in, windows come out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from optiinfra.domain import Window, floor_time
from optiinfra.provider import Timing

#: How far back the first collection of a scope reaches, as far as its history goes.
FIRST_REACH = timedelta(days=1)


def next_windows(
    *, now: datetime, watermark: datetime | None, timing: Timing, retention: timedelta
) -> Iterator[Window]:
    """The windows from what is collected to what is published by now, oldest first.

    `watermark` is the end of what the scope has been collected up to, None before its
    first success. The last part before it is read again until it has settled. Nothing is
    asked for beyond the provider's history or our retention. Windows are aligned to the
    period and at most `timing.chunk` long.
    """
    if not timing.history:
        start = floor_time(now, timing.period)
        yield Window(start, start + timing.period)
        return
    end = published_until(now, timing)
    reach = min(timing.history, retention)
    oldest = floor_time(now - reach, timing.period) + timing.period
    if watermark is None:
        start = max(oldest, floor_time(now - FIRST_REACH, timing.period))
    else:
        start = max(oldest, unsettled_from(watermark, timing))
    if start < end:
        yield from Window(start, end).chunks(timing.chunk)


def requested_windows(
    requested: Window, *, now: datetime, timing: Timing, retention: timedelta
) -> Iterator[Window]:
    """The part of a requested window that the provider can still answer, oldest first."""
    if not timing.history:
        yield from next_windows(now=now, watermark=None, timing=timing, retention=retention)
        return
    reach = min(timing.history, retention)
    start = max(
        floor_time(requested.start, timing.period),
        floor_time(now - reach, timing.period) + timing.period,
    )
    end = min(
        floor_time(requested.end - timedelta(microseconds=1), timing.period) + timing.period,
        published_until(now, timing),
    )
    if start < end:
        yield from Window(start, end).chunks(timing.chunk)


def published_until(now: datetime, timing: Timing) -> datetime:
    """The end of the newest bucket that the provider has published by now."""
    return floor_time(now - timing.delay, timing.period)


def unsettled_from(watermark: datetime, timing: Timing) -> datetime:
    """Where points begin that may not have been settled when the watermark was set.

    A bucket is read for the last time by a collection that starts no earlier than its end
    plus `settling`: the watermark trails the clock by `delay`, and one more period covers
    the bucket's own width.
    """
    overlap = max(timing.settling - timing.delay, timedelta())
    if timing.settling:
        overlap += timing.period
    return floor_time(watermark - overlap, timing.period)
