"""AWS on loopback: moto's server holds the resources, a proxy before it holds the metrics.

Everything passes the proxy, which counts requests and commits faults in AWS's own wire shapes.
It answers GetMetricData itself for the resources of the fleet, from one-minute samples that
are a pure function of a seed or replayed from given series, and publishes them late, so that
sums grow until they settle. What was put into moto by PutMetricData stays moto's to answer.
"""

from __future__ import annotations

import json
import logging
import os
import random
import re
import threading
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from fakes.noise import shape, uniform
from numpy.typing import NDArray

#: (metric, resource, bucket start) -> value
Points = dict[tuple[str, str, int], float]
Dimensions = frozenset[tuple[str, str]]

ACCOUNT = "123456789012"
GIB = 1 << 30
#: Seconds from a sample's end to its publication: at the soonest, usually, and when late.
SOONEST, USUAL, LATE = 30, 240, 1500


@dataclass(frozen=True)
class Sampled:
    """What a sample of a native metric holds: something between `low` and `high`.

    What is `counted` is whole and lies between so many per second; what is `steady` stands at
    `high` but for a rare sample at `low`.
    """

    low: float
    high: float
    counted: bool = False
    steady: bool = False


def _each(names: Sequence[str], sampled: Sampled, namespace: str) -> dict[Any, Sampled]:
    return {(namespace, name): sampled for name in names}


_BYTES, _OPERATIONS = Sampled(0, 5e7, counted=True), Sampled(0, 1500, counted=True)
_PERCENT = Sampled(1, 95)

#: Native metrics of the fleet, by namespace and name.
SAMPLED: Mapping[tuple[str, str], Sampled] = {
    ("AWS/EC2", "CPUUtilization"): _PERCENT,
    **_each(
        ["EBSReadBytes", "EBSWriteBytes", "DiskReadBytes", "DiskWriteBytes"], _BYTES, "AWS/EC2"
    ),
    **_each(["EBSReadOps", "EBSWriteOps", "DiskReadOps", "DiskWriteOps"], _OPERATIONS, "AWS/EC2"),
    **_each(["NetworkIn", "NetworkOut"], _BYTES, "AWS/EC2"),
    **_each(["NetworkPacketsIn", "NetworkPacketsOut"], Sampled(0, 40_000, counted=True), "AWS/EC2"),
    ("AWS/EC2", "StatusCheckFailed"): Sampled(1, 0, steady=True),
    **_each(["VolumeReadBytes", "VolumeWriteBytes"], _BYTES, "AWS/EBS"),
    **_each(["VolumeReadOps", "VolumeWriteOps"], _OPERATIONS, "AWS/EBS"),
    **_each(["VolumeAvgReadLatency", "VolumeAvgWriteLatency"], Sampled(0.2, 12), "AWS/EBS"),
    ("AWS/RDS", "CPUUtilization"): _PERCENT,
    ("AWS/RDS", "FreeableMemory"): Sampled(1.5 * GIB, 5 * GIB),
    ("AWS/RDS", "FreeStorageSpace"): Sampled(9 * GIB, 10 * GIB),
    ("AWS/RDS", "DatabaseConnections"): Sampled(2, 180),
    **_each(["ReadIOPS", "WriteIOPS"], Sampled(0, 1500), "AWS/RDS"),
    **_each(["ReadThroughput", "WriteThroughput"], Sampled(0, 2e7), "AWS/RDS"),
    **_each(["NetworkReceiveThroughput", "NetworkTransmitThroughput"], Sampled(0, 5e7), "AWS/RDS"),
    **_each(["ReadLatency", "WriteLatency"], Sampled(0.0002, 0.02), "AWS/RDS"),
    ("AWS/ApplicationELB", "RequestCount"): Sampled(1, 200, counted=True),
    **_each(
        ["HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count"],
        Sampled(0, 0.5, counted=True),
        "AWS/ApplicationELB",
    ),
    ("AWS/ApplicationELB", "ActiveConnectionCount"): Sampled(1, 10, counted=True),
    ("AWS/ApplicationELB", "TargetResponseTime"): Sampled(0.005, 1.2),
    ("AWS/ApplicationELB", "HealthyHostCount"): Sampled(2, 3, steady=True),
    ("AWS/NetworkELB", "NewFlowCount"): Sampled(0, 500, counted=True),
    ("AWS/NetworkELB", "ActiveFlowCount"): Sampled(0, 500),
    ("AWS/NetworkELB", "HealthyHostCount"): Sampled(2, 3, steady=True),
    ("ContainerInsights", "node_cpu_utilization"): _PERCENT,
    ("ContainerInsights", "node_memory_utilization"): Sampled(35, 85),
    ("CWAgent", "mem_used_percent"): Sampled(35, 85),
    ("CWAgent", "disk_used_percent"): Sampled(55, 60),
}
#: Published only when there is something to report.
SPARSE = {"HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count"}
#: Without detailed monitoring EC2 publishes these every five minutes.
BASIC = {name for space, name in SAMPLED if space == "AWS/EC2"} - {"StatusCheckFailed"}


@dataclass
class Faults:
    """What goes wrong, by share of the requests, and where access is denied.

    `deny` holds operations, regions or (region, operation) pairs. `metric_status` gives the
    StatusCode of native metrics, `page_points` the points of an answer before it is cut into
    pages, `bad_metric` a name for which the whole request is refused.
    """

    throttle: float = 0.0
    drop: float = 0.0
    cut: float = 0.0
    html: bool = False
    error: str = ""
    delay: float = 0.0
    deny: set[Any] = field(default_factory=set)
    disabled_regions: set[str] = field(default_factory=set)
    metric_status: dict[str, str] = field(default_factory=dict)
    status_tries: int = 1_000_000
    page_points: int = 100_800
    bad_metric: str = ""
    list_pages: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """One native metric of one resource."""

    resource_id: str
    namespace: str
    name: str
    resolution: int
    number: int


@dataclass(frozen=True)
class Owned:
    """A resource of the fleet; `amounts` are what formulas of the truth need."""

    resource_id: str
    family: str
    region: str
    amounts: Mapping[str, float]


class FakeAws:
    """Use as a context manager; `url` is the endpoint of every service.

    `held_back` are seconds by which all samples of a namespace come later than others. `series`
    are curves by native metric, one value per five minutes, per second of what is counted; the
    other metrics take their shapes, and without any series values are noise.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        late_rate: float = 0.05,
        held_back: Mapping[str, int] | None = None,
        series: Mapping[str, Sequence[NDArray[np.float64]]] | None = None,
    ) -> None:
        self.clock = clock
        self.faults = Faults()
        self.requests: Counter[str] = Counter()
        self.resources: dict[str, Owned] = {}
        self._seed, self._late_rate, self._series = seed, late_rate, series or {}
        self._shapes = [shape(one) for some in self._series.values() for one in some]
        self._held_back = held_back or {}
        self._luck = random.Random(seed)
        self._lock = threading.Lock()
        self._metrics: dict[tuple[str, str, str, Dimensions], Metric] = {}
        self._lives: dict[str, list[list[float]]] = defaultdict(list)
        self._numbers = 0
        self._status_given: Counter[str] = Counter()
        self._clients: dict[tuple[str, str], Any] = {}
        self.url = ""

    # -- life of the server ------------------------------------------------------------------

    def __enter__(self) -> FakeAws:
        os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._moto.start()
        host, port = self._moto.get_host_and_port()
        self.moto_url = f"http://{host}:{port}"
        for path in ("reset", f"seed?a={self._seed}"):
            request = urllib.request.Request(f"{self.moto_url}/moto-api/{path}", method="POST")
            urllib.request.urlopen(request).close()
        self._proxy = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._proxy.daemon_threads = True
        threading.Thread(target=self._proxy.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._proxy.server_address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()
        self._moto.stop()

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """A client that goes past the proxy, to prepare what moto holds."""
        import botocore.session

        if (service, region) not in self._clients:
            self._clients[service, region] = botocore.session.Session().create_client(
                service,
                region_name=region,
                endpoint_url=self.moto_url,
                aws_access_key_id="fleet",
                aws_secret_access_key="fleet",
            )
        return self._clients[service, region]

    # -- the fleet ---------------------------------------------------------------------------

    def instances(
        self,
        count: int,
        *,
        region: str = "us-east-1",
        kind: str = "m5.large",
        detailed: bool = False,
        launched: datetime | None = None,
        volumes: bool = False,
        agent: bool = False,
    ) -> list[str]:
        """Running instances, with the metrics of their boot volumes where asked for."""
        from moto.ec2.models import ec2_backends

        month_ago = int(self.clock().timestamp()) - 30 * 86_400
        launched = launched or datetime.fromtimestamp(month_ago, UTC)
        answer = self.client("ec2", region).run_instances(
            ImageId="ami-1",
            MinCount=count,
            MaxCount=count,
            InstanceType=kind,
            Monitoring={"Enabled": detailed},
        )
        ids = [native["InstanceId"] for native in answer["Instances"]]
        names = {name for space, name in SAMPLED if space == "AWS/EC2"}
        if kind != "i3en.large":
            names -= {"DiskReadBytes", "DiskWriteBytes", "DiskReadOps", "DiskWriteOps"}
        for resource_id in ids:
            held = ec2_backends[ACCOUNT][region].get_instance(resource_id)
            held.launch_time = launched
            held.monitoring_state = "enabled" if detailed else "disabled"
            self._own(resource_id, "instance", region, launched=launched.timestamp())
            for name in names:
                resolution = 300 if not detailed and name in BASIC else 60
                self._measure(
                    region, "AWS/EC2", name, {"InstanceId": resource_id}, resource_id, resolution
                )
            if agent:
                dims = {"InstanceId": resource_id, "ImageId": "ami-1"}
                self._measure(region, "CWAgent", "mem_used_percent", dims, resource_id)
                disk = {**dims, "path": "/", "device": "nvme0n1p1", "fstype": "xfs"}
                self._measure(region, "CWAgent", "disk_used_percent", disk, resource_id)
            if volumes:
                mappings = held.block_device_mapping.values()
                for volume_id in [mapping.volume_id for mapping in mappings]:
                    self.volume(volume_id, region)
        return ids

    def volume(self, volume_id: str, region: str = "us-east-1") -> None:
        """Metrics for a volume that moto has."""
        self._own(volume_id, "volume", region)
        for space, name in SAMPLED:
            if space == "AWS/EBS":
                self._measure(region, space, name, {"VolumeId": volume_id}, volume_id)

    def database(
        self,
        name: str,
        *,
        region: str = "us-east-1",
        kind: str = "db.m5.large",
        engine: str = "postgres",
    ) -> str:
        """A database; 20 GiB, and 8 GiB of memory in the default class."""
        native = self.client("rds", region).create_db_instance(
            DBInstanceIdentifier=name,
            DBInstanceClass=kind,
            Engine=engine,
            AllocatedStorage=20,
            **({"EngineVersion": "15.4"} if engine.startswith("aurora") else {}),
            MasterUsername="admin",
            MasterUserPassword="not-a-secret",
        )["DBInstance"]
        arn = str(native["DBInstanceArn"])
        known = {"memory": 8.0 * GIB} if kind == "db.m5.large" else {}
        self._own(arn, "database", region, storage=20.0 * GIB, **known)
        for space, metric in SAMPLED:
            aurora = engine.startswith("aurora") and metric == "FreeStorageSpace"
            if space == "AWS/RDS" and not aurora:
                self._measure(region, space, metric, {"DBInstanceIdentifier": name}, arn)
        return arn

    def balancer(
        self, name: str, *, kind: str = "application", groups: int = 2, region: str = "us-east-1"
    ) -> str:
        """A load balancer with target groups."""
        client, ec2 = self.client("elbv2", region), self.client("ec2", region)
        subnets = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"][:2]]
        arn = str(
            client.create_load_balancer(
                Name=name, Subnets=subnets, Type=kind, Tags=[{"Key": "team", "Value": "web"}]
            )["LoadBalancers"][0]["LoadBalancerArn"]
        )
        space = "AWS/ApplicationELB" if kind == "application" else "AWS/NetworkELB"
        tail = arn.partition("loadbalancer/")[2]
        self._own(arn, kind, region)
        for one, metric in SAMPLED:
            if one == space and metric != "HealthyHostCount":
                self._measure(region, space, metric, {"LoadBalancer": tail}, arn)
        vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        protocol = "HTTP" if kind == "application" else "TCP"
        for number in range(groups):
            group = client.create_target_group(
                Name=f"{name}-{number}", Protocol=protocol, Port=80 + number, VpcId=vpc
            )["TargetGroups"][0]["TargetGroupArn"]
            client.create_listener(
                LoadBalancerArn=arn,
                Protocol=protocol,
                Port=80 + number,
                DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
            )
            dims = {"LoadBalancer": tail, "TargetGroup": group.rpartition(":")[2]}
            self._measure(region, space, "HealthyHostCount", dims, arn)
        return arn

    def cluster(self, name: str, *, insights: bool = False, region: str = "us-east-1") -> str:
        """An EKS cluster."""
        native = self.client("eks", region).create_cluster(
            name=name,
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/eks",
            resourcesVpcConfig={"subnetIds": ["subnet-1"]},
        )["cluster"]
        arn = str(native["arn"])
        self._own(arn, "cluster", region)
        for space, metric in SAMPLED:
            if insights and space == "ContainerInsights":
                self._measure(region, space, metric, {"ClusterName": name}, arn)
        return arn

    def stop(self, instance_id: str) -> None:
        """Stop an instance now, by the fake's clock."""
        region = self.resources[instance_id].region
        self.client("ec2", region).stop_instances(InstanceIds=[instance_id])
        self._lives[instance_id][-1][1] = self.clock().timestamp()

    def _own(self, resource_id: str, family: str, region: str, **amounts: float) -> None:
        self.resources[resource_id] = Owned(resource_id, family, region, amounts)
        self._lives[resource_id].append([float("-inf"), float("inf")])

    def _measure(
        self,
        region: str,
        namespace: str,
        name: str,
        dims: Mapping[str, str],
        resource_id: str,
        resolution: int = 60,
    ) -> None:
        self._numbers += 1
        key = (region, namespace, name, frozenset(dims.items()))
        self._metrics[key] = Metric(resource_id, namespace, name, resolution, self._numbers)

    # -- samples and what is published of them -----------------------------------------------

    def _samples(
        self, metric: Metric, start: int, end: int, at: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The samples published by `at`: their starts and values."""
        step = metric.resolution
        times = np.arange(-(-start // step) * step, end, step, dtype=np.int64)
        salt = f"{self._seed}/{metric.number}/{metric.namespace}/{metric.name}"
        share = uniform(salt, times)
        values = self._values(metric, times, share)
        wait = SOONEST + (USUAL - SOONEST) * uniform(salt + "wait", times)
        late = uniform(salt + "late", times) < self._late_rate
        wait = np.where(late, USUAL + (LATE - USUAL) * uniform(salt + "by", times), wait)
        seen = times + step + wait + self._held_back.get(metric.namespace, 0) <= at
        if metric.name in SPARSE:
            seen &= share > 0.3
        alive = np.zeros(len(times), dtype=bool)
        for born, died in self._lives[metric.resource_id]:
            alive |= (times >= born) & (times + step <= died)
        return times[seen & alive], values[seen & alive]

    def _values(
        self, metric: Metric, times: NDArray[np.int64], share: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """What the samples hold, whether they are published or not."""
        told = SAMPLED[metric.namespace, metric.name]
        if told.steady:
            return np.where(share < 0.0005, told.low, told.high)
        place = times // 300 + metric.number * 97
        if replayed := self._series.get(metric.name):
            one = replayed[metric.number % len(replayed)]
            values = one[place % len(one)]
        else:
            level = share
            if self._shapes:
                one = self._shapes[metric.number % len(self._shapes)]
                level = one[place % len(one)]
            values = told.low + (told.high - told.low) * level
        return np.floor(values * metric.resolution) if told.counted else values

    def statistic(
        self, metric: Metric, stat: str, period: int, start: int, end: int, at: float
    ) -> dict[int, float]:
        """What CloudWatch answers: buckets by start."""
        times, values = self._samples(metric, start, end, at)
        if not len(times):
            return {}
        buckets, where = np.unique(times // period * period, return_inverse=True)
        if stat == "Maximum":
            out = np.full(len(buckets), -np.inf)
            np.maximum.at(out, where, values)
        else:
            out = np.bincount(where, weights=values)
            if stat == "Average":
                out = out / np.bincount(where)
        return dict(zip(buckets.tolist(), out.tolist(), strict=True))

    def truth(self, start: datetime, end: datetime, at: datetime | None = None) -> Points:
        """The points that a store must hold of a window last collected `at`, in canonical units.

        Status-derived availability is not among them: it belongs to the moment of a listing.
        """
        lo, hi = int(start.timestamp()), int(end.timestamp())
        now = (at or self.clock()).timestamp()
        native: dict[str, dict[str, list[Metric]]] = defaultdict(lambda: defaultdict(list))
        for metric in self._metrics.values():
            native[metric.resource_id][metric.name].append(metric)
        points: Points = {}
        for resource_id, owned in self.resources.items():
            for canonical, stat, names, formula in TRUTH[owned.family]:
                sums: dict[int, float] = {}
                for name in names:
                    for metric in native[resource_id][name]:
                        for bucket, value in self.statistic(metric, stat, 300, lo, hi, now).items():
                            sums[bucket] = sums.get(bucket, 0.0) + value
                for bucket, value in sums.items():
                    try:
                        true = formula(value, bucket, owned.amounts)
                    except KeyError:
                        continue  # an amount that nobody can know
                    if true is not None:
                        points[canonical, resource_id, bucket] = true
        return points

    # -- answers -----------------------------------------------------------------------------

    def knows(self, region: str, body: Mapping[str, Any]) -> bool:
        """Whether the fleet has any metric of the request; the rest is moto's."""
        return any(self._found(region, query) for query in body["MetricDataQueries"])

    def metric_data(self, region: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """The answer to GetMetricData, as the HTTP status and the JSON document."""
        queries = body["MetricDataQueries"]
        names = [query["MetricStat"]["Metric"]["MetricName"] for query in queries]
        if len(queries) > 500 or (self.faults.bad_metric and self.faults.bad_metric in names):
            return 400, {"__type": "com.amazon.coral.service#ValidationException", "message": "no"}
        start, end, now = int(body["StartTime"]), int(body["EndTime"]), self.clock().timestamp()
        flat: list[tuple[str, int, float]] = []
        status: dict[str, str] = {}
        for query in queries:
            stat, metric = query["MetricStat"], self._found(region, query)
            name = stat["Metric"]["MetricName"]
            status[query["Id"]] = self._status(name, query["Id"])
            if metric and status[query["Id"]] == "Complete":
                found = self.statistic(metric, stat["Stat"], stat["Period"], start, end, now)
                flat += [(query["Id"], bucket, value) for bucket, value in found.items()]
        first = int(body.get("NextToken") or 0)
        last = first + self.faults.page_points
        page: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for identifier, bucket, value in flat[first:last]:
            page[identifier].append((bucket, value))
        left = {identifier for identifier, _, _ in flat[last:]}
        results = [
            {
                "Id": query["Id"],
                "Label": query["Id"],
                "Timestamps": [bucket for bucket, _ in page[query["Id"]]],
                "Values": [value for _, value in page[query["Id"]]],
                "StatusCode": "PartialData" if query["Id"] in left else status[query["Id"]],
            }
            for query in queries
            if status[query["Id"]] != "Absent" and (not first or query["Id"] in page)
        ]
        answer: dict[str, Any] = {"MetricDataResults": results, "Messages": []}
        if last < len(flat):
            answer["NextToken"] = str(last)
        return 200, answer

    def list_metrics(self, region: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to ListMetrics, two to a page."""
        found = [
            {
                "Namespace": namespace,
                "MetricName": name,
                "Dimensions": [{"Name": k, "Value": v} for k, v in sorted(dims)],
            }
            for (where, namespace, name, dims) in self._metrics
            if where == region
            and namespace == body["Namespace"]
            and name == body.get("MetricName", name)
        ]
        first = int(body.get("NextToken") or 0)
        answer: dict[str, Any] = {"Metrics": found[first : first + 2]}
        if first + 2 < len(found):
            answer["NextToken"] = str(first + 2)
        return answer

    def _found(self, region: str, query: Mapping[str, Any]) -> Metric | None:
        metric = query["MetricStat"]["Metric"]
        dims = frozenset((entry["Name"], entry["Value"]) for entry in metric.get("Dimensions", []))
        return self._metrics.get((region, metric["Namespace"], metric["MetricName"], dims))

    def _status(self, name: str, identifier: str) -> str:
        status = self.faults.metric_status.get(name, "Complete")
        if status != "Complete":
            with self._lock:
                self._status_given[name] += 1
                if self._status_given[name] > self.faults.status_tries:
                    return "Complete"
        return status

    def verdict(self, service: str, operation: str, region: str) -> str:
        """What becomes of a request: ``, throttle, deny, disabled, drop, cut, html or an error."""
        faults = self.faults
        with self._lock:
            self.requests[operation] += 1
            luck = self._luck.random()
        if region in faults.disabled_regions:
            return "disabled"
        if faults.deny & {operation, region, (region, operation)}:
            return "deny"
        if faults.error:
            return faults.error
        if faults.html:
            return "html"
        for name, share in (
            ("throttle", faults.throttle),
            ("drop", faults.drop),
            ("cut", faults.cut),
        ):
            if luck < share:
                return name
            luck -= share
        return ""


Formula = Callable[[float, int, Mapping[str, float]], float | None]
Row = tuple[str, str, tuple[str, ...], Formula]


def _same(canonical: str, name: str, factor: float = 1.0) -> Row:
    return canonical, "Average", (name,), lambda value, _bucket, _has: value * factor


def _sum(canonical: str, *names: str, over: float = 300.0) -> Row:
    return canonical, "Sum", names, lambda value, _bucket, _has: value / over


#: By hand from AWS's documentation, not from the collector's table: per family, the canonical
#: metric, the statistic, the native metrics added up, and what becomes of a 300 s bucket.
TRUTH: Mapping[str, Sequence[Row]] = {
    "instance": (
        _same("cpu_utilization", "CPUUtilization"),
        _sum("disk_read_bytes_per_sec", "EBSReadBytes", "DiskReadBytes"),
        _sum("disk_write_bytes_per_sec", "EBSWriteBytes", "DiskWriteBytes"),
        _sum("disk_read_ops_per_sec", "EBSReadOps", "DiskReadOps"),
        _sum("disk_write_ops_per_sec", "EBSWriteOps", "DiskWriteOps"),
        _sum("network_in_bytes_per_sec", "NetworkIn"),
        _sum("network_out_bytes_per_sec", "NetworkOut"),
        _sum("network_in_packets_per_sec", "NetworkPacketsIn"),
        _sum("network_out_packets_per_sec", "NetworkPacketsOut"),
        ("availability", "Maximum", ("StatusCheckFailed",), lambda v, _b, _h: 0.0 if v else 100.0),
        (
            "uptime",
            "Maximum",
            ("StatusCheckFailed",),
            lambda _v, b, h: b + 300 - h["launched"] if b + 300 > h["launched"] else None,
        ),
        _same("memory_utilization", "mem_used_percent"),
        _same("storage_utilization", "disk_used_percent"),
    ),
    "volume": (
        _sum("disk_read_bytes_per_sec", "VolumeReadBytes"),
        _sum("disk_write_bytes_per_sec", "VolumeWriteBytes"),
        _sum("disk_read_ops_per_sec", "VolumeReadOps"),
        _sum("disk_write_ops_per_sec", "VolumeWriteOps"),
        _same("disk_read_latency", "VolumeAvgReadLatency"),
        _same("disk_write_latency", "VolumeAvgWriteLatency"),
    ),
    "database": (
        _same("cpu_utilization", "CPUUtilization"),
        (
            "memory_utilization",
            "Average",
            ("FreeableMemory",),
            lambda v, _b, h: 100 * (h["memory"] - v) / h["memory"],
        ),
        _same("storage_free_bytes", "FreeStorageSpace"),
        (
            "storage_utilization",
            "Average",
            ("FreeStorageSpace",),
            lambda v, _b, h: 100 * (h["storage"] - v) / h["storage"],
        ),
        _same("db_connections", "DatabaseConnections"),
        _same("disk_read_ops_per_sec", "ReadIOPS"),
        _same("disk_write_ops_per_sec", "WriteIOPS"),
        _same("disk_read_bytes_per_sec", "ReadThroughput"),
        _same("disk_write_bytes_per_sec", "WriteThroughput"),
        _same("network_in_bytes_per_sec", "NetworkReceiveThroughput"),
        _same("network_out_bytes_per_sec", "NetworkTransmitThroughput"),
        _same("disk_read_latency", "ReadLatency", 1000),
        _same("disk_write_latency", "WriteLatency", 1000),
    ),
    "application": (
        _sum("lb_requests_per_sec", "RequestCount"),
        _sum("lb_5xx_per_sec", "HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count"),
        _same("lb_latency", "TargetResponseTime", 1000),
        _sum("lb_active_connections", "ActiveConnectionCount", over=5.0),
        _same("lb_healthy_hosts", "HealthyHostCount"),
    ),
    "network": (
        _sum("lb_requests_per_sec", "NewFlowCount"),
        _same("lb_active_connections", "ActiveFlowCount"),
        _same("lb_healthy_hosts", "HealthyHostCount"),
    ),
    "cluster": (
        _same("k8s_node_cpu_utilization", "node_cpu_utilization"),
        _same("k8s_node_memory_utilization", "node_memory_utilization"),
    ),
}


#: Faults as AWS words them: EC2's code and the code of the others, the HTTP status, the text.
_WORDS: Mapping[str, tuple[str, str, int, str]] = {
    "throttle": ("RequestLimitExceeded", "ThrottlingException", 400, "Rate exceeded"),
    "deny": ("UnauthorizedOperation", "AccessDeniedException", 403, "not authorized to perform"),
    "disabled": ("AuthFailure", "UnrecognizedClientException", 401, "not able to validate"),
    "wrong_key": ("AuthFailure", "InvalidClientTokenId", 403, "The token is invalid"),
    "expired": ("RequestExpired", "ExpiredTokenException", 400, "The token has expired"),
    "clock": (
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        403,
        "Signature expired: 20260101T000000Z is now earlier than 20260101T010000Z",
    ),
    "broken": ("InternalError", "InternalFailure", 500, "An internal error has occurred"),
}


def refusal(verdict: str, service: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an AWS error in the service's own protocol."""
    for_ec2, code, status, text = _WORDS[verdict]
    if service == "ec2":
        body = (
            f"<Response><Errors><Error><Code>{for_ec2}</Code><Message>{text}</Message></Error>"
            "</Errors><RequestID>r</RequestID></Response>"
        )
        return (
            (503 if verdict == "throttle" else status),
            {"Content-Type": "text/xml"},
            body.encode(),
        )
    if service in ("monitoring", "eks"):
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": code}
        return status, headers, json.dumps({"__type": code, "message": text}).encode()
    code = {"throttle": "Throttling", "deny": "AccessDenied"}.get(verdict, code)
    body = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
        f"<Message>{text}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    )
    return status, {"Content-Type": "text/xml"}, body.encode()


def _handler(fake: FakeAws) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            signed = re.search(r"/\d{8}/([^/]+)/([^/]+)/", self.headers.get("Authorization", ""))
            region, service = signed.groups() if signed else ("", "")
            operation = _operation(self.path, self.headers.get("X-Amz-Target", ""), body)
            verdict = fake.verdict(service, operation, region)
            if fake.faults.delay:
                threading.Event().wait(fake.faults.delay)
            if verdict in _WORDS:
                self._send(*refusal(verdict, service))
            elif verdict == "html":
                page = b"<!DOCTYPE html><html><body>Welcome to the proxy</body></html>"
                self._send(200, {"Content-Type": "text/html"}, page)
            elif verdict == "drop":
                self.close_connection = True
            else:
                self._send(*self._answer(service, operation, region, body), cut=verdict == "cut")

        do_GET = do_POST

        def _answer(
            self, service: str, operation: str, region: str, body: bytes
        ) -> tuple[int, dict[str, str], bytes]:
            headers = {"Content-Type": "application/x-amz-json-1.0"}
            if operation == "GetMetricData" and fake.knows(region, json.loads(body)):
                status, document = fake.metric_data(region, json.loads(body))
                return status, headers, json.dumps(document).encode()
            if operation == "ListMetrics":
                return (
                    200,
                    headers,
                    json.dumps(fake.list_metrics(region, json.loads(body))).encode(),
                )
            if operation in fake.faults.list_pages:
                size = fake.faults.list_pages[operation]
                body = re.sub(rb"Max(Results|Records)=\d+", rb"Max\1=%d" % size, body)
                body = re.sub(rb"PageSize=\d+", b"PageSize=%d" % size, body)
            return _forwarded(fake.moto_url + self.path, self.command, dict(self.headers), body)

        def _send(
            self, status: int, headers: Mapping[str, str], body: bytes, *, cut: bool = False
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if cut:
                self.close_connection = True
                body = body[: len(body) // 2]
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Not into the output of tests."""

    return Handler


def _operation(path: str, target: str, body: bytes) -> str:
    if target:
        return target.rpartition(".")[2]
    if match := re.search(rb"Action=(\w+)", body):
        return match[1].decode()
    return "DescribeCluster" if path.partition("?")[0].count("/") > 1 else "ListClusters"


def _forwarded(
    url: str, method: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    kept = {k: v for k, v in headers.items() if k.lower() not in ("host", "content-length")}
    request = urllib.request.Request(url, data=body or None, headers=kept, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            content = {"Content-Type": answer.headers.get("Content-Type", "text/xml")}
            return answer.status, content, answer.read()
    except urllib.error.HTTPError as error:
        content = {k: v for k, v in error.headers.items() if k.lower().startswith("x-amzn-error")}
        return (
            error.code,
            {"Content-Type": error.headers.get("Content-Type", ""), **content},
            error.read(),
        )


@contextmanager
def demo_fleet(
    instances: int,
    series: Mapping[str, Sequence[NDArray[np.float64]]] | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[FakeAws]:
    """A fleet that replays recorded series, of a native metric where they are named by one."""
    with FakeAws(series=series, clock=clock) as fake:
        fake.instances(instances, volumes=True)
        for number in range(max(1, instances // 50)):
            fake.database(f"orders-{number}")
            fake.balancer(f"web-{number}")
        fake.cluster("main", insights=True)
        yield fake
