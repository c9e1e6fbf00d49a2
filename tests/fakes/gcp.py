"""A Google Cloud project to collect from: Monitoring and Asset over gRPC, Compute over HTTP.

It is made of Google's own message classes and the documented REST shapes. Monitoring holds raw
samples, one a minute, and really aligns, reduces and pages them, newest first; a sample appears
after its metric's delay, or late. What it holds at any moment is a pure function of its seed (or
of the series it is given) and its clock, so `truth` says what a collector must have stored; it
is worked out here, apart from the collector's own tables.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
import numpy as np
from google.api import metric_pb2
from google.cloud import asset_v1
from google.cloud import monitoring_v3 as monitoring
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from numpy.typing import NDArray

from optiinfra.domain import Window

GIB = 1024**3
SAMPLE = 60
BUCKET = 300
DAY = 86_400
#: When the first of the machines was started: 2026-01-05T10:00:00Z.
BOOTED = 1_767_607_200
#: No sample is later than this after its end.
LATEST = 15 * 60
SECRET = "a startup script with a secret"

#: (metric, resource, bucket start) -> value
Points = dict[tuple[str, str, int], float]
#: Metric labels and resource labels of some series.
Rows = Sequence[tuple[dict[str, str], dict[str, str]]]
Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]

ZONES = ("us-central1-a", "us-central1-b", "europe-west1-c")
SIZES = {"e2-medium": (2, 4096), "n2-standard-4": (4, 16384), "e2-standard-2": (2, 8192)}
MACHINE_TYPES = ("e2-medium", "n2-standard-4", "n2-custom-6-12288", "e2-standard-2")


@dataclass
class Faults:
    """How unkind the fake is. Rates count requests; `late_rate` counts samples.

    `deny`, `html` and `throttle` hold operations such as `compute.disks`. `unreachable` are zones
    that aggregated lists cannot reach; `failed_parts` the metric types of which a part fails, by
    code. `page` is the longest page, of points or of resources.
    """

    throttle_rate: float = 0.0
    drop_rate: float = 0.0
    cut_rate: float = 0.0
    late_rate: float = 0.0
    deny: set[str] = field(default_factory=set)
    throttle: set[str] = field(default_factory=set)
    html: bool = False
    unauthenticated: bool = False
    unreachable: set[str] = field(default_factory=set)
    failed_parts: dict[str, int] = field(default_factory=dict)
    page: int = 100_000
    seconds_per_call: float = 0.0


@dataclass(frozen=True)
class Device:
    """A disk as an instance sees it; `disk` is empty for a local one."""

    name: str
    disk: str


@dataclass(frozen=True)
class Machine:
    id: str
    name: str
    zone: str
    type: str
    status: str
    devices: tuple[Device, ...]
    agent: bool
    created: str = "2026-01-05T02:00:00.000-08:00"

    @property
    def running(self) -> bool:
        return self.status == "RUNNING"

    @property
    def path(self) -> str:
        return f"zones/{self.zone}/instances/{self.name}"


@dataclass(frozen=True)
class Disk:
    id: str
    name: str
    zone: str
    gib: int
    users: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    id: str
    name: str
    region: str
    monitored: str = ""  # the monitored resource of its metrics; empty for one that has none


@dataclass(frozen=True)
class Database:
    name: str
    region: str
    engine: str
    running: bool = True


@dataclass(frozen=True)
class Cluster:
    name: str
    location: str
    nodes: int


@dataclass
class Fleet:
    """What the project has. Tests change the lists to make resources come and go."""

    machines: list[Machine]
    disks: list[Disk]
    rules: list[Rule]
    databases: list[Database]
    clusters: list[Cluster]
    networks: list[str]


def fleet_of(instances: int) -> Fleet:
    """A fleet with some of everything, sized by its instances."""
    machines: list[Machine] = []
    disks: list[Disk] = []
    for number in range(instances):
        zone = ZONES[number % len(ZONES)]
        name = f"vm-{number}"
        status = "TERMINATED" if number % 10 == 7 else "RUNNING"
        devices = [Device("persistent-disk-0", name)]
        if number % 3 == 0:
            devices.append(Device("data", f"{name}-data"))
        if number % 8 == 0:
            devices.append(Device("local-ssd-0", ""))
        if number in (1, 4):  # read by two instances of one zone
            devices.append(Device("shared", "shared"))
        machine = Machine(
            id=str(4_000_000_000_000_000_000 + number),
            name=name,
            zone=zone,
            type=MACHINE_TYPES[number % len(MACHINE_TYPES)],
            status=status,
            devices=tuple(devices),
            agent=number % 2 == 0,
        )
        machines.append(machine)
        for device in devices:
            if device.disk and device.disk != "shared":
                disks.append(
                    Disk(
                        str(5_000_000_000_000_000_000 + len(disks)),
                        device.disk,
                        zone,
                        10 + number,
                        (machine.path,),
                    )
                )
    sharing = tuple(m.path for m in machines if any(d.disk == "shared" for d in m.devices))
    if sharing:
        disks.append(Disk("6000000000000000001", "shared", ZONES[1], 100, sharing))
    disks.append(Disk("6000000000000000002", "left-over", ZONES[0], 20))
    kinds = (
        ("global", "https_lb_rule"),
        ("us-central1", "http_external_regional_lb_rule"),
        ("us-central1", "internal_http_lb_rule"),
        ("europe-west1", ""),
    )
    return Fleet(
        machines=machines,
        disks=disks,
        rules=[
            Rule(str(7_000_000_000_000_000_000 + n), f"rule-{n}", *kinds[n % len(kinds)])
            for n in range(4 + instances // 50)
        ],
        databases=[
            Database(
                f"db-{n}",
                "us-central1",
                "POSTGRES_16" if n % 2 else "MYSQL_8_0",
                running=n != 2,
            )
            for n in range(3 + instances // 50)
        ],
        clusters=[Cluster("blue", "us-central1", 3), Cluster("green", "europe-west1-c", 2)],
        networks=["default", "private"],
    )


@dataclass(frozen=True)
class Raw:
    """The native series of one metric type: labels per series, and how samples look."""

    type: str
    delta: bool
    low: float
    high: float
    delay: int
    monitored: str
    rows: tuple[tuple[dict[str, str], dict[str, str]], ...]  # metric labels, resource labels
    distribution: bool = False
    whole: bool = False


def _uniform(names: Sequence[str], times: NDArray[np.int64], seed: int) -> Matrix:
    """A number in [0, 1) for each name and time, by hashing (splitmix64)."""
    salts = np.array([zlib.crc32(f"{seed}/{name}".encode()) << 20 for name in names], np.uint64)
    with np.errstate(over="ignore"):
        z = (salts[:, None] + times.astype(np.uint64)[None, :]) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53


def _native(fleet: Fleet, project: str) -> dict[str, Raw]:
    """Every native series of the fleet, by metric type."""
    raws: dict[str, Raw] = {}

    def add(
        kind: str,
        monitored: str,
        rows: Rows,
        low: float,
        high: float,
        *,
        delta: bool = False,
        delay: int = 240,
        distribution: bool = False,
        whole: bool = False,
    ) -> None:
        placed = tuple((metric, {"project_id": project, **where}) for metric, where in rows)
        raws[kind] = Raw(kind, delta, low, high, delay, monitored, placed, distribution, whole)

    compute, agent = "compute.googleapis.com/instance/", "agent.googleapis.com/"
    running = [
        (m, {"instance_name": m.name}, {"instance_id": m.id, "zone": m.zone})
        for m in fleet.machines
        if m.running
    ]
    plain = [(labels, where) for _, labels, where in running]
    # A project may show the metrics of another one, which has an account of its own.
    foreign = ({"instance_name": "x"}, {"instance_id": "1", "zone": "z-a", "project_id": "other"})
    add(compute + "cpu/utilization", "gce_instance", [*plain, foreign], 0.0, 1.1)
    add(compute + "uptime_total", "gce_instance", plain, 1e5, 2e5)
    add(compute + "uptime", "gce_instance", plain, 59.9, 60.0, delta=True)
    e2 = [(labels, where) for m, labels, where in running if m.type.startswith("e2-")]
    add(compute + "memory/balloon/ram_used", "gce_instance", e2, 1e9, 3e9, whole=True)
    add(compute + "memory/balloon/ram_size", "gce_instance", e2, 4e9, 4.0000001e9, whole=True)
    agents = [where for m, _, where in running if m.agent]
    add(
        agent + "memory/percent_used",
        "gce_instance",
        [({"state": s}, where) for where in agents for s in ("used", "free")],
        10.0,
        90.0,
    )
    add(
        agent + "disk/percent_used",
        "gce_instance",
        [
            ({"state": s, "device": d}, where)
            for where in agents
            for s in ("used", "free")
            for d in ("sda1", "sdb1")
        ],
        5.0,
        95.0,
    )
    disks = [
        ({**labels, "device_name": d.name, "storage_type": "pd-ssd"}, where)
        for m, labels, where in running
        for d in m.devices
    ]
    for name, high in (
        ("read_bytes_count", 6e8),
        ("write_bytes_count", 3e8),
        ("read_ops_count", 6e4),
        ("write_ops_count", 3e4),
    ):
        add(f"{compute}disk/{name}", "gce_instance", disks, 0, high, delta=True, whole=True)
    add(compute + "disk/average_io_latency", "gce_instance", disks, 100.0, 9000.0)
    network = [
        ({**labels, "loadbalanced": balanced}, where)
        for labels, where in plain
        for balanced in ("true", "false")
    ]
    for name in (
        "received_bytes_count",
        "sent_bytes_count",
        "received_packets_count",
        "sent_packets_count",
    ):
        add(f"{compute}network/{name}", "gce_instance", network, 0, 1e8, delta=True, whole=True)
    sql = "cloudsql.googleapis.com/database/"
    databases = [
        (d, {"database_id": f"{project}:{d.name}", "region": d.region})
        for d in fleet.databases
        if d.running
    ]
    bare: Rows = [({}, where) for _, where in databases]
    for name, low, high in (
        ("cpu/utilization", 0.0, 1.0),
        ("memory/utilization", 0.1, 0.9),
        ("disk/bytes_used", 1e9, 8e9),
        ("disk/quota", 1e10, 1.0000001e10),
        ("up", 0.0, 1.0),
    ):
        add(sql + name, "cloudsql_database", bare, low, high, delay=165, whole=name[0] == "d")
    for name in (
        "disk/read_ops_count",
        "disk/write_ops_count",
        "network/received_bytes_count",
        "network/sent_bytes_count",
    ):
        add(sql + name, "cloudsql_database", bare, 0, 1e6, delta=True, delay=165, whole=True)
    postgres = [where for d, where in databases if d.engine.startswith("POSTGRES")]
    add(
        sql + "postgresql/num_backends",
        "cloudsql_database",
        [({"database": name}, where) for where in postgres for name in ("app", "postgres")],
        0,
        50,
        delay=165,
        whole=True,
    )
    mysql: Rows = [({}, where) for d, where in databases if d.engine.startswith("MYSQL")]
    add(sql + "network/connections", "cloudsql_database", mysql, 0, 90, delay=165, whole=True)
    for monitored, family, suffix in (
        ("https_lb_rule", "", "_bytes_count"),
        ("http_external_regional_lb_rule", "external/regional/", "_bytes"),
        ("internal_http_lb_rule", "internal/", "_bytes"),
    ):
        balancer = f"loadbalancing.googleapis.com/https/{family}"
        rules = [
            {"forwarding_rule_name": r.name, "region": r.region, "backend_target_name": backend}
            for r in fleet.rules
            if r.monitored == monitored
            for backend in ("a", "b")
        ]
        classes = [
            ({"response_code_class": code}, where)
            for where in rules
            for code in ("200", "400", "500")
        ]
        add(
            balancer + "request_count",
            monitored,
            classes,
            0,
            6000,
            delta=True,
            delay=210,
            whole=True,
        )
        for name in ("total_latencies", "backend_latencies"):
            add(
                balancer + name,
                monitored,
                classes,
                1.0,
                500.0,
                delta=True,
                delay=210,
                distribution=True,
            )
        for name in ("request", "response"):
            add(
                balancer + name + suffix,
                monitored,
                classes,
                0,
                1e7,
                delta=True,
                delay=210,
                whole=True,
            )
    nodes = [
        {"cluster_name": c.name, "location": c.location, "node_name": f"{c.name}-{n}"}
        for c in fleet.clusters
        for n in range(c.nodes)
    ]
    add(
        "kubernetes.io/node/cpu/allocatable_utilization",
        "k8s_node",
        [({}, where) for where in nodes],
        0.0,
        1.0,
    )
    add(
        "kubernetes.io/node/memory/allocatable_utilization",
        "k8s_node",
        [
            ({"memory_type": kind}, where)
            for where in nodes
            for kind in ("evictable", "non-evictable")
        ],
        0.0,
        0.9,
    )
    return raws


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class _Table:
    """Aligned values: one row per series, one column per bucket; NaN where there is none."""

    labels: list[tuple[dict[str, str], dict[str, str]]]
    values: Matrix
    counts: Matrix  # of distributions


class FakeGcp:
    """The project, served while the context is open.

    `series` are columns of values, a value for five minutes, that samples follow (scaled into
    the range of each metric) in place of noise: a fleet replayed from recorded series.
    """

    def __init__(
        self,
        *,
        project: str = "acme-web",
        instances: int = 12,
        seed: int = 0,
        clock: Callable[[], datetime] = _now,
        faults: Faults | None = None,
        series: Sequence[NDArray[np.float64]] = (),
    ) -> None:
        self.project = project
        self.fleet = fleet_of(instances)
        self.faults = faults or Faults()
        self.asked: Counter[str] = Counter()
        self.seed = seed
        self.clock = clock
        self._luck = random.Random(seed)
        self._lock = threading.Lock()
        self._shapes = [_scaled(one) for one in series if len(one)]
        self._raws = _native(self.fleet, project)
        self._grpc: grpc.Server | None = None
        self._http: ThreadingHTTPServer | None = None
        self._ports = (0, 0)

    def __enter__(self) -> FakeGcp:
        server = grpc.server(
            futures.ThreadPoolExecutor(4),
            options=[("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)],
        )
        server.add_generic_rpc_handlers(tuple(_handlers(self)))
        grpc_port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self._grpc = server
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _compute_handler(self))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        self._ports = (grpc_port, self._http.server_port)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._grpc:
            self._grpc.stop(grace=None).wait()
        if self._http:
            self._http.shutdown()
            self._http.server_close()

    @property
    def endpoints(self) -> dict[str, str]:
        """As an account has them."""
        rpc, http = (f"http://127.0.0.1:{port}" for port in self._ports)
        return {"monitoring": rpc, "asset": rpc, "compute": http}

    def luck(self, operation: str) -> float:
        """Count a request, and draw its luck."""
        if self.faults.seconds_per_call:
            time.sleep(self.faults.seconds_per_call)
        with self._lock:
            self.asked[operation] += 1
            return self._luck.random()

    def rebuild(self) -> None:
        """Take the fleet as it is now as what samples come from."""
        self._raws = _native(self.fleet, self.project)

    # Samples

    def _samples(
        self, raw: Raw, picked: Sequence[int], times: NDArray[np.int64], at: int
    ) -> tuple[Matrix, Mask]:
        """Values, and whether each is visible at the moment."""
        names = [f"{raw.type}/{raw.rows[row]}" for row in picked]
        if self._shapes:
            share = np.stack(
                [self._shape(name, times) for name in names]
                or [np.empty(len(times), dtype=np.float64)]
            )[: len(names)]
        else:
            share = _uniform(names, times, self.seed)
        values = raw.low + (raw.high - raw.low) * share
        if raw.whole:
            values = np.round(values)
        if raw.type.endswith("database/up"):
            down = 0.0 if self._shapes else 0.1
            values = (share < 1 - down).astype(np.float64)
        if raw.type.endswith("uptime_total"):
            started = BOOTED + DAY * _uniform(names, np.zeros(1, np.int64), self.seed)
            values = times.astype(np.float64) - np.floor(started)
        due = np.broadcast_to(times + raw.delay, values.shape).astype(np.float64)
        if self.faults.late_rate:
            late = _uniform(names, times, self.seed + 1) < self.faults.late_rate
            extra = (LATEST - raw.delay - 1) * _uniform(names, times, self.seed + 2)
            due = due + np.where(late, extra, 0.0)
        return values, due <= at

    def _shape(self, name: str, times: NDArray[np.int64]) -> NDArray[np.float64]:
        salt = zlib.crc32(name.encode())
        shape = self._shapes[salt % len(self._shapes)]
        return shape[(times // BUCKET + salt) % len(shape)]

    def _aligned(
        self, raw: Raw, picked: Sequence[int], window: Window, period: int, at: int
    ) -> tuple[Matrix, Matrix, Matrix, Matrix]:
        """Per series and bucket: sum, count, largest value, and the weights of distributions."""
        start, end = int(window.start.timestamp()), int(window.end.timestamp())
        buckets = (end - start) // period
        first = end - buckets * period
        times = np.arange(first + SAMPLE, end + 1, SAMPLE, dtype=np.int64)
        values, visible = self._samples(raw, picked, times, at)
        shape = (len(picked), buckets, period // SAMPLE)
        values, visible = values.reshape(shape), visible.reshape(shape)
        weights = np.where(visible, 1.0, 0.0)
        if raw.distribution:
            weights = weights * np.round(values * 3)  # so many requests made up the sample
        sums = (values * (weights if raw.distribution else visible)).sum(axis=2)
        largest = np.where(visible, values, -np.inf).max(axis=2)
        return sums, visible.sum(axis=2).astype(np.float64), largest, weights.sum(axis=2)

    def answer(self, request: Any, at: int) -> _Table:
        """What a ListTimeSeries request selects, aligned and reduced."""
        wanted = dict(re.findall(r'([\w.]+)\s*=\s*"([^"]*)"', request.filter))
        raw = self._raws.get(wanted["metric.type"])
        if raw is None:
            raise KeyError(wanted["metric.type"])
        picked = [
            row for row, labels in enumerate(raw.rows) if _matches(wanted, raw.monitored, labels)
        ]
        aggregation = request.aggregation
        period = aggregation.alignment_period.seconds
        window = Window(
            request.interval.start_time.ToDatetime(UTC), request.interval.end_time.ToDatetime(UTC)
        )
        sums, counts, largest, weights = self._aligned(raw, picked, window, period, at)
        none = counts == 0
        aligner = monitoring.Aggregation.Aligner(aggregation.per_series_aligner).name
        if raw.distribution != (aligner == "ALIGN_DELTA"):
            raise ValueError("a distribution is aligned by ALIGN_DELTA, and nothing else is")
        if aligner == "ALIGN_RATE":
            if not raw.delta:
                raise ValueError("a gauge has no rate")
            values = sums / period
        elif aligner == "ALIGN_MEAN":
            values = sums / np.where(none, 1, counts)
        elif aligner == "ALIGN_MAX":
            values = largest
        elif aligner == "ALIGN_DELTA":
            values = sums
        else:
            raise ValueError(aligner)
        values = np.where(none, np.nan, values)
        labels = [raw.rows[row] for row in picked]
        reducer = monitoring.Aggregation.Reducer(aggregation.cross_series_reducer).name
        if reducer != "REDUCE_NONE":
            labels, values, weights = _reduced(
                reducer, list(aggregation.group_by_fields), labels, values, weights
            )
        return _Table(labels, values, weights if raw.distribution else np.empty((0, 0)))

    # What a collector must have stored

    def truth(self, window: Window, at: datetime) -> Points:
        """The points of the window, in canonical metrics and units, as visible at a moment."""
        return dict(_truth(self, window, int(at.timestamp())))

    def buckets(
        self, kind: str, window: Window, at: int, where: Mapping[str, str] | None = None
    ) -> Iterator[tuple[dict[str, str], int, float, float, float, float]]:
        """Labels, bucket start, and sum, count, largest value and weight of its samples."""
        raw = self._raws[kind]
        picked = [
            row
            for row, (metric, resource) in enumerate(raw.rows)
            if resource["project_id"] == self.project
            and all(metric.get(key) == value for key, value in (where or {}).items())
        ]
        if not picked:
            return
        sums, counts, largest, weights = self._aligned(raw, picked, window, BUCKET, at)
        start = int(window.start.timestamp())
        for position, row in enumerate(picked):
            labels = {**raw.rows[row][0], **raw.rows[row][1]}
            for bucket in np.flatnonzero(counts[position]):
                yield (
                    labels,
                    start + int(bucket) * BUCKET,
                    float(sums[position, bucket]),
                    float(counts[position, bucket]),
                    float(largest[position, bucket]),
                    float(weights[position, bucket]),
                )


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.nan_to_num(np.asarray(values, dtype=np.float64))
    width = values.max() - values.min()
    return (values - values.min()) / width * 0.999 if width else np.full(len(values), 0.5)


def _matches(
    wanted: Mapping[str, str], monitored: str, labels: tuple[dict[str, str], dict[str, str]]
) -> bool:
    metric, resource = labels
    for key, value in wanted.items():
        if key == "resource.type" and value != monitored:
            return False
        if key.startswith("metric.labels.") and metric.get(key[14:]) != value:
            return False
        if key.startswith("resource.labels.") and resource.get(key[16:]) != value:
            return False
    return True


def _reduced(
    reducer: str,
    fields: Sequence[str],
    labels: Sequence[tuple[dict[str, str], dict[str, str]]],
    values: Matrix,
    weights: Matrix,
) -> tuple[list[tuple[dict[str, str], dict[str, str]]], Matrix, Matrix]:
    """Series with equal labels of `fields` made one."""
    groups: dict[tuple[str, ...], list[int]] = {}
    kept: list[tuple[dict[str, str], dict[str, str]]] = []
    for row, (metric, resource) in enumerate(labels):
        of_metric = {
            f[14:]: metric[f[14:]] for f in fields if f[:14] == "metric.labels." if f[14:] in metric
        }
        of_resource = {f[16:]: resource[f[16:]] for f in fields if f[:16] == "resource.labels."}
        key = (*of_metric.values(), "|", *of_resource.values())
        if key not in groups:
            kept.append((of_metric, of_resource))
        groups.setdefault(key, []).append(row)
    with np.errstate(all="ignore"):
        combine: Any = {
            "REDUCE_SUM": np.nansum,
            "REDUCE_MAX": np.nanmax,
            "REDUCE_MEAN": np.nanmean,
        }[reducer]
        out = np.full((len(groups), values.shape[1]), np.nan)
        heavy = np.zeros_like(out)
        for at, rows in enumerate(groups.values()):
            there = ~np.isnan(values[rows]).all(axis=0)
            out[at, there] = combine(values[rows][:, there], axis=0)
            heavy[at] = weights[rows].sum(axis=0)
    return kept, out, heavy


def _truth(fake: FakeGcp, window: Window, at: int) -> Iterator[tuple[tuple[str, str, int], float]]:
    compute, agent = "compute.googleapis.com/instance/", "agent.googleapis.com/"
    disk_ids = {disk.name: disk.id for disk in fake.fleet.disks}
    devices = {
        (m.id, d.name): disk_ids.get(d.disk, "") for m in fake.fleet.machines for d in m.devices
    }

    def mean(kind: str, metric: str, label: str, factor: float = 1.0) -> Points:
        return {
            (metric, labels[label], bucket): factor * total / count
            for labels, bucket, total, count, _, _ in fake.buckets(kind, window, at)
        }

    def added(kind: str, metric: str, key: Callable[[dict[str, str]], str], **where: str) -> Points:
        points: Points = {}
        for labels, bucket, total, *_ in fake.buckets(kind, window, at, where):
            if owner := key(labels):
                at_key = (metric, owner, bucket)
                points[at_key] = points.get(at_key, 0.0) + total / BUCKET
        return points

    def vm(labels: dict[str, str]) -> str:
        return labels["instance_id"]

    yield from mean(compute + "cpu/utilization", "cpu_utilization", "instance_id", 100).items()
    for labels, bucket, _, _, largest, _ in fake.buckets(compute + "uptime_total", window, at):
        yield ("uptime", labels["instance_id"], bucket), largest
    for key, value in added(compute + "uptime", "availability", vm).items():
        yield key, min(100 * value, 100.0)

    memory: Points = {}
    used = mean(compute + "memory/balloon/ram_used", "", "instance_id")
    size = mean(compute + "memory/balloon/ram_size", "", "instance_id")
    for key in used.keys() & size.keys():
        memory["memory_utilization", key[1], key[2]] = 100 * used[key] / size[key]
    for labels, bucket, total, count, _, _ in fake.buckets(
        agent + "memory/percent_used", window, at, {"state": "used"}
    ):
        memory["memory_utilization", labels["instance_id"], bucket] = total / count
    yield from memory.items()
    fullest: Points = {}
    for labels, bucket, total, count, _, _ in fake.buckets(
        agent + "disk/percent_used", window, at, {"state": "used"}
    ):
        key = ("storage_utilization", labels["instance_id"], bucket)
        fullest[key] = max(fullest.get(key, 0.0), total / count)
    yield from fullest.items()

    def volume(labels: dict[str, str]) -> str:
        return devices.get((labels["instance_id"], labels["device_name"]), "")

    for name, metric in (
        ("disk/read_bytes_count", "disk_read_bytes_per_sec"),
        ("disk/write_bytes_count", "disk_write_bytes_per_sec"),
        ("disk/read_ops_count", "disk_read_ops_per_sec"),
        ("disk/write_ops_count", "disk_write_ops_per_sec"),
    ):
        yield from added(compute + name, metric, vm).items()
        yield from added(compute + name, metric, volume).items()
    worst: Points = {}
    for labels, bucket, total, count, _, _ in fake.buckets(
        compute + "disk/average_io_latency", window, at
    ):
        if owner := volume(labels):
            key = ("response_time", owner, bucket)
            worst[key] = max(worst.get(key, 0.0), total / count / 1000)
    yield from worst.items()
    for direction, side in (("received", "in"), ("sent", "out")):
        for what in ("bytes", "packets"):
            kind = f"{compute}network/{direction}_{what}_count"
            yield from added(kind, f"network_{side}_{what}_per_sec", vm).items()
    yield from _database_truth(fake, mean, added)
    yield from _balancer_truth(fake, window, at, added)
    yield from _cluster_truth(fake, window, at)


def _database_truth(
    fake: FakeGcp, mean: Callable[..., Points], added: Callable[..., Points]
) -> Iterator[tuple[tuple[str, str, int], float]]:
    sql = "cloudsql.googleapis.com/database/"

    def database(labels: dict[str, str]) -> str:
        return labels["database_id"]

    for name, metric, factor in (
        ("cpu/utilization", "cpu_utilization", 100),
        ("memory/utilization", "memory_utilization", 100),
        ("up", "availability", 100),
        ("network/connections", "db_connections", 1),
    ):
        yield from mean(sql + name, metric, "database_id", factor).items()
    used = mean(sql + "disk/bytes_used", "", "database_id")
    quota = mean(sql + "disk/quota", "", "database_id")
    for key in used.keys() & quota.keys():
        yield ("storage_utilization", *key[1:]), 100 * used[key] / quota[key]
        yield ("storage_free_bytes", *key[1:]), quota[key] - used[key]
    for name, metric in (
        ("disk/read_ops_count", "disk_read_ops_per_sec"),
        ("disk/write_ops_count", "disk_write_ops_per_sec"),
        ("network/received_bytes_count", "network_in_bytes_per_sec"),
        ("network/sent_bytes_count", "network_out_bytes_per_sec"),
    ):
        yield from added(sql + name, metric, database).items()


def _balancer_truth(
    fake: FakeGcp, window: Window, at: int, added: Callable[..., Points]
) -> Iterator[tuple[tuple[str, str, int], float]]:
    sql = "cloudsql.googleapis.com/database/postgresql/num_backends"
    backends: Points = {}
    for labels, bucket, total, count, _, _ in fake.buckets(sql, window, at):
        key = ("db_connections", labels["database_id"], bucket)
        backends[key] = backends.get(key, 0.0) + total / count
    yield from backends.items()

    def rule(labels: dict[str, str]) -> str:
        where = labels["region"]
        where = where if where == "global" else f"regions/{where}"
        name = labels["forwarding_rule_name"]
        return f"//compute.googleapis.com/projects/{fake.project}/{where}/forwardingRules/{name}"

    for family, suffix in (
        ("", "_bytes_count"),
        ("external/regional/", "_bytes"),
        ("internal/", "_bytes"),
    ):
        base = f"loadbalancing.googleapis.com/https/{family}"
        yield from added(base + "request_count", "lb_requests_per_sec", rule).items()
        yield from added(
            base + "request_count", "lb_5xx_per_sec", rule, response_code_class="500"
        ).items()
        yield from added(base + "request" + suffix, "network_in_bytes_per_sec", rule).items()
        yield from added(base + "response" + suffix, "network_out_bytes_per_sec", rule).items()
        for name, metric in (
            ("total_latencies", "response_time"),
            ("backend_latencies", "lb_latency"),
        ):
            time_spent: Points = {}
            requests: Points = {}
            for labels, bucket, total, _, _, weight in fake.buckets(base + name, window, at):
                key = (metric, rule(labels), bucket)
                time_spent[key] = time_spent.get(key, 0.0) + total
                requests[key] = requests.get(key, 0.0) + weight
            for key, count in requests.items():
                if count:
                    yield key, time_spent[key] / count


def _cluster_truth(
    fake: FakeGcp, window: Window, at: int
) -> Iterator[tuple[tuple[str, str, int], float]]:
    for kind, where in (("cpu", {}), ("memory", {"memory_type": "non-evictable"})):
        means: dict[tuple[str, str, int], list[float]] = {}
        for labels, bucket, total, count, _, _ in fake.buckets(
            f"kubernetes.io/node/{kind}/allocatable_utilization", window, at, where
        ):
            cluster = (
                f"//container.googleapis.com/projects/{fake.project}/locations/"
                f"{labels['location']}/clusters/{labels['cluster_name']}"
            )
            key = (f"k8s_node_{kind}_utilization", cluster, bucket)
            means.setdefault(key, []).append(total / count)
        for key, values in means.items():
            yield key, 100 * sum(values) / len(values)


# Monitoring and Asset over gRPC

_LIST_TIME_SERIES = type(monitoring.ListTimeSeriesRequest.pb(monitoring.ListTimeSeriesRequest()))
_TIME_SERIES = type(monitoring.TimeSeries.pb(monitoring.TimeSeries()))
_TIME_SERIES_PAGE = type(monitoring.ListTimeSeriesResponse.pb(monitoring.ListTimeSeriesResponse()))
_LIST_DESCRIPTORS = type(
    monitoring.ListMetricDescriptorsRequest.pb(monitoring.ListMetricDescriptorsRequest())
)
_DESCRIPTORS_PAGE = type(
    monitoring.ListMetricDescriptorsResponse.pb(monitoring.ListMetricDescriptorsResponse())
)
_SEARCH = type(asset_v1.SearchAllResourcesRequest.pb(asset_v1.SearchAllResourcesRequest()))
_SEARCH_PAGE = type(asset_v1.SearchAllResourcesResponse.pb(asset_v1.SearchAllResourcesResponse()))


def _handlers(fake: FakeGcp) -> Iterator[Any]:
    def method(serve: Callable[[Any, Any], Any], operation: str, request: Any) -> Any:
        def guarded(message: Any, context: Any) -> Any:
            _maybe_refuse(fake, operation, context)
            return serve(message, context)

        return grpc.unary_unary_rpc_method_handler(
            guarded,
            request_deserializer=request.FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )

    yield grpc.method_handlers_generic_handler(
        "google.monitoring.v3.MetricService",
        {
            "ListTimeSeries": method(
                lambda request, context: _list_time_series(fake, request, context),
                "monitoring.ListTimeSeries",
                _LIST_TIME_SERIES,
            ),
            "ListMetricDescriptors": method(
                lambda request, _: _list_descriptors(fake, request),
                "monitoring.ListMetricDescriptors",
                _LIST_DESCRIPTORS,
            ),
        },
    )
    yield grpc.method_handlers_generic_handler(
        "google.cloud.asset.v1.AssetService",
        {
            "SearchAllResources": method(
                lambda request, _: search(fake, request), "asset.SearchAllResources", _SEARCH
            )
        },
    )


def _maybe_refuse(fake: FakeGcp, operation: str, context: Any) -> None:
    faults, luck = fake.faults, fake.luck(operation)
    if faults.unauthenticated:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "Request had invalid credentials.")
    if operation in faults.deny:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "Permission denied (or it may not exist).")
    if operation in faults.throttle or luck < faults.throttle_rate:
        pause = error_details_pb2.RetryInfo()
        pause.retry_delay.nanos = 1_000_000
        detail = any_pb2.Any()
        detail.Pack(pause)
        status = status_pb2.Status(
            code=code_pb2.RESOURCE_EXHAUSTED, message="Quota exceeded", details=[detail]
        )
        context.abort_with_status(rpc_status.to_status(status))
    if luck < faults.throttle_rate + faults.drop_rate:
        context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")


def _list_time_series(fake: FakeGcp, request: Any, context: Any) -> Any:
    page = _TIME_SERIES_PAGE()
    kind = re.search(r'metric\.type\s*=\s*"([^"]+)"', request.filter)
    if not kind:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the filter must name one metric type")
    if code := fake.faults.failed_parts.get(kind[1] if kind else ""):
        page.execution_errors.add(code=code, message="a part failed")
    if not request.aggregation.alignment_period.seconds:
        return page  # a probe; no collector reads raw points
    try:
        table = fake.answer(request, int(fake.clock().timestamp()))
    except KeyError:
        context.abort(grpc.StatusCode.NOT_FOUND, "Cannot find metric(s) that match the type")
    except ValueError as error:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    size = min(request.page_size or 100_000, fake.faults.page)
    begin = int(request.page_token or 0)
    end_time = int(request.interval.end_time.seconds)
    period = request.aggregation.alignment_period.seconds
    resource_type = re.search(r'resource\.type\s*=\s*"([^"]+)"', request.filter)
    position = 0
    for row, (metric, resource) in enumerate(table.labels):
        there = np.flatnonzero(~np.isnan(table.values[row]))[::-1]  # newest first
        chosen = there[max(begin - position, 0) : max(begin + size - position, 0)]
        position += len(there)
        if not len(chosen):
            continue
        series = page.time_series.add(value_type=3)
        series.metric.type = kind[1] if kind else ""
        series.metric.labels.update(metric)
        series.resource.type = resource_type[1] if resource_type else ""
        series.resource.labels.update(resource)
        last = table.values.shape[1]
        for bucket in chosen.tolist():
            point = series.points.add()
            ends = end_time - (last - 1 - bucket) * period
            point.interval.end_time.seconds = ends
            point.interval.start_time.seconds = ends - period
            if table.counts.size:
                weight = float(table.counts[row, bucket])
                distribution = point.value.distribution_value
                distribution.count = int(weight)
                distribution.mean = float(table.values[row, bucket]) / weight if weight else 0.0
            else:
                point.value.double_value = float(table.values[row, bucket])
    if begin + size < position:
        page.next_page_token = str(begin + size)
    return page


def _list_descriptors(fake: FakeGcp, request: Any) -> Any:
    prefix = re.search(r'starts_with\("([^"]+)"\)', request.filter)
    page = _DESCRIPTORS_PAGE()
    for raw in fake._raws.values():
        if prefix and raw.type.startswith(prefix[1]):
            one = metric_pb2.MetricDescriptor(type=raw.type)
            one.metadata.ingest_delay.seconds = raw.delay
            one.metadata.sample_period.seconds = SAMPLE
            page.metric_descriptors.append(one)
    return page


def search(fake: FakeGcp, request: Any) -> Any:
    """The answer to a SearchAllResourcesRequest."""
    results = []
    for database in fake.fleet.databases:
        result = _SEARCH_PAGE().results.add(
            name=f"//cloudsql.googleapis.com/projects/{fake.project}/instances/{database.name}",
            asset_type="sqladmin.googleapis.com/Instance",
            display_name=database.name,
            location=database.region,
            state="RUNNABLE",
        )
        result.versioned_resources.add(version="v1beta4").resource.update(
            {
                "name": database.name,
                "project": fake.project,
                "region": database.region,
                "state": "RUNNABLE",
                "databaseVersion": database.engine,
                "createTime": "2026-01-05T10:00:00Z",
                "rootPassword": SECRET,
                "serverCaCert": {"cert": SECRET},
                "settings": {
                    "tier": "db-custom-2-7680",
                    "dataDiskSizeGb": "100",
                    "activationPolicy": "ALWAYS" if database.running else "NEVER",
                    "userLabels": {"team": "data"},
                },
            }
        )
        results.append(result)
    for cluster in fake.fleet.clusters:
        zonal = cluster.location.count("-") == 2
        where = f"{'zones' if zonal else 'locations'}/{cluster.location}"
        result = _SEARCH_PAGE().results.add(
            name=f"//container.googleapis.com/projects/{fake.project}/{where}/clusters/{cluster.name}",
            asset_type="container.googleapis.com/Cluster",
            display_name=cluster.name,
            location=cluster.location,
            state="RUNNING",
        )
        result.versioned_resources.add(version="v1").resource.update(
            {
                "name": cluster.name,
                "location": cluster.location,
                "status": "RUNNING",
                "currentMasterVersion": "1.33.1-gke.100",
                "masterAuth": {"clientKey": SECRET},
                "nodePools": [{"name": "default-pool", "config": {"machineType": "e2-medium"}}],
            }
        )
        results.append(result)
    results = [one for one in results if one.asset_type in request.asset_types]
    size = min(request.page_size or 100, 500, fake.faults.page)
    begin = int(request.page_token or 0)
    page = _SEARCH_PAGE(results=results[begin : begin + size])
    if begin + size < len(results):
        page.next_page_token = str(begin + size)
    return page


# Compute over HTTP


def _compute_handler(fake: FakeGcp) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Tests read no log."""

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(url.query).items()}
            collection = url.path.rpartition("/")[2]
            operation = f"compute.{collection}"
            faults, luck = fake.faults, fake.luck(operation)
            if faults.html:
                self._send(200, b"<html>It works!</html>", "text/html")
            elif faults.unauthenticated:
                self._refuse(401, "UNAUTHENTICATED", "authError")
            elif operation in faults.deny:
                self._refuse(403, "PERMISSION_DENIED", "forbidden")
            elif operation in faults.throttle or luck < faults.throttle_rate:
                self._refuse(403, "PERMISSION_DENIED", "rateLimitExceeded")
            elif luck < faults.throttle_rate + faults.drop_rate:
                self.close_connection = True
            else:
                body = json.dumps(compute_page(fake, collection, query)).encode()
                cut = luck > 1 - faults.cut_rate
                self._send(200, body, "application/json", half=cut)

        def _refuse(self, code: int, status: str, reason: str) -> None:
            error = {
                "code": code,
                "message": "refused",
                "status": status,
                "errors": [{"message": "refused", "domain": "usageLimits", "reason": reason}],
            }
            self._send(code, json.dumps({"error": error}).encode(), "application/json")

        def _send(self, code: int, body: bytes, kind: str, *, half: bool = False) -> None:
            with suppress(ConnectionError):
                self.send_response(code)
                self.send_header("Content-Type", kind)
                if code == 403:
                    self.send_header("Retry-After", "0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if half else body)
                self.close_connection = half

    return Handler


def compute_page(fake: FakeGcp, collection: str, query: Mapping[str, str]) -> dict[str, Any]:
    """A page of one of Compute Engine's collections."""
    size = min(int(query.get("maxResults", 500)), 500, fake.faults.page)
    begin = int(query.get("pageToken", 0))
    items = _COMPUTE[collection](fake)
    if "filter" in query:
        names = set(re.findall(r'name = "([^"]+)"', query["filter"]))
        items = [(scope, body) for scope, body in items if body["name"] in names]
    chosen = items[begin : begin + size]
    page: dict[str, Any] = {"id": collection, "kind": f"compute#{collection}"}
    if begin + size < len(items):
        page["nextPageToken"] = str(begin + size)
    if collection == "networks":
        page["items"] = [body for _, body in chosen]
        return page
    scopes: dict[str, Any] = {
        f"zones/{zone}": {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": "none"}}
        for zone in ZONES
    }
    for scope, body in chosen:
        zone = scope.rpartition("/")[2]
        if zone in fake.faults.unreachable:
            continue
        scopes.setdefault(scope, {}).setdefault(collection, []).append(body)
        scopes[scope].pop("warning", None)
    for zone in fake.faults.unreachable:
        scopes[f"zones/{zone}"] = {"warning": {"code": "UNREACHABLE", "message": "cannot reach"}}
    page["items"] = scopes
    return page


def _link(fake: FakeGcp, path: str) -> str:
    return f"https://www.googleapis.com/compute/v1/projects/{fake.project}/{path}"


def _instances(fake: FakeGcp) -> list[tuple[str, dict[str, Any]]]:
    sizes = {disk.name: disk for disk in fake.fleet.disks}
    return [
        (
            f"zones/{m.zone}",
            {
                "kind": "compute#instance",
                "id": m.id,
                "name": m.name,
                "zone": _link(fake, f"zones/{m.zone}"),
                "machineType": _link(fake, f"zones/{m.zone}/machineTypes/{m.type}"),
                "status": m.status,
                "creationTimestamp": m.created,
                "labels": {"env": "prod", "number": m.name},
                "metadata": {"items": [{"key": "startup-script", "value": SECRET}]},
                "selfLink": _link(fake, m.path),
                "networkInterfaces": [
                    {"network": _link(fake, "global/networks/default"), "networkIP": "10.0.0.2"}
                ],
                "disks": [
                    {
                        "deviceName": d.name,
                        "type": "PERSISTENT",
                        "source": _link(fake, f"zones/{sizes[d.disk].zone}/disks/{d.disk}"),
                        "diskSizeGb": str(sizes[d.disk].gib),
                    }
                    if d.disk
                    else {"deviceName": d.name, "type": "SCRATCH", "diskSizeGb": "375"}
                    for d in m.devices
                    if not d.disk or d.disk in sizes
                ],
            },
        )
        for m in fake.fleet.machines
    ]


def _disks(fake: FakeGcp) -> list[tuple[str, dict[str, Any]]]:
    return [
        (
            f"zones/{d.zone}",
            {
                "id": d.id,
                "name": d.name,
                "zone": _link(fake, f"zones/{d.zone}"),
                "status": "READY",
                "sizeGb": str(d.gib),
                "type": _link(fake, f"zones/{d.zone}/diskTypes/pd-ssd"),
                "selfLink": _link(fake, f"zones/{d.zone}/disks/{d.name}"),
                "users": [_link(fake, user) for user in d.users],
                "diskEncryptionKey": {"rawKey": SECRET},
            },
        )
        for d in fake.fleet.disks
    ]


def _rules(fake: FakeGcp) -> list[tuple[str, dict[str, Any]]]:
    rules: list[tuple[str, dict[str, Any]]] = []
    for rule in fake.fleet.rules:
        scope = "global" if rule.region == "global" else f"regions/{rule.region}"
        target = "targetHttpProxies" if rule.monitored else "targetPools"
        body = {
            "id": rule.id,
            "name": rule.name,
            "IPAddress": "203.0.113.7",
            "IPProtocol": "TCP",
            "loadBalancingScheme": "EXTERNAL_MANAGED",
            "target": _link(fake, f"{scope}/{target}/{rule.name}"),
        }
        if rule.region != "global":
            body["region"] = _link(fake, scope)
        rules.append((scope, body))
    return rules


def _machine_types(fake: FakeGcp) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"zones/{zone}", {"name": name, "guestCpus": vcpus, "memoryMb": memory, "zone": zone})
        for zone in ZONES
        for name, (vcpus, memory) in SIZES.items()
    ]


def network_id(name: str) -> str:
    """The numeric id of the network of that name."""
    return str(8_000_000_000_000_000_000 + zlib.crc32(name.encode()))


def _networks(fake: FakeGcp) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("global", {"id": network_id(name), "name": name, "mtu": 1460})
        for name in fake.fleet.networks
    ]


_COMPUTE: dict[str, Callable[[FakeGcp], list[tuple[str, dict[str, Any]]]]] = {
    "instances": _instances,
    "disks": _disks,
    "forwardingRules": _rules,
    "machineTypes": _machine_types,
    "networks": _networks,
}
