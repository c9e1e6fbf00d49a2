"""Google's errors by what to do about them. Messages name the call, never what it answered."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from optiinfra.errors import (
    ContractError,
    CredentialError,
    DeniedError,
    OptiInfraError,
    ThrottledError,
    TransientError,
    UnsupportedError,
)

#: Reasons that the REST APIs give for a 403 that means "slower".
_RATE_REASONS = frozenset(
    {"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED", "quotaExceeded"}
)
#: Reasons for a 403 that means "this API is switched off in the project".
_DISABLED_REASONS = frozenset({"accessNotConfigured", "SERVICE_DISABLED"})
#: What gRPC says when our own credentials could not make a token, or the other end is no gRPC.
_NO_TOKEN = "Getting metadata from plugin failed"  # noqa: S105  (a message)
_NO_GRPC = ("http1.x", "invalid content-type", "Received http2 header with status", "SETTINGS")


def failures() -> tuple[type[Exception], ...]:
    """What a call through Google's libraries can raise."""
    import requests
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.protobuf.json_format import ParseError

    return (GoogleAPIError, GoogleAuthError, requests.RequestException, ParseError)


def named_error(error: Exception, what: str, permission: str) -> OptiInfraError:
    """The error of ours for one of Google's; `what` names project and call."""
    import requests
    from google.auth.exceptions import GoogleAuthError
    from google.protobuf.json_format import ParseError

    match error:
        case GoogleAuthError():
            return credential_error(error, what)
        case requests.RequestException():
            return TransientError(f"{what}: the connection was lost or timed out")
        case ParseError():
            return _not_json(error, what)
        case _:
            return _api_error(error, what, permission)


def _api_error(error: Any, what: str, permission: str) -> OptiInfraError:
    from google.api_core import exceptions as api

    if isinstance(error, api.TooManyRequests | api.Forbidden) and _asks_to_slow_down(error):
        return ThrottledError(f"{what}: the quota is used up", _retry_after(error))
    if isinstance(error, api.Forbidden):
        return _denied(error, what, permission)
    text = str(getattr(error, "message", ""))
    if any(sign in text for sign in _NO_GRPC):
        return ContractError(f"{what}: the endpoint does not speak gRPC; check the endpoint")
    if isinstance(error, api.Unauthorized) or _NO_TOKEN in text:
        return CredentialError(f"{what}: the credentials are not accepted, or have expired")
    for kinds, named in (
        ((api.MethodNotImplemented, api.NotFound), UnsupportedError),
        ((api.ServerError, api.Aborted, api.Cancelled, api.RetryError), TransientError),
    ):
        if isinstance(error, kinds):
            return named(f"{what}: answers {_code(error)}")
    return ContractError(f"{what}: answers {_code(error)}")


def credential_error(error: Exception, what: str) -> OptiInfraError:
    """What failed while an access token was made."""
    from google.auth.exceptions import TransportError

    if isinstance(error, TransportError) or getattr(error, "retryable", False):
        return TransientError(f"{what}: the token endpoint does not answer")
    if "invalid_grant" in str(error):
        return CredentialError(
            f"{what}: the token endpoint refuses the credentials (invalid_grant): the key is "
            "deleted, disabled or expired, or this machine's clock is off"
        )
    return CredentialError(
        f"{what}: the credentials give no access token; check that they are not expired"
    )


def _denied(error: Any, what: str, permission: str) -> OptiInfraError:
    if _reasons(error) & _DISABLED_REASONS:
        service = (error.metadata or {}).get("service", "the API")
        return DeniedError(f"{what}: {service} is not enabled in the project")
    return DeniedError(f"{what}: needs the permission {permission}")


def _not_json(error: Exception, what: str) -> OptiInfraError:
    """A body that breaks off is asked for again; one that never was JSON is not."""
    if "Expecting value: line 1 column 1" in str(error):
        return ContractError(
            f"{what}: the endpoint does not speak JSON; check it and the proxy before it"
        )
    return TransientError(f"{what}: the answer breaks off")


def _asks_to_slow_down(error: Any) -> bool:
    return error.code == 429 or bool(_reasons(error) & _RATE_REASONS)


def _reasons(error: Any) -> set[str]:
    listed = {one.get("reason", "") for one in error.errors if isinstance(one, dict)}
    return listed | {error.reason or ""}


def _retry_after(error: Any) -> timedelta | None:
    """From RetryInfo (gRPC) or Retry-After in seconds (HTTP)."""
    for detail in error.details:
        delay = getattr(detail, "retry_delay", None)
        if delay is not None:
            return timedelta(seconds=delay.seconds, microseconds=delay.nanos // 1000)
    headers = getattr(error.response, "headers", None) or {}
    seconds = str(headers.get("Retry-After", ""))
    return timedelta(seconds=int(seconds)) if seconds.isdecimal() else None


def _code(error: Any) -> str:
    status = getattr(error, "grpc_status_code", None)
    return str(getattr(status, "name", None) or getattr(error, "code", None) or "an error")
