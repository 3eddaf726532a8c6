#!/usr/bin/env python3
"""Draw docs/img/personas-demo.svg: the map of the demo data set's personas.

The demo is loaded into an embedded graph in a temporary folder, its personas are made as
``personarec train`` makes them, and their map is drawn as ``personarec personas map`` draws it.

    python scripts/draw_personas.py
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from kg.ingest import ingest
from kg.store import connect
from kg.views.prototypes import read_places, read_prototypes
from personarec.datasets.manifest import resolve
from personarec.personas.facts import FactModel
from personarec.personas.picture import draw, write_picture
from personarec.training.config import TrainConfig
from personarec.training.data import read_data
from personarec.training.persona_versions import FittedPersonas, store_personas

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "img" / "personas-demo.svg"


def main() -> None:
    """Write the picture."""

    def quiet(_what: str, _done: int, _total: int | None) -> None:
        pass

    with TemporaryDirectory() as folder, connect(None, Path(folder)) as store:
        ingest(store, resolve("demo"), Path(folder), quiet)
        data, config = read_data(store, "demo"), TrainConfig()
        facts = FactModel.from_matrix(data.facts, config.facts)
        model, _ = store_personas(store, facts, FittedPersonas(data, config), quiet)
        drawing = draw("demo", read_places(store, model), read_prototypes(store, model))
        write_picture(drawing, PICTURE)


if __name__ == "__main__":
    main()
