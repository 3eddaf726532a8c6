"""A reader's history in words: what a language model is told, and keywords where there is none.

Only what a session shows is told; :func:`refuse_told` stops a prompt that names a held-out item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from personarec.evaluation.leakage import LeakError
from personarec.evaluation.sequences import Sequences
from personarec.text.compose import ItemTexts

LAST_ITEMS = 10
"""Newest items that a history tells, as in CoT-Rec (arXiv 2502.13845)."""
MOST_KEYWORDS = 15
_EVEN = 1e-5  # weights closer than this are taken as equal
_MARK, _BORDER = "- ", " | "


@dataclass(frozen=True)
class Histories:
    """Tells sessions by the titles and features of their items.

    Attributes:
        texts: of the items.
        facts: float32 CSR, shape (n_items, n_facts), rows of unit length: TF-IDF.
        fact_names: of the columns, in plain words.
    """

    texts: ItemTexts
    facts: sparse.csr_array
    fact_names: tuple[str, ...]

    @cached_property
    def lines(self) -> list[str]:
        """One line an item: title and features."""
        found = []
        for item in range(self.texts.n_items):
            title, features = _line_title(self.texts.title(item)), self.texts.features(item)
            found.append(_MARK + title + (_BORDER + features if features else ""))
        return found

    def told(self, sessions: Sequences) -> list[str]:
        """The last items of each session, oldest first, a line each; empty for an empty one."""
        return [
            "\n".join(self.lines[i] for i in sessions[row][-LAST_ITEMS:])
            for row in range(len(sessions))
        ]

    def keywords(self, sessions: Sequences, decay: float = 0.7) -> list[str]:
        """Without a model: the facts that the session says most, strongest first, with commas.

        The titles, newest first, of a session whose items have no facts.
        """
        weights = sparse.csr_array(sessions.recency(decay) @ self.facts)
        found = []
        for row in range(len(sessions)):
            part = slice(weights.indptr[row], weights.indptr[row + 1])
            values, columns = weights.data[part], weights.indices[part]
            if len(values) > MOST_KEYWORDS:  # and those of equal weight with the last of them
                least = np.partition(values, -MOST_KEYWORDS)[-MOST_KEYWORDS]
                columns, values = columns[values >= least - _EVEN], values[values >= least - _EVEN]
            # By weight, then by name: equal weights keep no order of their own.
            ranked = sorted(
                zip(values, columns, strict=True),
                key=lambda pair: (-round(float(pair[0]) / _EVEN), self.fact_names[pair[1]]),
            )
            names = [self.fact_names[column] for _, column in ranked]
            names = names or [self.texts.title(i) for i in sessions[row][::-1][:LAST_ITEMS]]
            found.append(", ".join(list(dict.fromkeys(names))[:MOST_KEYWORDS]))
        return found

    def refuse_told(
        self, where: str, told: Sequence[str], visible: Sequences, held_out: NDArray[np.int32]
    ) -> None:
        """Refuse texts that tell a held-out item, if it is not visible under the same title too.

        Args:
            where: what the texts are, for the message.
            told: one text a user; titles stand as in :attr:`lines`.
            visible: what each user may be told by.
            held_out: int32, shape (n_users,), item per user, -1 for none.

        Raises:
            LeakError: naming the first such user.
        """
        titles = [_told_title(line) for line in self.lines]
        for user, text in enumerate(told):
            if held_out[user] < 0:
                continue
            title = titles[held_out[user]]
            named = {_told_title(row) for row in text.splitlines() if row.startswith(_MARK)}
            if title in named and title not in {titles[i] for i in visible[user]}:
                raise LeakError(
                    f"{where}: user {user} is told of the held-out item {title!r}; tell it from "
                    "the training sequences only"
                )


def _line_title(title: str) -> str:
    """That cannot be taken for the features after it."""
    return title.replace(_BORDER, " / ")


def _told_title(line: str) -> str:
    return line.removeprefix(_MARK).split(_BORDER)[0]
