"""The files of a data set's links, in its folder under home: what is in them, written whole.

links.tsv      what the linker found        item_id iri method score runner_up margin
unlinked.tsv   what it did not link, why    item_id title reason best score
corrections.tsv    a person's word          item_id verdict iri       (see corrections.py)
effective-links.tsv  links.tsv with the corrections applied; this one goes into the graph
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from kg.errors import ChangeSomethingError
from kg.linking.link import Answer, Linked, Unlinked
from kg.loaders.links import LINKS_HEADER
from kg.partial import written_whole

LINKS, UNLINKED, EFFECTIVE = "links.tsv", "unlinked.tsv", "effective-links.tsv"
UNLINKED_HEADER = ("item_id", "title", "reason", "best", "score")


@contextmanager
def written_table(path: Path, header: tuple[str, ...]) -> Iterator[TextIO]:
    """A tab-separated file to write, which appears under its name when the block ends well."""
    with written_whole(path) as below:
        file = TextIOWrapper(below, "utf-8", newline="\n")
        file.write("\t".join(header) + "\n")
        yield file
        file.detach()  # writes what it holds; to close the file is not its part


def write_answers(folder: Path, answers: Iterable[Answer]) -> Iterator[Answer]:
    """Write answers as they come to links.tsv and unlinked.tsv, and pass them on.

    The files appear when the last answer was taken; until then the old ones stay.
    """
    with ExitStack() as files:
        unlinked = files.enter_context(written_table(folder / UNLINKED, UNLINKED_HEADER))
        links = files.enter_context(written_table(folder / LINKS, LINKS_HEADER))
        for answer in answers:
            file = links if isinstance(answer, Linked) else unlinked
            file.write(_line(answer))
            yield answer


def write_links(path: Path, links: Iterable[Linked]) -> int:
    """Write a file of links; how many."""
    count = 0
    with written_table(path, LINKS_HEADER) as file:
        for found in links:
            file.write(_line(found))
            count += 1
    return count


def read_links(path: Path) -> Iterator[Linked]:
    """Links of a file; none where there is no file. Raises ChangeSomethingError: a bad line."""
    for item, iri, method, score, runner_up, margin in _rows(path, LINKS_HEADER, 3, 5):
        yield Linked(item, iri, method, float(score), runner_up, float(margin))


def read_unlinked(path: Path) -> Iterator[Unlinked]:
    """Items without a link; none where there is no file. Raises ChangeSomethingError."""
    for item, title, reason, best, score in _rows(path, UNLINKED_HEADER, 4):
        yield Unlinked(item, title, reason, best, float(score))


def _rows(path: Path, header: tuple[str, ...], *numbers: int) -> Iterator[list[str]]:
    """Cells of each row, checked: their count, and that those at ``numbers`` are numbers."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="\n") as file:
        for count, line in enumerate(file, 1):
            cells = line.removesuffix("\n").split("\t")
            if count == 1 and tuple(cells) == header:
                continue
            try:
                if count == 1 or len(cells) != len(header):
                    raise ValueError
                for place in numbers:
                    float(cells[place])
            except ValueError:
                raise ChangeSomethingError(
                    f"{path}:{count}: not a row of {' '.join(header)}; "
                    "delete the file and link the data set again"
                ) from None
            yield cells


def _line(row: Answer) -> str:
    """Cells of a row; scores have four places, and a title is on one line."""
    cells = [f"{c:.4f}" if isinstance(c, float) else c for c in row]
    if isinstance(row, Unlinked):
        cells[1] = " ".join(row.title.split())
    return "\t".join(cells) + "\n"
