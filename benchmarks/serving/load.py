# SPDX-License-Identifier: BSD-3-Clause
"""A process that asks a server, and tells how long each answer took.

python load.py PORT FILE N_CLIENTS N_REQUESTS
"""

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def ask(port: int, body: bytes) -> bool:
    """Send one request by a connection of its own, and say whether it was answered well."""
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)
        parts = list(iter(lambda: connection.recv(65536), b""))
    return b"".join(parts).startswith(b"HTTP/1.1 200")


def main() -> None:
    """Ask all that is to be asked, some requests at a time."""
    port, n_clients, n_requests = map(int, (sys.argv[1], *sys.argv[3:]))
    body = Path(sys.argv[2]).read_bytes()

    def seconds(_: int) -> float:
        started = time.perf_counter()
        if not ask(port, body):
            raise RuntimeError("a request was not answered well")
        return time.perf_counter() - started

    started = time.perf_counter()
    with ThreadPoolExecutor(n_clients) as pool:
        latencies = list(pool.map(seconds, range(n_requests)))
    print(json.dumps({"elapsed": time.perf_counter() - started, "latencies": latencies}))


if __name__ == "__main__":
    main()
