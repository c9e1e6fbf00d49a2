"""Who asks, and what they may see.

`Authentication` lets nobody without a token come near a route. `guard` stands before every
route of a service: a customer or provider in the path or query is checked there, so no
route can forget it. A route that learns of a customer otherwise
(from a body, or by looking a run up) asks its `Access`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Annotated, Any, Protocol, cast

import jwt
from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError, field_validator
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from optiinfra.errors import ConfigError
from optiinfra.settings import Settings
from optiinfra.web.formats import asks_for_export
from optiinfra.web.hardening import API_PREFIX
from optiinfra.web.keys import KeySet
from optiinfra.web.problems import Problem, unavailable
from optiinfra.web.rates import Rates

EVERY_CUSTOMER = "*"
ALL_PROVIDERS = "all"
_IN_ADDRESS = {"token", "access_token"}
#: Clocks of who issues and who checks may differ by this much.
_LEEWAY = timedelta(seconds=10)


class Directory(Protocol):
    """Knows customers and their providers."""

    def providers(self, customer_id: str) -> Sequence[str]:
        """The providers of a customer; empty for an unknown one. May take a while."""
        ...

    def cached(self, customer_id: str) -> Sequence[str] | None:
        """The same where it is known at once, None where it is not."""
        ...


class Role(IntEnum):
    """What a caller may do; each may do what the ones before it may."""

    VIEWER = 1
    MEMBER = 2
    ADMIN = 3
    OWNER = 4


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `customers` may hold `*`, which means every one."""

    subject: str
    customers: frozenset[str]
    role: Role

    def sees(self, customer_id: str) -> bool:
        return customer_id in self.customers or EVERY_CUSTOMER in self.customers


@dataclass(frozen=True, slots=True)
class Access:
    """The principal of one request, held against what there is."""

    principal: Principal
    directory: Directory

    def require(
        self, customer_id: str, provider: str | None = None, role: Role = Role.VIEWER
    ) -> None:
        """Let the request go on, or raise its 403 or 404 problem.

        403 comes first: nobody learns whether another customer exists.
        """
        if not self.principal.sees(customer_id):
            raise Problem(403, "Forbidden", "The token does not give access to this customer.")
        if self.principal.role < role:
            raise Problem(403, "Forbidden", f"This needs the role {role.name.lower()} or higher.")
        providers = self.directory.providers(customer_id)
        if not providers:
            raise Problem(404, "Not Found", f"There is no customer {customer_id!r}.")
        if provider is not None and provider not in (ALL_PROVIDERS, *providers):
            raise Problem(
                404,
                "Not Found",
                f"Customer {customer_id!r} has no provider {provider!r}; "
                f"it has {', '.join(providers)}.",
            )


#: The principal behind an Authorization header; raises a 401 or 503 problem.
Authenticator = Callable[[str | None], Awaitable[Principal]]


def create_authenticator(settings: Settings) -> Authenticator:
    """How this process tells who asks."""
    if settings.auth == "none":
        everyone = Principal("anonymous", frozenset({EVERY_CUSTOMER}), Role.OWNER)
        return lambda _authorization: _at_once(everyone)
    if settings.jwt_jwks_url:
        check = _bearer(
            KeySet(settings.jwt_jwks_url).find, ["RS256", "ES256"], settings.jwt_audience
        )
        # The keys may have to be fetched first.
        return lambda authorization: run_in_threadpool(check, authorization)
    secret = _secret(settings)
    check = _bearer(lambda _token: secret, ["HS256"], settings.jwt_audience)
    return lambda authorization: _at_once(check(authorization))


class Authentication:
    """Answers 401 for whatever lies under `/api/`, known or not, unless a token opens it.

    It stands before the application, which reads a body before it asks its dependencies.
    """

    def __init__(self, app: ASGIApp, authenticate: Authenticator) -> None:
        self._app = app
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(API_PREFIX):
            try:
                principal = await self._principal(scope)
            except Problem as refusal:
                await refusal.response()(scope, receive, send)
                return
            scope.setdefault("state", {})["principal"] = principal
        await self._app(scope, receive, send)

    async def _principal(self, scope: Scope) -> Principal:
        if _IN_ADDRESS & QueryParams(scope["query_string"]).keys():
            raise _unauthorized(
                "A token in an address is read by every log on its way: replace it, and send "
                "the new one as Authorization: Bearer <token>."
            )
        return await self._authenticate(Headers(scope=scope).get("authorization"))


def create_guard(directory: Directory, rates: Rates | None) -> Callable[[Request], Awaitable[None]]:
    """The dependency before every route: holds what is asked for against who asks.

    What is costly counts against the caller's rates. It runs on the event loop, which saves
    every request a thread, and leaves it only for what may block.
    """

    async def guard(request: Request) -> None:
        access = Access(request.state.principal, directory)
        request.state.access = access
        asked = request.path_params.get("customer_id")
        customers = [asked] if asked is not None else request.query_params.getlist("customer_id")
        provider = request.path_params.get("provider", request.query_params.get("provider"))
        for customer_id in customers:
            if directory.cached(customer_id) is None:
                await run_in_threadpool(access.require, customer_id, provider)
            else:
                access.require(customer_id, provider)
        if rates:
            _count(rates, access.principal, request)

    return guard


def _count(rates: Rates, principal: Principal, request: Request) -> None:
    """Per caller and route; in standalone, a trigger passes two routes."""
    who = (principal.subject, *sorted(principal.customers), request.scope["route"].path)
    if request.method == "POST":
        rates.triggers.take(*who)
    elif asks_for_export(request):
        rates.exports.take(*who)


async def _at_once(principal: Principal) -> Principal:
    return principal


async def _access(request: Request) -> Access:
    return cast("Access", request.state.access)


#: For routes: `access: CurrentAccess`.
CurrentAccess = Annotated[Access, Depends(_access)]


def issue_token(
    settings: Settings,
    *,
    customers: Sequence[str],
    role: Role,
    subject: str,
    lifetime: timedelta,
) -> str:
    """A token signed with JWT_SECRET. Raises ConfigError where there is none."""
    now = datetime.now(UTC)
    claims: dict[str, Any] = {
        "sub": subject,
        "customers": list(customers),
        "role": role.name.lower(),
        "iat": now,
        "exp": now + lifetime,
    }
    if settings.jwt_audience is not None:
        claims["aud"] = settings.jwt_audience
    return jwt.encode(claims, _secret(settings), algorithm="HS256")


class _Claims(BaseModel):
    sub: str
    customers: list[str]
    role: Role

    @field_validator("role", mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        names = {role.name.lower(): role for role in Role}
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return names[value]


def _bearer(
    key_for: Callable[[str], Any], algorithms: list[str], audience: str | None
) -> Callable[[str | None], Principal]:
    def authenticate(authorization: str | None) -> Principal:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized("Send a token: Authorization: Bearer <token>.")
        try:
            payload = jwt.decode(
                token.strip(),
                key_for(token.strip()),
                algorithms=algorithms,
                # None refuses a token that names an audience: it was made for somebody else.
                audience=audience,
                leeway=_LEEWAY,
                options={"require": ["sub", "customers", "role", "exp"]},
            )
            claims = _Claims.model_validate(payload)
        except jwt.PyJWKClientConnectionError as error:
            raise unavailable("The keys that sign tokens cannot be read now.") from error
        except jwt.ExpiredSignatureError as error:
            raise _unauthorized("The token has expired.") from error
        except jwt.MissingRequiredClaimError as error:
            raise _unauthorized(f"The token lacks the claim {error.claim!r}.") from error
        except jwt.InvalidAudienceError as error:
            raise _unauthorized("The token is for another audience.") from error
        except ValidationError as error:
            claim = error.errors()[0]["loc"][0]
            raise _unauthorized(f"The token's claim {claim!r} cannot be used.") from error
        except jwt.PyJWTError as error:
            raise _unauthorized("The token is not valid here.") from error
        return Principal(claims.sub, frozenset(claims.customers), claims.role)

    return authenticate


def _unauthorized(detail: str) -> Problem:
    return Problem(401, "Unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


def _secret(settings: Settings) -> str:
    if settings.jwt_secret is None:
        raise ConfigError("set OPTIINFRA_JWT_SECRET to sign and check tokens")
    return settings.jwt_secret.get_secret_value()
