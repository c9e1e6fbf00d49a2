"""*Fetch*: node_exporter on the instances. Where it may be asked, and two readings of it.

The address comes from the API's inventory, and whoever can write there must not be able to
point this process at its own host, its cloud's metadata service or its private network.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from data_collector import node_exporter
from data_collector.collectors.vultr.memory import Memory
from data_collector.collectors.vultr.options import NodeExporterOptions
from data_collector.collectors.vultr.performance import Target
from data_collector.machine import Reading
from optiinfra.calls import Calls
from optiinfra.errors import DeniedError, UnsupportedError
from optiinfra.retry import call_with_retry

#: Seconds between the two readings of an instance that has none from before.
FIRST_SPAN = 1.0
#: Seconds: an older reading has no part in a rate; a longer mean would pass for the present.
OLDEST_READING = 2 * 3600.0

#: What a VPC's addresses are taken from.
_PRIVATE = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
)

#: What the internet's IPv6 addresses are taken from; outside lie those that stand for an IPv4
#: address (mapped, NAT64) and those of one network only.
_INTERNET = IPv6Network("2000::/3")

#: customer, account, resource
Key = tuple[str, str, str]


def selected(target: Target, options: NodeExporterOptions | None) -> bool:
    """Whether the account says that this instance runs the exporter."""
    return options is not None and (not options.tags or not target.tags.isdisjoint(options.tags))


def url(target: Target, options: NodeExporterOptions, *, loopback: bool) -> str:
    """The exporter's URL on an instance.

    A main_ip must be public and an internal_ip private; with `loopback`, where the API itself
    is on this machine, either may be a loopback address. UnsupportedError where the instance
    has no address, DeniedError where it has one that is not asked.
    """
    text = target.main_ip if options.address == "main_ip" else target.internal_ip
    if text in ("", "0.0.0.0", "::"):  # noqa: S104  (compared)
        raise UnsupportedError(f"the instance has no {options.address}")
    try:
        address = ip_address(text)
    except ValueError as error:
        raise DeniedError(f"its {options.address} is no address") from error
    if not _may_be_asked(address, options.address, loopback=loopback):
        raise DeniedError(f"its {options.address} is {address}, which is no instance's: not asked")
    host = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{host}:{options.port}/metrics"


def _may_be_asked(address: IPv4Address | IPv6Address, kind: str, *, loopback: bool) -> bool:
    if loopback and address.is_loopback:
        return True
    if kind == "internal_ip":
        return any(address in network for network in _PRIVATE)
    if isinstance(address, IPv6Address) and (
        address not in _INTERNET or address.sixtofour or address.teredo
    ):
        return False
    return address.is_global and not address.is_multicast


@dataclass
class Exporters:
    """Reads exporters, and remembers each one's last reading.

    `monotonic` says when a reading was taken, `pause` waits between two.
    """

    pause: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    readings: Memory[Key, Reading] = field(default_factory=lambda: Memory(10_000))

    def answered_before(self, key: Key) -> bool:
        """Whether the instance's exporter has answered lately."""
        known = self.readings.get(key)
        return known is not None and self.monotonic() - known.taken_at <= OLDEST_READING

    def two_readings(self, key: Key, where: str, calls: Calls) -> tuple[Reading, Reading]:
        """The reading before and one made now, at least FIRST_SPAN apart.

        Errors as in `node_exporter.scrape`. One that has not answered lately is asked once
        only: most often there is none, and a firewall makes each attempt last.
        """
        attempts = 2 if self.answered_before(key) else 1
        previous, current = self.readings.get(key), self.read(where, calls, attempts)
        if (
            previous is None
            or previous.machine.machine_id != current.machine.machine_id
            or not FIRST_SPAN <= current.taken_at - previous.taken_at <= OLDEST_READING
        ):
            self.pause(FIRST_SPAN)
            previous, current = current, self.read(where, calls)
        self.readings.put(key, current)
        return previous, current

    def read(self, where: str, calls: Calls, attempts: int = 2) -> Reading:
        """The machine behind an exporter's URL, now. Errors as in `node_exporter.scrape`."""

        def attempt() -> Reading:
            with calls.made("scrape"):
                text, duration = node_exporter.fetch(where)
            return node_exporter.parse(
                text, target=where, taken_at=self.monotonic(), duration=duration
            )

        return call_with_retry(attempt, attempts=attempts)
