"""Load on the HTTP API: rate, times and memory.

    python benchmarks/serve/run.py --home .personarec --dataset demo --seconds 60 --clients 4

Starts ``personarec serve`` in a process of its own on a free port of loopback, asks from this one
for so long, and stops it. Each client asks, waits for the answer and asks again, so the rate is
what so many clients get, not the most that could be pressed through. With ``--address`` a server
that runs already is asked instead.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import numpy as np

MIX = {"user": 50, "session": 20, "explained": 10, "batch": 2, "persona": 6, "search": 6, "item": 6}
"""Kinds of requests, in hundredths."""
WARM_SECONDS = 3.0
LOOK_SECONDS = 10.0  # between two looks at the server's memory


@contextmanager
def started(home: Path, dataset: str, log: Path, workers: int) -> Iterator[tuple[str, int]]:
    """A server's address and process, while it runs; it must end as told."""
    command = [
        "personarec", "serve", "--home", str(home), "--dataset", dataset, "--port", "0",
        "--workers", str(workers),
    ]  # fmt: skip
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", "from cli import main; main()", *command[1:]],
            stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        sys.exit(f"the server did not start:\n{log.read_text()}")
    print(line, end="")
    try:
        yield re.findall(r"http://\S+", line)[0], process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
        print(f"the server ended with {code}")


def users_of(home: Path, dataset: str) -> list[str]:
    """Some users' keys, from the graph (before the server runs it)."""
    query = "MATCH (u:User {dataset: $dataset}) RETURN u.id AS id ORDER BY id"
    words = ["kg", "query", query, "-p", f"dataset={dataset}", "--limit", "2000", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", "from cli import main; main()", *words, "--home", str(home)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [row["id"] for row in json.loads(done.stdout)]


class Asking:
    """What is asked, and what came of it."""

    def __init__(self, users: list[str], items: list[str], seed: int) -> None:
        self.users, self.items = users, items
        self.random = random.Random(seed)
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.statuses: Counter[str] = Counter()

    def request(self) -> tuple[str, str, str, Any]:
        """Kind, method, path, body."""
        draw = self.random
        (kind,) = draw.choices(list(MIX), list(MIX.values()))
        user = draw.choice(self.users)
        some = draw.sample(self.items, min(draw.randint(1, 10), len(self.items)))
        return {
            "user": (kind, "POST", "/recommend", {"user": user}),
            "session": (kind, "POST", "/sessions", {"items": some}),
            "explained": (kind, "POST", "/recommend", {"user": user, "explain": True}),
            "batch": (
                kind, "POST", "/recommend/batch",
                {"requests": [{"user": u} for u in draw.choices(self.users, k=20)]},
            ),
            "persona": (kind, "GET", f"/personas/{user}", None),
            "search": (kind, "GET", f"/search?q={draw.choice('abcdefghijklmnoprstuw')}", None),
            "item": (kind, "GET", f"/items/{some[0]}", None),
        }[kind]  # fmt: skip

    async def client(self, http: httpx.AsyncClient, end: float, *, counted: bool) -> None:
        """Ask without a pause until the end."""
        while time.monotonic() < end:
            kind, method, path, body = self.request()
            began = time.perf_counter()
            try:
                status = str((await http.request(method, path, json=body)).status_code)
            except httpx.HTTPError as error:
                status = type(error).__name__
            if counted:
                self.seconds[kind].append(time.perf_counter() - began)
                self.statuses[status] += 1


async def memory(http: httpx.AsyncClient) -> float:
    """The server's resident memory in MB."""
    text = (await http.get("/metrics")).text
    found = re.search(r"^process_resident_memory_bytes (\S+)$", text, re.MULTILINE)
    return float(found.group(1)) / 1e6 if found else float("nan")


async def load(address: str, users: list[str], seconds: float, clients: int) -> dict[str, Any]:
    """Ask for so long; the figures."""
    headers = {}
    if token := os.environ.get("PERSONAREC_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    async with httpx.AsyncClient(base_url=address, timeout=30, headers=headers) as http:
        items = sorted({
            found["item"]
            for letter in "abcdefghijklmnoprstuw"
            for found in (await http.get(f"/search?q={letter}&n=100")).json()["results"]
        })  # fmt: skip
        asking = Asking(users, items, seed=0)
        end = time.monotonic() + WARM_SECONDS
        await asyncio.gather(*(asking.client(http, end, counted=False) for _ in range(clients)))

        looks = [await memory(http)]
        began = time.monotonic()
        end = began + seconds

        async def look() -> None:
            while time.monotonic() + LOOK_SECONDS < end:
                await asyncio.sleep(LOOK_SECONDS)
                looks.append(await memory(http))

        await asyncio.gather(
            look(), *(asking.client(http, end, counted=True) for _ in range(clients))
        )
        took = time.monotonic() - began
        looks.append(await memory(http))
    everything = [s for one in asking.seconds.values() for s in one]
    return {
        "clients": clients,
        "seconds": round(took, 1),
        "requests": len(everything),
        "rate": round(len(everything) / took, 1),
        "statuses": dict(asking.statuses),
        "memory_mb": [round(look, 1) for look in looks],
        "ms": {
            kind: {"requests": len(some)} | percentiles(some)
            for kind, some in {"all": everything, **asking.seconds}.items()
        },
    }


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p95, p99 and the slowest, in ms."""
    values = 1000 * np.percentile(seconds, (50, 95, 99, 100))
    return dict(zip(("p50", "p95", "p99", "max"), values.round(1).tolist(), strict=True))


def main() -> None:
    """Ask, print, and fail where a request failed."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--home", type=Path, default=Path(".personarec"))
    options.add_argument("--dataset", default="demo")
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--clients", type=int, default=4)
    options.add_argument("--workers", type=int, default=4, help="of the server")
    options.add_argument("--address", help="of a server that runs already")
    options.add_argument("--log", type=Path, help="the server's log; by default in the home folder")
    options.add_argument("--out", type=Path, help="write the figures as JSON")
    given = options.parse_args()
    users = users_of(given.home, given.dataset)
    server = (
        nullcontext((given.address, 0))
        if given.address
        else started(
            given.home, given.dataset, given.log or given.home / "serve.log", given.workers
        )
    )
    with server as (address, _):
        figures = asyncio.run(load(address, users, given.seconds, given.clients))
    print(f"{figures['requests']} requests of {given.clients} clients in {figures['seconds']} s: "
          f"{figures['rate']}/s, {figures['statuses']}")  # fmt: skip
    print(f"{'ms':10} {'requests':>9} {'p50':>8} {'p95':>8} {'p99':>8} {'max':>8}")
    for kind, row in figures["ms"].items():
        print(f"{kind:10} {row['requests']:9} {row['p50']:8} {row['p95']:8} {row['p99']:8} "
              f"{row['max']:8}")  # fmt: skip
    print(f"memory, MB, about every {LOOK_SECONDS:g} s: {figures['memory_mb']}")
    if given.out:
        given.out.write_text(json.dumps(figures, indent=1) + "\n")
    if set(figures["statuses"]) != {"200"}:
        sys.exit("some requests failed")


if __name__ == "__main__":
    main()
