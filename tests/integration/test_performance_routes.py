"""The performance agent's routes over a real store."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from support.api import Api
from support.points import put_customer, put_outcome, put_points

from optiinfra.collector_client import CollectorClient
from optiinfra.domain import Window, iso
from optiinfra.errors import StoreUnavailableError
from optiinfra.settings import Settings
from optiinfra.web.auth import Role, issue_token
from optiinfra.web.paging import Cursor, encode_cursor, question
from optiinfra_database import Store
from performance_agent.api.answers import Coverage, Points, ResourceRanking, Summary, Trends
from performance_agent.api.queries import MetricsQuery
from performance_agent.main import create_app

AWS = "/api/v2/performance/acme/aws"
ALL = "/api/v2/performance/acme/all"
ENDPOINTS = ("metrics", "latest", "trends", "by-resource", "summary", "coverage")
STREAMED = ("metrics", "latest", "trends", "by-resource", "summary")
QUARTER = timedelta(minutes=15)


def recent_times(count: int) -> list[datetime]:
    """The last `count` quarters of an hour that have ended, oldest first."""
    now = int(datetime.now(UTC).timestamp()) // 900 * 900
    newest = datetime.fromtimestamp(now, UTC) - QUARTER
    return [newest - QUARTER * back for back in reversed(range(count))]


def app_over(store: Store, **configured: Any) -> FastAPI:
    return create_app(Settings(**configured), store, CollectorClient("http://127.0.0.1:9"))


@pytest.fixture
def api(store: Store) -> Api:
    put_customer(store, "acme", "aws", "gcp")
    return Api(app_over(store))


def rows(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    data: list[dict[str, Any]] = response.json()["data"]
    return data


def test_a_point_comes_out_as_it_went_in(store: Store, api: Api) -> None:
    (moment,) = recent_times(1)
    put_points(
        store,
        [moment],
        [12.5],
        resource_name='we"b',
        settled=False,
        metadata='{"statistic":"Average"}',
        collected_at=moment + QUARTER,
    )
    (point,) = rows(api.get(f"{AWS}/metrics"))
    assert point == {
        "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "customer_id": "acme",
        "provider": "aws",
        "account_id": "main",
        "metric_type": "compute_instance",
        "resource_id": "i-1",
        "resource_name": 'we"b',
        "metric_name": "cpu_utilization",
        "metric_value": 12.5,
        "unit": "%",
        "settled": False,
        "collected_at": (moment + QUARTER).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "metadata": {"statistic": "Average"},
    }
    assert rows(api.get(f"{AWS}/latest")) == [point]


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("metrics", Points),
        ("latest", Points),
        ("trends", Trends),
        ("trends?group_by=resource", Trends),
        ("trends?timeframe=7d&interval=1d&group_by=resource", Trends),
        ("by-resource", ResourceRanking),
        ("summary", Summary),
        ("coverage", Coverage),
    ],
)
def test_answers_are_what_openapi_says(store: Store, api: Api, path: str, model: Any) -> None:
    times = recent_times(8)
    put_points(store, times, [float(n) for n in range(8)])
    put_outcome(store, (times[0], times[-1]))
    put_outcome(store, (times[-1], times[-1] + QUARTER), status="denied", error="no rights")
    response = api.get(f"{AWS}/{path}")
    answer = model.model_validate(response.json())
    assert answer.data
    assert answer.end - answer.start >= timedelta(hours=24)


def test_customers_and_providers_are_kept_apart(store: Store, api: Api) -> None:
    times = recent_times(1)
    put_customer(store, "other", "aws")
    put_points(store, times, [1.0])
    put_points(store, times, [2.0], provider="gcp", resource_id="g")
    put_points(store, times, [3.0], customer_id="other")
    assert [p["metric_value"] for p in rows(api.get(f"{AWS}/metrics"))] == [1.0]
    assert {p["metric_value"] for p in rows(api.get(f"{ALL}/metrics"))} == {1.0, 2.0}
    (merged,) = rows(api.get(f"{ALL}/summary"))
    assert (merged["count"], merged["avg"], merged["resources"]) == (2, 1.5, 2)


def test_filters_narrow_every_endpoint(store: Store, api: Api) -> None:
    times = recent_times(2)
    for resource in ("i-1", "i-2", "i-3"):
        put_points(store, times, [1.0, 2.0], resource_id=resource)
        put_points(store, times, [1.0, 2.0], resource_id=resource, metric="uptime")
    put_points(store, times, [1.0, 2.0], resource_id="v", metric_type="storage_volume")
    query = "resource_id=i-1&resource_id=i-2&metric_name=uptime&metric_type=compute_instance"
    for endpoint, count in (("metrics", 4), ("latest", 2), ("by-resource", 2), ("summary", 1)):
        found = rows(api.get(f"{AWS}/{endpoint}?{query}"))
        assert len(found) == count, endpoint
        assert {row["metric_name"] for row in found} == {"uptime"}
    assert rows(api.get(f"{AWS}/trends?{query}"))[0]["count"] == 2
    types = {row["metric_type"] for row in rows(api.get(f"{AWS}/summary"))}
    assert types == {"compute_instance", "storage_volume"}


def test_order_turns_points_round(store: Store, api: Api) -> None:
    put_points(store, recent_times(5), [1.0, 2.0, 3.0, 4.0, 5.0])
    newest_first = rows(api.get(f"{AWS}/metrics"))
    assert [p["metric_value"] for p in newest_first] == [5.0, 4.0, 3.0, 2.0, 1.0]
    assert rows(api.get(f"{AWS}/metrics?order=asc")) == newest_first[::-1]


def test_latest_is_one_row_per_series_and_forgets_the_old(store: Store, api: Api) -> None:
    times = recent_times(20)
    put_points(store, times, [float(n) for n in range(20)])
    put_points(store, times[:2], [7.0, 8.0], resource_id="gone")
    assert [p["metric_value"] for p in rows(api.get(f"{AWS}/latest"))] == [8.0, 19.0]
    assert [p["metric_value"] for p in rows(api.get(f"{AWS}/latest?max_age=2h"))] == [19.0]


def test_trends_hold_exact_statistics_per_bucket(store: Store, api: Api) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    put_points(store, [hour + timedelta(minutes=5 * n) for n in range(5)], values)
    put_points(store, [hour], [100.0], resource_id="i-2")
    (bucket,) = rows(api.get(f"{AWS}/trends?interval=1h&resource_id=i-1"))
    assert bucket["bucket_start"] == hour.strftime("%Y-%m-%dT%H:%M:%SZ")
    statistics = {name: bucket[name] for name in ("avg", "min", "max", "p50", "p95", "count")}
    assert statistics == {"avg": 3, "min": 1, "max": 5, "p50": 3, "p95": 5, "count": 5}
    (both,) = rows(api.get(f"{AWS}/trends?interval=1h"))
    assert (both["count"], both["max"]) == (6, 100)
    per_resource = rows(api.get(f"{AWS}/trends?interval=1h&group_by=resource"))
    assert [row["resource_id"] for row in per_resource] == ["i-1", "i-2"]


@pytest.mark.parametrize(
    ("timeframe", "interval"),
    [("1h", "5m"), ("6h", "5m"), ("24h", "15m"), ("7d", "1h"), ("30d", "6h"), ("90d", "1d")],
)
def test_auto_interval_fits_the_window(api: Api, timeframe: str, interval: str) -> None:
    answer = api.get(f"{AWS}/trends?timeframe={timeframe}").json()
    assert answer["interval"] == interval


def test_ranking_is_by_what_was_asked_and_says_how_many_there_are(store: Store, api: Api) -> None:
    times = recent_times(3)
    put_points(store, times, [9.0, 9.0, 1.0], resource_id="steady")
    put_points(store, times, [0.0, 0.0, 20.0], resource_id="burst")
    put_points(store, times, [5.0, 5.0, 5.0], resource_id="low")

    def ranked(sort: str) -> list[str]:
        return [row["resource_id"] for row in rows(api.get(f"{AWS}/by-resource?sort={sort}"))]

    assert ranked("avg") == ["burst", "steady", "low"]
    assert ranked("min") == ["low", "steady", "burst"]
    assert ranked("max") == ["burst", "steady", "low"]
    assert ranked("p95") == ["burst", "steady", "low"]
    assert ranked("last_value") == ["burst", "low", "steady"]
    assert ranked("resource_id") == ["burst", "low", "steady"]
    first = api.get(f"{AWS}/by-resource?sort=avg&limit=1").json()
    assert (len(first["data"]), first["total"]) == (1, 3)
    assert first["data"][0]["last_value"] == 20.0
    assert first["data"][0]["last_at"] == times[-1].strftime("%Y-%m-%dT%H:%M:%SZ")


def test_nothing_is_an_empty_list_and_not_an_error(api: Api) -> None:
    for endpoint in ENDPOINTS:
        assert rows(api.get(f"{AWS}/{endpoint}")) == [], endpoint
    assert api.get(f"{AWS}/by-resource").json()["total"] == 0
    coverage = api.get(f"{AWS}/summary").json()["coverage"]
    assert coverage == {"ratio": 0, "collected_until": None, "gaps": 0}


class TestForms:
    """The whole answer as CSV, NDJSON and Parquet."""

    @pytest.fixture(autouse=True)
    def _points(self, store: Store, api: Api) -> None:
        times = recent_times(30)
        for resource in ("i-1", 'a,"b"'):
            put_points(store, times, [n / 3 for n in range(30)], resource_id=resource)

    @pytest.mark.parametrize("endpoint", STREAMED)
    def test_every_form_holds_the_same_rows(self, api: Api, endpoint: str) -> None:
        expected = rows(api.get(f"{AWS}/{endpoint}"))
        ndjson = api.get(f"{AWS}/{endpoint}", headers={"Accept": "application/x-ndjson"})
        assert ndjson.headers["content-type"] == "application/x-ndjson"
        assert [json.loads(line) for line in ndjson.text.splitlines()] == expected

        text = api.get(f"{AWS}/{endpoint}?format=csv")
        assert text.headers["content-type"].startswith("text/csv")
        read = list(csv.DictReader(io.StringIO(text.text)))
        assert [row["metric_name"] for row in read] == [row["metric_name"] for row in expected]
        assert set(read[0]) == set(expected[0])

        parquet = api.get(f"{AWS}/{endpoint}?format=parquet")
        assert (
            f'filename="performance-{endpoint}.parquet"' in parquet.headers["Content-Disposition"]
        )
        table = pq.read_table(io.BytesIO(parquet.content))
        assert table.num_rows == len(expected)
        numbers = "metric_value" if "metric_value" in expected[0] else "avg"
        assert table[numbers].to_pylist() == [row[numbers] for row in expected]

    def test_times_are_timestamps_in_parquet(self, api: Api) -> None:
        table = pq.read_table(io.BytesIO(api.get(f"{AWS}/metrics?format=parquet").content))
        for name in ("timestamp", "collected_at"):
            assert pa.types.is_timestamp(table.schema.field(name).type)
            assert table.schema.field(name).type.tz == "UTC"
        first = rows(api.get(f"{AWS}/metrics?limit=1"))[0]["timestamp"]
        assert table["timestamp"][0].as_py() == datetime.fromisoformat(first)

    def test_limit_counts_only_when_given(self, api: Api) -> None:
        assert len(api.get(f"{AWS}/metrics?format=ndjson").text.splitlines()) == 60
        assert len(api.get(f"{AWS}/metrics?format=ndjson&limit=7").text.splitlines()) == 7

    @pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
    def test_nothing_is_a_whole_file_too(self, api: Api, form: str) -> None:
        response = api.get(f"{AWS}/metrics?metric_name=uptime&format={form}")
        assert response.status_code == 200
        if form == "parquet":
            table = pq.read_table(io.BytesIO(response.content))
            assert table.num_rows == 0
            assert "metric_value" in table.schema.names
        else:
            assert len(response.text.splitlines()) == (1 if form == "csv" else 0)


class TestBadInput:
    """A clear 4xx that names the parameter, and never a 5xx."""

    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    def test_unknown_customer_and_provider_are_404(self, api: Api, endpoint: str) -> None:
        customer = api.get(f"/api/v2/performance/nobody/aws/{endpoint}")
        assert customer.status_code == 404
        assert "nobody" in customer.json()["detail"]
        provider = api.get(f"/api/v2/performance/acme/vultr/{endpoint}")
        assert provider.status_code == 404
        assert "aws, gcp" in provider.json()["detail"]

    @pytest.mark.parametrize("customer", ["a%00b", "a'b", "%C3%A9", "a%20b", "%25", "x" * 3000])
    def test_odd_customers_are_unknown_ones(self, api: Api, customer: str) -> None:
        assert api.get(f"/api/v2/performance/{customer}/aws/latest").status_code == 404

    @pytest.mark.parametrize(
        ("query", "parameter"),
        [
            ("metrics?metric_name=cpu_utilisation", "metric_name.0"),
            ("metrics?metric_name=uptime&metric_name=x", "metric_name.1"),
            ("metrics?metric_type=toaster", "metric_type"),
            ("metrics?timeframe=2w", "timeframe"),
            ("metrics?start=2026-11-20T10:00:00Z&end=2026-11-20T09:00:00Z", "start"),
            ("metrics?start=2026-11-20T10:00:00", "start"),
            ("metrics?start=2001-01-01T00:00:00Z", "start"),
            ("metrics?limit=0", "limit"),
            ("metrics?limit=1000000", "limit"),
            ("metrics?limit=-1", "limit"),
            ("metrics?limit=ten", "limit"),
            ("metrics?order=up", "order"),
            ("metrics?format=xml", "format"),
            ("metrics?metrik=x", "metrik"),
            ("latest?max_age=soon", "max_age"),
            ("latest?max_age=0m", "max_age"),
            ("latest?max_age=999999d", "max_age"),
            ("latest?timeframe=1h", "timeframe"),
            ("trends?interval=7m", "interval"),
            ("trends?group_by=color", "group_by"),
            ("by-resource?sort=color", "sort"),
            ("by-resource?limit=0", "limit"),
            ("by-resource?cursor=x", "cursor"),
            ("summary?limit=3", "limit"),
            ("coverage?format=csv", "format"),
        ],
    )
    def test_wrong_parameters_are_422(self, api: Api, query: str, parameter: str) -> None:
        response = api.get(f"{AWS}/{query}")
        assert response.status_code == 422
        assert [error["parameter"] for error in response.json()["errors"]] == [parameter]

    def test_an_unknown_metric_is_told_the_closest_names(self, api: Api) -> None:
        response = api.get(f"{AWS}/metrics?metric_name=cpu_utilisation")
        assert "cpu_utilization" in response.json()["detail"]

    def test_a_range_over_the_retention_is_422(self, store: Store) -> None:
        put_customer(store, "acme", "aws")
        response = Api(app_over(store, retention_days=7)).get(f"{AWS}/trends?timeframe=30d")
        assert response.status_code == 422
        assert "7 days" in response.json()["detail"]

    def test_altered_and_foreign_cursors_are_400(self, store: Store, api: Api) -> None:
        put_points(store, recent_times(3), [1.0, 2.0, 3.0])
        cursor = api.get(f"{AWS}/metrics?limit=1").json()["next_cursor"]
        assert api.get(f"{AWS}/metrics?limit=1&cursor={cursor}").status_code == 200
        for path in (
            f"{AWS}/metrics?cursor={cursor[:-2]}",
            f"{AWS}/metrics?cursor=nonsense",
            f"{AWS}/metrics?cursor=%00",
            f"{AWS}/metrics?order=asc&cursor={cursor}",
            f"{AWS}/metrics?metric_name=uptime&cursor={cursor}",
            f"{AWS}/metrics?timeframe=1h&cursor={cursor}",
            f"{AWS}/latest?cursor={cursor}",
            f"{AWS}/trends?cursor={cursor}",
            f"{ALL}/metrics?cursor={cursor}",
            f"/api/v2/performance/acme/gcp/metrics?cursor={cursor}",
        ):
            response = api.get(path)
            assert response.status_code == 400, path
            assert response.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize(
        "resource_id",
        [
            "arn:aws:rds:us-east-1:1:db/orders",
            "/subscriptions/0/resourcegroups/a b",
            "a'b",
            'a"b',
            "a%2Fb",
            "a\\'b\\n",
            "tab\tnewline\nend",
            "nul\x00nul",
            "rechner-größe-机器-🦆",
            "' OR 1=1 --",
            "x'; DROP TABLE performance_metrics; --",
            "{customer_id:String}",
            "%(x)s %s",
            "\\N",
            "[1,2]",
            " ",
        ],
    )
    def test_a_resource_id_is_data_whatever_it_holds(
        self, store: Store, api: Api, resource_id: str
    ) -> None:
        times = recent_times(2)
        put_points(store, times, [1.0, 2.0], resource_id=resource_id)
        put_points(store, times, [3.0, 4.0], resource_id="another")
        query = f"resource_id={quote(resource_id, safe='')}"
        for endpoint in ("metrics", "latest", "by-resource", "trends?group_by=resource"):
            joint = "&" if "?" in endpoint else "?"
            found = rows(api.get(f"{AWS}/{endpoint}{joint}{query}"))
            assert {row["resource_id"] for row in found} == {resource_id}, endpoint
        assert rows(api.get(f"{AWS}/summary?{query}"))[0]["max"] == 2.0
        page = api.get(f"{AWS}/metrics?{query}&limit=1").json()
        rest = rows(api.get(f"{AWS}/metrics?{query}&cursor={page['next_cursor']}"))
        assert [row["metric_value"] for row in page["data"] + rest] == [2.0, 1.0]

    def test_nothing_in_the_store_was_harmed(self, store: Store, api: Api) -> None:
        put_points(store, recent_times(1), [1.0])
        api.get(f"{AWS}/metrics?resource_id={quote(chr(39) + '; DROP TABLE performance_metrics')}")
        assert store.query("SELECT count() FROM performance_metrics") == [(1,)]


def test_a_store_that_is_away_is_503(
    store: Store, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> bytes:
        raise StoreUnavailableError("gone")

    assert api.get(f"{AWS}/latest").status_code == 200  # the directory is known from here on
    for name in ("query_bytes", "query", "stream_bytes", "stream_arrow"):
        monkeypatch.setattr(Store, name, away)
    for endpoint in ENDPOINTS:
        for form in ("", "?format=csv", "?format=parquet"):
            if endpoint == "coverage" and form:
                continue
            response = api.get(f"{AWS}/{endpoint}{form}")
            assert response.status_code == 503, endpoint
            assert response.headers["Retry-After"] == "5"
    ready = api.get("/health/ready")
    assert ready.status_code == 503
    assert ready.json()["not_ready"] == {"schema": "gone"}


class TestTenancy:
    """Every route of the service, asked with another customer's token."""

    SETTINGS = Settings(auth="jwt", jwt_secret=SecretStr("k" * 32))

    @pytest.fixture
    def guarded(self, store: Store) -> FastAPI:
        put_customer(store, "acme", "aws")
        put_customer(store, "rival", "aws")
        return create_app(self.SETTINGS, store, CollectorClient("http://127.0.0.1:9"))

    def headers(self, customers: Sequence[str], role: Role = Role.OWNER) -> dict[str, str]:
        token = issue_token(
            self.SETTINGS,
            customers=customers,
            role=role,
            subject="s",
            lifetime=timedelta(minutes=5),
        )
        return {"Authorization": f"Bearer {token}"}

    def routes(self, app: FastAPI) -> list[tuple[str, str]]:
        return [
            (method.upper(), path.replace("{customer_id}", "acme").replace("{provider}", "aws"))
            for path, methods in app.openapi()["paths"].items()
            for method in methods
            if path.startswith("/api/")
        ]

    def ask(self, app: FastAPI, method: str, path: str, headers: dict[str, str]) -> int:
        body = {"customer_id": "acme", "provider": "aws"} if method == "POST" else None
        return Api(app).request(method, path, headers=headers, json=body).status_code

    def test_every_route_refuses_no_token_and_a_rival_s(self, guarded: FastAPI) -> None:
        routes = self.routes(guarded)
        assert len(routes) == 7
        for method, path in routes:
            assert self.ask(guarded, method, path, {}) == 401, path
            assert self.ask(guarded, method, path, self.headers(["rival"])) == 403, path
            own = self.ask(guarded, method, path, self.headers(["acme"]))
            # The collector that a trigger asks is not there in this test.
            assert own == (503 if method == "POST" else 200), path

    def test_collecting_needs_a_member(self, guarded: FastAPI) -> None:
        path = "/api/v2/performance/trigger-collection"
        assert self.ask(guarded, "POST", path, self.headers(["acme"], Role.VIEWER)) == 403


class TestTrigger:
    """POST trigger-collection, with a collector in the same process."""

    PATH = "/api/v2/performance/trigger-collection"

    def app(self, store: Store, *run_ids: str) -> tuple[Api, list[httpx.Request]]:
        put_customer(store, "acme", "aws")
        seen: list[httpx.Request] = []

        def collector(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return httpx.Response(202, json={"run_ids": list(run_ids)})

        client = CollectorClient("http://collector", httpx.MockTransport(collector))
        return Api(create_app(Settings(), store, client)), seen

    def test_starts_a_run_and_says_where_to_follow_it(self, store: Store) -> None:
        api, seen = self.app(store, "r1")
        body = {"customer_id": "acme", "provider": "aws", "account_id": "main"}
        response = api.post(self.PATH, json=body, headers={"X-Request-ID": "q7"})
        assert response.status_code == 202
        assert response.json() == {"run_ids": ["r1"], "status_url": "/api/v2/collections/r1"}
        assert json.loads(seen[0].content) == body | {"kinds": ["performance"]}
        assert seen[0].headers["x-request-id"] == "q7"

    def test_several_runs_are_followed_as_the_customer_s(self, store: Store) -> None:
        api, _ = self.app(store, "r1", "r2")
        response = api.post(self.PATH, json={"customer_id": "acme", "provider": "all"})
        assert response.json()["status_url"] == "/api/v2/collections?customer_id=acme"

    def test_window_is_handed_on_in_utc(self, store: Store) -> None:
        api, seen = self.app(store, "r1")
        body = {
            "customer_id": "acme",
            "provider": "aws",
            "start": "2026-11-20T10:00:00+01:00",
            "end": "2026-11-20T10:00:00Z",
        }
        assert api.post(self.PATH, json=body).status_code == 202
        sent = json.loads(seen[0].content)
        assert (sent["start"], sent["end"]) == ("2026-11-20T09:00:00Z", "2026-11-20T10:00:00Z")

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"customer_id": "nobody", "provider": "aws"}, 404),
            ({"customer_id": "acme", "provider": "vultr"}, 404),
            ({"customer_id": "acme"}, 422),
            ({"customer_id": "acme", "provider": "aws", "wish": 1}, 422),
            ({"customer_id": "a/b", "provider": "aws"}, 422),
            ({"customer_id": "acme", "provider": "aws", "start": "yesterday"}, 422),
            ({"customer_id": "acme", "provider": "aws", "end": "2026-11-20T10:00:00Z"}, 422),
        ],
    )
    def test_a_wrong_wish_reaches_no_collector(
        self, store: Store, body: dict[str, Any], status: int
    ) -> None:
        api, seen = self.app(store, "r1")
        assert api.post(self.PATH, json=body).status_code == status
        assert seen == []


fleets = st.lists(
    st.tuples(
        st.sampled_from(["i-1", "i-2", "a/b"]),
        st.sampled_from(["cpu_utilization", "uptime"]),
        st.integers(0, 40),
    ),
    max_size=60,
    unique=True,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(fleet=fleets, limits=st.lists(st.integers(1, 20), min_size=1), descending=st.booleans())
def test_pages_of_any_size_make_the_one_big_page(
    store: Store,
    fleet: list[tuple[str, str, int]],
    limits: list[int],
    descending: bool,
) -> None:
    """Same rows, same order, none twice; points that arrive before the cursor change nothing."""
    store.command("TRUNCATE TABLE performance_metrics")
    put_customer(store, "acme", "aws")
    newest = recent_times(1)[0]
    for resource, metric, age in fleet:
        put_points(store, [newest - QUARTER * 2 * age], [age], resource_id=resource, metric=metric)
    path = f"{AWS}/metrics?order={'desc' if descending else 'asc'}"
    app = app_over(store)

    async def walk() -> tuple[list[Any], list[Any]]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            whole = (await client.get(f"{path}&limit=10000")).json()["data"]
            paged: list[Any] = []
            cursor = ""
            for turn in range(len(fleet) + 1):
                limit = limits[turn % len(limits)]
                page = (await client.get(f"{path}&limit={limit}{cursor}")).json()
                assert len(page["data"]) <= limit
                paged += page["data"]
                if page["next_cursor"] is None:
                    break
                cursor = f"&cursor={page['next_cursor']}"
                # Newer than all when the newest come first, older than all otherwise.
                passed = (
                    timedelta(minutes=turn) if descending else timedelta(hours=23, minutes=turn)
                )
                put_points(store, [newest + QUARTER - passed], [1.0], resource_id=f"late-{turn}")
            return whole, paged

    whole, paged = asyncio.run(walk())
    assert len(whole) == len(fleet)
    assert paged == whole


def test_a_cursor_keeps_the_window_of_its_first_page(store: Store, api: Api) -> None:
    times = recent_times(8)
    put_points(store, times, [float(n) for n in range(8)])
    asked = question(f"{AWS}/metrics", MetricsQuery())
    window = Window(times[2], times[5])
    cursor = encode_cursor(asked, Cursor(window, (int(times[5].timestamp()), "", "", "")))
    answer = api.get(f"{AWS}/metrics?cursor={cursor}").json()
    assert [point["metric_value"] for point in answer["data"]] == [4.0, 3.0, 2.0]
    assert (answer["start"], answer["end"]) == (iso(window.start), iso(window.end))


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("latest", ("resource_id", "metric_name")),
        ("trends?interval=1h", ("metric_name", "bucket_start")),
        ("trends?interval=1h&group_by=resource", ("metric_name", "resource_id", "bucket_start")),
    ],
)
def test_other_lists_page_without_loss_too(
    store: Store, api: Api, path: str, key: tuple[str, ...]
) -> None:
    times = recent_times(12)
    for resource in ("i-1", "i-2", "i-3"):
        for metric in ("cpu_utilization", "uptime"):
            put_points(store, times, [1.0] * 12, resource_id=resource, metric=metric)
    joint = "&" if "?" in path else "?"
    whole = rows(api.get(f"{AWS}/{path}"))
    paged: list[Any] = []
    cursor = ""
    while True:
        page = api.get(f"{AWS}/{path}{joint}limit=2{cursor}").json()
        paged += page["data"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert paged == whole
    keys = [tuple(row[name] for name in key) for row in whole]
    assert keys == sorted(set(keys))
