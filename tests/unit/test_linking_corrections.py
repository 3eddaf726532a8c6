"""A person's word on links, the files of links, and what happens to bad ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kg.errors import ChangeSomethingError
from kg.linking.corrections import (
    CORRECTIONS,
    Correction,
    Verdict,
    apply,
    effective_links,
    read_given,
    store,
    stored,
)
from kg.linking.files import (
    EFFECTIVE,
    LINKS,
    UNLINKED,
    read_links,
    read_unlinked,
    write_answers,
    write_links,
)
from kg.linking.link import Answer, Linked, Nil, Unlinked
from kg.loaders import loader
from kg.loaders.records import Link, Rejected

A, B, C = (f"http://dbpedia.org/resource/{name}" for name in "ABC")
ITEMS = {"1": "", "2": "", "3": A}


def found(item: str, iri: str) -> Linked:
    return Linked(item, iri, "label", 0.75, "", 0.75)


def given(tmp_path: Path, text: str, verdict: Verdict = "accept") -> list[Correction]:
    (tmp_path / "given.tsv").write_text(text, "utf-8")
    return read_given(tmp_path / "given.tsv", verdict, ITEMS)


def effective(folder: Path) -> dict[str, tuple[str, str, float]]:
    return {e.item: (e.iri, e.method, e.score) for e in effective_links(folder)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set's folder with links of items 1 and 2."""
    write_links(tmp_path / "home" / LINKS, [found("1", A), found("2", B)])
    return tmp_path / "home"


# -- corrections -----------------------------------------------------------------------------------


def test_accepting_replaces_and_adds(folder: Path) -> None:
    store(folder, [Correction("1", "accept", C), Correction("3", "accept", C)])
    assert effective(folder) == {
        "1": (C, "accepted", 1.0), "2": (B, "label", 0.75), "3": (C, "accepted", 1.0),
    }  # fmt: skip
    assert [e.item for e in read_links(folder / EFFECTIVE)] == ["2", "1", "3"]


def test_rejecting_takes_that_link_or_any(folder: Path) -> None:
    store(folder, [Correction("1", "reject", C), Correction("2", "reject", B)])
    assert set(effective(folder)) == {"1"}
    store(folder, [Correction("1", "reject", "")])
    assert effective(folder) == {}


def test_the_latest_word_wins(folder: Path) -> None:
    store(folder, [Correction("1", "accept", B)])
    store(folder, [Correction("1", "accept", C)])
    assert effective(folder)["1"][0] == C
    store(folder, [Correction("1", "reject", B)])  # of another resource: no matter
    assert effective(folder)["1"][0] == C
    store(folder, [Correction("1", "reject", C)])
    assert effective(folder)["1"] == (A, "label", 0.75)
    store(folder, [Correction("1", "reject", "")])
    assert "1" not in effective(folder)
    store(folder, [Correction("1", "accept", A)])
    assert effective(folder)["1"] == (A, "accepted", 1.0)
    assert stored(folder) == [Correction("1", "accept", A)]


def test_corrections_survive_linking_again(folder: Path) -> None:
    store(folder, [Correction("1", "accept", C), Correction("2", "reject", B)])
    write_links(folder / LINKS, [found("1", B), found("2", B)])
    assert apply(folder) == 1
    assert effective(folder) == {"1": (C, "accepted", 1.0)}
    write_links(folder / LINKS, [found("2", C)])  # another resource than the rejected one
    assert apply(folder) == 2


def test_the_same_again_changes_no_byte(folder: Path) -> None:
    said = [Correction("1", "accept", C), Correction("2", "reject", B)]
    assert store(folder, said) == (2, 1)
    before = [(folder / name).read_bytes() for name in (CORRECTIONS, EFFECTIVE)]
    assert store(folder, said) == (2, 1)
    assert [(folder / name).read_bytes() for name in (CORRECTIONS, EFFECTIVE)] == before


def test_corrections_before_any_linking(tmp_path: Path) -> None:
    assert store(tmp_path / "new", [Correction("1", "accept", A)]) == (1, 1)


def test_a_file_of_corrections(tmp_path: Path) -> None:
    text = f"\ufeffitem_id\tiri\r\n1\t{A}\r\n\n 2 \t {B} \n"
    assert given(tmp_path, text) == [Correction("1", "accept", A), Correction("2", "accept", B)]
    assert given(tmp_path, f"1\t{A}\n2\n1\t\n", "reject") == [
        Correction("1", "reject", A), Correction("2", "reject", ""), Correction("1", "reject", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "verdict", "what"),
    [
        (f"1\t{A}\textra", "accept", "3 columns; a line is item_id, a tab, and an IRI"),
        ("1", "accept", "1 columns"),
        ("1\t", "accept", "no IRI"),
        (f"9\t{A}", "accept", "no item '9' in this data set"),
        (f"\t{A}", "accept", "no item ''"),
        ("1\tThe_Matrix", "accept", "is no IRI"),
        ("1\thttp://x/a b", "accept", "is no IRI"),
        ("1\thttp://x/<a>", "reject", "is no IRI"),
        (f"1\t{A}\0", "accept", "holds a NUL character"),
        (f"3\t{A}", "reject", "the link of '3' is in the data set's own files"),
        ("3", "reject", "the link of '3' is in the data set's own files"),
    ],
)
def test_a_bad_line_is_said_with_its_number(
    line: str, verdict: Verdict, what: str, tmp_path: Path
) -> None:
    with pytest.raises(ChangeSomethingError) as caught:
        given(tmp_path, f"1\t{B}\n{line}\n", verdict)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'given.tsv'}:2: ")
    assert what in message
    assert "\n" not in message


def test_a_file_that_is_not_utf8_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"1\t\xff\n")
    with pytest.raises(ChangeSomethingError, match=r"bad:1: not UTF-8"):
        read_given(tmp_path / "bad", "accept", ITEMS)
    with pytest.raises(ChangeSomethingError, match=r"cannot read .*gone: No such file"):
        read_given(tmp_path / "gone", "accept", ITEMS)


@pytest.mark.parametrize("row", ["1\taccept", "1\tperhaps\thttp://x/a", ""])
def test_stored_corrections_that_were_damaged(row: str, folder: Path) -> None:
    (folder / CORRECTIONS).write_text(f"item_id\tverdict\tiri\n{row}\n", "utf-8")
    with pytest.raises(ChangeSomethingError, match=r"corrections.tsv:2: not a row of item_id"):
        stored(folder)


def test_an_interrupted_write_leaves_the_old_corrections(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(folder, [Correction("1", "accept", C)])

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            store(folder, [Correction("1", "accept", B)])
    assert stored(folder) == [Correction("1", "accept", C)]
    assert list(folder.glob("*.partial")) == []


# -- the linker's files ----------------------------------------------------------------------------


ANSWERS: list[Answer] = [
    Linked("1", A, "label+year", 0.875, B, 0.15),
    Unlinked("2", "Heat\tor\nnot", Nil.AMBIGUOUS, B, 0.725),
    Linked("é", C, "label", 0.725, "", 0.725),
    Unlinked("4", "", Nil.NO_TITLE, "", 0.0),
]


def test_answers_come_back_from_their_files(tmp_path: Path) -> None:
    (tmp_path / LINKS).write_text("older\n", "utf-8")
    with (tmp_path / LINKS).open(encoding="utf-8") as reader:
        assert list(write_answers(tmp_path, ANSWERS)) == ANSWERS
        assert reader.read() == "older\n"  # a reader has the old file or the new one
    assert list(read_links(tmp_path / LINKS)) == [ANSWERS[0], ANSWERS[2]]
    assert list(read_unlinked(tmp_path / UNLINKED)) == [
        ("2", "Heat or not", "ambiguous", B, 0.725), ("4", "", "no title", "", 0.0),
    ]  # fmt: skip


def test_a_linking_that_fails_leaves_the_old_files(tmp_path: Path) -> None:
    list(write_answers(tmp_path, ANSWERS))
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def failing() -> Iterator[Answer]:
        yield found("9", A)
        raise RuntimeError("the endpoint went away")

    with pytest.raises(RuntimeError):
        list(write_answers(tmp_path, failing()))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    written = write_answers(tmp_path, iter([found("9", A), found("8", A)]))
    next(written)
    written.close()  # type: ignore[attr-defined]
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("row", ["1\thttp://x/a", "1\thttp://x/a\tlabel\thigh\t\t0.1", ""])
def test_links_that_were_damaged(row: str, tmp_path: Path) -> None:
    list(write_answers(tmp_path, ANSWERS))
    with (tmp_path / LINKS).open("a", encoding="utf-8") as file:
        file.write(row + "\n")
    with pytest.raises(ChangeSomethingError, match=r"links.tsv:4: not a row of item_id iri"):
        list(read_links(tmp_path / LINKS))
    (tmp_path / LINKS).write_text("something else\n", "utf-8")
    with pytest.raises(ChangeSomethingError, match=r"links.tsv:1: "):
        list(read_links(tmp_path / LINKS))


def test_no_files_are_no_links(tmp_path: Path) -> None:
    assert list(read_links(tmp_path / LINKS)) == []
    assert list(read_unlinked(tmp_path / UNLINKED)) == []
    assert stored(tmp_path) == []


# -- the loader ------------------------------------------------------------------------------------


def test_the_loader_reads_what_was_written(tmp_path: Path) -> None:
    list(write_answers(tmp_path, ANSWERS))
    assert list(loader("links").read(tmp_path / LINKS)) == [
        Link("1", A, "label+year", 0.875), Link("é", C, "label", 0.725),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("1\thttp://x/a\tlabel\t1.01\t\t", "score is not between 0 and 1"),
        ("1\thttp://x/a\tlabel\t-0.1\t\t", "score is not between 0 and 1"),
        ("1\thttp://x/a\tlabel\tnan\t\t", "score is not finite"),
        ("1\thttp://x/a\tlabel\thigh\t\t", "score is not a number"),
        ("1\t\tlabel\t0.5\t\t", "iri is empty"),
        ("1\thttp://x/a\t\t0.5\t\t", "method is empty"),
        ("\thttp://x/a\tlabel\t0.5\t\t", "item_id is empty"),
        ("1\thttp://x/a", "2 columns instead of 6"),
    ],
)
def test_rows_that_the_loader_sets_aside(row: str, what: str, tmp_path: Path) -> None:
    head = "item_id\tiri\tmethod\tscore\trunner_up\tmargin\n"
    (tmp_path / LINKS).write_text(f"{head}{row}\n2\thttp://x/a\tgiven\t\t\t\n", "utf-8")
    bad, good = loader("links").read(tmp_path / LINKS)
    assert isinstance(bad, Rejected)
    assert bad.line == 2
    assert what in bad.reason
    assert good == Link("2", "http://x/a", "given", None)
