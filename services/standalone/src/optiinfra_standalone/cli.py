"""The `optiinfra` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from data_collector.runtime import Runtime, build_runtime
from optiinfra.accounts import Account, AccountBook
from optiinfra.domain import Kind, Window
from optiinfra.errors import ConfigError, OptiInfraError, StoreLockedError
from optiinfra.logging import configure_logging
from optiinfra.provider import load_provider, options_model
from optiinfra.settings import Settings, load_settings
from optiinfra.tracing import configure_tracing
from optiinfra.web.auth import Role, issue_token
from optiinfra_database import connect, migrate
from optiinfra_database.migrate import load_migrations, statements, status
from optiinfra_standalone import server
from optiinfra_standalone.collecting import CollectHere, Collecting, CollectThere
from optiinfra_standalone.page import PAGE, is_built

app = typer.Typer(
    help="Performance, inventory and cost of every customer on every cloud, in ClickHouse.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
accounts_app = typer.Typer(help="The configured accounts.", no_args_is_help=True)
app.add_typer(accounts_app, name="accounts")

# Into a file or a pipe, lines are wide enough for a table to be read by a program.
_WIDTH = None if sys.stdout.isatty() else 200
out = Console(width=_WIDTH)
errors = Console(stderr=True)

RoleName = Literal["viewer", "member", "admin", "owner"]

Customer = Annotated[str | None, typer.Option(help="Only this customer.")]
Provider = Annotated[str | None, typer.Option(help="Only this provider.")]
AccountId = Annotated[str | None, typer.Option("--account", help="Only this account.")]


def main() -> None:
    """Run the command; an error of ours is told in one line and not as a traceback."""
    try:
        app()
    except OptiInfraError as error:
        errors.print(f"[bold red]error:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)


@app.command()
def standalone(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port.")] = None,
) -> None:
    """Run every service, the worker and the schedule in this process."""
    settings = load_settings(host=host, port=port)
    configure_logging(settings.log_format)
    configure_tracing("optiinfra")
    accounts = AccountBook(settings.accounts, options_model).accounts()
    out.print(
        f"OptiInfra collects {_counted(len(accounts), 'account')} "
        f"every {settings.collect_interval_minutes} minutes into {_place(settings)}"
    )
    try:
        server.serve(settings, on_ready=lambda url: _welcome(url, accounts))
    except KeyboardInterrupt:
        out.print("stopped")
        # Collections that wait for a provider would hold the exit up until it answers.
        os._exit(0)


@app.command("migrate")
def migrate_command(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would run.")] = False,
    show_status: Annotated[bool, typer.Option("--status", help="Show the ledger.")] = False,
) -> None:
    """Bring the store's tables up to this version."""
    settings = load_settings()
    store = connect(settings.store.get_secret_value())
    try:
        if show_status:
            table = _table("version", "name", "state", "applied at")
            for entry in status(store):
                when = f"{entry.applied_at:%Y-%m-%d %H:%M:%S}Z" if entry.applied_at else ""
                number = f"{entry.migration.version:04}"
                table.add_row(number, entry.migration.name, entry.state, when)
            out.print(table)
        elif dry_run:
            for entry in status(store):
                if entry.state != "applied":
                    for text in entry.migration.statements():
                        for statement in statements(store, text):
                            out.print(f"{statement};\n", markup=False, highlight=False)
        else:
            applied = migrate(store, retention_days=settings.retention_days)
            names = ", ".join(f"{one.version:04}_{one.name}" for one in applied)
            out.print(f"applied {names}" if applied else f"up to date: {len(load_migrations())}")
    finally:
        store.close()


@app.command()
def collect(
    customer: Customer = None,
    provider: Provider = None,
    account: AccountId = None,
    kind: Annotated[list[Kind] | None, typer.Option(help="Only this kind; repeatable.")] = None,
) -> None:
    """Collect now: every account, or those that the options name."""
    settings = load_settings()
    configure_logging(settings.log_format, level="ERROR")
    accounts = _chosen(settings, customer, provider, account)
    kinds = kind or [Kind.RESOURCES, Kind.PERFORMANCE]
    with _collecting(settings) as collecting:
        runs = _with_progress(collecting, accounts, kinds)
    table = _table(
        "account", "kind", "status", "scopes", "rows", "dropped", "calls", "price", "error"
    )
    for run in runs:
        failed = [scope for scope in run["scopes"] if scope["status"] != "ok"]
        table.add_row(
            f"{run['customer_id']}/{run['provider']}/{run['account_id']}",
            run["kind"],
            run["status"],
            f"{len(run['scopes']) - len(failed)}/{len(run['scopes'])}",
            str(run["rows"]),
            str(sum(sum(scope["dropped"].values()) for scope in run["scopes"])),
            str(run["api_calls"]),
            f"${run['estimated_price_usd']:.4f}",
            run["error"] or "; ".join(f"{one['scope']}: {one['error']}" for one in failed),
        )
    out.print(table)
    if any(run["status"] != "succeeded" for run in runs):
        raise typer.Exit(1)


@app.command()
def runs(
    customer: Annotated[str, typer.Option(help="Whose runs.")] = "local",
    hours: Annotated[int, typer.Option(min=1, max=2160, help="How far back.")] = 24,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
) -> None:
    """The newest runs of a customer."""
    settings = load_settings()
    now = datetime.now(UTC)
    window = Window(now - timedelta(hours=hours), now)
    try:
        with _runtime(settings) as runtime:
            found = runtime.ledger.recent_runs(customer, window, limit=limit)
    except StoreLockedError:
        found = CollectThere(_url(settings), _own_token(settings)).recent_runs(
            customer, window, limit
        )
    table = _table("queued", "account", "kind", "status", "rows", "calls", "price", "error")
    for run in found:
        table.add_row(
            run["queued_at"][:19] + "Z",
            f"{run['customer_id']}/{run['provider']}/{run['account_id']}",
            run["kind"],
            run["status"],
            str(run["rows"]),
            str(run["api_calls"]),
            f"${run['estimated_price_usd']:.4f}",
            run["error"] or "",
        )
    out.print(table)


@app.command()
def token(
    customer: Annotated[list[str], typer.Option(help="Whose data; repeatable, * for all.")],
    role: Annotated[RoleName, typer.Option(help="What it may do.")] = "viewer",
    subject: Annotated[str, typer.Option(help="Who it is for.")] = "cli",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it is good.")] = 30,
) -> None:
    """Print a token signed with OPTIINFRA_JWT_SECRET."""
    settings = load_settings()
    text = issue_token(
        settings,
        customers=customer,
        role=Role[role.upper()],
        subject=subject,
        lifetime=timedelta(days=days),
    )
    # Not through rich, which would wrap it.
    typer.echo(text)


@accounts_app.command("check")
def accounts_check(
    customer: Customer = None, provider: Provider = None, account: AccountId = None
) -> None:
    """Check the file, the credentials and the permissions; say what is missing."""
    settings = load_settings()
    configure_logging(settings.log_format, level="ERROR")
    table = _table("account", "check", "", "what to do")
    all_well = True
    for one in _chosen(settings, customer, provider, account):
        name = f"{one.customer_id}/{one.provider}/{one.account_id}"
        try:
            for check in load_provider(one.provider).check(one):
                all_well &= check.ok
                table.add_row(name, check.what, "ok" if check.ok else "MISSING", check.advice)
        except OptiInfraError as error:
            all_well = False
            table.add_row(name, "answers", "FAILED", str(error))
    out.print(table)
    if not all_well:
        raise typer.Exit(1)


def _with_progress(
    collecting: Collecting, accounts: list[Account], kinds: list[Kind]
) -> list[dict[str, Any]]:
    """Collect behind a progress bar; the runs in the order in which they began."""
    found: dict[str, dict[str, Any]] = {}
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=errors, transient=True) as bar:
        bars: dict[str, Any] = {}
        for step in collecting.collect(accounts, kinds):
            run = step.run
            if run["run_id"] not in bars:
                label = f"{run['customer_id']}/{run['provider']}/{run['account_id']} {run['kind']}"
                bars[run["run_id"]] = bar.add_task(label, total=step.expected_scopes)
            bar.update(
                bars[run["run_id"]], completed=len(run["scopes"]), total=step.expected_scopes
            )
            found[run["run_id"]] = run
    return list(found.values())


@contextmanager
def _collecting(settings: Settings) -> Iterator[Collecting]:
    """Through this process, or through the one that has the store open."""
    with ExitStack() as opened:
        collecting: Collecting
        try:
            runtime = opened.enter_context(_runtime(settings))
        except StoreLockedError:
            collecting = CollectThere(_url(settings), _own_token(settings))
        else:
            runtime.announce_accounts()
            collecting = CollectHere(runtime)
        yield collecting


@contextmanager
def _runtime(settings: Settings) -> Iterator[Runtime]:
    store = connect(settings.store.get_secret_value())
    try:
        migrate(store, retention_days=settings.retention_days)
        yield build_runtime(settings, store)
    finally:
        store.close()


def _chosen(
    settings: Settings, customer: str | None, provider: str | None, account: str | None
) -> list[Account]:
    chosen = [
        one
        for one in AccountBook(settings.accounts, options_model).accounts()
        if customer in (None, one.customer_id)
        and provider in (None, one.provider)
        and account in (None, one.account_id)
    ]
    if not chosen:
        raise ConfigError(f"no account in {settings.accounts} is meant by these options")
    return chosen


def _own_token(settings: Settings) -> str | None:
    """A token for talking to our own API, where that asks for one."""
    if settings.auth == "none":
        return None
    return issue_token(
        settings,
        customers=["*"],
        role=Role.MEMBER,
        subject="optiinfra-command",
        lifetime=timedelta(hours=1),
    )


def _url(settings: Settings) -> str:
    return f"http://{settings.host}:{settings.port or server.PORT}"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        # Nothing is cut off: an error's end is where its advice stands.
        table.add_column(name, overflow="fold")
    return table


def _place(settings: Settings) -> str:
    """The store without the password that its DSN may hold."""
    scheme, _, rest = settings.store.get_secret_value().partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _welcome(url: str, accounts: Sequence[Account]) -> None:
    paths = ["/health/ready", "/docs"]
    if accounts:
        of_account = f"{accounts[0].customer_id}/{accounts[0].provider}"
        paths = [
            f"/api/v2/performance/{of_account}/latest",
            f"/api/v2/performance/{of_account}/summary",
            f"/api/v2/resources/{of_account}/list",
            f"/api/v2/collections?customer_id={accounts[0].customer_id}",
            *paths,
        ]
        out.print(f"ready on {url}; the first collection is under way. Ctrl-C stops. Try:")
    else:
        out.print(f"ready on {url}; no account is configured. Ctrl-C stops. Try:")
    for path in paths:
        out.print(f"  {url}{path}", highlight=False, soft_wrap=True)
    if not is_built(PAGE):
        out.print("The web page is not built; `make page` builds it, the API works without.")
