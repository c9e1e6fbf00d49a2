"""Which scopes nobody has listed completely of late, as SQL expressions over a resource's scope.

A listing that failed, was denied or broke off changes no resource: what is stored stands, and
nobody knows whether it still holds. The ledger knows since when, by scope; a scope's name says
its provider and account.
"""

from __future__ import annotations

_NEVER = "toDateTime(0, 'UTC')"
_OF_CUSTOMER = "customer_id = {customer:String} AND kind = 'resources'"


def _since(source: str) -> str:
    # One look-up for the whole statement: a join would keep the engine from reading in the
    # order of the key and stopping at the limit.
    return (
        "(SELECT mapFromArrays(groupArray(toString(scope)), groupArray(incomplete_since)) "
        f"FROM {source} WHERE incomplete_since > {_NEVER})[toString(scope)]"
    )


#: When the scope's first listing began that was not complete since the last complete one; the
#: epoch while the last one was complete.
SINCE = _since(f"(SELECT * FROM collection_scopes FINAL WHERE {_OF_CUSTOMER})")

#: The same as it was at the bound moment `as_of`.
SINCE_AS_OF = _since(
    "(SELECT scope, argMax(incomplete_since, finished_at) AS incomplete_since "
    f"FROM collection_outcomes WHERE {_OF_CUSTOMER} "
    "AND window_end <= toDateTime({as_of:UInt32}, 'UTC') GROUP BY provider, scope)"
)
