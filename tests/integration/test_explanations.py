"""What an explanation names is taken out of the graph, and the score falls by what it said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import quiet
from small import write_small

from kg.ingest import ingest
from kg.store import GraphStore, Statement
from kg.views import read_transitions
from kg.views.transitions import write_transitions
from personarec.personas.facts import FactModel
from personarec.recommend.explain import GraphPath
from personarec.recommend.filters import Attribute, Filters
from personarec.recommend.service import Options, Recommended, Recommender, Whom
from personarec.retriever.evidence import EvidenceData
from personarec.retriever.neighbours import NeighbourConfig, NeighbourModel
from personarec.retriever.recommender import Retriever
from personarec.retriever.sasrec import SasRec, SasRecConfig
from personarec.retriever.transitions import TransitionModel, transition_counts
from personarec.training.data import GraphData, read_data


def rebuilt(store: GraphStore, data: GraphData) -> Recommender:
    """A recommender whose evidence is read off the graph as it is now."""
    torch.manual_seed(0)
    counts = read_transitions(store, data.catalogue)
    retriever = Retriever(
        items=data.catalogue.ids,
        model=SasRec(len(data.catalogue.ids), SasRecConfig(embedding_size=8)).eval(),
        weights={"transitions": 0.5, "facts": 0.5, "item-knn": 0.2},
        popularity=np.ones(len(data.catalogue.ids), np.int64),
        evidence={
            "transitions": TransitionModel.from_counts(counts),
            "facts": FactModel.from_matrix(data.facts),
            "item-knn": NeighbourModel.fit(
                EvidenceData.of(data, data.split.train, counts), NeighbourConfig()
            ),
        },
        fact_keys=tuple(f"{c.relation} {c.entity}" for c in data.fact_columns),
    )
    return Recommender(store, data.name, retriever)


def of_item(recommender: Recommender, whom: Whom, item: str, *, explained: bool) -> Recommended:
    options = Options(n=1_000, explained=1_000 if explained else 0)
    return next(r for r in recommender.recommend(whom, options) if r.item == item)


def delete(store: GraphStore, path: GraphPath) -> None:
    """Delete the one relation of the recommended item that the path goes through."""
    if path.kind == "transition":
        forward = path.evidence["direction"] == "forward"
        ends = (path.source, path.target) if forward else (path.target, path.source)
        text = "MATCH (a:Movie {id: $from})-[r:NEXT]->(b:Movie {id: $to}) DELETE r"
    else:
        ends = (path.target, path.evidence["fact"])
        text = "MATCH (a:Movie {id: $from})-[r]->(b) WHERE b.id = $to AND type(r) = $type DELETE r"
    query = Statement("planted", text, "write")
    given = {"type": path.evidence["relation"]} if path.kind == "fact" else {}
    counters = store.write(query, **{"from": ends[0], "to": ends[1]}, **given)
    assert counters.relationships_deleted == 1


def test_what_is_named_moved_the_score(store: GraphStore, tmp_path: Path) -> None:
    ingest(store, write_small(tmp_path / "data", users=150, items=90), tmp_path, quiet)
    data = read_data(store, "small")
    counts = transition_counts(data.split.train)
    write_transitions(store, "small", data.catalogue, counts, "run-0", quiet)
    recommender = rebuilt(store, data)
    user = recommender.user("u7")
    assert recommender.user("small:u7") == user
    whom = Whom(user.history[:3])
    found = recommender.recommend(whom, Options(n=12, explained=12))

    # The strongest path of each kind that stands alone in its direction.
    strongest: dict[tuple[str, Any], GraphPath] = {}
    for one in found:
        assert one.paths is not None
        for path in one.paths:
            assert path.source in whom.history
            assert path.target == one.item
            assert path.contribution > 0
            key = (path.kind, path.evidence.get("direction"))
            if key not in strongest or path.contribution > strongest[key].contribution:
                strongest[key] = path
    assert set(strongest) == {
        ("fact", None), ("transition", "forward"), ("transition", "backward"), ("readers", None),
    }  # fmt: skip
    check_readers(data, strongest.pop(("readers", None)))

    for path in strongest.values():
        before = of_item(recommender, whom, path.target, explained=False)
        delete(store, path)
        if path.kind == "fact":
            data = read_data(store, "small")
        recommender = rebuilt(store, data)
        after = of_item(recommender, whom, path.target, explained=True)
        # About: the degrees that transitions are scaled by, and the length of the item's vector
        # of facts, change with what was deleted.
        fall = before.score - after.score
        assert fall == pytest.approx(path.contribution, rel=0.35), path.words()
        assert path.words() not in [p.words() for p in after.paths or ()]
    check_filters(recommender, whom)


def check_readers(data: GraphData, path: GraphPath) -> None:
    """As many as touched both, by the data themselves."""
    touched: dict[str, set[int]] = {}
    for user, item in zip(data.interactions.user, data.interactions.item, strict=True):
        touched.setdefault(data.catalogue.ids[item], set()).add(int(user))
    both = touched[path.source] & touched[path.target]
    assert path.evidence == {"readers": len(both)}


def check_filters(recommender: Recommender, whom: Whom) -> None:
    """Filters ask the graph, by key and by name, and agree with what it says of each item."""

    def items(**filters: Any) -> set[str]:
        options = Options(n=1_000, filters=Filters(**filters))
        return {r.item for r in recommender.recommend(whom, options)}

    director = "http://dbpedia.org/resource/Director_1"
    of_director = items(attributes=(Attribute(director, "DIRECTED_BY"),))
    assert of_director == items(attributes=(Attribute("director 1"),))
    assert of_director == items(attributes=(Attribute(director),))
    numbers = {int(key.rpartition("i")[2]) for key in of_director}
    assert len(numbers) > 20
    assert all(n % 3 == 1 for n in numbers)
    assert items(attributes=(Attribute("director 1", "STARRING"),)) == set()
    assert items(years=(1900, 2000)) == set()
    assert items(title_contains="film 4", titled_only=True) <= items()
