"""From AWS's descriptions to the inventory, and to what performance needs of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import structlog

from data_collector.collectors.aws.metrics import (
    Dimensions,
    Feature,
    Target,
)
from data_collector.collectors.aws.sizes import class_memory, class_vcpus
from optiinfra.catalog import ResourceStatus, ResourceType
from optiinfra.domain import Resource, iso

log = structlog.get_logger()

Native = Mapping[str, Any]

_GIB = 1 << 30
_MIB = 1 << 20
_GB = 10**9

_INSTANCE = {
    "pending": ResourceStatus.PENDING,
    "running": ResourceStatus.RUNNING,
    "stopping": ResourceStatus.STOPPING,
    "stopped": ResourceStatus.STOPPED,
    "shutting-down": ResourceStatus.TERMINATED,
    "terminated": ResourceStatus.TERMINATED,
}
_VOLUME = {
    "creating": ResourceStatus.PENDING,
    "available": ResourceStatus.AVAILABLE,
    "in-use": ResourceStatus.IN_USE,
    "deleting": ResourceStatus.TERMINATED,
    "deleted": ResourceStatus.TERMINATED,
    "error": ResourceStatus.ERROR,
}
_VPC = {"pending": ResourceStatus.PENDING, "available": ResourceStatus.AVAILABLE}
_BALANCER = {
    "provisioning": ResourceStatus.PENDING,
    "active": ResourceStatus.RUNNING,
    "active_impaired": ResourceStatus.DEGRADED,
    "failed": ResourceStatus.ERROR,
}
_CLUSTER = {
    "CREATING": ResourceStatus.PENDING,
    "UPDATING": ResourceStatus.PENDING,
    "PENDING": ResourceStatus.PENDING,
    "ACTIVE": ResourceStatus.RUNNING,
    "DELETING": ResourceStatus.TERMINATED,
    "FAILED": ResourceStatus.ERROR,
}
#: RDS says it in free words. These are the ones that it documents.
_DATABASE = {
    **dict.fromkeys(("available", "storage-optimization"), ResourceStatus.RUNNING),
    **dict.fromkeys(
        (
            "backing-up",
            "configuring-activity-stream",
            "configuring-enhanced-monitoring",
            "configuring-iam-database-auth",
            "configuring-log-exports",
            "converting-to-vpc",
            "creating",
            "delete-precheck",
            "maintenance",
            "migrating",
            "modifying",
            "moving-to-vpc",
            "promoting",
            "rebooting",
            "renaming",
            "resetting-master-credentials",
            "starting",
            "storage-config-upgrade",
            "storage-initialization",
            "upgrading",
        ),
        ResourceStatus.PENDING,
    ),
    **dict.fromkeys(("stopped",), ResourceStatus.STOPPED),
    **dict.fromkeys(("stopping",), ResourceStatus.STOPPING),
    **dict.fromkeys(("deleting", "deleted"), ResourceStatus.TERMINATED),
    **dict.fromkeys(
        (
            "failed",
            "inaccessible-encryption-credentials",
            "inaccessible-encryption-credentials-recoverable",
            "insufficient-capacity",
            "restore-error",
            "storage-full",
        ),
        ResourceStatus.ERROR,
    ),
}
#: What a listed status says about availability; the others leave it open.
_WORKING = {
    ResourceStatus.RUNNING: True,
    ResourceStatus.DEGRADED: True,
    ResourceStatus.ERROR: False,
}


def instance(native: Native, region: str, types: Mapping[str, Native]) -> Resource:
    """An entry of DescribeInstances; `types` are entries of DescribeInstanceTypes by name."""
    kind = types.get(native["InstanceType"], {})
    tags = _tags(native.get("Tags"))
    state = native["State"]["Name"]
    cpu = native.get("CpuOptions", {})
    vcpus = cpu.get("CoreCount", 0) * cpu.get("ThreadsPerCore", 0)
    memory = kind.get("MemoryInfo", {}).get("SizeInMiB")
    store = kind.get("InstanceStorageInfo", {}).get("TotalSizeInGB")
    return Resource(
        resource_id=native["InstanceId"],
        resource_name=tags.get("Name") or native["InstanceId"],
        resource_type=ResourceType.COMPUTE_INSTANCE,
        status=_status("EC2", _INSTANCE, state),
        region=region,
        metadata=_known(
            native_status=state,
            tags=tags,
            instance_type=native["InstanceType"],
            vcpus=vcpus or kind.get("VCpuInfo", {}).get("DefaultVCpus"),
            memory_bytes=memory * _MIB if memory else None,
            storage_bytes=store * _GB if store else None,
            zone=native.get("Placement", {}).get("AvailabilityZone"),
            created_at=_created(native),
            launched_at=_moment(native.get("LaunchTime")),
            hypervisor=kind.get("Hypervisor"),
            instance_store=kind.get("InstanceStorageSupported"),
            monitoring=native.get("Monitoring", {}).get("State"),
            image_id=native.get("ImageId"),
            architecture=native.get("Architecture"),
            platform=native.get("PlatformDetails") or native.get("Platform"),
            lifecycle=native.get("InstanceLifecycle"),
            tenancy=native.get("Placement", {}).get("Tenancy"),
            private_ip=native.get("PrivateIpAddress"),
            public_ip=native.get("PublicIpAddress"),
            network=native.get("VpcId"),
            subnet=native.get("SubnetId"),
            instance_profile=native.get("IamInstanceProfile", {}).get("Arn"),
            stop_reason=native.get("StateReason", {}).get("Code"),
        ),
    )


def volume(native: Native, region: str) -> Resource:
    """An entry of DescribeVolumes."""
    tags = _tags(native.get("Tags"))
    attached = [
        entry["InstanceId"]
        for entry in native.get("Attachments", ())
        if entry.get("InstanceId") and entry.get("State") not in ("detached", "detaching")
    ]
    return Resource(
        resource_id=native["VolumeId"],
        resource_name=tags.get("Name") or native["VolumeId"],
        resource_type=ResourceType.STORAGE_VOLUME,
        status=_status("EBS", _VOLUME, native["State"]),
        region=region,
        metadata=_known(
            native_status=native["State"],
            tags=tags,
            instance_type=native.get("VolumeType"),
            storage_bytes=native["Size"] * _GIB,
            zone=native.get("AvailabilityZone"),
            created_at=_moment(native.get("CreateTime")),
            attached_to=attached[0] if attached else None,
            attached_to_all=attached if len(attached) > 1 else None,
            iops=native.get("Iops"),
            throughput_mib_per_sec=native.get("Throughput"),
            encrypted=native.get("Encrypted"),
            snapshot=native.get("SnapshotId"),
        ),
    )


def vpc(native: Native, region: str) -> Resource:
    """An entry of DescribeVpcs."""
    tags = _tags(native.get("Tags"))
    return Resource(
        resource_id=native["VpcId"],
        resource_name=tags.get("Name") or native["VpcId"],
        resource_type=ResourceType.NETWORK,
        status=_status("VPC", _VPC, native["State"]),
        region=region,
        metadata=_known(
            native_status=native["State"],
            tags=tags,
            cidr=native.get("CidrBlock"),
            cidrs=[
                entry["CidrBlock"]
                for entry in native.get("CidrBlockAssociationSet", ())
                if entry.get("CidrBlockState", {}).get("State") == "associated"
            ],
            is_default=native.get("IsDefault"),
            tenancy=native.get("InstanceTenancy"),
        ),
    )


def database(native: Native, region: str) -> Resource:
    """An entry of DescribeDBInstances."""
    status = native["DBInstanceStatus"]
    kind = native["DBInstanceClass"]
    engine = str(native.get("Engine", ""))
    allocated = native.get("AllocatedStorage")
    return Resource(
        resource_id=native["DBInstanceArn"],
        resource_name=native["DBInstanceIdentifier"],
        resource_type=ResourceType.DATABASE,
        status=_database_status(status),
        region=region,
        metadata=_known(
            native_status=status,
            tags=_tags(native.get("TagList")),
            instance_type=kind,
            vcpus=class_vcpus(kind),
            memory_bytes=class_memory(kind),
            # Aurora's storage belongs to the cluster; an instance of it says 1.
            storage_bytes=allocated * _GIB if allocated and not _aurora(engine) else None,
            zone=native.get("AvailabilityZone"),
            created_at=_moment(native.get("InstanceCreateTime")),
            engine=engine,
            engine_version=native.get("EngineVersion"),
            storage_type=native.get("StorageType"),
            iops=native.get("Iops"),
            multi_az=native.get("MultiAZ"),
            encrypted=native.get("StorageEncrypted"),
            public=native.get("PubliclyAccessible"),
            cluster=native.get("DBClusterIdentifier"),
            replica_of=native.get("ReadReplicaSourceDBInstanceIdentifier"),
            network=native.get("DBSubnetGroup", {}).get("VpcId"),
            address=native.get("Endpoint", {}).get("Address"),
            port=native.get("Endpoint", {}).get("Port"),
        ),
    )


def database_cluster(native: Native, region: str) -> Resource | None:
    """An entry of DescribeDBClusters that is a database of its own, having no instances."""
    if native.get("DBClusterMembers"):
        return None
    return Resource(
        resource_id=native["DBClusterArn"],
        resource_name=native["DBClusterIdentifier"],
        resource_type=ResourceType.DATABASE,
        status=_database_status(native["Status"]),
        region=region,
        metadata=_known(
            native_status=native["Status"],
            tags=_tags(native.get("TagList")),
            created_at=_moment(native.get("ClusterCreateTime")),
            engine=native.get("Engine"),
            engine_version=native.get("EngineVersion"),
            engine_mode=native.get("EngineMode"),
            multi_az=native.get("MultiAZ"),
            encrypted=native.get("StorageEncrypted"),
            address=native.get("Endpoint"),
            port=native.get("Port"),
            kind="cluster",
        ),
    )


def balancer(
    native: Native, region: str, tags: Mapping[str, str], groups: Sequence[str]
) -> Resource:
    """An entry of DescribeLoadBalancers, with its tags and its target groups' ARNs."""
    state = native["State"]["Code"]
    zones = sorted(
        entry["ZoneName"] for entry in native.get("AvailabilityZones", ()) if entry.get("ZoneName")
    )
    return Resource(
        resource_id=native["LoadBalancerArn"],
        resource_name=native["LoadBalancerName"],
        resource_type=ResourceType.LOAD_BALANCER,
        status=_status("ELB", _BALANCER, state),
        region=region,
        metadata=_known(
            native_status=state,
            tags=dict(tags),
            instance_type=native["Type"],
            zone=zones[0] if len(zones) == 1 else None,
            zones=zones,
            created_at=_moment(native.get("CreatedTime")),
            scheme=native.get("Scheme"),
            address=native.get("DNSName"),
            address_type=native.get("IpAddressType"),
            network=native.get("VpcId"),
            target_groups=sorted(groups),
        ),
    )


def cluster(native: Native, region: str) -> Resource:
    """The entry of DescribeCluster."""
    network = native.get("resourcesVpcConfig", {})
    return Resource(
        resource_id=native["arn"],
        resource_name=native["name"],
        resource_type=ResourceType.KUBERNETES_CLUSTER,
        status=_status("EKS", _CLUSTER, native["status"]),
        region=region,
        metadata=_known(
            native_status=native["status"],
            tags=dict(native.get("tags") or {}),
            created_at=_moment(native.get("createdAt")),
            version=native.get("version"),
            platform_version=native.get("platformVersion"),
            address=native.get("endpoint"),
            network=network.get("vpcId"),
            subnets=sorted(network.get("subnetIds") or ()),
            public=network.get("endpointPublicAccess"),
            role_arn=native.get("roleArn"),
        ),
    )


def target(resource: Resource) -> Target | None:
    """What performance needs of a resource; None where nothing is ever said about it."""
    if resource.resource_type == ResourceType.NETWORK:
        return None
    family, dimensions = _identity(resource)
    metadata = resource.metadata
    status = ResourceStatus(resource.status)
    return Target(
        resource_id=resource.resource_id,
        name=resource.resource_name,
        type=ResourceType(resource.resource_type),
        family=family,
        dimensions=dimensions,
        quiet=_quiet(family, status),
        period=_finest(family, metadata),
        features=_features(family, metadata),
        group_dimensions=_groups(dimensions, metadata),
        launched_at=_parsed(metadata.get("launched_at")),
        memory_bytes=_amount(metadata, "memory_bytes"),
        storage_bytes=_amount(metadata, "storage_bytes"),
        attached_to=_attached(metadata),
        working=_WORKING.get(status) if family not in ("instance", "volume") else None,
    )


def _identity(resource: Resource) -> tuple[str, Dimensions]:
    match resource.resource_type:
        case ResourceType.COMPUTE_INSTANCE:
            return "instance", (("InstanceId", resource.resource_id),)
        case ResourceType.STORAGE_VOLUME:
            return "volume", (("VolumeId", resource.resource_id),)
        case ResourceType.DATABASE if resource.metadata.get("kind") == "cluster":
            return "database_cluster", (("DBClusterIdentifier", resource.resource_name),)
        case ResourceType.DATABASE:
            return "database", (("DBInstanceIdentifier", resource.resource_name),)
        case ResourceType.KUBERNETES_CLUSTER:
            return "cluster", (("ClusterName", resource.resource_name),)
    tail = resource.resource_id.partition("loadbalancer/")[2]
    return str(resource.metadata["instance_type"]), (("LoadBalancer", tail),)


def _quiet(family: str, status: ResourceStatus) -> str:
    """Why AWS publishes nothing, where its state says so."""
    if status is ResourceStatus.TERMINATED:
        return "terminated"
    if family in ("instance", "database") and status is ResourceStatus.STOPPED:
        return "stopped"
    if family == "volume" and status is ResourceStatus.AVAILABLE:
        return "not attached"
    return ""


def _finest(family: str, metadata: Mapping[str, object]) -> int:
    return 300 if family == "instance" and metadata.get("monitoring") != "enabled" else 60


def _features(family: str, metadata: Mapping[str, object]) -> frozenset[Feature]:
    found = set()
    # Where the type could not be asked about, it is most likely one of the last ten years.
    if family == "instance" and metadata.get("hypervisor", "nitro") == "nitro":
        found.add(Feature.NITRO)
    if family == "instance" and metadata.get("instance_store"):
        found.add(Feature.INSTANCE_STORE)
    if family == "database" and not _aurora(str(metadata.get("engine", ""))):
        found.add(Feature.OWN_STORAGE)
    return frozenset(found)


def _groups(balancer: Dimensions, metadata: Mapping[str, object]) -> tuple[Dimensions, ...]:
    groups = metadata.get("target_groups", ())
    assert isinstance(groups, Sequence)  # noqa: S101 - narrows for the type checker
    return tuple((("TargetGroup", str(arn).rpartition(":")[2]), *balancer) for arn in groups)


def _attached(metadata: Mapping[str, object]) -> tuple[str, ...]:
    several = metadata.get("attached_to_all")
    if isinstance(several, list):
        return tuple(several)
    one = metadata.get("attached_to")
    return (str(one),) if one else ()


def _amount(metadata: Mapping[str, object], key: str) -> int:
    value = metadata.get(key)
    return value if isinstance(value, int) else 0


def _aurora(engine: str) -> bool:
    """Whether the storage belongs to a cluster: Aurora and its relatives."""
    return engine.startswith("aurora") or engine in ("neptune", "docdb")


def _database_status(native: str) -> ResourceStatus:
    if native.startswith("incompatible-"):
        return ResourceStatus.ERROR
    return _status("RDS", _DATABASE, native)


def _status(service: str, words: Mapping[str, ResourceStatus], native: str) -> ResourceStatus:
    return words.get(native) or _unknown(service, native)


@lru_cache(maxsize=256)
def _unknown(service: str, native: str) -> ResourceStatus:
    """Cached, so that each is logged once."""
    log.warning("aws_unknown_status", service=service, status=native[:64])
    return ResourceStatus.UNKNOWN


def _tags(native: Iterable[Native] | None) -> dict[str, str]:
    return {entry["Key"]: entry.get("Value", "") for entry in native or ()}


def _created(native: Native) -> str | None:
    """When an instance was created: its first interface stays attached for life, whereas
    LaunchTime is the last start."""
    times = [
        entry["Attachment"]["AttachTime"]
        for entry in native.get("NetworkInterfaces", ())
        if entry.get("Attachment", {}).get("DeviceIndex") == 0
        and entry["Attachment"].get("AttachTime")
    ]
    return _moment(min(times)) if times else None


def _moment(value: datetime | None) -> str | None:
    return iso(value) if value else None


def _parsed(value: object) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def _known(**entries: object) -> dict[str, object]:
    """The metadata without what is not known."""
    return {key: value for key, value in entries.items() if value not in (None, "", [], {})}
