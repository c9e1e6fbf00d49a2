"""What the ledger adds up to per account: the bill by month, and how its scopes stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from optiinfra.domain import DropReason, Kind, ScopeStatus
from optiinfra_database.client import Store

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class AccountKind:
    """One kind of data of one account, which is what a run collects."""

    customer_id: str
    provider: str
    account_id: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Usage:
    """What the outcomes that ended in one UTC month come to.

    `api_calls` is by API operation, `dropped` by reason, `outcomes` by status. `price_usd` is
    an estimate.
    """

    outcomes: Mapping[ScopeStatus, int]
    api_calls: Mapping[str, int]
    throttles: int
    price_usd: float
    rows: int
    dropped: Mapping[DropReason, int]


@dataclass(frozen=True, slots=True)
class ScopeTotals:
    """How the scopes of an account stand that its last runs asked for.

    `collected_until` is that of the scope furthest behind, None while none has any data;
    `completed_at` is when any of them last came back complete. `statuses` counts the scopes by
    their last outcome.
    """

    collected_until: datetime | None
    completed_at: datetime | None
    statuses: Mapping[ScopeStatus, int]


class LedgerTotals:
    """Reads the tables that the ledger's inserts keep added up; cheap at any length of it."""

    def __init__(self, store: Store, *, interval: timedelta) -> None:
        self._store = store
        # Scopes that a run asked for lie this close together; one that fell out of the
        # configuration stays behind and speaks of nothing any more.
        self._patience = int(4 * interval.total_seconds())

    def usage(self, month: date, customer_id: str = "") -> dict[AccountKind, Usage]:
        """The usage in the UTC month that begins on `month`; everybody's without a name."""
        rows = self._store.query(
            "SELECT customer_id, provider, account_id, kind, sumMap(outcomes), sumMap(api_calls), "
            "sum(throttles), sum(price_usd), sum(rows), sumMap(dropped) FROM collection_usage "
            "WHERE month = {month:Date} "
            "AND ({customer:String} = '' OR customer_id = {customer:String}) "
            "GROUP BY customer_id, provider, account_id, kind",
            {"month": month, "customer": customer_id},
        )
        return {_account_kind(*row[:4]): Usage(*row[4:]) for row in rows}

    def scopes(self) -> dict[AccountKind, ScopeTotals]:
        """How the scopes of every account stand."""
        rows = self._store.query(
            "SELECT customer_id, provider, account_id, kind, "
            "minIf(collected_until, collected_until > 0), max(completed_at), "
            "sumMap(map(toString(status), toUInt64(1))) "
            "FROM (SELECT *, max(finished_at) OVER (PARTITION BY customer_id, provider, "
            "account_id, kind) AS newest FROM collection_scopes FINAL) "
            "WHERE finished_at >= newest - toIntervalSecond({patience:UInt32}) "
            "GROUP BY customer_id, provider, account_id, kind",
            {"patience": self._patience},
        )
        return {
            _account_kind(customer, provider, account, kind): ScopeTotals(
                until if until > _EPOCH else None, done if done > _EPOCH else None, statuses
            )
            for customer, provider, account, kind, until, done, statuses in rows
        }


def _account_kind(customer_id: str, provider: str, account_id: str, kind: str) -> AccountKind:
    return AccountKind(customer_id, provider, account_id, Kind(kind))
