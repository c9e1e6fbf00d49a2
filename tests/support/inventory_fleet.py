"""A fleet of any size in a store, with what happened to it: for pages that need many rows.

    python -m support.inventory_fleet <folder> [--resources 10000]

Fills the store below the folder and ends; a store has one process at a time.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.inventory import announce, list_scope, resource
from support.points import put_points

from optiinfra.accounts import Account
from optiinfra.domain import Resource
from optiinfra_database import Store, connect, migrate

AWS = Account(customer_id="acme", account_id="prod", provider="aws")
AZURE = Account(customer_id="acme", account_id="core", provider="azure")
AZURE_SCOPE = "azure/core/westeurope/compute"
#: An id with slashes at its front and inside.
AZURE_VM = (
    "/subscriptions/0b1f/resourcegroups/shop/providers/microsoft.compute/virtualmachines/shop-1"
)
#: The first machine, which changed and has metrics.
MACHINE = f"i-{0:017x}"
ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/shop/0"

_QUARTER = timedelta(minutes=15)
_REGIONS = ("us-east-1", "eu-west-1", "ap-south-1")
_TEAMS = ("shop", "search", "billing", "data")
_GIB = 2**30


def machines(count: int) -> Iterator[Resource]:
    """Instances, a volume of each, and now and then something else, in order of id."""
    for number in range(count):
        region = _REGIONS[number % len(_REGIONS)]
        tags = {
            "env": ("prod", "prod", "staging")[number % 3],
            "team": _TEAMS[number % len(_TEAMS)],
            "service": f"service-{number % 40}",
        }
        machine = f"i-{number // 2:017x}"
        if number % 2:
            yield resource(
                f"vol-{number // 2:017x}",
                resource_name=f"{tags['team']}-{number // 2}-root",
                resource_type="storage_volume",
                status="in_use",
                region=region,
                metadata={
                    "tags": tags,
                    "storage_bytes": 100 * _GIB,
                    "attached_to": machine,
                    "encrypted": True,
                },
            )
        elif number % 50 == 48:
            yield resource(
                f"arn:aws:rds:{region}:123456789012:db:{tags['team']}-{number}",
                resource_name=f"{tags['team']}-db-{number}",
                resource_type="database",
                region=region,
                metadata={
                    "tags": tags,
                    "vcpus": 8,
                    "memory_bytes": 64 * _GIB,
                    "engine": "postgres",
                },
            )
        else:
            yield resource(
                machine,
                resource_name=f"{tags['team']}-{number // 2}",
                status="stopped" if number % 14 == 6 else "running",
                region=region,
                metadata={
                    "tags": tags,
                    "instance_type": "m5.xlarge",
                    "vcpus": 4,
                    "memory_bytes": 16 * _GIB,
                    "zone": f"{region}a",
                    "created_at": "2026-03-04T05:06:07Z",
                },
            )


def fill(folder: Path, count: int) -> None:
    """A fleet as three listings saw it; the last one a quarter of an hour ago at most."""
    store = connect(f"chdb://{folder}/store")
    try:
        migrate(store)
        announce(store, AWS, AZURE)
        now = datetime.now(UTC).replace(microsecond=0)
        first = list(machines(count - 2))
        balancer = resource(ARN, resource_name="shop", resource_type="load_balancer")
        list_scope(store, now - 3 * _QUARTER, *first, balancer)
        resized = {
            "instance_type": "m5.2xlarge",
            "vcpus": 8,
            "tags": {"env": "staging", "team": "shop", "service": "service-0"},
        }
        larger = replace(first[0], metadata={**first[0].metadata, **resized})
        second = [larger, *first[1:-1], balancer]
        list_scope(store, now - 2 * _QUARTER, *second)
        second[2] = replace(second[2], status="stopped")
        list_scope(store, now - _QUARTER, *second)
        shop = resource(AZURE_VM, resource_name="shop-1", region="westeurope")
        list_scope(store, now - _QUARTER, shop, account=AZURE, scope=AZURE_SCOPE)
        _measure(store, first[0], now)
    finally:
        store.close()


def _measure(store: Store, machine: Resource, now: datetime) -> None:
    minutes = int(now.timestamp()) // 900 * 900
    times = [datetime.fromtimestamp(minutes - 900 * back, UTC) for back in range(96, 0, -1)]
    for metric, top in (("cpu_utilization", 60.0), ("network_in_bytes_per_sec", 4e6)):
        values = [top * (0.5 + 0.4 * math.sin(place / 12)) for place in range(len(times))]
        values[40:50] = []
        put_points(
            store,
            times[:40] + times[50:],
            values,
            resource_id=machine.resource_id,
            resource_name=machine.resource_name,
            metric=metric,
        )


def main() -> None:
    """Fill a store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resources", type=int, default=10_000)
    options = parser.parse_args()
    fill(options.folder, options.resources)


if __name__ == "__main__":
    main()
