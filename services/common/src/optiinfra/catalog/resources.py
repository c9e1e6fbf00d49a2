"""Canonical resource types and statuses; a provider's own words are mapped onto them."""

from __future__ import annotations

from enum import StrEnum


class ResourceType(StrEnum):
    """What a resource is. Also the `metric_type` of the points that belong to it."""

    COMPUTE_INSTANCE = "compute_instance"
    STORAGE_VOLUME = "storage_volume"
    DATABASE = "database"
    LOAD_BALANCER = "load_balancer"
    NETWORK = "network"
    KUBERNETES_CLUSTER = "kubernetes_cluster"
    HOST = "host"


class ResourceStatus(StrEnum):
    """What state a resource is in; a native status without a mapping is `unknown`."""

    RUNNING = "running"
    STOPPED = "stopped"
    PENDING = "pending"
    STOPPING = "stopping"
    TERMINATED = "terminated"
    AVAILABLE = "available"
    IN_USE = "in_use"
    DEGRADED = "degraded"
    ERROR = "error"
    UNKNOWN = "unknown"
