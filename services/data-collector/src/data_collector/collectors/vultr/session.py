"""*Fetch*: the API's GET requests, its paging and its errors."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from ipaddress import ip_address
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

import httpx

from data_collector.collectors.vultr.memory import Memory
from optiinfra.accounts import Account
from optiinfra.calls import Limit
from optiinfra.errors import (
    ContractError,
    CredentialError,
    DeniedError,
    ThrottledError,
    TransientError,
    UnsupportedError,
)
from optiinfra.retry import call_with_retry

API_URL = "https://api.vultr.com/v2"
#: The API counts requests by the address they come from, whoever's key they bear.
LIMIT = Limit("vultr/source-address", 30.0)
CONNECT_SECONDS = 10.0
WHOLE_SECONDS = 30.0
MAX_BYTES = 32 * 1024 * 1024
ATTEMPTS = 6
DEADLINE = timedelta(seconds=60)
#: A bucket's width.
LARGEST_SKEW = timedelta(minutes=5)
#: Who is asked to wait longer leaves it to the next cycle.
LONGEST_PAUSE = timedelta(seconds=30)

Native = Mapping[str, Any]
_ClientKey = tuple[str, str, str]


def endpoint(account: Account) -> str:
    """The URL that the API's paths are added to."""
    url = account.endpoints.get("default", API_URL).rstrip("/")
    return url if urlsplit(url).path else f"{url}/v2"


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this very machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Clients:
    """One HTTP client per account. Bounded; safe to share between threads.

    Accounts never share one, so neither cookies nor connections pass from one to another.
    """

    def __init__(self, capacity: int = 64) -> None:
        self._clients: Memory[_ClientKey, httpx.Client] = Memory(capacity)

    def of(self, account: Account) -> httpx.Client:
        """The account's client. One that made room for others is closed when let go of."""
        url = endpoint(account)
        return self._clients.get_or_put(
            (account.customer_id, account.account_id, url),
            lambda: httpx.Client(
                timeout=httpx.Timeout(WHOLE_SECONDS, connect=CONNECT_SECONDS),
                verify=_trusted_authorities(),
                follow_redirects=False,  # the key is for this address alone
                trust_env=not is_loopback(url),
            ),
        )


class Session:
    """The API as one account sees it. The key is read when the session begins.

    CredentialError where there is no key, or none may be left out.
    """

    def __init__(
        self, account: Account, client: httpx.Client, clock: Callable[[], datetime]
    ) -> None:
        self._calls = account.calls
        self._client = client
        self._clock = clock
        self.url = endpoint(account)
        self._headers = {"Accept": "application/json", **_authorization(account, self.url)}
        #: How far this machine's clock is ahead of the API's, once that has answered.
        self.skew: timedelta | None = None

    @property
    def clock_is_off(self) -> bool:
        """Whether a reading taken now would stand in another bucket than its own."""
        return self.skew is not None and abs(self.skew) > LARGEST_SKEW

    def get(
        self, path: str, operation: str, query: Mapping[str, str | int] | None = None
    ) -> Native:
        """The answer to one request, tried again while that can help.

        Raises every error of `optiinfra.errors` that a collector may; UnsupportedError where
        nothing is found under the path.
        """

        def attempt() -> Native | ThrottledError:
            try:
                with self._calls.made(operation, limit=LIMIT):
                    return self._document(path, query or {})
            except ThrottledError as error:
                if error.retry_after is not None and error.retry_after > LONGEST_PAUSE:
                    return error  # nobody waits that long here
                raise

        answer = call_with_retry(attempt, attempts=ATTEMPTS, deadline=DEADLINE)
        if isinstance(answer, ThrottledError):
            raise answer
        return answer

    def items(self, path: str, key: str, operation: str, per_page: int | None) -> Iterator[Native]:
        """Every item of a listing, once. Ends without an error only when it was complete.

        `key` names the list in the answer; `per_page` is None where the listing knows no
        pages. TransientError where the answer's own count says that something is missing.
        """
        where = f"{self.url}{path}"
        seen: set[str] = set()
        cursors: set[str] = set()
        totals: set[int] = set()
        query: dict[str, str | int] = {} if per_page is None else {"per_page": per_page}
        while True:
            page = self.get(path, operation, query)
            for item in _list(where, page, key):
                if (item_id := _id(where, item)) not in seen:
                    seen.add(item_id)
                    yield item
            meta = _mapping(page.get("meta"))
            if isinstance(total := meta.get("total"), int):
                totals.add(total)
            cursor = _mapping(meta.get("links")).get("next")
            if not cursor:
                break
            if not isinstance(cursor, str) or cursor in cursors:
                raise ContractError(f"{where}: its pages go round in a circle")
            cursors.add(cursor)
            query["cursor"] = cursor
        # A resource that came or went between two pages can push another one out of both.
        if len(totals) > 1:
            raise TransientError(f"{where}: changed while it was being listed")
        if totals and len(seen) < max(totals):
            raise TransientError(f"{where}: listed {len(seen)} of {max(totals)}")

    def _document(self, path: str, query: Mapping[str, str | int]) -> Native:
        url = f"{self.url}{path}"
        body = self._body(url, query)
        try:
            document = json.loads(body, parse_float=_finite, parse_constant=_finite)
        except (ValueError, RecursionError) as error:
            if not body.strip() or body.lstrip().startswith(b"{"):
                raise TransientError(f"{url}: the answer is cut short") from error
            raise ContractError(
                f"{url}: answers something other than JSON; is it the API's address?"
            ) from error
        if not isinstance(document, dict):
            raise ContractError(f"{url}: the answer has another shape")
        return document

    def _body(self, url: str, query: Mapping[str, str | int]) -> bytes:
        started = time.monotonic()
        body = bytearray()
        try:
            with self._client.stream(
                "GET", url, params=dict(query), headers=self._headers
            ) as answer:
                self._note_time(answer)
                _raise_for_status(url, answer)
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise ContractError(f"{url}: the answer is larger than {MAX_BYTES} bytes")
                    if time.monotonic() - started > WHOLE_SECONDS:
                        raise TransientError(f"{url}: no whole answer within {WHOLE_SECONDS:.0f} s")
        except (httpx.TransportError, httpx.DecodingError) as error:
            if _is_untrusted(error):
                raise ContractError(
                    f"{url}: its certificate is not trusted here; a proxy in between or a clock "
                    "that is off does that"
                ) from error
            raise TransientError(f"{url}: does not answer ({type(error).__name__})") from error
        except httpx.HTTPError as error:
            raise ContractError(f"{url}: cannot be read ({type(error).__name__})") from error
        return bytes(body)

    def _note_time(self, answer: httpx.Response) -> None:
        try:
            theirs = parsedate_to_datetime(answer.headers["Date"])
        except (KeyError, ValueError):
            return
        if theirs.tzinfo is not None:
            self.skew = self._clock() - theirs.astimezone(UTC)


def _authorization(account: Account, url: str) -> dict[str, str]:
    if account.credentials.get("anonymous") is True:
        if is_loopback(url):
            return {}
        raise CredentialError(
            f"{account.customer_id}/{account.account_id}: anonymous is for a loopback endpoint"
        )
    key = account.secret("api_key").get_secret_value()
    if not key.isascii() or not key.isprintable() or not key.strip():
        raise CredentialError(
            f"{account.customer_id}/{account.account_id}: api_key is empty or no key"
        )
    return {"Authorization": f"Bearer {key}"}


@cache
def _trusted_authorities() -> ssl.SSLContext:
    """The system's own; loading them takes longer than a request."""
    return ssl.create_default_context()


def _is_untrusted(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _finite(text: str) -> float | None:
    """A number as JSON has it; what is beyond a double, or no number at all, is not known."""
    value = float(text)
    return value if isfinite(value) else None


def _mapping(value: object) -> Native:
    return value if isinstance(value, dict) else {}


def _list(where: str, page: Native, key: str) -> list[Any]:
    """The page's list. An account without any may say null instead of an empty one."""
    items = page.get(key)
    if items is None and key in page and _mapping(page.get("meta")).get("total") == 0:
        return []
    if not isinstance(items, list):
        raise ContractError(f"{where}: the answer has no list {key}")
    return items


def _id(where: str, item: object) -> str:
    found = item.get("id") if isinstance(item, dict) else None
    if not isinstance(found, str) or not found.strip():
        raise ContractError(f"{where}: lists something without an id")
    return found.lower()


def _raise_for_status(url: str, answer: httpx.Response) -> None:
    status = answer.status_code
    if status == httpx.codes.OK:
        return
    if status == httpx.codes.TOO_MANY_REQUESTS:
        seconds = answer.headers.get("Retry-After", "")
        raise ThrottledError(
            f"{url}: asks for fewer requests",
            retry_after=timedelta(seconds=int(seconds)) if seconds.isdecimal() else None,
        )
    if answer.is_server_error:
        raise TransientError(f"{url}: answers {status}")
    if status == httpx.codes.UNAUTHORIZED:
        raise CredentialError(
            f"{url}: refuses the API key (401); it is wrong or expired, or its access control "
            "does not list this machine's address"
        )
    if status == httpx.codes.FORBIDDEN:
        raise DeniedError(
            f"{url}: the API key's user may not read it (403); give that user the permission to "
            "view it"
        )
    if status == httpx.codes.NOT_FOUND:
        raise UnsupportedError(f"{url}: is not there (404)")
    if answer.is_redirect:
        raise ContractError(f"{url}: redirects elsewhere ({status}); name the final URL")
    raise ContractError(f"{url}: answers {status}")
