"""Parsing and scraping node_exporter."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.node_exporter import free_port

from data_collector import node_exporter
from data_collector.machine import Reading
from data_collector.node_exporter import address, parse, scrape
from optiinfra.calls import Calls
from optiinfra.catalog import METRICS
from optiinfra.errors import (
    ContractError,
    DeniedError,
    OptiInfraError,
    ThrottledError,
    TransientError,
)

EXPOSITION = """\
# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} 80
node_cpu_seconds_total{cpu="0",mode="user"} 20
node_cpu_seconds_total{cpu="1",mode="idle"} 90
node_cpu_seconds_total{cpu="1",mode="user"} 10
# TYPE node_memory_MemTotal_bytes gauge
node_memory_MemTotal_bytes 1.6e+10
node_memory_MemAvailable_bytes 4e+09
node_boot_time_seconds 1.7952e+09
node_time_seconds 1.7952006e+09
node_uname_info{domainname="(none)",machine="aarch64",nodename="web-1",release="6.1.0",\
sysname="Linux",version="#1"} 1
node_os_info{id="debian",pretty_name="Debian GNU/Linux 12 (bookworm)"} 1
node_disk_read_bytes_total{device="sda"} 1000
node_disk_read_bytes_total{device="sda1"} 900
node_disk_read_bytes_total{device="dm-0"} 900
node_disk_written_bytes_total{device="sda"} 2000
node_disk_reads_completed_total{device="sda"} 10
node_disk_writes_completed_total{device="sda"} 20
node_network_receive_bytes_total{device="eth0"} 5000
node_network_receive_bytes_total{device="docker0"} 4000
node_network_transmit_bytes_total{device="eth0"} 6000
node_network_receive_packets_total{device="eth0"} 50
node_network_transmit_packets_total{device="eth0"} 60
node_network_up{device="eth0"} 1
node_network_speed_bytes{device="eth0"} 1.25e+08
node_network_info{address="02:00:00:00:00:01",device="eth0",operstate="up"} 1
node_filesystem_size_bytes{device="/dev/sda1",fstype="ext4",mountpoint="/"} 1000
node_filesystem_free_bytes{device="/dev/sda1",fstype="ext4",mountpoint="/"} 700
node_filesystem_avail_bytes{device="/dev/sda1",fstype="ext4",mountpoint="/"} 600
node_filesystem_device_error{device="/dev/sda1",fstype="ext4",mountpoint="/"} 0
node_filesystem_size_bytes{device="tmpfs",fstype="tmpfs",mountpoint="/run"} 50
node_filesystem_free_bytes{device="tmpfs",fstype="tmpfs",mountpoint="/run"} 50
node_filesystem_avail_bytes{device="tmpfs",fstype="tmpfs",mountpoint="/run"} 50
node_filesystem_device_error{device="/dev/sdb1",fstype="xfs",mountpoint="/srv"} 1
"""


def reading(text: str = EXPOSITION, target: str = "http://10.0.0.5:9100/metrics") -> Reading:
    return parse(text, target=target, taken_at=7.0, duration=0.5)


def test_an_exposition_becomes_a_reading() -> None:
    web = reading()
    assert (web.machine.hostname, web.machine.vcpus, web.machine.os) == (
        "web-1",
        2,
        "Debian GNU/Linux 12 (bookworm)",
    )
    assert (web.machine.kernel, web.machine.architecture) == ("6.1.0", "aarch64")
    assert web.uptime == pytest.approx(600)
    assert web.memory_utilization == pytest.approx(75.0)
    assert web.cpu_seconds[("1", "idle")] == 90
    assert list(web.disks) == ["sda"]
    assert web.disks["sda"].counters == {
        "disk_read_bytes_per_sec": 1000,
        "disk_write_bytes_per_sec": 2000,
        "disk_read_ops_per_sec": 10,
        "disk_write_ops_per_sec": 20,
    }
    assert list(web.interfaces) == ["eth0"]
    assert web.interfaces["eth0"].speed == 1_000_000_000
    assert web.interfaces["eth0"].up is True
    assert web.interfaces["eth0"].mac == "02:00:00:00:00:01"
    assert web.filesystems["/"].utilization == pytest.approx(100 * 300 / 900)
    assert list(web.filesystems) == ["/"]
    assert web.unreadable == {"/srv": "the exporter could not read it"}
    assert web.failed == ()


def test_the_machine_is_known_by_its_firmware_uuid_else_by_name_and_address() -> None:
    uuid = "4C4C4544-0042-4810-8054-B4C04F503332"
    assert reading().machine.machine_id == "web-1@10.0.0.5:9100"
    with_uuid = EXPOSITION + f'node_dmi_info{{product_uuid="{uuid}"}} 1\n'
    assert reading(with_uuid).machine.machine_id == uuid.lower()
    placeholder = (
        EXPOSITION + 'node_dmi_info{product_uuid="00000000-0000-0000-0000-000000000000"} 1\n'
    )
    assert reading(placeholder).machine.machine_id == "web-1@10.0.0.5:9100"
    assert reading("node_load1 0.5\n").machine.machine_id == "10.0.0.5:9100"


def test_a_collector_that_failed_is_told_from_a_machine_without_disks() -> None:
    failed = EXPOSITION + (
        'node_scrape_collector_success{collector="diskstats"} 0\n'
        'node_scrape_collector_success{collector="bonding"} 0\n'
        'node_scrape_collector_success{collector="netdev"} 1\n'
    )
    assert reading(failed).failed == ("diskstats",)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
def test_a_value_that_is_no_number_breaks_nothing(value: str) -> None:
    spoilt = "\n".join(
        line if line.startswith("#") else line.rsplit(" ", 1)[0] + f" {value}"
        for line in EXPOSITION.splitlines()
    )
    assert reading(spoilt + "\n").machine.hostname == "web-1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<!DOCTYPE html><html><body>not found</body></html>",
        '{"status": "ok"}',
        "node_load1 many\n",
        "node_load1{ 1\n",
        "go_goroutines 7\n",
        "\x00\x01",
    ],
)
def test_what_is_no_exposition_of_node_exporter_is_refused_by_name(text: str) -> None:
    with pytest.raises(ContractError, match=r"http://10\.0\.0\.5:9100/metrics"):
        reading(text)


def test_samples_without_their_labels_are_left_out() -> None:
    bare = reading("node_cpu_seconds_total 1\nnode_filesystem_size_bytes 2\n")
    assert (bare.cpu_seconds, bare.filesystems, bare.disks) == ({}, {}, {})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://10.0.0.5:9100/metrics", "10.0.0.5:9100"),
        ("http://web.example", "web.example:80"),
        ("https://web.example/node", "web.example:443"),
        ("http://[::1]:9100/metrics", "[::1]:9100"),
    ],
)
def test_the_address_of_a_target_always_has_its_port(url: str, expected: str) -> None:
    assert address(url) == expected


def test_every_native_row_targets_the_catalog() -> None:
    assert {row.canonical for row in node_exporter.NATIVE} <= METRICS.keys()


@dataclass
class Target:
    """A server that answers every request with what the test sets."""

    url: str = ""
    status: int = 200
    body: bytes = EXPOSITION.encode()
    headers: dict[str, str] = field(default_factory=dict)
    failures: int = 0
    requests: int = 0


@pytest.fixture
def target() -> Iterator[Target]:
    state = Target()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests += 1
            failing = state.requests <= state.failures
            self.send_response(503 if failing else state.status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if failing else state.body)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/metrics"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_scrape_is_one_counted_call(target: Target) -> None:
    calls = Calls()
    web = scrape(target.url, calls)
    assert web.machine.hostname == "web-1"
    assert web.duration > 0
    assert calls.counts() == {"scrape": 1}


def test_a_scrape_is_tried_again_and_every_attempt_counted(target: Target) -> None:
    target.failures = 1
    calls = Calls()
    assert scrape(target.url, calls).machine.hostname == "web-1"
    assert calls.counts() == {"scrape": 2}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, DeniedError),
        (403, DeniedError),
        (404, ContractError),
        (302, ContractError),
        (429, ThrottledError),
        (500, TransientError),
        (503, TransientError),
    ],
)
def test_an_answer_other_than_ok_is_named_by_what_to_do(
    target: Target, status: int, error: type[OptiInfraError]
) -> None:
    target.status, target.headers = status, {"Location": "http://203.0.113.1/", "Retry-After": "0"}
    with pytest.raises(error) as raised:
        scrape(target.url, Calls())
    assert type(raised.value) is error
    assert target.url in str(raised.value)
    assert "node_cpu" not in str(raised.value)


def test_a_larger_answer_than_any_exporter_gives_is_not_read_to_its_end(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_exporter, "MAX_BYTES", 100)
    with pytest.raises(ContractError, match="larger than 100 bytes"):
        scrape(target.url, Calls())


def test_fifty_megabytes_take_no_more_memory_than_the_largest_answer(target: Target) -> None:
    line = b'node_load1{of="a target that never ends"} 1\n'
    target.body = line * (50_000_000 // len(line))
    tracemalloc.start()
    try:
        with pytest.raises(ContractError, match="larger than"):
            scrape(target.url, Calls())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * node_exporter.MAX_BYTES


def test_an_answer_that_drips_is_given_up(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_exporter, "WHOLE_SECONDS", 0.0)
    with pytest.raises(TransientError, match="no whole answer"):
        scrape(target.url, Calls())


def test_a_body_cut_short_is_tried_again(target: Target) -> None:
    target.headers = {"Content-Length": str(len(target.body) + 10)}
    calls = Calls()
    with pytest.raises(TransientError, match="RemoteProtocolError"):
        scrape(target.url, calls)
    assert calls.counts() == {"scrape": 3}


def test_text_in_another_encoding_is_refused(target: Target) -> None:
    target.body = b"node_load1\xff 1\n"
    with pytest.raises(ContractError, match="UTF-8"):
        scrape(target.url, Calls())


def test_a_target_that_does_not_answer_is_transient() -> None:
    calls = Calls()
    with pytest.raises(TransientError, match="ConnectError"):
        scrape(f"http://127.0.0.1:{free_port()}/metrics", calls)
    assert calls.counts() == {"scrape": 3}
