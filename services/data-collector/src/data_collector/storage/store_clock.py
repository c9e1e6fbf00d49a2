"""What time it is, for everybody who collects into one store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from optiinfra.errors import StoreUnavailableError
from optiinfra_database.client import Store

#: How long the monotonic clock is trusted before the store is asked again.
_TRUSTED_SECONDS = 60.0


class StoreClock:
    """Says the store's time; safe to share between threads.

    Workers whose own clocks differ agree on windows and on which reading is the newest.
    Between two looks at the store it goes on by this machine's monotonic clock, which no
    correction of the wall clock moves, also while the store is away. Raises
    StoreUnavailableError before the first look only.
    """

    def __init__(self, store: Store, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._looked: tuple[datetime, float] | None = None

    def __call__(self) -> datetime:
        with self._lock:
            now = self._monotonic()
            if self._looked is None or now - self._looked[1] > _TRUSTED_SECONDS:
                self._looked = self._look(now)
            moment, looked_at = self._looked
            return moment + timedelta(seconds=now - looked_at)

    def _look(self, now: float) -> tuple[datetime, float]:
        try:
            ((moment,),) = self._store.query("SELECT now64(6, 'UTC')")
        except StoreUnavailableError:
            if self._looked is None:
                raise
            return self._looked
        return moment, now
