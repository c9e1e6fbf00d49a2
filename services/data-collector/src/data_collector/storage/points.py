"""Series to one Arrow table of `performance_metrics`: validation and de-duplication.

Pure and columnar: the work per point is numpy's, the work per series is Python's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from optiinfra.accounts import Account
from optiinfra.catalog import METRICS
from optiinfra.domain import NAIVE_TIME, DropReason, Series
from optiinfra.provider import Timing
from optiinfra_database.tables import PERFORMANCE_METRICS

D = TypeVar("D", np.int64, np.float64)
Mask = NDArray[np.bool_]
Drops = Counter[DropReason]

_SECOND = timedelta(seconds=1)


def points_table(
    account: Account,
    series: Sequence[Series],
    *,
    timing: Timing,
    retention: timedelta,
    now: datetime,
) -> tuple[pa.Table, Drops]:
    """The valid points of `series`, each key once, sorted by the table's key.

    Of several points with one key the last one given stands. A point is settled when its
    bucket ended at least `timing.settling` before `now`. The counter holds every value
    that was refused, by reason.
    """
    drops: Drops = Counter()
    described = sorted(_describable(series, drops), key=lambda pair: _key(pair[0]))
    ordered = [one for one, _ in described]
    lengths = np.array([len(one.values) for one in ordered], dtype=np.int64)
    owner = np.repeat(np.arange(len(ordered), dtype=np.int64), lengths)
    times = _joined([one.timestamps for one in ordered], np.int64)
    values = _joined([one.values for one in ordered], np.float64)

    collected_at = int(now.timestamp())
    oldest = collected_at - int(retention.total_seconds())
    low = np.array([METRICS[one.metric].low for one in ordered], dtype=np.float64)
    high = np.array([METRICS[one.metric].high for one in ordered], dtype=np.float64)
    refused = (
        (DropReason.NAIVE_TIME, times == NAIVE_TIME),
        (DropReason.NOT_FINITE, ~np.isfinite(values)),
        (DropReason.FUTURE, times > collected_at),
        (DropReason.TOO_OLD, times < oldest),
        (DropReason.OUT_OF_RANGE, (values < low[owner]) | (values > high[owner])),
    )
    kept = np.arange(len(values))[_valid(refused, drops)]
    newest = _newest_of_each_key(_key_ranks(ordered)[owner[kept]], times[kept])
    drops[DropReason.DUPLICATE] += len(kept) - len(newest)
    kept = kept[newest]

    owner, times, values = owner[kept], times[kept], values[kept]
    settled_after = np.array(
        [
            (timing.period + (timing.settling if one.settling is None else one.settling)) // _SECOND
            for one in ordered
        ],
        dtype=np.int64,
    )

    def word(of: Callable[[Series], str]) -> pa.DictionaryArray:
        return _words([of(one) for one in ordered], owner)

    def constant(text: str) -> pa.DictionaryArray:
        return _words([text] * len(ordered), owner)

    table = pa.Table.from_arrays(
        [
            pa.array(times.astype(np.uint32)),
            constant(account.customer_id),
            constant(account.provider),
            constant(account.account_id),
            word(lambda one: one.resource_type),
            word(lambda one: one.resource_id),
            word(lambda one: one.resource_name),
            word(lambda one: one.metric),
            pa.array(values),
            word(lambda one: METRICS[one.metric].unit),
            pa.array(times + settled_after[owner] <= collected_at),
            _words([metadata for _, metadata in described], owner),
            pa.array(np.full(len(values), collected_at, dtype=np.uint32)),
        ],
        schema=PERFORMANCE_METRICS,
    )
    return table, +drops


def _key(one: Series) -> tuple[str, str]:
    return one.metric, one.resource_id


def _describable(series: Sequence[Series], drops: Drops) -> list[tuple[Series, str]]:
    """The series that the table can name, each with its metadata as JSON text."""
    good = []
    for one in series:
        if one.metric not in METRICS:
            drops[DropReason.UNKNOWN_METRIC] += len(one.values)
        elif not one.resource_id or (metadata := _json_text(one.metadata)) is None:
            drops[DropReason.INVALID] += len(one.values)
        else:
            good.append((one, metadata))
    return good


def _json_text(metadata: object) -> str | None:
    if not metadata:
        return "{}"
    try:
        return json.dumps(metadata, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError):
        return None


def _joined(columns: Sequence[NDArray[D]], dtype: type[D]) -> NDArray[D]:
    return np.concatenate(columns) if columns else np.empty(0, dtype=dtype)


def _valid(refused: Sequence[tuple[DropReason, Mask]], drops: Drops) -> Mask:
    """Which points no reason refuses; one that several refuse counts for the first."""
    valid: Mask = np.ones(len(refused[0][1]), dtype=bool)
    for reason, mask in refused:
        drops[reason] += int(np.count_nonzero(mask & valid))
        valid &= ~mask
    return valid


def _key_ranks(ordered: Sequence[Series]) -> NDArray[np.int64]:
    """For each series a number that is equal for equal keys and grows with the key."""
    changes = [
        index > 0 and _key(one) != _key(ordered[index - 1]) for index, one in enumerate(ordered)
    ]
    return np.cumsum(np.array(changes, dtype=np.int64))


def _newest_of_each_key(
    rank: NDArray[np.int64], times: NDArray[np.int64]
) -> NDArray[np.intp] | NDArray[np.int64]:
    """Positions in key order, the last given of each (series key, time)."""
    combined = (rank << 34) + times  # times are seconds of valid points: well below 2**34
    if np.all(combined[1:] > combined[:-1]):
        return np.arange(len(combined))
    order = np.argsort(combined, kind="stable")
    sorted_keys = combined[order]
    last_of_run = np.ones(len(order), dtype=bool)
    last_of_run[:-1] = sorted_keys[1:] != sorted_keys[:-1]
    return order[last_of_run]


def _words(texts: Sequence[str], owner: NDArray[np.int64]) -> pa.DictionaryArray:
    """One text per series spread over its points; the engine wants distinct dictionaries."""
    codes: dict[Hashable, int] = {}
    per_series = np.array([codes.setdefault(text, len(codes)) for text in texts], dtype=np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(per_series[owner] if len(texts) else per_series),
        pa.array(list(codes), type=pa.string()),
    )
