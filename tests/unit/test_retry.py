"""Retrying: what passes is tried again, what does not is told at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stamina

from optiinfra.errors import DeniedError, ThrottledError, TransientError
from optiinfra.retry import call_with_retry


@pytest.fixture(autouse=True)
def _without_pauses():
    """Every attempt is made, none is waited for."""
    with stamina.set_testing(True, attempts=4):
        yield


def failing(*errors: Exception):
    """A call that raises these in turn and then answers how often it was made."""
    left = list(errors)

    def call() -> int:
        if left:
            raise left.pop(0)
        return len(errors) + 1

    return call


def test_a_passing_fault_is_tried_again():
    assert call_with_retry(failing(TransientError("a"), TransientError("b"))) == 3
    soon = ThrottledError("slow down", retry_after=timedelta(milliseconds=1))
    assert call_with_retry(failing(soon)) == 2


def test_a_lasting_fault_is_told_at_once():
    call = failing(DeniedError("no"), TransientError("never reached"))
    with pytest.raises(DeniedError):
        call_with_retry(call)
    with pytest.raises(TransientError):
        call()


def test_the_last_error_is_told_when_the_attempts_are_used_up():
    with pytest.raises(TransientError, match="fourth"):
        call_with_retry(failing(*(TransientError(n) for n in ("1", "2", "3", "fourth", "5"))))


def test_a_pause_beyond_the_deadline_is_not_waited_for():
    far = ThrottledError("come back tomorrow", retry_after=timedelta(hours=1))
    with pytest.raises(ThrottledError):
        call_with_retry(failing(far), deadline=timedelta(seconds=60))
