"""Four clouds without an account: `optiinfra standalone` against the fakes.

    python -m fakes.demo [--port 8000] [--resources 300]

The fakes run here and OptiInfra in a process of its own, as it does elsewhere. What the machines
do is replayed from series that were recorded in real clouds, where those are at hand. The hours
before have been collected too, and something happened in them. OPTIINFRA_PORT and
OPTIINFRA_STORE are heard as by every other command.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from fakes.aws import FakeAws, demo_fleet
from fakes.azure import DISK, SUBSCRIPTION, VM, AzureFake, fleet, resource
from fakes.curves import Curves, load_curves
from fakes.gcp import Device, Disk, FakeGcp
from fakes.past import Clock, Events, live_through
from fakes.vultr import KEY, FakeVultr, Faults
from support.processes import OPTIINFRA

from optiinfra.accounts import Account, AccountBook
from optiinfra.provider import options_model

Customers = dict[str, dict[str, list[dict[str, Any]]]]

_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
_FOLDER = Path(".optiinfra", "demo")
_KEY_VARIABLE = "VULTR_API_KEY"
#: Longer than OptiInfra takes from Ctrl-C to its exit.
_STOP_SECONDS = 30.0
#: How much of the past a new store gets.
_PAST = timedelta(hours=4)


@dataclass(frozen=True)
class Demo:
    """The customers of the fakes that run, and what happened to their fleets."""

    customers: Customers
    clock: Clock
    events: Events


@contextmanager
def clouds(resources: int, curves: Curves) -> Iterator[Demo]:
    """Run the fakes with about so many resources in all."""
    share = max(resources // 4, 4)
    shapes = [*curves.cpu, *curves.rates]
    # Only Linux has more loopback addresses than one.
    exporters = share // 4 if sys.platform == "linux" else 0
    clock = Clock()
    with ExitStack() as running:
        # A machine of AWS has a volume, one of Google about 1.3 disks.
        aws = running.enter_context(demo_fleet(share // 2, series=curves.of_aws(), clock=clock))
        gcp = running.enter_context(FakeGcp(instances=max((share - 16) * 2 // 5, 3), series=shapes))
        azure = running.enter_context(AzureFake(fleet(share), series=shapes))
        vultr = running.enter_context(
            FakeVultr(
                instances=share // 2,
                blocks=share // 4,
                databases=share // 8,
                load_balancers=share // 16,
                exporters=exporters,
                series=curves.cpu,
                clock=clock,
            )
        )
        lab = running.enter_context(
            FakeVultr(
                instances=6,
                exporters=min(exporters, 2),
                seed=1,
                series=curves.cpu,
                clock=clock,
                faults=Faults(deny={"databases"}),
            )
        )
        customers = {
            "acme": [_aws_account("prod", aws), _gcp_account("web", gcp)],
            "globex": [_azure_account("core", azure), _vultr_account("edge", vultr)],
            "initech": [_vultr_account("lab", lab)],
            "local": [{"id": "machine", "provider": "host"}],
        }
        yield Demo(
            {name: {"accounts": accounts} for name, accounts in customers.items()},
            clock,
            _events(aws, gcp, azure, vultr),
        )


def _aws_account(name: str, fake: FakeAws) -> dict[str, Any]:
    return {
        "id": name,
        "provider": "aws",
        "regions": ["us-east-1"],
        "container_insights": True,
        "credentials": {"anonymous": True},
        "endpoints": {"default": fake.url},
    }


def _gcp_account(name: str, fake: FakeGcp) -> dict[str, Any]:
    return {
        "id": name,
        "provider": "gcp",
        "project": fake.project,
        "credentials": {"anonymous": True},
        "endpoints": fake.endpoints,
    }


def _azure_account(name: str, fake: AzureFake) -> dict[str, Any]:
    return {
        "id": name,
        "provider": "azure",
        "subscription_id": SUBSCRIPTION,
        "credentials": {"anonymous": True},
        "endpoints": {"management": fake.url, "metrics": fake.url},
    }


def _vultr_account(name: str, fake: FakeVultr) -> dict[str, Any]:
    return {
        "id": name,
        "provider": "vultr",
        "node_exporter": {"port": fake.exporter_port, "tags": ["exporter"]},
        "credentials": {"api_key": f"env:{_KEY_VARIABLE}"},
        "endpoints": {"default": fake.url},
    }


def _events(aws: FakeAws, gcp: FakeGcp, azure: AzureFake, vultr: FakeVultr) -> Events:
    """What happened in each of the four big fleets: one thing went, one changed, one came.

    The last of it is for the first collection of the present to see.
    """
    ec2 = aws.client("ec2")
    spare = ec2.create_volume(AvailabilityZone="us-east-1a", Size=200)["VolumeId"]

    def something_went_and_something_changed() -> None:
        ec2.delete_volume(VolumeId=spare)
        gcp.fleet.disks[:] = [one for one in gcp.fleet.disks if one.name != "left-over"]
        azure.remove(next(key for key, one in azure.bodies.items() if one["type"] == DISK))
        vultr.lists["blocks"].pop()
        aws.stop(next(key for key in aws.resources if key.startswith("i-")))
        machine = gcp.fleet.machines[0]
        gcp.fleet.machines[0] = replace(machine, status="TERMINATED")
        gcp.rebuild()
        body = next(one for one in azure.bodies.values() if one["type"] == VM)
        body["tags"] = {**body["tags"], "reviewed": "yes"}
        vultr.lists["instances"][-1]["power_status"] = "stopped"

    def something_came() -> None:
        now = vultr.clock().isoformat(timespec="seconds")
        aws.instances(1, launched=aws.clock(), volumes=True)
        machine = gcp.fleet.machines[1]
        number = len(gcp.fleet.machines)
        made = replace(
            machine,
            id=str(int(machine.id) + number),
            name=f"vm-{number}",
            devices=(Device("persistent-disk-0", f"vm-{number}"),),
            created=now,
        )
        gcp.fleet.machines.append(made)
        gcp.fleet.disks.append(Disk("6000000000000000003", made.name, made.zone, 50, (made.path,)))
        gcp.rebuild()
        azure.add(resource(VM, 900, "westeurope"))
        vultr.add_instance(len(vultr.lists["instances"]))["date_created"] = now

    return {
        timedelta(hours=3): something_went_and_something_changed,
        timedelta(0): something_came,
    }


def serve(port: int, store: str, accounts: Path) -> int:
    """Run OptiInfra over these accounts until it ends or SIGINT comes; its exit code."""
    process = subprocess.Popen(
        [str(OPTIINFRA), "standalone", "--port", str(port)],
        env={**os.environ, "OPTIINFRA_ACCOUNTS": str(accounts), "OPTIINFRA_STORE": store},
        # Ctrl-C reaches it through us alone: a second one would cut its ending short.
        start_new_session=True,
    )
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        return process.wait(_STOP_SECONDS)
    finally:
        process.kill()
        process.wait()


def _configure(customers: Customers, file: Path) -> Sequence[Account]:
    """Write the accounts file; what it says."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({"customers": customers}, sort_keys=False))
    os.environ[_KEY_VARIABLE] = KEY
    return AccountBook(file, options_model).accounts()


def _announce(port: int, customers: Customers, origin: str) -> None:
    print(f"Four fake clouds are up; what their machines do was {origin}. Addresses:")
    url = f"http://127.0.0.1:{port}/api/v2"
    for customer_id, customer in customers.items():
        print(f"  {url}/collections?customer_id={customer_id}")
        for account in customer["accounts"]:
            of_account = f"{customer_id}/{account['provider']}"
            print(f"  {url}/performance/{of_account}/latest")
            print(f"  {url}/resources/{of_account}/summary", flush=True)


def main() -> int:
    """Run the demo until Ctrl-C; the exit code."""
    parser = argparse.ArgumentParser(prog="fakes.demo", description=__doc__)
    default_port = int(os.environ.get("OPTIINFRA_PORT", "8000"))
    parser.add_argument("--port", type=int, default=default_port)
    parser.add_argument("--resources", type=int, default=300, help="of all clouds, about")
    options = parser.parse_args()
    # Otherwise it tells of every connection that is closed at the end.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    # SIGINT too: whom a shell starts in the background ignores it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    folder = _FOLDER.resolve()
    store = os.environ.get("OPTIINFRA_STORE", f"chdb://{folder}/store")
    try:
        curves = load_curves(_DATA)
        with clouds(options.resources, curves) as demo:
            accounts = folder / "accounts.yaml"
            configured = _configure(demo.customers, accounts)
            # One customer is a new one.
            old = [account for account in configured if account.customer_id != "initech"]
            live_through(store, old, demo.clock, demo.events, length=_PAST)
            _announce(options.port, demo.customers, curves.origin)
            return serve(options.port, store, accounts)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
