"""Four clouds without an account: `optiinfra standalone` against the fakes.

    python -m fakes.demo [--port 8000] [--resources 300]

The fakes run here and OptiInfra in a process of its own, as it does elsewhere. What the machines
do is replayed from series that were recorded in real clouds, where those are at hand.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from benchmarks.sources import Source, load_bitbrains, load_nab
from fakes.aws import demo_fleet
from fakes.azure import SUBSCRIPTION, AzureFake, fleet
from fakes.gcp import FakeGcp
from fakes.vultr import KEY, FakeVultr
from numpy.typing import NDArray
from support.processes import OPTIINFRA

Curve = NDArray[np.float64]
Customers = dict[str, dict[str, list[dict[str, Any]]]]

_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
_FOLDER = Path(".optiinfra", "demo")
_KEY_VARIABLE = "VULTR_API_KEY"
#: Longer than OptiInfra takes from Ctrl-C to its exit.
_STOP_SECONDS = 15.0
#: Samples of a day, one per five minutes.
_DAY = 288


@dataclass(frozen=True)
class Curves:
    """What the resources replay, one value per five minutes.

    `cpu` is in percent, `rates` in KB/s, `requests` in requests per minute; `origin` says where
    they are from.
    """

    origin: str
    cpu: Sequence[Curve]
    rates: Sequence[Curve]
    requests: Sequence[Curve]

    def of_aws(self) -> Mapping[str, Sequence[Curve]]:
        """By CloudWatch metric; its traffic is counted in bytes per five minutes."""
        traffic = [one * 1024 * 300 for one in self.rates]
        counted = ("NetworkIn", "NetworkOut", "EBSReadBytes", "EBSWriteBytes")
        return {
            "CPUUtilization": self.cpu,
            "RequestCount": self.requests,
            **dict.fromkeys(counted, traffic),
        }


def load_curves(data: Path) -> Curves:
    """The recorded series below `data`, or waves by day and night where there are none."""
    if not data.is_dir():
        return _waves()
    sources = [*load_nab(data / "nab"), *load_bitbrains(data / "bitbrains")]
    machines = [one for one in sources if "/" in one.name]
    return Curves(
        "recorded in real clouds (NAB, Bitbrains)",
        cpu=_curves(sources, "cpu_utilization"),
        rates=_curves(machines, "network_in_bytes_per_sec", "disk_write_bytes_per_sec"),
        requests=_curves(sources, "lb_requests_per_sec"),
    )


def _curves(sources: Sequence[Source], *metrics: str) -> list[Curve]:
    found = [one.values[np.isfinite(one.values)] for one in sources if one.metric in metrics]
    return [values for values in found if np.ptp(values) > 0]


def _waves() -> Curves:
    random = np.random.default_rng(0)
    phase = np.arange(7 * _DAY) * 2 * np.pi / _DAY

    def waves(top: float) -> list[Curve]:
        return [
            top * (0.45 + 0.3 * np.sin(phase + shift) + 0.2 * random.random(len(phase)))
            for shift in random.uniform(0, 2 * np.pi, 8)
        ]

    return Curves(
        "made up, since no recorded series are at hand",
        cpu=waves(100),
        rates=waves(5000),
        requests=waves(500),
    )


@contextmanager
def clouds(resources: int, curves: Curves) -> Iterator[Customers]:
    """Run the four fakes with about so many resources in all; the customers that have them."""
    share = max(resources // 4, 4)
    shapes = [*curves.cpu, *curves.rates]
    with ExitStack() as running:
        # A machine of AWS has a volume, one of Google about 1.3 disks.
        aws = running.enter_context(demo_fleet(share // 2, series=curves.of_aws()))
        gcp = running.enter_context(FakeGcp(instances=max(share - 16, 3) * 2 // 5, series=shapes))
        azure = running.enter_context(AzureFake(fleet(share), series=shapes))
        vultr = running.enter_context(
            FakeVultr(
                instances=share // 2,
                blocks=share // 4,
                databases=share // 8,
                load_balancers=share // 16,
                # Only Linux has more loopback addresses than one.
                exporters=share // 4 if sys.platform == "linux" else 0,
                series=curves.cpu,
            )
        )
        anonymous = {"anonymous": True}
        yield {
            "acme": {
                "accounts": [
                    {
                        "id": "prod",
                        "provider": "aws",
                        "regions": ["us-east-1"],
                        "container_insights": True,
                        "credentials": anonymous,
                        "endpoints": {"default": aws.url},
                    },
                    {
                        "id": "web",
                        "provider": "gcp",
                        "project": gcp.project,
                        "credentials": anonymous,
                        "endpoints": gcp.endpoints,
                    },
                ]
            },
            "globex": {
                "accounts": [
                    {
                        "id": "core",
                        "provider": "azure",
                        "subscription_id": SUBSCRIPTION,
                        "credentials": anonymous,
                        "endpoints": {"management": azure.url, "metrics": azure.url},
                    },
                    {
                        "id": "edge",
                        "provider": "vultr",
                        "node_exporter": {"port": vultr.exporter_port, "tags": ["exporter"]},
                        "credentials": {"api_key": f"env:{_KEY_VARIABLE}"},
                        "endpoints": {"default": vultr.url},
                    },
                ]
            },
            "local": {"accounts": [{"id": "machine", "provider": "host"}]},
        }


def serve(port: int, folder: Path, customers: Customers) -> int:
    """Run OptiInfra over these customers until it ends or SIGINT comes; its exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    accounts = folder / "accounts.yaml"
    accounts.write_text(yaml.safe_dump({"customers": customers}, sort_keys=False))
    settings = {
        "OPTIINFRA_ACCOUNTS": str(accounts),
        "OPTIINFRA_STORE": f"chdb://{folder}/store",
        _KEY_VARIABLE: KEY,
    }
    process = subprocess.Popen(
        [str(OPTIINFRA), "standalone", "--port", str(port)],
        env={**os.environ, **settings},
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
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--resources", type=int, default=300, help="of all clouds, about")
    options = parser.parse_args()
    # SIGINT too: whom a shell starts in the background ignores it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        curves = load_curves(_DATA)
        with clouds(options.resources, curves) as customers:
            _announce(options.port, customers, curves.origin)
            return serve(options.port, _FOLDER.resolve(), customers)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
