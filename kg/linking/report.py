"""How good a data set's links look: coverage, scores, and the alarms that a wrong link sets off."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from kg.dbpedia.vocabulary import RESOURCE
from kg.ingest.stage import Stage
from kg.linking.corrections import effective_links, stored
from kg.linking.files import UNLINKED, read_unlinked
from kg.linking.link import Linked
from kg.linking.staged import SOURCE_METHOD, StagedItem, read_items, related_items

ALARMS = {
    "books": ("STARRING", "DIRECTED_BY", "MUSIC_COMPOSER_IS", "HAS_NOTABLE_WORK"),
    "movies": ("LITERARY_GENRE_IS", "HAVE_ARTIST"),
    "products": (),
}
"""Relations that items of a domain do not have unless they are linked to something else.

A book that stars somebody is linked to its film; one with a notable work, to a person; a film with
a literary genre, to its book; one with an artist, to an album.
"""
BINS = 10
SHOWN = 5  # examples of an alarm or of a shared resource


def link_report(staged: Stage, folder: Path, *, sample: int, seed: int) -> dict[str, Any]:
    """The links of a data set in figures.

    Args:
        staged: its stage.
        folder: its folder of link files.
        sample: how many linked items to show, drawn at random.
        seed: of that draw; the same seed shows the same items.

    Raises:
        ChangeSomethingError: a file of links is damaged.
    """
    items = {i.item: i for i in read_items(staged)}
    links = _links(items, folder)
    scored = [found.score for found in links.values() if found.method != SOURCE_METHOD]
    return {
        "dataset": staged.data_set,
        "domain": staged.domain,
        "items": len(items),
        "linked": len(links),
        "coverage": round(len(links) / len(items), 4) if items else 0.0,
        "methods": dict(sorted(Counter(found.method for found in links.values()).items())),
        "unlinked": _reasons(items, links, folder),
        "scores": _histogram(scored),
        "fan_out": _fan_out(links),
        "alarms": [_alarm(staged, relation, links) for relation in ALARMS[staged.domain]],
        "corrections": dict(sorted(Counter(c.verdict for c in stored(folder)).items())),
        "sample": _sample(items, links, sample, seed),
    }


def _links(items: dict[str, StagedItem], folder: Path) -> dict[str, Linked]:
    """Item -> its link: the effective one, else the one that the data set gave."""
    given = {
        i.item: Linked(i.item, i.iri, SOURCE_METHOD, 1.0, "", 1.0)
        for i in items.values()
        if i.method == SOURCE_METHOD
    }
    found = {e.item: e for e in effective_links(folder) if e.item in items}
    return dict(sorted((given | found).items()))


def _reasons(
    items: dict[str, StagedItem], links: dict[str, Linked], folder: Path
) -> dict[str, int]:
    told = {u.item: u.reason for u in read_unlinked(folder / UNLINKED)}
    rejected = {c.item for c in stored(folder) if c.verdict == "reject"}
    reasons: Counter[str] = Counter()
    for item in items.keys() - links.keys():
        # An item that the linker did link can be without one only by a correction.
        reasons[told.get(item) or ("rejected" if item in rejected else "not looked at")] += 1
    return dict(sorted(reasons.items()))


def _histogram(scores: list[float]) -> list[dict[str, float]]:
    """Links by score, in tenths; the last bin holds 1.0 too."""
    bins = Counter(min(int(s * BINS), BINS - 1) for s in scores)
    return [
        {"from": b / BINS, "to": (b + 1) / BINS, "links": bins[b]}
        for b in range(min(bins, default=BINS), BINS)
    ]


def _fan_out(links: dict[str, Linked]) -> dict[str, Any]:
    """Resources that several items are linked to: editions of one work, or a wrong link."""
    by_iri: dict[str, list[str]] = defaultdict(list)
    for item, found in links.items():
        by_iri[found.iri].append(item)
    shared = {iri: found for iri, found in by_iri.items() if len(found) > 1}
    most = sorted(shared.items(), key=lambda s: (-len(s[1]), s[0]))[:SHOWN]
    return {
        "resources": len(shared),
        "items": sum(map(len, shared.values())),
        "most": [{"iri": iri, "items": found} for iri, found in most],
    }


def _alarm(staged: Stage, relation: str, links: dict[str, Linked]) -> dict[str, Any]:
    odd = sorted(related_items(staged, relation) & links.keys())
    shown = [{"item": item, "iri": links[item].iri} for item in odd[:SHOWN]]
    return {"relation": relation, "items": len(odd), "most": shown}


def _sample(
    items: dict[str, StagedItem], links: dict[str, Linked], count: int, seed: int
) -> list[dict[str, Any]]:
    """Linked items drawn at random, the least sure first."""
    found = [links[i] for i in random.Random(seed).sample(list(links), min(count, len(links)))]
    return [
        {
            "item": f.item, "title": items[f.item].title, "iri": f.iri, "method": f.method,
            "score": f.score, "runner_up": f.runner_up or None, "margin": f.margin,
        }
        for f in sorted(found, key=lambda f: (f.score, f.item))
    ]  # fmt: skip


Tables = list[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]]


def tables(report: dict[str, Any]) -> Tables:
    """A report as (title, columns, rows); a table without rows has nothing to say."""
    shared = report["fan_out"]
    linked_to = f"{shared['resources']} resources that several items are linked to"
    return [
        ("links by method", ("method", "links"), list(report["methods"].items())),
        ("items without a link", ("reason", "items"), list(report["unlinked"].items())),
        (
            "links of the linker by score",
            ("from", "to", "links"),
            [(b["from"], b["to"], b["links"]) for b in report["scores"]],
        ),
        (
            f"{linked_to}; most of all" if shared["resources"] else "",
            ("resource", "items"),
            [(_page(m["iri"]), ", ".join(m["items"][:SHOWN])) for m in shared["most"]],
        ),
        (
            "alarms: relations that such an item does not have",
            ("relation", "items", "for example"),
            [
                (a["relation"], a["items"], ", ".join(_page(m["iri"]) for m in a["most"][:2]))
                for a in report["alarms"]
            ],
        ),
        ("corrections", ("verdict", "items"), list(report["corrections"].items())),
        (
            "links to look at, the least sure first",
            ("item", "title", "resource", "method", "score", "runner-up"),
            [
                (
                    s["item"],
                    s["title"],
                    _page(s["iri"]),
                    s["method"],
                    s["score"],
                    _page(s["runner_up"] or ""),
                )
                for s in report["sample"]
            ],
        ),
    ]


def _page(iri: str) -> str:
    """A resource of DBpedia by its page, so that a row fits a line."""
    return iri.removeprefix(RESOURCE)
