"""Texts from facts, histories without held-out items, and what personas are made of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from services.chat_server import chat_server, said

from kg.errors import ChangeSomethingError
from kg.views import HeteroGraph, binary_matrix
from personarec.evaluation.leakage import LeakError
from personarec.evaluation.sequences import Sequences
from personarec.personas.baselines.texts import KeywordsEncoder, TextEncoder
from personarec.personas.encoder import TrainingData
from personarec.text.compose import ItemTexts, entity_text, relation_text
from personarec.text.descriptions import read_descriptions, write_texts
from personarec.text.embedders import make_embedder
from personarec.text.items import (
    described,
    graph_text_vectors,
    histories,
    item_text_vectors,
    item_texts,
)

DBR = "http://dbpedia.org/resource/"
N = 16


def films() -> TrainingData:
    """Sea films and sky films, eight each; even users like the sea, odd ones the sky."""
    rng = np.random.default_rng(0)
    known = Sequences.from_lists(
        [[*(rng.choice(8, 3, replace=False) + 8 * (u % 2))] for u in range(30)], N
    )
    half = np.arange(N) // 8
    nodes = {
        "User": tuple(f"u{u}" for u in range(30)),
        "Movie": (*(f"x:film{i:02}" for i in range(N)), DBR + "The_Film_before"),
        "Person": (DBR + "Ann_Lee_(director)", DBR + "Bo_D%C3%BCrr"),
        "Genre": ("urn:personarec:genre:Sea%20story", "urn:personarec:genre:Sky%20story"),
    }
    shape = (N + 1, 2)
    relations = {
        ("User", "RATED", "Movie"): binary_matrix(
            np.repeat(np.arange(30), 3), known.items, (30, N + 1)
        ),
        ("Movie", "DIRECTED_BY", "Person"): binary_matrix(np.arange(N), half, shape),
        ("Movie", "GENRE_IS", "Genre"): binary_matrix(np.arange(N), half, shape),
        ("Movie", "PREVIOUS_WORK", "Movie"): binary_matrix(
            np.array([0, 1]), np.array([N, 0]), (N + 1, N + 1)
        ),
        ("Movie", "ALSO_BOUGHT", "Movie"): binary_matrix(
            np.array([0]), np.array([5]), (N + 1, N + 1)
        ),
    }
    titles = tuple(f"Film {i:02} (19{50 + i})" for i in range(N))
    return TrainingData(
        known, HeteroGraph(nodes, relations), "Movie", np.full(30, -1, np.int32), titles
    )


# -- composed texts --------------------------------------------------------------------------------


def test_a_description_says_the_facts_and_no_later_purchase() -> None:
    texts = item_texts(films())
    assert texts.description(0) == (
        "Film 00 is a film of 1950 of the genres Sea story. Directed by Ann Lee. "
        "Preceded by The Film before."
    )
    assert "Preceded by Film 00 (1950)." in texts.description(1)
    assert "05" not in texts.description(0)
    assert texts.features(9) == "Sky story, Bo Dürr"


def test_names_and_abstracts_of_the_graph_are_taken() -> None:
    names = {DBR + "Bo_D%C3%BCrr": "Bo Dürr the Elder"}
    texts = item_texts(films(), names, (*(None,) * 9, "It is\nabout kites. " * 60, *(None,) * 6))
    text = texts.description(9)
    assert "Directed by Bo Dürr the Elder. It is about kites. It" in text
    assert text.endswith("kites. …") or text.endswith(" …")
    assert len(text) < 720


def test_an_item_of_which_nothing_is_known_has_a_text() -> None:
    bare = HeteroGraph({"Book": ("x:Lost_one",)}, {})
    texts = ItemTexts(bare, "Book", 1)
    assert texts.title(0) == "x:Lost one"
    assert texts.description(0) == "A book."  # a number in the key would be taken for a fact
    assert texts.titled(0, "On the sea.") == "On the sea."
    assert ItemTexts(bare, "Book", 1, ("Lost",)).titled(0, "On it.") == "Lost: On it."


def test_long_lists_are_cut() -> None:
    people = tuple(f"{DBR}P{i:02}" for i in range(12))
    cast = binary_matrix(np.zeros(12, int), np.arange(12), (1, 12))
    graph = HeteroGraph(
        {"Movie": ("a",), "Person": people}, {("Movie", "STARRING", "Person"): cast}
    )
    assert ItemTexts(graph, "Movie", 1, ("A",)).description(0) == (
        "A is a film. Starring P00, P01, P02, P03, P04, P05, P06, P07 and others."
    )


def test_entities_and_relations_have_texts() -> None:
    assert entity_text("LiteraryGenre", DBR + "Sea_story", {}) == "Sea story (literary genre)"
    assert relation_text(("Movie", "DIRECTED_BY", "Person")) == "film directed by person"
    assert relation_text(("Movie", "SHOT_IN", "Place")) == "film shot in place"


# -- histories -------------------------------------------------------------------------------------


def test_a_history_tells_the_last_ten_in_order() -> None:
    told = histories(films()).told(Sequences.from_lists([range(12), [], [9, 2]], N))
    assert len(told[0].splitlines()) == 10
    assert told[0].startswith("- Film 02 (1952) | Sea story, Ann Lee\n- Film 03")
    assert told[1] == ""
    assert [line[:9] for line in told[2].splitlines()] == ["- Film 09", "- Film 02"]


def test_a_held_out_title_in_a_prompt_is_refused() -> None:
    data = films()
    tells, known = histories(data), data.sequences
    held_out = np.array([(known[u][-1] + 8) % N for u in range(30)], np.int32)
    told = tells.told(known)
    tells.refuse_told("keyword prompts", told, known, held_out)
    planted = tells.told(known.append(np.where(np.arange(30) == 7, held_out, -1).astype(np.int32)))
    with pytest.raises(LeakError, match=r"keyword prompts: user 7 .*'Film \d\d"):
        tells.refuse_told("keyword prompts", planted, known, held_out)
    # Bought twice, or two items of one title: it is told because it was visible.
    again = np.array([known[u][0] for u in range(30)], np.int32)
    tells.refuse_told("keyword prompts", told, known, again)
    tells.refuse_told("keyword prompts", planted, known, np.full(30, -1, np.int32))


def test_a_title_cannot_hide_in_its_features() -> None:
    data = films()
    assert data.titles[3]
    odd = replace(data, titles=(*data.titles[:3], "Sea | Sky\n- Film 09 (1959)", *data.titles[4:]))
    tells = histories(odd)
    assert tells.lines[3] == "- Sea / Sky - Film 09 (1959) | Sea story, Ann Lee"
    one = Sequences.from_lists([[3]], N)
    tells.refuse_told("x", tells.told(one), one, np.array([9], np.int32))


def test_keywords_without_a_model_are_the_strongest_facts() -> None:
    tells = histories(films())
    found = tells.keywords(Sequences.from_lists([[9, 10, 2], [], [12]], N))
    assert found[0].split(", ")[:2] == ["Ann Lee", "Sea story"] or "Bo Dürr" in found[0]
    assert set(found[0].split(", ")) == {"Ann Lee", "Bo Dürr", "Sea story", "Sky story"}
    assert found[1] == ""
    assert found[2] == "Bo Dürr, Sky story"
    bare = replace(films(), graph=HeteroGraph(
        {k: v for k, v in films().graph.nodes.items() if k in ("User", "Movie")},
        {films().rated: films().graph.relations[films().rated]},
    ))  # fmt: skip
    assert histories(bare).keywords(Sequences.from_lists([[1, 2]], N)) == [
        "Film 02 (1952), Film 01 (1951)"
    ]


# -- vectors ---------------------------------------------------------------------------------------


def test_vectors_for_an_item_table() -> None:
    vectors = item_text_vectors(films(), "tfidf", 32)
    assert vectors.shape == (N, 32)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alike = vectors @ vectors.T
    assert alike[:8, :8].min() > alike[:8, 8:].max()
    np.testing.assert_array_equal(vectors, item_text_vectors(films(), "tfidf", 32))


def test_interactions_do_not_change_text_vectors() -> None:
    data = films()
    other = Sequences.from_lists([[u % N] for u in range(30)], N)
    rated = binary_matrix(np.arange(30), other.items, (30, N + 1))
    graph = HeteroGraph(data.graph.nodes, {**data.graph.relations, data.rated: rated})
    np.testing.assert_array_equal(
        item_text_vectors(data, "tfidf", 8),
        item_text_vectors(replace(data, sequences=other, graph=graph), "tfidf", 8),
    )


def test_every_node_and_relation_has_a_vector() -> None:
    data = films()
    texts = described(data)
    nodes, relations = graph_text_vectors(
        item_texts(data), texts, make_embedder("tfidf", texts, dim=6)
    )
    assert {k: len(v) for k, v in nodes.items()} == {"Movie": N + 1, "Person": 2, "Genre": 2}
    assert set(relations) == {"RATED", "DIRECTED_BY", "GENRE_IS", "PREVIOUS_WORK", "ALSO_BOUGHT"}
    assert nodes["Genre"][0] @ nodes["Movie"][3] > nodes["Genre"][0] @ nodes["Movie"][12]


def test_written_descriptions_are_read_back_and_used(tmp_path: Path) -> None:
    data, path = films(), tmp_path / "items.jsonl"
    write_texts(path, ["x:film03", "x:gone"], ["Whales é.", "Nothing."], ["m", "m"])
    assert json.loads(path.read_text("utf-8").splitlines()[0])["by"] == "m"
    ids = data.graph.nodes["Movie"][:N]
    found = replace(data, descriptions=read_descriptions(path, ids))
    assert described(found)[3] == "Film 03 (1953): Whales é."
    assert described(found)[4] == described(data)[4]
    path.write_text("{\n")
    with pytest.raises(ChangeSomethingError, match="no descriptions"):
        read_descriptions(path, ids)
    with pytest.raises(ChangeSomethingError, match="run personarec texts"):
        read_descriptions(tmp_path / "none.jsonl", ids)


def test_descriptions_for_other_items_are_refused() -> None:
    with pytest.raises(ValueError, match="1 descriptions for 16 items"):
        replace(films(), descriptions=("one",))


# -- personas --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [TextEncoder, KeywordsEncoder])
def test_personas_prefer_their_half(make: type[TextEncoder] | type[KeywordsEncoder]) -> None:
    model = make(dim=4).fit(films())
    scores = model.score(Sequences.from_lists([[0, 1, 2], [8, 9, 10]], N))
    assert scores[0, :8].min() > scores[0, 8:].max()
    assert scores[1, 8:].min() > scores[1, :8].max()


def test_newer_items_weigh_more() -> None:
    both = Sequences.from_lists([[1, 9], [9, 1]], N)
    recent = TextEncoder(dim=4, age_decay=0.5).fit(films())
    scores = recent.score(both)
    assert scores[0, 9] > scores[0, 1]
    assert scores[1, 1] > scores[1, 9]
    items = recent.items
    np.testing.assert_allclose(recent.personas(both)[0], (items[1] / 2 + items[9]) / 1.5, atol=1e-6)
    even = TextEncoder(dim=4, age_decay=1).fit(films()).personas(both)
    np.testing.assert_allclose(even[0], even[1], atol=1e-6)


def test_keywords_of_a_language_model_are_used_and_kept(tmp_path: Path) -> None:
    """The model says the opposite of what the facts say, and the persona follows the model."""

    def contrary(text: str, _number: int) -> object:
        return said("Sky story, Bo Dürr" if "Sea story" in text else "Sea story, Ann Lee")

    with chat_server(contrary) as server:  # type: ignore[arg-type]
        encoder = KeywordsEncoder(dim=4, llm_url=server.url, llm_model="m", cache=tmp_path)
        model = encoder.fit(films())
        scores = model.score(Sequences.from_lists([[0, 1, 2], []], N))
        assert scores[0, 8:].min() > scores[0, :8].max()
        asked = len(server.asked)
        again = encoder.fit(films())
        np.testing.assert_array_equal(again.center, model.center)
        assert len(server.asked) == asked
        titles = films().titles
        future = [t for t in titles[8:] if t and any(t in q for q in server.questions[-1:])]
    assert future == []  # the session of items 0, 1, 2 was asked last


def test_half_a_language_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChangeSomethingError, match="llm_url and llm_model"):
        KeywordsEncoder(llm_model="m", cache=tmp_path).fit(films())
    with pytest.raises(ChangeSomethingError, match="set cache"):
        KeywordsEncoder(llm_model="m", llm_url="http://127.0.0.1:9/v1").fit(films())


def test_texts_without_a_shared_word_are_refused() -> None:
    with pytest.raises(ChangeSomethingError, match="no word is shared"):
        make_embedder("tfidf", ["a", "b"])
    with pytest.raises(ChangeSomethingError, match="too few words"):
        make_embedder("tfidf", ["a", "a"])
