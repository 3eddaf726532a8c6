"""``NAME=VALUE`` of the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence

from kg.errors import ChangeSomethingError


def named_values(given: Sequence[str], option: str) -> dict[str, object]:
    """Each name with its value, read as JSON; a value that is no JSON is a text.

    Args:
        given: ``NAME=VALUE`` each.
        option: that they were given by, for the message.

    Raises:
        ChangeSomethingError: no ``=``, or a name that is none.
    """
    values: dict[str, object] = {}
    for entry in given:
        name, equals, value = entry.partition("=")
        if not equals or not name.isidentifier():
            raise ChangeSomethingError(f"{option} must be NAME=VALUE, not {entry[:50]!r}")
        try:
            values[name] = json.loads(value)
        except json.JSONDecodeError:
            values[name] = value
    return values
