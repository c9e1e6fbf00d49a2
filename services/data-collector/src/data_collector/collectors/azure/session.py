"""The clients of one account, and what signs their requests.

The SDK's own retries are off, since it would neither count them nor keep to our pace, and
never repeats a POST that was throttled without a Retry-After.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from data_collector.collectors.azure.errors import (
    MONITORING,
    READER,
    Grant,
    raise_for,
)
from optiinfra.accounts import Account
from optiinfra.errors import (
    ContractError,
    CredentialError,
)

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.mgmt.compute import ComputeManagementClient
    from azure.mgmt.resourcegraph import ResourceGraphClient
    from azure.monitor.querymetrics import MetricsClient

MANAGEMENT_URL = "https://management.azure.com"
METRICS_URL = "https://{region}.metrics.monitor.azure.com"
_MANAGEMENT_SCOPE = "https://management.azure.com/.default"
_METRICS_SCOPE = "https://metrics.monitor.azure.com/.default"

CONNECT_SECONDS = 10
READ_SECONDS = 60


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
