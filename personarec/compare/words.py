"""The sentences at the top of a report, made of its figures."""

from __future__ import annotations

from typing import Any


def figure(value: float, digits: int = 4) -> str:
    """A share without its leading zero: .0613; −.0012."""
    text = f"{abs(value):.{digits}f}".removeprefix("0")
    return f"−{text}" if value < 0 and float(text) else text


def signed(value: float, digits: int = 4) -> str:
    """With its sign: +.0031."""
    text = figure(value, digits)
    return text if text.startswith("−") else f"+{text}"


def interval(found: dict[str, Any]) -> str:
    """Mean and interval: +.0031 [+.0011, +.0052]."""
    return f"{signed(found['mean'])} [{signed(found['low'])}, {signed(found['high'])}]"


def verdict(found: dict[str, Any]) -> str:
    """What a comparison says, corrected for how many were made."""
    if found["holm"] < 0.05:
        return "clear" if found["mean"] > 0 else "clear, and for the worse"
    if found["low"] > 0 or found["high"] < 0:
        return "its own interval excludes 0, but not after correction for all comparisons"
    return "not to be told from nothing"


def sentences(document: dict[str, Any]) -> list[str]:
    """What personas and the graph add over the best retriever without them, and on whom."""
    rows = {row["name"]: row for row in document["rows"]}
    chosen = document["chosen"]
    if not chosen["plain"]:
        return ["No row without facts and personas was asked for: there is nothing to add to."]
    plain = rows[chosen["plain"]]
    refitted = "refitted on validation" if document["refit"] else "not refitted"
    found = [
        f"{document['users']} users of {document['dataset']}, {document['split']}, {refitted}, "
        f"{document['seeds']} seed{'s' if document['seeds'] > 1 else ''}: the best retriever that "
        f"knows neither facts nor personas, chosen on validation, is ‘{plain['name']}’, with "
        f"HR@10 {figure(plain['HR@10'])} and NDCG@10 {figure(plain['NDCG@10'])}."
    ]
    if chosen["facts"]:
        found += _what_it_adds(document, "The facts of the graph", chosen["facts"], plain["name"])
    else:
        found.append("No row with facts is there.")
    if chosen["persona"]:
        against = chosen["without"]
        found += _what_it_adds(document, "Dense personas", chosen["persona"], against)
    else:
        found.append("No row with a dense persona is there.")
    return found


def _what_it_adds(document: dict[str, Any], what: str, row: str, against: str) -> list[str]:
    pairs = {(c["row"], c["against"]): c for c in document["comparisons"]}
    if row == against or (row, against) not in pairs:
        return []
    found = pairs[row, against]
    share = found["NDCG@10"]["share"]
    text = (
        f"{what}, in ‘{row}’ against ‘{against}’: NDCG@10 {interval(found['NDCG@10'])}"
        + (f", {share:+.1%}".replace("-", "−") if share is not None else "")
        + f" ({verdict(found['NDCG@10'])}); HR@10 {interval(found['HR@10'])}, "
        f"{found['HR@10']['better']} users better and {found['HR@10']['worse']} worse "
        f"({verdict(found['HR@10'])})."
    )
    controls = [
        f"against its control ‘{other}’ {interval(c['NDCG@10'])} ({verdict(c['NDCG@10'])})"
        for (name, other), c in pairs.items()
        if name == row and other != against and _is_control(document, other)
    ]
    if controls:
        text += f" NDCG@10 {'; '.join(controls)}."
    return [text, *_where(document, row, against)]


def _is_control(document: dict[str, Any], name: str) -> bool:
    return any(r["name"] == name and r["control"] for r in document["rows"])


def _where(document: dict[str, Any], row: str, against: str) -> list[str]:
    """The parts in which a difference shows, by intervals of their own."""
    better, worse = [], []
    for slicing in document["slices"]:
        for part in slicing["parts"]:
            for d in part.get("differences", ()):
                if (d["row"], d["against"]) != (row, against):
                    continue
                text = f"{slicing['name']} {part['label']} ({part['users']} users): {interval(d)}"
                if d["low"] > 0:
                    better.append(text)
                elif d["high"] < 0:
                    worse.append(text)
    said = []
    if better:
        said.append(f"It shows on: {'; '.join(better)} (NDCG@10, not corrected).")
    if worse:
        said.append(f"It harms on: {'; '.join(worse)} (NDCG@10, not corrected).")
    return said or ["It shows on no slice of users or targets by itself."]
