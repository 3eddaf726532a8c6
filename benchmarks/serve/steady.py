"""A steady load on ``POST /recommend`` by wrk: times, memory and processor time of the server.

    python benchmarks/serve/steady.py --home .personarec --dataset beauty --users 22363 \
        --rate 200 --seconds 600

Starts ``personarec serve`` in a process of its own, lets wrk ask for random users (``1`` to
``--users``) from so many connections, each with a random pause between its requests, and looks at
the server's resident memory and processor time in /proc. wrk waits for each answer before it
pauses, so a server that is slower than the pauses allow gets less than the rate asked for; the rate
that came about is printed. Needs wrk (``apt-get install wrk``) and Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from run import started

PAUSE_MS = 240
"""Longest pause of a connection; half of it on average."""
EXPECTED_MS = 15  # of an answer, to reckon the connections with
WARM_SECONDS = 10
LOOKS = 20  # at memory, spread over the run


def ask(address: str, users: int, connections: int, seconds: float) -> dict[str, Any]:
    """What wrk says of so many seconds."""
    script = Path(__file__).with_name("users.lua")
    words = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds:.0f}s", "-s", str(script)]
    done = subprocess.run(
        [*words, address],
        env=os.environ | {"USERS": str(users), "PAUSE": str(PAUSE_MS)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def memory_mb(process: int) -> float:
    """Resident memory."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (line,) = (x for x in lines if x.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def processor_seconds(process: int) -> float:
    """Of all its threads so far, in user and kernel mode."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(address: str, process: int, given: argparse.Namespace) -> dict[str, Any]:
    """The figures of one run."""
    connections = max(1, round(given.rate * (PAUSE_MS / 2 + EXPECTED_MS) / 1000))
    ask(address, given.users, connections, WARM_SECONDS)
    looks, end = [memory_mb(process)], threading.Event()

    def look() -> None:
        while not end.wait(given.seconds / LOOKS):
            looks.append(memory_mb(process))

    watching = threading.Thread(target=look)
    watching.start()
    busy, wait = processor_seconds(process), time.monotonic()
    figures = ask(address, given.users, connections, given.seconds)
    busy, wait = processor_seconds(process) - busy, time.monotonic() - wait
    end.set()
    watching.join()
    return figures | {
        "connections": connections,
        "rate": round(figures["requests"] / wait, 1),
        "server_ms_per_request": round(1000 * busy / figures["requests"], 2),
        "server_processors": round(busy / wait, 2),
        "memory_mb": [round(look) for look in looks],
        "load_average": os.getloadavg(),
    }


def main() -> None:
    """Ask, print, and fail where a request failed."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--home", type=Path, default=Path(".personarec"))
    options.add_argument("--dataset", default="beauty")
    options.add_argument("--users", type=int, default=22_363, help="Users are 1 to this.")
    options.add_argument("--rate", type=float, default=200, help="Requests a second.")
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--workers", type=int, default=4, help="Of the server.")
    options.add_argument("--out", type=Path, help="Write the figures as JSON.")
    given = options.parse_args()
    log = given.home / "serve.log"
    with started(given.home, given.dataset, log, given.workers) as (address, process):
        figures = measured(address, process, given)
    print(json.dumps(figures, indent=1))
    if given.out:
        given.out.write_text(json.dumps(figures, indent=1) + "\n")
    if figures["failed"]:
        sys.exit("some requests failed")


if __name__ == "__main__":
    main()
