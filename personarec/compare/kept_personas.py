"""Fitted personas kept beside the cells, so that another row, process or run need not fit them."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path

from kg.partial import written_whole
from personarec.personas.encoder import DensePersonas, Personas
from personarec.personas.relational.rule import RecentPersonas

_RULES: dict[str, type[DensePersonas]] = {"mean": DensePersonas, "recent": RecentPersonas}


def kept(file: Path, fit: Callable[[], Personas]) -> Personas:
    """What the file holds, or else what is fitted, which it then holds.

    Whoever comes while another process fits waits for it. Not kept are personas of other rules than
    the two that trained encoders give, and those of wrappers, whose choices are encoders again.

    Args:
        file: named by all that the personas follow from.
        fit: makes them.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if file.exists():
            return _read(file)
        found = fit()
        _write(file, found)
        return found


def _write(file: Path, personas: Personas) -> None:
    from safetensors.numpy import save

    for name, rule in _RULES.items():
        if type(personas) is not rule:
            continue
        try:
            chosen = json.dumps(dict(personas.chosen))
        except TypeError:
            return
        content = save(personas.arrays(), {"rule": name, "chosen": chosen})
        with written_whole(file) as out:
            out.write(content)


def _read(file: Path) -> DensePersonas:
    from safetensors import safe_open

    with safe_open(file, "numpy") as found:
        about = found.metadata()
        arrays = {name: found.get_tensor(name) for name in found.keys()}  # noqa: SIM118
    return _RULES[about["rule"]].restore(arrays, json.loads(about["chosen"]))
