"""Texts of a data set: made, kept and embedded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kg.errors import ChangeSomethingError
from kg.store import GraphStore
from personarec.console import out, print_table, progress_bar, say

if TYPE_CHECKING:
    from kg.ingest.stage import Progress
    from personarec.personas.encoder import TrainingData
    from personarec.text.asking import Asked, Check
    from personarec.text.chat import Chat
    from personarec.text.compose import ItemTexts
    from personarec.text.prompt import Prompt
    from personarec.training.data import GraphData


@dataclass(frozen=True)
class TextsWanted:
    """What the options of ``personarec texts`` say; see there."""

    embedder: str = "auto"
    users: bool = False
    llm_url: str | None = None
    llm_model: str | None = None
    llm_local: bool = False
    concurrency: int = 4
    max_tokens: int = 400
    max_tokens_total: int | None = None
    seconds: float = 120.0
    again: bool = False
    batch_size: int = 64
    device: str | None = None

    def chat(self) -> Chat | None:
        """The language model, if one is named. Raises ChangeSomethingError for half of one."""
        if not (self.llm_model or self.llm_url or self.llm_local):
            return None
        if not self.llm_model or bool(self.llm_url) == self.llm_local:
            raise ChangeSomethingError(
                "name a language model by --llm-model with either --llm-url or --llm-local"
            )
        if self.llm_local:
            from personarec.text.local_chat import LocalChat

            return LocalChat(self.llm_model, self.device)
        from personarec.text.endpoint import Endpoint

        return Endpoint(
            str(self.llm_url), self.llm_model, seconds=self.seconds, connections=self.concurrency
        )


@dataclass
class TextsMade:
    """What came of it.

    Attributes:
        dataset: name of the data set.
        folder: where ``items.jsonl`` and ``users.jsonl`` are.
        written: texts by what they are and what made them.
        asked: questions to the language model now, and how many were answered before.
        tokens: used now; ``estimated`` where the model does not tell.
        useless: answers of no use, by why; composed texts stand in for them.
        embedder: that made the vectors, their width, how many, and in how many seconds.
        examples: the first texts.
    """

    dataset: str
    folder: Path
    written: dict[str, dict[str, int]] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=lambda: {"now": 0, "before": 0})
    tokens: dict[str, Any] = field(
        default_factory=lambda: {"prompt": 0, "answer": 0, "estimated": False}
    )
    useless: dict[str, int] = field(default_factory=dict)
    embedder: dict[str, Any] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    def count(self, asked: Asked) -> None:
        """Add one round of questions."""
        self.asked["now"] += asked.asked
        self.asked["before"] += asked.kept
        self.tokens["prompt"] += asked.prompt_tokens
        self.tokens["answer"] += asked.answer_tokens
        self.tokens["estimated"] |= asked.estimated
        for why, number in asked.useless.items():
            self.useless[why] = self.useless.get(why, 0) + number


def make_texts(store: GraphStore, dataset: str, home: Path, wanted: TextsWanted) -> TextsMade:
    """Write the descriptions of a data set's items, and keywords of its users, and embed them."""
    from kg.views.texts import read_texts
    from personarec.personas.encoder import TrainingData
    from personarec.text.items import item_texts
    from personarec.training.data import read_data

    chat = wanted.chat()
    say("reading the graph")
    graph = read_data(store, dataset)
    said = read_texts(store, dataset, graph.catalogue, graph.graph)
    data = TrainingData.of(graph)
    texts = item_texts(data, said.names, said.abstracts)
    made = TextsMade(dataset, home / "texts" / dataset)
    with progress_bar() as progress:
        work = _Work(made, chat, wanted, home / "texts", progress)
        descriptions = work.descriptions(graph, texts)
        keywords = work.keywords(graph, data, said.names) if wanted.users else []
        work.embed(texts, descriptions, keywords)
    return made


@dataclass
class _Work:
    made: TextsMade
    chat: Chat | None
    wanted: TextsWanted
    kept: Path
    progress: Progress

    def descriptions(self, graph: GraphData, texts: ItemTexts) -> list[str]:
        from personarec.text import answers
        from personarec.text.compose import KINDS
        from personarec.text.prompt import PromptFile

        composed = texts.descriptions()
        prompt = PromptFile.read("description")
        kind = KINDS.get(graph.catalogue.label, "thing")
        prompts = [
            prompt.filled(kind=kind, title=texts.title(item), facts=facts)
            for item, facts in enumerate(composed)
        ]
        made_by = ["facts and abstract" if text else "facts" for text in texts.abstracts]
        return self._written(
            "items", graph.catalogue.ids, prompts, answers.description, composed, made_by
        )

    def keywords(self, graph: GraphData, data: TrainingData, names: dict[str, str]) -> list[str]:
        from personarec.text import answers
        from personarec.text.items import histories
        from personarec.text.prompt import PromptFile

        tells, visible = histories(data, names), data.sequences
        told = tells.told(visible)
        for held_out in (graph.split.valid, graph.split.test):
            tells.refuse_told("prompts for keywords of users", told, visible, held_out)
        users = [user for user, text in enumerate(told) if text]
        prompt = PromptFile.read("keywords")
        return self._written(
            "users",
            [graph.users[user] for user in users],
            [prompt.filled(history=told[user]) for user in users],
            answers.keywords,
            tells.keywords(visible.take(np.array(users, np.int64))),
            ["facts"] * len(users),
        )

    def _written(
        self,
        what: str,
        ids: Sequence[str],
        prompts: list[Prompt],
        check: Check,
        composed: list[str],
        made_by: list[str],
    ) -> list[str]:
        """The model's texts, else the composed ones, in a file and for embedding."""
        from personarec.text.asking import AskOptions, ask_all
        from personarec.text.descriptions import write_texts

        texts, makers = list(composed), list(made_by)
        if self.chat is not None:
            used = self.made.tokens["prompt"] + self.made.tokens["answer"]
            budget = self.wanted.max_tokens_total
            options = AskOptions(
                self.wanted.concurrency,
                self.wanted.max_tokens,
                None if budget is None else max(budget - used, 0),
                self.wanted.again,
            )
            asked = ask_all(self.chat, prompts, check, self.kept, options, self.progress)
            self.made.count(asked)
            for row, text in enumerate(asked.texts):
                if text is not None:
                    texts[row], makers[row] = text, self.chat.model
        write_texts(self.made.folder / f"{what}.jsonl", ids, texts, makers)
        self.made.written[what] = {maker: makers.count(maker) for maker in dict.fromkeys(makers)}
        self.made.examples += texts[:1]
        return texts

    def embed(self, texts: ItemTexts, descriptions: list[str], keywords: list[str]) -> None:
        from personarec.text.embedders import chosen, make_embedder
        from personarec.text.items import graph_text_vectors

        name = chosen(self.wanted.embedder)
        say(f"embedding by {name}")
        began = time.perf_counter()
        titled = [texts.titled(item, text) for item, text in enumerate(descriptions)]
        embedder = make_embedder(
            name, titled, cache=self.kept, batch_size=self.wanted.batch_size,
            device=self.wanted.device, progress=self.progress,
        )  # fmt: skip
        nodes, relations = graph_text_vectors(texts, titled, embedder)
        told = embedder.embed(keywords)
        found = [*nodes.values(), told]
        self.made.embedder = {
            "name": name,
            "width": max(v.shape[1] for v in found),
            "vectors": sum(len(v) for v in found) + len(relations),
            "seconds": round(time.perf_counter() - began, 1),
        }


def print_texts(made: TextsMade) -> None:
    """What was written, by what, and what it cost."""
    rows = [
        (what, maker, count) for what, by in made.written.items() for maker, count in by.items()
    ]
    print_table(f"texts of {made.dataset}, in {made.folder}", ("of", "made by", "texts"), rows)
    if made.asked["now"] or made.asked["before"]:
        about = "about " if made.tokens["estimated"] else ""
        out.print(
            f"{made.asked['now']} questions asked, {made.asked['before']} answered before; "
            f"{about}{made.tokens['prompt']:,} tokens of questions and "
            f"{made.tokens['answer']:,} of answers"
        )
    for why, count in made.useless.items():
        out.print(f"{count} answers of no use: {why}; composed from facts instead")
    out.print(
        "{vectors} vectors of {width} dimensions by {name} in {seconds} s".format(**made.embedder)
    )
    for text in made.examples:
        out.print(f"  {text}", markup=False)
