"""Random schedules of faults: nothing acknowledged is lost, nothing is there twice.

`make faults` runs more of them and prints what they did.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from support.faulty_world import PROVIDER, SOURCE, Tally, World
from support.plugins import install_provider

#: So many in one test; of several tests each test process takes some.
PART = 10
SCHEDULES = int(os.environ.get("OPTIINFRA_TEST_SCHEDULES", "20"))


@pytest.fixture(scope="module", autouse=True)
def _provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        install_provider(tmp_path_factory.mktemp("site"), monkeypatch, PROVIDER, SOURCE)
        yield


@pytest.mark.parametrize("first", range(0, SCHEDULES, PART))
def test_over_any_schedule_of_faults_the_store_ends_as_the_truth(
    store, tmp_path, first, record_property
):
    together = Tally()
    for seed in range(first, first + PART):
        found = World(store, tmp_path, seed).run()
        assert (found.lost, found.doubled, found.wrong) == (0, 0, 0), f"schedule {seed}: {found}"
        together.add(found)
    assert together.points > 1000 * together.schedules
    assert together.acknowledged > 500 * together.schedules
    record_property("faults", json.dumps(vars(together)))
