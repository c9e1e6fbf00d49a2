"""Writes points until the disk is full: what it was told, what it was promised, what is there.

python -m support.filling_writer <store directory>
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import numpy as np

from data_collector.storage.clickhouse_writer import ClickHouseWriter
from optiinfra.accounts import Account
from optiinfra.domain import Series, floor_time
from optiinfra.errors import StoreUnavailableError
from optiinfra.testing.simulated import TIMING
from optiinfra_database import connect, migrate

POINTS = 500


def main(directory: str) -> None:
    store = connect(f"chdb://{directory}")
    migrate(store)
    writer = ClickHouseWriter(store, retention=timedelta(days=90))
    account = Account("acme", "prod", "simulated")
    start = floor_time(datetime.now(UTC) - timedelta(days=3), TIMING.period)
    times = int(start.timestamp()) + np.arange(POINTS, dtype=np.int64) * 300
    noise = np.random.default_rng(0)
    acknowledged = 0
    try:
        for batch in range(10_000):
            fleet = [
                Series(
                    "uptime",
                    f"machine-{batch}-{number}",
                    "machine",
                    "compute_instance",
                    times,
                    noise.uniform(0, 1e9, POINTS),
                )
                for number in range(100)
            ]
            report = writer.write_performance_metrics(
                account, fleet, timing=TIMING, as_of=datetime.now(UTC)
            )
            acknowledged += report.rows
    except StoreUnavailableError as error:
        print(error)
    print(acknowledged)
    print(store.query("SELECT count() FROM performance_metrics FINAL")[0][0])


if __name__ == "__main__":
    main(sys.argv[1])
