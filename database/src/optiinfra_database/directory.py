"""Which customers and providers there are, for services that do not see the accounts file.

The collector writes the configured accounts to the store; readers look here. The answer is
kept for a short while, since every request asks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from optiinfra_database.client import Store

_FRESH_SECONDS = 15.0
#: An unknown customer may have been added a moment ago: look again, but not per request.
_MISS_SECONDS = 1.0


class Directory:
    """Customers and their providers, as the collector last announced them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._providers: dict[str, list[str]] = {}
        self._read_at = float("-inf")

    def providers(self, customer_id: str) -> Sequence[str]:
        """The providers of a customer, sorted; empty for an unknown customer."""
        with self._lock:
            known = self.cached(customer_id)
            if known is None:
                self._refresh()
                known = self._providers.get(customer_id, [])
            return known

    def cached(self, customer_id: str) -> Sequence[str] | None:
        """What `providers` would say without asking the store; None when it would ask."""
        age = time.monotonic() - self._read_at
        known = self._providers.get(customer_id, [])
        stale = age > _FRESH_SECONDS or (not known and age > _MISS_SECONDS)
        return None if stale else known

    def customers(self) -> Mapping[str, Sequence[str]]:
        """Every customer with its providers, both sorted."""
        with self._lock:
            if time.monotonic() - self._read_at > _FRESH_SECONDS:
                self._refresh()
            return dict(sorted(self._providers.items()))

    def announce(self, accounts: Sequence[tuple[str, str, str]]) -> None:
        """Record (customer, provider, account) triples; one that has gone stays known,
        since its data is still there."""
        now = datetime.now(UTC)
        self._store.insert(
            "accounts",
            ["customer_id", "provider", "account_id", "updated_at"],
            [[*account, now] for account in accounts],
        )
        with self._lock:
            self._read_at = float("-inf")

    def _refresh(self) -> None:
        rows = self._store.query(
            "SELECT customer_id, arraySort(groupUniqArray(provider)) FROM accounts "
            "GROUP BY customer_id"
        )
        self._providers = {customer: list(providers) for customer, providers in rows}
        self._read_at = time.monotonic()
