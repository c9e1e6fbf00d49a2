"""Records that wait in memory, packed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

from data_collector.packing import PAGE, Bins, Packed, pages
from optiinfra.domain import Resource


def fleet(count: int) -> Iterator[Resource]:
    for number in range(count):
        metadata: dict[str, object] = {"tags": {"team": f"team-{number % 7}"}, "vcpus": number % 9}
        name = f"machine-{number}"
        yield Resource(str(number), name, "compute_instance", "running", "ewr", metadata)


def test_what_is_packed_comes_out_as_often_as_it_is_asked_for() -> None:
    listed = list(fleet(2 * PAGE + 1))
    packed = Packed(iter(listed))
    assert list(packed) == listed
    assert list(packed) == listed
    shuffled = list(packed.shuffled())
    assert sorted(shuffled, key=lambda one: int(one.resource_id)) == listed


def test_nothing_is_packed_as_nothing() -> None:
    assert list(Packed(())) == list(Packed(()).shuffled()) == []


def test_packing_neither_holds_all_records_nor_keeps_their_room() -> None:
    def peak_and_rest(count: int) -> tuple[int, int]:
        tracemalloc.start()
        packed = Packed(fleet(count))
        rest, peak = tracemalloc.get_traced_memory()
        assert sum(1 for _ in packed) == count
        tracemalloc.stop()
        return peak, rest

    small, _ = peak_and_rest(2 * PAGE)
    large, kept = peak_and_rest(20 * PAGE)
    assert large < 2 * small
    assert kept < 60 * 20 * PAGE  # bytes for each


def test_pages_are_full_but_for_the_last() -> None:
    assert [len(page) for page in pages(range(2 * PAGE + 3))] == [PAGE, PAGE, 3]
    assert list(pages(())) == []


def test_a_bin_gives_back_what_was_put_into_it_in_that_order() -> None:
    bins: Bins[int] = Bins(3)
    for number in range(1000):
        bins.put(number % 2, number)
    assert len(bins) == 1000
    assert list(bins.bin(0)) == list(range(0, 1000, 2))
    assert list(bins.bin(1)) == list(range(1, 1000, 2))
    assert list(bins.bin(2)) == []
