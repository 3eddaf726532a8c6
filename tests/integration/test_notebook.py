"""The notebook runs from its first cell to its last, and what it kept is what comes out."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbformat
import pytest

BOOK = Path(__file__).resolve().parents[2] / "notebooks" / "books.ipynb"


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONAREC_HOME", str(tmp_path))
    monkeypatch.delenv("PERSONAREC_GRAPH", raising=False)
    book = nbformat.read(BOOK, 4)
    nbclient.NotebookClient(book, timeout=280).execute()  # raises where a cell does
    outputs = [str(output) for cell in book.cells for output in cell.get("outputs", [])]
    assert any("Agatha Christie" in text for text in outputs)
    assert any("came to this soon after" in text for text in outputs)
    drawn = [text for text in outputs if len(text) > 1_000_000]
    assert len(drawn) == 1
    assert "in the session" in drawn[0]


def test_what_is_kept_has_been_run_and_is_small() -> None:
    book = nbformat.read(BOOK, 4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert BOOK.stat().st_size < 500_000
    assert any("image/png" in o.get("data", {}) for cell in code for o in cell.outputs)
