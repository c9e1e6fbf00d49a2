"""What time it is, for everybody who collects into one store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from optiinfra.errors import StoreUnavailableError
from optiinfra_database.client import Store

#: How long the monotonic clock is trusted before the store is asked again; by as much may the
#: clocks of two sound workers differ.
TRUSTED = timedelta(minutes=1)


class StoreClock:
    """Says the store's time; safe to share between threads.

    Workers whose own clocks differ agree on windows and on which reading is the newest.
    Between two looks at the store it goes on by this machine's monotonic clock, which no
    correction of the wall clock moves, also while the store is away. It may lag by as long as
    the store took to answer, but is never ahead of it: who lags reads something twice, who is
    ahead takes for settled what is not. Raises StoreUnavailableError before the first look
    only.
    """

    def __init__(self, store: Store, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._looked: tuple[datetime, float] | None = None

    def __call__(self) -> datetime:
        with self._lock:
            if self._looked is None or self._since(self._looked[1]) > TRUSTED:
                self._looked = self._look()
            moment, looked_at = self._looked
            return moment + self._since(looked_at)

    def _since(self, looked_at: float) -> timedelta:
        return timedelta(seconds=self._monotonic() - looked_at)

    def _look(self) -> tuple[datetime, float]:
        try:
            ((moment,),) = self._store.query("SELECT now64(6, 'UTC')")
        except StoreUnavailableError:
            if self._looked is None:
                raise
            return self._looked
        return moment, self._monotonic()
