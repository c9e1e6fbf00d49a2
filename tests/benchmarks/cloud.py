"""A fake cloud as a process of its own, so that what it takes is not the collector's.

    python -m benchmarks.cloud aws 1000

Prints the account as JSON, then answers each line with the number of requests so far: `forget`
those, `slow <seconds>` down every answer, `asked`.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fakes.aws import FakeAws
from fakes.azure import DISK, SUBSCRIPTION, VM, Answer, AzureFake, fleet
from fakes.gcp import FakeGcp
from fakes.vultr import FakeVultr

from optiinfra.provider import load_provider

#: Instances that moto makes for one request within that request's time.
_AT_ONCE = 500


class _Cloud:
    """What the benchmark asks of any of the fakes. `slow` takes seconds per answer."""

    def __init__(
        self, requests: Counter[str], slow: Callable[[float], None], **account: Any
    ) -> None:
        self.requests = requests
        self.slow = slow
        self.account = account


def main() -> None:
    """Serve until the input ends."""
    name, instances = sys.argv[1], int(sys.argv[2])
    with _CLOUDS[name](instances) as cloud:
        _say(cloud.account)
        for line in sys.stdin:
            word, _, seconds = line.strip().partition(" ")
            if word == "forget":
                cloud.requests.clear()
            elif word == "slow":
                cloud.slow(float(seconds))
            _say(cloud.requests.total())


def _say(what: Mapping[str, Any] | int) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


@contextmanager
def _aws(instances: int) -> Iterator[_Cloud]:
    with FakeAws() as fake:
        for made in range(0, instances, _AT_ONCE):
            fake.instances(min(_AT_ONCE, instances - made), volumes=True)
        fake.database("orders")
        fake.balancer("web")

        def slow(seconds: float) -> None:
            fake.faults.delay = seconds

        yield _Cloud(
            fake.requests,
            slow,
            options={"regions": ["us-east-1"]},
            credentials={"anonymous": True},
            endpoints={"default": fake.url},
        )


@contextmanager
def _azure(instances: int) -> Iterator[_Cloud]:
    class Slow(AzureFake):
        seconds = 0.0

        def answer(self, method: str, target: str, body: bytes) -> Answer:
            time.sleep(self.seconds)
            return super().answer(method, target, body)

    fake = Slow(fleet(2 * instances, types=(VM, DISK), regions=("eastus",)))
    with fake:

        def slow(seconds: float) -> None:
            fake.seconds = seconds

        options = load_provider("azure").options.model_validate({"subscription_id": SUBSCRIPTION})
        yield _Cloud(
            fake.requests,
            slow,
            options=options.model_dump(),
            credentials={"anonymous": True},
            endpoints={"management": fake.url, "metrics": fake.url},
        )


@contextmanager
def _gcp(instances: int) -> Iterator[_Cloud]:
    with FakeGcp(instances=instances) as fake:

        def slow(seconds: float) -> None:
            fake.faults.seconds_per_call = seconds

        options = load_provider("gcp").options.model_validate({"project": fake.project})
        yield _Cloud(
            fake.asked,
            slow,
            options=options.model_dump(),
            credentials={"anonymous": True},
            endpoints=fake.endpoints,
        )


@contextmanager
def _vultr(instances: int) -> Iterator[_Cloud]:
    class Slow(FakeVultr):
        seconds = 0.0

        def misfortune(self, url: str) -> str:
            time.sleep(self.seconds)
            return super().misfortune(url)

    fake = Slow(instances=instances, blocks=instances)
    with fake:

        def slow(seconds: float) -> None:
            fake.seconds = seconds

        yield _Cloud(
            fake.requests,
            slow,
            options=load_provider("vultr").options.model_validate({}).model_dump(),
            credentials={"api_key": "env:VULTR_API_KEY"},
            endpoints={"default": fake.url},
        )


_CLOUDS: Mapping[str, Callable[[int], Any]] = {
    "aws": _aws,
    "azure": _azure,
    "gcp": _gcp,
    "vultr": _vultr,
}

if __name__ == "__main__":
    main()
