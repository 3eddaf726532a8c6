"""The map of personas: what is written is whole, readable and calls nobody."""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from kg.errors import ChangeSomethingError
from kg.views.prototypes import Place, StoredPrototype
from personarec.personas.picture import FONT, HEIGHT, SMALL, WIDTH, Drawing, draw, write_picture

NAME = 'Tom & Jerry <i> · "Film" noir\'s'


def drawing(prototypes: int = 8, crowded: bool = True) -> Drawing:
    rng = np.random.default_rng(0)
    spread = 0.1 if crowded else 0.9
    kinds = [
        StoredPrototype(f"p{i}", NAME, 10, tuple(rng.uniform(-spread, spread, 2).tolist()), ())
        for i in range(prototypes)
    ]
    readers = [
        Place(f"demo:<u{n}>", *rng.uniform(-1, 1, 2).tolist(), f"p{n % prototypes}")
        for n in range(10 * prototypes)
    ]
    return draw("demo", readers, kinds)


def test_no_name_covers_another_and_all_are_in_the_frame() -> None:
    labels = drawing().labels
    boxes = []
    for label in labels:
        # As wide as letters are on average; a browser's may differ by a little.
        sizes = [FONT, *(SMALL for _ in label.lines[1:])]
        width = max(0.5 * s * len(x) for s, x in zip(sizes, label.lines, strict=True))
        boxes.append((label.x - width / 2, label.y, label.x + width / 2, label.bottom))
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= WIDTH
        assert 0 <= top < bottom <= HEIGHT
    assert any(label.moved for label in labels)


def test_the_svg_is_well_formed_and_has_all_readers(tmp_path: Path) -> None:
    file = tmp_path / "map.svg"
    write_picture(drawing(), file)
    root = ElementTree.fromstring(file.read_text("utf-8"))
    tags = [e.tag.rpartition("}")[2] for e in root.iter()]
    assert tags.count("circle") == 80
    texts = [e.text for e in root.iter() if e.tag.endswith("}text")]
    assert texts.count("Tom & Jerry <i>") == 8
    assert "prefers-color-scheme:dark" in file.read_text("utf-8")


def test_the_page_tells_readers_apart_and_needs_no_other_host(tmp_path: Path) -> None:
    file = tmp_path / "map.html"
    write_picture(drawing(), file)
    page = file.read_text("utf-8")
    assert "<title>demo:&lt;u7&gt;</title>" in page
    assert "http" not in page.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "<script" not in page


def test_the_png_is_a_picture_of_that_size_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    one, other = tmp_path / "one.png", tmp_path / "other.png"
    for file in (one, other):
        write_picture(drawing(3, crowded=False), file)
    content = one.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert int.from_bytes(content[16:20]) == WIDTH
    assert content == other.read_bytes()


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChangeSomethingError, match=r"\.svg, \.html or \.png"):
        write_picture(drawing(), tmp_path / "map.gif")


def test_png_without_matplotlib_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(ChangeSomethingError, match="pip install matplotlib"):
        write_picture(drawing(), tmp_path / "map.png")
