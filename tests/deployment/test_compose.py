"""docker-compose.yml: every service as locked up as it can be, with settings that exist."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import redis
from support.compose import compose_command, read_compose
from support.dockerfile import read_dockerfile
from support.golden import REPOSITORY
from support.processes import free_port
from support.servers import redis_server

import data_collector.main
import performance_agent.main
import resource_agent.main
from data_collector.celery_app import app
from optiinfra.settings import Settings, load_settings

COMPOSE = read_compose(REPOSITORY / "docker-compose.yml")
SERVICES = COMPOSE["services"]
_, STAGES = read_dockerfile(REPOSITORY / "deploy" / "Dockerfile")
OURS = [name for name, service in SERVICES.items() if "build" in service]
PYTHON = [name for name in OURS if name != "dashboard"]
#: What ends by itself.
WITHOUT_HEALTH = {"migrate", "optiinfra"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_do_little(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["deploy"]["resources"]["limits"].keys() >= {"memory", "pids"}
    if "build" in service:  # the image says who it runs as
        assert "user" not in service
    else:
        assert service["user"].split(":")[0] not in ("0", "root")


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_says_how_it_is(name):
    service = SERVICES[name]
    if name in WITHOUT_HEALTH:
        assert service["healthcheck"] == {"disable": True}
    elif "build" in service and "healthcheck" not in service:
        assert STAGES[service["build"]["target"]].all("HEALTHCHECK")
    else:
        assert service["healthcheck"]["test"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_refers_to_is_there(name):
    service = SERVICES[name]
    if "build" in service:
        assert service["build"]["target"] in STAGES
        assert (REPOSITORY / service["build"]["dockerfile"]).is_file()
    else:
        assert ":" in service["image"]
        assert not service["image"].endswith(":latest")
    assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    assert set(service.get("depends_on", ())) <= set(SERVICES)
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        if source.startswith("./") and source != "./accounts":
            assert (REPOSITORY / source).exists(), source
            assert volume.endswith(":ro")
        elif not source.startswith("./"):
            assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", PYTHON)
def test_a_service_starts_with_the_settings_that_it_is_given(name, monkeypatch, tmp_path):
    """Every name is a setting's, and together they are accepted."""
    for known in [known for known in os.environ if known.startswith("OPTIINFRA_")]:
        monkeypatch.delenv(known)
    environment = SERVICES[name]["environment"]
    fields = {f"OPTIINFRA_{field.upper()}" for field in Settings.model_fields}
    for variable, value in environment.items():
        assert variable.removesuffix("_FILE") in fields, variable
        given = str(value)
        if variable.endswith("_FILE"):
            secret = Path(given)
            assert secret.parent == Path("/run/secrets")
            assert secret.name in SERVICES[name]["secrets"]
            given = str(tmp_path / secret.name)
            Path(given).write_text("of-32-characters-or-more-" + "x" * 16)
        monkeypatch.setenv(variable, given)
    settings = load_settings()
    assert settings.auth == "jwt"
    assert settings.store.get_secret_value().startswith("clickhouse://")
    assert ":of-32-" in settings.store.get_secret_value()


def test_readers_only_read():
    for name in ("performance-agent", "resource-agent"):
        service = SERVICES[name]
        assert "://reader@" in service["environment"]["OPTIINFRA_STORE"]
        assert "store_writer_password" not in service["secrets"]
        assert "broker" not in service["networks"]


def test_only_what_people_use_is_published():
    published = {
        name: port.rpartition(":")[2]
        for name, service in SERVICES.items()
        for port in service.get("ports", ())
        if not service.get("profiles")
    }
    assert published == {
        "dashboard": "8080",
        "performance-agent": str(performance_agent.main.PORT),
        "resource-agent": str(resource_agent.main.PORT),
    }
    for service in SERVICES.values():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")


def test_store_and_broker_have_no_way_out():
    for name in ("clickhouse", "redis"):
        assert all(COMPOSE["networks"][network] for network in SERVICES[name]["networks"])
    assert COMPOSE["networks"]["store"]["internal"]
    assert COMPOSE["networks"]["broker"]["internal"]


def test_services_find_each_other():
    collector = f"http://data-collector:{data_collector.main.PORT}"
    for name in ("performance-agent", "resource-agent"):
        assert SERVICES[name]["environment"]["OPTIINFRA_DATA_COLLECTOR_URL"] == collector
        assert set(SERVICES[name]["networks"]) & set(SERVICES["data-collector"]["networks"])
        assert set(SERVICES[name]["networks"]) & set(SERVICES["clickhouse"]["networks"])
    for name in ("data-collector", "worker", "beat"):
        assert set(SERVICES[name]["networks"]) & set(SERVICES["redis"]["networks"])
    proxied = dict(
        line.split("=")
        for rest in STAGES["dashboard"].all("ENV")
        for line in rest.split()
        if ":" in line
    )
    for host, port in (address.split(":") for address in proxied.values()):
        assert host in SERVICES
        assert port in STAGES[host].all("EXPOSE")


def test_workers_and_beat_run_the_application():
    for name in ("worker", "beat"):
        command = SERVICES[name]["command"]
        assert f"--app={app.main}.celery_app" in command
        assert command[2] == name


def test_redis_takes_its_password_from_a_file_and_from_no_command_line(tmp_path):
    """The service's own entry point, over files of this test."""
    with redis_server(tmp_path):
        pass  # skips where there is no Redis
    port = free_port()
    secret = "a-broker-secret-of-this-test"
    (tmp_path / "broker_password").write_text(secret)
    settings = (REPOSITORY / "deploy/redis/redis.conf").read_text()
    settings = settings.replace("port 6379", f"port {port}").replace("dir /data", f"dir {tmp_path}")
    (tmp_path / "redis.conf").write_text(settings)
    *shell, script = SERVICES["redis"]["entrypoint"]
    for folder in ("/etc/redis", "/run/secrets"):
        script = script.replace(folder, str(tmp_path))
    script = script.replace("/tmp/redis.conf", str(tmp_path / "with-password.conf"))
    process = subprocess.Popen([*shell, script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert any("Ready to accept connections" in line for line in process.stdout)
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).ping()
        assert redis.Redis(port=port, password=secret).ping()
        processes = Path("/proc").glob("[0-9]*/cmdline")
        assert not any(secret in _text(path) for path in processes)
    finally:
        redis.Redis(port=port, password=secret).shutdown(nosave=True)
        process.wait(timeout=30)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # it ended meanwhile
        return ""


@pytest.mark.parametrize(
    "file", ["docker-compose.yml", "deploy/clickhouse/docker-compose.yml"], ids=["all", "cluster"]
)
def test_compose_itself_understands_the_file(file, tmp_path):
    command = compose_command()
    for secret in {*COMPOSE["secrets"], "cluster_secret"}:
        (tmp_path / secret).write_text("x")
    profiles = [f"--profile={name}" for name in ("tools", "flower", "monitoring")]
    done = subprocess.run(
        [*command, "--file", str(REPOSITORY / file), *profiles, "config", "--quiet"],
        env={**os.environ, "OPTIINFRA_SECRETS_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
