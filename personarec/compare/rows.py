"""The rows of the comparison, each declared once: what it is, what it is made of, its control.

A claim is a row above its control, not above the weakest row of the table: facts answer to the same
facts on other items, personas to somebody else's, and everything to the same without them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from kg.errors import ChangeSomethingError, did_you_mean

Kind = Literal["evidence", "network", "late", "rerank", "learned"]
Fusion = Literal["token", "rows", "add", "norms"]
Source = Literal["given", "prefix"]
Items = Literal["random", "description", "shuffled description"]

SASREC = "sasrec"
"""The sequence model without a persona: the base of every late fusion."""
TRAINED = "trained"
"""Stands in a row for the encoder that the settings name."""
UNTRAINED = "untrained"
"""Stands for propagation without training, by the rule of ``TRAINED``: newer items more, or not."""
SHUFFLED = "shuffled "
"""Before the name of an evidence: the same with each item's facts on another item."""
PERSONA = "persona:"
"""Before the name of an encoder: its dense persona as evidence."""
FEW = 2
"""Sources up to which every combination of weights is tried."""

BASELINES, NETWORKS, LATE, RERANKED, PAPER = (
    "without a network",
    "persona in the network",
    "late fusion",
    "reranked",
    "the paper's table",
)
GROUPS = (BASELINES, NETWORKS, LATE, RERANKED, PAPER)


_WAYS: dict[Fusion, str] = {
    "token": "as a token",
    "rows": "as a trained token",
    "add": "added by a gate",
    "norms": "in the norms",
}


@dataclass(frozen=True)
class NetworkPersona:
    """How a persona enters the sequence model.

    Attributes:
        fusion: as ``SasRecConfig.fusion``.
        source: one vector a user, of all training items (given), or one a place (prefix).
        encoder: registry name, ``TRAINED`` or ``UNTRAINED``.
    """

    fusion: Fusion
    source: Source
    encoder: str


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: as ``--rows`` names it.
        what: in words.
        group: part of the table.
        kind: how it is made.
        against: rows it answers to, the first the strictest control.
        evidence: names of what is scored or fused.
        persona: how a persona enters the network.
        base: row whose trained model this one builds on.
        candidates: of a reranked row, how many are reordered.
        items: what the item table starts from: chance, the items' texts, or each another item's.
        by_length: whether weights of a late fusion depend on how many items are shown.
    """

    name: str
    what: str
    group: str
    kind: Kind
    against: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    persona: NetworkPersona | None = None
    base: str | None = None
    candidates: int = 0
    items: Items = "random"
    by_length: bool = False

    @property
    def uses_facts(self) -> bool:
        """Whether facts of the graph are in it, in their place or shuffled."""
        if self.reorders:
            return ROWS[str(self.base)].uses_facts
        return any("facts" in name for name in self.evidence)

    @property
    def starts_from_texts(self) -> bool:
        """Whether its network's items start from texts, which tell facts of their own."""
        return self.items != "random" or bool(self.base and ROWS[self.base].starts_from_texts)

    @property
    def reorders(self) -> bool:
        """Whether it is its base with the first candidates in another order."""
        return self.kind in ("rerank", "learned")

    @property
    def facts(self) -> str | None:
        """Name of the facts among its evidence, in their place or shuffled; None: it has none."""
        names = [n for n in self.evidence if n in ("facts", SHUFFLED + "facts")]
        return names[0] if names else None

    @property
    def cold(self) -> str | None:
        """Name of the facts by which items nobody had are scored like others; None: they are not.

        Where few sources are fused this is left out, so that each shows what it is worth itself.
        """
        return self.facts if self.kind == "late" and len(self.evidence) > FEW else None

    @property
    def uses_persona(self) -> bool:
        """Whether a dense persona is in it, real or a control."""
        return (self.persona is not None and self.persona.encoder != "random") or any(
            n.startswith(PERSONA) for n in self.evidence
        )

    def missing(self, *, facts: bool, strangers: bool) -> str:
        """Why this row cannot be made of these data; empty: nothing is known to be in the way.

        Args:
            facts: whether the data have facts.
            strangers: whether users are tested that training never saw.
        """
        if not facts and (
            self.uses_facts or (self.persona and self.persona.encoder == "mean-item")
        ):
            return "the items have no facts"
        if strangers and self.persona and self.persona.fusion == "rows":
            return "trained tokens belong to users, and this split tests users that have none"
        return ""

    @property
    def is_control(self) -> bool:
        """Whether what it adds is meant to say nothing."""
        if self.items == "shuffled description" or (self.base and ROWS[self.base].is_control):
            return True
        encoder = self.persona.encoder if self.persona else ""
        names = [n.removeprefix(PERSONA) for n in self.evidence]
        blank = ("shuffled", "constant", "random")
        return encoder.startswith(blank) or any(n.startswith(blank) for n in names)

    @property
    def seeded(self) -> bool:
        """Whether it differs from seed to seed."""
        return self.kind != "evidence" or any(n.startswith(SHUFFLED) for n in self.evidence)

    def made_of(self, named: Callable[[str], str]) -> str:
        """Its parts, for the table; ``named`` gives the registry's name of an encoder."""
        parts = [self.base] if self.base else ["sasrec"] if self.kind == "network" else []
        parts += [
            named(n.removeprefix(PERSONA)) + " persona" if n.startswith(PERSONA) else n
            for n in self.evidence
        ]
        if self.persona:
            source = "all training items" if self.persona.source == "given" else "the prefix"
            parts.append(
                f"{named(self.persona.encoder)} persona of {source}, {_WAYS[self.persona.fusion]}"
            )
        if self.items != "random":
            whose = "their" if self.items == "description" else "other items'"
            parts.append(f"items start from {whose} texts")
        if self.candidates:
            by = SASREC if self.kind == "rerank" else "what validation items taught"
            parts.append(f"first {self.candidates} reordered by {by}")
        return " + ".join(parts)


def _alone(name: str, what: str, *against: str) -> Row:
    return Row(name, what, BASELINES, "evidence", against, evidence=(name,))


def _network(
    name: str, what: str, fusion: Fusion, source: Source, encoder: str, *against: str
) -> Row:
    persona = NetworkPersona(fusion, source, encoder)
    return Row(name, what, NETWORKS, "network", against, persona=persona)


def _late(name: str, what: str, evidence: Sequence[str], *against: str, base: str = SASREC) -> Row:
    return Row(name, what, LATE, "late", against, evidence=tuple(evidence), base=base)


def _reranked(base: str, n: int, group: str = RERANKED) -> Row:
    what = f"the first {n} of '{base}' in the order of {SASREC}, as published"
    return Row(f"{base} reranked {n}", what, group, "rerank", (base,), base=base, candidates=n)


def _learned(base: str, *against: str) -> Row:
    n = 100
    what = f"the first {n} of '{base}' in the order of a net that validation items taught"
    names = tuple(f"{other} learned rerank" for other in against)
    return Row(
        f"{base} learned rerank", what, RERANKED, "learned", (*names, base), base=base,
        candidates=n,
    )  # fmt: skip


def _paper(user: str, items: Items, *against: str) -> Row:
    """A cell of the paper's table: trained user rows as tokens, and what the items start from."""
    encoder = {"random": "random", "text": "keywords", "kg+text": TRAINED}.get(user)
    persona = NetworkPersona("rows", "given", encoder) if encoder else None
    words = {
        "none": "no user token",
        "random": "user tokens that start at random",
        "text": "user tokens that start from the keywords of the user's items",
        "kg+text": "user tokens that start from the graph's personas",
    }
    starts = {
        "random": "at random", "description": "from texts",
        "shuffled description": "from other items' texts",
    }  # fmt: skip
    what = f"{words[user]}; items that start {starts[items]}"
    return Row(f"{user} x {items}", what, PAPER, "network", against, persona=persona, items=items)


_PREFIX_WAYS: tuple[tuple[Fusion, str], ...] = (
    ("token", "one token a place"),
    ("add", "added by a gate"),
    ("norms", "conditioning the norms"),
)
_FACTLESS = ("transitions", "popularity", "linear")
_WHOLE = ("transitions", "popularity", "linear+facts", "facts-regression", "facts")
_BLANK = ("transitions", "popularity", *(SHUFFLED + name for name in _WHOLE[2:]))

_ROWS: tuple[Row, ...] = (
    _alone("popularity", "the most popular items, for everybody"),
    _alone("item-knn", "items that the same users have", "popularity"),
    _alone("transitions", "items that follow the latest ones", "item-knn"),
    _alone("transitions-2", "items two steps away", "transitions"),
    _alone("linear", "closed-form item–item model (EASE)", "item-knn"),
    _alone(
        "linear+facts",
        "the same with each fact as one more user",
        "linear+shuffled facts",
        "linear",
    ),
    Row(
        "linear+shuffled facts",
        "the same, each item with another item's facts",
        BASELINES,
        "evidence",
        ("linear",),
        evidence=(SHUFFLED + "linear+facts",),
    ),
    _alone("facts", "items that share facts with the latest ones", "shuffled facts"),
    Row(
        "shuffled facts",
        "the same, each item with another item's facts",
        BASELINES,
        "evidence",
        (),
        evidence=(SHUFFLED + "facts",),
    ),
    Row(SASREC, "the sequence model alone", BASELINES, "network", ("transitions",)),
    # -- in the network: the paper's way, then the ways that cannot leak
    _network(
        "token",
        "the persona of all training items as one token, the paper's way",
        "token",
        "given",
        TRAINED,
        "token shuffled",
        "token constant",
        SASREC,
    ),
    _network(
        "token shuffled",
        "the same with somebody else's persona",
        "token",
        "given",
        f"shuffled:{TRAINED}",
        SASREC,
    ),
    _network(
        "token constant", "the same with one vector for all", "token", "given", "constant", SASREC
    ),
    _network(
        "token random", "the same with a random vector for each", "token", "given", "random", SASREC
    ),
    _network(
        "token mean-item",
        "the same with the mean of item features",
        "token",
        "given",
        "mean-item",
        "token constant",
        SASREC,
    ),
    _network(
        "token untrained",
        "the same with an untrained propagation",
        "token",
        "given",
        UNTRAINED,
        "token constant",
        SASREC,
    ),
    *(
        row
        for fusion, words in _PREFIX_WAYS
        for row in (
            _network(
                f"prefix {fusion}",
                f"the persona of the items up to each place, {words}",
                fusion,
                "prefix",
                TRAINED,
                f"prefix {fusion} shuffled",
                f"prefix {fusion} untrained",
                SASREC,
            ),
            _network(
                f"prefix {fusion} shuffled",
                "the same with each item's vector on another",
                fusion,
                "prefix",
                f"shuffled:{TRAINED}",
                SASREC,
            ),
            _network(
                f"prefix {fusion} untrained",
                "the same with an untrained propagation",
                fusion,
                "prefix",
                UNTRAINED,
                f"prefix {fusion} shuffled",
                SASREC,
            ),
        )
    ),
    # -- late: without the graph's facts, with them, with them shuffled
    _late("sasrec+transitions", "scores added, weights by validation", ("transitions",), SASREC),
    _late("sasrec+linear", "scores added", ("linear",), SASREC),
    _late("sasrec+facts", "scores added", ("facts",), "sasrec+shuffled facts", SASREC),
    _late(
        "sasrec+shuffled facts",
        "scores added, each item with another item's facts",
        (SHUFFLED + "facts",),
        SASREC,
    ),
    _late(
        "sasrec+transitions+facts",
        "scores added",
        ("transitions", "facts"),
        "sasrec+transitions+shuffled facts",
        "sasrec+transitions",
    ),
    _late(
        "sasrec+transitions+shuffled facts",
        "scores added, each item with another item's facts",
        ("transitions", SHUFFLED + "facts"),
        "sasrec+transitions",
    ),
    _late(
        "sasrec+transitions+linear", "scores added", ("transitions", "linear"), "sasrec+transitions"
    ),
    _late(
        "everything without facts",
        "all evidence that needs no facts",
        _FACTLESS,
        "sasrec+transitions",
    ),
    _late(
        "everything",
        "all evidence and the facts, items nobody had as those most like them",
        _WHOLE,
        "everything with shuffled facts",
        "everything without facts",
    ),
    _late(
        "everything with shuffled facts",
        "the same, each item with another item's facts",
        _BLANK,
        "everything without facts",
    ),
    Row(
        "everything by length",
        "the same, weights by how many items are shown",
        LATE,
        "late",
        ("everything",),
        evidence=_WHOLE,
        base=SASREC,
        by_length=True,
    ),
    _late(
        "everything+persona",
        "all evidence, the facts and the dense persona",
        (*_WHOLE, PERSONA + TRAINED),
        "everything+shuffled persona",
        "everything",
    ),
    _late(
        "everything+untrained persona",
        "the same with an untrained propagation",
        (*_WHOLE, PERSONA + UNTRAINED),
        "everything+shuffled persona",
        "everything",
    ),
    _late(
        "everything+shuffled persona",
        "the same with somebody else's persona",
        (*_WHOLE, PERSONA + f"shuffled:{TRAINED}"),
        "everything",
    ),
    _late(
        "everything from texts",
        "all evidence beside a sequence model whose items start from their texts",
        _WHOLE,
        "everything from shuffled texts",
        "everything",
        base="none x description",
    ),
    _late(
        "everything from shuffled texts",
        "the same, each item with another item's text",
        _WHOLE,
        "everything",
        base="none x shuffled description",
    ),
    _reranked("everything", 10),
    _reranked("everything", 100),
    _learned("everything without facts"),
    _learned("everything", "everything with shuffled facts", "everything without facts"),
    _learned("everything with shuffled facts", "everything without facts"),
    _learned("everything+persona", "everything+shuffled persona", "everything"),
    _learned("everything+shuffled persona", "everything"),
    _learned("everything from texts", "everything from shuffled texts", "everything"),
    _learned("everything from shuffled texts", "everything"),
    # -- the paper's table; none x random is sasrec
    _paper("none", "description", "none x shuffled description", SASREC),
    _paper("none", "shuffled description", SASREC),
    _paper("random", "random", SASREC),
    _paper("random", "description", "none x description"),
    _paper("text", "random", "random x random", SASREC),
    _paper("text", "description", "random x description", "none x description"),
    _paper("kg+text", "random", "random x random", "text x random", SASREC),
    _paper(
        "kg+text", "description", "random x description", "text x description", "none x description"
    ),
    _reranked("kg+text x description", 10, PAPER),
    _reranked("kg+text x description", 100, PAPER),
)

ROWS: dict[str, Row] = {row.name: row for row in _ROWS}
"""All rows by name, in the order of the table."""


def keeps_model(row: Row) -> bool:
    """Whether other rows build on this one's trained model."""
    return row.kind == "network" and any(row.name == other.base for other in ROWS.values())


def chosen_rows(names: Sequence[str]) -> list[Row]:
    """The rows of these names with what they build on, in the order of the table; none: all.

    Raises:
        ChangeSomethingError: no such row; the message names the nearest.
    """
    wanted = set(names) if names else set(ROWS)
    for name in names:
        if name not in ROWS:
            raise ChangeSomethingError(
                f"no row {name!r}{did_you_mean(name, ROWS) or '.'} There are: {', '.join(ROWS)}"
            )
    while more := {ROWS[n].base for n in wanted} - wanted - {None}:
        wanted |= {str(name) for name in more}
    if any(ROWS[n].kind == "rerank" for n in wanted):
        wanted.add(SASREC)
    return [row for row in ROWS.values() if row.name in wanted]
