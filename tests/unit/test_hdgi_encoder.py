"""HDGI as a persona encoder, on the readers of the demo data set."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

import personarec.datasets
from kg.errors import ChangeSomethingError
from kg.loaders import loader
from kg.loaders.records import Interaction, IriFact, Item
from kg.schema import name_from_iri
from kg.views import HeteroGraph, RelationKey, binary_matrix
from personarec.personas.hdgi import HDGIConfig, HDGIEncoder, HDGIOptions, HDGIPersonaConfig

DEMO = Path(personarec.datasets.__file__).parent / "demo"
RATED: RelationKey = ("User", "RATED", "Book")
FACTS = ("author", "series", "subject")


def joined(
    pairs: list[tuple[str, str]], rows: tuple[str, ...], columns: tuple[str, ...]
) -> sparse.csr_array:
    """Which row id stands with which column id; pairs of unknown ids are left out."""
    row, column = ({k: i for i, k in enumerate(ids)} for ids in (rows, columns))
    kept = [(row[a], column[b]) for a, b in pairs if a in row and b in column]
    where = np.array(kept, np.int64).reshape(-1, 2)
    return binary_matrix(where[:, 0], where[:, 1], (len(rows), len(columns)))


@pytest.fixture(scope="module")
def demo() -> HeteroGraph:
    """Readers, books, and three kinds of facts; each reader's last two books are held out."""
    reviews = [r for r in loader("amazon-reviews").read(DEMO / "reviews.jsonl")
               if isinstance(r, Interaction)]  # fmt: skip
    listed = [r for r in loader("tsv-items").read(DEMO / "items.tsv") if isinstance(r, Item)]
    by_user: dict[str, list[str]] = defaultdict(list)
    for review in sorted(reviews, key=lambda r: (r.user, r.timestamp, r.row)):
        by_user[review.user].append(review.item)
    known = [(user, item) for user, items in by_user.items() for item in items[:-2]]
    nodes = {"User": tuple(sorted(by_user)), "Book": tuple(sorted(i.item for i in listed))}
    relations = {RATED: joined(known, nodes["User"], nodes["Book"])}
    facts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    of_page = {i.iri: i.item for i in listed if i.iri}
    for fact in loader("ntriples").read(DEMO / "facts.nt"):
        if isinstance(fact, IriFact) and fact.subject in of_page:
            facts[name_from_iri(fact.predicate)].append((of_page[fact.subject], fact.object))
    for name in FACTS:
        nodes[name] = tuple(sorted({o for _, o in facts[name]}))
        relations["Book", name.upper(), name] = joined(facts[name], nodes["Book"], nodes[name])
    return HeteroGraph(nodes, relations)


def encoder(variant: str = "convolution", **settings: object) -> HDGIEncoder:
    model = HDGIConfig(variant=variant, embedding_size=16, heads=2, semantic_size=4)  # type: ignore[arg-type]
    training = HDGIOptions(seed=1, epochs=40, learning_rate=0.01)
    config = {"feature_size": 16, **settings}
    return HDGIEncoder(HDGIPersonaConfig(model=model, training=training, **config))  # type: ignore[arg-type]


@pytest.mark.parametrize("variant", ["convolution", "attention"])
def test_personas_of_the_demo_readers(demo: HeteroGraph, variant: str) -> None:
    trained = encoder(variant).fit(demo, "Book")
    again = encoder(variant).encode(demo, "Book")
    np.testing.assert_array_equal(trained.embeddings, again)
    assert again.shape == (len(demo.nodes["User"]), 16)
    assert again.dtype == np.float32
    assert np.isfinite(again).all()
    assert trained.path_weights.shape == (4,)
    assert min(trained.losses) < trained.losses[0] - 0.01


def test_paths_follow_the_relations_and_the_configuration(demo: HeteroGraph) -> None:
    names = [p.name for p in encoder().meta_paths(demo, "Book")]
    assert names == ["User–Item–User"] + [f"User–Item–{f.upper()} {f}–Item–User" for f in FACTS]
    chosen = encoder(facts=("SERIES",)).meta_paths(demo, "Book")
    assert [len(p.factors) for p in chosen] == [2, 4]
    assert [p.name for p in encoder(facts=()).meta_paths(demo, "Book")] == ["User–Item–User"]
    with pytest.raises(ChangeSomethingError, match=r"no relation 'GENRE' .* there: AUTHOR, SERIES"):
        encoder(facts=("GENRE",)).meta_paths(demo, "Book")


@pytest.mark.parametrize("settings", [{"weights": "binary"}, {"variant": "attention"}])
def test_edges_are_made_only_within_their_budget(
    demo: HeteroGraph, settings: dict[str, object]
) -> None:
    n = len(demo.nodes["User"])
    made = encoder(**settings).meta_paths(demo, "Book")  # type: ignore[arg-type]
    assert all(len(p.factors) == 1 and 0 < p.factors[0].nnz <= n * n for p in made)
    assert all((p.factors[0].data == 1).all() for p in made)
    with pytest.raises(ChangeSomethingError, match=r"joins up to [\d,]+ pairs, more than .* 1,000"):
        encoder(edge_budget=1000, **settings).meta_paths(demo, "Book")  # type: ignore[arg-type]


def test_features_of_items_need_items(demo: HeteroGraph) -> None:
    n_items = len(demo.nodes["Book"])
    features = np.random.default_rng(0).standard_normal((n_items, 12)).astype(np.float32)
    own = encoder(user_features="items")
    found = own.encode(demo, "Book", features)
    assert not np.allclose(found, own.encode(demo, "Book", features[::-1]))
    with pytest.raises(ValueError, match="not none"):
        own.encode(demo, "Book")
    with pytest.raises(ValueError, match=f"{n_items} items, not 3"):
        own.encode(demo, "Book", features[:3])


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="extra"):
        encoder(dimension=3)
