"""The provider `azure`: options, credentials, errors, what is remembered, calls and price."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from math import ceil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import stamina
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    ClientSecretCredential,
    DefaultAzureCredential,
    WorkloadIdentityCredential,
)
from fakes.azure import EMITTED, MIX, SUBSCRIPTION, VM, AzureFake, Faults, fleet
from pydantic import ValidationError

from data_collector.collectors.azure import AzureProvider, errors, fetch, session
from data_collector.collectors.azure.errors import RefusedError
from data_collector.collectors.azure.fetch import GET_BATCH, GRAPH, SKUS
from data_collector.collectors.azure.inventory import Inventory, SizeBook
from data_collector.collectors.azure.metrics import NAMESPACES, queries
from data_collector.collectors.azure.options import AzureOptions
from data_collector.collectors.azure.performance import Target
from data_collector.collectors.azure.resources import Size, Sizes
from data_collector.collectors.azure.session import Session, Sessions
from optiinfra.accounts import Account
from optiinfra.calls import Calls, Limit
from optiinfra.domain import Gap, GapReason, Kind, Resource, Scope, Series, Window, floor_time
from optiinfra.errors import (
    ContractError,
    CredentialError,
    DeniedError,
    OptiInfraError,
    ThrottledError,
    TransientError,
)

TENANT = "99999999-8888-7777-6666-555555555555"


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=5, cap=True):
        yield


def account(url: str = "", *, credentials: Any = None, **options: Any) -> Account:
    model = AzureOptions.model_validate({"subscription_id": SUBSCRIPTION, **options})
    return Account(
        "acme",
        "core",
        "azure",
        options=model.model_dump(),
        credentials={"anonymous": True} if credentials is None else credentials,
        endpoints={"management": url, "metrics": url} if url else {},
    )


def recent() -> Window:
    end = floor_time(datetime.now(UTC) - timedelta(minutes=3), timedelta(minutes=5))
    return Window(end - timedelta(minutes=45), end)


def collect(provider: AzureProvider, of: Account) -> list[Series | Gap]:
    return [
        item
        for scope in provider.scopes(of, Kind.PERFORMANCE)
        for item in provider.collect_performance(of, scope, recent())
    ]


def listing(provider: AzureProvider, of: Account) -> list[Resource]:
    [scope] = provider.scopes(of, Kind.RESOURCES)
    return [one for one in provider.list_resources(of, scope) if isinstance(one, Resource)]


# The plugin


def test_the_plugin_loads_without_the_sdk() -> None:
    code = (
        "import sys; from data_collector.collectors.azure import provider; "
        "sys.exit(any(name.split('.')[0] in ('azure', 'msal', 'requests') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"subscription_id": "mine"},
        {"subscription_id": SUBSCRIPTION, "granularity": "PT15M"},
        {"subscription_id": SUBSCRIPTION, "batch_size": 51},
        {"subscription_id": SUBSCRIPTION, "subscription": "x"},
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AzureOptions.model_validate(options)


def test_there_is_one_scope_for_resources_and_one_per_region_for_metrics() -> None:
    provider = AzureProvider()
    with AzureFake(fleet(24, regions=["East US", "westeurope"])) as fake:
        of = account(fake.url)
        assert provider.scopes(of, Kind.RESOURCES) == [Scope("azure/core/resources")]
        assert provider.scopes(of, Kind.PERFORMANCE) == [
            Scope("azure/core/eastus/metrics", {"region": "eastus"}),
            Scope("azure/core/westeurope/metrics", {"region": "westeurope"}),
        ]
        assert provider.scopes(of, Kind.COST) == []
        assert fake.requests == {"graph": 1}


# Calls and price


def minimum(count: int, regions: int, types: tuple[str, ...]) -> int:
    """The fewest metrics calls that 50 resources of one region and type per call allow."""
    places = Counter((types[n % len(types)].lower(), n % regions) for n in range(count))
    calls = 0
    for (kind, _), members in places.items():
        told = EMITTED.get(kind, ())
        plain = any(not one.split and not one.minutes_only for one in told)
        ways = plain + bool({one.split[0] for one in told if one.split})
        ways += any(one.minutes_only for one in told)
        calls += ways * ceil(members / 50)
    return calls


@pytest.mark.parametrize(("types", "regions", "fewest"), [((VM,), 1, 20), (MIX, 2, 28)])
def test_a_thousand_resources_with_every_metric_take_the_fewest_calls(
    types: tuple[str, ...], regions: int, fewest: int
) -> None:
    provider = AzureProvider()
    names = ["eastus", "westeurope"][:regions]
    with AzureFake(fleet(1000, types=types, regions=names), faults=Faults(late=0)) as fake:
        of = account(fake.url)
        found = collect(provider, of)
        calls = dict(of.calls.counts())
        assert fake.requests["metrics"] == calls[GET_BATCH]
    assert minimum(1000, regions, types) == fewest
    # The subscription's own row makes a second page of exactly a thousand resources.
    assert calls == {GET_BATCH: fewest, GRAPH: 2}
    assert sum(calls.values()) <= 1.05 * (fewest + 1)
    assert len({item.resource_id for item in found}) == sum(
        types[n % len(types)].lower() in EMITTED for n in range(1000)
    )


def test_metric_calls_have_a_price_and_the_rest_has_none() -> None:
    assert AzureProvider().price({GET_BATCH: 20, GRAPH: 1, SKUS: 4}) == pytest.approx(0.0002)
    assert AzureProvider(usd_per_1000_metric_calls=0).price({GET_BATCH: 20}) == 0
    assert AzureProvider().price({}) == 0


def test_calls_are_paced_by_what_azure_limits() -> None:
    class Watching:
        def __init__(self) -> None:
            self.names: set[str] = set()
            self.throttled_names: set[str] = set()

        def wait(self, limit: Limit) -> None:
            self.names.add(limit.name)

        def throttled(self, limit: Limit, retry_after: timedelta | None) -> None:
            self.throttled_names.add(limit.name)

        def succeeded(self, limit: Limit) -> None:
            """Not watched."""

    watching = Watching()
    with AzureFake(fleet(12), faults=Faults(throttle=0.2), seed=1) as fake:
        of = replace(account(fake.url), calls=Calls(watching))
        provider = AzureProvider()
        listing(provider, of)
        with suppress(TransientError):
            collect(provider, of)
    assert watching.names == {
        f"azure/{SUBSCRIPTION}/metrics",
        f"azure/{SUBSCRIPTION}/management",
        "azure/core/resource-graph",
    }
    assert watching.throttled_names


def test_every_request_is_counted_under_faults_too() -> None:
    with AzureFake(fleet(24), faults=Faults(throttle=0.3, drop=0.1), seed=3) as fake:
        of = account(fake.url)
        provider = AzureProvider()
        for work in (listing, collect):
            with suppress(TransientError):
                work(provider, of)
        assert of.calls.counts() == {
            operation: fake.requests[api]
            for operation, api in ((GET_BATCH, "metrics"), (GRAPH, "graph"), (SKUS, "skus"))
        }


# What is remembered


def test_the_regions_of_a_cycle_share_one_listing_and_the_next_cycle_lists_anew() -> None:
    now = [0.0]
    provider = AzureProvider(inventory=Inventory(clock=lambda: now[0]))
    with AzureFake(fleet(24)) as fake:
        of = account(fake.url)
        collect(provider, of)
        assert fake.requests["graph"] == 1
        now[0] = 15 * 60.0
        collect(provider, of)
        assert fake.requests["graph"] == 2


def test_a_listing_of_resources_is_always_new_and_serves_the_metrics() -> None:
    provider = AzureProvider()
    with AzureFake(fleet(24)) as fake:
        of = account(fake.url)
        provider.scopes(of, Kind.PERFORMANCE)
        listing(provider, of)
        collect(provider, of)
        assert fake.requests["graph"] == 2


def test_while_no_listing_can_be_made_the_last_one_serves() -> None:
    now = [0.0]
    provider = AzureProvider(inventory=Inventory(clock=lambda: now[0]))
    with AzureFake(fleet(4)) as fake:
        of = account(fake.url)
        scopes = provider.scopes(of, Kind.PERFORMANCE)
        fake.faults.outage = True
        now[0] = 3600.0
        assert provider.scopes(of, Kind.PERFORMANCE) == scopes
        with pytest.raises(TransientError):
            listing(provider, of)


def test_threads_that_ask_at_once_share_one_listing() -> None:
    asked = []
    together = threading.Barrier(4)
    memory = Inventory()

    def listed() -> list[Target]:
        asked.append(1)
        return []

    def work() -> None:
        together.wait()
        memory.get("core", listed)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1


def test_memory_is_bounded() -> None:
    memory = Inventory(capacity=2)
    book = SizeBook(capacity=2)
    sessions = Sessions(capacity=2)
    asked: list[str] = []

    def listed(name: str) -> list[Target]:
        asked.append(name)
        return []

    def sized(name: str) -> Sizes:
        asked.append(name)
        return {}

    first = sessions.of(account(subscription_id=TENANT))
    for name in ("a", "b", "c", "a"):
        memory.get(name, partial(listed, name))
        book.get(name, partial(sized, name))
        sessions.of(replace(account(), account_id=name))
    assert Counter(asked) == {"a": 4, "b": 2, "c": 2}
    assert sessions.of(account(subscription_id=TENANT)) is not first


def test_sizes_are_listed_once_a_day_and_old_ones_serve_where_that_fails() -> None:
    now = [0.0]
    book = SizeBook(clock=lambda: now[0])

    def fails() -> Sizes:
        raise TransientError("no answer")

    with pytest.raises(TransientError):
        book.get("eastus", fails)
    assert book.get("eastus", lambda: {"b1": Size(1)}) == {"b1": Size(1)}
    assert book.get("eastus", fails) == {"b1": Size(1)}
    now[0] = 25 * 3600.0
    assert book.get("eastus", fails) == {"b1": Size(1)}
    assert book.get("eastus", lambda: {"b1": Size(2)}) == {"b1": Size(2)}


def test_without_sizes_the_listing_is_complete_all_the_same() -> None:
    with AzureFake(fleet(24), faults=Faults(deny_skus=True)) as fake:
        found = listing(AzureProvider(), account(fake.url))
    assert len(found) == 24
    assert not any("vcpus" in one.metadata for one in found if one.resource_type != "database")
    with AzureFake(fleet(6, types=[VM])) as fake:
        found = listing(AzureProvider(), account(fake.url))
    assert {one.metadata["vcpus"] for one in found} == {1, 2, 4}


def test_a_row_that_nobody_can_read_makes_no_complete_listing() -> None:
    bodies = fleet(3, types=[VM])
    bodies[1]["properties"]["storageProfile"]["dataDisks"] = ["a disk"]
    with AzureFake(bodies) as fake, pytest.raises(ContractError, match="virt-00001"):
        listing(AzureProvider(), account(fake.url))


def test_a_row_that_stands_on_two_pages_is_listed_once() -> None:
    with AzureFake(fleet(12), faults=Faults(repeat_rows=True), page_rows=5) as fake:
        found = [one.resource_id for one in listing(AzureProvider(), account(fake.url))]
        assert sorted(found) == sorted(fake.inventory())


def test_a_resource_that_goes_between_two_pages_takes_no_other_with_it() -> None:
    with AzureFake(fleet(12), page_rows=5) as fake:
        went: list[str] = []

        def one_goes() -> None:
            if not went:
                went.append(min(fake.bodies))
                fake.remove(went[0])

        fake.faults = Faults(between_pages=one_goes)
        with pytest.raises(TransientError, match="while they were listed"):
            listing(AzureProvider(), account(fake.url))
        assert went
        assert len(listing(AzureProvider(), account(fake.url))) == 11


def test_recorded_curves_are_replayed() -> None:
    curves = [np.array([5.0, 5.0, 7.0, 9.0, 9.0] * 20), np.array([1.0, 1.0])]
    faults = Faults(late=0)
    with AzureFake(fleet(1, types=[VM]), series=curves, faults=faults) as fake:
        found = collect(AzureProvider(), account(fake.url))
    cpu = next(one for one in found if isinstance(one, Series) and one.metric == "cpu_utilization")
    assert set(cpu.values.tolist()) <= {0.0, 50.0, 100.0}


# Credentials


def test_credentials_are_made_as_the_account_has_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AZ_SECRET", "word")
    ids = {"tenant_id": TENANT, "client_id": SUBSCRIPTION}
    token = tmp_path / "token"
    token.write_text("assertion", encoding="ascii")
    for credentials, expected in (
        (ids | {"client_secret": "env:AZ_SECRET"}, ClientSecretCredential),
        (ids | {"token_file": f"file:{token}"}, WorkloadIdentityCredential),
        ({}, DefaultAzureCredential),
    ):
        made = Session(account(credentials=credentials)).credential()
        assert isinstance(made, expected)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(token))
    made = Session(account(credentials=ids | {"workload_identity": True})).credential()
    assert isinstance(made, WorkloadIdentityCredential)


@pytest.mark.parametrize(
    ("credentials", "says"),
    [
        ({"client_secret": "env:AZ_SECRET"}, "needs tenant_id and client_id"),
        ({"client_secret": "env:AZ_GONE", "tenant_id": "t", "client_id": "c"}, "AZ_GONE"),
        ({"client_secret": "env:AZ_SECRET", "tenant_id": "no/tenant", "client_id": "c"}, "usable"),
        ({"workload_identity": True}, "usable"),
    ],
)
def test_credentials_that_cannot_work_are_named(
    monkeypatch: pytest.MonkeyPatch, credentials: dict[str, Any], says: str
) -> None:
    monkeypatch.setenv("AZ_SECRET", "word")
    monkeypatch.delenv("AZURE_FEDERATED_TOKEN_FILE", raising=False)
    [check] = AzureProvider().check(account(credentials=credentials))
    assert not check.ok
    assert says in check.advice
    assert "word" not in check.advice


def test_no_token_goes_over_plain_http_and_nobody_asks_azure_without_one() -> None:
    plain = account("http://127.0.0.1:9", credentials={})
    with pytest.raises(CredentialError, match="plain http"):
        AzureProvider().scopes(plain, Kind.PERFORMANCE)
    with pytest.raises(CredentialError, match="need an endpoint for management"):
        AzureProvider().scopes(account(), Kind.PERFORMANCE)


@pytest.mark.parametrize(
    ("says", "error", "shows"),
    [
        ("AADSTS7000222: The provided client secret keys are expired.", CredentialError, "expired"),
        ("AADSTS7000215: Invalid client secret", CredentialError, "secret is wrong"),
        ("AADSTS700024: Client assertion is not within its valid", CredentialError, "clock"),
        ("AADSTS90002: Tenant not found", CredentialError, "tenant"),
        ("AADSTS90033: A transient error", TransientError, "AADSTS90033"),
        ("no managed identity", CredentialError, "ClientAuthenticationError"),
    ],
)
def test_why_there_is_no_token_is_said_without_the_answer(
    monkeypatch: pytest.MonkeyPatch, says: str, error: type[OptiInfraError], shows: str
) -> None:
    class Refused:
        def get_token(self, *_: str, **__: Any) -> AccessToken:
            raise ClientAuthenticationError(f"Authentication failed: {says} Trace ID: 12345")

    monkeypatch.setattr(session, "_credential", lambda *_: Refused())
    with pytest.raises(error, match=shows) as raised:
        AzureProvider().scopes(account("https://127.0.0.1:9", credentials={}), Kind.PERFORMANCE)
    assert "Trace ID" not in str(raised.value)


def test_a_secret_that_was_refused_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = AzureProvider()
    with AzureFake(fleet(2), faults=Faults(expired_token=True)) as fake:
        of = account(fake.url)
        before = provider.sessions.of(of)
        with pytest.raises(CredentialError):
            provider.scopes(of, Kind.PERFORMANCE)
        assert provider.sessions.of(of) is not before
        fake.faults.expired_token = False
        kept = provider.sessions.of(of)
        provider.scopes(of, Kind.PERFORMANCE)
        assert provider.sessions.of(of) is kept


# Errors


def response(status: int, body: str = "", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(status_code=status, headers=named, text=lambda: body)


def coded(code: str, message: str = "words of somebody") -> str:
    return f'{{"error": {{"code": "{code}", "message": "{message}"}}}}'


@pytest.mark.parametrize(
    ("answer", "reader", "monitoring"),
    [
        (response(401, coded("ExpiredAuthenticationToken")), CredentialError, CredentialError),
        (response(401, coded("AuthorizationFailed")), CredentialError, DeniedError),
        (response(401), CredentialError, DeniedError),
        (response(403, coded("AuthorizationFailed")), DeniedError, DeniedError),
        (response(403, coded("MissingSubscriptionRegistration")), DeniedError, DeniedError),
        (response(429), ThrottledError, ThrottledError),
        (response(529), ThrottledError, ThrottledError),
        (response(408), TransientError, TransientError),
        (response(500, "<html>words of somebody"), TransientError, TransientError),
        (response(502), TransientError, TransientError),
        (response(400, coded("BadRequest")), RefusedError, RefusedError),
        (response(404, coded("ResourceNotFound")), RefusedError, RefusedError),
        (response(413), RefusedError, RefusedError),
        (response(302), ContractError, ContractError),
        (response(418, '["words of somebody"]'), ContractError, ContractError),
        (response(200, " <!DOCTYPE html>words of somebody"), ContractError, ContractError),
    ],
)
def test_a_status_is_the_error_that_says_what_to_do(
    answer: Any, reader: type[OptiInfraError], monitoring: type[OptiInfraError]
) -> None:
    for grant, error in ((errors.READER, reader), (errors.MONITORING, monitoring)):
        with pytest.raises(OptiInfraError, match="azure/core") as raised:
            errors.raise_for(answer, "azure/core", grant)
        assert type(raised.value) is error
        assert "somebody" not in str(raised.value)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "7"}, 7),
        ({"retry_after_ms": "1500"}, 1.5),
        ({"x_ms_retry_after_ms": "1500", "Retry_After": "60"}, 1.5),
        ({"x_ms_user_quota_resets_after": "00:01:05"}, 65),
        ({"Retry_After": "Fri, 20 Nov 2020 09:00:00 GMT"}, 0),
        ({"Retry_After": "later"}, None),
        ({"Retry_After": "inf"}, None),
        ({"x_ms_user_quota_resets_after": "soon", "Retry_After": "9"}, 9),
        ({"x_ms_user_quota_resets_after": "soon"}, None),
        ({}, None),
    ],
)
def test_what_azure_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    with pytest.raises(ThrottledError) as raised:
        errors.raise_for(response(429, **headers), "azure/core", errors.READER)
    wait = raised.value.retry_after
    assert (wait.total_seconds() if wait is not None else None) == seconds


def test_a_long_wait_is_left_to_the_next_run() -> None:
    asked = []

    def call() -> None:
        asked.append(1)
        raise ThrottledError("come back tomorrow", timedelta(days=1))

    with pytest.raises(ThrottledError, match="tomorrow"):
        fetch._retried(call)
    assert len(asked) == 1


def test_a_clock_that_is_off_is_named() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=42, seconds=30))
    body = coded("InvalidAuthenticationToken")
    with pytest.raises(CredentialError, match="clock is 42 minutes off"):
        errors.raise_for(response(401, body, Date=date), "azure/core", errors.READER)


# Bad answers of metrics


def test_a_resource_that_has_gone_since_the_listing_is_a_gap() -> None:
    provider = AzureProvider()
    with AzureFake(fleet(20, types=[VM], regions=["eastus"])) as fake:
        of = account(fake.url)
        provider.scopes(of, Kind.PERFORMANCE)
        gone = sorted(fake.bodies)[3]
        fake.remove(gone)
        found = collect(provider, of)
    gaps = {item.resource_id: item.reason for item in found if isinstance(item, Gap)}
    assert gaps.pop(gone) is GapReason.UNSUPPORTED
    assert set(gaps.values()) == {GapReason.STOPPED}
    assert len({item.resource_id for item in found}) == 20


def test_the_calls_of_a_region_name_one_subscription_region_and_type() -> None:
    """The fake refuses anything else, and then there would be more calls."""
    provider = AzureProvider()
    with AzureFake(fleet(240), page_rows=50) as fake:
        of = account(fake.url)
        collect(provider, of)
        assert fake.requests["metrics"] == minimum(240, 2, MIX)


def test_check_names_what_is_there_and_what_is_missing() -> None:
    with AzureFake(fleet(24)) as fake:
        checks = list(AzureProvider().check(account(fake.url)))
        assert all(check.ok for check in checks)
        assert [check.what for check in checks] == [
            "credentials",
            "list resources (Reader)",
            "read metrics of eastus (Monitoring Reader)",
            "read metrics of westeurope (Monitoring Reader)",
            "list machine sizes (Reader)",
        ]
        fake.faults.denied_regions = {"westeurope"}
        fake.faults.deny_skus = True
        missing = [one for one in AzureProvider().check(account(fake.url)) if not one.ok]
    assert [one.what for one in missing] == [checks[3].what, checks[4].what]
    assert "grant Monitoring Reader at subscription scope" in missing[0].advice
    assert "grant Reader" in missing[1].advice


def test_check_finds_the_subscription_unreadable() -> None:
    with AzureFake(fleet(4), subscription=TENANT) as fake:
        checks = list(AzureProvider().check(account(fake.url)))
    assert [check.ok for check in checks] == [False]
    assert "list resources" in checks[0].what


def test_every_namespace_can_be_sampled_with_its_first_query() -> None:
    for namespace in NAMESPACES:
        query = next(queries(namespace, granularity=timedelta(minutes=5), names_per_call=1))
        assert len(query.names) == 1
