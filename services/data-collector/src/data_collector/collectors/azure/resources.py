"""What is asked of Resource Graph, and from its rows to the inventory. Pure.

The query takes single fields, so that nothing secret ever leaves Azure, and with them the
subscription's own row: an answer without it proves no more than that nothing may be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from data_collector.collectors.azure.metrics import (
    APPLICATION_GATEWAYS,
    DISKS,
    KUBERNETES_CLUSTERS,
    LOAD_BALANCERS,
    NAMESPACES,
    POSTGRESQL_SERVERS,
    SQL_DATABASES,
    VIRTUAL_MACHINES,
    VIRTUAL_NETWORKS,
)
from data_collector.collectors.azure.performance import Target
from data_collector.collectors.azure.statuses import IDLE, status_of
from optiinfra.catalog import ResourceType
from optiinfra.domain import Resource, iso

Row = Mapping[str, Any]

GIB = 1024**3
SUBSCRIPTION = "microsoft.resources/subscriptions"

#: Canonical type by Azure's, in lower case.
TYPES: Mapping[str, ResourceType] = {
    **{namespace.name: namespace.resource_type for namespace in NAMESPACES},
    VIRTUAL_NETWORKS: ResourceType.NETWORK,
}

#: The columns of a row and where Resource Graph finds them. What types share a column for,
#: they name differently.
COLUMNS: Mapping[str, str] = {
    "id": "id",
    "name": "name",
    "type": "type",
    "location": "location",
    "resourceGroup": "resourceGroup",
    "tags": "tags",
    "sku": "sku",
    "zones": "zones",
    "managedBy": "managedBy",
    "vmSize": "tostring(properties.hardwareProfile.vmSize)",
    "osType": "coalesce(tostring(properties.storageProfile.osDisk.osType), "
    "tostring(properties.osType))",
    "image": "properties.storageProfile.imageReference",
    "osDiskGb": "tolong(properties.storageProfile.osDisk.diskSizeGB)",
    "dataDisks": "properties.storageProfile.dataDisks",
    "priority": "tostring(properties.priority)",
    "diskGb": "tolong(properties.diskSizeGB)",
    "diskState": "tostring(properties.diskState)",
    "diskIops": "tolong(properties.diskIOPSReadWrite)",
    "diskMbps": "tolong(properties.diskMBpsReadWrite)",
    "maxSizeBytes": "tolong(properties.maxSizeBytes)",
    "dbStatus": "tostring(properties.status)",
    "storageGb": "tolong(properties.storage.storageSizeGB)",
    "version": "coalesce(tostring(properties.kubernetesVersion), tostring(properties.version))",
    "zone": "tostring(properties.availabilityZone)",
    "highAvailability": "tostring(properties.highAvailability.mode)",
    "nodePools": "properties.agentPoolProfiles",
    "gatewaySku": "properties.sku",
    "addressPrefixes": "properties.addressSpace.addressPrefixes",
    "operational": "tostring(properties.operationalState)",
    "power": "tostring(properties.extended.instanceView.powerState.code)",
    "clusterPower": "tostring(properties.powerState.code)",
    "state": "tostring(properties.state)",
    "provisioning": "tostring(properties.provisioningState)",
    "created": "coalesce(tostring(properties.timeCreated), tostring(properties.creationDate))",
}

#: The one query. A server's `master` holds no customer's data and has no metrics of its own.
QUERY = "\n".join(
    (
        "resources",
        f"| where type in~ ({', '.join(repr(name) for name in TYPES)})",
        f"| where not(type =~ '{SQL_DATABASES.name}' and name =~ 'master')",
        f"| union (resourcecontainers | where type =~ '{SUBSCRIPTION}')",
        "| project "
        + ", ".join(
            column if column == path else f"{column}={path}" for column, path in COLUMNS.items()
        ),
        "| order by id asc",
    )
)


@dataclass(frozen=True, slots=True)
class Size:
    """What an instance type has, as far as Azure says."""

    vcpus: int | None = None
    memory_bytes: int | None = None


#: Sizes of a region by instance type in lower case.
Sizes = Mapping[str, Size]

#: Memory of a SQL database, which no answer says, by what follows the tier in its SKU's name: of
#: the standard series as Microsoft's tables of limits have it, serverless at its most.
_SQL_GIB_PER_VCORE: Mapping[str, float] = {"gen5": 5.19, "s_gen5": 3.0}

_MEASURED = frozenset(namespace.name for namespace in NAMESPACES)


def is_subscription(row: Row) -> bool:
    """Whether the row is the subscription itself."""
    return str(row["type"]).lower() == SUBSCRIPTION


def instance_type(row: Row) -> str:
    """The name by which the type of machine under it is known, empty where there is none."""
    if str(row["type"]).lower() == POSTGRESQL_SERVERS.name:
        return str(_part(row, "sku", "name") or "")
    return str(row.get("vmSize") or "")


def region(row: Row) -> str:
    """Azure writes a region as `East US 2` or as `eastus2`; the latter is its name."""
    return str(row.get("location") or "global").replace(" ", "").lower()


def normalise(row: Row, sizes: Sizes) -> Resource:
    """One resource. KeyError where the row lacks what every resource has."""
    kind = str(row["type"]).lower()
    status, native_status = status_of(kind, row)
    return Resource(
        resource_id=str(row["id"]).lower(),
        resource_name=str(row["name"]),
        resource_type=TYPES[kind],
        status=status,
        region=region(row),
        metadata=_known(
            native_type=kind,
            native_status=native_status,
            resource_group=str(row.get("resourceGroup") or "").lower(),
            tags=row.get("tags"),
            zone=_zone(row),
            created_at=_moment(row.get("created")),
            **_DETAILS[kind](row, sizes.get(instance_type(row).lower(), Size())),
        ),
    )


def target(row: Row) -> Target | None:
    """The resource as its metrics are asked for; None where its type has none."""
    kind = str(row["type"]).lower()
    if kind not in _MEASURED:
        return None
    status, _ = status_of(kind, row)
    return Target(
        resource_id=str(row["id"]).lower(),
        name=str(row["name"]),
        namespace=kind,
        region=region(row),
        idle=IDLE.get(status, ""),
        capacity_bytes=_whole(row.get("maxSizeBytes")),
    )


def sizes_of(skus: Iterable[Mapping[str, Any]]) -> dict[str, Size]:
    """Sizes by instance type, from the bodies of Microsoft.Compute/skus."""
    sizes = {}
    for sku in skus:
        if str(sku.get("resourceType")).lower() != "virtualmachines":
            continue
        has = {entry.get("name"): entry.get("value") for entry in sku.get("capabilities") or ()}
        # A constrained size has fewer vCPUs than the machine that it is made from.
        vcpus = _whole(has.get("vCPUsAvailable") or has.get("vCPUs"))
        memory = _number(has.get("MemoryGB"))
        name = str(sku.get("name")).lower()
        sizes[name] = Size(vcpus, None if memory is None else int(memory * GIB))
    return sizes


def _machine(row: Row, size: Size) -> dict[str, object]:
    return {
        "instance_type": row.get("vmSize"),
        "vcpus": size.vcpus,
        "memory_bytes": size.memory_bytes,
        "storage_bytes": _disk_bytes(row),
        "os": row.get("osType"),
        "image": _image(row),
        "priority": row.get("priority"),
    }


def _disk(row: Row, size: Size) -> dict[str, object]:
    return {
        **_sku(row),
        "storage_bytes": _gib(row.get("diskGb")),
        "attached_to": str(row.get("managedBy") or "").lower(),
        "iops": _whole(row.get("diskIops")),
        "throughput_mb_per_sec": _whole(row.get("diskMbps")),
        "os": row.get("osType"),
    }


def _sql_database(row: Row, size: Size) -> dict[str, object]:
    # A capacity counts vCores where the tier has a hardware family, else DTUs.
    vcores = _whole(_part(row, "sku", "capacity")) if _part(row, "sku", "family") else None
    name = str(_part(row, "sku", "name") or "")
    per_vcore = _SQL_GIB_PER_VCORE.get(name.lower().partition("_")[2])
    return {
        **_sku(row),
        "instance_type": name,
        "vcpus": vcores,
        "memory_bytes": int(vcores * per_vcore * GIB) if vcores and per_vcore else None,
        "storage_bytes": _whole(row.get("maxSizeBytes")),
        "engine": "sqlserver",
    }


def _postgresql(row: Row, size: Size) -> dict[str, object]:
    return {
        **_sku(row),
        "instance_type": _part(row, "sku", "name"),
        "vcpus": size.vcpus,
        "memory_bytes": size.memory_bytes,
        "storage_bytes": _gib(row.get("storageGb")),
        "engine": "postgresql",
        "version": row.get("version"),
        "high_availability": row.get("highAvailability"),
    }


def _balancer(row: Row, size: Size) -> dict[str, object]:
    return {**_sku(row), "load_balancer_type": "network"}


def _gateway(row: Row, size: Size) -> dict[str, object]:
    return {**_sku(row, "gatewaySku"), "load_balancer_type": "application"}


def _network(row: Row, size: Size) -> dict[str, object]:
    return {"address_prefixes": row.get("addressPrefixes")}


def _cluster(row: Row, size: Size) -> dict[str, object]:
    # Instance type by pool, and not its count: an autoscaler moves that all day.
    pools = {str(pool["name"]): str(pool.get("vmSize")) for pool in row.get("nodePools") or ()}
    return {**_sku(row), "version": row.get("version"), "node_pools": pools}


#: What only some types have.
_DETAILS: Mapping[str, Callable[[Row, Size], dict[str, object]]] = {
    VIRTUAL_MACHINES.name: _machine,
    DISKS.name: _disk,
    SQL_DATABASES.name: _sql_database,
    POSTGRESQL_SERVERS.name: _postgresql,
    LOAD_BALANCERS.name: _balancer,
    APPLICATION_GATEWAYS.name: _gateway,
    VIRTUAL_NETWORKS: _network,
    KUBERNETES_CLUSTERS.name: _cluster,
}


def _sku(row: Row, column: str = "sku") -> dict[str, object]:
    return {"sku": _part(row, column, "name"), "tier": _part(row, column, "tier")}


def _zone(row: Row) -> str:
    zones = row.get("zones")
    return ",".join(str(zone) for zone in zones) if zones else str(row.get("zone") or "")


def _disk_bytes(row: Row) -> int | None:
    """The disks of a machine added up; None where one does not say its size, as when a
    machine is deallocated."""
    disks = [row.get("osDiskGb"), *(disk.get("diskSizeGB") for disk in row.get("dataDisks") or ())]
    sizes = [_gib(gigabytes) for gigabytes in disks]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _image(row: Row) -> str:
    image = row.get("image") or {}
    return ":".join(str(image[key]) for key in ("publisher", "offer", "sku") if image.get(key))


def _part(row: Row, column: str, key: str) -> Any:
    value = row.get(column)
    return value.get(key) if isinstance(value, Mapping) else None


def _gib(value: object) -> int | None:
    size = _whole(value)
    return None if size is None else size * GIB


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _moment(text: object) -> str:
    """RFC 3339, empty where the text is no time; Azure writes seven digits of a second."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return ""
    return iso(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _known(**entries: object) -> dict[str, object]:
    """The metadata without what is not known."""
    return {key: value for key, value in entries.items() if value not in (None, "", {}, [])}
