"""A Vultr to collect from: API v2 over loopback HTTP, and node_exporter on its instances.

It has the shapes of the published API document: bearer keys, opaque cursors, a `meta` that some
listings leave out, databases without paging, RAM as text on bare metal, dates with and without
a zone, and an empty object written as `[]`. What it holds at any moment is a pure function of
its seed (or of the series it is given) and its clock, so `truth` can say what a collector must
have stored; it is worked out here, apart from the collector's own tables.
"""

from __future__ import annotations

import base64
import json
import math
import random
import threading
import time
import uuid
import zlib
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from numpy.typing import NDArray

KEY = "a-key-of-the-fake"
GIB = 1024**3
DAY_SECONDS = 86_400
STEP = 300
LISTS = {
    "/v2/instances": "instances",
    "/v2/bare-metals": "bare_metals",
    "/v2/blocks": "blocks",
    "/v2/databases": "databases",
    "/v2/load-balancers": "load_balancers",
    "/v2/vpcs": "vpcs",
    "/v2/kubernetes/clusters": "vke_clusters",
    "/v2/plans": "plans",
    "/v2/plans-metal": "plans_metal",
}
WITHOUT_META = ("vpcs", "bare_metals")
REGIONS = ("ewr", "ams", "sgp")
WEEK = 7 * DAY_SECONDS
#: What a busy second of a machine moves, by node_exporter family.
DISK_RATES = {
    "node_disk_read_bytes_total": 2_000_000,
    "node_disk_written_bytes_total": 5_000_000,
    "node_disk_reads_completed_total": 120,
    "node_disk_writes_completed_total": 400,
}
NETWORK_RATES = {
    "node_network_receive_bytes_total": 1_500_000,
    "node_network_transmit_bytes_total": 2_500_000,
    "node_network_receive_packets_total": 1_800,
    "node_network_transmit_packets_total": 2_400,
}
#: (metric, resource, bucket start) -> value
Points = dict[tuple[str, str, int], float]


@dataclass
class Faults:
    """How unkind the fake is. The rates count requests; the paths hold for every one.

    `silent` holds instances whose exporter hangs up.
    `late_share`: what a day's total still lacks until `late_hours` after the day. `deny`,
    `html`, `wrong_shape` and `half_page` hold keys of LISTS' lists. `rate` is the requests
    per second above which 429 is answered; `skew` is how far the API's clock is ahead.
    """

    throttle_rate: float = 0.0
    drop_rate: float = 0.0
    cut_rate: float = 0.0
    down: bool = False
    rate: float | None = None
    retry_after: int | None = 0
    late_share: float = 0.0
    late_hours: float = 12.0
    deny: set[str] = field(default_factory=set)
    html: set[str] = field(default_factory=set)
    wrong_shape: set[str] = field(default_factory=set)
    half_page: set[str] = field(default_factory=set)
    circle: set[str] = field(default_factory=set)
    skew: timedelta = timedelta(0)
    silent: set[str] = field(default_factory=set)


class FakeVultr:
    """The fake; a context manager that serves while it is entered.

    `series` are arrays of percentages, one value per five minutes, that are replayed as CPU of
    instances and databases, each from a place of its own; without any, made-up ones are.
    `exporters` says how many of the instances run node_exporter, each on a loopback address of
    its own.
    """

    def __init__(
        self,
        *,
        instances: int = 3,
        bare_metals: int = 1,
        blocks: int = 2,
        databases: int = 2,
        load_balancers: int = 1,
        vpcs: int = 1,
        clusters: int = 1,
        exporters: int = 0,
        seed: int = 0,
        series: Sequence[NDArray[Any]] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        faults: Faults | None = None,
    ) -> None:
        self.clock = clock
        self.seed = seed
        self.faults = faults or Faults()
        self.requests: Counter[str] = Counter()
        self.keys: list[str] = []
        #: By id: when each exporter was read whole, by the clock.
        self.scrapes: dict[str, list[float]] = {}
        self._series = [[float(value) for value in one] for one in series]
        self._worked: dict[tuple[str, int], list[float]] = {}
        self._luck: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._recent: deque[float] = deque()
        self._servers: list[ThreadingHTTPServer] = []
        self.lists: dict[str, list[dict[str, Any]]] = {
            "instances": [self._instance(n, exporting=n < exporters) for n in range(instances)],
            "bare_metals": [self._bare_metal(n) for n in range(bare_metals)],
            "databases": [self._database(n) for n in range(databases)],
            "load_balancers": [self._load_balancer(n) for n in range(load_balancers)],
            "vpcs": [self._vpc(n) for n in range(vpcs)],
            "vke_clusters": [self._cluster(n) for n in range(clusters)],
            "plans": [
                {"id": "vc2-1c-2gb", "vcpu_count": 1, "ram": 2048, "disk": 55, "disk_count": 1},
                {"id": "vc2-2c-4gb", "vcpu_count": 2, "ram": 4096, "disk": 80, "disk_count": 1},
            ],
            "plans_metal": [
                {"id": "vbm-4c-32gb", "cpu_count": 4, "cpu_threads": 8, "ram": 32768, "disk": 240}
            ],
        }
        self.lists["blocks"] = [self._block(n) for n in range(blocks)]
        self.url = ""
        self.exporter_port = 0

    # -- serving

    def __enter__(self) -> FakeVultr:
        api = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._serve(api)
        self.url = f"http://127.0.0.1:{api.server_address[1]}/v2"
        # Listens on every loopback address, since each instance has one, and on those alone.
        exporters = _LoopbackServer(("0.0.0.0", 0), _exporter_handler(self))
        self._serve(exporters)
        self.exporter_port = exporters.server_address[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers.clear()

    def _serve(self, server: ThreadingHTTPServer) -> None:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self._servers.append(server)

    # -- the fleet

    def by_id(self, key: str, resource_id: str) -> dict[str, Any] | None:
        """A listed body."""
        return next((one for one in self.lists[key] if one["id"] == resource_id), None)

    def uuid(self, kind: str, number: int) -> str:
        """The id of the n-th resource of a kind."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.seed}/{kind}/{number}"))

    def add_instance(self, number: int) -> dict[str, Any]:
        """One more instance."""
        made = self._instance(number, exporting=False)
        self.lists["instances"].append(made)
        return made

    def _instance(self, number: int, *, exporting: bool) -> dict[str, Any]:
        high, low = divmod(number, 250)
        own = f"127.{high + 1}.0.{low + 1}"
        return {
            "id": self.uuid("instance", number),
            "os": "Debian 12 x64",
            "ram": 2048,
            "disk": 55,
            "main_ip": own if exporting else "203.0.113.7",
            "vcpu_count": 1,
            "region": REGIONS[number % len(REGIONS)],
            "plan": "vc2-1c-2gb",
            "default_password": "a password",
            "date_created": "2024-10-10T01:56:20+00:00" if number % 2 else "2024-10-10 01:56:20",
            "status": "active",
            "power_status": "running",
            "server_status": "ok",
            "allowed_bandwidth": 2000,
            "label": f"machine-{number}",
            "internal_ip": own if exporting else "",
            "kvm": "https://my.vultr.com/subs/vps/novnc/?data=secret",
            "hostname": f"machine-{number}.example.com",
            "tags": ["exporter", f"team:{number % 3}"] if exporting else [f"team:{number % 3}"],
            "features": ["ipv6", "auto_backups"],
        }

    def _bare_metal(self, number: int) -> dict[str, Any]:
        return {
            "id": self.uuid("metal", number),
            "os": "Application",
            "ram": "32768 MB",
            "disk": "2x 240 GB SSD",
            "main_ip": "203.0.113.8",
            "cpu_count": 4,
            "region": "ams",
            "default_password": "a password",
            "date_created": "2024-10-10 01:56:20+00:00",
            "status": "active",
            "plan": "vbm-4c-32gb",
            "label": f"metal-{number}",
            "tags": [],
            "features": ["ipv6"],
        }

    def _block(self, number: int) -> dict[str, Any]:
        instances = self.lists["instances"]
        attached = instances[number % len(instances)]["id"] if instances and number % 2 else ""
        return {
            "id": self.uuid("block", number),
            "date_created": "2024-10-10T01:56:20+00:00",
            "cost": 5,
            "status": "active",
            "size_gb": 50,
            "region": "ewr",
            "attached_to_instance": attached.upper(),
            "label": f"block-{number}",
            "mount_id": f"ewr-{number}",
        }

    def _database(self, number: int) -> dict[str, Any]:
        return {
            "id": self.uuid("database", number),
            "date_created": "2024-05-09 10:13:31",
            "plan": "vultr-dbaas-hobbyist-cc-1-25-1",
            "plan_disk": 25,
            "plan_ram": 1024,
            "plan_vcpus": 1,
            "plan_replicas": 0,
            "region": "EWR",
            "database_engine": "mysql",
            "database_engine_version": 8,
            "status": "Running",
            "label": f"database-{number}",
            "tag": "team:shop",
            "password": "a password",
            "user": "vultradmin",
            "read_replicas": [],
        }

    def _load_balancer(self, number: int) -> dict[str, Any]:
        return {
            "id": self.uuid("balancer", number),
            "date_created": "2024-10-10T01:56:20+00:00",
            "region": "ewr",
            "label": f"balancer-{number}",
            "status": "active",
            "ipv4": "203.0.113.9",
            "generic_info": {"balancing_algorithm": "roundrobin"},
            "nodes": 1,
            "instances": [],
        }

    def _vpc(self, number: int) -> dict[str, Any]:
        return {
            "id": self.uuid("vpc", number),
            "region": "ewr",
            "date_created": "2024-10-10T01:56:20+00:00",
            "description": f"vpc-{number}",
            "v4_subnet": "10.99.0.0",
            "v4_subnet_mask": 24,
        }

    def _cluster(self, number: int) -> dict[str, Any]:
        return {
            "id": self.uuid("cluster", number),
            "label": f"cluster-{number}",
            "date_created": "2024-07-02T12:12:43+00:00",
            "version": "v1.30.0+1",
            "region": "ewr",
            "status": "active",
            "node_pools": [
                {
                    "id": self.uuid("pool", number),
                    "label": "pool",
                    "plan": "vc2-2c-4gb",
                    "node_quantity": 2,
                    "nodes": [{"id": self.uuid("node", 2 * number + n)} for n in range(2)],
                }
            ],
        }

    # -- what happens in it

    def percent(self, name: str, moment: float) -> float:
        """How busy something is: constant over each five minutes."""
        step = int(moment // STEP)
        if self._series:
            which = zlib.crc32(name.encode())
            one = self._series[which % len(self._series)]
            return min(max(one[(step + which) % len(one)], 0.0), 100.0)
        return round(1 + 98 * self._uniform(name, step), 3)

    def memory_percent(self, resource_id: str, moment: float) -> float:
        """How much of its memory a resource uses."""
        return 25 + self.percent(f"{resource_id}/memory", moment) / 2

    def disk_percent(self, resource_id: str, moment: float) -> float:
        """How full a resource's disk is: it fills over a week, and then somebody clears it."""
        return 20 + 50 * self._uniform(f"{resource_id}/disk", 0) + 20 * (moment % WEEK) / WEEK

    def day_total(self, resource_id: str, day: date, field_name: str) -> int:
        """The bytes of a whole day, once they are all counted."""
        return int(1e9 * self._uniform(f"{resource_id}/{field_name}", day.toordinal()))

    def bandwidth(self, resource_id: str, days: int) -> dict[str, dict[str, int]]:
        """The days from `days` before today on, today as far as it has gone. The first one is
        cut where the clock stands, as a range counted in hours would cut it.
        """
        now = self.clock()
        answer = {}
        for back in range(days, -1, -1):
            day = now.date() - timedelta(days=back)
            ended = (now - datetime(day.year, day.month, day.day, tzinfo=UTC)).total_seconds()
            ended -= DAY_SECONDS
            share = 1.0
            if ended < 0:
                share = (ended + DAY_SECONDS) / DAY_SECONDS
            elif ended < 3600 * self.faults.late_hours:
                share = 1 - self.faults.late_share
            if back == days:
                share /= 2
            answer[day.isoformat()] = {
                name: int(share * self.day_total(resource_id, day, name))
                for name in ("incoming_bytes", "outgoing_bytes")
            }
        return answer

    def usage(self, resource_id: str) -> dict[str, dict[str, float]]:
        """A database's usage now."""
        moment = self.clock().timestamp()
        disk = self.disk_percent(resource_id, moment)
        memory = self.memory_percent(resource_id, moment)
        return {
            "disk": {"current_gb": 0.5 * disk, "max_gb": 50, "percentage": disk},
            "memory": {"current_mb": 10 * memory, "max_mb": 1000, "percentage": memory},
            "cpu": {"percentage": self.percent(resource_id, moment)},
        }

    def exposition(self, resource_id: str, moment: float) -> str:
        """What an instance's node_exporter says: 1 CPU, 2 GiB, a disk, an interface, a root."""
        busy = self.busy_seconds(resource_id, moment)
        memory = self.memory_percent(resource_id, moment)
        size = 50e9
        free = size * (1 - self.disk_percent(resource_id, moment) / 100)
        lines = [
            f'node_cpu_seconds_total{{cpu="0",mode="idle"}} {self._since(moment) - busy!r}',
            f'node_cpu_seconds_total{{cpu="0",mode="user"}} {busy!r}',
            f"node_memory_MemTotal_bytes {2 * GIB}",
            f"node_memory_MemAvailable_bytes {2 * GIB * (1 - memory / 100)!r}",
            f"node_boot_time_seconds {self._started(moment)}",
            f"node_time_seconds {moment!r}",
            f'node_uname_info{{nodename="{resource_id}",release="6.1",machine="x86_64"}} 1',
            'node_network_up{device="eth0"} 1',
        ]
        for device, families in (("vda", DISK_RATES), ("eth0", NETWORK_RATES)):
            for family, rate in families.items():
                lines.append(f'{family}{{device="{device}"}} {rate * busy!r}')
        for family, value in (("size", size), ("free", free), ("avail", free)):
            lines.append(
                f'node_filesystem_{family}_bytes{{device="/dev/vda1",fstype="ext4",'
                f'mountpoint="/"}} {value!r}'
            )
        for collector in ("cpu", "diskstats", "filesystem", "meminfo", "netdev"):
            lines.append(f'node_scrape_collector_success{{collector="{collector}"}} 1')
        return "\n".join(lines) + "\n"

    def busy_seconds(self, resource_id: str, moment: float) -> float:
        """How long the CPU has worked since the start."""
        start = self._started(moment)
        steps = int((moment - start) // STEP)
        with self._lock:
            worked = self._worked.setdefault((resource_id, start), [0.0])
            while len(worked) <= steps:
                begun = start + (len(worked) - 1) * STEP
                worked.append(worked[-1] + STEP * self.percent(resource_id, begun) / 100)
            whole = worked[steps]
        rest = moment - start - steps * STEP
        return whole + rest * self.percent(resource_id, moment) / 100

    @staticmethod
    def _since(moment: float) -> float:
        """How long ago every machine was started."""
        return moment - FakeVultr._started(moment)

    @staticmethod
    def _started(moment: float) -> int:
        """When every machine was started: at the same hour of the week before."""
        return (int(moment) // WEEK - 1) * WEEK

    # -- truth

    def truth_of_readings(self, at: datetime) -> Points:
        """The points of a collection `at`: availability and usage, stamped with their bucket."""
        bucket = int(at.timestamp()) // STEP * STEP
        points: Points = {}
        for key in ("instances", "bare_metals", "databases", "load_balancers", "vke_clusters"):
            for one in self.lists[key]:
                works = one["status"].lower() in ("active", "running")
                if works and one.get("power_status", "running") == "running":
                    points["availability", one["id"], bucket] = 100.0
        for one in self.lists["databases"]:
            if one["status"].lower() == "running":
                moment = at.timestamp()
                disk = self.disk_percent(one["id"], moment)
                for metric, value in (
                    ("cpu_utilization", self.percent(one["id"], moment)),
                    ("memory_utilization", self.memory_percent(one["id"], moment)),
                    ("storage_utilization", disk),
                    ("storage_free_bytes", (50 - 0.5 * disk) * 1e9),
                ):
                    points[metric, one["id"], bucket] = value
        return points

    def truth_of_bandwidth(self, first: date, last: date) -> Points:
        """The mean rates of whole days, counted to the end, of instances and bare metals."""
        points: Points = {}
        for one in self.lists["instances"] + self.lists["bare_metals"]:
            for ordinal in range(first.toordinal(), last.toordinal() + 1):
                day = date.fromordinal(ordinal)
                stamp = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
                for metric, name in (
                    ("network_in_bytes_per_sec", "incoming_bytes"),
                    ("network_out_bytes_per_sec", "outgoing_bytes"),
                ):
                    total = self.day_total(one["id"], day, name)
                    points[metric, one["id"], stamp] = total / 86_400
        return points

    def truth_of_exporter(self, resource_id: str, before: float, now: float) -> dict[str, float]:
        """What two scrapes of an instance say, by metric."""
        worked = self.busy_seconds(resource_id, now) - self.busy_seconds(resource_id, before)
        share = worked / (now - before)
        disk = self.disk_percent(resource_id, now)
        moved = [rate * share for rate in (*DISK_RATES.values(), *NETWORK_RATES.values())]
        return {
            "cpu_utilization": 100 * share,
            "memory_utilization": self.memory_percent(resource_id, now),
            "storage_utilization": disk,
            "storage_free_bytes": 50e9 * (1 - disk / 100),
            "uptime": self._since(now),
            "disk_read_bytes_per_sec": moved[0],
            "disk_write_bytes_per_sec": moved[1],
            "disk_read_ops_per_sec": moved[2],
            "disk_write_ops_per_sec": moved[3],
            "network_in_bytes_per_sec": moved[4],
            "network_out_bytes_per_sec": moved[5],
            "network_in_packets_per_sec": moved[6],
            "network_out_packets_per_sec": moved[7],
        }

    def _uniform(self, name: str, number: int) -> float:
        return random.Random(f"{self.seed}/{name}/{number}").random()

    # -- answering

    def misfortune(self, url: str) -> str:
        """What goes wrong with this request: throttled, dropped, cut, or nothing.

        The n-th request for one URL always has the same luck, however threads are scheduled.
        """
        with self._lock:
            self._luck[url] += 1
            luck = self._uniform(f"luck/{url}", self._luck[url])
            if self.faults.down:
                return "dropped"
            if self.faults.rate is not None:
                now = time.monotonic()
                while self._recent and now - self._recent[0] > 1:
                    self._recent.popleft()
                if len(self._recent) >= self.faults.rate:
                    return "throttled"
                self._recent.append(now)
        for name, rate in (
            ("throttled", self.faults.throttle_rate),
            ("dropped", self.faults.drop_rate),
            ("cut", self.faults.cut_rate),
        ):
            if luck < rate:
                return name
            luck -= rate
        return ""

    def answer(self, path: str, query: Mapping[str, str]) -> tuple[int, Any]:
        """Status and body of a good request."""
        if path in LISTS:
            return self._page(LISTS[path], query)
        match path.split("/")[2:]:
            case ["instances" | "bare-metals" as kind, resource_id, "bandwidth"]:
                key = kind.replace("-", "_")
                days = int(query.get("date_range", "30")) if key == "instances" else 30
                if key in self.faults.deny:
                    return 403, {"error": "Forbidden", "status": 403}
                if not 1 <= days <= 180:
                    return 400, {"error": "Invalid date_range", "status": 400}
                if self.by_id(key, unquote(resource_id)):
                    return 200, {"bandwidth": self.bandwidth(unquote(resource_id), days) or []}
            case ["databases", resource_id, "usage"]:
                if self.by_id("databases", unquote(resource_id)):
                    return 200, {"usage": self.usage(unquote(resource_id))}
        return 404, {"error": "Not found", "status": 404}

    def _page(self, key: str, query: Mapping[str, str]) -> tuple[int, Any]:
        if key in self.faults.deny:
            return 403, {"error": "Forbidden", "status": 403}
        if key in self.faults.wrong_shape:
            return 200, {"things": []}
        items = self.lists[key]
        if key == "databases":
            if query:
                return 400, {"error": "Unknown parameter", "status": 400}
            shown = items[: len(items) // 2] if key in self.faults.half_page else items
            return 200, {key: shown, "meta": {"total": len(items)}}
        size = int(query.get("per_page", "100"))
        if not 1 <= size <= 500:
            return 400, {"error": "Invalid per_page", "status": 400}
        offset = _offset(query.get("cursor", ""))
        if offset is None:
            return 400, {"error": "Invalid cursor", "status": 400}
        shown = items[offset : offset + size]
        following = _cursor(offset + size) if offset + size < len(items) else ""
        if key in self.faults.half_page:
            shown, following = shown[: len(shown) // 2], ""
        if key in self.faults.circle:
            following = _cursor(0)
        if key in WITHOUT_META and not following and key not in self.faults.half_page:
            return 200, {key: shown}
        links = {"next": following, "prev": ""}
        return 200, {key: shown, "meta": {"total": len(items), "links": links}}


def _cursor(offset: int) -> str:
    return base64.urlsafe_b64encode(f"next__{offset}".encode()).decode()


def _offset(cursor: str) -> int | None:
    if not cursor:
        return 0
    with suppress(ValueError):
        word, _, offset = base64.urlsafe_b64decode(cursor).decode().partition("__")
        if word == "next":
            return int(offset)
    return None


class _LoopbackServer(ThreadingHTTPServer):
    request_queue_size = 128

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return str(client_address[0]).startswith("127.")


def _handler(fake: FakeVultr) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536  # head and body in one packet

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            fake.requests[parts.path] += 1
            fake.keys.append(self.headers.get("Authorization", ""))
            misfortune = fake.misfortune(self.path)
            if misfortune == "dropped":
                self.close_connection = True
                return
            if misfortune == "throttled":
                self.send(429, {"error": "Rate limit reached", "status": 429})
            elif self.headers.get("Authorization") != f"Bearer {KEY}":
                self.send(401, {"error": "Invalid API token.", "status": 401})
            elif LISTS.get(parts.path) in fake.faults.html:
                self.send_body(200, b"<html><body>Welcome!</body></html>", "text/html")
            else:
                self.send(*fake.answer(parts.path, query), cut=misfortune == "cut")

        def send(self, status: int, document: Any, *, cut: bool = False) -> None:
            self.send_body(status, json.dumps(document).encode(), "application/json", cut=cut)

        def send_body(self, status: int, body: bytes, kind: str, *, cut: bool = False) -> None:
            self.send_response_only(status)
            self.send_header("Date", format_datetime(fake.clock() + fake.faults.skew, usegmt=True))
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if status == 429 and fake.faults.retry_after is not None:
                self.send_header("Retry-After", str(fake.faults.retry_after))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
            self.close_connection = cut

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    return Handler


def _exporter_handler(fake: FakeVultr) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            own = self.connection.getsockname()[0]
            machine = next((o for o in fake.lists["instances"] if o["main_ip"] == own), None)
            fake.requests["/metrics"] += 1
            if machine is None or self.path != "/metrics":
                self.send_error(404)
                return
            if machine["id"] in fake.faults.silent:
                return
            moment = fake.clock().timestamp()
            body = fake.exposition(machine["id"], moment).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            fake.scrapes.setdefault(machine["id"], []).append(moment)

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    return Handler


def is_close(found: Points, expected: Points) -> bool:
    """Whether the same keys have the same values, but for the last digits."""
    return found.keys() == expected.keys() and all(
        math.isclose(found[key], value, rel_tol=1e-9, abs_tol=1e-9)
        for key, value in expected.items()
    )
