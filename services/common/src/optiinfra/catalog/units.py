"""Units as UCUM writes them. A metric has one, the same on every provider."""

from __future__ import annotations

from enum import StrEnum


class Unit(StrEnum):
    """The unit of a stored value; percentages run from 0 to 100."""

    PERCENT = "%"
    BYTES = "By"
    BYTES_PER_SECOND = "By/s"
    OPERATIONS_PER_SECOND = "{op}/s"
    PACKETS_PER_SECOND = "{packet}/s"
    REQUESTS_PER_SECOND = "{req}/s"
    MILLISECONDS = "ms"
    SECONDS = "s"
    CONNECTIONS = "{connection}"
    HOSTS = "{host}"
