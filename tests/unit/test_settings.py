"""Settings: every wrong value is named, and no door stands open."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.processes import environment

from optiinfra.errors import ConfigError
from optiinfra.settings import load_settings

SECRET = "a-signing-secret-of-32-characters"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("OPTIINFRA_")]:
        monkeypatch.delenv(name)


def test_the_defaults_collect_every_15_minutes_for_this_machine_only():
    settings = load_settings()
    assert settings.host == "127.0.0.1"
    assert settings.collect_interval_minutes == 15
    assert settings.retention_days == 90
    assert settings.broker.get_secret_value() == "memory://"


def test_the_command_line_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("OPTIINFRA_PORT", "9000")
    assert load_settings().port == 9000
    assert load_settings(port=9001, host=None).port == 9001


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "http"),
        ("AUTH", "basic"),
        ("COLLECT_INTERVAL_MINUTES", "0"),
        ("RETENTION_DAYS", "-1"),
        ("LOG_FORMAT", "xml"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "page.example.org"),
        ("CORS_ORIGINS", "https://page.example.org/"),
        ("TRIGGERS_PER_MINUTE", "0"),
        ("EXPORTS_PER_MINUTE", "-1"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(monkeypatch, name, value):
    monkeypatch.setenv(f"OPTIINFRA_{name}", value)
    with pytest.raises(ConfigError, match=f"OPTIINFRA_{name}: "):
        load_settings()


def test_keys_are_read_over_http_alone(monkeypatch):
    monkeypatch.setenv("OPTIINFRA_AUTH", "jwt")
    monkeypatch.setenv("OPTIINFRA_JWT_JWKS_URL", "file:///etc/passwd")
    with pytest.raises(ConfigError, match="OPTIINFRA_JWT_JWKS_URL"):
        load_settings()


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "::ffff:0.0.0.0", "10.0.0.5", "example.org", "localhost.example", "0"]
)
def test_beyond_this_machine_a_token_is_needed(monkeypatch, host):
    monkeypatch.setenv("OPTIINFRA_HOST", host)
    with pytest.raises(ConfigError, match="OPTIINFRA_AUTH=jwt"):
        load_settings()
    monkeypatch.setenv("OPTIINFRA_AUTH", "jwt")
    with pytest.raises(ConfigError, match="OPTIINFRA_JWT_SECRET"):
        load_settings()
    monkeypatch.setenv("OPTIINFRA_JWT_SECRET", "short")
    with pytest.raises(ConfigError, match="32 characters") as caught:
        load_settings()
    assert "short" not in str(caught.value)
    monkeypatch.setenv("OPTIINFRA_JWT_SECRET", SECRET)
    assert SECRET not in repr(load_settings())


@pytest.mark.parametrize(
    "service",
    [
        "data_collector.main",
        "performance_agent.main",
        "resource_agent.main",
        "optiinfra_standalone.cli",
    ],
)
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_no_service_starts_with_an_open_door(service, host, tmp_path):
    arguments = ["standalone"] if service.endswith("cli") else []
    program = f"import sys; from {service} import main; sys.argv[1:] = {arguments}; main()"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(tmp_path, host=host),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert "OPTIINFRA_AUTH=jwt" in ended.stderr
    assert not (tmp_path / "store").exists(), "it stopped before it opened the store"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_on_a_loopback_address_none_is_needed(monkeypatch, host):
    monkeypatch.setenv("OPTIINFRA_HOST", host)
    assert load_settings().auth == "none"


def test_any_setting_may_stand_in_a_file(monkeypatch, tmp_path):
    secret = tmp_path / "jwt"
    secret.write_text(f"{SECRET}\n")
    monkeypatch.setenv("OPTIINFRA_JWT_SECRET_FILE", str(secret))
    settings = load_settings()
    assert settings.jwt_secret is not None
    assert settings.jwt_secret.get_secret_value() == SECRET


def test_a_value_and_a_file_of_it_are_refused_together(monkeypatch, tmp_path):
    monkeypatch.setenv("OPTIINFRA_JWT_SECRET", SECRET)
    monkeypatch.setenv("OPTIINFRA_JWT_SECRET_FILE", str(tmp_path / "jwt"))
    with pytest.raises(ConfigError, match="JWT_SECRET and OPTIINFRA_JWT_SECRET_FILE are both set"):
        load_settings()


def test_a_file_that_cannot_be_read_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("OPTIINFRA_STORE_FILE", str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match=r"OPTIINFRA_STORE_FILE=.*absent cannot be read: No such"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "url", "whole"),
    [
        (
            "store",
            "clickhouse://writer@db:8123/m?cluster=c",
            "clickhouse://writer:a%40%2F@db:8123/m?cluster=c",
        ),
        ("store", "clickhouses://db/m", "clickhouses://:a%40%2F@db/m"),
        ("broker", "redis://redis:6379/0", "redis://:a%40%2F@redis:6379/0"),
    ],
)
def test_a_password_may_be_given_apart_from_its_url(monkeypatch, name, url, whole):
    monkeypatch.setenv(f"OPTIINFRA_{name.upper()}", url)
    monkeypatch.setenv(f"OPTIINFRA_{name.upper()}_PASSWORD", "a@/")
    settings = load_settings()
    assert getattr(settings, name).get_secret_value() == whole
    assert "a@/" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "url"),
    [("store", "chdb:///x"), ("store", "clickhouse://u:p@db/m"), ("broker", "memory://")],
)
def test_a_password_that_has_no_place_is_refused(monkeypatch, name, url):
    monkeypatch.setenv(f"OPTIINFRA_{name.upper()}", url)
    monkeypatch.setenv(f"OPTIINFRA_{name.upper()}_PASSWORD", "a")
    with pytest.raises(ConfigError, match=f"OPTIINFRA_{name.upper()}_PASSWORD is for"):
        load_settings()
