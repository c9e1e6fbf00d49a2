"""Azure's inventory: rows of Resource Graph as resources, and recorded answers as rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from fakes.azure import (
    BALANCER,
    CLUSTER,
    DISK,
    GATEWAY,
    MIX,
    NETWORK,
    POSTGRESQL,
    SQL,
    SUBSCRIPTION,
    VM,
    Body,
    project,
    resource,
)

from data_collector.collectors.azure import performance
from data_collector.collectors.azure.errors import valid_names_in
from data_collector.collectors.azure.metrics import (
    SQL_DATABASES,
    VIRTUAL_MACHINES,
    AzureMetric,
    Query,
    queries,
)
from data_collector.collectors.azure.options import AzureOptions
from data_collector.collectors.azure.performance import Target
from data_collector.collectors.azure.resources import (
    GIB,
    QUERY,
    TYPES,
    Size,
    normalise,
    sizes_of,
    target,
)
from optiinfra.catalog import ResourceStatus
from optiinfra.domain import Gap, GapReason, Resource, Series, Window
from optiinfra.testing.replay import recorded_answer, recorded_interaction

SIZES = {"standard_d2s_v5": Size(2, 8 * GIB), "standard_b1ls": Size(1, GIB // 2)}

#: Properties that recorded bodies have and the query leaves in Azure: configuration without a
#: canonical meaning, what repeats a mapped field, and what holds or locates secrets.
UNMAPPED = {
    VM.lower(): """additionalCapabilities applicationProfile availabilitySet billingProfile
        capacityReservation diagnosticsProfile evictionPolicy extensionsTimeBudget host hostGroup
        instanceView licenseType networkProfile osProfile platformFaultDomain
        proximityPlacementGroup scheduledEventsProfile securityProfile userData
        virtualMachineScaleSet vmId""",
    DISK.lower(): """burstingEnabled burstingEnabledTime completionPercent creationData
        dataAccessAuthMode diskAccessId diskIOPSReadOnly diskMBpsReadOnly diskSizeBytes encryption
        encryptionSettingsCollection hyperVGeneration maxShares networkAccessPolicy
        optimizedForFrequentAttach ownerId propertyUpdatesInProgress publicNetworkAccess
        purchasePlan securityProfile supportedCapabilities supportsHibernation tier uniqueId""",
    SQL.lower(): """catalogCollation collation currentServiceObjectiveName currentSku databaseId
        defaultSecondaryLocation earliestRestoreDate readReplicaCount readScale
        requestedServiceObjectiveName zoneRedundant""",
    POSTGRESQL.lower(): """administratorLogin authConfig backup fullyQualifiedDomainName
        minorVersion network""",
    BALANCER.lower(): """backendAddressPools frontendIPConfigurations inboundNatPools
        inboundNatRules loadBalancingRules probes resourceGuid""",
    GATEWAY.lower(): """authenticationCertificates backendAddressPools
        backendHttpSettingsCollection firewallPolicy frontendIPConfigurations frontendPorts
        gatewayIPConfigurations globalConfiguration httpListeners loadDistributionPolicies
        privateEndpointConnections privateLinkConfigurations probes requestRoutingRules
        rewriteRuleSets sslCertificates sslProfiles trustedClientCertificates urlPathMaps""",
    NETWORK.lower(): """dhcpOptions enableDdosProtection enableVmProtection resourceGuid subnets
        virtualNetworkPeerings""",
    CLUSTER.lower(): """currentKubernetesVersion diskEncryptionSetID dnsPrefix enableRBAC fqdn
        linuxProfile maxAgentPools networkProfile nodeResourceGroup servicePrincipalProfile""",
}


def listed(body: Body, **properties: Any) -> Resource:
    """The body as it comes out, with some of its properties replaced."""
    return normalise(project(QUERY, body | {"properties": body["properties"] | properties}), SIZES)


def test_a_machine() -> None:
    found = listed(resource(VM, 0, "East US"))
    assert found.resource_id == found.resource_id.lower()
    assert found.resource_id.endswith("/resourcegroups/group-0/providers/microsoft.compute/virtualmachines/virt-00000")  # fmt: skip  # noqa: E501
    assert (found.resource_name, found.region) == ("virt-00000", "eastus")
    assert (found.resource_type, found.status) == ("compute_instance", "running")
    assert found.metadata == {
        "native_type": "microsoft.compute/virtualmachines",
        "native_status": "PowerState/running",
        "resource_group": "group-0",
        "tags": {"team": "team-0", "empty": ""},
        "zone": "1",
        "created_at": "2026-01-02T03:04:05Z",
        "instance_type": "Standard_D2s_v5",
        "vcpus": 2,
        "memory_bytes": 8 * GIB,
        "storage_bytes": 158 * GIB,
        "os": "Linux",
        "image": "Canonical:Ubuntu:24_04",
    }


def test_what_is_not_known_is_left_out() -> None:
    unknown = normalise(project(QUERY, resource(VM, 1, "eastus")), {})
    assert "vcpus" not in unknown.metadata
    deallocated = listed(resource(VM, 0, "eastus"), storageProfile={"osDisk": {"osType": "Linux"}})
    assert "storage_bytes" not in deallocated.metadata


def test_nothing_secret_is_asked_for() -> None:
    for number, kind in enumerate(MIX):
        text = json.dumps(dict(listed(resource(kind, number, "eastus")).metadata))
        assert "not-for-anybody" not in text
        assert "admin" not in text
    for word in ("osProfile", "administrator", "password", "secret", "sslCertificates", "key"):
        assert word.lower() not in QUERY.lower()


def test_a_disk_is_linked_to_its_machine() -> None:
    disk = listed(resource(DISK, 1, "eastus"))
    assert disk.status is ResourceStatus.IN_USE
    assert str(disk.metadata["attached_to"]).endswith("/virtualmachines/virt-00001")
    assert disk.metadata["storage_bytes"] == 64 * GIB
    free = listed(resource(DISK, 3, "eastus"))
    assert free.status is ResourceStatus.AVAILABLE
    assert "attached_to" not in free.metadata


def test_databases() -> None:
    sql = listed(resource(SQL, 4, "eastus"))
    assert sql.resource_type == "database"
    assert (sql.metadata["vcpus"], sql.metadata["storage_bytes"]) == (4, 268435456000)
    assert sql.metadata["created_at"] == "2026-02-03T04:05:06Z"
    by_dtu = resource(SQL, 4, "eastus") | {"sku": {"name": "S0", "capacity": 10}}
    assert "vcpus" not in listed(by_dtu).metadata
    postgresql = listed(resource(POSTGRESQL, 5, "eastus"))
    assert (postgresql.metadata["vcpus"], postgresql.metadata["version"]) == (2, "16")
    assert postgresql.metadata["storage_bytes"] == 512 * GIB
    assert postgresql.metadata["zone"] == "2"


def test_the_rest() -> None:
    gateway = listed(resource(GATEWAY, 8, "eastus"))
    assert (gateway.resource_type, gateway.metadata["sku"]) == ("load_balancer", "Standard_v2")
    assert listed(resource(BALANCER, 7, "eastus")).resource_type == "load_balancer"
    network = listed(resource(NETWORK, 10, "eastus"))
    assert (network.resource_type, network.status) == ("network", "running")
    assert network.metadata["address_prefixes"] == ["10.0.0.0/16"]
    cluster = listed(resource(CLUSTER, 9, "eastus"))
    assert cluster.resource_type == "kubernetes_cluster"
    assert cluster.metadata["node_pools"] == {"pool1": "Standard_D2s_v5"}


@pytest.mark.parametrize(
    ("kind", "properties", "status"),
    [
        (VM, {"extended": {"instanceView": {"powerState": {"code": code}}}}, status)
        for code, status in [
            ("PowerState/running", "running"),
            ("PowerState/starting", "pending"),
            ("PowerState/stopping", "stopping"),
            ("PowerState/deallocating", "stopping"),
            ("PowerState/stopped", "stopped"),
            ("powerstate/Deallocated", "stopped"),
        ]
    ]
    + [
        (VM, {"extended": None, "provisioningState": "Creating"}, "pending"),
        (VM, {"extended": None, "provisioningState": "Failed"}, "error"),
        (VM, {"extended": None, "provisioningState": "Succeeded"}, "unknown"),
        (VM, {"extended": None, "provisioningState": None}, "unknown"),
        (DISK, {"diskState": "ActiveSAS"}, "in_use"),
        (DISK, {"diskState": "Reserved"}, "in_use"),
        (DISK, {"diskState": "Unattached"}, "available"),
        (SQL, {"status": "Paused"}, "stopped"),
        (SQL, {"status": "Online"}, "running"),
        (POSTGRESQL, {"state": "Ready"}, "running"),
        (POSTGRESQL, {"state": "Stopped"}, "stopped"),
        (POSTGRESQL, {"state": "Starting"}, "pending"),
        (POSTGRESQL, {"state": "Updating"}, "pending"),
        (POSTGRESQL, {"state": "Dropping"}, "terminated"),
        (POSTGRESQL, {"state": "Disabled"}, "stopped"),
        (GATEWAY, {"operationalState": "Stopped"}, "stopped"),
        (GATEWAY, {"operationalState": None, "provisioningState": "Updating"}, "pending"),
        (CLUSTER, {"powerState": {"code": "Stopped"}}, "stopped"),
        (CLUSTER, {"provisioningState": "Deleting"}, "terminated"),
        (BALANCER, {"provisioningState": "Failed"}, "error"),
        (NETWORK, {"provisioningState": "Succeeded"}, "running"),
    ],
)
def test_statuses(kind: str, properties: dict[str, Any], status: str) -> None:
    assert listed(resource(kind, 0, "eastus"), **properties).status == status


def test_an_unknown_status_is_unknown_and_logged_once() -> None:
    with structlog.testing.capture_logs() as logs:
        for number in range(3):
            found = listed(resource(DISK, number, "eastus"), diskState="Levitating")
            assert found.status is ResourceStatus.UNKNOWN
            assert found.metadata["native_status"] == "Levitating"
    assert [entry["native_status"] for entry in logs] == ["Levitating"]


def test_what_has_metrics_is_a_target_and_says_when_it_is_idle() -> None:
    def target_of(kind: str, number: int) -> Target | None:
        return target(project(QUERY, resource(kind, number, "East US")))

    machine, stopped, free = target_of(VM, 0), target_of(VM, 6), target_of(DISK, 3)
    assert machine is not None
    assert (machine.region, machine.idle) == ("eastus", "")
    assert stopped is not None
    assert stopped.idle == "it is stopped"
    assert free is not None
    assert free.idle == "the disk is not attached"
    assert target_of(NETWORK, 10) is None
    database = target_of(SQL, 4)
    assert database is not None
    assert database.capacity_bytes == 268435456000


def test_sizes_of_skus() -> None:
    def sku(name: str, kind: str = "virtualMachines", **has: str) -> dict[str, Any]:
        capabilities = [{"name": key, "value": value} for key, value in has.items()]
        return {"name": name, "resourceType": kind, "capabilities": capabilities}

    found = sizes_of(
        [
            sku("Standard_B1ls", vCPUs="1", MemoryGB="0.5"),
            sku("Standard_E8-4ds_v5", vCPUs="8", vCPUsAvailable="4", MemoryGB="64"),
            sku("Strange", vCPUs="many"),
            sku("Premium_LRS", "disks"),
            {"name": "Bare", "resourceType": "virtualMachines"},
        ]
    )
    assert found == {
        "standard_b1ls": Size(1, GIB // 2),
        "standard_e8-4ds_v5": Size(4, 64 * GIB),
        "strange": Size(),
        "bare": Size(),
    }


# Recorded


def recordings(shared_data: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted(shared_data.rglob("*.json")):
        if "azure" in str(path.relative_to(shared_data)):
            yield path.name, recorded_answer(path)


def cassette(shared_data: Path, name: str, part: str) -> Any:
    """The recorded answer to the one request whose address holds `part`."""
    [path] = shared_data.rglob(name)
    return recorded_interaction(path, part)


def bodies(answer: Any) -> Iterator[Body]:
    """Every resource of ours anywhere in an answer."""
    if isinstance(answer, dict):
        if (
            {"id", "name", "location", "properties"} <= answer.keys()
            and str(answer.get("type")).lower() in TYPES
            and isinstance(answer["properties"], dict)
        ):
            yield answer
        for value in answer.values():
            yield from bodies(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from bodies(value)


def test_recorded_bodies_become_resources_and_what_is_not_mapped_is_known(
    shared_data: Path,
) -> None:
    unmapped: dict[str, set[str]] = {kind: set() for kind in TYPES}
    count = 0
    for name, recording in recordings(shared_data):
        for body in bodies(recording):
            count += 1
            found = normalise(project(QUERY, body), {})
            assert found.resource_type == TYPES[body["type"].lower()], name
            assert found.resource_id == body["id"].lower()
            assert " " not in found.region
            json.dumps(dict(found.metadata), allow_nan=False)
            assert not [key for key, value in found.metadata.items() if value in (None, "")]
            unmapped[body["type"].lower()] |= {
                key for key in body["properties"] if f"properties.{key}" not in QUERY
            }
    assert count > 80
    assert {kind: sorted(keys) for kind, keys in unmapped.items()} == {
        kind: sorted(words.split()) for kind, words in UNMAPPED.items()
    }


def test_a_recorded_answer_of_resource_graph(shared_data: Path) -> None:
    name = "ResourceGraphSource.test_resource_graph_and_arm_sources_vm_are_equivalent.json"
    table = cassette(shared_data, name, "ResourceGraph")["data"]
    columns = [column["name"] for column in table["columns"]]
    found = [
        normalise(project(QUERY, dict(zip(columns, row, strict=True))), {}) for row in table["rows"]
    ]
    machine = found[0]
    assert machine.resource_id.endswith("/test_vm/providers/microsoft.compute/virtualmachines/cctestvm")  # fmt: skip  # noqa: E501
    assert (machine.region, machine.metadata["instance_type"]) == ("southcentralus", "Basic_A0")
    assert machine.metadata["storage_bytes"] == (30 + 1023) * GIB
    assert machine.metadata["tags"]["testtag"] == "testvalue"  # type: ignore[index]
    assert "testuser" not in json.dumps(dict(machine.metadata))


def test_recorded_skus(shared_data: Path) -> None:
    [path] = shared_data.rglob("compute/skus.json")
    sizes = sizes_of(recorded_answer(path)["value"])
    assert sizes["standard_pb6s"] == Size(6, 112 * GIB)


def read_recorded(answer: Any, query: Query, name: str, window: Window) -> list[Series | Gap]:
    """A recorded answer of the one-resource API, which has the same metrics in it."""
    resource_id = answer["value"][0]["id"].lower().partition("/providers/microsoft.insights/")[0]
    of = Target(resource_id, name, query.namespace, answer["resourceregion"])
    options = AzureOptions(subscription_id=SUBSCRIPTION)
    return list(performance.normalise([answer], query, [of], window, options))


def window(start: str, days: int) -> Window:
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    return Window(begin, begin + timedelta(days=days))


def test_a_recorded_metric_of_a_machine(shared_data: Path) -> None:
    name = "ArmResourceTest.test_metric_filter_period_start_start_of_day.json"
    answer = cassette(shared_data, name, "insights/metrics")
    query = next(queries(VIRTUAL_MACHINES, granularity=timedelta(minutes=5), names_per_call=1))
    [cpu] = read_recorded(answer, query, "cctestvm", window("2026-02-20", 1))
    assert isinstance(cpu, Series)
    assert (cpu.metric, cpu.values.tolist()) == ("cpu_utilization", [12.5])
    assert cpu.timestamps.tolist() == [int(datetime(2026, 2, 20, tzinfo=UTC).timestamp())]
    assert cpu.resource_id.endswith("/virtualmachines/cctestvm")


def test_recorded_buckets_without_values_are_missing(shared_data: Path) -> None:
    answer = cassette(shared_data, "SqlServerTest.test_metric_database_to_zero.json", "metrics")
    dtu = AzureMetric("cpu_utilization", "dtu_consumption_percent")
    query = Query(SQL_DATABASES.name, (dtu,), timedelta(days=1))
    [gap] = read_recorded(answer, query, "server", window("2019-04-29", 3))
    assert isinstance(gap, Gap)
    assert gap.reason is GapReason.NOT_YET_PUBLISHED
    # The same answer with values: zeros are values.
    answer = cassette(shared_data, "SqlServerTest.test_metric_database.json", "metrics")
    [series] = read_recorded(answer, query, "server", window("2019-04-29", 3))
    assert isinstance(series, Series)
    assert len(series.values) == 3
    assert (series.values >= 0).all()


def test_a_recorded_metric_with_every_aggregation(shared_data: Path) -> None:
    [path] = shared_data.rglob("metric/metrics.json")
    answer = recorded_answer(path)
    writes = next(row for row in VIRTUAL_MACHINES.metrics if row.name.startswith("Disk Write Op"))
    query = Query(VIRTUAL_MACHINES.name, (writes,), timedelta(hours=1))
    [series] = read_recorded(answer, query, "test1", window("2020-01-18", 1))
    assert isinstance(series, Series)
    assert series.values.tolist() == [421533.3433333334, 321523.34334, 0.0]


def test_recorded_answers_have_no_field_that_is_not_known(shared_data: Path) -> None:
    read = {"value", "resourceid", "id", "name", "errorCode", "timeseries", "data", "timeStamp"}
    read |= {"average", "total", "metadatavalues"}
    #: Left unread: what was asked for comes back, and what the portal shows.
    unread = {"cost", "timespan", "interval", "namespace", "resourceregion", "type", "unit"}
    unread |= {"displayDescription", "minimum", "maximum", "count"}
    found: set[str] = set()
    for _, recording in recordings(shared_data):
        for answer in answers(recording):
            found |= answer.keys()
            for metric in answer["value"]:
                found |= metric.keys()
                for series in metric["timeseries"]:
                    found |= series.keys()
                    found |= {key for point in series["data"] for key in point}
    assert {"average", "timeStamp"} <= found
    assert found <= read | unread


def answers(recording: Any) -> Iterator[Any]:
    """Every answer of Azure Monitor in a recording."""
    if isinstance(recording, dict):
        if "timespan" in recording and isinstance(recording.get("value"), list):
            yield recording
        for value in recording.values():
            yield from answers(value)
    elif isinstance(recording, list):
        for value in recording:
            yield from answers(value)


def test_a_recorded_refusal_names_the_metrics_there_are(shared_data: Path) -> None:
    name = "ArmResourceTest.test_metric_filter_invalid_metric.json"
    refusal = cassette(shared_data, name, "insights/metrics")
    valid = valid_names_in(refusal["message"])
    assert "percentage cpu" in valid
    assert "invalidmetric" not in valid


@pytest.mark.parametrize(
    ("sku", "vcpus", "memory"),
    [
        ({"name": "GP_Gen5", "family": "Gen5", "capacity": 4}, 4, int(4 * 5.19 * GIB)),
        ({"name": "GP_S_Gen5", "family": "Gen5", "capacity": 2}, 2, 6 * GIB),
        ({"name": "BC_DC", "family": "DC", "capacity": 2}, 2, None),
        ({"name": "Standard", "tier": "Standard", "capacity": 50}, None, None),  # DTUs
    ],
)
def test_a_sql_database_has_the_memory_of_its_vcores(
    sku: dict[str, Any], vcpus: int | None, memory: int | None
) -> None:
    found = normalise(project(QUERY, resource(SQL, 1, "eastus") | {"sku": sku}), SIZES).metadata
    assert (found.get("vcpus"), found.get("memory_bytes")) == (vcpus, memory)
