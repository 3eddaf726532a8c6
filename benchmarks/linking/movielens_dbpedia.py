"""Precision and recall of the linker on the public links of MovieLens films to DBpedia.

    python benchmarks/linking/movielens_dbpedia.py [--disagreements FILE]

Data: movielens-dbpedia under PERSONAREC_DATA, or under ../shared/data beside the repository.

There is no DBpedia here, only the facts of the linked films. So the candidates are a closed
universe: every resource that has a film's facts; the public links' resources without facts, which
are of no known class; and every person and company of a fact, as namesakes of another kind. Labels
are page names; there are no redirects, no release dates and no cast on the side of the items. What
that does to the figures is said in docs/linking.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kg.dbpedia.source import Description
from kg.linking import DOMAINS, Linked, Query, Rules, link_items
from kg.linking.link import Answer
from kg.linking.normalise import split_label
from kg.loaders import loader
from kg.loaders.records import IriFact, Item
from kg.schema import DBO, name_from_iri

MOVIES = DOMAINS["movies"]
THRESHOLDS = (0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85)
MARGINS = (0.0, 0.05, 0.10)
SEED = 0


@dataclass(frozen=True)
class Data:
    """Items as queries, their public links, and what there is to be linked to."""

    queries: list[Query]
    public: dict[str, str]
    """Item -> IRI, for those that have one."""
    films: frozenset[str]
    """Resources with facts of a film."""
    bare: frozenset[str]
    """Resources of public links of which there is no fact: nothing says that they are films."""
    others: frozenset[str]


def read_data(folder: Path) -> Data:
    """Read items and facts of movielens-dbpedia."""
    items = [r for r in loader("tsv-items").read(folder / "items.tsv") if isinstance(r, Item)]
    facts = [r for r in loader("tsv-facts").read(folder / "triples.tsv") if isinstance(r, IriFact)]
    public = {i.item: i.iri for i in items if i.iri}
    films = frozenset(f.subject for f in facts)
    bare = frozenset(public.values()) - films
    queries = [Query(i.item, i.title or "", (), " ".join(i.genres) or None) for i in items]
    others = frozenset(f.object for f in facts) - films - bare
    return Data(queries, public, films, bare, others)


class ClosedUniverse:
    """Films, and people and companies, under their page names.

    With ``brackets`` a label is what the page is called (``Sabrina (1995 film)``), its bracket's
    year is known, and the bare name leads to all of that name, as a disambiguation page does.
    Without, the bracket is taken off and its year forgotten: namesakes cannot be told apart.
    """

    def __init__(self, data: Data, *, brackets: bool) -> None:
        self.described: dict[str, Description] = {}
        self.labelled: dict[str, set[str]] = defaultdict(set)
        named: dict[str, set[str]] = defaultdict(set)
        classes = (frozenset({DBO + "Film"}), frozenset({DBO + "Person"}), frozenset[str]())
        kinds = zip((data.films, data.others, data.bare), classes, strict=True)
        for iri, types in ((iri, types) for iris, types in kinds for iri in iris):
            page = split_label(name_from_iri(iri))
            whole = f"{page.name} ({page.bracket})" if brackets and page.bracket else page.name
            year = page.year if brackets else None
            self.described[iri] = Description(iri, whole, types, frozenset(), year, None)
            self.labelled[whole].add(iri)
            named[page.name].add(iri)
        for name, iris in named.items():
            self.labelled[f"{name} (disambiguation)"] |= iris
            if name not in self.labelled:
                self.labelled[name] |= iris

    def by_label(self, labels: Sequence[str]) -> dict[str, list[str]]:
        """Resources of exactly these labels."""
        return {label: sorted(self.labelled.get(label, ())) for label in labels}

    def describe(self, iris: Iterable[str]) -> dict[str, Description]:
        """What is known of each resource."""
        return {iri: self.described[iri] for iri in iris if iri in self.described}


@dataclass
class Figures:
    """Counts over a set of items."""

    linked: int = 0
    """Items that have a public link."""
    found: int = 0
    """Of those, how many we linked."""
    right: int = 0
    """Of those, how many to the same resource."""
    extra: int = 0
    """Items without a public link that we linked."""

    def as_dict(self) -> dict[str, float]:
        """Counts and rates; ``precision_all`` counts every link of an unlinked item as wrong."""
        precision = self.right / self.found if self.found else 0.0
        recall = self.right / self.linked if self.linked else 0.0
        both = precision + recall
        answers = self.found + self.extra
        every = self.right / answers if answers else 0.0
        return vars(self) | {
            "precision": round(precision, 4),
            "recall": round(recall, 4),
            "f1": round(2 * precision * recall / both, 4) if both else 0.0,
            "precision_all": round(every, 4),
            "f1_all": round(2 * every * recall / (every + recall), 4) if every + recall else 0.0,
        }


def compare(answers: Iterable[Answer], public: dict[str, str], items: set[str]) -> Figures:
    """Count agreement with the public links over some items."""
    figures = Figures(linked=len(items & public.keys()))
    for answer in answers:
        if not isinstance(answer, Linked) or answer.item not in items:
            continue
        if answer.item in public:
            figures.found += 1
            figures.right += public[answer.item] == answer.iri
        else:
            figures.extra += 1
    return figures


def run(data: Data, universe: ClosedUniverse, rules: Rules) -> list[Answer]:
    """Link all items."""
    return list(link_items(data.queries, universe, MOVIES, rules))


def missing_resources(data: Data, rules: Rules, *, brackets: bool) -> dict[str, float]:
    """A third of the films taken away: whatever their items are linked to is wrong."""
    gone = set(random.Random(SEED).sample(sorted(data.films), len(data.films) // 3))
    universe = ClosedUniverse(replace(data, films=data.films - gone), brackets=brackets)
    items = {item for item, iri in data.public.items() if iri in gone}
    wrong = sum(isinstance(a, Linked) and a.item in items for a in run(data, universe, rules))
    return {"items": len(items), "linked": wrong, "share": round(wrong / len(items), 4)}


def measure(data: Data, *, brackets: bool) -> dict[str, object]:
    """Choose threshold and margin on one half, by ``f1_all``; report on the other."""
    universe = ClosedUniverse(data, brackets=brackets)
    everyone = sorted(q.item for q in data.queries)
    chosen_on = set(random.Random(SEED).sample(everyone, len(everyone) // 2))
    held_out = set(everyone) - chosen_on
    sweep = []
    for threshold in THRESHOLDS:
        for margin in MARGINS:
            rules = replace(Rules(), threshold=threshold, margin=margin)
            answers = run(data, universe, rules)
            figures = compare(answers, data.public, chosen_on).as_dict()
            sweep.append({"threshold": threshold, "margin": margin, **figures})
    settings = Rules()
    own = run(data, universe, settings)
    return {
        "brackets": brackets,
        "sweep_on_first_half": sweep,
        # Of equal ones the strictest.
        "best_on_first_half": max(sweep, key=lambda s: (s["f1_all"], s["threshold"], s["margin"])),
        "default": {"threshold": settings.threshold, "margin": settings.margin},
        "first_half": compare(own, data.public, chosen_on).as_dict(),
        "second_half": compare(own, data.public, held_out).as_dict(),
        "all": compare(own, data.public, set(everyone)).as_dict(),
        "by_method": by_method(own, data.public),
        "unlinked": dict(Counter(str(a.reason) for a in own if not isinstance(a, Linked))),
        "unlinked_of_public": dict(
            Counter(
                str(a.reason) for a in own if not isinstance(a, Linked) and a.item in data.public
            )
        ),
        "missing_resources": missing_resources(data, settings, brackets=brackets),
    }


def by_method(answers: list[Answer], public: dict[str, str]) -> dict[str, dict[str, float]]:
    """The same counts, one a method."""
    found = [a for a in answers if isinstance(a, Linked)]
    counts = {}
    for method in sorted({a.method for a in found}):
        own = [a for a in found if a.method == method]
        figures = compare(own, public, {a.item for a in own}).as_dict()
        counts[method] = {k: figures[k] for k in ("found", "right", "extra", "precision")}
    return counts


def disagreements(data: Data, *, brackets: bool) -> list[dict[str, str]]:
    """Items that we and the public links link to different resources."""
    universe = ClosedUniverse(data, brackets=brackets)
    titles = {q.item: q.title for q in data.queries}
    return [
        {"item": a.item, "title": titles[a.item], "ours": a.iri, "public": data.public[a.item],
         "method": a.method, "score": f"{a.score:.3f}"}
        for a in run(data, universe, Rules())
        if isinstance(a, Linked) and a.item in data.public and data.public[a.item] != a.iri
    ]  # fmt: skip


def main() -> None:
    """Measure with and without brackets; print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--disagreements", type=Path, help="write the differing links there")
    options = parser.parse_args()
    named = os.environ.get("PERSONAREC_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    data = read_data(root / "movielens-dbpedia")
    result = {
        "items": len(data.queries),
        "public_links": len(data.public),
        "resources_that_several_items_share": sum(
            n > 1 for n in Counter(data.public.values()).values()
        ),
        "films": len(data.films),
        "resources_without_facts": len(data.bare),
        "other_resources": len(data.others),
        "without_brackets": measure(data, brackets=False),
        "with_brackets": measure(data, brackets=True),
    }
    print(json.dumps(result, indent=1))
    if options.disagreements:
        rows = disagreements(data, brackets=True)
        text = "\n".join("\t".join(row.values()) for row in rows)
        options.disagreements.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
