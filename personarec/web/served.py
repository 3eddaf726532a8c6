"""The model that answers: one run's retriever with what the graph says of its catalogue."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kg.ingest import require_data_set
from kg.store import GraphStore
from kg.views.personas import PersonaModel, current_model
from personarec.recommend.service import Recommender, require_run
from personarec.retriever.recommender import Retriever


@dataclass(frozen=True)
class Version:
    """What a model is loaded from: two that are equal answer alike."""

    run: str
    trained: int
    """When the run was finished, in ns: the same run can be trained again by force."""
    personas: PersonaModel | None
    content: str
    """Hash of what was last loaded of the data set: titles and histories are kept in memory."""


@dataclass(frozen=True)
class Served:
    """A loaded model. Never changed: a request keeps the one that it began with."""

    version: Version
    recommender: Recommender

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.recommender.dataset


def _latest(store: GraphStore, home: Path, dataset: str | None) -> tuple[str, Path, Version]:
    name, folder = require_run(home, dataset)
    # The metrics are written after the checkpoint: a training under way is not looked at.
    metrics = folder / "metrics.json"
    trained = metrics.stat().st_mtime_ns if metrics.exists() else 0
    content = str(require_data_set(store, name)["contentHash"])
    return name, folder, Version(folder.name, trained, current_model(store, name), content)


def load(store: GraphStore, home: Path, dataset: str | None) -> Served:
    """The last run of a data set, or of any.

    Raises:
        ChangeSomethingError: nothing was trained yet, or the data set is not in the graph.
        TryAgainError: the graph does not answer.
    """
    name, folder, version = _latest(store, home, dataset)
    retriever = Retriever.load(folder / "checkpoint")
    return Served(version, Recommender(store, name, retriever))


class LiveModel:
    """The model that new requests get; another takes its place by one assignment.

    A request takes ``current`` once, so it ends on the model that it began with, and the old model
    is freed with the last request that holds it.
    """

    def __init__(
        self,
        store: GraphStore,
        home: Path,
        dataset: str | None,
        swapped: Callable[[Served], None] = lambda _: None,
    ) -> None:
        """Load the last run; raises what ``load`` raises."""
        self.store = store
        self._home = home
        self.current = load(store, home, dataset)
        self.dataset = self.current.dataset
        self.swapped = swapped
        self._loading = threading.Lock()

    def refresh(self) -> bool:
        """Load the last run beside the current one, where it is another, and swap.

        Returns:
            Whether the model is another now.

        Raises what ``load`` raises; the current model stays.
        """
        with self._loading:
            if _latest(self.store, self._home, self.dataset)[2] == self.current.version:
                return False
            fresh = load(self.store, self._home, self.dataset)
            self.current = fresh
        self.swapped(fresh)
        return True
