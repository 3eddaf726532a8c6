"""Training jobs in processes of their own: what happens when one dies."""

from __future__ import annotations

import os
from typing import Any

import pytest

from kg.errors import TryAgainError
from personarec.training.processes import side_by_side


class DeadlyInputs:
    """Kills the process that unpickles it, as the kernel would one that wants too much memory."""

    def __getstate__(self) -> dict[str, int]:
        return {"anything": 1}

    def __setstate__(self, _state: Any) -> None:
        os._exit(9)


def test_a_killed_process_is_said_in_one_line() -> None:
    with pytest.raises(TryAgainError, match="run it again with --workers 1"):
        list(side_by_side(len, DeadlyInputs(), [(0, "base"), (1, "base")], 2))  # type: ignore[arg-type]
