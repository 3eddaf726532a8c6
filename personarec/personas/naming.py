"""What a group of readers is characterised by, tested, and a name made of it.

A reader *leans* to a fact when the items that carry it are more among the reader's than chance
gives (binomial test against the share of such items in all interactions), so that a long history
leans to nothing merely by being long. A fact is characteristic of a group when more of its readers
lean to it than of readers at large: lift, tested by the hypergeometric distribution (Fisher's exact
test, one-sided) with readers as the units, and corrected over all facts and groups by Benjamini and
Hochberg (JRSS B 1995).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from personarec.evaluation.sequences import Sequences

LEANING = 0.05
"""Chance below which a reader's items are said to lean to a fact."""
LEAST_ITEMS = 2
"""Items with a fact that a reader needs to lean to it."""
LEVEL = 0.05
"""False discovery rate of characteristic facts."""
LEAST_LEANING = 3
"""Readers of a group that must lean to a fact."""
KEPT = 12
"""Most characteristic facts that are kept of a group."""
PARTS = 3
"""Most facts in a name."""
ALIKE = 0.6
"""Share of common readers from which two facts say the same."""
WORTH = 0.4
"""Of the best score: what another kind of fact needs to come before the rest."""
BACKSTAGE = {
    "CINEMATOGRAPHY", "COMPOSER_IS", "DISTRIBUTOR", "EDITED_BY", "EXECUTIVE_PRODUCER_IS",
    "HAS_ATTRIBUTE", "MUSIC_COMPOSER_IS", "PRODUCER", "WRITER_IS",
}  # fmt: skip
"""Relations to what few readers know by name; they count half when a name is made."""
_GENERAL = set(
    re.findall(
        r"\w+",
        """a about adapted album and attribute award awards best black book books by character
        characters cinema drama english fantasy fiction fictional film films first for from genre in
        into language literature movie movies musical new novel novels of on or published series
        set stories story television the to with works written""",
    )
)
"""Words that make no two facts alike."""


@dataclass(frozen=True)
class Leanings:
    """Which readers lean to which facts.

    Attributes:
        matrix: bool CSC, shape (n_users, n_facts).
    """

    matrix: sparse.csc_array

    @classmethod
    def of(cls, sequences: Sequences, facts: sparse.csr_array) -> Leanings:
        """From the readers' visible items.

        Args:
            sequences: the readers.
            facts: CSR, shape (n_items, n_facts), not 0 where an item carries a fact.
        """
        from scipy.stats import binom

        rows = np.repeat(np.arange(len(sequences)), sequences.lengths)
        shape = (len(sequences), sequences.n_items)
        has = sparse.csr_array((facts != 0).astype(np.float64))
        ones = np.ones(len(rows))
        seen = sparse.csr_array((ones, (rows, sequences.items)), shape=shape)
        found = sparse.csr_array(seen @ has)
        share = np.asarray(found.sum(axis=0)).ravel() / max(len(sequences.items), 1)
        readers = np.repeat(np.arange(len(sequences)), np.diff(found.indptr))
        chance = binom.sf(
            found.data - 1, sequences.lengths[readers], np.minimum(share[found.indices], 1)
        )
        leans = (chance < LEANING) & (found.data >= LEAST_ITEMS)
        matrix = sparse.csc_array(
            (np.ones(leans.sum(), bool), (readers[leans], found.indices[leans])), shape=found.shape
        )
        return cls(matrix)


class Characteristics(NamedTuple):
    """Characteristic facts of one group, the most characteristic first; arrays of one length.

    Attributes:
        facts: columns of the fact matrix.
        share: of the group's readers that lean to each.
        lift: that share over the share among all readers.
        p: corrected chance of such a share by luck.
        score: how much telling the fact says of the group's readers; what they are ordered by.
    """

    facts: NDArray[np.int64]
    share: NDArray[np.float64]
    lift: NDArray[np.float64]
    p: NDArray[np.float64]
    score: NDArray[np.float64]


def characterise(
    leanings: Leanings, labels: NDArray[np.int64], groups: int, weight: NDArray[np.float64]
) -> list[Characteristics]:
    """Characteristic facts of each group of readers.

    Args:
        leanings: who leans to what.
        labels: int64, shape (n_users,), group of each reader.
        groups: how many groups there are.
        weight: float64, shape (n_facts,), how much a fact is worth to be named; orders only.
    """
    from scipy.stats import hypergeom

    n = len(labels)
    member = sparse.csr_array((np.ones(n), (labels, np.arange(n))), shape=(groups, n))
    inside = sparse.coo_array(member @ leanings.matrix.astype(np.float64))
    group, fact = inside.coords
    count = inside.data
    sizes = np.bincount(labels, minlength=groups)
    everywhere = np.diff(leanings.matrix.indptr)
    share = count / sizes[group]
    lift = share / (everywhere[fact] / n)
    chance = hypergeom.sf(count - 1, n, everywhere[fact], sizes[group])
    # All pairs of a group and a fact are tested; those with nobody leaning have chance 1.
    p = benjamini_hochberg(chance, groups * int((everywhere > 0).sum()))
    good = (p < LEVEL) & (lift > 1) & (count >= LEAST_LEANING)
    # The group's part of the Kullback-Leibler sum.
    score = share * np.log2(np.maximum(lift, 1)) * weight[fact]
    result = []
    for g in range(groups):
        own = np.flatnonzero(good & (group == g))
        own = own[np.lexsort((fact[own], -score[own]))][:KEPT]
        result.append(
            Characteristics(fact[own].astype(np.int64), share[own], lift[own], p[own], score[own])
        )
    return result


def benjamini_hochberg(p: NDArray[np.float64], tests: int) -> NDArray[np.float64]:
    """Corrected p: float64, same shape; ``tests`` counts those with p = 1 that are left out."""
    order = np.argsort(p, kind="stable")
    ranked = p[order] * tests / np.arange(1, len(p) + 1)
    corrected = np.empty_like(ranked)
    corrected[order] = np.minimum.accumulate(ranked[::-1])[::-1]
    return np.minimum(corrected, 1)


def make_names(
    found: Sequence[Characteristics],
    names: Mapping[int, str],
    kinds: Mapping[int, str],
    leanings: Leanings,
) -> list[str]:
    """A name for each group, all different: at most three facts that say different things.

    A group without a characteristic fact is called by its number.

    Args:
        found: characteristic facts of the groups.
        names: of the facts in ``found``, by column.
        kinds: labels of their entities, by column.
        leanings: who leans to what.
    """
    used: dict[str, int] = {}
    result = []
    for number, group in enumerate(found, 1):
        name = " · ".join(_parts(group, names, kinds, leanings)) or f"Group {number}"
        used[name] = used.get(name, 0) + 1
        result.append(name if used[name] == 1 else f"{name} ({used[name]})")
    return result


def short_name(name: str) -> str:
    """Without what only tells homonyms apart (``Thriller (genre)``); a bare number gets a word."""
    if name.isdigit():
        return f"attribute {name}"
    return re.sub(r"\s*\([^()]*\)$", "", name).strip() or name


def _parts(
    group: Characteristics, names: Mapping[int, str], kinds: Mapping[int, str], leanings: Leanings
) -> list[str]:
    """The most characteristic person, genre and subject, then what else there is."""
    taken: dict[int, str] = {}
    for new_kinds_only in (True, False):
        for fact, score in zip(group.facts.tolist(), group.score.tolist(), strict=True):
            if len(taken) == PARTS or (new_kinds_only and score < WORTH * group.score[0]):
                break
            name = short_name(names[fact])
            same_kind = [o for o in taken if _kind(kinds[o]) == _kind(kinds[fact])]
            if (
                not (new_kinds_only and same_kind)
                and not any(_alike(name, part) for part in taken.values())
                and not any(_overlap(leanings, fact, other) > ALIKE for other in same_kind)
            ):
                taken[fact] = name
    return list(taken.values())


def _kind(label: str) -> str:
    return "Genre" if label in ("Category", "LiteraryGenre") else label


def _alike(one: str, other: str) -> bool:
    """Whether two names have a telling word in common, or one is all in the other."""
    a, b = (set(re.findall(r"[^\W_]+", name.casefold())) for name in (one, other))
    return bool((a & b) - _GENERAL) or a <= b or b <= a


def _overlap(leanings: Leanings, one: int, other: int) -> float:
    """Readers that lean to both facts, as a share of those who lean to either (Jaccard)."""
    m = leanings.matrix
    a = m.indices[m.indptr[one] : m.indptr[one + 1]]
    b = m.indices[m.indptr[other] : m.indptr[other + 1]]
    both = len(np.intersect1d(a, b))
    return both / max(len(a) + len(b) - both, 1)
