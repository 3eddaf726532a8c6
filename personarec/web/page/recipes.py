"""The Cypher recipes of ``recipes.md``, as the page lists them."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

_BLOCK = re.compile(
    r"^```cypher\n// parameters: (\{[^\n]*\})\n(.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Recipe:
    """A query of the documentation.

    Attributes:
        section: heading it stands under.
        title: its own heading.
        question: what it answers.
        text: the Cypher.
        parameters: values that fit the demo data set.
        notes: how to read the answer.
    """

    section: str
    title: str
    question: str
    text: str
    parameters: dict[str, Any]
    notes: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def recipes_of(page: str) -> list[Recipe]:
    """The recipes of a page of Markdown, in its order."""
    found = []
    for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        section, _, rest = part.partition("\n")
        for recipe in re.split(r"^### ", rest, flags=re.MULTILINE)[1:]:
            title, _, body = recipe.partition("\n")
            block = _BLOCK.search(body)
            if block is None:
                continue
            before, after = body[: block.start()], body[block.end() :]
            text = block.group(2).removeprefix("// may be empty\n").rstrip()
            found.append(
                Recipe(
                    section.strip(),
                    title.strip(),
                    _plain(before),
                    text,
                    json.loads(block.group(1)),
                    _plain(after),
                )
            )
    return found


def read_recipes() -> list[Recipe]:
    """The recipes that are installed."""
    return recipes_of(files("personarec.web.page").joinpath("recipes.md").read_text("utf-8"))


def _plain(text: str) -> str:
    """Markdown of a paragraph or two as plain text."""
    return " ".join(text.replace("`", "").replace("*", "").split())
