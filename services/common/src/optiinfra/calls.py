"""Calls to a provider: counted, so that the bill is known before it comes, and paced.

Every request a collector makes stands in one `with account.calls.made(...)` block. The
limiter behind it is shared by all workers; a throttled answer slows everybody who shares
that limit, and nobody else.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from opentelemetry import context

from optiinfra.errors import ThrottledError
from optiinfra.tracing import outgoing


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate that a provider enforces. `name` says for whom, so that what shares the rate
    shares the name: `aws/123456789012/us-east-1/cloudwatch`, `vultr/source-address`."""

    name: str
    per_second: float


class Limiter(Protocol):
    """Keeps calls below the providers' limits."""

    def wait(self, limit: Limit) -> None:
        """Return when the next call may be made; ThrottledError when that is too far off."""
        ...

    def throttled(self, limit: Limit, retry_after: timedelta | None) -> None:
        """The provider asked to slow down."""
        ...

    def succeeded(self, limit: Limit) -> None:
        """A call went through: the pace may recover."""
        ...


class Unlimited:
    """For calls that nobody limits."""

    def wait(self, limit: Limit) -> None:
        """Nothing to wait for."""

    def throttled(self, limit: Limit, retry_after: timedelta | None) -> None:
        """Nobody else to tell."""

    def succeeded(self, limit: Limit) -> None:
        """Nothing to recover."""


class Calls:
    """The calls made for one scope, by API operation. Safe to share between threads."""

    def __init__(self, limiter: Limiter | None = None) -> None:
        self._limiter = limiter or Unlimited()
        # Collectors hand calls to threads of their own, which know nothing of this one's span.
        self._span = context.get_current()
        self._lock = threading.Lock()
        self._made: Counter[str] = Counter()
        self._billed: Counter[str] = Counter()
        self._throttled = 0

    @contextmanager
    def made(self, operation: str, *, limit: Limit | None = None, units: int = 1) -> Iterator[None]:
        """Wrap one request; raise ThrottledError inside when the provider throttled it.

        A call that fails was made, and is billed, all the same. `units` is what the
        provider bills by (metrics requested, series returned); 1 where it bills by the call.
        """
        if limit:
            self._limiter.wait(limit)
        with self._lock:
            self._made[operation] += 1
            self._billed[operation] += units
        try:
            with outgoing(operation, parent=self._span):
                yield
        except ThrottledError as error:
            with self._lock:
                self._throttled += 1
            if limit:
                self._limiter.throttled(limit, error.retry_after)
            raise
        if limit:
            self._limiter.succeeded(limit)

    def billed(self, operation: str, units: int) -> None:
        """Add units that are known only from the answer, such as series returned."""
        with self._lock:
            self._billed[operation] += units

    def counts(self) -> Mapping[str, int]:
        """The requests made so far, by operation."""
        with self._lock:
            return dict(self._made)

    def throttles(self) -> int:
        """How many of them the provider answered with a wish to slow down."""
        with self._lock:
            return self._throttled

    def units(self) -> Mapping[str, int]:
        """What the provider bills of them, by operation, for `Provider.price`."""
        with self._lock:
            return dict(self._billed)
