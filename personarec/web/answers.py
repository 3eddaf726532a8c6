"""What the server answers, from a loaded model and the graph; nothing here knows of HTTP.

Answers are plain dictionaries of the form that ``bodies`` describes. They are not validated on
their way out, which took longer than finding the recommendations; tests hold them to it.
"""

from __future__ import annotations

from typing import Any

from kg.errors import ChangeSomethingError
from kg.schema import RELATION_TYPES, relation_type
from kg.store import statement
from kg.views.personas import (
    PersonaModel,
    neighbours,
    preferences_of,
    read_personas,
    require_model,
)
from kg.views.prototypes import prototypes_of_user, read_prototypes
from personarec.recommend.explain import GraphPath
from personarec.recommend.filters import Attribute, Filters
from personarec.recommend.service import Options, Recommended, Whom
from personarec.web import bodies, limits
from personarec.web.served import Served

Document = dict[str, Any]
DERIVED = [r.name for r in RELATION_TYPES if r.derived or r.name == "RATED"]


def origin(served: Served) -> Document:
    """The fields of ``Answer``, texts or None."""
    personas = served.version.personas
    return {
        "dataset": served.dataset,
        "run": served.version.run,
        "personas": personas.id if personas else None,
    }


def recommended(served: Served, wanted: bodies.ForUser | bodies.ForItems) -> Document:
    """Recommendations for a user or a session. Raises ChangeSomethingError for an unknown one."""
    whom = _who(served, wanted)
    options = Options(
        wanted.n,
        _filters(wanted.filters),
        wanted.diversity,
        limits.EXPLAINED if wanted.explain else 0,
    )
    found = served.recommender.recommend(whom, options)
    return origin(served) | {
        "user": whom.user,
        "history": whom.history,
        "recommendations": [_recommendation(one) for one in found],
    }


def session(served: Served, wanted: bodies.ForItems) -> Document:
    """As ``recommended``, and the session's persona."""
    liked = served.recommender.persona(_who(served, wanted), limits.LIKED)
    persona = [
        {"relation": p.relation, "id": p.id, "name": p.name, "words": p.words(), "weight": p.weight}
        for p in liked
    ]
    return recommended(served, wanted) | {"persona": persona}


def batch(served: Served, wanted: bodies.Batch) -> Document:
    """An entry for each of a batch; one that is unknown does not spoil the others."""
    results: list[Document] = []
    known: list[tuple[Document, Whom]] = []
    for one in wanted.requests:
        entry: Document = {"status": 200, "user": None, "recommendations": None, "detail": None}
        results.append(entry)
        try:
            known.append((entry, _who(served, one)))
        except ChangeSomethingError as error:
            if error.__cause__ is not None:  # the graph's refusal, not an unknown user or item
                raise
            # A request may hold half a character, which no answer can.
            detail = str(error).encode("utf-8", "replace").decode("utf-8")
            entry.update(status=404, detail=detail)
    options = Options(wanted.n, _filters(wanted.filters), wanted.diversity)
    lists = served.recommender.recommend_each([whom for _, whom in known], options)
    for (entry, whom), found in zip(known, lists, strict=True):
        entry.update(user=whom.user, recommendations=[_recommendation(one) for one in found])
    return origin(served) | {"results": results}


def persona(served: Served, user: str) -> Document:
    """A user's strongest facts. Raises ChangeSomethingError for an unknown user."""
    key = _user(served, user)
    facts = preferences_of(served.recommender.store, key, _personas(served))
    return origin(served) | {"user": key, "facts": [_fact(f) for f in facts]}


def near(served: Served, user: str, n: int) -> Document:
    """The users nearest to one. Raises ChangeSomethingError for one unknown or without persona."""
    store = served.recommender.store
    key, model = _user(served, user), _personas(served)
    read_personas(store, model, [key])  # the index would be asked for what is near to nothing
    return origin(served) | {
        "user": key,
        "neighbours": [
            {
                "user": found.user,
                "cosine": found.cosine,
                "shared_items": found.shared_items,
                "shared": [_fact(s) for s in found.shared],
            }
            for found in neighbours(store, key, model, n)
        ],
    }


def prototypes(served: Served) -> Document:
    """Kinds of readers. Raises ChangeSomethingError where there are no personas."""
    found = read_prototypes(served.recommender.store, _personas(served))
    return origin(served) | {
        "prototypes": [
            {
                "id": one.id,
                "name": one.name,
                "size": one.size,
                "x": one.place[0],
                "y": one.place[1],
                "facts": [_fact(f._asdict()) for f in one.facts],
            }
            for one in found
        ]
    }


def prototypes_of(served: Served, user: str) -> Document:
    """Kinds of readers in a user's persona. Raises ChangeSomethingError for an unknown user."""
    key = _user(served, user)
    found = prototypes_of_user(served.recommender.store, key, _personas(served))
    return origin(served) | {"user": key, "prototypes": [one._asdict() for one in found]}


def item(served: Served, given: str) -> Document:
    """An item by key or by the data set's own id. Raises ChangeSomethingError when unknown."""
    recommender = served.recommender
    for key in recommender.keys(given):
        if key in recommender.titles:
            break
    else:
        key = recommender.session([given]).history[0]
    store, label = recommender.store, recommender.label
    rows = store.read(statement("read_nodes", label=label), ids=[key])
    if not rows:
        raise ChangeSomethingError(
            f"no item {given!r} in data set {served.dataset} any more; it left the graph after the "
            "model was loaded"
        )
    properties = rows[0][1]
    facts = store.read(
        statement("facts_of_item", label=label), item=key, derived=DERIVED, k=limits.FACTS
    )
    return origin(served) | {
        "item": key,
        **{name: properties.get(name) for name in ("title", "iri", "abstract")},
        "facts": [_fact({"relation": r, "id": entity, "name": name}) for r, entity, name in facts],
    }


def search(served: Served, text: str, n: int) -> Document:
    """Items by title."""
    recommender = served.recommender
    found = recommender.search.search(text, n)
    return origin(served) | {
        "results": [{"item": key, "title": recommender.titles[key] or key} for key in found]
    }


# -- parts -----------------------------------------------------------------------------------------


def _who(served: Served, wanted: bodies.OfUser | bodies.OfItems) -> Whom:
    recommender = served.recommender
    if isinstance(wanted, bodies.OfUser):
        return recommender.user(wanted.user)
    return recommender.session(wanted.items)


def _user(served: Served, user: str) -> str:
    return served.recommender.user(user).user or ""


def _personas(served: Served) -> PersonaModel:
    found = served.version.personas
    return found or require_model(served.recommender.store, served.dataset)


def _filters(wanted: bodies.Filters) -> Filters:
    years = None
    if wanted.year_from is not None or wanted.year_to is not None:
        years = (wanted.year_from or limits.FIRST_YEAR, wanted.year_to or limits.LAST_YEAR)
    return Filters(
        wanted.exclude_seen,
        tuple(Attribute(a.entity, a.relation) for a in wanted.attributes),
        wanted.title_contains,
        wanted.titled_only,
        years,
    )


def _recommendation(found: Recommended) -> Document:
    return {
        "item": found.item,
        "title": found.title,
        "score": found.score,
        "parts": found.parts,
        "paths": None if found.paths is None else [_path(p) for p in found.paths],
    }


def _path(found: GraphPath) -> Document:
    return {
        "kind": found.kind,
        "source": found.source,
        "source_title": found.source_title,
        "target": found.target,
        "evidence": found.evidence,
        "contribution": found.contribution,
        "share": found.share,
        "words": found.words(),
    }


def _fact(found: Document) -> Document:
    """A fact with its words."""
    return found | {"words": f"{relation_type(found['relation']).doc} {found['name']}"}
