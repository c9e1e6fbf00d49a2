"""The accounts file: who is collected, where, and with which credentials.

The file (or every `*.yaml` of a folder) is read again when it changes. A mistake is
reported with its file and line. Secrets are references that are resolved at the moment of
use; an `Account` never holds one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import structlog
import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from optiinfra.calls import Calls
from optiinfra.errors import ConfigError, CredentialError
from optiinfra.notes import MemoryNotes, Notes

log = structlog.get_logger()

#: What names a customer or an account: it stands in URLs, scopes and file names.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
_SECRET_KEY = re.compile(r"secret|password|token|external_id|api_key|private_key", re.IGNORECASE)
_REFERENCE = re.compile(r"^(env|file):.+")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}

Name = Annotated[str, Field(pattern=NAME_PATTERN)]


@dataclass(frozen=True, slots=True)
class Account:
    """One AWS account, GCP project, Azure subscription, Vultr key or set of hosts.

    `options` holds what only its provider understands, already checked by the provider's
    own model. Every API call goes through `calls`, which counts it. `notes` is what a provider
    remembers of the account from one cycle to the next.
    """

    customer_id: str
    account_id: str
    provider: str
    options: Mapping[str, Any] = field(default_factory=dict)
    credentials: Mapping[str, Any] = field(default_factory=dict, repr=False)
    endpoints: Mapping[str, str] = field(default_factory=dict)
    calls: Calls = field(default_factory=Calls, compare=False, repr=False)
    notes: Notes = field(default_factory=MemoryNotes, compare=False, repr=False)

    def secret(self, key: str) -> SecretStr:
        """The secret that `credentials[key]` refers to, read now.

        Raises CredentialError when it is not configured or cannot be read; the message
        names the reference, which is no secret.
        """
        reference = str(self.credentials.get(key, ""))
        scheme, _, rest = reference.partition(":")
        try:
            if scheme == "env":
                return SecretStr(os.environ[rest])
            if scheme == "file":
                return SecretStr(Path(rest).read_text(encoding="utf-8").strip())
        except (KeyError, OSError) as error:
            raise CredentialError(
                f"{self.customer_id}/{self.account_id}: {key} refers to {reference}, "
                "which is not there"
            ) from error
        raise CredentialError(f"{self.customer_id}/{self.account_id}: no {key} is configured")


class _AccountEntry(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: Name
    provider: str
    credentials: dict[str, str | bool] = {}
    endpoints: dict[str, str] = {}

    @field_validator("credentials")
    @classmethod
    def _references_only(cls, value: dict[str, str | bool]) -> dict[str, str | bool]:
        for key, entry in value.items():
            if _SECRET_KEY.search(key) and not _REFERENCE.match(str(entry)):
                raise ValueError(f"{key} must be a reference, env:NAME or file:PATH, not a literal")
        return value

    @field_validator("endpoints")
    @classmethod
    def _urls(cls, value: dict[str, str]) -> dict[str, str]:
        for key, url in value.items():
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"{key} must be an http:// or https:// URL")
            if "@" in parts.netloc:
                # It would be shown with the account; and no provider signs requests so.
                raise ValueError(f"{key} must hold no user and no password")
        return value

    def plain_endpoints_are_loopback(self) -> bool:
        return all(
            urlsplit(url).scheme == "https" or urlsplit(url).hostname in _LOOPBACK
            for url in self.endpoints.values()
        )


class _CustomerEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    accounts: list[_AccountEntry]


class _AccountsFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    customers: dict[Name, _CustomerEntry]


#: Gives the model that checks a provider's own keys; ConfigError where none is installed.
OptionsModel = Callable[[str], type[BaseModel]]


class AccountBook:
    """The accounts as the file has them now.

    Without a file it holds customer `local` with the provider `host`: this machine.
    """

    def __init__(self, path: Path, options_model: OptionsModel) -> None:
        self._path = path
        self._options_model = options_model
        self._signature: tuple[tuple[str, int, int], ...] | None = None
        self._fault: ConfigError | None = None
        self._accounts: tuple[Account, ...] = ()

    def accounts(self) -> Sequence[Account]:
        """Every account, read again when a file changed.

        Raises ConfigError when the first reading fails; later a broken file is logged and
        the last good state stays in use, so that a typo stops no collection.
        """
        signature = self._current_signature()
        if signature != self._signature:
            try:
                self._accounts = tuple(self._load())
                self._fault = None
            except ConfigError as error:
                if self._signature is None:
                    raise
                log.error("accounts_file_ignored", error=str(error))
                self._fault = error
            self._signature = signature
        return self._accounts

    def check(self) -> None:
        """Raise ConfigError while the file as it stands cannot be used."""
        self.accounts()
        if self._fault:
            raise self._fault

    def find(
        self, customer_id: str, provider: str | None = None, account_id: str | None = None
    ) -> list[Account]:
        """The accounts of one customer, narrowed where asked; `provider` may be `all`."""
        return [
            account
            for account in self.accounts()
            if account.customer_id == customer_id
            and provider in (None, "all", account.provider)
            and account_id in (None, account.account_id)
        ]

    def _files(self) -> list[Path]:
        if self._path.is_dir():
            return sorted(p for p in self._path.iterdir() if p.suffix in (".yaml", ".yml"))
        return [self._path] if self._path.exists() else []

    def _current_signature(self) -> tuple[tuple[str, int, int], ...]:
        try:
            stats = [(str(path), path.stat()) for path in self._files()]
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be read ({error.strerror})") from error
        return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)

    def _load(self) -> Iterator[Account]:
        files = self._files()
        if not files and self._accounts and self._signature:
            raise ConfigError(f"{self._path}: has gone; the accounts it had stay in use")
        if not files:
            yield Account(customer_id="local", account_id="this-host", provider="host")
            return
        seen: dict[tuple[str, str], str] = {}
        for path in files:
            for account, where in read_accounts(path, self._options_model):
                key = (account.customer_id, account.account_id)
                if key in seen:
                    raise ConfigError(
                        f"{where}: account {key[1]} of customer {key[0]} "
                        f"is already defined at {seen[key]}"
                    )
                seen[key] = where
                yield account


def read_accounts(path: Path, options_model: OptionsModel) -> Iterator[tuple[Account, str]]:
    """The accounts of one file, each with the `file:line` where it stands.

    Raises ConfigError with file, line and what to write instead.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: not valid YAML: {error.problem}") from error

    def where(location: tuple[int | str, ...]) -> str:
        return f"{path}:{_line_of(node, location)}"

    def refuse(error: ValidationError, prefix: tuple[int | str, ...] = ()) -> ConfigError:
        lines = []
        for problem in error.errors():
            location = prefix + tuple(problem["loc"])
            dotted = ".".join(str(part) for part in location) or "the file"
            message = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{where(location)}: {dotted}: {message}")
        return ConfigError("\n".join(lines))

    try:
        parsed = _AccountsFile.model_validate(document)
    except ValidationError as error:
        raise refuse(error) from error
    for customer_id, customer in parsed.customers.items():
        for index, entry in enumerate(customer.accounts):
            location = ("customers", customer_id, "accounts", index)
            if entry.credentials.get("anonymous") and not (
                entry.endpoints and entry.plain_endpoints_are_loopback()
            ):
                raise ConfigError(
                    f"{where((*location, 'credentials'))}: anonymous credentials need "
                    "endpoints, all of them on a loopback address"
                )
            try:
                model = options_model(entry.provider)
            except ConfigError as error:
                raise ConfigError(f"{where((*location, 'provider'))}: {error}") from error
            try:
                options = model.model_validate(entry.model_extra or {})
            except ValidationError as error:
                raise refuse(error, location) from error
            yield (
                Account(
                    customer_id=customer_id,
                    account_id=entry.id,
                    provider=entry.provider,
                    options=options.model_dump(),
                    credentials=entry.credentials,
                    endpoints=entry.endpoints,
                ),
                where(location),
            )


def _line_of(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """The line (from 1) of the deepest part of `location` that the document has."""
    line = node.start_mark.line if node else 0
    for part in location:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, node = key.start_mark.line, value
                    break
            else:
                break
        elif (
            isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value)
        ):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return line + 1
