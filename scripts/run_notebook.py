"""Run notebooks/books.ipynb anew and keep its outputs, the drawn graph as a picture.

The drawing is a page of several megabytes with its own scripts; in the repository stands what it
looks like. Needs Debian's chromium.
"""

from __future__ import annotations

import base64
import os
import subprocess
import tempfile
from pathlib import Path

import nbclient
import nbformat

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "books.ipynb"


def main() -> None:
    """Run it in an empty home, and write it back."""
    book = nbformat.read(NOTEBOOK, 4)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PERSONAREC_HOME"] = folder
        nbclient.NotebookClient(book, timeout=600).execute()
        for cell in book.cells:
            cell.metadata.pop("execution", None)  # the times of day
            for output in cell.get("outputs", []):
                html = output.get("data", {}).get("text/html", "")
                if len(html) > 1_000_000:
                    output["data"] = {"image/png": picture(html, Path(folder))}
    nbformat.write(book, NOTEBOOK)


def picture(html: str, folder: Path) -> str:
    """A screenshot of a page, as base64."""
    page, image = folder / "graph.html", folder / "graph.png"
    page.write_text(f"<!doctype html><meta charset=utf-8><body style='margin:0'>{html}", "utf-8")
    subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=960,500",
         "--virtual-time-budget=15000", f"--screenshot={image}", page.as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return base64.b64encode(image.read_bytes()).decode()


if __name__ == "__main__":
    main()
