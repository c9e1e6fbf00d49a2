"""AWS's refusals as the errors of `optiinfra.errors`. Pure.

Of AWS's own text only a few words are looked at; none of it is passed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from optiinfra.errors import (
    ContractError,
    CredentialError,
    DeniedError,
    OptiInfraError,
    ThrottledError,
    TransientError,
)

_THROTTLED = frozenset(
    [
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    ]
)
_DENIED = frozenset(
    [
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "Client.UnauthorizedOperation",
        "NotAuthorized",
        "OptInRequired",
        "SubscriptionRequiredException",
        "UnauthorizedOperation",
    ]
)
#: A region that is not enabled refuses good credentials with these, too.
_UNKNOWN_KEY = frozenset(
    ["AuthFailure", "InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException"]
)
_EXPIRED = frozenset(["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"])
_SIGNATURE = frozenset(
    [
        "IncompleteSignature",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    ]
)
_FAULTS = frozenset(["InternalError", "InternalFailure", "ServiceUnavailable"])
_CLOCK = re.compile(r"signature (expired|not yet current)|too skewed|request has expired", re.I)


class RefusedError(ContractError):
    """AWS refuses the request as it stands; another one may be fine."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class UnknownKeyError(CredentialError):
    """AWS does not know the access key, at least not here."""


def refuse_web_page(status: int, body: object) -> None:
    """Raise where a web page stands in for AWS's answer: a proxy's, or of a wrong endpoint.

    One that comes with a server error may be gone at the next try.
    """
    head = body[:512] if isinstance(body, bytes) else b""
    if re.search(rb"<(!doctype\s+)?html", head, re.IGNORECASE):
        if status >= 500:
            raise TransientError(f"the endpoint answers {status} with a web page")
        raise ContractError(
            "the endpoint answers with a web page, not as AWS does; check the endpoint and the "
            "proxy before it"
        )


def named(response: Mapping[str, Any], where: str) -> OptiInfraError:
    """The error of an answer that botocore took for one."""
    error = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = re.sub(r"[^A-Za-z0-9._:-]", "", str(error.get("Code", "")))[:64] or str(status)
    if code in _THROTTLED or status == 429:
        return ThrottledError(f"{where}: throttled ({code})", _retry_after(response))
    if code in _DENIED:
        return DeniedError(
            f"{where}: not permitted ({code}); `optiinfra accounts check` names what to grant"
        )
    if code in _UNKNOWN_KEY | _EXPIRED | _SIGNATURE:
        return _of_credentials(code, str(error.get("Message", "")), where)
    if status >= 500 or code in _FAULTS:
        return TransientError(f"{where}: AWS answers {status} ({code})")
    return RefusedError(f"{where}: AWS refuses the request ({code})", code)


def _of_credentials(code: str, text: str, where: str) -> CredentialError:
    if code in _UNKNOWN_KEY:
        return UnknownKeyError(f"{where}: AWS does not know these credentials ({code})")
    if code == "RequestExpired":  # EC2's word for both
        return CredentialError(
            f"{where}: the credentials have expired, or this machine's clock is off ({code})"
        )
    if code in _EXPIRED:
        return CredentialError(f"{where}: the credentials have expired ({code})")
    if code == "RequestTimeTooSkewed" or _CLOCK.search(text):
        return CredentialError(f"{where}: this machine's clock is off ({code})")
    return CredentialError(f"{where}: the signature is refused; a wrong secret key? ({code})")


def _retry_after(response: Mapping[str, Any]) -> timedelta | None:
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    seconds = str(headers.get("retry-after", ""))
    return timedelta(seconds=int(seconds)) if seconds.isdigit() else None
