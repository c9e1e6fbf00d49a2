"""Series to the table's columns: what is refused, what wins, what order comes out."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_collector.storage.points import points_table
from optiinfra.accounts import Account
from optiinfra.domain import NAIVE_TIME, DropReason, Series, epoch_seconds
from optiinfra.provider import Timing

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ACCOUNT = Account("acme", "prod", "aws")
TIMING = Timing(
    timedelta(minutes=5),
    timedelta(minutes=3),
    timedelta(minutes=30),
    timedelta(days=14),
    timedelta(days=1),
)
T0 = int(NOW.timestamp()) - 7200


def series(times, values, *, metric="cpu_utilization", resource="i-1", **more) -> Series:
    return Series(
        metric,
        resource,
        f"name of {resource}",
        "compute_instance",
        np.array(times, dtype=np.int64),
        np.array(values, dtype=np.float64),
        **more,
    )


def table_of(*given_series):
    table, drops = points_table(
        ACCOUNT, given_series, timing=TIMING, retention=timedelta(days=90), as_of=NOW
    )
    return table.to_pylist(), dict(drops)


def test_a_row_carries_everything_the_table_asks_for():
    rows, drops = table_of(series([T0], [12.5], metadata={"b": 1, "a": {"x": "é"}}))
    assert drops == {}
    assert rows == [
        {
            "timestamp": T0,
            "customer_id": "acme",
            "provider": "aws",
            "account_id": "prod",
            "metric_type": "compute_instance",
            "resource_id": "i-1",
            "resource_name": "name of i-1",
            "metric_name": "cpu_utilization",
            "metric_value": 12.5,
            "unit": "%",
            "settled": True,
            "metadata": '{"a":{"x":"\\u00e9"},"b":1}',
            "collected_at": int(NOW.timestamp()),
        }
    ]


def test_columns_may_be_views_with_steps():
    newest_first = series([T0 + 600, T0 + 300, T0], [3, 2, 1])
    turned = replace(
        newest_first,
        timestamps=newest_first.timestamps[::-1],
        values=newest_first.values[::-1],
    )
    rows, _ = table_of(turned, series([T0], [9], resource="i-2"))
    assert [(row["resource_id"], row["timestamp"], row["metric_value"]) for row in rows] == [
        ("i-1", T0, 1),
        ("i-1", T0 + 300, 2),
        ("i-1", T0 + 600, 3),
        ("i-2", T0, 9),
    ]


@pytest.mark.parametrize("column", ["timestamps", "values"])
def test_columns_of_another_type_are_refused(column):
    good = series([T0], [1])
    with pytest.raises(ValueError, match="int64 and float64"):
        replace(good, **{column: getattr(good, column).astype(np.float32)})


def test_each_refusal_is_counted_by_its_reason():
    now = int(NOW.timestamp())
    rows, drops = table_of(
        series(
            [T0, T0 + 300, T0 + 600, now + 1, now - 91 * 86400, NAIVE_TIME, T0 + 900],
            [np.nan, np.inf, -np.inf, 1, 1, 1, -0.1],
        ),
        series([T0, T0 + 300], [101, 100], metric="memory_utilization"),
        series([T0, T0 + 300], [1, 2], metric="no_such_metric"),
        series([T0], [1], resource=""),
        series([T0], [1], resource="i-2", metadata={"broken": float("nan")}),
        series([T0, T0], [1, 2], resource="i-3"),
    )
    assert drops == {
        DropReason.NOT_FINITE: 3,
        DropReason.FUTURE: 1,
        DropReason.TOO_OLD: 1,
        DropReason.NAIVE_TIME: 1,
        DropReason.OUT_OF_RANGE: 2,
        DropReason.UNKNOWN_METRIC: 2,
        DropReason.INVALID: 2,
        DropReason.DUPLICATE: 1,
    }
    assert [(row["resource_id"], row["metric_value"]) for row in rows] == [
        ("i-3", 2.0),
        ("i-1", 100.0),
    ]


def test_a_point_is_settled_only_when_its_bucket_ended_long_enough_ago():
    now = int(NOW.timestamp())
    settles = now - 30 * 60 - 5 * 60  # bucket start of the youngest settled bucket
    rows, _ = table_of(series([settles, settles + 300], [1, 1]))
    assert [row["settled"] for row in rows] == [True, False]
    own = series([settles, settles + 300], [1, 1], settling=timedelta(hours=1))
    assert [row["settled"] for row in table_of(own)[0]] == [False, False]


def test_a_reading_that_cannot_be_repeated_is_settled_at_once():
    reading = replace(TIMING, settling=timedelta(), history=timedelta())
    now = int(NOW.timestamp())
    table, _ = points_table(
        ACCOUNT, [series([now], [1])], timing=reading, retention=timedelta(days=90), as_of=NOW
    )
    assert table["settled"].to_pylist() == [True]


def test_nothing_at_all_is_an_empty_table():
    assert table_of() == ([], {})
    assert table_of(series([], [])) == ([], {})


def test_times_without_a_zone_are_marked_and_others_converted():
    aware = datetime(2026, 11, 20, 13, 0, tzinfo=UTC)
    naive = datetime(2026, 11, 20, 13, 0)  # noqa: DTZ001  # the very mistake under test
    assert epoch_seconds([aware, naive]).tolist() == [int(aware.timestamp()), NAIVE_TIME]


points = st.lists(
    st.tuples(
        st.sampled_from(["cpu_utilization", "uptime", "disk_read_ops_per_sec"]),
        st.sampled_from(["i-1", "i-2", "/a/b'c", "ü"]),
        st.integers(0, 12),
        st.floats(0, 100, allow_nan=False),
    ),
    max_size=60,
)


@given(points)
def test_any_mixture_comes_out_sorted_once_per_key_with_the_last_value(given_points):
    wanted = {}
    for metric, resource, step, value in given_points:
        wanted[(metric, resource, T0 + 300 * step)] = value
    rows, drops = table_of(
        *(
            series([T0 + 300 * step], [value], metric=metric, resource=resource)
            for metric, resource, step, value in given_points
        )
    )
    keys = [(row["metric_name"], row["resource_id"], row["timestamp"]) for row in rows]
    assert keys == sorted(wanted)
    assert [row["metric_value"] for row in rows] == [wanted[key] for key in keys]
    assert sum(drops.values()) == len(given_points) - len(wanted)
    assert all(json.loads(row["metadata"]) == {} for row in rows)
