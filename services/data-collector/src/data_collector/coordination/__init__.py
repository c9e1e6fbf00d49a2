"""Who collects what now, what is left of a run, how fast a provider may be asked, and what it
was asked before.

In one process plain memory holds it; over many, Redis holds the same few keys.
"""

from __future__ import annotations

from data_collector.coordination.contract import Coordination
from data_collector.coordination.memory import MemoryBudgets, MemoryCoordination
from optiinfra.calls import Limiter
from optiinfra.notes import MemoryNotes, Notes

__all__ = ["Coordination", "connect_budgets", "connect_coordination", "connect_notes"]


def connect_coordination(broker: str) -> Coordination:
    """The coordination that goes with a broker URL."""
    if broker.startswith("memory:"):
        return MemoryCoordination()
    from data_collector.coordination.over_redis import RedisCoordination

    return RedisCoordination(broker)


def connect_budgets(broker: str) -> Limiter:
    """The budgets of the providers' limits that go with a broker URL."""
    if broker.startswith("memory:"):
        return MemoryBudgets()
    from data_collector.coordination.over_redis import RedisBudgets

    return RedisBudgets(broker)


def connect_notes(broker: str) -> Notes:
    """What collectors remember together, where the broker URL says that it is kept."""
    if broker.startswith("memory:"):
        return MemoryNotes()
    from data_collector.coordination.over_redis import RedisNotes

    return RedisNotes(broker)
