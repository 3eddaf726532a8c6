"""The report: one document in Markdown, and as a page that asks no other host for anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from kg.errors import ChangeSomethingError
from kg.partial import written_whole
from personarec.compare.words import figure, interval, sentences, verdict

COLUMNS = tuple(f"{m}@{k}" for k in (10, 20, 100) for m in ("HR", "NDCG", "MRR"))
Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""Title, columns, rows of text; the first column is a name, the others are figures."""


def write_report(out: Path, document: dict[str, Any], command: str) -> tuple[Path, Path]:
    """Write report.md and report.html; without matplotlib the page has no figures and says so."""
    markdown, html = out / "report.md", out / "report.html"
    for path, text in (
        (markdown, as_markdown(document, command)), (html, as_html(document, command)),
    ):  # fmt: skip
        with written_whole(path) as file:
            file.write(text.encode())
    return markdown, html


# -- what both hold --------------------------------------------------------------------------------


def facts_of_run(document: dict[str, Any]) -> list[str]:
    """What was compared, in lines."""
    tuned = (
        f"{document['trials']} trials for each row that has settings of its own, on validation"
        if document["trials"]
        else "default settings for each row, no trials"
    )
    return [
        f"Split: {document['split']}: {document['rule']}.",
        f"{document['users']} users tested by {document['queries']} queries; {document['items']} "
        f"items, {document['interactions']} interactions, {document['facts']} facts, "
        f"{document['linked']} items linked.",
        ("Settings are chosen on validation, then models are fitted again with the validation "
         "items." if document["refit"] else
         "Models are fitted without the validation items, which settings are chosen by."),
        f"Seeds: {document['seeds']}; {tuned}; trained persona encoder: {document['encoder']}, "
        f"{document['dimensions']} dimensions.",
        f"Sequence model: {_settings(document['network'])}"
        + ("; trials start from there." if document["trials"] else "."),
        "Full catalogue, seen items masked, ties share their mean rank. A user's values are "
        "averaged over the seeds (and queries) before anything is drawn; intervals are 95 % "
        "percentile intervals of a paired bootstrap over users; p of HR is McNemar's exact test; "
        "p-values are corrected by Holm's method over all comparisons of a metric, those of rows "
        "with facts or personas apart from those of controls and baselines.",
    ]  # fmt: skip


def metric_tables(document: dict[str, Any]) -> list[Table]:
    """The rows, one table a group."""
    groups = dict.fromkeys(row["group"] for row in document["rows"])
    return [
        (
            group,
            ("row", *COLUMNS, "validation", "s a cell"),
            [
                (
                    r["name"], *(figure(r[c]) for c in COLUMNS), figure(r["validation"]),
                    f"{r['seconds']:.1f}",
                )
                for r in document["rows"]
                if r["group"] == group
            ],
        )
        for group in groups
    ]  # fmt: skip


def trials_found(document: dict[str, Any]) -> list[str]:
    """What the trials of each row found, in lines; none: there were none."""
    return [
        f"{r['name']}: best validation NDCG@10 {figure(r['tuned']['validation'])} of "
        f"{r['tuned']['trials']} trials, with {_parts(r['name'], r['tuned']['settings'])}"
        for r in document["rows"]
        if "tuned" in r
    ]


def comparison_table(document: dict[str, Any]) -> Table:
    """Each row against what it answers to."""
    return (
        "Differences",
        ("row − control", "NDCG@10", "p", "HR@10", "better / worse", "p", "reading of NDCG@10"),
        [
            (
                f"{c['row']} − {c['against']}", interval(c["NDCG@10"]), _p(c["NDCG@10"]),
                interval(c["HR@10"]), f"{c['HR@10']['better']} / {c['HR@10']['worse']}",
                _p(c["HR@10"]), verdict(c["NDCG@10"]),
            )
            for c in document["comparisons"]
        ],
    )  # fmt: skip


def slice_tables(document: dict[str, Any]) -> list[Table]:
    """The chosen rows by slice."""
    tables: list[Table] = []
    for slicing in document["slices"]:
        names = list(slicing["parts"][0]["NDCG@10"])
        pairs = max((p["differences"] for p in slicing["parts"]), key=len)
        columns = [f"{d['row']} − {d['against']}" for d in pairs]
        rows = [
            (
                part["label"], str(part["queries"]), str(part["users"]),
                *(figure(part["NDCG@10"][n]) for n in names),
                *(
                    [interval(d) for d in part["differences"]]
                    or ["too few users"] * len(columns)
                ),
            )
            for part in slicing["parts"]
        ]  # fmt: skip
        tables.append(
            (slicing["name"], (slicing["name"], "queries", "users", *names, *columns), rows)
        )
    return tables


def list_table(document: dict[str, Any]) -> Table:
    """Beyond accuracy."""
    names = ("coverage", "novelty", "diversity", "gini")
    return (
        "Lists of ten",
        ("row", "coverage", "novelty, bits", "diversity", "Gini"),
        [
            (r["name"], *(_number(r["lists"][n], 2 if n == "novelty" else 3) for n in names))
            for r in document["rows"]
        ],
    )


def miss_table(document: dict[str, Any]) -> Table:
    """Where targets are lost."""
    kinds = [k for k in document["misses"] if any(k in r["misses"] for r in document["rows"])]
    return (
        "Misses, share of the test queries",
        ("row", *kinds),
        [(r["name"], *(_number(r["misses"].get(k), 3) for k in kinds)) for r in document["rows"]],
    )


def paper_table(document: dict[str, Any]) -> Table:
    """The published table with our figures."""
    columns = [f"{m}@{k}" for k in (10, 100) for m in ("HR", "NDCG", "MRR")]
    return (
        "The paper's table",
        ("user", "item", *columns),
        [
            (c["user"], c["items"], *(
                [figure(c[x]) for x in columns] if "HR@10" in c
                else [f"absent: {c['absent']}", *[""] * (len(columns) - 1)]
            ))
            for c in document["paper"]
        ],
    )  # fmt: skip


def prefix_table(document: dict[str, Any]) -> Table | None:
    """By items shown, for users that training never saw."""
    rows = [r for r in document["rows"] if "by items shown" in r]
    if not rows:
        return None
    lengths = list(rows[0]["by items shown"])
    return (
        "NDCG@10 by items shown of an unseen user",
        ("row", *lengths),
        [(r["name"], *(figure(r["by items shown"][n]) for n in lengths)) for r in rows],
    )


def _parts(row: str, settings: dict[str, dict[str, Any]]) -> str:
    """Settings of each part in words; the part that the row itself is goes unnamed."""
    words = [
        _settings(own) if part == row else f"{part}: {_settings(own)}"
        for part, own in settings.items()
    ]
    return "; ".join(words) or "the defaults"


def _settings(changed: dict[str, Any]) -> str:
    """Settings in words."""
    words = [
        f"{name.replace('_', ' ')} {f'{value:.3g}' if isinstance(value, float) else value}"
        for name, value in changed.items()
    ]
    return ", ".join(words) or "the defaults"


def _p(found: dict[str, Any]) -> str:
    return "<.001" if found["holm"] < 0.001 else figure(found["holm"], 3)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


# -- Markdown --------------------------------------------------------------------------------------


def as_markdown(document: dict[str, Any], command: str) -> str:
    """The whole report."""
    lines = [f"# {document['dataset']}: comparison", ""]
    lines += [line + "\n" for line in sentences(document)]
    lines += ["```sh", command, "```", "", "## Leak checks", ""]
    lines += [f"- {c['name']}: {c['found']}" for c in document["checks"]]
    lines += ["", "## What was compared", "", *(f"- {f}" for f in facts_of_run(document)), ""]
    lines += ["## Table", ""]
    for title, columns, rows in metric_tables(document):
        lines += [f"### {title.capitalize()}", "", *_table(columns, rows)]
    lines += _absent(document, lambda text: text.replace("|", "\\|"))
    if trials := trials_found(document):
        lines += ["## What the trials found", "", *(f"- {line}" for line in trials), ""]
    sections: list[tuple[str, list[Table]]] = [
        ("The paper's table", [paper_table(document)]),
        ("Differences", [comparison_table(document)]),
        ("Slices", slice_tables(document)),
        ("Lists", [list_table(document)]),
        ("Errors", [miss_table(document)]),
    ]
    if prefix := prefix_table(document):
        sections.insert(1, ("Unseen users", [prefix]))
    for heading, tables in sections:
        lines += [f"## {heading}", ""]
        for title, columns, rows in tables:
            if len(tables) > 1:
                lines += [f"### By {title}", ""]
            lines += _table(columns, rows)
    lines += [f"- {kind}: {words}" for kind, words in document["misses"].items()]
    lines += ["", "## What the rows are", ""]
    lines += [f"- **{r['name']}**: {r['what']} ({r['made of']})" for r in document["rows"]]
    return "\n".join(lines) + "\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"

    return [line(columns), "|" + "---|" * len(columns), *(line(r) for r in rows), ""]


def _absent(document: dict[str, Any], safe: Callable[[str], str]) -> list[str]:
    if not document["absent"]:
        return []
    return [
        "### Rows that are not there", "",
        *(f"- {safe(a['name'])}: {safe(a['reason'])}" for a in document["absent"]), "",
    ]  # fmt: skip


# -- HTML ------------------------------------------------------------------------------------------


def as_html(document: dict[str, Any], command: str) -> str:
    """The whole report as one page: style and figures inside, nothing fetched."""
    title = f"{document['dataset']}: comparison"
    first, *rest = sentences(document)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(first)}</p>',
        *(f"<p>{escape(text)}</p>" for text in rest),
        f"<pre>{escape(command)}</pre>",
        _section("Leak checks", _list([f"{c['name']}: {c['found']}" for c in document["checks"]])),
        _section("What was compared", _list(facts_of_run(document))),
        _section("Rows", _figures(document, "rows") + _tables(metric_tables(document), named=True)),
    ]
    if document["absent"]:
        reasons = [f"{a['name']}: {a['reason']}" for a in document["absent"]]
        parts.append(_section("Rows that are not there", _list(reasons)))
    if trials := trials_found(document):
        parts.append(_section("What the trials found", _list(trials)))
    parts.append(_section("The paper's table", _tables([paper_table(document)])))
    if prefix := prefix_table(document):
        parts.append(_section("Unseen users, NDCG@10 by items shown", _tables([prefix])))
    parts += [
        _section(
            "Differences",
            _figures(document, "differences") + _tables([comparison_table(document)]),
        ),
        _section(
            "Slices", _figures(document, "slices") + _tables(slice_tables(document), named=True)
        ),
        _section("Lists of ten", _tables([list_table(document)])),
        _section(
            "Errors",
            _tables([miss_table(document)])
            + _list([f"{kind}: {words}" for kind, words in document["misses"].items()]),
        ),
        _section(
            "What the rows are",
            _list([f"{r['name']}: {r['what']} ({r['made of']})" for r in document["rows"]]),
        ),
    ]
    return _PAGE.format(title=escape(title), style=_STYLE, body="\n".join(parts))


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{content}</section>"


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _tables(tables: Sequence[Table], *, named: bool = False) -> str:
    found = []
    for title, columns, rows in tables:
        head = "".join(f'<th scope="col">{escape(c)}</th>' for c in columns)
        body = "".join(
            f'<tr><th scope="row">{escape(row[0])}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in rows
        )
        caption = f"<caption>{escape(title)}</caption>" if named else ""
        found.append(
            f'<div class="table" tabindex="0"><table>{caption}<thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )
    return "\n".join(found)


def _figures(document: dict[str, Any], which: str) -> str:
    from personarec.compare import plots

    try:
        if which == "rows":
            drawn = [plots.rows_figure(document)]
        elif which == "differences":
            drawn = [svg for svg in [plots.differences_figure(document)] if svg]
        else:
            drawn = [plots.slice_figure(document, s) for s in document["slices"]]
    except ChangeSomethingError as error:
        return f'<p class="note">{escape(str(error))}</p>'
    return "".join(f"<figure>{svg}</figure>" for svg in drawn) + (_KEY if drawn else "")


_KEY = (
    '<p class="key"><span class="plain">neither facts nor personas</span> '
    '<span class="facts">with facts</span> <span class="persona">with personas</span> '
    '<span class="control">control: says nothing by design</span></p>'
)
_STYLE = """
:root { color-scheme: light dark;
  --page: #fbfaf8; --text: #1f2328; --faint: #626a73; --line: #dcdad5; --box: #f1efea;
  --plain: #2f6f9f; --facts: #b4541f; --persona: #6b4fa0; --control: #9aa0a6; }
@media (prefers-color-scheme: dark) { :root {
  --page: #16181b; --text: #e6e4df; --faint: #9aa1a9; --line: #34383d; --box: #1f2226;
  --plain: #74b3e0; --facts: #e8955c; --persona: #b39ae6; --control: #777d84; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 60rem; background: var(--page);
  color: var(--text); font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
.lead { font-size: 1.1rem; }
pre { background: var(--box); padding: .75rem 1rem; overflow-x: auto; border-radius: .4rem; }
ul { padding-left: 1.2rem; } li { margin: .2rem 0; }
.table { overflow-x: auto; margin: 1rem 0 1.5rem; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap;
  text-align: right; }
thead th { color: var(--faint); font-weight: 500; }
tbody th, thead th:first-child { text-align: left; font-weight: 500; position: sticky; left: 0;
  background: var(--page); white-space: normal; min-width: 7.5rem; }
figure { margin: 1rem 0; }
figure svg { width: 100%; max-width: 42rem; height: auto; display: block; }
.key span { margin-right: 1rem; font-size: .85rem; white-space: nowrap; }
.key span::before { content: "●"; margin-right: .35rem; }
.key .plain::before { color: var(--plain); } .key .facts::before { color: var(--facts); }
.key .persona::before { color: var(--persona); } .key .control::before { color: var(--control); }
.note { color: var(--faint); }
@media print { .table { overflow: visible; } }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
