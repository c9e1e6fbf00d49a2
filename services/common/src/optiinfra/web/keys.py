"""The public keys that tokens are signed with: read from a URL, where they change at any time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import jwt
import structlog

log = structlog.get_logger()

#: Keys are read again after this long; what their server withdrew stops to open the door.
FRESH_SECONDS = 300.0
#: Keys whose server is away go on for this long, then nobody is let in.
STALE_SECONDS = 3600.0
#: Between two readings, whatever key a token names: strangers must not drive us to knock.
PAUSE_SECONDS = 10.0


class KeySet:
    """The keys at a URL by their id. Safe to share between threads."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=5)
        self._clock = clock
        self._reading = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = float("-inf")
        self._tried_at = float("-inf")

    def find(self, token: str) -> jwt.PyJWK:
        """The key that the token says it is signed with.

        Raises jwt's own errors: PyJWKClientConnectionError when the keys cannot be had now,
        another PyJWTError when the token names none of them.
        """
        key_id = jwt.get_unverified_header(token).get("kid")
        if key_id is None:
            raise jwt.PyJWKClientError("the token names no key")
        # Who knows its key does not wait for somebody who reads the others again.
        if self._is_due(key_id) and self._reading.acquire(blocking=key_id not in self._keys):
            try:
                if self._is_due(key_id):
                    self._read()
            finally:
                self._reading.release()
        if self._clock() - self._read_at > STALE_SECONDS:
            raise jwt.PyJWKClientConnectionError("the keys have not been readable for too long")
        if key_id not in self._keys:
            raise jwt.PyJWKClientError("the token names an unknown key")
        return self._keys[key_id]

    def _is_due(self, key_id: str) -> bool:
        now = self._clock()
        wanted = key_id not in self._keys or now - self._read_at >= FRESH_SECONDS
        return wanted and now - self._tried_at >= PAUSE_SECONDS

    def _read(self) -> None:
        self._tried_at = self._clock()
        try:
            found = self._source.get_signing_keys()
        except (jwt.PyJWTError, ValueError) as error:
            log.warning("signing_keys_not_read", error=type(error).__name__)
            return
        self._keys = {key.key_id: key for key in found if key.key_id}
        self._read_at = self._clock()
