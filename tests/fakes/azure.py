"""A fake of Azure over HTTP: Resource Graph, Compute SKUs and metrics:getBatch.

It holds bodies as Azure Resource Manager has them and evaluates the projection of the query
that it is sent, so a column with a wrong path stays empty here too. What its machines do is
defined in canonical terms (`truth`) and encoded into Azure's metrics by a table of its own.
Everything follows from a seed and a clock, but which request meets a fault: that depends on
the order they come in.
"""

from __future__ import annotations

import json
import random
import re
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from fakes.noise import shape, uniform
from numpy.typing import NDArray

Body = dict[str, Any]
Points = dict[tuple[str, str, int], float]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
SQL_BYTES, POSTGRESQL_BYTES = 250 << 30, 512 << 30
SLOT = 300
DELAY = 120
SETTLING = 30 * 60

VM = "Microsoft.Compute/virtualMachines"
DISK = "Microsoft.Compute/disks"
SQL = "Microsoft.Sql/servers/databases"
POSTGRESQL = "Microsoft.DBforPostgreSQL/flexibleServers"
BALANCER = "Microsoft.Network/loadBalancers"
GATEWAY = "Microsoft.Network/applicationGateways"
NETWORK = "Microsoft.Network/virtualNetworks"
CLUSTER = "Microsoft.ContainerService/managedClusters"

#: What the fleet is made of, over and over.
MIX = (VM, DISK, VM, DISK, SQL, POSTGRESQL, VM, BALANCER, GATEWAY, CLUSTER, NETWORK, VM)

_MACHINES = {
    "Standard_D2s_v5": {"vCPUs": "2", "MemoryGB": "8"},
    "Standard_E8-4ds_v5": {"vCPUs": "8", "vCPUsAvailable": "4", "MemoryGB": "64"},
    "Standard_B1ls": {"vCPUs": "1", "MemoryGB": "0.5"},
}


@dataclass(frozen=True)
class Emitted:
    """How the fake tells a canonical quantity through one of Azure's metrics.

    Values lie between `low` and `top`, those that are `steady` at it but for a rare minute.
    Two with one `curve` rise and fall together.
    `encode` turns canonical values, one per minute, into what Azure would count in that
    minute, given the resource's body; `split` is the dimension that the metric is told by.
    """

    canonical: str
    name: str
    top: float
    encode: Callable[[Floats, Body], Floats] = lambda values, _: values
    split: tuple[str, str] | None = None
    minutes_only: bool = False
    low: float = 0.0
    steady: bool = False
    curve: str = ""


def _per_minute(values: Floats, _: Body) -> Floats:
    return values * 60


def _ratio(values: Floats, _: Body) -> Floats:
    return values / 100


def _rest(values: Floats, _: Body) -> Floats:
    return 100 - values


def _used(values: Floats, body: Body) -> Floats:
    return float(body["properties"]["maxSizeBytes"]) - values


def _free(name: str, size: int) -> Emitted:
    """What is free of a disk that is 55 to 60 % full."""
    return Emitted("storage_free_bytes", name, 0.40 * size, low=0.45 * size, curve="storage")


EMITTED: Mapping[str, Sequence[Emitted]] = {
    VM.lower(): (
        Emitted("cpu_utilization", "Percentage CPU", 100),
        Emitted("memory_utilization", "Available Memory Percentage", 90, _rest, low=35),
        Emitted("disk_read_bytes_per_sec", "Disk Read Bytes", 5e7, _per_minute),
        Emitted("disk_write_bytes_per_sec", "Disk Write Bytes", 5e7, _per_minute),
        Emitted("disk_read_ops_per_sec", "Disk Read Operations/Sec", 2000),
        Emitted("disk_write_ops_per_sec", "Disk Write Operations/Sec", 2000),
        Emitted("network_in_bytes_per_sec", "Network In Total", 1e8, _per_minute),
        Emitted("network_out_bytes_per_sec", "Network Out Total", 1e8, _per_minute),
        Emitted("availability", "VmAvailabilityMetric", 100, _ratio, steady=True),
    ),
    DISK.lower(): (
        Emitted("disk_read_bytes_per_sec", "Composite Disk Read Bytes/sec", 5e7),
        Emitted("disk_write_bytes_per_sec", "Composite Disk Write Bytes/sec", 5e7),
        Emitted("disk_read_ops_per_sec", "Composite Disk Read Operations/sec", 2000),
        Emitted("disk_write_ops_per_sec", "Composite Disk Write Operations/sec", 2000),
    ),
    SQL.lower(): (
        Emitted("cpu_utilization", "cpu_percent", 100),
        Emitted("memory_utilization", "sql_instance_memory_percent", 90, low=35),
        Emitted("db_connections", "sessions_count", 300),
        Emitted(
            "storage_free_bytes",
            "storage",
            0.40 * SQL_BYTES,
            _used,
            low=0.45 * SQL_BYTES,
            curve="storage",
        ),
        Emitted("storage_utilization", "storage_percent", 60, low=55, curve="storage"),
        Emitted("availability", "availability", 100, minutes_only=True, steady=True),
    ),
    POSTGRESQL.lower(): (
        Emitted("cpu_utilization", "cpu_percent", 100),
        Emitted("memory_utilization", "memory_percent", 90, low=35),
        Emitted("db_connections", "active_connections", 300),
        Emitted(
            "storage_free_bytes",
            "storage_free",
            0.40 * POSTGRESQL_BYTES,
            low=0.45 * POSTGRESQL_BYTES,
            curve="storage",
        ),
        Emitted("storage_utilization", "storage_percent", 60, low=55, curve="storage"),
        Emitted("disk_read_ops_per_sec", "read_iops", 2000),
        Emitted("disk_write_ops_per_sec", "write_iops", 2000),
        Emitted("disk_read_bytes_per_sec", "read_throughput", 5e7),
        Emitted("disk_write_bytes_per_sec", "write_throughput", 5e7),
        Emitted("network_in_bytes_per_sec", "network_bytes_ingress", 1e8, _per_minute),
        Emitted("network_out_bytes_per_sec", "network_bytes_egress", 1e8, _per_minute),
        Emitted("availability", "is_db_alive", 100, _ratio, steady=True),
    ),
    BALANCER.lower(): (
        Emitted("lb_requests_per_sec", "SYNCount", 500, _per_minute),
        Emitted("availability", "VipAvailability", 100, steady=True),
        Emitted("network_in_bytes_per_sec", "ByteCount", 1e8, _per_minute, ("Direction", "In")),
        Emitted("network_out_bytes_per_sec", "ByteCount", 1e8, _per_minute, ("Direction", "Out")),
        Emitted("network_in_packets_per_sec", "PacketCount", 1e5, _per_minute, ("Direction", "In")),
        Emitted(
            "network_out_packets_per_sec", "PacketCount", 1e5, _per_minute, ("Direction", "Out")
        ),
    ),
    GATEWAY.lower(): (
        Emitted("lb_requests_per_sec", "TotalRequests", 500, _per_minute),
        Emitted("response_time", "ApplicationGatewayTotalTime", 900),
        Emitted("lb_latency", "BackendLastByteResponseTime", 800),
        Emitted("network_in_bytes_per_sec", "BytesReceived", 1e8, _per_minute),
        Emitted("network_out_bytes_per_sec", "BytesSent", 1e8, _per_minute),
        Emitted("lb_active_connections", "CurrentConnections", 5000),
        Emitted("lb_healthy_hosts", "HealthyHostCount", 10, steady=True),
        Emitted("lb_5xx_per_sec", "ResponseStatus", 5, _per_minute, ("HttpStatusGroup", "5xx")),
    ),
    CLUSTER.lower(): (
        Emitted("k8s_node_cpu_utilization", "node_cpu_usage_percentage", 100),
        Emitted("k8s_node_memory_utilization", "node_memory_working_set_percentage", 85, low=35),
    ),
}


def fleet(
    count: int,
    *,
    regions: Sequence[str] = ("eastus", "westeurope"),
    types: Sequence[str] = MIX,
    subscription: str = SUBSCRIPTION,
) -> list[Body]:
    """`count` resources of the types in turn, over the regions."""
    return [
        resource(types[number % len(types)], number, regions[number % len(regions)], subscription)
        for number in range(count)
    ]


def resource(kind: str, number: int, region: str, subscription: str = SUBSCRIPTION) -> Body:
    """A resource as Azure Resource Manager describes it. Every seventh machine is stopped."""
    group = f"Group-{number % 3}"
    name = f"{kind.rsplit('/', 1)[1][:4]}-{number:05}"
    parent = f"servers/sql-{number}/databases" if kind == SQL else kind.split("/", 1)[1]
    resource_id = (
        f"/subscriptions/{subscription}/resourceGroups/{group}/providers/"
        f"{kind.split('/', 1)[0]}/{parent}/{name}"
    )
    return {
        "id": resource_id,
        "name": name,
        "type": kind,
        "location": region,
        "resourceGroup": group.lower(),
        "subscriptionId": subscription,
        "tags": {"team": f"team-{number % 4}", "empty": ""},
        **_BODIES[kind](number, resource_id),
    }


def _vm(number: int, resource_id: str) -> Body:
    power = "deallocated" if number % 7 == 6 else "running"
    return {
        "zones": [str(number % 3 + 1)],
        "properties": {
            "hardwareProfile": {"vmSize": list(_MACHINES)[number % len(_MACHINES)]},
            "storageProfile": {
                "osDisk": {"osType": "Linux", "diskSizeGB": 30},
                "dataDisks": [{"lun": 0, "diskSizeGB": 128}],
                "imageReference": {"publisher": "Canonical", "offer": "Ubuntu", "sku": "24_04"},
            },
            "osProfile": {"adminUsername": "root", "customData": "not-for-anybody"},
            "provisioningState": "Succeeded",
            "timeCreated": "2026-01-02T03:04:05.1234567+00:00",
            "extended": {"instanceView": {"powerState": {"code": f"PowerState/{power}"}}},
        },
    }


def _disk(number: int, resource_id: str) -> Body:
    attached = number % 4 != 3
    machine = resource_id.replace("/disks/disk", "/virtualMachines/virt")
    return {
        "sku": {"name": "Premium_LRS", "tier": "Premium"},
        **({"managedBy": machine} if attached else {}),
        "properties": {
            "diskSizeGB": 64,
            "diskState": "Attached" if attached else "Unattached",
            "diskIOPSReadWrite": 240,
            "diskMBpsReadWrite": 50,
            "timeCreated": "2026-01-02T03:04:05Z",
            "provisioningState": "Succeeded",
        },
    }


def _sql(number: int, resource_id: str) -> Body:
    return {
        "kind": "v12.0,user,vcore",
        "sku": {"name": "GP_Gen5", "tier": "GeneralPurpose", "family": "Gen5", "capacity": 4},
        "properties": {
            "status": "Online",
            "maxSizeBytes": SQL_BYTES,
            "creationDate": "2026-02-03T04:05:06.79Z",
        },
    }


def _postgresql(number: int, resource_id: str) -> Body:
    return {
        "sku": {"name": "Standard_D2s_v5", "tier": "GeneralPurpose"},
        "properties": {
            "state": "Ready",
            "version": "16",
            "administratorLogin": "admin",
            "availabilityZone": "2",
            "storage": {"storageSizeGB": POSTGRESQL_BYTES >> 30},
            "highAvailability": {"mode": "ZoneRedundant"},
        },
    }


def _balancer(number: int, resource_id: str) -> Body:
    return {"sku": {"name": "Standard"}, "properties": {"provisioningState": "Succeeded"}}


def _gateway(number: int, resource_id: str) -> Body:
    return {
        "properties": {
            "sku": {"name": "Standard_v2", "tier": "Standard_v2"},
            "operationalState": "Running",
            "provisioningState": "Succeeded",
        }
    }


def _network(number: int, resource_id: str) -> Body:
    return {
        "properties": {
            "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
            "provisioningState": "Succeeded",
        }
    }


def _cluster(number: int, resource_id: str) -> Body:
    return {
        "sku": {"name": "Base", "tier": "Standard"},
        "properties": {
            "kubernetesVersion": "1.33",
            "powerState": {"code": "Running"},
            "provisioningState": "Succeeded",
            "agentPoolProfiles": [{"name": "pool1", "count": 3, "vmSize": "Standard_D2s_v5"}],
        },
    }


_BODIES: Mapping[str, Callable[[int, str], Body]] = {
    VM: _vm,
    DISK: _disk,
    SQL: _sql,
    POSTGRESQL: _postgresql,
    BALANCER: _balancer,
    GATEWAY: _gateway,
    NETWORK: _network,
    CLUSTER: _cluster,
}


@dataclass
class Faults:
    """What goes wrong. Rates are shares of requests; `late` is a share of points."""

    throttle: float = 0.0
    drop: float = 0.0
    cut: float = 0.0
    late: float = 0.05
    outage: bool = False
    html: bool = False
    redirect: bool = False
    expired_token: bool = False
    clock_off: timedelta = timedelta(0)
    deny_graph: bool = False
    hide_subscription: bool = False
    deny_skus: bool = False
    truncate: bool = False
    lose_page: bool = False
    #: Called after each page of the inventory.
    between_pages: Callable[[], None] = lambda: None
    #: A page without rows or a token, though more rows are counted.
    empty_page: bool = False
    broken: bool = False
    #: A row moves to the next page while the pages are read, and stands on both.
    repeat_rows: bool = False
    denied_regions: set[str] = field(default_factory=set)
    unknown_regions: set[str] = field(default_factory=set)
    #: Ids in lower case: a call that names one is refused as a whole, or answered without it.
    unknown_ids: set[str] = field(default_factory=set)
    silent_ids: set[str] = field(default_factory=set)
    #: Native metric names that this Azure does not have.
    missing_metrics: set[str] = field(default_factory=set)
    #: (id in lower case, native name) -> Azure's code for that one metric.
    error_codes: dict[tuple[str, str], str] = field(default_factory=dict)
    #: The most time series that one call may ask for.
    series_limit: int = 500_000
    twice_encoded: bool = False


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AzureFake:
    """A running fake; use it as a context manager. Bound to a free port of loopback.

    `series` are recorded curves of any scale that the resources replay, bucket by bucket; without
    any, values are noise. `held_back` are seconds by which a type's points come later.
    """

    def __init__(
        self,
        bodies: Sequence[Body] = (),
        *,
        seed: int = 0,
        clock: Callable[[], datetime] = _utc_now,
        faults: Faults | None = None,
        series: Sequence[Floats] = (),
        held_back: Mapping[str, int] | None = None,
        page_rows: int = 1000,
        subscription: str = SUBSCRIPTION,
        port: int = 0,
    ) -> None:
        self.bodies = {body["id"].lower(): body for body in bodies}
        self.faults = faults or Faults()
        self.clock = clock
        self.requests: Counter[str] = Counter()
        self.page_rows = page_rows
        self.subscription = subscription
        self._seed = seed
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._series = [shape(one) for one in series]
        self._held_back = held_back or {}
        self._server = _Server(("127.0.0.1", port), self)

    @property
    def url(self) -> str:
        """Where it listens, for every endpoint."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> AzureFake:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, body: Body) -> None:
        self.bodies[body["id"].lower()] = body

    def remove(self, resource_id: str) -> None:
        del self.bodies[resource_id.lower()]

    def reseed(self, seed: int) -> None:
        """Draw the luck of requests anew."""
        with self._lock:
            self._random.seed(seed)

    # What is true

    def inventory(self) -> dict[str, str]:
        """Region by resource id."""
        return {resource_id: body["location"] for resource_id, body in self.bodies.items()}

    def truth(
        self, start: datetime, end: datetime, at: datetime | None = None, step: int = SLOT
    ) -> Points:
        """What a store must hold of `[start, end)` that was last collected `at`."""
        now = int((at or self.clock()).timestamp())
        times = np.arange(int(start.timestamp()), int(end.timestamp()), step, dtype=np.int64)
        points: Points = {}
        for resource_id, body in self.bodies.items():
            for emitted in EMITTED.get(body["type"].lower(), ()):
                minutes = self._minutes(resource_id, body, emitted, times, step, now)
                values = minutes.mean(axis=1)
                for time, value in zip(times.tolist(), values.tolist(), strict=True):
                    if not np.isnan(value):
                        points[emitted.canonical, resource_id, time] = value
        return points

    def _minutes(
        self, resource_id: str, body: Body, emitted: Emitted, times: Ints, step: int, now: int
    ) -> Floats:
        """Canonical values by bucket and minute; NaN where nothing is published at `now`."""
        name = f"{resource_id}/{emitted.canonical}"
        minutes = times[:, None] + np.arange(0, step, 60, dtype=np.int64)
        slots = minutes // SLOT * SLOT
        if emitted.steady:
            values = np.where(self._uniform(name, minutes) < 0.002, 0.9, 1.0) * emitted.top
        else:
            level = self._level(f"{resource_id}/{emitted.curve or emitted.canonical}", minutes)
            values = emitted.low + (emitted.top - emitted.low) * level
        held_back = self._held_back.get(body["type"], 0)
        if emitted.encode is _per_minute:  # a sum is too low while it is still being added up
            settled = slots + SLOT + SETTLING + held_back <= now
            values = np.where(settled, values, 0.97 * values)
        published = self._publication(name, slots) + held_back <= now
        return np.where(published & _active(body), values, np.nan)

    def _level(self, name: str, minutes: Ints) -> Floats:
        if not self._series:
            return self._uniform(name, minutes)
        which = zlib.crc32(name.encode())
        curve = self._series[which % len(self._series)]
        return curve[(minutes // SLOT + which) % len(curve)]

    def _uniform(self, name: str, numbers: Ints) -> Floats:
        return uniform(f"{self._seed}/{name}", numbers)

    def _publication(self, name: str, slots: Ints) -> Ints:
        late = self._uniform(f"late/{name}", slots) < self.faults.late
        extra = (SETTLING - DELAY) * self._uniform(f"by/{name}", slots)
        usual = slots + SLOT + DELAY
        return np.where(late, usual + extra.astype(np.int64), usual)

    # What it answers

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        """The answer to one request, faults and all."""
        path, query = _parsed(target)
        api = _api(path)
        with self._lock:
            self.requests[api] += 1
            luck = self._random.random()
        faults = self.faults
        if faults.outage or luck < faults.drop:
            return Answer(0)
        if luck < faults.drop + faults.throttle:
            return self._throttled(api)
        answer = self._undisturbed(method, api, path, query, body)
        if faults.drop + faults.throttle <= luck < faults.drop + faults.throttle + faults.cut:
            answer.cut = True
        return answer

    def _throttled(self, api: str) -> Answer:
        with self._lock:
            kind = self._random.randrange(3)
        if kind == 0 and api == "metrics":
            return _error(529, "BackendOverloaded", "try later")  # without a Retry-After
        headers = {"x-ms-user-quota-resets-after": "00:00:01"} if api == "graph" else {}
        if kind == 1:
            headers = {"Retry-After": "1"}
        return _error(429, "TooManyRequests", "slow down", headers)

    def _undisturbed(
        self, method: str, api: str, path: str, query: Mapping[str, str], body: bytes
    ) -> Answer:
        if self.faults.html:
            return Answer(200, b"<!DOCTYPE html><title>Sign in</title>", "text/html")
        if self.faults.broken:
            return _error(503, "ServiceUnavailable", "something is wrong")
        if self.faults.redirect:
            return Answer(302, b"", headers={"Location": "https://login.example/"})
        if self.faults.expired_token:
            date = format_datetime(datetime.now(UTC) - self.faults.clock_off)
            return _error(401, "ExpiredAuthenticationToken", "token expired", {"Date": date})
        match method, api:
            case "POST", "graph":
                return self._graph(json.loads(body))
            case "GET", "skus":
                return self._skus(query)
            case "POST", "metrics":
                return self._metrics(path, query, json.loads(body)["resourceids"])
        return _error(404, "NotFound", path)

    def _graph(self, request: Mapping[str, Any]) -> Answer:
        if self.faults.deny_graph:
            return _error(403, "AccessDenied", "no access")
        kql, options = request["query"], request["options"]
        if [one.lower() for one in request["subscriptions"]] != [self.subscription.lower()]:
            return _error(400, "BadRequest", "unknown subscription")
        assert options["resultFormat"] == "objectArray"
        types = {name.lower() for name in re.findall(r"'([^']+)'", _clause(kql, "where type in~"))}
        rows = [body for body in self.bodies.values() if body["type"].lower() in types]
        container = re.search(r"union \(resourcecontainers \| where type =~ '([^']+)'\)", kql)
        if container and not self.faults.hide_subscription:
            rows.append(
                {
                    "id": f"/subscriptions/{self.subscription}",
                    "name": "The subscription",
                    "type": container[1],
                    "properties": {"state": "Enabled"},
                }
            )
        assert "order by id asc" in kql
        rows.sort(key=lambda row: row["id"].lower())
        columns = [_column(text) for text in _split(_clause(kql, "project "))]
        first = int(options.get("$skipToken", "page-0").removeprefix("page-"))
        size = min(options["$top"], self.page_rows)
        shown = [] if self.faults.empty_page else rows[first : first + size]
        page = [{name: _evaluate(path, row) for name, path in columns} for row in shown]
        more = first + size < len(rows) and bool(shown)
        answer = {
            "totalRecords": len(rows),
            "count": len(page),
            "data": [self._recased(row) for row in page],
            "facets": [],
            "resultTruncated": "true" if self.faults.truncate else "false",
        }
        if more and not self.faults.truncate and not self.faults.lose_page:
            answer["$skipToken"] = f"page-{first + size - self.faults.repeat_rows}"
        self.faults.between_pages()
        return _ok(answer, {"x-ms-user-quota-remaining": "14"})

    def _recased(self, row: Body) -> Body:
        """Azure changes the case of ids as it likes."""
        with self._lock:
            style = self._random.choice((str, str.lower, str.upper))
        return row | {"id": _group_in(row["id"], style)}

    def _skus(self, query: Mapping[str, str]) -> Answer:
        if self.faults.deny_skus:
            return _error(403, "AuthorizationFailed", "no access")
        location = query["$filter"].split("'")[1]
        skus = [
            {
                "resourceType": "virtualMachines",
                "name": name,
                "locations": [location],
                "capabilities": [{"name": key, "value": value} for key, value in has.items()],
            }
            for name, has in _MACHINES.items()
        ]
        disk = {"resourceType": "disks", "name": "Premium_LRS", "locations": [location]}
        if "page" in query:
            return _ok({"value": skus[1:]})
        link = (
            f"{self.url}/subscriptions/{self.subscription}/providers/Microsoft.Compute/skus"
            f"?api-version=2021-07-01&page=2&$filter=location%20eq%20'{location}'"
        )
        return _ok({"value": [disk, skus[0]], "nextLink": link})

    def _metrics(self, path: str, query: Mapping[str, str], ids: Sequence[str]) -> Answer:
        faults = self.faults
        names = query["metricnames"].split(",")
        if refusal := self._refusal(path, query, ids, names):
            return refusal
        step = {"PT1M": 60, "PT5M": SLOT}[query["interval"]]
        start, end = _seconds(query["starttime"]), _seconds(query["endtime"])
        times = np.arange(start, end, step, dtype=np.int64)
        stamps = [_stamp(time) for time in times.tolist()]
        wanted = query["aggregation"].lower().split(",")
        values = [
            {
                "starttime": query["starttime"],
                "endtime": query["endtime"],
                "interval": query["interval"],
                "namespace": query["metricnamespace"],
                "resourceregion": self.bodies[resource_id.lower()]["location"],
                "resourceid": self._recased({"id": self.bodies[resource_id.lower()]["id"]})["id"],
                "value": [
                    self._metric(resource_id.lower(), name, times, step, stamps, wanted, query)
                    for name in names
                ],
            }
            for resource_id in ids
            if resource_id.lower() not in faults.silent_ids
        ]
        with self._lock:
            self._random.shuffle(values)
        answer: object = {"values": values}
        return _ok(json.dumps(answer) if faults.twice_encoded else answer)

    def _refusal(
        self, path: str, query: Mapping[str, str], ids: Sequence[str], names: Sequence[str]
    ) -> Answer | None:
        faults = self.faults
        subscription = path.split("/")[2].lower()
        if not ids or len(ids) > 50:
            return _error(400, "BadRequest", "The number of resources must be 1 to 50")
        if len(names) > 20:
            return _error(400, "BadRequest", "at most 20 metrics")
        if gone := [one for one in ids if one.lower() not in self.bodies]:
            return _error(404, "ResourceNotFound", gone[0])
        if any(one.lower() in faults.unknown_ids for one in ids):
            return _error(400, "BadRequest", "a resource is unknown")
        bodies = [self.bodies[one.lower()] for one in ids]
        regions = {body["location"] for body in bodies}
        kinds = {body["type"].lower() for body in bodies}
        if (
            len(regions) > 1
            or kinds != {query["metricnamespace"]}
            or subscription != (self.subscription.lower())
        ):
            return _error(400, "BadRequest", "one subscription, region and type only")
        if regions & faults.denied_regions:
            return _error(401, "Unauthorized", "not at this scope")
        if regions & faults.unknown_regions:
            return _error(404, "NoRegisteredProviderFound", "no such region")
        has = {emitted.name for emitted in EMITTED[kinds.pop()]} - faults.missing_metrics
        for name in names:
            if name not in has:
                return _error(
                    400,
                    "BadRequest",
                    f"Failed to find metric configuration for provider: x, resource Type: y, "
                    f"metric: {name}, Valid metrics: {','.join(sorted(has))}",
                )
        if len(ids) * len(names) > faults.series_limit:
            return _error(400, "BadRequest", "too many time series")
        return None

    def _metric(
        self,
        resource_id: str,
        name: str,
        times: Ints,
        step: int,
        stamps: Sequence[str],
        wanted: Sequence[str],
        query: Mapping[str, str],
    ) -> Body:
        body = self.bodies[resource_id]
        code = self.faults.error_codes.get((resource_id, name), "Success")
        emitters = [one for one in EMITTED[body["type"].lower()] if one.name == name]
        now = int(self.clock().timestamp())
        asked = dict.fromkeys(re.findall(r"eq '([^']+)'", query.get("filter", "")))
        series = []
        for emitted in emitters if code == "Success" else ():
            if emitted.minutes_only and step != 60:
                continue
            if asked and (not emitted.split or emitted.split[1] not in asked):
                continue
            minutes = self._minutes(resource_id, body, emitted, times, step, now)
            native = emitted.encode(minutes, body)
            sums = {"average": native.mean(axis=1), "total": native.sum(axis=1)}
            data: list[Body] = [{"timeStamp": stamp} for stamp in stamps]
            for key in wanted:
                for point, value in zip(data, sums[key].tolist(), strict=True):
                    if value == value:
                        point[key] = value
            split = emitted.split if asked else None
            series.append({"metadatavalues": [_dimension(*split)] if split else [], "data": data})
        shown = self._recased({"id": body["id"]})["id"]
        return {
            "id": f"{shown}/providers/Microsoft.Insights/metrics/{name}",
            "type": "Microsoft.Insights/metrics",
            "name": {"value": name, "localizedValue": name},
            "displayDescription": "",
            "unit": "Unspecified",
            "errorCode": code,
            "timeseries": series,
        }


@dataclass
class Answer:
    """Status 0 closes the connection without a word; `cut` after half of the body."""

    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], fake: AzureFake) -> None:
        super().__init__(address, _Handler)
        self.fake = fake

    def handle_error(self, *_: Any) -> None:
        """A client that went away is no concern of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet per answer
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            answer = self.server.fake.answer(self.command, self.path, body)
        except (AssertionError, KeyError, ValueError) as error:
            answer = _error(400, "BadRequest", f"the fake does not understand: {error!r}")
        if not answer.status:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body[: len(answer.body) // 2] if answer.cut else answer.body)
        self.wfile.flush()
        self.close_connection = self.close_connection or answer.cut

    do_GET = _serve
    do_POST = _serve

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def _ok(answer: object, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(200, json.dumps(answer).encode(), headers=headers or {})


def _error(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Answer:
    body = {"error": {"code": code, "message": message}}
    return Answer(status, json.dumps(body).encode(), headers=headers or {})


def _parsed(target: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(target)
    return unquote(parts.path), {key: values[0] for key, values in parse_qs(parts.query).items()}


def _api(path: str) -> str:
    for end, api in (
        ("/providers/Microsoft.ResourceGraph/resources", "graph"),
        ("/providers/Microsoft.Compute/skus", "skus"),
        ("/metrics:getBatch", "metrics"),
    ):
        if path.endswith(end):
            return api
    return path


def _clause(kql: str, start: str) -> str:
    return next(
        part.partition(start)[2] for part in kql.replace("\n", " ").split("| ") if start in part
    ).strip()


@cache
def _split(text: str) -> tuple[str, ...]:
    """Parts between the commas that stand in no brackets."""
    depth, parts = 0, [""]
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return tuple(part.strip() for part in parts)


def _column(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    return name.strip(), path.strip() or name.strip()


def _evaluate(path: str, row: Body) -> Any:
    """What Kusto's `tostring`, `tolong`, `coalesce` and paths make of a row."""
    called = re.fullmatch(r"(\w+)\((.*)\)", path)
    if not called:
        value: Any = row
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value
    name, inside = called.groups()
    match name:
        case "coalesce":
            found = (_evaluate(part, row) for part in _split(inside))
            return next((value for value in found if value not in (None, "")), "")
        case "tostring":
            value = _evaluate(inside, row)
            return "" if value is None else str(value)
        case "tolong":
            value = _evaluate(inside, row)
            return None if value is None else int(value)
    raise ValueError(f"unknown function {name}")


def project(kql: str, body: Body) -> Body:
    """What the query makes of a body of Azure Resource Manager."""
    return {
        name: _evaluate(path, body) for name, path in map(_column, _split(_clause(kql, "project ")))
    }


def _group_in(resource_id: str, style: Callable[[str], str]) -> str:
    return re.sub(
        r"(resourceGroups/)([^/]+)",
        lambda found: style(found[1]) + style(found[2]),
        resource_id,
        flags=re.IGNORECASE,
    )


def _dimension(name: str, value: str) -> Body:
    return {"name": {"value": name.lower(), "localizedValue": name}, "value": value}


def _active(body: Body) -> bool:
    properties = body["properties"]
    power = properties.get("extended", {}).get("instanceView", {}).get("powerState", {})
    running = power.get("code", "PowerState/running") == "PowerState/running"
    return running and bool(properties.get("diskState", "Attached") == "Attached")


def _seconds(stamp: str) -> int:
    return int(datetime.fromisoformat(stamp).timestamp())


def _stamp(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
