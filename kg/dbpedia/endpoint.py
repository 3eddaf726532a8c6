"""DBpedia by a SPARQL endpoint: https://dbpedia.org/sparql, or a copy of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kg.dbpedia.asking import Asked, Said
from kg.dbpedia.source import Fetched, Progress
from kg.errors import ChangeSomethingError
from kg.sparql.client import Endpoint
from kg.sparql.complete import BATCH, complete
from kg.sparql.question import Question
from kg.sparql.terms import english_term

PUBLIC = "https://dbpedia.org/sparql"
PUBLIC_GRAPH = "http://dbpedia.org"
MAX_RESOURCES = 50_000
"""More are not asked of an endpoint: dumps are faster then, and others ask it too."""


class DBpediaEndpoint(Asked):
    """Two requests for every ``batch`` resources, each at least ``min_interval`` after the last.

    Methods raise what :func:`kg.sparql.complete.complete` does.
    """

    def __init__(self, endpoint: Endpoint, batch: int = BATCH) -> None:
        self.endpoint = endpoint
        self.batch = batch

    def facts(self, iris: Iterable[str], out: Path, progress: Progress | None = None) -> Fetched:
        """See :class:`kg.dbpedia.source.DBpedia`; of 50,000 resources at most."""
        asked = set(iris)
        if len(asked) > MAX_RESOURCES:
            raise ChangeSomethingError(
                f"{len(asked)} resources are too many to ask of {self.endpoint.url} "
                f"(at most {MAX_RESOURCES}); download the dumps and name their folder instead"
            )
        return super().facts(asked, out, progress)

    def _about(
        self, iris: Sequence[str], predicates: tuple[str, ...], *, names: bool = False
    ) -> Iterator[Said]:
        pattern = "about_named" if names else "about"
        question = Question(pattern, predicates=tuple(sorted(predicates)))
        for rows in complete(self.endpoint, question, iris, self.batch):
            for row in rows:
                value = row["o"]
                if value.kind != "bnode":
                    name = row["name"].value if "name" in row else None
                    is_iri = value.kind == "uri"
                    yield Said(row["s"].value, row["p"].value, value.value, is_iri, name)

    def _labelled(self, labels: Sequence[str]) -> Iterator[tuple[str, str]]:
        for rows in complete(self.endpoint, Question("labelled", english_term), labels, self.batch):
            yield from ((row["s"].value, row["o"].value) for row in rows)

    def _provenance(self) -> tuple[str | None, dict[str, int]]:
        return self.endpoint.oldest, {}
