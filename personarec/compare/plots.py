"""Figures of a report as inline SVG, in the page's own colours, light and dark.

matplotlib draws them; colours are placeholders that the page's style sheet fills.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from kg.errors import ChangeSomethingError
from personarec.compare.rows import BASELINES, PAPER, ROWS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# matplotlib wants real colours: these stand for the page's, and are not used for anything else.
_COLOURS = {
    "#010101": "var(--text)", "#020202": "var(--faint)", "#030303": "var(--line)",
    "#040404": "var(--plain)", "#050505": "var(--facts)", "#060606": "var(--persona)",
    "#070707": "var(--control)",
}  # fmt: skip
_TEXT, _FAINT, _LINE, _PLAIN, _FACTS, _PERSONA, _CONTROL = _COLOURS
WIDTH = 4.4  # inches; narrow, so that letters stay readable when a phone scales the figure down


def rows_figure(document: dict[str, Any]) -> str:
    """NDCG@10 of each row with its interval, best on top within each group."""
    groups = list(dict.fromkeys(row["group"] for row in document["rows"]))
    rows: list[dict[str, Any] | str] = []
    for group in groups:
        own = [r for r in document["rows"] if r["group"] == group]
        rows += [group, *sorted(own, key=lambda r: -float(r["NDCG@10"]))]
    figure, axes = _figure(len(rows))
    labels = []
    for place, row in enumerate(rows):
        if isinstance(row, str):
            labels.append(row.upper())
            continue
        low, high = row["NDCG@10 interval"]
        _point(axes, place, row["NDCG@10"], low, high, _colour(row))
        labels.append(row["name"])
    _labelled(axes, labels, headings=[i for i, r in enumerate(rows) if isinstance(r, str)])
    axes.set_xlim(left=0)
    axes.set_xlabel("NDCG@10 with its 95 % interval", color=_FAINT)
    return _svg(figure, "NDCG@10 of each row with its interval")


def differences_figure(document: dict[str, Any]) -> str:
    """Forest plot: each row against its strictest control, and what the sentences are about.

    Empty where there is nothing to compare.
    """
    by_name = {row["name"]: row for row in document["rows"]}
    chosen = document["chosen"]
    headline = {(chosen["facts"], chosen["plain"]), (chosen["persona"], chosen["without"])}
    # The strictest control of each row; the table has the others.
    first = {(n, next((a for a in r["against"] if a in by_name), "")) for n, r in by_name.items()}
    # Baselines against baselines differ so much that nothing else could be seen beside them.
    shown = {n for n, r in by_name.items() if r["group"] != BASELINES}
    found = [
        c
        for c in document["comparisons"]
        if (c["row"], c["against"]) in headline
        or ((c["row"], c["against"]) in first and c["row"] in shown)
    ]
    if not found:
        return ""
    figure, axes = _figure(len(found), 0.36)
    for place, one in enumerate(found):
        d = one["NDCG@10"]
        _point(axes, place, d["mean"], d["low"], d["high"], _colour(by_name[one["row"]]),
               hollow=d["holm"] >= 0.05)  # fmt: skip
    _labelled(axes, [f"{c['row']}\nagainst {c['against']}" for c in found], headings=[])
    axes.axvline(0, color=_FAINT, linewidth=1)
    axes.set_xlabel(
        "difference in NDCG@10, 95 % interval\nfilled: clear after correction", color=_FAINT
    )
    return _svg(figure, "Differences in NDCG@10 with their intervals")


def slice_figure(document: dict[str, Any], slicing: dict[str, Any]) -> str:
    """NDCG@10 of the chosen rows in each part of a slicing."""
    by_name = {row["name"]: row for row in document["rows"]}
    names = list(slicing["parts"][0]["NDCG@10"])
    with _style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        axes = figure.subplots()
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        heights = [part["NDCG@10"][name] for part in slicing["parts"]]
        places = [p + (i - (len(names) - 1) / 2) * width for p in range(len(heights))]
        shade = 1 - 0.55 * sum(_colour(by_name[n]) == _colour(by_name[name]) for n in names[:i])
        axes.bar(places, heights, width * 0.9, color=_colour(by_name[name]),
                 alpha=max(shade, 0.3), label=name)  # fmt: skip
    axes.set_xticks(
        range(len(slicing["parts"])),
        [f"{p['label']}\n{p['queries']}" for p in slicing["parts"]],
        color=_TEXT,
    )
    axes.set_xlabel(f"{slicing['name']}; below: test queries", color=_FAINT)
    axes.set_ylabel("NDCG@10", color=_FAINT)
    axes.grid(axis="y", color=_LINE, linewidth=0.6)
    figure.legend(frameon=False, labelcolor=_TEXT, fontsize=8, loc="outside upper left")
    _bare(axes)
    return _svg(figure, f"NDCG@10 by {slicing['name']}")


def _colour(row: dict[str, Any]) -> str:
    if row["control"]:
        return _CONTROL
    if "persona" in row["made of"] or row["group"] == PAPER:
        return _PERSONA
    return _FACTS if ROWS[row["name"]].uses_facts else _PLAIN


def _style() -> Any:
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ChangeSomethingError(
            "the report's figures need matplotlib: pip install 'personarec[report]'"
        ) from error
    # Text stays text, in the page's font; ids are the same each time.
    return mpl.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "personarec",
            "font.size": 8.5,
            "axes.axisbelow": True,
        }
    )


def _figure(rows: int, height: float = 0.2) -> tuple[Figure, Axes]:
    """A figure of the page's width; ``height`` is inches a row."""
    with _style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH, 0.6 + height * rows), layout="constrained")
        return figure, figure.subplots()


def _point(
    axes: Axes,
    place: int,
    mean: float,
    low: float,
    high: float,
    colour: str,
    *,
    hollow: bool = False,
) -> None:
    axes.plot([low, high], [place, place], color=colour, linewidth=2, solid_capstyle="round")
    axes.plot(
        [mean], [place], "o", color=colour, markersize=5, markeredgewidth=1.4,
        fillstyle="none" if hollow else "full",
    )  # fmt: skip


def _labelled(axes: Axes, labels: list[str], headings: list[int]) -> None:
    axes.set_yticks(range(len(labels)), labels, color=_TEXT)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(axis="x", color=_LINE, linewidth=0.6)
    _bare(axes)
    for place in headings:
        axes.get_yticklabels()[place].set(color=_FAINT, fontsize=7.5)


def _bare(axes: Axes) -> None:
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0, labelcolor=_TEXT)


def _svg(figure: Figure, title: str) -> str:
    """The figure as an SVG element with a title, for screen readers, and the page's colours."""
    buffer = io.StringIO()
    with _style():
        nothing = {"Date": None, "Creator": None}
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for placeholder, colour in _COLOURS.items():
        text = text.replace(placeholder, colour)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px; font-family: inherit", text)
    text = re.sub(r'<svg ([^>]*?)height="[^"]*"([^>]*?)width="[^"]*"', r"<svg \1\2", text, count=1)
    # Ids of one figure must not be those of another on the page.
    own = re.sub(r"\W+", "-", title.lower())
    text = re.sub(r'(id="|href="#|url\(#)', lambda m: f"{m.group(1)}{own}-", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
