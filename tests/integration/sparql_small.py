"""What the tests of the SPARQL client share: a clock to turn by hand, and a client that uses it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kg.sparql.client import Endpoint


@dataclass
class FakeClock:
    """Time passes only in sleep, which is noted."""

    now: float = 1_800_000_000.0
    sleeps: list[float] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.sleeps.append(seconds)
        self.now += seconds


def client(url: str, cache: Path, clock: FakeClock | None = None, **settings: Any) -> Endpoint:
    """A client that never really waits."""
    clock = clock or FakeClock()
    given: dict[str, Any] = {"user_agent": "personarec-test/1 (loopback)", "timeout": 20.0}
    return Endpoint(url, cache, clock=clock.time, sleep=clock.sleep, **(given | settings))
