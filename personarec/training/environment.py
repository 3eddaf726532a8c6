"""What a result was made on: machine and versions, kept beside it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

LIBRARIES = ("numpy", "scipy", "torch", "neo4j", "polars")


def environment(engine: str) -> dict[str, Any]:
    """For JSON.

    Args:
        engine: of the graph.
    """
    return {
        "personarec": version("personarec"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "graph": engine,
    }
