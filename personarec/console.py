"""What commands print: tables on standard output, progress on standard error in a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

# Wide where it is not a terminal, so that a table in a file keeps its rows on one line each.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False)


def print_json(content: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(content, ensure_ascii=False, indent=1, default=str) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table; numbers to the right, cells printed as they are (no markup)."""
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(r[place], int | float) for r in rows)
        table.add_column(
            column,
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=place == 0 and len(columns) > 1,
        )
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    out.print(table)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int | None], None]]:
    """A callback (what, done, total) that draws a bar with rate and time left, or nothing."""
    if not err.is_terminal:
        yield lambda _what, _done, _total: None
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )
    tasks: dict[str, Any] = {}

    def advance(what: str, done: int, total: int | None) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total, rate="")
        speed = bar.tasks[bar.task_ids.index(tasks[what])].speed
        rate = f"{speed:,.0f}/s" if speed else ""
        bar.update(tasks[what], completed=done, total=total, rate=rate)

    with bar:
        yield advance


def tell(text: str) -> None:
    """A line of progress on standard error, in a log too: for steps that take minutes."""
    err.print(text, markup=False, soft_wrap=True)


def say(text: str) -> None:
    """A line of progress on standard error, where that is a terminal."""
    if err.is_terminal:
        err.print(text, markup=False)
