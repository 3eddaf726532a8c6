"""``personarec texts``: from the graph to descriptions, keywords and vectors, on both engines."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import quiet
from integration.small import DBR, write_small
from services.chat_server import Sent, chat_server, said

from kg.errors import ChangeSomethingError
from kg.ingest import Source, ingest
from kg.schema import ABSTRACT, RDFS_LABEL
from kg.store import GraphStore
from personarec.commands import texts as command
from personarec.commands.texts import TextsWanted, make_texts
from personarec.evaluation.leakage import LeakError
from personarec.evaluation.sequences import Sequences
from personarec.personas.encoder import TrainingData
from personarec.text.history import Histories
from personarec.text.items import described
from personarec.training.config import TrainConfig
from personarec.training.data import read_data
from personarec.training.persona_versions import FittedPersonas

WANTED = TextsWanted(embedder="tfidf", users=True)


def load(store: GraphStore, tmp_path: Path) -> None:
    """The small data set, with one abstract and one name that is not its key's end."""
    data = write_small(tmp_path / "small")
    more = tmp_path / "small" / "more.nt"
    more.write_text(
        f'<{DBR}Film_2> <{ABSTRACT}> "A film about\\n ferries."@en .\n'
        f'<{DBR}Director_1> <{RDFS_LABEL}> "Dora Director"@en .\n',
        "utf-8",
    )
    ingest(store, replace(data, sources=(*data.sources, Source("ntriples", more))), tmp_path, quiet)


def lines(path: Path) -> dict[str, dict[str, str]]:
    return {r["id"]: r for r in map(json.loads, path.read_text("utf-8").splitlines())}


def test_texts_without_a_model(store: GraphStore, tmp_path: Path) -> None:
    load(store, tmp_path)
    made = make_texts(store, "small", tmp_path, WANTED)
    assert made.written == {"items": {"facts": 8, "facts and abstract": 1}, "users": {"facts": 12}}
    assert made.asked == {"now": 0, "before": 0}
    items = lines(made.folder / "items.jsonl")
    assert items["small:i1"]["text"] == (
        "Film 1 é is a film of the genres Comedy and Drama. Directed by Dora Director. "
        "Starring Actor 1. Preceded by Film 0 é."
    )
    assert items["small:i2"]["text"].endswith("Preceded by Film 1 é. A film about ferries.")
    assert "Dora Director" in lines(made.folder / "users.jsonl")["small:u1"]["text"]
    data = read_data(store, "small", tmp_path / "texts")
    assert described(TrainingData.of(data)) == [items[key]["text"] for key in data.catalogue.ids]
    plain = read_data(store, "small")
    assert plain.content_hash() != data.content_hash(), "other texts are other data"
    assert described(TrainingData.of(plain))[2].endswith("Preceded by Film 1 é.")


def test_texts_of_a_language_model_and_what_it_is_told(
    store: GraphStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(store, tmp_path)

    def model(text: str, _number: int) -> Sent:
        if "Chosen:" in text:
            return said("ferries, the sea")
        return said("I cannot say.") if "Item: Film 4" in text else said("A calm film.")

    with chat_server(model) as server:
        wanted = replace(WANTED, llm_url=server.url, llm_model="m")
        made = make_texts(store, "small", tmp_path, wanted)
        assert made.written["items"] == {"m": 8, "facts": 1}
        assert made.written["users"] == {"m": 12}
        assert made.useless == {"refused": 1}
        asked = len(server.asked)
        assert made.tokens["prompt"] == 7 * asked
        again = make_texts(store, "small", tmp_path, wanted)
        assert (again.asked["now"], len(server.asked)) == (0, asked)
        assert again.written == made.written
        questions = list(server.questions)
        # Planted: the test items are told too.
        told: Callable[[Histories, Sequences], list[str]] = Histories.told
        data = read_data(store, "small")
        monkeypatch.setattr(
            Histories, "told", lambda tells, s: told(tells, s.append(data.split.test))
        )
        with pytest.raises(LeakError, match=r"prompts for keywords of users: user \d+ .*held-out"):
            make_texts(store, "small", tmp_path, replace(wanted, again=True))
        assert not any("Chosen:" in q for q in server.questions[asked:])
    # Personas of texts are made of what was written, where that is asked for.
    config = TrainConfig(encoder="text", encoder_settings={"dim": 4})
    told_by = [
        FittedPersonas(read_data(store, "small", texts), config).choosing.personas(data.split.train)
        for texts in (None, tmp_path / "texts", tmp_path / "texts")
    ]
    assert np.array_equal(told_by[1], told_by[2])
    assert not np.array_equal(told_by[0], told_by[1])
    items = lines(made.folder / "items.jsonl")
    assert items["small:i3"] == {"id": "small:i3", "text": "A calm film.", "by": "m"}
    assert items["small:i4"]["by"] == "facts"
    # What was chosen, as the questions tell it, is the training items in their order.
    titles = [title or "" for title in data.catalogue.titles]
    chosen = [q.split("Chosen:")[-1].split("Keywords:")[0] for q in questions if "Chosen:" in q]
    assert {
        "\n".join(line[2:].split(" | ")[0] for line in text.strip().splitlines()) for text in chosen
    } == {"\n".join(titles[i] for i in data.split.train[u][-10:]) for u in range(len(data.users))}


@pytest.mark.parametrize(
    "half",
    [{"llm_model": "m"}, {"llm_url": "http://127.0.0.1:9"}, {"llm_local": True},
     {"llm_model": "m", "llm_url": "http://127.0.0.1:9", "llm_local": True}],
)  # fmt: skip
def test_half_a_language_model_is_refused(half: dict[str, object]) -> None:
    with pytest.raises(ChangeSomethingError, match="--llm-model with either"):
        TextsWanted(**half).chat()  # type: ignore[arg-type]


def test_what_is_printed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made = command.TextsMade("d", tmp_path)
    made.written = {"items": {"m": 2}}
    made.asked = {"now": 2, "before": 1}
    made.tokens = {"prompt": 1200, "answer": 30, "estimated": True}
    made.useless = {"empty": 1}
    made.embedder = {"name": "tfidf", "width": 8, "vectors": 4, "seconds": 0.1}
    command.print_texts(made)
    shown = " ".join(capsys.readouterr().out.split())
    assert "2 questions asked, 1 answered before; about 1,200 tokens of questions" in shown
    assert "1 answers of no use: empty" in shown
    assert "4 vectors of 8 dimensions by tfidf" in shown
