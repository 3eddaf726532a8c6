"""R11: any text that can be text goes through each engine and comes back in its declared form.

Declared: a key is as it is, without outer blanks; a title is in normal form C, without outer
blanks; what holds NUL, or is empty, is set aside. Nothing unescapes ``&amp;`` or ``%20`` between.
"""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from unicodedata import normalize

from conftest import quiet
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kg.ingest import DataSetSources, Source, dump, ingest
from kg.store import GraphStore

EXAMPLES, TEXTS = 10, 100  # a load is one example of hypothesis and carries a hundred texts

ODD = (
    "é", "e\u0301", "Å", "A\u030a", "\u212b", "ﬁ", "①", "\U0001f469\u200d\U0001f467",
    "\U0001f3f3\ufe0f", "שלום", "مرحبا", "\u202eabc\u202c", "a\u200bb", "\ufeffx", "\u2060",
    "\x01", "\x7f", "\x85",
    "\u2028", "\ud7ff", "\uffff", "\U0010ffff", "&amp;", "&lt;b&gt;", "%20", "%00", "a+b", "\\",
    "\\u0041", "'", '"', "`", "$x", "{{label}}", "}) DETACH DELETE n //", "ß", "ẞ", "ı", "İ", "i",
    "I", "null", "NaN", "", " ", "\t", "a\0b", "\0",
)  # fmt: skip

texts = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.lists(st.sampled_from(ODD), min_size=2, max_size=5).map("".join),
)


def literal(text: str) -> str:
    """An N-Triples literal, every character of it escaped."""
    return '"' + "".join(f"\\U{ord(c):08X}" for c in text) + '"'


def write(folder: Path, name: str, values: list[str]) -> DataSetSources:
    """Each text as a user's key, an item's key, and a label of another item."""
    folder.mkdir()
    with (folder / "reviews.jsonl").open("w", encoding="utf-8") as file:
        for n, text in enumerate(values):
            for user, item in ((text, f"i{n}"), (f"u{n}", text)):
                row = {"reviewerID": user, "asin": item, "overall": 1.0, "unixReviewTime": n}
                file.write(json.dumps(row, ensure_ascii=n % 2 == 0) + "\n")
    iri = f"http://example.org/{name}/"
    with (folder / "items.tsv").open("w", encoding="utf-8") as file:
        file.write("item_id\ttitle\tgenres\tdbpedia_uri\n")
        file.writelines(f"i{n}\t\t\t{iri}{n}\n" for n in range(len(values)))
    label = "http://www.w3.org/2000/01/rdf-schema#label"
    with (folder / "labels.nt").open("w", encoding="utf-8") as file:
        file.writelines(f"<{iri}{n}> <{label}> {literal(t)} .\n" for n, t in enumerate(values))
    files = (
        ("amazon-reviews", "reviews.jsonl"), ("tsv-items", "items.tsv"), ("ntriples", "labels.nt"),
    )  # fmt: skip
    return DataSetSources(name, "books", tuple(Source(n, folder / f) for n, f in files))


def test_a_thousand_texts_come_back_in_their_declared_form(
    store: GraphStore, tmp_path: Path
) -> None:
    numbers = count()
    seen: list[str] = []

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.lists(texts, min_size=TEXTS, max_size=TEXTS))
    def check(values: list[str]) -> None:
        name = f"texts{next(numbers)}"
        data = write(tmp_path / name, name, values)
        result = ingest(store, data, tmp_path / "home", quiet, max_bad=1)
        keys = {t.strip() for t in values}
        usable = {k for k in keys if k and "\0" not in k}
        nodes = [line for line in map(json.loads, dump(store, name)) if line[0] == "node"]
        users = {line[2] for line in nodes if line[1] == "User"}
        items = {line[2]: line[3].get("title") for line in nodes if line[1] == "Book"}
        plain = {f"{name}:{c}{n}" for c in "ui" for n in range(TEXTS)}
        assert users - plain == {f"{name}:{k}" for k in usable} - plain
        assert items.keys() - plain == {f"{name}:{k}" for k in usable} - plain
        for n, text in enumerate(values):
            title = normalize("NFC", text).strip()
            wanted = title if text.strip() and "\0" not in text else None
            # The label is that of the item, and a text may be another item's key.
            assert items[f"{name}:i{n}"] == wanted, (text, title)
        bad = sum(2 for t in values if not t.strip() or "\0" in t)
        book = result.stage.books[0]
        assert book.quarantined == bad
        assert book.rows_in == book.merged + book.duplicates + book.quarantined
        seen.extend(values)

    check()
    assert len(seen) >= EXAMPLES * TEXTS
    assert {"e\u0301", "é", "a\0b", "&amp;", "%20"} <= set(seen)


def test_two_normal_forms_are_two_keys_and_one_title(store: GraphStore, tmp_path: Path) -> None:
    values = ["é", "e\u0301"]
    ingest(store, write(tmp_path / "forms", "forms", values), tmp_path / "home", quiet, max_bad=1)
    nodes = [line for line in map(json.loads, dump(store, "forms")) if line[0] == "node"]
    assert {"forms:é", "forms:e\u0301"} <= {line[2] for line in nodes if line[1] == "User"}
    titles = [line[3]["title"] for line in nodes if line[2] in ("forms:i0", "forms:i1")]
    assert titles == ["é", "é"]
