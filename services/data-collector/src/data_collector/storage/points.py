"""Series to one Arrow table of `performance_metrics`: validation and de-duplication.

Pure and columnar. The work per point is numpy's and the work per series is Arrow's; plain
Python runs per distinct metric only, since a cycle has many series of a few points each.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from optiinfra.accounts import Account
from optiinfra.catalog import METRICS, Metric
from optiinfra.domain import NAIVE_TIME, DropReason, Series
from optiinfra.provider import Timing
from optiinfra_database.tables import PERFORMANCE_METRICS

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Drops = Counter[DropReason]

_SECOND = timedelta(seconds=1)
#: Where a metric outside the catalog stands until its points are dropped.
_UNKNOWN = Metric("", METRICS["uptime"].unit, "", ())


def points_table(
    account: Account,
    series: Sequence[Series],
    *,
    timing: Timing,
    retention: timedelta,
    as_of: datetime,
    version: datetime | None = None,
) -> tuple[pa.Table, Drops]:
    """The valid points of `series`, each key once, sorted by the table's key.

    `as_of` is when the provider was asked. Of several points with one key the last one given
    stands. A point is settled when its bucket ended at least its settling time before
    `as_of`, a reading at once. `version` becomes `collected_at` where that is not `as_of`:
    of two readings of a point the later version stands. The counter holds every value that
    was refused, by reason.
    """
    if not series:
        return PERFORMANCE_METRICS.empty_table(), Counter()
    owner, times, values = _points(series)
    metrics = _Words([one.metric for one in series])
    resources = _Words([one.resource_id for one in series])
    texts = _texts([one.metadata for one in series])
    known = [METRICS.get(word, _UNKNOWN) for word in metrics.distinct]

    asked_at = int(as_of.timestamp())
    collected_at = int((version or as_of).timestamp())
    low = metrics.each(known, lambda one: one.low)[owner]
    high = metrics.each(known, lambda one: one.high)[owner]
    nameless = resources.where("") | texts.where("")
    drops: Drops = Counter()
    kept = _valid(
        (
            (DropReason.UNKNOWN_METRIC, metrics.each(known, lambda one: one is _UNKNOWN)[owner]),
            (DropReason.INVALID, nameless[owner]),
            (DropReason.NAIVE_TIME, times == NAIVE_TIME),
            (DropReason.NOT_FINITE, ~np.isfinite(values)),
            (DropReason.FUTURE, times > asked_at),
            (DropReason.TOO_OLD, times < asked_at - retention // _SECOND),
            (DropReason.OUT_OF_RANGE, (values < low) | (values > high)),
        ),
        drops,
    )
    rank = metrics.rank * len(resources.distinct) + resources.rank
    newest = _newest_of_each_key(rank[owner[kept]], times[kept])
    drops[DropReason.DUPLICATE] += len(kept) - len(newest)
    kept = kept[newest]
    owner, times, values = owner[kept], times[kept], values[kept]
    settled_at = times + _settled_after(series, timing)[owner]

    def constant(text: str) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(np.zeros(len(kept), np.int32), pa.array([text]))

    table = pa.Table.from_arrays(
        [
            pa.array(times.astype(np.uint32)),
            constant(account.customer_id),
            constant(account.provider),
            constant(account.account_id),
            _Words([one.resource_type for one in series]).column(owner),
            resources.column(owner),
            _Words([one.resource_name for one in series]).column(owner),
            metrics.column(owner),
            pa.array(values),
            metrics.translated([one.unit for one in known]).column(owner),
            pa.array(settled_at <= asked_at),
            texts.column(owner),
            pa.array(np.full(len(kept), collected_at, dtype=np.uint32)),
        ],
        schema=PERFORMANCE_METRICS,
    )
    return table, +drops


class _Words:
    """One text per series, held once per distinct text.

    With `which`, `texts` are what series may have and `which` says the one that each has.
    """

    def __init__(self, texts: Sequence[str], which: NDArray[np.integer[Any]] | None = None) -> None:
        encoded = pa.array(texts, pa.string()).dictionary_encode()
        codes: NDArray[np.int32] = encoded.indices.to_numpy()
        self._dictionary = encoded.dictionary
        self._codes = codes if which is None else codes[which]
        self.distinct: list[str] = encoded.dictionary.to_pylist()

    def column(self, owner: Ints) -> pa.DictionaryArray:
        """The text of every point, given which series it belongs to."""
        return pa.DictionaryArray.from_arrays(self._codes[owner], self._dictionary)

    def translated(self, words: Sequence[str]) -> _Words:
        """Another text per series, given one for each distinct text."""
        return _Words(words, self._codes)

    def each(self, values: Sequence[Any], of: Callable[[Any], Any]) -> NDArray[Any]:
        """Something of each distinct text's value, spread over the series."""
        return np.array([of(value) for value in values])[self._codes]

    def where(self, text: str) -> Mask:
        """Which series have this text."""
        code = self.distinct.index(text) if text in self.distinct else -1
        found: Mask = self._codes == code
        return found

    @property
    def rank(self) -> Ints:
        """For each series the place of its text among the distinct ones in byte order."""
        order = pc.array_sort_indices(self._dictionary).to_numpy()
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = np.arange(len(order))
        return ranks[self._codes]


def _points(series: Sequence[Series]) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """The points of all series end to end: which series each belongs to, time, value."""
    columns = [one.values for one in series]
    lengths = np.fromiter(map(len, columns), dtype=np.int64, count=len(columns))
    owner = np.repeat(np.arange(len(series)), lengths)
    times = _end_to_end([one.timestamps for one in series], np.int64)
    return owner, times, _end_to_end(columns, np.float64)


def _end_to_end(columns: Sequence[NDArray[Any]], dtype: type[np.generic]) -> NDArray[Any]:
    """One column of many short ones, which all have `dtype`."""
    buffers: Sequence[Any] = columns  # NumPy does not tell type checkers that it has buffers
    try:
        # Half the time that NumPy takes to join thousands of columns of a few points.
        return np.frombuffer(b"".join(buffers), dtype)
    except TypeError:  # a column that is a view with steps
        return np.concatenate(columns)


def _texts(metadata: Sequence[Mapping[str, object]]) -> _Words:
    """Metadata as JSON; empty where it cannot be. One object that many series share is
    written once."""
    identity = np.fromiter(map(id, metadata), dtype=np.int64, count=len(metadata))
    _, first, which = np.unique(identity, return_index=True, return_inverse=True)
    return _Words([_json_text(metadata[index]) for index in first], which)


def _json_text(metadata: Mapping[str, object]) -> str:
    if not metadata:
        return "{}"
    try:
        return json.dumps(metadata, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError):
        return ""


def _settled_after(series: Sequence[Series], timing: Timing) -> Ints:
    """Seconds from a bucket's start until it is settled, for each series.

    What can only be read now is final at once: nobody will ever say otherwise.
    """
    usual = (timing.period + timing.settling) // _SECOND if timing.history else 0
    after = np.full(len(series), usual, dtype=np.int64)
    for index, one in enumerate(series):
        if one.settling is not None:
            after[index] = (timing.period + one.settling) // _SECOND
    return after


def _valid(refused: Sequence[tuple[DropReason, Mask]], drops: Drops) -> Ints:
    """The points that no reason refuses; one that several refuse counts for the first."""
    valid: Mask = np.ones(len(refused[0][1]), dtype=bool)
    for reason, mask in refused:
        if mask.any():
            drops[reason] += int(np.count_nonzero(mask & valid))
            valid &= ~mask
    return np.flatnonzero(valid)


def _newest_of_each_key(rank: Ints, times: Ints) -> Ints:
    """Positions in key order, the last given of each (series key, time)."""
    combined = (rank << 33) + times  # times of valid points are 32-bit seconds
    if np.all(combined[1:] > combined[:-1]):
        return np.arange(len(combined))
    order = np.argsort(combined, kind="stable")
    in_order = combined[order]
    last_of_run = np.ones(len(order), dtype=bool)
    last_of_run[:-1] = in_order[1:] != in_order[:-1]
    return order[last_of_run]
