"""Fetch: clients, credentials and errors. The only file of this provider that does network."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from data_collector.collectors.aws.faults import (
    RefusedError,
    UnknownKeyError,
    named,
    refuse_web_page,
)
from data_collector.collectors.aws.options import options_of
from optiinfra.accounts import Account
from optiinfra.calls import Limit
from optiinfra.errors import (
    ContractError,
    CredentialError,
    DeniedError,
    OptiInfraError,
    TransientError,
    UnsupportedError,
)
from optiinfra.retry import call_with_retry

Answer = Mapping[str, Any]
T = TypeVar("T")

#: Seconds. AWS answers a full GetMetricData in a few.
_CONNECT_TIMEOUT, _READ_TIMEOUT = 10, 60
_ATTEMPTS, _DEADLINE = 5, timedelta(seconds=120)
#: Temporary keys are renewed when they are valid for less than this.
_RENEW_BEFORE = timedelta(minutes=10)
_SESSION_SECONDS = 3600
#: When STS did not tell the number of an AWS account, it is asked again after this.
_ASK_AGAIN = timedelta(hours=1)
#: Clients kept; one takes some hundred kilobytes, and an account has one per region and API.
_CLIENTS = 256

_CREDENTIAL_KEYS = {"role_arn", "external_id", "profile", "anonymous"}
_HOME_OF_PARTITION = {"aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}


@dataclass(frozen=True, slots=True)
class Api:
    """One operation. `result` is the key that every good answer of it has; `rate` names the
    option that holds its limit."""

    service: str
    operation: str
    result: str
    rate: str


@dataclass(frozen=True, slots=True)
class _Keys:
    """What signs the requests: a profile's or the default chain's keys, or these."""

    profile: str | None = None
    fixed: tuple[str, str, str | None] | None = None
    expires: datetime | None = None

    def usable(self, now: datetime) -> bool:
        return self.expires is None or self.expires - now > _RENEW_BEFORE


ASSUME_ROLE = Api("sts", "AssumeRole", "Credentials", "sts")
WHO_AM_I = Api("sts", "GetCallerIdentity", "Account", "sts")


class Session:
    """Sends requests for any account; safe to share between threads.

    Clients and temporary keys are kept per credentials, endpoint and region, so that an
    account whose configuration changes gets new ones.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._profiles: dict[str | None, Any] = {}
        self._clients: OrderedDict[Hashable, Any] = OrderedDict()
        self._roles: OrderedDict[Hashable, _Keys] = OrderedDict()
        self._owners: dict[Hashable, tuple[str, datetime]] = {}

    def call(
        self,
        account: Account,
        region: str,
        api: Api,
        params: Mapping[str, Any],
        *,
        units: int = 1,
        per_second: float | None = None,
    ) -> Answer:
        """The answer to one request, tried again while that can help.

        `units` is what AWS bills by and `per_second` a pace below the API's own limit.
        Raises the errors of `optiinfra.errors`, RefusedError where the parameters are at fault.
        """
        limit = _limit(self._owner(account), account, region, api, per_second)

        def attempt() -> Answer:
            client = self._client(account, api.service, region)
            return _sent(client, account, region, api, params, limit, units)

        try:
            return call_with_retry(attempt, attempts=_ATTEMPTS, deadline=_DEADLINE)
        except CredentialError as error:
            raise self._judged(account, region, api, error) from error

    def pages(
        self,
        account: Account,
        region: str,
        api: Api,
        params: Mapping[str, Any],
        token: tuple[str, str] = ("NextToken", "NextToken"),
        *,
        units: int = 1,
        per_second: float | None = None,
    ) -> Iterator[Answer]:
        """Every page. `token` names it in the request and in the answer.

        Ends only when AWS says that there is no more, and raises otherwise.
        """
        asked, answered = token
        following: Any = None
        while True:
            more = {**params, asked: following} if following else params
            page = self.call(account, region, api, more, units=units, per_second=per_second)
            yield page
            last, following = following, page.get(answered)
            if not following:
                return
            if following == last:
                raise ContractError(f"{api.operation} in {region}: a page points to itself")

    def _judged(
        self, account: Account, region: str, api: Api, error: CredentialError
    ) -> OptiInfraError:
        """The error, or that only this region refuses the credentials."""
        home = home_region(account)
        if region == home or not isinstance(error, UnknownKeyError):
            return error
        try:
            self.call(account, home, WHO_AM_I, {})
        except OptiInfraError:
            return error
        return DeniedError(f"{api.operation} in {region}: the account has not enabled the region")

    def _owner(self, account: Account) -> str:
        """Whom AWS limits: the AWS account, however many accounts of ours read it. By our own
        name where AWS does not tell its number."""
        known = account.credentials
        ours = f"{account.customer_id}/{account.account_id}"
        if "role_arn" in known:
            role = re.search(r"::(\d{12}):", str(known["role_arn"]))
            return role[1] if role else ours
        if known.get("anonymous"):
            return ours
        endpoint = account.endpoints.get("sts") or account.endpoints.get("default")
        key = (self._keys(account), endpoint)
        with self._lock:
            told = self._owners.get(key)
        if told is None or (not told[0] and self._now() - told[1] > _ASK_AGAIN):
            told = self._number(account, ours), self._now()
            with self._lock:
                self._owners[key] = told
        return told[0] or ours

    def _number(self, account: Account, ours: str) -> str:
        """The AWS account's number, empty where STS cannot be asked: tried once, since nothing
        but the pace depends on it."""
        home = home_region(account)
        client = self._client(account, WHO_AM_I.service, home)
        limit = _limit(ours, account, home, WHO_AM_I)
        try:
            return str(_sent(client, account, home, WHO_AM_I, {}, limit)["Account"])
        except (ContractError, DeniedError, TransientError):
            return ""

    def _client(self, account: Account, service: str, region: str) -> Any:
        endpoint = account.endpoints.get(service) or account.endpoints.get("default")
        keys = self._keys(account)
        return self._client_of(keys, service, region, endpoint)

    def _client_of(self, keys: _Keys, service: str, region: str, endpoint: str | None) -> Any:
        key = (keys, service, region, endpoint)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._made(keys, service, region, endpoint)
            self._clients.move_to_end(key)
            while len(self._clients) > _CLIENTS:
                self._clients.popitem(last=False)
            return self._clients[key]

    def _made(self, keys: _Keys, service: str, region: str, endpoint: str | None) -> Any:
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        try:
            if keys.profile not in self._profiles:
                # One session for all accounts of a profile: it holds the API models.
                session = botocore.session.Session(profile=keys.profile)
                parsers = session.get_component("response_parser_factory")
                parsers.set_parser_defaults(timestamp_parser=_timestamp)
                self._profiles[keys.profile] = session
            access, secret, token = keys.fixed or (None, None, None)
            client = self._profiles[keys.profile].create_client(
                service,
                region_name=region,
                endpoint_url=endpoint,
                aws_access_key_id=access,
                aws_secret_access_key=secret,
                aws_session_token=token,
                config=Config(
                    connect_timeout=_CONNECT_TIMEOUT,
                    read_timeout=_READ_TIMEOUT,
                    retries={"total_max_attempts": 1},  # ours counts each attempt
                    max_pool_connections=16,
                    user_agent_extra="optiinfra",
                ),
            )
        except BotoCoreError as error:
            where = f"profile {keys.profile}" if keys.profile else "the default credentials"
            raise CredentialError(
                f"aws: {where} cannot be used ({type(error).__name__})"
            ) from error
        # botocore takes a web page for an empty answer or for broken XML.
        client.meta.events.register("before-parse", _no_web_page)
        return client

    def _keys(self, account: Account) -> _Keys:
        """What signs the account's requests; a role is assumed again before its keys expire."""
        known = account.credentials
        if unknown := set(known) - _CREDENTIAL_KEYS:
            raise CredentialError(
                f"{account.customer_id}/{account.account_id}: unknown credentials "
                f"{', '.join(sorted(unknown))}; there are {', '.join(sorted(_CREDENTIAL_KEYS))}"
            )
        if known.get("anonymous"):
            return _Keys(fixed=("anonymous", "anonymous", None))
        base = _Keys(profile=str(known["profile"]) if known.get("profile") else None)
        if "role_arn" not in known:
            return base
        key = (
            account.customer_id,
            account.account_id,
            tuple(sorted(known.items())),
            tuple(sorted(account.endpoints.items())),
        )
        with self._lock:
            held = self._roles.get(key)
        if held is None or not held.usable(self._now()):
            held = self._assumed(account, base)
            with self._lock:
                self._roles[key] = held
                self._roles.move_to_end(key)
                while len(self._roles) > _CLIENTS:
                    self._roles.popitem(last=False)
        return held

    def _assumed(self, account: Account, base: _Keys) -> _Keys:
        params: dict[str, Any] = {
            "RoleArn": account.credentials["role_arn"],
            "RoleSessionName": f"optiinfra-{account.customer_id}"[:64],
            "DurationSeconds": _SESSION_SECONDS,
        }
        if "external_id" in account.credentials:
            params["ExternalId"] = account.secret("external_id").get_secret_value()
        region = home_region(account)
        endpoint = account.endpoints.get("sts") or account.endpoints.get("default")
        limit = _limit(self._owner(account), account, region, ASSUME_ROLE)

        def attempt() -> Answer:
            client = self._client_of(base, ASSUME_ROLE.service, region, endpoint)
            return _sent(client, account, region, ASSUME_ROLE, params, limit)

        try:
            given = call_with_retry(attempt, attempts=_ATTEMPTS, deadline=_DEADLINE)["Credentials"]
        except (DeniedError, RefusedError) as error:
            raise CredentialError(
                f"{account.customer_id}/{account.account_id}: the role cannot be assumed; "
                "check role_arn, its trust policy and the external id"
            ) from error
        return _Keys(
            fixed=(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]),
            expires=given["Expiration"],
        )


def home_region(account: Account) -> str:
    """The region that is asked about the account itself."""
    if regions := options_of(account).regions:
        return regions[0]
    partition = str(account.credentials.get("role_arn", "")).partition(":")[2].partition(":")[0]
    return _HOME_OF_PARTITION.get(partition, "us-east-1")


def _limit(
    owner: str, account: Account, region: str, api: Api, per_second: float | None = None
) -> Limit:
    """The API's limit, or a pace below it."""
    rate: float = getattr(options_of(account).requests_per_second, api.rate)
    return Limit(f"aws/{owner}/{region}/{api.rate}", min(rate, per_second or rate))


def _timestamp(value: object) -> datetime:
    """botocore's own spends most of an answer's time on finding out the local time zone."""
    from botocore.utils import parse_timestamp

    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    parsed: datetime = parse_timestamp(value)
    return parsed


def _sent(
    client: Any,
    account: Account,
    region: str,
    api: Api,
    params: Mapping[str, Any],
    limit: Limit,
    units: int = 1,
) -> Answer:
    """The answer to one request, counted and paced; its errors are those of ours."""
    from botocore import xform_name

    with (
        account.calls.made(api.operation, limit=limit, units=units),
        _named_errors(client, api, region),
    ):
        answer: Answer = getattr(client, xform_name(api.operation))(**params)
        return _checked(answer, api, region)


def _checked(answer: Answer, api: Api, region: str) -> Answer:
    """The answer, which has what each good one has: botocore takes any text for an empty one."""
    if api.result not in answer:
        raise TransientError(f"{api.operation} in {region}: the answer broke off")
    return answer


def _no_web_page(response_dict: Mapping[str, Any], **_: object) -> None:
    refuse_web_page(response_dict["status_code"], response_dict["body"])


@contextmanager
def _named_errors(client: Any, api: Api, region: str) -> Iterator[None]:
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,
        EndpointConnectionError,
        HTTPClientError,
        NoCredentialsError,
        ParamValidationError,
        PartialCredentialsError,
    )
    from botocore.parsers import ResponseParserError

    where = f"{api.operation} in {region}"
    try:
        yield
    except ClientError as error:
        raise named(error.response, where) from error
    except ResponseParserError as error:
        raise TransientError(f"{where}: the answer broke off") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise CredentialError(f"{where}: there are no credentials on this machine") from error
    except ParamValidationError as error:
        raise ContractError(f"{where}: the request does not fit the API") from error
    except EndpointConnectionError as error:
        if not _offered(client, region):
            raise UnsupportedError(f"{where}: AWS has no such endpoint") from error
        raise TransientError(f"{where}: does not answer") from error
    except (HTTPClientError, ConnectionError) as error:
        raise TransientError(f"{where}: {type(error).__name__}") from error
    except BotoCoreError as error:
        raise CredentialError(f"{where}: {type(error).__name__}") from error


def _offered(client: Any, region: str) -> bool:
    """Whether AWS is known to have the API in the region; yes for a configured endpoint."""
    import botocore.session

    if region not in client.meta.endpoint_url:
        return True
    session = botocore.session.get_session()
    service = client.meta.service_model.service_name
    return any(
        region in session.get_available_regions(service, partition)
        for partition in session.get_available_partitions()
    )
