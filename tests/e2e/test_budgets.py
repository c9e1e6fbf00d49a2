"""What the page may weigh. How fast it is, `make bench` measures."""

from __future__ import annotations

import pytest
from benchmarks.page import BUNDLE_KB, bundle_bytes

from optiinfra_standalone.page import PAGE, is_built


@pytest.mark.skipif(not is_built(PAGE), reason="the page is not built; make page builds it")
def test_a_first_visit_loads_little() -> None:
    assert 50 < bundle_bytes() / 1000 < BUNDLE_KB
