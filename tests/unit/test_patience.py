"""A provider that hangs costs a thread, never a worker."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

import pytest
import structlog

from data_collector.patience import Patience
from optiinfra.errors import DeniedError, TransientError

SOON = timedelta(milliseconds=50)


def test_items_come_in_their_order_and_all_of_them():
    assert list(Patience().items("scope", lambda: iter(range(10_000)))) == list(range(10_000))


def test_what_the_provider_raises_is_raised_after_what_came_before_it():
    def produce() -> Iterator[int]:
        yield 1
        raise DeniedError("no")

    items = Patience().items("scope", produce)
    assert next(items) == 1
    with pytest.raises(DeniedError, match="no"):
        next(items)


def test_a_provider_that_ends_the_process_ends_only_its_scope():
    def produce() -> Iterator[int]:
        yield 1
        sys.exit(3)

    with pytest.raises(RuntimeError, match="SystemExit"):
        list(Patience().items("scope", produce))


def test_what_hangs_is_left_and_not_begun_again_until_it_ends():
    gate = threading.Event()
    begun = []

    def produce() -> Iterator[int]:
        begun.append(threading.current_thread())
        yield 1
        gate.wait()

    patience = Patience(SOON)
    items = patience.items("hangs", produce)
    assert next(items) == 1
    with pytest.raises(TransientError, match="gave no sign"):
        next(items)
    with pytest.raises(TransientError, match="still hangs"):
        next(patience.items("hangs", produce))
    assert len(begun) == 1
    assert list(patience.items("another", lambda: iter([1]))) == [1]
    gate.set()
    begun[0].join()
    assert list(patience.items("hangs", produce)) == [1]


def test_who_takes_no_more_ends_the_provider_too():
    ended = threading.Event()

    def produce() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            ended.set()

    items = Patience().items("scope", produce)
    assert list(islice(items, 3)) == [0, 1, 2]
    items.close()  # type: ignore[attr-defined]  # it is a generator
    assert ended.wait(10)


def test_the_providers_thread_logs_with_the_workers_context():
    seen = []

    def produce() -> Iterator[int]:
        seen.append(structlog.contextvars.get_contextvars())
        yield 1

    with structlog.contextvars.bound_contextvars(run_id="r1"):
        list(Patience().items("scope", produce))
    assert seen == [{"run_id": "r1"}]
