"""Everything that goes over the network: clients, credentials and requests.

The SDK's own retries are off, since it would neither count them nor keep to our pace, and
never repeats a POST that was throttled without a Retry-After.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from data_collector.collectors.azure.errors import (
    MONITORING,
    READER,
    Grant,
    raise_for,
    translated,
)
from data_collector.collectors.azure.metrics import Query
from data_collector.collectors.azure.resources import QUERY, Row, is_subscription
from optiinfra.accounts import Account
from optiinfra.calls import Limit
from optiinfra.domain import Window
from optiinfra.errors import (
    ContractError,
    CredentialError,
    DeniedError,
    ThrottledError,
    TransientError,
)
from optiinfra.retry import call_with_retry

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.mgmt.compute import ComputeManagementClient
    from azure.mgmt.resourcegraph import ResourceGraphClient
    from azure.monitor.querymetrics import MetricsClient

T = TypeVar("T")

GET_BATCH = "metrics:getBatch"
GRAPH = "ResourceGraph/resources"
SKUS = "Compute/skus"

MANAGEMENT_URL = "https://management.azure.com"
METRICS_URL = "https://{region}.metrics.monitor.azure.com"
_MANAGEMENT_SCOPE = "https://management.azure.com/.default"
_METRICS_SCOPE = "https://metrics.monitor.azure.com/.default"
_API_VERSION = "2024-02-01"
#: Rows per page of Resource Graph, its maximum.
PAGE = 1000

CONNECT_SECONDS = 10
READ_SECONDS = 60
ATTEMPTS = 5
DEADLINE = timedelta(seconds=90)
#: What a provider asks to wait beyond this is left to the next run.
LONGEST_WAIT = timedelta(seconds=30)


class AzureOptions(BaseModel):
    """The keys of an `azure` account in the accounts file.

    What Microsoft does not publish is a setting here: `batch_size` and `metric_names_per_call`
    are the limits of a metrics call, `vm_availability_scale` makes a percentage of
    `VmAvailabilityMetric` (1 if Azure gives a percentage already), and the rates are those of
    the published or observed limits. `granularity` is the width of the buckets to store.
    """

    model_config = ConfigDict(extra="forbid")

    subscription_id: str = Field(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
    granularity: str = Field(default="PT5M", pattern="^PT[15]M$")
    batch_size: int = Field(default=50, ge=1, le=50)
    metric_names_per_call: int = Field(default=20, ge=1)
    vm_availability_scale: float = Field(default=100.0, gt=0)
    metric_calls_per_second: float = Field(default=100.0, gt=0)
    graph_calls_per_second: float = Field(default=3.0, gt=0)
    management_calls_per_second: float = Field(default=25.0, gt=0)

    @field_validator("subscription_id")
    @classmethod
    def _lower(cls, value: str) -> str:
        return value.lower()

    @property
    def bucket(self) -> timedelta:
        """The granularity as a span."""
        return timedelta(minutes=int(self.granularity[2]))


class Session:
    """One account's clients, made when first used. Safe to share between threads."""

    def __init__(self, account: Account) -> None:
        self.where = f"azure/{account.account_id}"
        self._account = account
        self._anonymous = bool(account.credentials.get("anonymous"))
        self._lock = threading.RLock()
        self._credential: TokenCredential | None = None
        self._metrics: dict[str, MetricsClient] = {}
        self._graph: ResourceGraphClient | None = None
        self._compute: ComputeManagementClient | None = None

    def metrics(self, region: str) -> MetricsClient:
        """The data plane of a region."""
        from azure.monitor.querymetrics import MetricsClient

        if not re.fullmatch(r"[a-z0-9-]+", region):  # it becomes a part of a host's name
            raise ContractError(f"{self.where}: a region of an unknown shape")
        with self._lock:
            if region not in self._metrics:
                url = self.url("metrics", METRICS_URL.format(region=region))
                policies = self._policies(_METRICS_SCOPE, f"metrics of {region}", MONITORING)
                self._metrics[region] = MetricsClient(
                    url, self.credential(), policies=policies, **_TIMEOUTS
                )
            return self._metrics[region]

    def graph(self) -> ResourceGraphClient:
        """Resource Graph."""
        from azure.mgmt.resourcegraph import ResourceGraphClient

        with self._lock:
            if self._graph is None:
                self._graph = ResourceGraphClient(
                    self.credential(),
                    base_url=self.url("management", MANAGEMENT_URL),
                    policies=self._policies(_MANAGEMENT_SCOPE, "Resource Graph", READER),
                    **_TIMEOUTS,
                )
            return self._graph

    def compute(self, subscription_id: str) -> ComputeManagementClient:
        """Compute's part of Azure Resource Manager."""
        from azure.mgmt.compute import ComputeManagementClient

        with self._lock:
            if self._compute is None:
                self._compute = ComputeManagementClient(
                    self.credential(),
                    subscription_id,
                    base_url=self.url("management", MANAGEMENT_URL),
                    policies=self._policies(_MANAGEMENT_SCOPE, "Compute SKUs", READER),
                    **_TIMEOUTS,
                )
            return self._compute

    def url(self, api: str, default: str) -> str:
        """The account's endpoint for an API, or Azure's own.

        Raises CredentialError where a token would go over plain HTTP, or where an anonymous
        account would ask Azure itself.
        """
        url = self._account.endpoints.get(api, "").rstrip("/")
        if self._anonymous:
            if not url:
                raise CredentialError(
                    f"{self.where}: anonymous credentials need an endpoint for {api}"
                )
        elif urlsplit(url).scheme == "http":
            raise CredentialError(
                f"{self.where}: the endpoint for {api} is plain http, which gets no token; "
                "use https, or anonymous credentials for a fake"
            )
        return url or default

    def credential(self) -> TokenCredential:
        """Client secret, workload identity or the default chain, as the account has it."""
        with self._lock:
            if self._credential is None:
                self._credential = _credential(self._account, self.where)
            return self._credential

    def _policies(self, scope: str, what: str, grant: Grant) -> list[Any]:
        """What a request passes through. No retries, no redirects that would carry a token
        elsewhere, and no registering of resource providers, which is no reader's business."""
        from azure.core.pipeline import policies

        return [
            policies.RequestIdPolicy(),
            policies.UserAgentPolicy(base_user_agent="optiinfra"),
            policies.ProxyPolicy(),
            policies.SansIOHTTPPolicy()
            if self._anonymous
            else policies.BearerTokenCredentialPolicy(self.credential(), scope),
            _judge(f"{self.where}: {what}", grant),
        ]


def _judge(where: str, grant: Grant) -> Any:
    """The policy that makes errors of ours out of refusals, before the SDK makes its own."""
    from azure.core.pipeline.policies import SansIOHTTPPolicy

    class Judge(SansIOHTTPPolicy[Any, Any]):
        def on_response(self, request: Any, response: Any) -> None:
            raise_for(response.http_response, where, grant)

    return Judge()


_TIMEOUTS: Mapping[str, Any] = {
    "connection_timeout": CONNECT_SECONDS,
    "read_timeout": READ_SECONDS,
}


class Sessions:
    """The sessions of the accounts used last. Safe to share between threads."""

    def __init__(self, capacity: int = 256) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._sessions: OrderedDict[object, Session] = OrderedDict()

    def of(self, account: Account) -> Session:
        """The account's session; a changed account has another one."""
        key = identity(account)
        with self._lock:
            session = self._sessions.setdefault(key, Session(account))
            self._sessions.move_to_end(key)
            while len(self._sessions) > self._capacity:
                self._sessions.popitem(last=False)
            return session

    def forget(self, account: Account) -> None:
        """Read its secrets again at the next use: they may have been replaced."""
        with self._lock:
            self._sessions.pop(identity(account), None)


def identity(account: Account) -> tuple[object, ...]:
    """What two accounts that may share clients and answers have in common."""
    return (
        account.customer_id,
        account.account_id,
        account.options["subscription_id"].lower(),
        tuple(sorted(account.credentials.items())),
        tuple(sorted(account.endpoints.items())),
    )


def _credential(account: Account, where: str) -> TokenCredential:
    from azure.identity import (
        ClientSecretCredential,
        DefaultAzureCredential,
        WorkloadIdentityCredential,
    )

    given = {key: str(value) for key, value in account.credentials.items()}
    if account.credentials.get("anonymous"):
        return _Nobody()
    tenant, client = given.get("tenant_id"), given.get("client_id")
    try:
        if "client_secret" in given:
            if not tenant or not client:
                raise CredentialError(f"{where}: client_secret needs tenant_id and client_id")
            secret = account.secret("client_secret").get_secret_value()
            return ClientSecretCredential(tenant, client, secret, retry_total=1)
        if account.credentials.get("workload_identity") or "token_file" in given:
            file = given.get("token_file", "").removeprefix("file:") or None
            return WorkloadIdentityCredential(
                tenant_id=tenant, client_id=client, token_file_path=file, retry_total=1
            )
        return DefaultAzureCredential(managed_identity_client_id=client)
    except ValueError as error:
        raise CredentialError(
            f"{where}: the credentials are not usable; check tenant_id, client_id and, for "
            "workload identity, the variables that its webhook sets"
        ) from error


class _Nobody:
    """Stands where a client demands a credential; no policy ever asks it."""

    def get_token(self, *scopes: str, **_: Any) -> Any:
        raise CredentialError("anonymous credentials have no token")


@dataclass(frozen=True, slots=True)
class _Page:
    """One page of Resource Graph."""

    rows: Sequence[Row]
    total: int
    truncated: bool
    token: str | None


def list_rows(session: Session, account: Account) -> Iterator[Row]:
    """Every row of the one query, page by page.

    Ending without an error proves that every page arrived and that the subscription could be
    read: DeniedError where it could not, TransientError where the pages do not add up.
    """
    where = session.where
    readable = False
    token: str | None = None
    seen: set[str] = set()
    while True:
        page = _retried(partial(_graph_page, session, account, token))
        for row in page.rows:
            row_id = str(row["id"]).lower()
            if row_id in seen:
                continue  # it moved to the next page while the pages were read
            seen.add(row_id)
            if is_subscription(row):
                readable = True
            else:
                yield row
        if not page.token:
            break
        if page.token == token:
            raise ContractError(f"{where}: Resource Graph gives the same page again")
        token = page.token
    if page.truncated:
        raise ContractError(f"{where}: Resource Graph cut its answer short")
    if len(seen) < page.total:
        raise TransientError(f"{where}: Resource Graph listed {len(seen)} of {page.total} rows")
    if not readable:
        raise DeniedError(
            f"{where}: the subscription cannot be read; check subscription_id and grant Reader "
            "on the subscription"
        )


def _graph_page(session: Session, account: Account, token: str | None) -> _Page:
    from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions

    options = AzureOptions.model_validate(account.options)
    query = QueryRequest(
        query=QUERY,
        subscriptions=[options.subscription_id],
        options=QueryRequestOptions(top=PAGE, skip_token=token, result_format="objectArray"),
    )
    # Resource Graph counts by who asks, whatever subscription it is about.
    asker = account.credentials.get("client_id", account.account_id)
    limit = Limit(f"azure/{asker}/resource-graph", options.graph_calls_per_second)
    where = f"{session.where}: Resource Graph"
    with account.calls.made(GRAPH, limit=limit), translated(where):
        answer = session.graph().resources(query)
    try:
        rows: list[dict[str, Any]] = list(answer.data)  # type: ignore[arg-type]
        for row in rows:
            row["id"], row["name"], row["type"]
        return _Page(
            rows,
            int(answer.total_records),
            str(answer.result_truncated) == "true",
            answer.skip_token or None,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ContractError(f"{where} answers in an unknown shape") from error


def list_skus(session: Session, account: Account, region: str) -> Iterator[Mapping[str, Any]]:
    """Every SKU of Compute in a region, as JSON."""
    options = AzureOptions.model_validate(account.options)
    limit = Limit(
        f"azure/{options.subscription_id}/management", options.management_calls_per_second
    )
    where = f"{session.where}: Compute SKUs of {region}"
    pages: Any = (
        session.compute(options.subscription_id)
        .resource_skus.list(filter=f"location eq '{region}'")
        .by_page()
    )

    def page() -> list[Mapping[str, Any]]:
        with account.calls.made(SKUS, limit=limit), translated(where):
            return [sku.as_dict() for sku in next(pages)]

    yield from _retried(page)
    while pages.continuation_token:
        yield from _retried(page)


def get_batch(
    session: Session,
    account: Account,
    region: str,
    query: Query,
    resource_ids: Sequence[str],
    window: Window,
) -> Sequence[Mapping[str, Any]]:
    """The values of one metrics call, one entry per resource.

    Raises RefusedError where Azure does not take the call as it stands.
    """
    from azure.core.rest import HttpRequest

    options = AzureOptions.model_validate(account.options)
    limit = Limit(f"azure/{options.subscription_id}/metrics", options.metric_calls_per_second)
    where = f"{session.where}: metrics of {region}"
    # The client's own method makes an object of every point and drops each metric's error.
    request = HttpRequest(
        "POST",
        f"/subscriptions/{options.subscription_id}/metrics:getBatch",
        params={
            "api-version": _API_VERSION,
            "starttime": _iso(window.start),
            "endtime": _iso(window.end),
            "interval": _duration(query.granularity),
            "metricnamespace": query.namespace,
            "metricnames": ",".join(query.names),
            "aggregation": ",".join(query.aggregations),
            **({"filter": query.filter} if query.filter else {}),
        },
        json={"resourceids": list(resource_ids)},
    )

    def answer() -> Sequence[Mapping[str, Any]]:
        with account.calls.made(GET_BATCH, limit=limit), translated(where):
            body = json.loads(session.metrics(region).send_request(request).text())
            if isinstance(body, str):  # rarely the service encodes its JSON twice
                body = json.loads(body)
        if not isinstance(body, dict) or not isinstance(body.get("values"), list):
            raise ContractError(f"{where}: an answer of unknown shape")
        return [value for value in body["values"] if isinstance(value, dict)]

    return _retried(answer)


def _retried(call: Callable[[], T]) -> T:
    """The call's answer, tried again while that is worth while within one run."""

    def attempt() -> T | ThrottledError:
        try:
            return call()
        except ThrottledError as error:
            if error.retry_after and error.retry_after > LONGEST_WAIT:
                return error
            raise

    answer = call_with_retry(attempt, attempts=ATTEMPTS, deadline=DEADLINE)
    if isinstance(answer, ThrottledError):
        raise answer
    return answer


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _duration(span: timedelta) -> str:
    return f"PT{span // timedelta(minutes=1)}M"
