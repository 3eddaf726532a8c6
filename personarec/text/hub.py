"""Models by name: from this disk if they are here, else from the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
SECONDS = 10.0  # for the hub to say whether it has a model


def here_first(name: str, load: Callable[[bool], T]) -> T:
    """Load a model, without the network where that is possible.

    Args:
        name: of the model, or its folder, which is never looked for elsewhere.
        load: told whether to keep to what is on this disk.

    Raises:
        Exception: of whatever library found that there is no such model.
    """
    try:
        return load(True)
    except Exception:
        if Path(name).exists():
            raise
        from huggingface_hub import HfApi

        # Loading would find out too, but after minutes of trying again.
        HfApi().model_info(name, timeout=SECONDS)
        return load(False)
