"""Azure's refusals as errors of ours. Pure, but for a look at the clock.

Messages name the account and what was asked. A code of Azure's is shown where it is one word,
its message never.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from optiinfra.errors import (
    ContractError,
    CredentialError,
    DeniedError,
    OptiInfraError,
    ThrottledError,
    TransientError,
)

if TYPE_CHECKING:
    from azure.core.rest import HttpResponse

#: A clock further off than this gets tokens refused.
_CLOCK_TOLERANCE = timedelta(minutes=5)
#: Codes of Azure Resource Manager for a token that it does not take at all. Every other 401
#: and 403 is about what the token may do.
_BAD_TOKEN = frozenset(
    {
        "authenticationfailed",
        "expiredauthenticationtoken",
        "invalidauthenticationtoken",
        "invalidauthenticationtokentenant",
        "invalidauthenticationtokenaudience",
    }
)
_THROTTLES = frozenset({429, 529})
#: A request that may go through when it asks for less: over a limit, or with one bad id.
_REFUSALS = frozenset({400, 404, 413})
#: Entra's own trouble.
_PASSING_AADSTS = frozenset({"AADSTS90024", "AADSTS90033"})
#: What the codes that operators meet mean.
_AADSTS: Mapping[str, str] = {
    "AADSTS50034": ": the user is unknown",
    "AADSTS700016": ": the application (client_id) is unknown in the tenant",
    "AADSTS700024": ": the assertion's time is out of range; check this machine's clock",
    "AADSTS7000112": ": the application is disabled",
    "AADSTS7000215": ": the client secret is wrong",
    "AADSTS7000222": ": the client secret has expired",
    "AADSTS90002": ": the tenant (tenant_id) is unknown",
}


class RefusedError(ContractError):
    """A metrics call that Azure does not take as it stands; a smaller one may go through.

    `valid_names` are the metrics that Azure says there are, in lower case; empty where it does
    not say.
    """

    def __init__(self, message: str, valid_names: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.valid_names = valid_names


@dataclass(frozen=True, slots=True)
class Grant:
    """What to do about a refusal, and whether a 401 may be about permissions at all."""

    advice: str
    unauthorised_is_denied: bool


READER = Grant("grant Reader on the subscription", unauthorised_is_denied=False)
MONITORING = Grant(
    "grant Monitoring Reader at subscription scope (a grant takes up to 30 minutes to arrive) "
    "and register Microsoft.Insights",
    unauthorised_is_denied=True,
)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """What goes wrong before there is an answer, or in reading it, as errors of ours."""
    from azure.core import exceptions as sdk

    try:
        yield
    except sdk.ClientAuthenticationError as error:
        raise _no_token(error, where) from error
    except (
        sdk.IncompleteReadError,
        sdk.ServiceRequestError,
        sdk.ServiceResponseError,
    ) as error:
        raise TransientError(f"{where}: does not answer ({type(error).__name__})") from error
    except (sdk.AzureError, ValueError) as error:
        raise TransientError(f"{where}: the answer breaks off") from error


def raise_for(response: HttpResponse, where: str, grant: Grant) -> None:
    """The error that an answer stands for; nothing for a success."""
    status = response.status_code
    if 200 <= status < 300:
        if response.text().lstrip().startswith("<"):
            raise ContractError(
                f"{where}: answers with a web page; check the endpoint and the proxy before it"
            )
        return
    code, message = _error(response)
    said = f"{status} {code}".strip()
    if status in _THROTTLES:
        raise ThrottledError(f"{where}: asks to slow down ({said})", _retry_after(response))
    if status == 401 and (code.lower() in _BAD_TOKEN or not grant.unauthorised_is_denied):
        raise CredentialError(
            f"{where}: the token is not taken ({said}){_clock_hint(response)}; check the "
            "credentials"
        )
    if status in (401, 403):
        raise DeniedError(f"{where}: may not be read ({said}); {grant.advice}")
    if status == 408 or status >= 500:
        raise TransientError(f"{where}: answers {said}")
    if status in _REFUSALS:
        raise RefusedError(f"{where}: refuses the request ({said})", valid_names_in(message))
    raise ContractError(f"{where}: answers {said}")


def _error(response: HttpResponse) -> tuple[str, str]:
    """Azure's code and message, empty where the body has none. The code is safe to show, the
    message is not."""
    try:
        body = json.loads(response.text())
        error = body.get("error", body)
        code, message = str(error.get("code", "")), str(error.get("message", ""))
    except (AttributeError, ValueError):
        return "", ""
    return (code if re.fullmatch(r"[A-Za-z0-9]{1,64}", code) else ""), message


def valid_names_in(message: str) -> frozenset[str]:
    """The metrics that a refusal says there are: `..., Valid metrics: Percentage CPU,...`."""
    _, found, names = message.partition("Valid metrics: ")
    return frozenset(name.strip().lower() for name in names.split(",")) if found else frozenset()


def _retry_after(response: HttpResponse) -> timedelta | None:
    """What the provider asks to wait, in whichever of its headers; None where it does not say."""
    for header, read in _WAITS.items():
        try:
            return max(read(response.headers[header]), timedelta(0))
        except (KeyError, OverflowError, TypeError, ValueError):
            continue
    return None


def _clock_span(text: str) -> timedelta:
    """A span like 00:00:05."""
    hours, minutes, seconds = (int(part) for part in text.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _seconds_or_date(text: str) -> timedelta:
    try:
        return timedelta(seconds=float(text))
    except ValueError:
        return parsedate_to_datetime(text) - datetime.now(UTC)


#: Headers that say how long to wait, the most exact first.
_WAITS: Mapping[str, Callable[[str], timedelta]] = {
    "x-ms-retry-after-ms": lambda text: timedelta(milliseconds=float(text)),
    "retry-after-ms": lambda text: timedelta(milliseconds=float(text)),
    "x-ms-user-quota-resets-after": _clock_span,
    "Retry-After": _seconds_or_date,
}


def _clock_hint(response: HttpResponse) -> str:
    """Whether it may be this machine's clock, which the answer's date tells."""
    try:
        off = datetime.now(UTC) - parsedate_to_datetime(response.headers["Date"])
    except (KeyError, TypeError, ValueError):
        return ""
    if abs(off) < _CLOCK_TOLERANCE:
        return ""
    return f", and this machine's clock is {abs(off) // timedelta(minutes=1)} minutes off"


def _no_token(error: Exception, where: str) -> OptiInfraError:
    """No token was given: which of Entra's codes it was says whose turn it is."""
    found = re.search(r"AADSTS\d+", str(error))
    code = found[0] if found else type(error).__name__
    if code in _PASSING_AADSTS:
        return TransientError(f"{where}: Entra ID gives no token now ({code})")
    return CredentialError(
        f"{where}: Entra ID gives no token ({code}){_AADSTS.get(code, '')}; check the credentials"
    )
