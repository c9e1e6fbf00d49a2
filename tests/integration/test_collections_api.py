"""The collector's REST API over the real worker: start, join, follow, list."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import ANY, patch

import pytest
from support.api import Api
from support.plugins import install_provider

from data_collector.celery_app import InProcess
from data_collector.runtime import Runtime, build_runtime, use_runtime
from data_collector.storage.run_ledger import Outcome, new_run
from optiinfra.domain import Kind, ScopeStatus
from optiinfra.errors import StoreUnavailableError
from optiinfra.settings import Settings, load_settings
from optiinfra.web.auth import Role, issue_token
from optiinfra_database import Store
from optiinfra_standalone.server import create_app

SIXTH = """
    import threading
    from optiinfra.domain import Kind
    from optiinfra.errors import CredentialError
    from optiinfra.testing.simulated import SimulatedProvider

    gate = threading.Event()
    gate.set()
    #: While these hold a message, scopes cannot be named, and resources cannot be listed.
    nameless, refused = [], []

    class Sixth(SimulatedProvider):
        def scopes(self, account, kind):
            if nameless:
                raise CredentialError(nameless[-1])
            return super().scopes(account, kind)

        def list_resources(self, account, scope):
            if refused:
                raise CredentialError(refused[-1])
            yield from super().list_resources(account, scope)

        def collect_performance(self, account, scope, window):
            assert gate.wait(30)
            if account.account_id == "expired":
                raise CredentialError("sixth/expired: the key has expired")
            yield from super().collect_performance(account, scope, window)

    provider = Sixth(name="sixth")
"""
ACCOUNTS = """
customers:
  acme:
    accounts:
      - {id: prod, provider: sixth, resources: 4, credentials: {api_key: "env:ACME_KEY"}}
      - {id: expired, provider: sixth, scopes: 1}
  globex:
    accounts:
      - {id: main, provider: sixth}
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "accounts.yaml").write_text(ACCOUNTS)
    monkeypatch.setenv("OPTIINFRA_ACCOUNTS", str(tmp_path / "accounts.yaml"))
    return load_settings()


@pytest.fixture(scope="module", autouse=True)
def _sixth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        install_provider(tmp_path_factory.mktemp("site"), monkeypatch, "sixth", SIXTH)
        yield


@pytest.fixture
def runtime(store: Store, settings: Settings) -> Iterator[Runtime]:
    built = build_runtime(settings, store)
    use_runtime(built)
    built.announce_accounts()
    yield built
    use_runtime(None)


@pytest.fixture(scope="module", autouse=True)
def _workers() -> Iterator[None]:
    """The worker and beat that standalone has; they work with the runtime of each test."""
    workers = InProcess(load_settings(), concurrency=4)
    workers.start()
    yield
    workers.stop(10)


@pytest.fixture
def api(runtime: Runtime) -> Api:
    return Api(create_app(runtime))


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds the sixth provider's collections back while it is clear."""
    event: threading.Event = import_module("sixth_provider").gate
    event.clear()
    yield event
    event.set()


def ended(api: Api, run_id: str) -> dict[str, Any]:
    while True:
        run: dict[str, Any] = api.get(f"/api/v2/collections/{run_id}").json()
        if run.get("status") not in ("queued", "running"):
            return run


def customers(api: Api) -> dict[str, list[str]]:
    listed = api.get("/api/v2/accounts").json()["data"]
    return {one["customer_id"]: one["providers"] for one in listed}


def start(api: Api, **body: object) -> list[str]:
    answer = api.post(
        "/api/v2/collections", json={"customer_id": "acme", "provider": "all", **body}
    )
    assert answer.status_code == 202, answer.text
    run_ids: list[str] = answer.json()["run_ids"]
    return run_ids


def test_a_sixth_provider_needs_one_folder_and_one_entry_point(api):
    (run_id,) = start(api, account_id="prod", kinds=["performance"])
    run = ended(api, run_id)
    assert run["status"] == "succeeded"
    assert run["rows"] > 1000
    assert run["api_calls"] == 2
    assert run["estimated_price_usd"] == pytest.approx(2 / 100_000)
    assert {scope["scope"] for scope in run["scopes"]} == {
        "sixth/prod/part-0",
        "sixth/prod/part-1",
    }
    served = api.get("/api/v2/performance/acme/sixth/metrics", params={"limit": 5}).json()["data"]
    assert {row["provider"] for row in served} == {"sixth"}


def test_while_a_run_is_going_its_id_is_answered(api, gate):
    (first,) = start(api, account_id="prod", kinds=["performance"])
    assert start(api, account_id="prod", kinds=["performance"]) == [first]
    (other_kind,) = start(api, account_id="prod", kinds=["resources"])
    assert other_kind != first
    gate.set()
    assert ended(api, first)["status"] == "succeeded"
    (next_one,) = start(api, account_id="prod", kinds=["performance"])
    assert next_one != first
    ended(api, next_one)


def test_both_kinds_of_every_account_of_the_customer_by_default(api):
    run_ids = start(api)
    runs = [ended(api, run_id) for run_id in run_ids]
    assert sorted((run["account_id"], run["kind"]) for run in runs) == [
        ("expired", "performance"),
        ("expired", "resources"),
        ("prod", "performance"),
        ("prod", "resources"),
    ]


def test_expired_credentials_fail_their_account_alone(api):
    (run_id,) = start(api, account_id="expired", kinds=["performance"])
    run = ended(api, run_id)
    assert run["status"] == "failed"
    assert run["error"] == "sixth/expired: the key has expired"
    assert run["scopes"][0]["error_class"] == "CredentialError"
    (good,) = start(api, account_id="prod", kinds=["performance"])
    assert ended(api, good)["status"] == "succeeded"


@pytest.mark.parametrize("fault", ["nameless", "refused"])
def test_scopes_that_were_left_out_say_so_and_their_resources_are_unknown(
    store, runtime, api, monkeypatch, fault
):
    (run_id,) = start(api, account_id="prod", kinds=["resources"])
    listed = ended(api, run_id)["scopes"]
    monkeypatch.setattr(import_module("sixth_provider"), fault, ["sixth/prod: the key expired"])
    account = runtime.accounts.find("acme", "sixth", "prod")[0]
    run, _ = runtime.runs.open(account, Kind.RESOURCES, trigger="test")
    run, scopes = runtime.runs.begin(run, account)
    for scope in scopes:  # one after the other: all but the first meet a run that was stopped
        runtime.runs.collect(run, account, scope)
    failed = api.get(f"/api/v2/collections/{run.run_id}").json()
    assert failed["status"] == "failed"
    assert failed["api_calls"] == 0
    assert [one["scope"] for one in failed["scopes"]] == [one["scope"] for one in listed]
    assert all("the key expired" in one["error"] for one in failed["scopes"])
    known = api.get("/api/v2/resources/acme/sixth/list").json()["data"]
    assert {row["scope"] for row in known} == {one["scope"] for one in listed}
    assert all(row["unknown_since"] for row in known)
    summary = api.get("/api/v2/resources/acme/sixth/summary").json()
    assert summary["unknown_count"] == summary["resources"] == len(known)


def test_left_out_windows_are_explained(runtime, api, monkeypatch):
    (run_id,) = start(api, account_id="prod", kinds=["performance"])
    ended(api, run_id)
    monkeypatch.setattr(import_module("sixth_provider"), "nameless", ["the key expired"])
    account = runtime.accounts.find("acme", "sixth", "prod")[0]
    run, _ = runtime.runs.open(account, Kind.PERFORMANCE, trigger="test")
    runtime.runs.begin(run, account)
    outcomes = runtime.ledger.find_run(run.run_id)["scopes"]
    assert [(one["status"], one["error_class"]) for one in outcomes] == [
        ("failed", "CredentialError")
    ] * 2
    assert all(one["window"]["start"] < one["window"]["end"] for one in outcomes)


def test_a_requested_window_is_what_the_run_collects(api):
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=30)
    (run_id,) = start(
        api,
        account_id="prod",
        kinds=["performance"],
        start=f"{hour:%Y-%m-%dT%H:%M:%SZ}",
        end=f"{hour + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
    )
    run = ended(api, run_id)
    assert run["window"] == {
        "start": f"{hour:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{hour + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
    }


def test_runs_are_listed_newest_first_page_by_page(api):
    for _ in range(3):
        for run_id in start(api, account_id="prod"):
            ended(api, run_id)
    asked = {"customer_id": "acme", "limit": 2}
    pages, cursor = [], None
    while True:
        answer = api.get(
            "/api/v2/collections", params={**asked, **({"cursor": cursor} if cursor else {})}
        )
        assert answer.status_code == 200, answer.text
        answer = answer.json()
        pages.append([run["run_id"] for run in answer["data"]])
        cursor = answer["next_cursor"]
        if not cursor:
            break
    listed = [run_id for page in pages for run_id in page]
    assert [len(page) for page in pages] == [2, 2, 2]
    assert len(set(listed)) == 6
    queued = [api.get(f"/api/v2/collections/{one}").json()["queued_at"] for one in listed]
    assert queued == sorted(queued, reverse=True)
    narrowed = api.get("/api/v2/collections", params={**asked, "kind": "resources", "limit": 100})
    assert {run["kind"] for run in narrowed.json()["data"]} == {"resources"}
    foreign = api.get("/api/v2/collections", params={"customer_id": "globex", "cursor": "abc"})
    assert foreign.status_code == 400


def test_accounts_are_shown_with_their_last_runs_and_without_secrets(api, monkeypatch):
    monkeypatch.setenv("ACME_KEY", "planted-secret-value")
    (run_id,) = start(api, account_id="prod", kinds=["performance"])
    ended(api, run_id)
    answer = api.get("/api/v2/accounts/acme")
    prod = next(one for one in answer.json()["data"] if one["account_id"] == "prod")
    assert prod["last_runs"]["performance"]["run_id"] == run_id
    assert prod["kinds"] == ["performance", "resources"]
    assert prod["credentials"] == {"api_key": "env:ACME_KEY"}
    bill = prod["usage"]["performance"]["this_month"]
    assert bill["month"] == f"{datetime.now(UTC):%Y-%m}"
    assert (bill["api_calls"], bill["throttles"]) == (2, 0)
    assert bill["estimated_price_usd"] == pytest.approx(2 / 100_000)
    assert prod["usage"]["resources"]["this_month"]["api_calls"] == 0
    assert "planted-secret-value" not in answer.text


def test_last_months_bill_stands_beside_this_months(api, runtime):
    account = runtime.accounts.find("acme", "sixth", "prod")[0]
    this_month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    run = new_run(account, Kind.RESOURCES, "test", None)
    for finished_at, calls in (
        (this_month, 5),
        (this_month - timedelta(seconds=1), 3),
        (this_month - timedelta(days=27), 4),
        (this_month - timedelta(days=32), 100),
    ):
        runtime.ledger.record_outcome(
            run,
            Outcome(
                scope=f"sixth/prod/{calls}",
                status=ScopeStatus.FAILED,
                window_start=finished_at,
                window_end=finished_at,
                collected_until=None,
                started_at=finished_at,
                finished_at=finished_at,
                api_calls={"ListThings": calls},
                price_usd=calls / 100,
            ),
        )
    listed = api.get("/api/v2/accounts/acme").json()["data"]
    usage = next(one["usage"] for one in listed if one["account_id"] == "prod")["resources"]
    assert usage == {
        "this_month": {
            "month": f"{this_month:%Y-%m}",
            "api_calls": 5,
            "throttles": 0,
            "estimated_price_usd": 0.05,
        },
        "last_month": {
            "month": f"{this_month - timedelta(days=1):%Y-%m}",
            "api_calls": 7,
            "throttles": 0,
            "estimated_price_usd": 0.07,
        },
    }


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"provider": "all"}, 422, "customer_id"),
        ({"customer_id": "acme", "provider": "all", "kinds": ["cost"]}, 422, "kinds"),
        ({"customer_id": "acme", "provider": "all", "kinds": []}, 422, "kinds"),
        ({"customer_id": "acme", "provider": "all", "account_id": "none"}, 422, "account_id"),
        ({"customer_id": "acme", "provider": "all", "region": "x"}, 422, "region"),
        (
            {"customer_id": "acme", "provider": "all", "start": "2026-01-01T00:00:00"},
            422,
            "start",
        ),
        ({"customer_id": "nobody", "provider": "all"}, 404, "nobody"),
        ({"customer_id": "acme", "provider": "gcp"}, 404, "gcp"),
    ],
)
def test_a_wish_that_cannot_be_met_says_why(api, body, status, named):
    answer = api.post("/api/v2/collections", json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert named in answer.text


def test_an_unknown_run_is_not_found(api):
    assert api.get("/api/v2/collections/nothing").status_code == 404


def test_roles_and_customers_bound_what_a_token_may_start_and_see(store, settings, monkeypatch):
    monkeypatch.setenv("OPTIINFRA_AUTH", "jwt")
    monkeypatch.setenv("OPTIINFRA_JWT_SECRET", "tests-only-signing-key-" + "0" * 16)
    guarded = load_settings()
    built = build_runtime(guarded, store)
    use_runtime(built)
    built.announce_accounts()
    app = create_app(built)

    def caller(customer: str, role: Role) -> Api:
        token = issue_token(
            guarded, customers=[customer], role=role, subject="t", lifetime=timedelta(hours=1)
        )
        return Api(app, headers={"Authorization": f"Bearer {token}"})

    wish = {"customer_id": "acme", "provider": "sixth", "account_id": "prod"}
    try:
        assert Api(app).post("/api/v2/collections", json=wish).status_code == 401
        viewer = caller("acme", Role.VIEWER)
        assert viewer.post("/api/v2/collections", json=wish).status_code == 403
        other = caller("globex", Role.OWNER)
        assert other.post("/api/v2/collections", json=wish).status_code == 403
        member = caller("acme", Role.MEMBER)
        through_reader = member.post(
            "/api/v2/performance/trigger-collection", json=wish | {"provider": "sixth"}
        )
        assert through_reader.status_code == 202, through_reader.text
        (run_id,) = through_reader.json()["run_ids"]
        assert ended(member, run_id)["status"] == "succeeded"
        assert viewer.get(f"/api/v2/collections/{run_id}").status_code == 200
        assert other.get(f"/api/v2/collections/{run_id}").status_code == 404
        assert other.get("/api/v2/collections", params={"customer_id": "acme"}).status_code == 403
        assert other.get("/api/v2/accounts/acme").status_code == 403
        assert Api(app).get("/api/v2/accounts").status_code == 401
        assert customers(other) == {"globex": ["sixth"]}
        assert customers(caller("*", Role.VIEWER)) == {"acme": ["sixth"], "globex": ["sixth"]}
    finally:
        use_runtime(None)


def test_a_broker_that_is_away_is_a_503_and_leaves_no_run_behind(store, settings, monkeypatch):
    monkeypatch.setenv("OPTIINFRA_BROKER", "redis://127.0.0.1:9/0")
    away = build_runtime(load_settings(), store)
    away.announce_accounts()
    answer = Api(create_app(away)).post(
        "/api/v2/collections", json={"customer_id": "acme", "provider": "sixth"}
    )
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert away.ledger.last_runs("acme") == {}


def test_a_run_that_died_is_closed_by_the_next_one(store, settings, runtime):
    account = runtime.accounts.find("acme", "sixth", "prod")[0]
    dead, _ = runtime.runs.open(account, Kind.PERFORMANCE, trigger="schedule")
    runtime.runs.begin(dead, account)
    # A new process knows nothing of the lock that the dead one held.
    fresh = build_runtime(settings, store)
    new, is_new = fresh.runs.open(account, Kind.PERFORMANCE, trigger="schedule")
    assert is_new
    closed = fresh.ledger.find_run(dead.run_id)
    assert closed is not None
    assert closed["status"] == "failed"
    assert closed["error"] == "ended before it was finished"
    assert fresh.ledger.last_runs("acme").keys() == {("sixth", "prod", "performance")}
    opened = fresh.ledger.find_run(new.run_id)
    assert opened is not None
    assert opened["status"] == "queued"


def test_a_message_that_comes_again_or_too_late_collects_nothing(store, runtime):
    account = runtime.accounts.find("acme", "sixth", "prod")[0]
    run, _ = runtime.runs.open(account, Kind.PERFORMANCE, trigger="test")
    run, scopes = runtime.runs.begin(run, account)
    for scope in scopes:
        assert runtime.runs.collect(run, account, scope) is not None
    assert runtime.runs.collect(run, account, scopes[0]) is None
    following, is_new = runtime.runs.open(account, Kind.PERFORMANCE, trigger="test")
    assert is_new, "the late message took no lock"
    runtime.runs.begin(following, account)
    assert runtime.runs.collect(run, account, scopes[0]) is None


def test_runs_of_many_accounts_are_opened_by_as_few_statements_as_one(store, runtime):
    account = runtime.accounts.find("acme", "sixth", "prod")[0]
    many = [replace(account, account_id=f"account-{number}") for number in range(50)]
    runtime.runs.open_all(many[:1], Kind.PERFORMANCE, trigger="test")
    with (
        patch.object(store, "query", wraps=store.query) as asked,
        patch.object(store, "insert", wraps=store.insert) as inserted,
    ):
        opened = runtime.runs.open_all(many, Kind.PERFORMANCE, trigger="test")
    assert (asked.call_count, inserted.call_count) == (1, 1)
    assert [is_new for _, is_new in opened] == [False] + 49 * [True]
    again = runtime.runs.open_all(many, Kind.PERFORMANCE, trigger="test")
    assert again == [(replace(run, queued_at=ANY), False) for run, _ in opened]


def test_a_store_that_takes_no_runs_leaves_no_account_locked(store, runtime):
    account = runtime.accounts.find("acme", "sixth", "prod")[0]
    many = [replace(account, account_id=f"account-{number}") for number in range(3)]
    with (
        patch.object(store, "insert", side_effect=StoreUnavailableError("away")),
        pytest.raises(StoreUnavailableError),
    ):
        runtime.runs.open_all(many, Kind.PERFORMANCE, trigger="test")
    opened = runtime.runs.open_all(many, Kind.PERFORMANCE, trigger="test")
    assert all(is_new for _, is_new in opened)
