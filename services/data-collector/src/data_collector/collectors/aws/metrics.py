"""The native -> canonical table of the provider `aws`: what CloudWatch is asked for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from optiinfra.catalog import ResourceType
from optiinfra.catalog.native import NativeMetric, told_by_metric

Times = NDArray[np.int64]
Values = NDArray[np.float64]
#: Dimension names and values of one CloudWatch metric.
Dimensions = tuple[tuple[str, str], ...]


class Feature(StrEnum):
    """What a resource needs to have for a metric to exist."""

    NITRO = "a Nitro instance type"
    INSTANCE_STORE = "an instance store"
    OWN_STORAGE = "storage of its own (Aurora's belongs to the cluster)"


@dataclass(frozen=True, slots=True)
class Target:
    """What performance needs to know of a resource. Small: a process keeps a fleet of them.

    `quiet` says why AWS publishes nothing about it now, empty where it does. `period` is the
    finest bucket in seconds that AWS publishes. `dimensions` identify it in CloudWatch, one
    set per backend group for what is measured by group. Amounts are in bytes, 0 where unknown.
    """

    resource_id: str
    name: str
    type: ResourceType
    family: str
    dimensions: Dimensions
    quiet: str = ""
    period: int = 60
    features: frozenset[Feature] = frozenset()
    group_dimensions: tuple[Dimensions, ...] = ()
    launched_at: datetime | None = None
    memory_bytes: int = 0
    storage_bytes: int = 0
    attached_to: tuple[str, ...] = ()
    working: bool | None = None


#: From what CloudWatch answers to the canonical unit: bucket starts, values, the resource, the
#: period in seconds. NaN stands where nothing can be said, None where it never can.
Convert = Callable[[Times, Values, Target, int], Values | None]


def as_it_is(times: Times, values: Values, target: Target, period: int) -> Values | None:
    """The provider's value in the catalog's unit already."""
    return values


def per_second(times: Times, values: Values, target: Target, period: int) -> Values | None:
    """A sum over the bucket, divided by the period that was asked for."""
    return values / period


def from_seconds(times: Times, values: Values, target: Target, period: int) -> Values | None:
    """Seconds to milliseconds."""
    return values * 1000


def mean_of_minutes(times: Times, values: Values, target: Target, period: int) -> Values | None:
    """A count reported once a minute and summed up over the bucket."""
    return values * 60 / period


def working_share(times: Times, values: Values, target: Target, period: int) -> Values | None:
    """1 is a failed check."""
    return 100 * (1 - values)


def since_launch(times: Times, values: Values, target: Target, period: int) -> Values | None:
    """At the bucket's end; a bucket from before the last start says nothing."""
    if target.launched_at is None:
        return None
    running = times + period - target.launched_at.timestamp()
    return np.where(running > 0, running, np.nan)


def memory_taken(times: Times, values: Values, target: Target, period: int) -> Values | None:
    """From the free bytes and the size of the class."""
    return 100 * (1 - values / target.memory_bytes) if target.memory_bytes else None


def storage_taken(times: Times, values: Values, target: Target, period: int) -> Values | None:
    """From the free bytes and the allocated ones."""
    return 100 * (1 - values / target.storage_bytes) if target.storage_bytes else None


@dataclass(frozen=True, slots=True)
class Source:
    """One CloudWatch metric; asked for only where the resource has the `feature`."""

    name: str
    feature: Feature | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """One canonical metric that the sources become."""

    canonical: str
    convert: Convert = as_it_is
    note: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Sources added up, and the canonical metrics they become.

    `steady`: published in every bucket while the resource works, so that none at all means
    not yet. `by_group`: asked once per backend group. `by_minute`: published each minute
    whatever monitoring the resource has. `floor`: the finest bucket in seconds.
    """

    namespace: str
    statistic: str
    sources: tuple[Source, ...]
    outputs: tuple[Output, ...]
    steady: bool = False
    by_group: bool = False
    by_minute: bool = False
    floor: int = 60

    def settles_as(self, target: Target) -> str:
        """The option that says when it settles."""
        kind = _SETTLES_AS[self.namespace]
        basic = kind == "ec2" and target.period > 60 and not self.by_minute
        return "ec2_basic" if basic else kind


_SUM_NOTE = "Sum / period"


def _average(namespace: str, name: str, canonical: str, *, steady: bool = False) -> Recipe:
    return Recipe(namespace, "Average", (Source(name),), (Output(canonical),), steady=steady)


def _rate(
    namespace: str, canonical: str, *sources: Source, steady: bool = False, floor: int = 60
) -> Recipe:
    output = Output(canonical, per_second, _SUM_NOTE)
    return Recipe(namespace, "Sum", sources, (output,), steady=steady, floor=floor)


def _latency(namespace: str, name: str, canonical: str) -> Recipe:
    output = Output(canonical, from_seconds, "seconds x 1000")
    return Recipe(namespace, "Average", (Source(name),), (output,))


def _instance_disk(canonical: str, what: str) -> Recipe:
    return _rate(
        "AWS/EC2",
        canonical,
        Source(f"EBS{what}", Feature.NITRO),
        Source(f"Disk{what}", Feature.INSTANCE_STORE),
    )


_EC2, _EBS, _RDS = "AWS/EC2", "AWS/EBS", "AWS/RDS"
_ALB, _NLB, _EKS = "AWS/ApplicationELB", "AWS/NetworkELB", "ContainerInsights"

AGENT_NAMESPACE = "CWAgent"

#: The option that says when a namespace's points settle.
_SETTLES_AS: Mapping[str, str] = {
    _EC2: "ec2",
    _EBS: "ebs",
    _RDS: "rds",
    _ALB: "elb",
    _NLB: "elb",
    _EKS: "container_insights",
    AGENT_NAMESPACE: "agent",
}

_HEALTHY_NOTE = "Average per target group, added up"

#: What is asked for, by the family that a target belongs to.
RECIPES: Mapping[str, tuple[Recipe, ...]] = {
    "instance": (
        _average(_EC2, "CPUUtilization", "cpu_utilization", steady=True),
        _instance_disk("disk_read_bytes_per_sec", "ReadBytes"),
        _instance_disk("disk_write_bytes_per_sec", "WriteBytes"),
        _instance_disk("disk_read_ops_per_sec", "ReadOps"),
        _instance_disk("disk_write_ops_per_sec", "WriteOps"),
        _rate(_EC2, "network_in_bytes_per_sec", Source("NetworkIn"), steady=True),
        _rate(_EC2, "network_out_bytes_per_sec", Source("NetworkOut"), steady=True),
        # AWS documents the packet counts for buckets of five minutes only.
        _rate(_EC2, "network_in_packets_per_sec", Source("NetworkPacketsIn"), floor=300),
        _rate(_EC2, "network_out_packets_per_sec", Source("NetworkPacketsOut"), floor=300),
        Recipe(
            _EC2,
            "Maximum",
            (Source("StatusCheckFailed"),),
            (
                Output("availability", working_share, "100 x (1 - failed)"),
                Output("uptime", since_launch, "bucket end - LaunchTime, where checks ran"),
            ),
            steady=True,
            by_minute=True,
        ),
    ),
    "volume": (
        _rate(_EBS, "disk_read_bytes_per_sec", Source("VolumeReadBytes")),
        _rate(_EBS, "disk_write_bytes_per_sec", Source("VolumeWriteBytes")),
        _rate(_EBS, "disk_read_ops_per_sec", Source("VolumeReadOps")),
        _rate(_EBS, "disk_write_ops_per_sec", Source("VolumeWriteOps")),
        _average(_EBS, "VolumeAvgReadLatency", "disk_read_latency"),
        _average(_EBS, "VolumeAvgWriteLatency", "disk_write_latency"),
    ),
    "database": (
        _average(_RDS, "CPUUtilization", "cpu_utilization", steady=True),
        Recipe(
            _RDS,
            "Average",
            (Source("FreeableMemory"),),
            (Output("memory_utilization", memory_taken, "100 x (1 - free / memory of the class)"),),
        ),
        _average(_RDS, "DatabaseConnections", "db_connections"),
        Recipe(
            _RDS,
            "Average",
            (Source("FreeStorageSpace", Feature.OWN_STORAGE),),
            (
                Output("storage_free_bytes"),
                Output("storage_utilization", storage_taken, "100 x (1 - free / allocated)"),
            ),
        ),
        _average(_RDS, "ReadIOPS", "disk_read_ops_per_sec"),
        _average(_RDS, "WriteIOPS", "disk_write_ops_per_sec"),
        _average(_RDS, "ReadThroughput", "disk_read_bytes_per_sec"),
        _average(_RDS, "WriteThroughput", "disk_write_bytes_per_sec"),
        _average(_RDS, "NetworkReceiveThroughput", "network_in_bytes_per_sec"),
        _average(_RDS, "NetworkTransmitThroughput", "network_out_bytes_per_sec"),
        _latency(_RDS, "ReadLatency", "disk_read_latency"),
        _latency(_RDS, "WriteLatency", "disk_write_latency"),
    ),
    "application": (
        _rate(_ALB, "lb_requests_per_sec", Source("RequestCount")),
        _rate(
            _ALB,
            "lb_5xx_per_sec",
            Source("HTTPCode_ELB_5XX_Count"),
            Source("HTTPCode_Target_5XX_Count"),
        ),
        _latency(_ALB, "TargetResponseTime", "lb_latency"),
        Recipe(
            _ALB,
            "Sum",
            (Source("ActiveConnectionCount"),),
            (Output("lb_active_connections", mean_of_minutes, "Sum / minutes of the period"),),
        ),
        Recipe(
            _ALB,
            "Average",
            (Source("HealthyHostCount"),),
            (Output("lb_healthy_hosts", note=_HEALTHY_NOTE),),
            by_group=True,
        ),
    ),
    "network": (
        Recipe(
            _NLB,
            "Sum",
            (Source("NewFlowCount"),),
            (Output("lb_requests_per_sec", per_second, "new flows: Sum / period"),),
        ),
        _average(_NLB, "ActiveFlowCount", "lb_active_connections"),
        Recipe(
            _NLB,
            "Average",
            (Source("HealthyHostCount"),),
            (Output("lb_healthy_hosts", note=_HEALTHY_NOTE),),
            by_group=True,
        ),
    ),
}

#: With `container_insights`.
CLUSTER_RECIPES = (
    _average(_EKS, "node_cpu_utilization", "k8s_node_cpu_utilization"),
    _average(_EKS, "node_memory_utilization", "k8s_node_memory_utilization"),
)


def hundred_less(times: Times, values: Values, target: Target, period: int) -> Values | None:
    """From the share that is free."""
    return 100 - values


@dataclass(frozen=True, slots=True)
class AgentMetric:
    """What the CloudWatch agent publishes, and the dimensions that pick the right one of many."""

    recipe: Recipe
    picks: Mapping[str, str] = field(default_factory=dict)


def _agent(name: str, canonical: str, convert: Convert, note: str) -> Recipe:
    outputs = (Output(canonical, convert, note),)
    return Recipe(AGENT_NAMESPACE, "Average", (Source(name),), outputs)


#: With `agent_metrics`. Of an instance's filesystems the root one stands for it.
AGENT_METRICS: tuple[AgentMetric, ...] = (
    AgentMetric(_agent("mem_used_percent", "memory_utilization", as_it_is, "agent on Linux")),
    AgentMetric(
        _agent(
            "Memory % Committed Bytes In Use", "memory_utilization", as_it_is, "agent on Windows"
        )
    ),
    AgentMetric(
        _agent("disk_used_percent", "storage_utilization", as_it_is, "agent on Linux, of /"),
        {"path": "/"},
    ),
    AgentMetric(
        _agent(
            "LogicalDisk % Free Space", "storage_utilization", hundred_less, "agent on Windows, C:"
        ),
        {"instance": "C:"},
    ),
)

#: What only the agent knows about an instance.
AGENT_CANONICAL = tuple(
    dict.fromkeys(output.canonical for one in AGENT_METRICS for output in one.recipe.outputs)
)
CLUSTER_CANONICAL = tuple(output.canonical for one in CLUSTER_RECIPES for output in one.outputs)

#: Where a status of the inventory says whether a resource works.
STATUS_SOURCES = ("RDS DBInstanceStatus", "ELB State.Code", "EKS status")


def _native() -> tuple[NativeMetric, ...]:
    recipes = [
        *(recipe for family in RECIPES.values() for recipe in family),
        *CLUSTER_RECIPES,
        *(metric.recipe for metric in AGENT_METRICS),
    ]
    rows = [
        NativeMetric(
            output.canonical,
            f"{recipe.namespace} {' + '.join(source.name for source in recipe.sources)} "
            f"({recipe.statistic})",
            output.note,
        )
        for recipe in recipes
        for output in recipe.outputs
    ]
    rows += [
        NativeMetric(
            "availability", source, "100 while it works, 0 while it failed, when it is listed"
        )
        for source in STATUS_SOURCES
    ]
    return tuple(rows)


#: Every row, for the documentation.
NATIVE: tuple[NativeMetric, ...] = _native()

RESOURCE_TYPE_OF_FAMILY: Mapping[str, ResourceType] = {
    "instance": ResourceType.COMPUTE_INSTANCE,
    "volume": ResourceType.STORAGE_VOLUME,
    "database": ResourceType.DATABASE,
    "application": ResourceType.LOAD_BALANCER,
    "network": ResourceType.LOAD_BALANCER,
    "cluster": ResourceType.KUBERNETES_CLUSTER,
}

_PACKETS = ("network_in_packets_per_sec", "network_out_packets_per_sec")
_TRAFFIC = ("network_in_bytes_per_sec", "network_out_bytes_per_sec")
_NO_UPTIME = "AWS does not say when it last started"
_NO_ANSWER = "nothing here asks it for an answer"

#: By type, the catalog's metrics that AWS does not have, and why.
ABSENT_OF: Mapping[ResourceType, Mapping[str, str]] = {
    ResourceType.COMPUTE_INSTANCE: {
        "disk_read_latency": "AWS measures it by volume",
        "disk_write_latency": "AWS measures it by volume",
        "storage_free_bytes": "the CloudWatch agent publishes shares by default, not bytes",
        "response_time": _NO_ANSWER,
    },
    ResourceType.STORAGE_VOLUME: {
        "storage_free_bytes": "only the instance that uses it sees its filesystems",
        "storage_utilization": "only the instance that uses it sees its filesystems",
        "availability": "CloudWatch has no metric of it; its status is in the inventory",
        "uptime": "a volume does not start",
        "response_time": "told apart as disk_read_latency and disk_write_latency",
    },
    ResourceType.DATABASE: {
        **dict.fromkeys(_PACKETS, "RDS counts bytes only"),
        "uptime": _NO_UPTIME,
        "response_time": "RDS has the latency of its disks only",
    },
    ResourceType.LOAD_BALANCER: {
        **dict.fromkeys(_TRAFFIC, "ProcessedBytes counts both directions together"),
        **dict.fromkeys(_PACKETS, "only network load balancers count packets, both ways together"),
        "uptime": _NO_UPTIME,
        "response_time": "AWS measures the targets' part, which is lb_latency",
    },
    ResourceType.NETWORK: dict.fromkeys(
        (*_TRAFFIC, *_PACKETS, "availability", "uptime", "response_time"),
        "CloudWatch has no metrics of a VPC",
    ),
    ResourceType.KUBERNETES_CLUSTER: {
        "uptime": _NO_UPTIME,
        "response_time": _NO_ANSWER,
    },
}
#: The same by metric, for the documentation.
ABSENT: Mapping[str, str] = told_by_metric(ABSENT_OF)
