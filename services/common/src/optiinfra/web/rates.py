"""How often one token may ask for what is costly.

Each process counts for itself: behind a balancer, n replicas let through up to n times as
much. A bound on what one caller can do to a process, and no quota to bill by.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from optiinfra.settings import Settings
from optiinfra.web.problems import Problem


class Rate:
    """So many in any minute for each of those who ask. Safe to share between threads."""

    def __init__(self, per_minute: int, what: str) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._item = RateLimitItemPerMinute(per_minute)
        self._what = what

    def take(self, *who: str) -> None:
        """Count one. Raises a 429 problem, with the time to come back, when there is none left."""
        if self._limiter.hit(self._item, *who):
            return
        wait = self._limiter.get_window_stats(self._item, *who).reset_time - time.time()
        raise Problem(
            429,
            "Too Many Requests",
            f"A token has {self._item.amount} {self._what} in a minute; come back later.",
            headers={"Retry-After": str(max(math.ceil(wait), 1))},
        )


@dataclass(frozen=True, slots=True)
class Rates:
    """The costly things: collections started, and whole answers streamed."""

    triggers: Rate
    exports: Rate


def create_rates(settings: Settings) -> Rates | None:
    """The rates of one service; None where nobody has a token to be told apart by."""
    if settings.auth == "none":
        return None
    return Rates(
        Rate(settings.triggers_per_minute, "triggers"), Rate(settings.exports_per_minute, "exports")
    )
