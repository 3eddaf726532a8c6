"""What the server answers, from a loaded model and the graph; nothing here knows of HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kg.errors import ChangeSomethingError
from kg.schema import RELATION_TYPES, relation_type, target_label
from kg.store import statement
from kg.views.personas import (
    PersonaModel,
    neighbours,
    preferences_of,
    read_personas,
    require_model,
    require_user,
)
from personarec.recommend.explain import GraphPath, explain
from personarec.retriever.recommender import Recommendation
from personarec.web import bodies, limits
from personarec.web.served import Served
from personarec.web.titles import fold

Mask = NDArray[np.bool_]
DERIVED = [r.name for r in RELATION_TYPES if r.derived or r.name == "RATED"]


def origin(served: Served) -> dict[str, Any]:
    """The fields of ``Answer``, texts or None."""
    personas = served.version.personas
    return {
        "dataset": served.dataset,
        "run": served.version.run,
        "personas": personas.id if personas else None,
    }


def recommended(served: Served, wanted: bodies.ForUser | bodies.ForItems) -> bodies.Recommendations:
    """Recommendations for a user or a session. Raises ChangeSomethingError for an unknown one."""
    user, history = _who(served, wanted)
    mask = _allowed(served, wanted.filters)
    found = _best(served, history, user, wanted.n, wanted.filters, mask)
    explained = limits.EXPLAINED if wanted.explain else 0
    return bodies.Recommendations(
        **origin(served),
        user=user,
        history=history,
        recommendations=[
            _recommendation(served, f, _paths(served, history, f) if i < explained else None)
            for i, f in enumerate(found)
        ],
    )


def batch(served: Served, wanted: bodies.Batch) -> bodies.BatchAnswer:
    """An entry for each of a batch; one that is unknown does not spoil the others."""
    mask = _allowed(served, wanted.filters)
    results = []
    for one in wanted.requests:
        try:
            user, history = _who(served, one)
        except ChangeSomethingError as error:
            if error.__cause__ is not None:  # the graph's refusal, not an unknown user or item
                raise
            results.append(bodies.Entry(status=404, detail=str(error)))
            continue
        found = _best(served, history, user, wanted.n, wanted.filters, mask)
        recommendations = [_recommendation(served, f, None) for f in found]
        results.append(bodies.Entry(status=200, user=user, recommendations=recommendations))
    return bodies.BatchAnswer(**origin(served), results=results)


def persona(served: Served, user: str) -> bodies.Persona:
    """A user's strongest facts. Raises ChangeSomethingError for an unknown user."""
    key = _user(served, user)
    return bodies.Persona(
        **origin(served),
        user=key,
        facts=[
            bodies.Preference(**p, words=_words(p["relation"], p["name"]))
            for p in preferences_of(served.recommender.store, key, _personas(served))
        ],
    )


def near(served: Served, user: str, n: int) -> bodies.Neighbours:
    """The users nearest to one. Raises ChangeSomethingError for one unknown or without persona."""
    store = served.recommender.store
    key, model = _user(served, user), _personas(served)
    read_personas(store, model, [key])  # the index would be asked for what is near to nothing
    return bodies.Neighbours(
        **origin(served),
        user=key,
        neighbours=[
            bodies.NearUser(
                user=f.user,
                cosine=f.cosine,
                shared_items=f.shared_items,
                shared=[
                    bodies.Shared(**s, words=_words(s["relation"], s["name"])) for s in f.shared
                ],
            )
            for f in neighbours(store, key, model, n)
        ],
    )


def item(served: Served, given: str) -> bodies.Item:
    """An item by key or by the data set's own id. Raises ChangeSomethingError when unknown."""
    recommender = served.recommender
    for key in (given, f"{served.dataset}:{given}"):
        if key in recommender.titles:
            break
    else:
        key = recommender.session([given])[0]
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
    return bodies.Item(
        **origin(served),
        item=key,
        title=properties.get("title"),
        iri=properties.get("iri"),
        abstract=properties.get("abstract"),
        facts=[
            bodies.Fact(relation=r, id=entity, name=name, words=_words(r, name))
            for r, entity, name in facts
        ],
    )


def search(served: Served, text: str, n: int) -> bodies.SearchAnswer:
    """Items by title."""
    titles = served.recommender.titles
    found = [
        bodies.Found(item=key, title=titles[key] or key) for key in served.titles.search(text, n)
    ]
    return bodies.SearchAnswer(**origin(served), results=found)


# -- parts -----------------------------------------------------------------------------------------


def _who(served: Served, wanted: bodies.OfUser | bodies.OfItems) -> tuple[str | None, list[str]]:
    """Key of the user, if it is one, and the keys of the history."""
    if isinstance(wanted, bodies.OfUser):
        user = _user(served, wanted.user)
        return user, served.recommender.history_of(user)
    return None, _session(served, wanted.items)


def _user(served: Served, user: str) -> str:
    return require_user(served.recommender.store, served.dataset, user)


def _personas(served: Served) -> PersonaModel:
    found = served.version.personas
    return found or require_model(served.recommender.store, served.dataset)


def _session(served: Served, items: Sequence[str]) -> list[str]:
    """As ``Recommender.session``, which goes through all titles for each call."""
    position = served.recommender.position
    keys = []
    for given in items:
        candidates = (given, f"{served.dataset}:{given}", served.titles.exact(given))
        key = next((c for c in candidates if c in position), None)
        if key is None:
            return served.recommender.session(items)
        keys.append(key)
    return keys


def _allowed(served: Served, filters: bodies.Filters) -> Mask | None:
    """Which items pass, shape (n_items,); None where all do."""
    recommender, titles = served.recommender, served.titles
    keys: list[set[str]] = []
    for wanted in filters.attributes:
        relation = relation_type(wanted.relation)
        query = statement(
            "items_with_fact",
            source=recommender.label,
            type=relation.name,
            target=target_label(relation, recommender.label),
        )
        rows = recommender.store.read(query, entity=wanted.entity, dataset=served.dataset)
        keys.append({r[0] for r in rows})
    if filters.title_contains is not None:
        text = fold(filters.title_contains)
        keys.append({key for key, title in titles.folded.items() if text in title})
    if filters.titled_only:
        keys.append(set(titles.folded))
    if not keys:
        return None
    mask = np.zeros(len(recommender.position), bool)
    for key in set.intersection(*keys):
        if key in recommender.position:
            mask[recommender.position[key]] = True
    return mask


def _best(
    served: Served,
    history: Sequence[str],
    user: str | None,
    n: int,
    filters: bodies.Filters,
    mask: Mask | None,
) -> list[Recommendation]:
    """The best n items that pass; fewer where there are fewer."""
    position, retriever = served.recommender.position, served.recommender.retriever
    known = [position[key] for key in history if key in position]
    total = len(position)
    if mask is None:
        return retriever.recommend(known, n, exclude_seen=filters.exclude_seen, user=user)
    found: list[Recommendation] = []
    # Most filters are met near the top; the whole catalogue is ranked only where they are not.
    for ask in (min(total, max(4 * n, 200)), total) if mask.any() else ():
        ranked = retriever.recommend(known, ask, exclude_seen=filters.exclude_seen, user=user)
        found = [f for f in ranked if mask[f.item]][:n]
        if len(found) == n:
            break
    return found


def _paths(served: Served, history: Sequence[str], found: Recommendation) -> list[GraphPath]:
    recommender = served.recommender
    return explain(
        recommender.store,
        recommender.label,
        history,
        recommender.retriever.items[found.item],
        fact_weights=recommender.weights_of_facts(found.item),
    )


def _recommendation(
    served: Served, found: Recommendation, paths: list[GraphPath] | None
) -> bodies.Recommendation:
    key = served.recommender.retriever.items[found.item]
    return bodies.Recommendation(
        item=key,
        title=served.recommender.titles.get(key),
        score=found.score,
        parts=found.parts,
        paths=None
        if paths is None
        else [
            bodies.Path(
                kind=p.kind,
                source=p.source,
                source_title=p.source_title,
                target=p.target,
                evidence=p.evidence,
                words=p.words(),
            )
            for p in paths
        ],
    )


def _words(relation: str, name: str) -> str:
    return f"{relation_type(relation).doc} {name}"
