"""The client of the endpoint measures, in a process of its own as users' clients are.

    python -m benchmarks.client <port>

Takes a path per line and answers `<seconds> <status> <bytes>` for it; one kept connection.
"""

from __future__ import annotations

import http.client
import socket
import sys
import time


def main(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for line in sys.stdin:
        started = time.perf_counter()
        connection.request("GET", line.strip())
        response = connection.getresponse()
        body = response.read()
        seconds = time.perf_counter() - started
        print(seconds, response.status, len(body), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
