"""Vultr's listings, recorded and made up, to resources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_collector.collectors.vultr import resources
from data_collector.collectors.vultr.resources import PLAN_KEYS, SERVICES, Plan, Service, Sizes
from optiinfra.catalog import ResourceStatus, ResourceType
from optiinfra.domain import Resource
from optiinfra.errors import ContractError
from optiinfra.testing.replay import Watched, recorded_answer

GB = 1_000_000_000
MIB = 1024**2
SIZES = Sizes(
    GB,
    {
        "vbm-4c-32gb": Plan(8, 32768 * MIB, 480 * GB),
        "vc2-1c-2gb": Plan(1, 2048 * MIB, 55 * GB),
    },
)

#: What the recorded bodies hold and no resource shows, with the reason.
NOT_MAPPED = {
    "instances": {
        "kvm",  # secret: a console without a further password
        "server_status",  # ok on stopped instances
        "allowed_bandwidth",  # the plan's
        "netmask_v4",
        "gateway_v4",
        "v6_network",
        "v6_network_size",
        "os_id",
        "app_id",
        "user_scheme",
    },
    "bare_metals": {
        "default_password",  # secret
        "mac_address",
        "netmask_v4",
        "gateway_v4",
        "v6_network",
        "v6_network_size",
        "os_id",
        "app_id",
        "user_scheme",
    },
    "blocks": {"cost"},  # of the cost kind
    "databases": {
        "password",  # secret
        "user",  # half of one
        "dbname",
        "host",
        "public_host",
        "trusted_ips",
        "latest_backup",  # moves by itself
        "mysql_sql_modes",
        "mysql_require_primary_key",
        "mysql_slow_query_log",
    },
    "load_balancers": {"firewall_rules"},
    "vpcs": set(),
    "kubernetes": set(),
}

RECORDED = {
    "instances": [
        "openapi-examples/list-instances.200.json",
        "pyvultr/tests/fixtures/response/instances.json",
        "libcloud/test/compute/fixtures/vultr_v2/list_nodes.json",
    ],
    "bare_metals": [
        "openapi-examples/list-baremetals.200.json",
        "pyvultr/tests/fixtures/response/bare_metal_list.json",
    ],
    "blocks": [
        "openapi-examples/list-blocks.200.json",
        "pyvultr/tests/fixtures/response/blocks.json",
    ],
    "databases": ["openapi-examples/list-databases.200.json"],
    "load_balancers": [
        "openapi-examples/list-load-balancers.200.json",
        "pyvultr/tests/fixtures/response/load_balances.json",
    ],
    "vpcs": ["openapi-examples/list-vpcs.200.json"],
    "kubernetes": [
        "openapi-examples/list-kubernetes-clusters.200.json",
        "pyvultr/tests/fixtures/response/kubernetes_clusters.json",
    ],
}


def recorded(shared_data: Path, service: Service) -> list[Watched]:
    bodies = []
    for path in RECORDED[service.name]:
        bodies += recorded_answer(shared_data / "vultr" / path)[service.key]
    return [Watched(body) for body in bodies]


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())
def test_recorded_listings_become_resources(shared_data: Path, service: Service) -> None:
    bodies = recorded(shared_data, service)
    assert bodies
    present: set[str] = set()
    read: set[str] = set()
    for body in bodies:
        service.normalise(body, Sizes(GB))  # sizes without plans
        resource = service.normalise(body, SIZES)
        assert not list(resources.children(service, body))
        assert resource.resource_id == body["id"].lower()
        assert resource.resource_name
        assert resource.region == body["region"].lower()
        assert resource.status is not ResourceStatus.UNKNOWN
        assert str(resource.metadata["created_at"]).endswith("Z")
        assert "REDACTED" not in json.dumps(resource.metadata), "a secret came along"
        present |= body.keys()
        read |= body.read
    assert present - read == NOT_MAPPED[service.name]


def test_no_secret_comes_along() -> None:
    secrets = [
        "default_password",
        "kvm",
        "password",
        "user_data",
        "ferretdb_credentials",
        "access_key",
        "access_cert",
        "ssh_keys",
        "kube_config",
        "root_password",
        "ssl",
    ]
    for service in SERVICES.values():
        body = {"id": "a", "status": "active"} | dict.fromkeys(secrets, "hush")
        assert "hush" not in json.dumps(service.normalise(body, SIZES).metadata)


def test_a_recorded_instance_as_a_whole(shared_data: Path) -> None:
    body = recorded(shared_data, SERVICES["instances"])[0]
    assert SERVICES["instances"].normalise(body, SIZES) == Resource(
        resource_id="cb676a46-66fd-4dfb-b839-443f2e6c0b60",
        resource_name="Example Instance",
        resource_type=ResourceType.COMPUTE_INSTANCE,
        status=ResourceStatus.RUNNING,
        region="atl",
        metadata={
            "native_status": "active",
            "power_status": "running",
            "tags": {"a tag": "", "another": ""},
            "instance_type": "vc2-6c-16gb",
            "created_at": "2020-10-10T01:56:20Z",
            "vcpus": 1,
            "memory_bytes": 2048 * MIB,
            "storage_bytes": 55 * GB,
            "os": "CentOS SELinux 8 x64",
            "hostname": "my_hostname",
            "public_ip": "192.0.2.123",
            "public_ipv6": "2001:0db8:1112:18fb:0200:00ff:fe00:0000",
            "features": ["auto_backups", "ddos_protection", "ipv6"],
        },
    )


def test_a_recorded_bare_metal_has_sizes_out_of_texts_and_threads_out_of_its_plan(
    shared_data: Path,
) -> None:
    body = recorded(shared_data, SERVICES["bare_metals"])[0]
    metadata = SERVICES["bare_metals"].normalise(body, SIZES).metadata
    assert metadata["memory_bytes"] == 32768 * MIB
    assert metadata["storage_bytes"] == 2 * 240 * GB
    assert metadata["vcpus"] == 8
    assert SERVICES["bare_metals"].normalise(body, Sizes(GB)).metadata["vcpus"] == 4


def test_a_recorded_cluster_is_as_large_as_its_nodes(shared_data: Path) -> None:
    body = recorded(shared_data, SERVICES["kubernetes"])[0]
    metadata = SERVICES["kubernetes"].normalise(body, SIZES).metadata
    assert (metadata["vcpus"], metadata["memory_bytes"]) == (2, 4096 * MIB)
    assert metadata["node_count"] == 2
    unknown = SERVICES["kubernetes"].normalise(body, Sizes(GB)).metadata
    assert not {"vcpus", "memory_bytes", "storage_bytes"} & unknown.keys()


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("list-plans", "/plans", Plan(8, 32768 * MIB, 512 * GB)),
        ("list-metal-plans", "/plans-metal", Plan(8, 32768 * MIB, 480 * GB)),
    ],
)
def test_recorded_plans(shared_data: Path, name: str, path: str, expected: Plan) -> None:
    file = shared_data / "vultr/openapi-examples" / f"{name}.200.json"
    [body] = recorded_answer(file)[PLAN_KEYS[path]]
    assert resources.plan(body, GB) == expected


@pytest.mark.parametrize(
    ("service", "fields", "status"),
    [
        ("instances", {"status": "ACTIVE", "power_status": "Running"}, "running"),
        ("instances", {"status": "active", "power_status": "stopped"}, "stopped"),
        ("instances", {"status": "active", "power_status": "?", "server_status": "ok"}, "unknown"),
        ("instances", {"status": "resizing", "power_status": "running"}, "pending"),
        ("instances", {"status": "pending", "power_status": "stopped"}, "pending"),
        ("instances", {"status": "suspended", "power_status": "running"}, "stopped"),
        ("bare_metals", {"status": "active"}, "running"),
        ("bare_metals", {"status": "active", "power_status": "stopped"}, "stopped"),
        ("blocks", {"status": "active", "attached_to_instance": ""}, "available"),
        ("blocks", {"status": "Active", "attached_to_instance": "i"}, "in_use"),
        ("blocks", {"status": "pending", "attached_to_instance": "i"}, "pending"),
        ("databases", {"status": "Running"}, "running"),
        ("databases", {"status": "REBALANCING"}, "pending"),
        ("databases", {"status": 5}, "unknown"),
        ("load_balancers", {"status": "active"}, "running"),
        ("vpcs", {}, "available"),
        ("kubernetes", {"status": "melting"}, "unknown"),
    ],
)
def test_statuses(service: str, fields: dict[str, Any], status: str) -> None:
    resource = SERVICES[service].normalise({"id": "a", "region": "ewr", **fields}, SIZES)
    assert resource.status == status


def test_an_unknown_status_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        SERVICES["kubernetes"].normalise({"id": "a", "status": "sublimating"}, SIZES)
    assert caplog.text.count("sublimating") == 1


def test_ids_and_links_are_in_lower_case_whatever_the_answer_writes() -> None:
    block = SERVICES["blocks"].normalise(
        {"id": "ABC-D", "region": "EWR", "status": "active", "attached_to_instance": "FFF-1"}, SIZES
    )
    assert (block.resource_id, block.region) == ("abc-d", "ewr")
    assert block.metadata["attached_to"] == "fff-1"


def test_a_load_balancer_is_linked_to_its_instances_in_a_steady_order() -> None:
    metadata = [
        SERVICES["load_balancers"]
        .normalise({"id": "a", "status": "active", "instances": order, "nodes": 3}, SIZES)
        .metadata
        for order in (["B", "a"], ["a", "B"])
    ]
    assert metadata[0] == metadata[1]
    assert metadata[0]["attached_to"] == ["a", "b"]


def test_read_replicas_are_databases_of_their_own() -> None:
    primary = {"id": "P", "read_replicas": [{"id": "R", "status": "Running"}, "...", {"no": "id"}]}
    [replica] = resources.children(resources.DATABASES, primary)
    resource = resources.database(replica, SIZES)
    assert (resource.resource_id, resource.metadata["replica_of"]) == ("r", "p")
    assert list(resources.children(resources.INSTANCES, primary)) == []


@pytest.mark.parametrize("identity", [None, "", " ", 7])
def test_what_has_no_id_is_no_resource(identity: object) -> None:
    with pytest.raises(ContractError):
        resources.vpc({"id": identity}, SIZES)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2020-01-07 17:24:23", "2020-01-07T17:24:23Z"),
        ("2020-01-07T17:24:23+00:00", "2020-01-07T17:24:23Z"),
        ("2020-01-07T19:24:23+02:00", "2020-01-07T17:24:23Z"),
        ("2020-01-07T17:24:23Z", "2020-01-07T17:24:23Z"),
        ("yesterday", None),
        (None, None),
        (20200107, None),
    ],
)
def test_dates_with_and_without_a_zone(written: object, expected: str | None) -> None:
    metadata = resources.vpc({"id": "a", "date_created": written}, SIZES).metadata
    assert metadata.get("created_at") == expected


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ({"tags": ["env:prod", "web"]}, {"env": "prod", "web": ""}),
        ({"tags": ["env:prod", "env:dev"]}, {"env": "prod", "env:dev": ""}),
        ({"tags": ["a:b:c", ":x"], "tag": "old"}, {"a": "b:c", ":x": "", "old": ""}),
        ({"tags": None, "tag": ""}, {}),
        ({"tags": "prod"}, {}),
    ],
)
def test_tags_become_an_object(listed: dict[str, Any], expected: dict[str, str]) -> None:
    assert resources.tags(listed) == expected


@given(st.integers(1, 10**6), st.sampled_from(["{} MB", "{}MB", " {} mb ", "{}"]))
def test_ram_is_read_as_number_and_as_text(megabytes: int, text: str) -> None:
    for ram in (megabytes, text.format(megabytes)):
        metadata = resources.bare_metal({"id": "a", "ram": ram}, SIZES).metadata
        assert metadata["memory_bytes"] == megabytes * MIB


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(1, 9999), st.sampled_from(["GB", "TB"])),
        min_size=1,
        max_size=3,
    )
)
def test_disks_are_read_out_of_text(disks: list[tuple[int, int, str]]) -> None:
    text = ", ".join(f"{count}x {size} {unit} NVMe" for count, size, unit in disks)
    metadata = resources.bare_metal({"id": "a", "disk": text}, SIZES).metadata
    expected = sum(c * s * (1000 if u == "TB" else 1) for c, s, u in disks) * GB
    assert metadata["storage_bytes"] == expected


@pytest.mark.parametrize("junk", ["none", "", "12 XB", None, [], {}, True, "NaN"])
def test_sizes_that_cannot_be_read_are_left_out(junk: object) -> None:
    for service in SERVICES.values():
        body = {"id": "a"} | dict.fromkeys(
            ["ram", "disk", "vcpu_count", "cpu_count", "plan_ram", "plan_disk", "size_gb"], junk
        )
        metadata = service.normalise(body, SIZES).metadata
        assert not {"vcpus", "memory_bytes", "storage_bytes"} & metadata.keys()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FIELDS = [
    "status",
    "power_status",
    "region",
    "label",
    "ram",
    "disk",
    "vcpu_count",
    "tags",
    "tag",
    "features",
    "main_ip",
    "size_gb",
    "attached_to_instance",
    "date_created",
    "plan",
    "plan_ram",
    "plan_disk",
    "instances",
    "generic_info",
    "health_check",
    "forwarding_rules",
    "nodes",
    "node_pools",
    "v4_subnet_mask",
    "v4_subnet",
    "vpc_id",
    "port",
]


@given(st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=8))
def test_whatever_a_field_holds_the_rest_of_the_resource_stands(body: dict[str, Any]) -> None:
    for service in SERVICES.values():
        resource = service.normalise({"id": "a", **body}, SIZES)
        assert resource.resource_id == "a"
        assert resource.resource_name
        assert resource.region
        assert not [key for key, value in resource.metadata.items() if value in (None, "")]
        json.dumps(resource.metadata, allow_nan=False)
