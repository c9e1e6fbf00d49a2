"""From Google's JSON to the inventory, and what performance needs to know of it. Pure.

Bodies are as the REST APIs write them (camelCase, numbers as text); Asset inventory holds the
same ones for Cloud SQL and GKE.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from optiinfra.catalog import ResourceStatus, ResourceType
from optiinfra.domain import Resource, iso
from optiinfra.errors import ContractError

Body = Mapping[str, Any]
#: vCPUs and memory in bytes, by the name of a machine type.
Sizes = Mapping[str, tuple[int, int]]

GLOBAL = "global"
#: What Google calls a GB of disk is a GiB.
GIB = 1024**3
MIB = 1024**2

INSTANCE_STATUSES: Mapping[str, ResourceStatus] = {
    "PROVISIONING": ResourceStatus.PENDING,
    "STAGING": ResourceStatus.PENDING,
    "PENDING": ResourceStatus.PENDING,
    "RUNNING": ResourceStatus.RUNNING,
    "STOPPING": ResourceStatus.STOPPING,
    "SUSPENDING": ResourceStatus.STOPPING,
    "PENDING_STOP": ResourceStatus.STOPPING,
    "DEPROVISIONING": ResourceStatus.STOPPING,
    "STOPPED": ResourceStatus.STOPPED,
    # It can be started again; a deleted instance is in no list.
    "TERMINATED": ResourceStatus.STOPPED,
    "SUSPENDED": ResourceStatus.STOPPED,
    "REPAIRING": ResourceStatus.DEGRADED,
}
DISK_STATUSES: Mapping[str, ResourceStatus] = {
    "CREATING": ResourceStatus.PENDING,
    "RESTORING": ResourceStatus.PENDING,
    "READY": ResourceStatus.AVAILABLE,  # or in_use: see normalise_disk
    "DELETING": ResourceStatus.TERMINATED,
    "FAILED": ResourceStatus.ERROR,
    "UNAVAILABLE": ResourceStatus.ERROR,
}
SQL_STATUSES: Mapping[str, ResourceStatus] = {
    "RUNNABLE": ResourceStatus.RUNNING,  # or stopped: see normalise_database
    "PENDING_CREATE": ResourceStatus.PENDING,
    "MAINTENANCE": ResourceStatus.PENDING,
    "ONLINE_MAINTENANCE": ResourceStatus.PENDING,
    "REPAIRING": ResourceStatus.PENDING,
    "PENDING_DELETE": ResourceStatus.TERMINATED,
    "SUSPENDED": ResourceStatus.STOPPED,
    "FAILED": ResourceStatus.ERROR,
}
CLUSTER_STATUSES: Mapping[str, ResourceStatus] = {
    "PROVISIONING": ResourceStatus.PENDING,
    "RECONCILING": ResourceStatus.PENDING,
    "RUNNING": ResourceStatus.RUNNING,
    "STOPPING": ResourceStatus.TERMINATED,
    "DEGRADED": ResourceStatus.DEGRADED,
    "ERROR": ResourceStatus.ERROR,
}

SQL_ASSET = "sqladmin.googleapis.com/Instance"
CLUSTER_ASSET = "container.googleapis.com/Cluster"
ASSET_TYPES = (SQL_ASSET, CLUSTER_ASSET)

#: Sizes in the name: n2-custom-4-8192-ext, custom-2-4096, db-custom-2-7680.
_CUSTOM = re.compile(r"(?:^|-)custom-(\d+)-(\d+)(?:-ext)?$")
_ZONE = re.compile(r"^(.+)-[a-z]$")
#: Forwarding rules that lead to an HTTP(S) proxy have metrics; the others pass packets on.
_HTTP_TARGET = re.compile(r"/target(?:Http|Https)Proxies/")


def cluster_id(project: str, location: str, name: str) -> str:
    """The full resource name, as the labels of its nodes' metrics allow to build it.

    Asset inventory writes `zones/` for a zonal cluster; metrics do not say which it is, so
    the id has `locations/` for both, as GKE's own API does.
    """
    return f"//container.googleapis.com/projects/{project}/locations/{location}/clusters/{name}"


def forwarding_rule_id(project: str, region: str, name: str) -> str:
    """The full resource name: metrics carry the rule's name and region, not its number."""
    where = GLOBAL if region == GLOBAL else f"regions/{region}"
    return f"//compute.googleapis.com/projects/{project}/{where}/forwardingRules/{name}"


def region_of(location: str) -> str:
    """The region of a zone; a region and `global` are their own."""
    zone = _ZONE.match(location)
    return zone[1] if zone else location


@lru_cache(maxsize=1024)
def placed(location: str) -> Mapping[str, object]:
    """Region, and zone where the location is one, as metadata: one object for each location,
    which all its series share.
    """
    region = region_of(location)
    return _known(region=region, zone=location if location != region else None)


def machine_type_name(body: Body) -> str:
    """The name of an instance's machine type, empty where the body has none."""
    return _tail(body.get("machineType"))


def custom_size(machine_type: str) -> tuple[int, int] | None:
    """vCPUs and bytes of memory of a custom machine type, whose name says them."""
    custom = _CUSTOM.search(machine_type)
    return (int(custom[1]), int(custom[2]) * MIB) if custom else None


def machine_sizes(bodies: Iterable[Body]) -> dict[str, tuple[int, int]]:
    """Sizes by name from machine types, which are the same in every zone."""
    return {body["name"]: (int(body["guestCpus"]), int(body["memoryMb"]) * MIB) for body in bodies}


def normalise_instance(body: Body, sizes: Sizes) -> Resource:
    """A Compute Engine instance. Its items of `metadata` are left out: they hold secrets."""
    zone = _tail(body.get("zone"))
    machine_type = machine_type_name(body)
    vcpus, memory = custom_size(machine_type) or sizes.get(machine_type) or (None, None)
    disks = [disk for disk in body.get("disks", ()) if disk.get("type") != "SCRATCH"]
    interface: Body = next(iter(body.get("networkInterfaces", ())), {})
    access: Body = next(iter(interface.get("accessConfigs", ())), {})
    scheduling = body.get("scheduling", {})
    return Resource(
        resource_id=str(body["id"]),
        resource_name=body["name"],
        resource_type=ResourceType.COMPUTE_INSTANCE,
        status=_status(INSTANCE_STATUSES, body.get("status")),
        region=region_of(zone),
        metadata=_known(
            native_status=body.get("status"),
            zone=zone,
            instance_type=machine_type,
            vcpus=vcpus,
            memory_bytes=memory,
            storage_bytes=_gib(sum(_int(disk.get("diskSizeGb")) or 0 for disk in disks)),
            tags=dict(body.get("labels", {})),
            network_tags=list(body.get("tags", {}).get("items", ())),
            created_at=_moment(body.get("creationTimestamp")),
            started_at=_moment(body.get("lastStartTimestamp")),
            cpu_platform=body.get("cpuPlatform"),
            provisioning_model=scheduling.get("provisioningModel"),
            preemptible=scheduling.get("preemptible"),
            deletion_protection=body.get("deletionProtection"),
            network=_tail(interface.get("network")),
            subnetwork=_tail(interface.get("subnetwork")),
            private_ip=interface.get("networkIP"),
            public_ip=access.get("natIP"),
            hostname=body.get("hostname"),
            accelerators={
                _tail(one.get("acceleratorType")): _int(one.get("acceleratorCount"))
                for one in body.get("guestAccelerators", ())
            },
            # What the metrics call a disk, and the disk that it is: empty for a local one.
            devices={
                disk["deviceName"]: _path(disk.get("source"))
                for disk in body.get("disks", ())
                if "deviceName" in disk
            },
        ),
    )


def normalise_disk(body: Body, instance_ids: Mapping[str, str]) -> Resource:
    """A persistent disk. `instance_ids` gives the ids of instances by their path."""
    location = _tail(body.get("zone") or body.get("region"))
    users = [_path(user) for user in body.get("users", ())]
    attached = [instance_ids[user] for user in users if user in instance_ids]
    status = _status(DISK_STATUSES, body.get("status"))
    if status is ResourceStatus.AVAILABLE and users:
        status = ResourceStatus.IN_USE
    return Resource(
        resource_id=str(body["id"]),
        resource_name=body["name"],
        resource_type=ResourceType.STORAGE_VOLUME,
        status=status,
        region=region_of(location),
        metadata=_known(
            native_status=body.get("status"),
            zone=placed(location).get("zone"),
            volume_type=_tail(body.get("type")),
            storage_bytes=_gib(_int(body.get("sizeGb"))),
            tags=dict(body.get("labels", {})),
            created_at=_moment(body.get("creationTimestamp")),
            attached_to=attached[0] if len(attached) == 1 else attached,
            users=len(users) or None,
            path=_path(body.get("selfLink")),
            source_image=_tail(body.get("sourceImage")),
            source_snapshot=_tail(body.get("sourceSnapshot")),
            provisioned_iops=_int(body.get("provisionedIops")),
            provisioned_throughput=_int(body.get("provisionedThroughput")),
        ),
    )


def normalise_forwarding_rule(body: Body, project: str) -> Resource:
    """A forwarding rule, the front of a load balancer. Google gives it no state."""
    region = _tail(body.get("region")) or GLOBAL
    target = body.get("target", "")
    return Resource(
        resource_id=forwarding_rule_id(project, region, body["name"]),
        resource_name=body["name"],
        resource_type=ResourceType.LOAD_BALANCER,
        status=ResourceStatus.RUNNING,
        region=region,
        metadata=_known(
            scheme=body.get("loadBalancingScheme"),
            serves_http=bool(_HTTP_TARGET.search(target)),
            tags=dict(body.get("labels", {})),
            created_at=_moment(body.get("creationTimestamp")),
            numeric_id=_text(body.get("id")),
            ip_address=body.get("IPAddress"),
            ip_protocol=body.get("IPProtocol"),
            port_range=body.get("portRange"),
            ports=list(body.get("ports", ())),
            target=_path(target),
            backend_service=_path(body.get("backendService")),
            network=_tail(body.get("network")),
            subnetwork=_tail(body.get("subnetwork")),
            network_tier=body.get("networkTier"),
        ),
    )


def normalise_network(body: Body) -> Resource:
    """A VPC network. Google gives it no state."""
    return Resource(
        resource_id=str(body["id"]),
        resource_name=body["name"],
        resource_type=ResourceType.NETWORK,
        status=ResourceStatus.AVAILABLE,
        region=GLOBAL,
        metadata=_known(
            created_at=_moment(body.get("creationTimestamp")),
            description=body.get("description"),
            auto_create_subnetworks=body.get("autoCreateSubnetworks"),
            routing_mode=body.get("routingConfig", {}).get("routingMode"),
            mtu=_int(body.get("mtu")),
            cidr=body.get("IPv4Range"),
            subnetworks=sorted(_path(one) for one in body.get("subnetworks", ())),
            peerings=sorted(_text(one.get("name")) for one in body.get("peerings", ())),
        ),
    )


def normalise_database(body: Body, project: str) -> Resource:
    """A Cloud SQL instance, as sqladmin describes it; certificates are left out."""
    settings = body.get("settings", {})
    tier = settings.get("tier", "")
    vcpus, memory = custom_size(tier) or (None, None)
    status = _status(SQL_STATUSES, body.get("state"))
    if status is ResourceStatus.RUNNING and settings.get("activationPolicy") == "NEVER":
        status = ResourceStatus.STOPPED
    return Resource(
        resource_id=f"{body.get('project') or project}:{body['name']}",
        resource_name=body["name"],
        resource_type=ResourceType.DATABASE,
        status=status,
        region=body.get("region") or GLOBAL,
        metadata=_known(
            native_status=body.get("state"),
            activation_policy=settings.get("activationPolicy"),
            zone=body.get("gceZone"),
            instance_type=tier,
            vcpus=vcpus,
            memory_bytes=memory,
            storage_bytes=_gib(_int(settings.get("dataDiskSizeGb"))),
            tags=dict(settings.get("userLabels", {})),
            created_at=_moment(body.get("createTime")),
            engine=body.get("databaseVersion"),
            availability_type=settings.get("availabilityType"),
            disk_type=settings.get("dataDiskType"),
            instance_kind=body.get("instanceType"),
            replica_of=body.get("masterInstanceName"),
            connection_name=body.get("connectionName"),
            deletion_protection=settings.get("deletionProtectionEnabled"),
            ip_addresses=[
                one["ipAddress"] for one in body.get("ipAddresses", ()) if "ipAddress" in one
            ],
        ),
    )


def normalise_cluster(body: Body, project: str) -> Resource:
    """A GKE cluster; its credentials (`masterAuth`) are left out."""
    location = body.get("location") or body.get("zone") or ""
    pools = body.get("nodePools", ())
    return Resource(
        resource_id=cluster_id(project, location, body["name"]),
        resource_name=body["name"],
        resource_type=ResourceType.KUBERNETES_CLUSTER,
        status=_status(CLUSTER_STATUSES, body.get("status")),
        region=region_of(location) or GLOBAL,
        metadata=_known(
            native_status=body.get("status"),
            zone=placed(location).get("zone"),
            tags=dict(body.get("resourceLabels", {})),
            created_at=_moment(body.get("createTime")),
            version=body.get("currentMasterVersion"),
            node_version=body.get("currentNodeVersion"),
            autopilot=body.get("autopilot", {}).get("enabled"),
            release_channel=body.get("releaseChannel", {}).get("channel"),
            network=body.get("network"),
            subnetwork=body.get("subnetwork"),
            cidr=body.get("clusterIpv4Cidr"),
            services_cidr=body.get("servicesIpv4Cidr"),
            node_pools={
                pool["name"]: _known(
                    instance_type=pool.get("config", {}).get("machineType"),
                    status=pool.get("status"),
                    version=pool.get("version"),
                    initial_nodes=_int(pool.get("initialNodeCount")),
                )
                for pool in pools
            },
        ),
    )


def normalise_asset(result: Body, project: str) -> Resource:
    """A result of SearchAllResources with its body; ContractError for a type not asked for.

    What the index says of an asset stands in for what its body lacks.
    """
    bodies: Sequence[Body] = result.get("versionedResources") or ({},)
    body = dict(bodies[-1].get("resource", {}))
    body.setdefault("name", _tail(result["name"]))
    match result.get("assetType"):
        case kind if kind == SQL_ASSET:
            body.setdefault("state", result.get("state"))
            body.setdefault("region", result.get("location"))
            body.setdefault("createTime", result.get("createTime"))
            body.setdefault("settings", {"userLabels": result.get("labels", {})})
            return normalise_database(body, project)
        case kind if kind == CLUSTER_ASSET:
            body.setdefault("status", result.get("state"))
            body.setdefault("location", result.get("location"))
            body.setdefault("createTime", result.get("createTime"))
            body.setdefault("resourceLabels", result.get("labels", {}))
            return normalise_cluster(body, project)
        case _:
            raise ContractError(f"{project}: an asset of a type that was not asked for")


@dataclass(frozen=True, slots=True)
class Volume:
    """A disk as performance needs it. `attachments`: how many instances use it."""

    resource_id: str
    name: str
    attachments: int


@dataclass(frozen=True, slots=True)
class Known:
    """A listed resource as performance needs it. `user` is the instance that a disk is attached
    to, and `serves_http` says of a forwarding rule that it has metrics.
    """

    resource_id: str
    name: str
    type: str
    status: str
    created_at: str
    user: str
    serves_http: bool


class Index:
    """What is known of resources by id, and which disk a device of an instance is."""

    def __init__(self, listed: Iterable[Resource] = ()) -> None:
        self.by_id: dict[str, Known] = {}
        self._volumes: dict[tuple[str, str], Volume | None] = {}
        volumes: dict[str, Volume] = {}
        paths: dict[tuple[str, str], str] = {}
        for one in listed:
            self.by_id[one.resource_id] = Known(
                one.resource_id,
                one.resource_name,
                sys.intern(str(one.resource_type)),
                sys.intern(str(one.status)),
                _text(one.metadata.get("created_at")),
                _text(one.metadata.get("attached_to")),
                bool(one.metadata.get("serves_http")),
            )
            if one.resource_type == ResourceType.STORAGE_VOLUME and "path" in one.metadata:
                users = int(str(one.metadata.get("users", 1)))
                volume = Volume(one.resource_id, one.resource_name, users)
                volumes[str(one.metadata["path"])] = volume
            devices = one.metadata.get("devices")
            for device, path in devices.items() if isinstance(devices, dict) else ():
                paths[one.resource_id, sys.intern(device)] = path
        for key, path in paths.items():
            self._volumes[key] = volumes.get(path)

    def name(self, resource_id: str) -> str:
        """The resource's name, empty where it is not known."""
        known = self.by_id.get(resource_id)
        return known.name if known else ""

    def knows_device(self, instance_id: str, device: str) -> bool:
        """Whether the instance was listed with such a device."""
        return (instance_id, device) in self._volumes

    def volume(self, instance_id: str, device: str) -> Volume | None:
        """The disk behind the device; None for a local disk or an unknown one."""
        return self._volumes.get((instance_id, device))


def path_of(body: Body) -> str:
    """What other bodies call this one: its link without host and API version."""
    return _path(body.get("selfLink"))


def _status(statuses: Mapping[str, ResourceStatus], native: object) -> ResourceStatus:
    return statuses.get(str(native), ResourceStatus.UNKNOWN)


def _tail(link: object) -> str:
    return str(link or "").rpartition("/")[2]


def _path(link: object) -> str:
    """`projects/...` of a link, whichever host and version stand before it."""
    text = str(link or "")
    at = text.find("projects/")
    return text[at:] if at > 0 else text


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _int(value: object) -> int | None:
    """A number that JSON holds as text (REST) or as a float (Asset inventory)."""
    return None if value in (None, "") else int(float(str(value)))


def _gib(count: int | None) -> int | None:
    return count * GIB if count else None


def _moment(text: object) -> str:
    """RFC 3339 in UTC, empty where there is none."""
    if not text:
        return ""
    return iso(datetime.fromisoformat(str(text).replace("Z", "+00:00")))


def _known(**entries: object) -> dict[str, object]:
    """The metadata without what is not known. Having no tags is known."""
    return {
        key: value
        for key, value in entries.items()
        if key == "tags" or value not in (None, "", [], {})
    }
