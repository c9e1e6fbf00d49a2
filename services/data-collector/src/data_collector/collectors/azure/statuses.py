"""Azure's words for the state of a resource as canonical statuses. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import structlog

from data_collector.collectors.azure.metrics import (
    APPLICATION_GATEWAYS,
    DISKS,
    KUBERNETES_CLUSTERS,
    LOAD_BALANCERS,
    POSTGRESQL_SERVERS,
    SQL_DATABASES,
    VIRTUAL_MACHINES,
    VIRTUAL_NETWORKS,
)
from optiinfra.catalog import ResourceStatus

log = structlog.get_logger()

_S = ResourceStatus
_PROVISIONING: Mapping[str, ResourceStatus] = {
    "succeeded": _S.RUNNING,
    "accepted": _S.PENDING,
    "creating": _S.PENDING,
    "updating": _S.PENDING,
    "upgrading": _S.PENDING,
    "scaling": _S.PENDING,
    "starting": _S.PENDING,
    "migrating": _S.PENDING,
    "stopping": _S.STOPPING,
    "stopped": _S.STOPPED,
    "deleting": _S.TERMINATED,
    "failed": _S.ERROR,
    "canceled": _S.ERROR,
}
#: A machine that was made well may be off: only its power state says that it runs.
_MAKING: Mapping[str, ResourceStatus] = {
    word: status for word, status in _PROVISIONING.items() if status is not _S.RUNNING
}
_POWER: Mapping[str, ResourceStatus] = {
    "powerstate/starting": _S.PENDING,
    "powerstate/running": _S.RUNNING,
    "powerstate/stopping": _S.STOPPING,
    "powerstate/deallocating": _S.STOPPING,
    "powerstate/stopped": _S.STOPPED,  # and billed all the same
    "powerstate/deallocated": _S.STOPPED,
}
_DISK_STATES: Mapping[str, ResourceStatus] = {
    "unattached": _S.AVAILABLE,
    "attached": _S.IN_USE,
    "reserved": _S.IN_USE,
    "frozen": _S.IN_USE,
    "activesas": _S.IN_USE,
    "activesasfrozen": _S.IN_USE,
    "readytoupload": _S.PENDING,
    "activeupload": _S.PENDING,
}
_SQL_STATES: Mapping[str, ResourceStatus] = {
    "online": _S.RUNNING,
    "creating": _S.PENDING,
    "copying": _S.PENDING,
    "restoring": _S.PENDING,
    "recovering": _S.PENDING,
    "resuming": _S.PENDING,
    "scaling": _S.PENDING,
    "pausing": _S.STOPPING,
    "paused": _S.STOPPED,
    "offline": _S.STOPPED,
    "autoclosed": _S.STOPPED,
    "disabled": _S.STOPPED,
    "inaccessible": _S.ERROR,
    "suspect": _S.ERROR,
    "recoverypending": _S.ERROR,
    "emergencymode": _S.ERROR,
}
_POSTGRESQL_STATES: Mapping[str, ResourceStatus] = {
    "ready": _S.RUNNING,
    "starting": _S.PENDING,
    "updating": _S.PENDING,
    "provisioning": _S.PENDING,
    "restarting": _S.PENDING,
    "stopping": _S.STOPPING,
    "stopped": _S.STOPPED,
    "disabled": _S.STOPPED,
    "dropping": _S.TERMINATED,
    "inaccessible": _S.ERROR,
}
_OPERATIONAL: Mapping[str, ResourceStatus] = {
    "running": _S.RUNNING,
    "starting": _S.PENDING,
    "stopping": _S.STOPPING,
    "stopped": _S.STOPPED,
}
#: A cluster that runs says no more than that; what it is busy with stands in `provisioning`.
_CLUSTER_POWER: Mapping[str, ResourceStatus] = {"stopped": _S.STOPPED}

#: Per type the columns that tell the status, the most telling first. A word that a column's
#: table lacks leaves the next column to decide, and is unknown where none does.
_STATUS_COLUMNS: Mapping[str, tuple[tuple[str, Mapping[str, ResourceStatus]], ...]] = {
    VIRTUAL_MACHINES.name: (("power", _POWER), ("provisioning", _MAKING)),
    DISKS.name: (("diskState", _DISK_STATES),),
    SQL_DATABASES.name: (("dbStatus", _SQL_STATES),),
    POSTGRESQL_SERVERS.name: (("state", _POSTGRESQL_STATES),),
    APPLICATION_GATEWAYS.name: (("operational", _OPERATIONAL), ("provisioning", _PROVISIONING)),
    KUBERNETES_CLUSTERS.name: (("clusterPower", _CLUSTER_POWER), ("provisioning", _PROVISIONING)),
    LOAD_BALANCERS.name: (("provisioning", _PROVISIONING),),
    VIRTUAL_NETWORKS: (("provisioning", _PROVISIONING),),
}

#: Why a resource of this type has no values while it is not in use.
IDLE: Mapping[ResourceStatus, str] = {
    _S.STOPPED: "it is stopped",
    _S.STOPPING: "it is being stopped",
    _S.AVAILABLE: "the disk is not attached",
    _S.PENDING: "it is being made or started",
    _S.TERMINATED: "it is being deleted",
}


def status_of(kind: str, row: Mapping[str, Any]) -> tuple[ResourceStatus, str]:
    """Canonical and native, of a row whose type in lower case is `kind`; the native word is the
    one that decided, else the first given."""
    first = ""
    for column, words in _STATUS_COLUMNS[kind]:
        native = str(row.get(column) or "")
        if native.lower() in words:
            return words[native.lower()], native
        first = first or native
    if first:
        _log_unknown(kind, first)
    return ResourceStatus.UNKNOWN, first


@cache
def _log_unknown(kind: str, native: str) -> None:
    """Once per process and word."""
    log.warning("unknown_native_status", provider="azure", type=kind, native_status=native)
