"""Personas of a comparison that a file keeps: found again the same, and fitted once."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from compare_small import small_world

from personarec.compare.fitted import Fitted
from personarec.compare.kept_personas import kept
from personarec.personas.encoder import DensePersonas, Personas
from personarec.personas.relational.rule import RecentPersonas
from personarec.personas.shrinkage import ShrunkPersonas

ITEMS = np.arange(12, dtype=np.float32).reshape(4, 3)
CENTER = np.ones(3, np.float32)


@pytest.mark.parametrize(
    "personas",
    [
        DensePersonas(ITEMS, CENTER),
        DensePersonas(ITEMS, CENTER, ITEMS + 1, {"epochs": 3, "level": 0.5}),
        RecentPersonas(ITEMS, CENTER, weights=np.array([1, 0.5], np.float32)),
        RecentPersonas(
            ITEMS,
            CENTER,
            ITEMS + 1,
            {"epochs": 2},
            weights=np.array([1.0], np.float32),
            offset=True,
        ),
    ],
)
def test_it_is_found_as_it_was(tmp_path: Path, personas: DensePersonas) -> None:
    file = tmp_path / "deeper" / "x.safetensors"
    assert kept(file, lambda: personas) is personas
    found = kept(file, lambda: pytest.fail("fitted again"))
    assert type(found) is type(personas)
    assert isinstance(found, DensePersonas)
    assert found.chosen == personas.chosen
    assert found.arrays().keys() == personas.arrays().keys()
    for name, array in personas.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], array)
        assert found.arrays()[name].dtype == array.dtype


@pytest.mark.parametrize(
    "personas",
    [
        ShrunkPersonas(ITEMS, CENTER, source=DensePersonas(ITEMS, CENTER), kappa=1.0),
        DensePersonas(ITEMS, CENTER, chosen={"inner": object()}),
    ],
)
def test_what_a_file_would_not_hold_is_not_kept(tmp_path: Path, personas: DensePersonas) -> None:
    file = tmp_path / "x.safetensors"
    assert kept(file, lambda: personas) is personas
    assert not file.exists()


def test_who_comes_while_it_is_fitted_waits(tmp_path: Path) -> None:
    file, begun, go_on = tmp_path / "x.safetensors", threading.Event(), threading.Event()
    found: list[Personas] = []

    def slow() -> Personas:
        begun.set()
        assert go_on.wait(10)
        return DensePersonas(ITEMS, CENTER)

    first = threading.Thread(target=lambda: found.append(kept(file, slow)))
    first.start()
    assert begun.wait(10)
    second = threading.Thread(
        target=lambda: found.append(kept(file, lambda: pytest.fail("fitted again")))
    )
    second.start()
    second.join(0.2)
    assert second.is_alive()
    go_on.set()
    first.join(10)
    second.join(10)
    assert len(found) == 2


def test_another_process_of_a_comparison_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = small_world(tmp_path, rows=("sasrec",))
    personas = [Fitted(world).personas("svd", 0, report=r, dim=4) for r in (False, True)]
    names = sorted(file.name for file in (world.out / "personas").glob("*.safetensors"))
    assert len(names) == 2  # each phase has its own
    assert all(name.startswith("svd.seed0.4.") for name in names)

    refused = "personarec.personas.baselines.svd.SvdEncoder.fit"
    monkeypatch.setattr(refused, lambda *_: pytest.fail("fitted again"))
    again = [Fitted(world).personas("svd", 0, report=r, dim=4) for r in (False, True)]
    for before, after in zip(personas, again, strict=True):
        assert isinstance(before, DensePersonas)
        assert isinstance(after, DensePersonas)
        np.testing.assert_array_equal(before.items, after.items)
    monkeypatch.undo()
    # Another seed or size is another file.
    Fitted(world).personas("svd", 1, report=False, dim=4)
    Fitted(world).personas("svd", 0, report=False, dim=5)
    assert len(list((world.out / "personas").glob("*.safetensors"))) == 4
