"""The accounts file: references only, re-read on change, mistakes named by line."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from pydantic import BaseModel, ConfigDict

from optiinfra.accounts import Account, AccountBook
from optiinfra.errors import ConfigError, CredentialError


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    regions: list[str] = []


def options_model(provider: str) -> type[BaseModel]:
    if provider not in ("aws", "host"):
        raise ConfigError(f"provider {provider!r} is not installed; installed: aws, host")
    return Options


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts.yaml"


def book(path: Path) -> AccountBook:
    return AccountBook(path, options_model)


def write(path: Path, text: str) -> None:
    path.write_text(dedent(text).lstrip(), encoding="utf-8")


def refused(path: Path, text: str) -> str:
    write(path, text)
    with pytest.raises(ConfigError) as caught:
        book(path).accounts()
    return str(caught.value)


def test_without_a_file_this_machine_is_collected(path):
    assert list(book(path).accounts()) == [Account("local", "this-host", "host")]


def test_a_file_gives_its_accounts_with_checked_options(path):
    write(
        path,
        """
        customers:
          acme:
            accounts:
              - id: prod
                provider: aws
                regions: [us-east-1, eu-west-1]
                credentials: {role_arn: "arn:aws:iam::1:role/o", external_id: "env:ACME_ID"}
                endpoints: {default: "http://127.0.0.1:5555"}
        """,
    )
    (account,) = book(path).accounts()
    assert account.options == {"regions": ["us-east-1", "eu-west-1"]}
    assert account.endpoints == {"default": "http://127.0.0.1:5555"}
    assert "role_arn" not in repr(account)
    assert book(path).find("acme", "all") == [account]
    assert book(path).find("acme", "gcp") == []
    assert book(path).find("other") == []


def test_secrets_are_read_when_used_and_never_before(path, monkeypatch, tmp_path):
    (tmp_path / "key").write_text("from the file\n")
    account = Account(
        "acme",
        "a",
        "aws",
        credentials={"external_id": "env:ACME_ID", "api_key": f"file:{tmp_path}/key"},
    )
    with pytest.raises(CredentialError, match="env:ACME_ID"):
        account.secret("external_id")
    monkeypatch.setenv("ACME_ID", "from the environment")
    assert account.secret("external_id").get_secret_value() == "from the environment"
    assert account.secret("api_key").get_secret_value() == "from the file"
    with pytest.raises(CredentialError, match="no password"):
        account.secret("password")


def test_a_mistake_is_reported_with_file_and_line(path):
    entry = """
        customers:
          acme:
            accounts:
              - id: prod
                provider: {provider}
                {extra}
        """
    assert f"{path}:5: " in refused(path, entry.format(provider="azur", extra=""))
    assert f"{path}:6: customers.acme.accounts.0.region" in refused(
        path, entry.format(provider="aws", extra="region: us-east-1")
    )
    literal = refused(
        path, entry.format(provider="aws", extra="credentials: {client_secret: hello}")
    )
    assert f"{path}:6: " in literal
    assert "reference" in literal
    assert "hello" not in literal
    assert f"{path}:6: " in refused(
        path, entry.format(provider="aws", extra='endpoints: {default: "ftp://x"}')
    )
    assert "loopback" in refused(
        path, entry.format(provider="aws", extra="credentials: {anonymous: true}")
    )
    assert f"{path}:1: customers: " in refused(path, "customers:\n  - acme\n")
    assert f"{path}:3: not valid YAML" in refused(path, "customers:\n  acme: {\n")
    assert f"{path}:1: " in refused(path, "[]")
    assert f"{path}:1: the file: " in refused(path, "")
    assert "already defined" in refused(
        path,
        """
        customers:
          acme:
            accounts:
              - {id: prod, provider: aws}
              - {id: prod, provider: host}
        """,
    )


def test_a_file_that_is_not_text_is_refused(path):
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        book(path).accounts()


def test_a_folder_holds_several_files_and_changes_are_seen(tmp_path):
    folder = tmp_path / "accounts"
    folder.mkdir()
    one = "customers: {acme: {accounts: [{id: prod, provider: aws}]}}"
    write(folder / "a.yaml", one)
    known = book(folder)
    assert [account.account_id for account in known.accounts()] == ["prod"]
    write(folder / "b.yaml", one.replace("acme", "globex"))
    assert [account.customer_id for account in known.accounts()] == ["acme", "globex"]


def test_a_file_that_breaks_or_goes_leaves_the_last_good_accounts_in_use(path):
    write(path, "customers: {acme: {accounts: [{id: prod, provider: aws}]}}")
    known = book(path)
    good = known.accounts()
    write(path, "customers: {acme")
    assert known.accounts() == good
    with pytest.raises(ConfigError, match="not valid YAML"):
        known.check()
    path.unlink()
    assert known.accounts() == good
    with pytest.raises(ConfigError, match="has gone"):
        known.check()
    write(path, "customers: {acme: {accounts: [{id: prod2, provider: aws}]}}")
    known.check()
    assert [account.account_id for account in known.accounts()] == ["prod2"]
