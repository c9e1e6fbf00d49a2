"""`/api/v2/resources` over HTTP: answers, bad input, tenancy, bulk forms."""

from __future__ import annotations

import csv
import io
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from support.api import Api
from support.inventory import ACCOUNT, announce, list_scope, resource

from optiinfra.accounts import Account
from optiinfra.collector_client import CollectorClient
from optiinfra.settings import Settings
from optiinfra.web.auth import Role, issue_token
from optiinfra_database import Store
from resource_agent.api.answers import (
    Resource,
    ResourceChanges,
    Resources,
    ResourcesByType,
    ResourceSummary,
)
from resource_agent.main import create_app

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)
GCP_ACCOUNT = Account(customer_id="acme", account_id="web", provider="gcp")
OTHER_ACCOUNT = Account(customer_id="other", account_id="prod", provider="azure")
AWS = "/api/v2/resources/acme/aws"
ALL = "/api/v2/resources/acme/all"

ODD_IDS = [
    "/subscriptions/0a/resourceGroups/b/providers/microsoft.compute/disks/c",
    "arn:aws:rds:eu-west-1:123456789012:db:x",
    "with space",
    'it\'s "quoted"',
    "a%2Fb",
    "a?b#c&d=e",
    "gerät/机器",
    "'; DROP TABLE resources_latest; --",
    "list/",
    "back\\slash",
]


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def collector_answering(answer: Callable[[httpx.Request], httpx.Response]) -> CollectorClient:
    return CollectorClient("http://collector", transport=httpx.MockTransport(answer))


def no_collector() -> CollectorClient:
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    return collector_answering(away)


def app(store: Store, settings: Settings | None = None) -> FastAPI:
    return create_app(settings or Settings(), store, no_collector())


@pytest.fixture
def api(store: Store) -> Api:
    announce(store, ACCOUNT, GCP_ACCOUNT, OTHER_ACCOUNT)
    list_scope(
        store,
        at(0),
        resource("i-1", metadata={"vcpus": 2, "tags": {"env": "prod"}}),
        resource("i-2"),
    )
    list_scope(store, at(0), resource("i-1"), account=GCP_ACCOUNT, scope="gcp/web/zone")
    list_scope(
        store,
        at(15),
        resource("i-1", status="stopped", metadata={"vcpus": 4, "tags": {"env": "prod"}}),
        resource("i-3", resource_type="storage_volume", metadata={"storage_bytes": 2**40}),
    )
    return Api(app(store))


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["resource_id"] for row in answer.json()["data"]]


def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert answer.headers["x-request-id"]
    return problem


def test_real_answers_are_what_openapi_promises(api: Api) -> None:
    listed = Resources.model_validate_json(api.get(f"{ALL}/list?include_deleted=true").content)
    assert [(row.resource_id, row.provider) for row in listed.data] == [
        ("i-1", "aws"),
        ("i-1", "gcp"),
        ("i-2", "aws"),
        ("i-3", "aws"),
    ]
    one = Resource.model_validate_json(api.get(f"{AWS}/i-2").content)
    assert one.deleted_at == at(15)
    changes = ResourceChanges.model_validate_json(api.get(f"{AWS}/changes").content)
    assert [row.change.value for row in changes.data] == [
        "created",
        "deleted",
        "status_changed",
        "config_changed",
        "created",
        "created",
    ]
    groups = ResourcesByType.model_validate_json(api.get(f"{AWS}/by-type").content)
    assert [row.count for row in groups.data] == [1, 1]
    summary = ResourceSummary.model_validate_json(api.get(f"{AWS}/summary").content)
    assert summary.totals.vcpus == 4
    assert summary.totals.storage_bytes == 2**40


def test_the_list_is_filtered_by_its_parameters(api: Api) -> None:
    assert ids(api.get(f"{AWS}/list")) == ["i-1", "i-3"]
    assert ids(api.get(f"{AWS}/list?resource_type=storage_volume")) == ["i-3"]
    both = "resource_type=storage_volume&resource_type=compute_instance"
    assert ids(api.get(f"{AWS}/list?{both}")) == ["i-1", "i-3"]
    assert ids(api.get(f"{AWS}/list?status=stopped&region=us-east-1")) == ["i-1"]
    assert ids(api.get(f"{AWS}/list?tag=env:prod")) == ["i-1"]
    assert ids(api.get(f"{AWS}/list?q=OF%20I-3")) == ["i-3"]
    assert ids(api.get(f"{AWS}/list", params={"as_of": text(at(10))})) == ["i-1", "i-2"]
    assert ids(api.get(f"{AWS}/list?attached_to=i-1")) == []


@pytest.mark.parametrize(
    "query",
    ["", "resource_type=storage_volume", "status=stopped&tag=env:prod", "include_deleted=true"],
)
def test_the_summary_has_the_filters_of_the_list(api: Api, query: str) -> None:
    listed = ids(api.get(f"{ALL}/list?{query}"))
    assert api.get(f"{ALL}/summary?{query}").json()["resources"] == len(listed) > 0


def test_the_answer_says_which_moment_it_speaks_of(api: Api) -> None:
    answer = api.get(f"{AWS}/list", params={"as_of": text(at(10))}).json()
    assert (answer["start"], answer["end"]) == (None, text(at(10)))
    offset = api.get(f"{AWS}/list", params={"as_of": at(10).isoformat()}).json()
    assert offset["end"] == text(at(10))


def test_a_page_leads_to_the_next(api: Api) -> None:
    first = api.get(f"{ALL}/list?limit=2").json()
    rest = api.get(f"{ALL}/list", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert [row["resource_id"] for row in first["data"] + rest["data"]] == ["i-1", "i-1", "i-3"]
    assert rest["next_cursor"] is None
    assert rest["end"] == first["end"]
    newest = api.get(f"{AWS}/changes?limit=3").json()
    older = api.get(f"{AWS}/changes", params={"cursor": newest["next_cursor"]}).json()
    assert (older["start"], older["end"]) == (newest["start"], newest["end"])
    assert len(older["data"]) == 3
    assert older["next_cursor"] is None


@pytest.mark.parametrize("endpoint", ["list", "changes"])
def test_a_cursor_that_is_altered_or_foreign_is_refused(api: Api, endpoint: str) -> None:
    cursor = api.get(f"{AWS}/{endpoint}?limit=1").json()["next_cursor"]
    altered = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
    refused(api.get(f"{AWS}/{endpoint}", params={"cursor": altered}), 400)
    refused(api.get(f"{ALL}/{endpoint}", params={"cursor": cursor}), 400)
    foreign = {"cursor": cursor, "resource_type": "host"}
    refused(api.get(f"{AWS}/{endpoint}", params=foreign), 400)
    refused(api.get(f"{AWS}/{endpoint}?cursor=nonsense"), 400)


@pytest.mark.parametrize("resource_id", ODD_IDS)
def test_any_id_is_found_letter_by_letter(store: Store, api: Api, resource_id: str) -> None:
    list_scope(store, at(20), resource(resource_id), scope="odd")
    found = api.get(f"{AWS}/{quote(resource_id)}")
    assert found.status_code == 200, found.text
    assert found.json()["resource_id"] == resource_id
    assert resource_id in ids(api.get(f"{AWS}/list", params={"q": resource_id}))
    changes = api.get(f"{AWS}/changes", params={"resource_id": resource_id})
    assert ids(changes) == [resource_id]
    unknown = refused(api.get(f"{AWS}/{quote('no ' + resource_id)}"), 404)
    assert resource_id in unknown["detail"] or repr(resource_id)[1:-1] in unknown["detail"]


def test_one_resource_as_it_was(api: Api) -> None:
    then = api.get(f"{AWS}/i-1", params={"as_of": text(at(10))}).json()
    assert (then["status"], then["metadata"]["vcpus"]) == ("running", 2)
    assert (
        "at that moment"
        in refused(api.get(f"{AWS}/i-2", params={"as_of": text(at(16))}), 404)["detail"]
    )


def test_types_can_be_picked_and_their_resources_bounded(api: Api) -> None:
    picked = api.get(f"{ALL}/by-type?resource_type=compute_instance&limit=1").json()["data"]
    assert [(row["count"], len(row["resources"])) for row in picked] == [(2, 1)]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("list?limit=0", "limit"),
        ("list?limit=1000000", "limit"),
        ("list?limit=many", "limit"),
        ("list?resource_type=submarine", "resource_type.0"),
        ("list?status=Running", "status.0"),
        ("list?tag=novalue", "tag.0"),
        ("list?q=", "q"),
        ("list?attached_to=", "attached_to.0"),
        ("list?colour=red", "colour"),
        ("list?format=xml", "format"),
        ("list?as_of=yesterday", "as_of"),
        ("list?as_of=2026-01-01T00:00:00", "as_of"),
        ("list?as_of=2999-01-01T00:00:00Z", "as_of"),
        ("list?as_of=9999-12-31T23:59:59-23:59", "as_of"),
        ("list?as_of=0001-01-01T00:00:00%2B23:59", "as_of"),
        ("list?as_of=2020-01-01T00:00:00Z", "as_of"),
        ("i-1?as_of=2020-01-01T00:00:00Z", "as_of"),
        ("i-1?colour=red", "colour"),
        ("changes?timeframe=1y", "timeframe"),
        ("changes?start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z", "start"),
        ("changes?start=2020-01-01T00:00:00Z", "start"),
        ("changes?end=2026-01-01T00:00:00Z", "end"),
        ("changes?change=vanished", "change.0"),
        ("by-type?limit=0", "limit"),
        ("by-type?resource_type=x", "resource_type.0"),
        ("summary?as_of=2020-01-01T00:00:00Z", "as_of"),
        ("summary?limit=1", "limit"),
    ],
)
def test_a_bad_parameter_is_named(api: Api, query: str, parameter: str) -> None:
    problem = refused(api.get(f"{AWS}/{query}"), 422)
    assert [error["parameter"] for error in problem["errors"]] == [parameter]


def test_deleted_resources_have_no_place_in_a_moment(api: Api) -> None:
    query = {"as_of": text(at(10)), "include_deleted": "true"}
    problem = refused(api.get(f"{AWS}/list", params=query), 422)
    assert problem["errors"][0]["parameter"] == "include_deleted"


@pytest.mark.parametrize(
    "endpoint", ["list", "changes", "by-type", "summary", "i-1", "a/b/c", "/a"]
)
def test_unknown_customers_and_providers_are_not_found(api: Api, endpoint: str) -> None:
    assert "nobody" in refused(api.get(f"/api/v2/resources/nobody/aws/{endpoint}"), 404)["detail"]
    missing = refused(api.get(f"/api/v2/resources/acme/vultr/{endpoint}"), 404)
    assert "aws, gcp" in missing["detail"]


class TestTenancy:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(auth="jwt", jwt_secret=SecretStr(secrets.token_hex(32)))

    @pytest.fixture
    def guarded(self, api: Api, store: Store, settings: Settings) -> FastAPI:
        return app(store, settings)

    def as_caller(
        self, guarded: FastAPI, settings: Settings, customer: str, role: Role = Role.VIEWER
    ) -> Api:
        token = issue_token(
            settings,
            customers=[customer],
            role=role,
            subject="test",
            lifetime=timedelta(minutes=5),
        )
        return Api(guarded, {"authorization": f"Bearer {token}"})

    def test_every_route_of_a_customer_is_closed_to_the_others(
        self, guarded: FastAPI, settings: Settings
    ) -> None:
        mine = self.as_caller(guarded, settings, "acme")
        theirs = self.as_caller(guarded, settings, "other")
        paths = [
            path
            for path, methods in guarded.openapi()["paths"].items()
            if "get" in methods and "{customer_id}" in path
        ]
        assert len(paths) == 5
        for path in paths:
            asked = path.format(customer_id="acme", provider="aws", resource_id="i-1")
            assert mine.get(asked).status_code == 200
            refused(theirs.get(asked), 403)
            assert refused(Api(guarded).get(asked), 401)
            assert theirs.get(asked.replace("acme", "nobody")).status_code == 403

    def test_a_trigger_needs_the_customer_and_the_role(
        self, guarded: FastAPI, settings: Settings
    ) -> None:
        body = {"customer_id": "acme", "provider": "aws"}
        path = "/api/v2/resources/trigger-collection"
        refused(Api(guarded).post(path, json=body), 401)
        refused(self.as_caller(guarded, settings, "acme").post(path, json=body), 403)
        member = self.as_caller(guarded, settings, "other", Role.MEMBER)
        refused(member.post(path, json=body), 403)


class TestTrigger:
    PATH = "/api/v2/resources/trigger-collection"

    def test_a_run_is_started_over_http(self, store: Store, api: Api) -> None:
        asked: list[Any] = []

        def collector(request: httpx.Request) -> httpx.Response:
            asked.append((request.url.path, json.loads(request.content)))
            return httpx.Response(202, json={"run_ids": ["run-1"]})

        service = create_app(Settings(), store, collector_answering(collector))
        body = {"customer_id": "acme", "provider": "aws", "account_id": "prod"}
        answer = Api(service).post(self.PATH, json=body)
        assert answer.status_code == 202
        assert answer.json() == {
            "run_ids": ["run-1"],
            "status_url": "/api/v2/collections/run-1",
        }
        assert asked == [("/api/v2/collections", {**body, "kinds": ["resources"]})]

    def test_a_collector_that_is_away_is_said_to_be(self, api: Api) -> None:
        body = {"customer_id": "acme", "provider": "aws"}
        answer = api.post(self.PATH, json=body)
        refused(answer, 503)
        assert answer.headers["retry-after"]

    def test_a_bad_wish_is_refused(self, api: Api) -> None:
        refused(api.post(self.PATH, json={"customer_id": "acme"}), 422)
        refused(api.post(self.PATH, json={"customer_id": "nobody", "provider": "aws"}), 404)
        refused(api.post(self.PATH, json={"customer_id": "acme", "provider": "vultr"}), 404)


class TestBulk:
    def test_csv_holds_the_whole_list(self, api: Api) -> None:
        answer = api.get(f"{AWS}/list?include_deleted=true", headers={"accept": "text/csv"})
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["resource_id"] for row in rows] == ["i-1", "i-2", "i-3"]
        assert [row["deleted_at"] for row in rows] == ["", text(at(15)), ""]
        assert json.loads(rows[0]["metadata"])["vcpus"] == 4

    def test_ndjson_holds_the_rows_of_the_json_answer(self, api: Api) -> None:
        for endpoint in ("list", "changes"):
            lines = api.get(f"{AWS}/{endpoint}?format=ndjson").text.splitlines()
            rows = [json.loads(line) for line in lines]
            assert rows == api.get(f"{AWS}/{endpoint}").json()["data"]

    def test_parquet_keeps_times_and_nulls(self, api: Api) -> None:
        changes = pq.read_table(io.BytesIO(api.get(f"{AWS}/changes?format=parquet").content))
        assert changes.column("timestamp").to_pylist()[0] == at(15)
        assert changes.column("since").to_pylist()[-1] is None
        listed = pq.read_table(io.BytesIO(api.get(f"{AWS}/list?format=parquet").content))
        assert listed.column("resource_id").to_pylist() == ["i-1", "i-3"]
        assert listed.column("deleted_at").to_pylist() == [None, None]

    def test_a_moment_and_a_limit_count_in_bulk_too(self, api: Api) -> None:
        then = {"format": "csv", "as_of": text(at(10)), "limit": 1}
        assert len(api.get(f"{AWS}/list", params=then).text.splitlines()) == 2
        newest = api.get(f"{AWS}/changes?format=ndjson&limit=2").text.splitlines()
        assert [json.loads(line)["change"] for line in newest] == ["created", "deleted"]


def test_health_tells_whether_the_store_answers(api: Api) -> None:
    assert api.get("/health/live").json() == {"status": "live"}
    assert api.get("/health/ready").json() == {"status": "ready"}
    assert "/api/v2/resources/{customer_id}/{provider}/list" in api.get("/openapi.json").text
