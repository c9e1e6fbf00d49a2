"""What the processes of a collector agree on, whatever holds it."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

from optiinfra.calls import Limit
from optiinfra.errors import ThrottledError

#: Longest wait for a turn; who would wait longer gives its worker back and comes again with
#: the next run, so that a throttled account starves nobody.
PATIENCE_SECONDS = 30.0
#: A throttled answer halves the pace, a good one gives this share of the limit back.
RECOVERY = 0.05
#: The pace never falls below this share of the limit.
SLOWEST = 1 / 64


class Coordination(Protocol):
    """Locks with an owner and a lifetime, and the scopes that a run still waits for."""

    def acquire(self, name: str, owner: str, lifetime: timedelta) -> str:
        """Take the lock if it is free, or hold on to it; returns who holds it now.

        The answer may be `owner`, whose lifetime starts anew then.
        """
        ...

    def release(self, name: str, owner: str) -> None:
        """Give the lock back; nothing happens when somebody else holds it by now."""
        ...

    def expect(self, run_id: str, scopes: list[str], lifetime: timedelta) -> None:
        """A run waits for these scopes."""
        ...

    def attempt(self, run_id: str, scope: str) -> int:
        """Count one more attempt at a scope of a run; the first one is 1."""
        ...

    def expects(self, run_id: str, scope: str) -> bool:
        """Whether the run still waits for the scope."""
        ...

    def finished(self, run_id: str, scope: str) -> bool:
        """Strike a scope off; true for the call that struck off the last one."""
        ...

    def stop(self, run_id: str, why: str) -> None:
        """No scope of this run should begin any more."""
        ...

    def stopped(self, run_id: str) -> str:
        """Why the run was stopped; empty while it was not."""
        ...


def have_patience(limit: Limit, seconds: float) -> None:
    """Raise ThrottledError when a turn is further off than anybody should wait."""
    if seconds > PATIENCE_SECONDS:
        raise ThrottledError(
            f"{limit.name}: the shared limit has no room for another {seconds:.0f} s"
        )
