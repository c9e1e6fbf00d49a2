"""deploy/clickhouse: the cluster's files agree with one another and with what OptiInfra asks."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.compose import read_compose
from support.golden import REPOSITORY

from optiinfra_database.client import (
    ANSWER_LIMITS,
    DEFAULT_DATABASE,
    EXPORT_LIMITS,
    SESSION_SETTINGS,
)

FOLDER = REPOSITORY / "deploy" / "clickhouse"
FILES = sorted(FOLDER.rglob("*.xml"))
CLUSTER = read_compose(FOLDER / "docker-compose.yml")
SERVERS = [name for name in CLUSTER["services"] if name.startswith("clickhouse-")]
KEEPERS = [name for name in CLUSTER["services"] if name.startswith("keeper-")]


def parse(name: str) -> ElementTree.Element:
    return ElementTree.parse(FOLDER / name).getroot()


def texts(root: ElementTree.Element, path: str) -> list[str]:
    return [found.text or "" for found in root.findall(path)]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_a_file_is_a_configuration_without_a_secret(file: Path):
    root = ElementTree.parse(file).getroot()
    assert root.tag == "clickhouse"
    for element in root.iter():
        if element.tag in ("password", "secret"):
            assert "from_env" in element.attrib
            assert not element.text


def test_the_cluster_is_two_shards_of_two_replicas_that_are_services():
    shards = parse("config.d/cluster.xml").findall("remote_servers/optiinfra/shard")
    assert [texts(shard, "internal_replication") for shard in shards] == [["true"], ["true"]]
    hosts = [texts(shard, "replica/host") for shard in shards]
    assert [len(replicas) for replicas in hosts] == [2, 2]
    assert sorted(host for replicas in hosts for host in replicas) == SERVERS
    for number, replicas in enumerate(hosts, 1):
        for host in replicas:
            environment = CLUSTER["services"][host]["environment"]
            assert (environment["SHARD"], environment["REPLICA"]) == (str(number), host)


def test_three_keepers_know_one_another_and_are_known():
    keeper = parse("keeper/keeper_config.xml")
    assert texts(keeper, "keeper_server/raft_configuration/server/hostname") == KEEPERS
    assert len(KEEPERS) == 3
    known = parse("config.d/cluster.xml")
    assert texts(known, "zookeeper/node/host") == KEEPERS
    ports = set(texts(known, "zookeeper/node/port"))
    assert ports == set(texts(keeper, "keeper_server/tcp_port"))
    numbers = [CLUSTER["services"][name]["environment"]["KEEPER_ID"] for name in KEEPERS]
    assert numbers == texts(keeper, "keeper_server/raft_configuration/server/id")


@pytest.mark.parametrize("name", [*SERVERS, *KEEPERS])
def test_what_a_configuration_takes_from_the_environment_is_there(name):
    service = CLUSTER["services"][name]
    given = set(service["environment"]) | set(
        re.findall(r"(\w+)=", " ".join(service.get("entrypoint", ())))
    )
    for volume in service["volumes"]:
        source = volume.split(":")[0]
        if not source.startswith("./"):
            assert source in CLUSTER["volumes"]
            continue
        path = FOLDER / source
        for file in path.glob("*.xml") if path.is_dir() else [path]:
            wanted = set(re.findall(r'from_env="(\w+)"', file.read_text()))
            assert wanted <= given


@pytest.mark.parametrize("name", [*SERVERS, *KEEPERS])
def test_a_server_can_do_little_and_is_not_published(name):
    service = CLUSTER["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["user"] == "101:101"
    assert service["healthcheck"]["test"]
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert "ports" not in service


def test_there_are_two_users_and_the_reader_can_only_read():
    root = parse("users.d/optiinfra.xml")
    users = {user.tag: user for user in root.find("users") or ()}
    assert users["default"].attrib == {"remove": "remove"}
    assert set(users) == {"default", "writer", "reader"}
    assert texts(users["reader"], "grants/query") == [f"GRANT SELECT ON {DEFAULT_DATABASE}.*"]
    assert texts(root, "profiles/reader/readonly") == ["2"]
    rights = re.findall(r"GRANT (.+) ON", texts(users["writer"], "grants/query")[0])[0]
    assert set(rights.split(", ")) >= {"SELECT", "INSERT", "ALTER", "CREATE"}


@pytest.mark.parametrize("limits", [SESSION_SETTINGS, ANSWER_LIMITS, EXPORT_LIMITS])
def test_the_reader_may_set_the_limits_that_readers_set(limits):
    constraints = parse("users.d/optiinfra.xml").find("profiles/reader/constraints")
    assert constraints is not None
    for name, value in limits.items():
        bounds = constraints.find(name)
        if bounds is not None:
            assert int(bounds.findtext("min", "0")) <= value <= int(bounds.findtext("max", "0"))


def test_rows_are_written_to_as_many_replicas_as_a_shard_has():
    quorum = texts(parse("users.d/cluster.xml"), "profiles/writer/insert_quorum")
    shard = parse("config.d/cluster.xml").findall("remote_servers/optiinfra/shard")[0]
    assert quorum == [str(len(shard.findall("replica")))]
