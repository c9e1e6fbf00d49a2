"""*Fetch*: the clients of one account, their credentials, and one request at a time.

Google's libraries load when a session is first made. Their own retries are off, so that every
request is counted; a transient failure is tried again here.
"""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

from data_collector.collectors.gcp.errors import credential_error, failures, named_error
from data_collector.collectors.gcp.metrics import Query
from data_collector.collectors.gcp.resources import ASSET_TYPES
from optiinfra.accounts import Account
from optiinfra.calls import Calls, Limit
from optiinfra.domain import Window
from optiinfra.errors import (
    ContractError,
    CredentialError,
    TransientError,
)
from optiinfra.retry import call_with_retry

T = TypeVar("T")

SCOPES = (
    "https://www.googleapis.com/auth/monitoring.read",
    "https://www.googleapis.com/auth/cloud-platform.read-only",
)
#: What Google bills: series returned, each time they are returned.
SERIES_RETURNED = "monitoring.SeriesReturned"

#: Seconds for one request, and for it with all its repetitions.
CALL_TIMEOUT = 30.0
CALL_DEADLINE = timedelta(seconds=90)
POINTS_PER_PAGE = 100_000
LIST_PAGE = 500
#: Machine types named in one filter: keeps the URL short.
NAMES_PER_FILTER = 40
CREDENTIAL_KEYS = frozenset(
    {"anonymous", "impersonate", "service_account_file", "workload_identity_file"}
)

#: The permission that a call needs.
PERMISSIONS: Mapping[str, str] = {
    "monitoring.ListTimeSeries": "monitoring.timeSeries.list",
    "monitoring.ListMetricDescriptors": "monitoring.metricDescriptors.list",
    "compute.instances": "compute.instances.list",
    "compute.disks": "compute.disks.list",
    "compute.forwardingRules": "compute.forwardingRules.list",
    "compute.machineTypes": "compute.machineTypes.list",
    "compute.networks": "compute.networks.list",
    "asset.SearchAllResources": "cloudasset.assets.searchAllResources",
}
_AGGREGATED = {
    "instances": "InstancesClient",
    "disks": "DisksClient",
    "forwardingRules": "ForwardingRulesClient",
    "machineTypes": "MachineTypesClient",
}


@dataclass(frozen=True, slots=True)
class SeriesPage:
    """One page of ListTimeSeries: raw `TimeSeries` messages, and the codes of what failed."""

    series: Sequence[Any]
    failed: tuple[int, ...]


class Session:
    """The clients of one account. Safe to share between threads."""

    def __init__(self, account: Account) -> None:
        self._project: str = account.options["project"]
        self._options = dict(account.options)
        self._endpoints = dict(account.endpoints)
        self._what = f"{account.customer_id}/{account.account_id}"
        self._credentials = _credentials(account)
        self._lock = threading.RLock()
        self._clients: dict[str, Any] = {}

    def authorise(self) -> None:
        """Have a valid access token; CredentialError where none can be had.

        gRPC would make a token by itself, but report a refused one as a lost connection.
        """
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request

        if self._credentials is None or self._credentials.valid:
            return
        with self._lock:
            if self._credentials.valid:
                return
            try:
                self._credentials.refresh(Request())
            except GoogleAuthError as error:
                raise credential_error(error, self._what) from error

    def time_series(
        self, calls: Calls, query: Query, window: Window, period: timedelta
    ) -> Iterator[SeriesPage]:
        """The aligned points of one metric type, page by page.

        UnsupportedError where the project has never had such a metric.
        """
        from google.cloud import monitoring_v3 as monitoring

        aggregation = monitoring.Aggregation(
            alignment_period=period,
            per_series_aligner=query.aligner,
            cross_series_reducer=query.reducer or "REDUCE_NONE",
            group_by_fields=query.group_by,
        )
        client = self._client("MetricServiceClient")
        request = monitoring.ListTimeSeriesRequest(
            name=f"projects/{self._project}",
            filter=self._filter(query),
            interval=monitoring.TimeInterval(start_time=window.start, end_time=window.end),
            aggregation=aggregation,
            view=monitoring.ListTimeSeriesRequest.TimeSeriesView.FULL,
            page_size=POINTS_PER_PAGE,
        )
        for page in self._pages(
            calls, "monitoring.ListTimeSeries", client.list_time_series, request, query.type
        ):
            calls.billed(SERIES_RETURNED, len(page.time_series))
            yield SeriesPage(page.time_series, tuple(one.code for one in page.execution_errors))

    def publication(self, calls: Calls, prefix: str) -> dict[str, timedelta]:
        """How long after its end a sample of each metric type is there, as Google declares it."""
        from google.cloud import monitoring_v3 as monitoring

        client = self._client("MetricServiceClient")
        request = monitoring.ListMetricDescriptorsRequest(
            name=f"projects/{self._project}", filter=f'metric.type = starts_with("{prefix}")'
        )
        pages = self._pages(
            calls,
            "monitoring.ListMetricDescriptors",
            client.list_metric_descriptors,
            request,
            prefix,
        )
        return {
            one.type: one.metadata.ingest_delay.ToTimedelta()
            + one.metadata.sample_period.ToTimedelta()
            for page in pages
            for one in page.metric_descriptors
            if one.metadata.HasField("ingest_delay")
        }

    def aggregated(
        self, calls: Calls, collection: str, names: Sequence[str] = ()
    ) -> Iterator[dict[str, Any]]:
        """Every resource of a Compute collection in all zones and regions, as JSON.

        With `names` only those of these names. TransientError where a zone could not be
        reached: the listing is not complete.
        """
        client = self._client(_AGGREGATED[collection])
        for some in _chunks(names, NAMES_PER_FILTER) if names else [()]:
            request: dict[str, Any] = {"project": self._project, "max_results": LIST_PAGE}
            if some:
                request["filter"] = " OR ".join(f'(name = "{name}")' for name in some)
            for page in self._pages(
                calls, f"compute.{collection}", client.aggregated_list, request, collection
            ):
                self._refuse_partial(page, collection)
                for scope, scoped in page.items.items():
                    self._refuse_warning(scoped.warning, f"{collection} of {scope}")
                    yield from _json(scoped).get(collection, ())

    def networks(self, calls: Calls) -> Iterator[dict[str, Any]]:
        """Every VPC network, as JSON."""
        client = self._client("NetworksClient")
        request = {"project": self._project, "max_results": LIST_PAGE}
        for page in self._pages(calls, "compute.networks", client.list, request, "networks"):
            self._refuse_warning(page.warning, "networks")
            yield from _json(page).get("items", ())

    def assets(self, calls: Calls) -> Iterator[dict[str, Any]]:
        """Every Cloud SQL instance and GKE cluster that Asset inventory knows, as JSON."""
        from google.cloud import asset_v1

        request = asset_v1.SearchAllResourcesRequest(
            scope=f"projects/{self._project}",
            asset_types=ASSET_TYPES,
            read_mask="*",
            order_by="name",
            page_size=LIST_PAGE,
        )
        client = self._client("AssetServiceClient")
        for page in self._pages(
            calls, "asset.SearchAllResources", client.search_all_resources, request, "assets"
        ):
            for result in page.results:
                yield _json(result)

    def probe(self, calls: Calls, operation: str) -> None:
        """The smallest request of an operation: whether it is allowed."""
        from google.cloud import asset_v1
        from google.cloud import monitoring_v3 as monitoring

        api, _, name = operation.partition(".")
        name_of_project = f"projects/{self._project}"
        request: Any
        match api, name:
            case "compute", _:
                cls = _AGGREGATED.get(name, "NetworksClient")
                client = self._client(cls)
                call = client.aggregated_list if name in _AGGREGATED else client.list
                request = {"project": self._project, "max_results": 1}
            case "asset", _:
                call = self._client("AssetServiceClient").search_all_resources
                request = asset_v1.SearchAllResourcesRequest(
                    scope=name_of_project, asset_types=ASSET_TYPES, page_size=1
                )
            case _, "ListTimeSeries":
                now = datetime.now(UTC)
                call = self._client("MetricServiceClient").list_time_series
                request = monitoring.ListTimeSeriesRequest(
                    name=name_of_project,
                    filter='metric.type = "compute.googleapis.com/instance/cpu/utilization"',
                    interval=monitoring.TimeInterval(
                        start_time=now - timedelta(minutes=10), end_time=now
                    ),
                    view=monitoring.ListTimeSeriesRequest.TimeSeriesView.HEADERS,
                    page_size=1,
                )
            case _:
                call = self._client("MetricServiceClient").list_metric_descriptors
                request = monitoring.ListMetricDescriptorsRequest(name=name_of_project, page_size=1)
        page = self._page(calls, operation, call, request, "check")
        if name == "ListTimeSeries":
            calls.billed(SERIES_RETURNED, len(page.time_series))

    def _filter(self, query: Query) -> str:
        named = self._options["metric_types"].get(query.type, query.type)
        parts = [
            f'metric.type = "{named}"',
            f'resource.type = "{query.entity.monitored}"',
            # A project may show the metrics of others; they have accounts of their own.
            f'resource.labels.project_id = "{self._project}"',
        ]
        if query.where:
            parts.append(query.where.format_map(self._options))
        return " AND ".join(parts)

    def _pages(
        self, calls: Calls, operation: str, call: Callable[..., Any], request: Any, subject: str
    ) -> Iterator[Any]:
        """The raw pages of a listing, one request each."""
        token = ""
        while True:
            page = self._page(calls, operation, call, request, subject)
            yield page
            if not page.next_page_token:
                return
            if page.next_page_token == token:
                raise ContractError(f"{self._what}: {operation} of {subject} never ends")
            token = page.next_page_token
            if isinstance(request, dict):
                request["page_token"] = token
            else:
                request.page_token = token

    def _page(
        self, calls: Calls, operation: str, call: Callable[..., Any], request: Any, subject: str
    ) -> Any:
        """One page as a raw message, tried again while that may help."""
        what = f"{self._what}: {operation} of {subject}"
        limit = self._limit(operation)

        def attempt() -> Any:
            self.authorise()
            with calls.made(operation, limit=limit):
                try:
                    # Only the first page of the pager: the others are asked for, and counted, here.
                    page = next(iter(call(request=request, retry=None, timeout=CALL_TIMEOUT).pages))
                except failures() as error:
                    raise named_error(error, what, PERMISSIONS[operation]) from error
            return type(page).pb(page)

        return call_with_retry(attempt, deadline=CALL_DEADLINE)

    def _limit(self, operation: str) -> Limit:
        api = operation.partition(".")[0]
        per_minute: int = self._options[f"{api}_calls_per_minute"]
        return Limit(f"gcp/{self._project}/{api}", per_minute / 60)

    def _client(self, name: str) -> Any:
        with self._lock:
            if name not in self._clients:
                self._clients[name] = self._make_client(name)
            return self._clients[name]

    def _make_client(self, name: str) -> Any:
        match name:
            case "MetricServiceClient":
                from google.cloud import monitoring_v3

                return self._grpc_client(monitoring_v3.MetricServiceClient, "monitoring")
            case "AssetServiceClient":
                from google.cloud import asset_v1

                return self._grpc_client(asset_v1.AssetServiceClient, "asset")
            case _:
                from google.auth.credentials import AnonymousCredentials
                from google.cloud import compute_v1

                url = self._endpoints.get("compute", "")
                plain = urlsplit(url).scheme == "http"
                # A token never travels over a plain connection.
                credentials = AnonymousCredentials() if plain else self._credentials
                return getattr(compute_v1, name)(
                    credentials=credentials or AnonymousCredentials(),
                    client_options={"api_endpoint": url.rstrip("/")} if url else None,
                )

    def _grpc_client(self, client: Any, endpoint: str) -> Any:
        import grpc
        from google.auth.credentials import AnonymousCredentials

        url = urlsplit(self._endpoints.get(endpoint, ""))
        if url.scheme == "http":
            # A page of points is larger than gRPC takes by default.
            options = [("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
            channel = grpc.insecure_channel(url.netloc, options=options)
            return client(transport=client.get_transport_class("grpc")(channel=channel))
        return client(
            credentials=self._credentials or AnonymousCredentials(),
            client_options={"api_endpoint": url.netloc} if url.netloc else None,
        )

    def _refuse_partial(self, page: Any, collection: str) -> None:
        if page.unreachables:
            raise TransientError(
                f"{self._what}: {collection} of {', '.join(page.unreachables)} cannot be reached"
            )
        self._refuse_warning(page.warning, collection)

    def _refuse_warning(self, warning: Any, subject: str) -> None:
        """A warning other than "nothing here" says that something is missing."""
        if warning.code not in ("", "NO_RESULTS_ON_PAGE"):
            raise TransientError(f"{self._what}: {subject} is not complete ({warning.code})")


class Sessions:
    """Sessions by account. Bounded; safe to share between threads."""

    def __init__(self, capacity: int = 256) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._sessions: OrderedDict[tuple[Any, ...], Session] = OrderedDict()

    def get(self, account: Account) -> Session:
        """The account's session; CredentialError where its credentials cannot be used."""
        key = account_key(account)
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                session = self._sessions[key] = Session(account)
            self._sessions.move_to_end(key)
            while len(self._sessions) > self._capacity:
                self._sessions.popitem(last=False)
            return session

    def forget(self, account: Account) -> None:
        """Make the session anew next time: its secret may have been replaced."""
        with self._lock:
            self._sessions.pop(account_key(account), None)


def account_key(account: Account) -> tuple[Any, ...]:
    """What identifies an account as configured now, in this process: gRPC survives no fork."""
    return (
        os.getpid(),
        account.customer_id,
        account.account_id,
        json.dumps(
            [dict(account.options), dict(account.credentials), dict(account.endpoints)],
            sort_keys=True,
            default=str,
        ),
    )


def _credentials(account: Account) -> Any:
    """Google credentials, None for anonymous ones. Reads files, asks nobody.

    Raises CredentialError where they are not there or not what their key says.
    """
    import google.auth
    from google.auth import impersonated_credentials
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import service_account

    where = f"{account.customer_id}/{account.account_id}"
    unknown = set(account.credentials) - CREDENTIAL_KEYS
    if unknown:
        raise CredentialError(f"{where}: unknown credentials: {', '.join(sorted(unknown))}")
    if account.credentials.get("anonymous"):
        return None
    try:
        if "service_account_file" in account.credentials:
            info = _json_secret(account, "service_account_file")
            source = service_account.Credentials.from_service_account_info(info, scopes=SCOPES)
        elif "workload_identity_file" in account.credentials:
            source = _workload_identity(_json_secret(account, "workload_identity_file"))
        else:
            source, _ = google.auth.default(scopes=SCOPES)
        if email := account.credentials.get("impersonate"):
            return impersonated_credentials.Credentials(
                source_credentials=source, target_principal=email, target_scopes=list(SCOPES)
            )
    except (GoogleAuthError, ValueError, KeyError) as error:
        raise CredentialError(f"{where}: the credentials cannot be used") from error
    return source


def _workload_identity(info: Mapping[str, Any]) -> Any:
    """Credentials of a workload identity pool; AWS has a way of its own to prove who it is."""
    from google.auth import aws, identity_pool

    if info.get("type") != "external_account":
        raise ValueError("not a workload identity configuration")
    source = str(info.get("credential_source", {}).get("environment_id", ""))
    kind: Any = aws.Credentials if source.startswith("aws") else identity_pool.Credentials
    return kind.from_info(info, scopes=SCOPES)


def _json_secret(account: Account, key: str) -> dict[str, Any]:
    value = json.loads(account.secret(key).get_secret_value())
    if not isinstance(value, dict):
        raise ValueError(f"{key} holds no JSON object")
    return value


def _json(message: Any) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    if hasattr(type(message), "pb"):
        message = type(message).pb(message)
    answer: dict[str, Any] = MessageToDict(message)
    return answer


def _chunks(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (names[at : at + size] for at in range(0, len(names), size))
