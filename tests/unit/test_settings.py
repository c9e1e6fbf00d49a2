"""Settings: every wrong value is named, and no door stands open."""

from __future__ import annotations

import pytest

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
    ],
)
def test_a_wrong_value_is_refused_by_its_name(monkeypatch, name, value):
    monkeypatch.setenv(f"OPTIINFRA_{name}", value)
    with pytest.raises(ConfigError, match=f"OPTIINFRA_{name}: "):
        load_settings()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "example.org"])
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


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_on_a_loopback_address_none_is_needed(monkeypatch, host):
    monkeypatch.setenv("OPTIINFRA_HOST", host)
    assert load_settings().auth == "none"
