"""The one place that retries a call to a provider or to another service."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import stamina

from optiinfra.errors import ThrottledError, TransientError

T = TypeVar("T")


def call_with_retry(
    call: Callable[[], T],
    *,
    attempts: int = 4,
    deadline: timedelta = timedelta(seconds=60),
) -> T:
    """The call's answer, tried again after a TransientError with growing, jittered pauses.

    A provider's `retry_after` is honoured up to the deadline; a longer one is not waited
    for, since it would hold a worker that others need. The last error is raised when
    `attempts` or `deadline` are used up; every other error is raised at once.
    """

    def worth_retrying(error: Exception) -> bool | timedelta:
        if isinstance(error, ThrottledError) and error.retry_after is not None:
            return error.retry_after <= deadline and error.retry_after
        return isinstance(error, TransientError)

    caller = stamina.RetryingCaller(attempts=attempts, timeout=deadline, wait_initial=0.2)
    return caller(worth_retrying, call)
