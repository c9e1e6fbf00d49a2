"""Settings from the environment, prefix `OPTIINFRA_`."""

from __future__ import annotations

import os
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from optiinfra.errors import ConfigError


class Settings(BaseSettings):
    """What an operator can set; every process reads the same names."""

    model_config = SettingsConfigDict(env_prefix="OPTIINFRA_", hide_input_in_errors=True)

    store: SecretStr = SecretStr("chdb://.optiinfra/store")
    store_password: SecretStr | None = None
    broker: SecretStr = SecretStr("memory://")
    broker_password: SecretStr | None = None
    accounts: Path = Path("accounts.yaml")
    host: str = "127.0.0.1"
    port: int | None = Field(default=None, ge=1, le=65535)
    auth: Literal["none", "jwt"] = "none"
    jwt_secret: SecretStr | None = None
    jwt_jwks_url: str | None = Field(default=None, repr=False)
    jwt_audience: str | None = None
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    triggers_per_minute: int = Field(default=30, ge=1)
    exports_per_minute: int = Field(default=30, ge=1)
    collect_interval_minutes: int = Field(default=15, ge=1, le=60)
    retention_days: int = Field(default=90, ge=1, le=3650)
    data_collector_url: str = Field(default="http://127.0.0.1:8005", repr=False)
    log_format: Literal["console", "json"] = "console"

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        """Origins stand in one variable, with commas between them."""
        if not isinstance(value, str):
            return value
        origins = tuple(origin.strip() for origin in value.split(",") if origin.strip())
        for origin in origins:
            parts = urlsplit(origin)
            if origin != f"{parts.scheme}://{parts.netloc}" or not parts.netloc or "@" in origin:
                raise ValueError("an origin is https://host or https://host:port, without a path")
        return origins

    @property
    def collect_interval(self) -> timedelta:
        return timedelta(minutes=self.collect_interval_minutes)

    @property
    def retention(self) -> timedelta:
        return timedelta(days=self.retention_days)


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process; ConfigError names each variable that cannot be used.

    `overrides` are what the command line says; None leaves the environment's value. Any
    setting may stand in a file instead, which `OPTIINFRA_<NAME>_FILE` names. Passwords that
    are given apart from their URLs are in `store` and `broker` afterwards.
    """
    given = _from_files() | {k: value for k, value in overrides.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        lines = [
            f"OPTIINFRA_{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise ConfigError("\n".join(lines)) from error
    _refuse_open_door(settings)
    return settings.model_copy(
        update={
            "store": _with_password("STORE", settings.store, settings.store_password),
            "broker": _with_password("BROKER", settings.broker, settings.broker_password),
        }
    )


def _from_files() -> dict[str, str]:
    """What stands in files, as orchestrators hand secrets over; a last line break is not it."""
    found = {}
    for name in Settings.model_fields:
        variable = f"OPTIINFRA_{name.upper()}"
        path = os.environ.get(f"{variable}_FILE")
        if path is None:
            continue
        if variable in os.environ:
            raise ConfigError(f"{variable} and {variable}_FILE are both set; choose one")
        try:
            found[name] = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise ConfigError(f"{variable}_FILE={path} cannot be read: {reason}") from error
    return found


def _with_password(name: str, url: SecretStr, password: SecretStr | None) -> SecretStr:
    if password is None:
        return url
    scheme, _, rest = url.get_secret_value().partition("://")
    user, _, host = rest.rpartition("@")
    if scheme in ("chdb", "memory") or ":" in user:
        raise ConfigError(
            f"OPTIINFRA_{name}_PASSWORD is for an OPTIINFRA_{name} that names a server and "
            "holds no password itself"
        )
    return SecretStr(f"{scheme}://{user}:{quote(password.get_secret_value(), safe='')}@{host}")


def _refuse_open_door(settings: Settings) -> None:
    if settings.auth == "none" and not _is_loopback(settings.host):
        raise ConfigError(
            f"OPTIINFRA_HOST={settings.host} listens beyond this machine without "
            "authentication; set OPTIINFRA_AUTH=jwt and OPTIINFRA_JWT_SECRET (or "
            "OPTIINFRA_JWT_JWKS_URL), or listen on 127.0.0.1"
        )
    if settings.auth == "jwt" and not (settings.jwt_secret or settings.jwt_jwks_url):
        raise ConfigError(
            "OPTIINFRA_AUTH=jwt needs OPTIINFRA_JWT_SECRET (32 characters or more) or "
            "OPTIINFRA_JWT_JWKS_URL"
        )
    if settings.jwt_jwks_url and urlsplit(settings.jwt_jwks_url).scheme not in ("http", "https"):
        raise ConfigError("OPTIINFRA_JWT_JWKS_URL must begin with https:// or http://")
    if settings.jwt_secret and len(settings.jwt_secret.get_secret_value()) < 32:
        raise ConfigError("OPTIINFRA_JWT_SECRET must have 32 characters or more")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
