"""From the API's listings to the inventory. Pure.

Only named fields are taken, so nothing secret (default_password, kvm, password, keys) can come
along. Fields that are not known are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import structlog

from optiinfra.catalog import ResourceStatus, ResourceType
from optiinfra.domain import Resource, iso
from optiinfra.errors import ContractError

log = structlog.get_logger()

Native = Mapping[str, Any]

_MEBIBYTE = 1024**2
_RAM = re.compile(r"\s*(\d{1,12})\s*(MB|GB)?\s*", re.IGNORECASE)
_DISK = re.compile(r"(?:(\d{1,4})\s*x\s*)?(\d{1,9}(?:\.\d+)?)\s*(GB|TB)", re.IGNORECASE)

_RUNNING, _STOPPED = ResourceStatus.RUNNING, ResourceStatus.STOPPED
_PENDING, _AVAILABLE = ResourceStatus.PENDING, ResourceStatus.AVAILABLE
#: Native words in lower case. The two of an instance are put together with a slash.
_MACHINE_STATUSES = {
    "active/running": _RUNNING,
    "active/stopped": _STOPPED,
    "pending": _PENDING,
    "resizing": _PENDING,
    "suspended": _STOPPED,
}
_METAL_STATUSES = _MACHINE_STATUSES | {"active": _RUNNING}
_BLOCK_STATUSES = {"active": _AVAILABLE, "pending": _PENDING}
_BALANCER_STATUSES = {"active": _RUNNING, "pending": _PENDING}
_CLUSTER_STATUSES = {"active": _RUNNING, "pending": _PENDING}
_DATABASE_STATUSES = {
    "running": _RUNNING,
    "rebuilding": _PENDING,
    "rebalancing": _PENDING,
    "configuring": _PENDING,
    "pending": _PENDING,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What one machine of a plan has."""

    vcpus: int | None
    memory_bytes: int | None
    storage_bytes: int | None


@dataclass(frozen=True, slots=True)
class Sizes:
    """What sizes are told by: the plans, and the API's notion of a gigabyte in bytes."""

    gigabyte: int
    plans: Mapping[str, Plan] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Service:
    """One listing of the API. `plans` names the listing of the plans that give its sizes."""

    name: str
    path: str
    key: str
    normalise: Callable[[Native, Sizes], Resource]
    paged: bool = True
    plans: str = ""

    @property
    def operation(self) -> str:
        """What a call for it is counted as."""
        return f"list_{self.name}"


def children(service: Service, native: Native) -> Iterable[Native]:
    """What is listed inside another resource: a database's read replicas."""
    if service is not DATABASES:
        return ()
    return [
        {"replica_of": native["id"], **replica}
        for replica in _objects(native.get("read_replicas"))
        if _lower(replica.get("id"))
    ]


def plan(native: Native, gigabyte: int) -> Plan:
    """A plan of /plans or /plans-metal. A metal plan's vCPUs are its hardware threads."""
    disk, disks = number(native.get("disk")), number(native.get("disk_count"))
    return Plan(
        vcpus=_whole(_first(native, "vcpu_count", "cpu_threads", "cpu_count")),
        memory_bytes=_mebibytes(native.get("ram")),
        storage_bytes=None if disk is None else _whole(disk * (disks or 1) * gigabyte),
    )


def instance(native: Native, sizes: Sizes) -> Resource:
    """An entry of /instances."""
    status = _word(native.get("status"))
    if status == "active":
        status = f"active/{_word(native.get('power_status')) or '?'}"
    return _resource(
        native,
        ResourceType.COMPUTE_INSTANCE,
        _canonical("instance", status, _MACHINE_STATUSES),
        power_status=native.get("power_status"),
        vcpus=_whole(native.get("vcpu_count")),
        memory_bytes=_mebibytes(native.get("ram")),
        storage_bytes=_gigabytes(native.get("disk"), sizes),
        **_machine(native),
    )


def bare_metal(native: Native, sizes: Sizes) -> Resource:
    """An entry of /bare-metals: a compute instance whose sizes are texts."""
    status, power = _word(native.get("status")), _word(native.get("power_status"))
    if status == "active" and power:
        status = f"active/{power}"
    known = sizes.plans.get(str(native.get("plan")))
    return _resource(
        native,
        ResourceType.COMPUTE_INSTANCE,
        _canonical("bare_metal", status, _METAL_STATUSES),
        bare_metal=True,
        power_status=native.get("power_status"),
        vcpus=(known.vcpus if known else None) or _whole(native.get("cpu_count")),
        memory_bytes=_mebibytes(native.get("ram")),
        storage_bytes=_disks(native.get("disk"), sizes),
        **_machine(native),
    )


def block(native: Native, sizes: Sizes) -> Resource:
    """An entry of /blocks."""
    status = _canonical("block", _word(native.get("status")), _BLOCK_STATUSES)
    attached_to = _lower(native.get("attached_to_instance"))
    if status is _AVAILABLE and attached_to:
        status = ResourceStatus.IN_USE
    return _resource(
        native,
        ResourceType.STORAGE_VOLUME,
        status,
        storage_bytes=_gigabytes(native.get("size_gb"), sizes),
        attached_to=attached_to,
        mount_id=native.get("mount_id"),
        block_type=native.get("block_type"),
    )


def database(native: Native, sizes: Sizes) -> Resource:
    """An entry of /databases, or a read replica inside one."""
    return _resource(
        native,
        ResourceType.DATABASE,
        _canonical("database", _word(native.get("status")), _DATABASE_STATUSES),
        vcpus=_whole(native.get("plan_vcpus")),
        memory_bytes=_mebibytes(native.get("plan_ram")),
        storage_bytes=_gigabytes(native.get("plan_disk"), sizes),
        replicas=_whole(native.get("plan_replicas")),
        replica_of=_lower(native.get("replica_of")),
        engine=native.get("database_engine"),
        engine_version=_text(native.get("database_engine_version")),
        vpc_id=_lower(native.get("vpc_id")),
        port=_text(native.get("port")),
        maintenance_day=native.get("maintenance_dow"),
        maintenance_time=native.get("maintenance_time"),
        database_time_zone=native.get("cluster_time_zone"),
    )


def load_balancer(native: Native, sizes: Sizes) -> Resource:
    """An entry of /load-balancers. It has no size but its number of nodes."""
    generic, health = native.get("generic_info"), native.get("health_check")
    generic = generic if isinstance(generic, dict) else {}
    return _resource(
        native,
        ResourceType.LOAD_BALANCER,
        _canonical("load_balancer", _word(native.get("status")), _BALANCER_STATUSES),
        node_count=_whole(native.get("nodes")),
        attached_to=sorted(_lower(one) for one in _texts(native.get("instances"))) or None,
        public_ip=native.get("ipv4"),
        public_ipv6=native.get("ipv6"),
        vpc_id=_lower(generic.get("vpc") or generic.get("private_network")),
        balancing_algorithm=generic.get("balancing_algorithm"),
        health_check=_known(health) if isinstance(health, dict) else None,
        forwarding_rules=_rules(native.get("forwarding_rules")),
        has_ssl=native.get("has_ssl"),
        http2=native.get("http2"),
    )


def vpc(native: Native, sizes: Sizes) -> Resource:
    """An entry of /vpcs, which has no status: one that is listed can be used."""
    subnet, mask = native.get("v4_subnet"), _whole(native.get("v4_subnet_mask"))
    return _resource(
        native,
        ResourceType.NETWORK,
        _AVAILABLE,
        cidr=f"{subnet}/{mask}" if subnet and mask is not None else None,
    )


def cluster(native: Native, sizes: Sizes) -> Resource:
    """An entry of /kubernetes/clusters. Its size is that of its nodes together."""
    pools = _objects(native.get("node_pools"))
    quantities = [_whole(pool.get("node_quantity")) or 0 for pool in pools]
    plans = [sizes.plans.get(str(pool.get("plan"))) for pool in pools]
    nodes = [node for pool in pools for node in _objects(pool.get("nodes"))]

    def total(of: Callable[[Plan], int | None]) -> int | None:
        each = [of(one) if one else None for one in plans]
        if not each or None in each:
            return None
        return sum(
            count * one for count, one in zip(quantities, each, strict=True) if one is not None
        )

    return _resource(
        native,
        ResourceType.KUBERNETES_CLUSTER,
        _canonical("cluster", _word(native.get("status")), _CLUSTER_STATUSES),
        vcpus=total(lambda one: one.vcpus),
        memory_bytes=total(lambda one: one.memory_bytes),
        storage_bytes=total(lambda one: one.storage_bytes),
        version=native.get("version"),
        node_count=sum(quantities),
        node_ids=sorted(_lower(node.get("id")) for node in nodes if node.get("id")) or None,
        node_pools=[
            _known(
                {
                    "id": _lower(pool.get("id")),
                    "label": pool.get("label"),
                    "plan": pool.get("plan"),
                    "tag": pool.get("tag"),
                    "node_quantity": quantity,
                    "auto_scaler": pool.get("auto_scaler"),
                    "min_nodes": pool.get("min_nodes"),
                    "max_nodes": pool.get("max_nodes"),
                }
            )
            for pool, quantity in zip(pools, quantities, strict=True)
        ]
        or None,
        cluster_subnet=native.get("cluster_subnet"),
        service_subnet=native.get("service_subnet"),
        public_ip=native.get("ip"),
        endpoint=native.get("endpoint"),
        ha_controlplanes=native.get("ha_controlplanes"),
        firewall_group_id=native.get("firewall_group_id"),
    )


INSTANCES = Service("instances", "/instances", "instances", instance)
BARE_METALS = Service(
    "bare_metals", "/bare-metals", "bare_metals", bare_metal, plans="/plans-metal"
)
BLOCKS = Service("blocks", "/blocks", "blocks", block)
DATABASES = Service("databases", "/databases", "databases", database, paged=False)
LOAD_BALANCERS = Service("load_balancers", "/load-balancers", "load_balancers", load_balancer)
VPCS = Service("vpcs", "/vpcs", "vpcs", vpc)
KUBERNETES = Service("kubernetes", "/kubernetes/clusters", "vke_clusters", cluster, plans="/plans")

#: Every listing, by the last part of its scope's name.
SERVICES: Mapping[str, Service] = {
    service.name: service
    for service in (
        INSTANCES,
        BARE_METALS,
        BLOCKS,
        DATABASES,
        LOAD_BALANCERS,
        VPCS,
        KUBERNETES,
    )
}
#: The key of the list of plans in the answer, by path.
PLAN_KEYS: Mapping[str, str] = {"/plans": "plans", "/plans-metal": "plans_metal"}


def number(value: object) -> float | None:
    """A finite number, also where it came as text; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if isfinite(found) else None


def created_at(native: Native) -> datetime | None:
    """When it was created, with or without a zone; the API's times are UTC."""
    try:
        moment = datetime.fromisoformat(native["date_created"])
    except (KeyError, TypeError, ValueError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def tags(native: Native) -> dict[str, str]:
    """The tags as an object: `env:prod` is a key and its value, `web` a key without one."""
    found: dict[str, str] = {}
    for tag in [*_texts(native.get("tags")), *_texts([native.get("tag")])]:
        key, _, value = tag.partition(":")
        if not key or found.get(key, value) != value:
            key, value = tag, ""  # a second value of one key; both are kept
        found[key] = value
    return found


def _resource(
    native: Native, kind: ResourceType, status: ResourceStatus, **metadata: object
) -> Resource:
    resource_id = native.get("id")
    if not isinstance(resource_id, str) or not resource_id.strip():
        raise ContractError(f"a {kind} without an id")
    created = created_at(native)
    common = {
        "native_status": native.get("status"),
        "tags": tags(native) or None,
        "instance_type": native.get("plan"),
        "created_at": iso(created) if created else None,
    }
    names = (native.get(key) for key in ("label", "hostname", "description"))
    return Resource(
        resource_id=resource_id.lower(),
        resource_name=next((n for n in names if isinstance(n, str) and n), resource_id),
        resource_type=kind,
        status=status,
        region=_lower(native.get("region")) or "unknown",
        metadata=_known(common | metadata),
    )


def _machine(native: Native) -> dict[str, object]:
    """What instances and bare metals have in common."""
    return {
        "os": native.get("os"),
        "hostname": native.get("hostname"),
        "public_ip": _address(native.get("main_ip")),
        "public_ipv6": _address(native.get("v6_main_ip")),
        "private_ip": _address(native.get("internal_ip")),
        "features": sorted(_texts(native.get("features"))) or None,
        "firewall_group_id": native.get("firewall_group_id"),
        "image_id": native.get("image_id"),
    }


_reported: set[tuple[str, str]] = set()


def _canonical(kind: str, word: str, known: Mapping[str, ResourceStatus]) -> ResourceStatus:
    """The canonical status; an unknown word is logged once per process."""
    if word in known:
        return known[word]
    if (kind, word) not in _reported and len(_reported) < 1000:
        _reported.add((kind, word))
        log.warning("unknown_native_status", provider="vultr", kind=kind, status=word)
    return ResourceStatus.UNKNOWN


def _known(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields without those that say nothing."""
    return {key: value for key, value in fields.items() if value not in (None, "")}


def _rules(value: object) -> list[dict[str, object]] | None:
    """Forwarding rules without their ids, in an order that does not depend on the answer's."""
    rules = [
        {key: rule[key] for key in sorted(rule) if key != "id" and rule[key] not in (None, "")}
        for rule in _objects(value)
    ]
    return sorted(rules, key=str) or None


def _word(value: object) -> str:
    return value.strip().lower() if isinstance(value, str) else ""


_lower = _word


def _text(value: object) -> str | None:
    """A text or a whole number, as text: versions and ports come as either."""
    return str(value) if isinstance(value, int | str) and not isinstance(value, bool) else None


def _texts(value: object) -> list[str]:
    """The texts in a list. Not a list, none."""
    return [one for one in value if isinstance(one, str) and one] if isinstance(value, list) else []


def _objects(value: object) -> list[dict[str, Any]]:
    """The objects in a list. Not a list, none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _address(value: object) -> object:
    """An address; `0.0.0.0` is what stands there before one is given."""
    return None if value in ("0.0.0.0", "::") else value  # noqa: S104  (compared)


def _first(native: Native, *keys: str) -> object:
    return next((native[key] for key in keys if native.get(key) is not None), None)


def _whole(value: object) -> int | None:
    found = number(value)
    return None if found is None else int(found)


def _mebibytes(value: object) -> int | None:
    """RAM in bytes: a number of MB, or a text like `65536 MB`; the API's MB are MiB."""
    match = _RAM.fullmatch(str(value)) if isinstance(value, int | str) else None
    if match is None:
        return None
    unit = 1024 * _MEBIBYTE if (match[2] or "").upper() == "GB" else _MEBIBYTE
    return int(match[1]) * unit


def _gigabytes(value: object, sizes: Sizes) -> int | None:
    found = number(value)
    return None if found is None else _whole(found * sizes.gigabyte)


def _disks(value: object, sizes: Sizes) -> int | None:
    """A text like `2x 240 GB SSD, 1x 1.92 TB NVMe` in bytes."""
    found = _DISK.findall(value) if isinstance(value, str) else []
    total = sum(
        int(count or 1) * float(size) * (1000 if unit.upper() == "TB" else 1)
        for count, size, unit in found
    )
    return int(total * sizes.gigabyte) or None
