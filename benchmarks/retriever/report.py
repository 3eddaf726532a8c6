"""What was measured as Markdown and as a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.retriever.ours import DEFAULTS, THEIR_SHAPE

SIDES = ("RecBole", DEFAULTS, THEIR_SHAPE)


def as_markdown(found: dict[str, Any]) -> str:
    """Tables of one run."""
    parts = []
    if speed := found.get("speed"):
        parts += [_epochs(speed), _quality(speed), _evaluation(speed)]
    if growth := found.get("growth"):
        parts.append(_growth(growth))
    return "\n".join(parts)


def draw(found: dict[str, Any], file: Path) -> None:
    """Quality over CPU seconds, and peak memory over interactions: what there is of them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    parts = [(found[name], panel) for name, panel in PANELS if name in found]
    figure, grid = pyplot.subplots(
        1, len(parts), figsize=(5 * len(parts), 4), layout="constrained", squeeze=False
    )
    for axes, (part, panel) in zip(grid[0], parts, strict=True):
        panel(axes, part)
        axes.legend(fontsize="small")
        axes.grid(alpha=0.3)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})


def _quality_panel(axes: Any, found: dict[str, Any]) -> None:
    for name, side in found["sides"].items():
        curve = side["curve"]
        axes.plot([p["cpu"] for p in curve], [p["ndcg"] for p in curve], marker=".", label=name)
    axes.set_xscale("log")
    axes.set(xlabel="CPU seconds, evaluations included", ylabel="validation NDCG@10")


def _memory_panel(axes: Any, found: list[dict[str, Any]]) -> None:
    rows = [m["interactions"] for m in found]
    for key, label, style in (
        ("table_of_scores_mib", "users × items in float32 (never made)", ":"),
        ("peak_mib", "peak", "-"),
        ("data_mib", "interpreter and data alone", "-"),
    ):
        axes.loglog(rows, [m[key] for m in found], style, marker="o", label=label)
    axes.set(xlabel="training interactions", ylabel="MiB")


def _seconds_panel(axes: Any, found: list[dict[str, Any]]) -> None:
    rows = [m["interactions"] for m in found]
    for key, label in (("epoch_cpu", "an epoch"), ("rank_cpu", "full ranking of all users")):
        axes.loglog(rows, [m[key] for m in found], marker="o", label=label)
    axes.set(xlabel="training interactions", ylabel="CPU seconds")


PANELS: tuple[tuple[str, Callable[[Any, Any], None]], ...] = (
    ("speed", _quality_panel),
    ("growth", _memory_panel),
    ("growth", _seconds_panel),
)


def _epochs(found: dict[str, Any]) -> str:
    theirs = found["epoch_cpu"]["RecBole"]
    lines = [
        f"An epoch ({found['targets']:,} targets); RecBole's from "
        f"{sum(p['batches'] for p in found['sides']['RecBole']['parts'])} batches, "
        f"{found['sides']['RecBole']['epochs']:.2f} epochs.",
        "",
        "| | CPU s an epoch | RecBole / it |",
        "|---|---|---|",
    ]
    for name in SIDES:
        mine = found["epoch_cpu"][name]
        lines.append(f"| {name} | {mine:.1f} | {theirs / mine:.1f} |")
    peak = found["sides"]["RecBole"]["parts"][-1]["peak_mib"]
    lines += ["", f"Peak resident memory of RecBole's process: {peak:,.0f} MiB."]
    return "\n".join(lines) + "\n"


def _quality(found: dict[str, Any]) -> str:
    curve = found["sides"]["RecBole"]["curve"]
    last, best = curve[-1], max(curve, key=lambda point: point["ndcg"])
    ended = "its own rule ended it" if found["recbole_stopped"] else "it would have gone on"
    lines = [
        f"CPU seconds to a validation NDCG@10, evaluations included. RecBole trained for "
        f"{last['cpu']:.0f} CPU s and {last['epochs']:.2f} epochs in {found['recbole_runs']} runs; "
        f"{ended}. Its best is {best['ndcg']:.4f}, after {best['epochs']:.2f} epochs: above that, "
        "its seconds are not known and ≥ is what it had spent.",
        "",
        "| NDCG@10 | ours | RecBole | ratio |",
        "|---|---|---|---|",
    ]
    for level in found["levels"]:
        mine, other, ratio = level["ours"], level["theirs"], level["ratio"]
        sign = "≥ " if level["at_least"] else ""
        lines.append(
            f"| {level['ndcg']:.4f} | {_seconds(mine)} | {_seconds(other)} | "
            f"{'–' if ratio is None else f'{sign}{ratio:.0f}'} |"
        )
    return "\n".join(lines) + "\n"


def _evaluation(found: dict[str, Any]) -> str:
    ranked = found["evaluation"]
    lines = ["Full ranking of the test users.", "", "| | CPU s | RecBole / it |", "|---|---|---|"]
    for title, group, names in (
        ("model and ranking", ranked["whole"], SIDES),
        ("ranking of the same scores", ranked["same_scores"], ("RecBole", "ours")),
    ):
        base = median(r["cpu"] for r in group["RecBole"])
        for name in names:
            mine = median(r["cpu"] for r in group[name])
            lines.append(f"| {title}, {name} | {mine:.2f} | {base / mine:.1f} |")
    same = {name: replies[0]["metrics"] for name, replies in ranked["same_scores"].items()}
    lines += ["", "| metrics of the same scores | RecBole | ours |", "|---|---|---|"]
    lines += [f"| {k} | {v:.9f} | {same['ours'][k]:.9f} |" for k, v in same["RecBole"].items()]
    blocks = ranked["blocks"]
    sizes = ", ".join(f"{size:,}" for size in blocks["sizes"])
    lines += [
        "",
        f"{ranked['same_scores']['ours'][0]['tied']} users' targets are tied with an odd number of "
        "items. Ranks of ours with blocks of "
        f"{sizes} users: {max(blocks['differing_users'])} of {blocks['users']:,} users differ from "
        f"the first, by {max(blocks['largest_difference'])} places at most.",
    ]
    return "\n".join(lines) + "\n"


def _growth(found: list[dict[str, Any]]) -> str:
    lines = [
        "An epoch and a full ranking of all users, ours; memory is the process's peak so far.",
        "",
        "| users | interactions | epoch, CPU s | ranking, CPU s | data MiB | trained MiB "
        "| peak MiB | users × items, MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for m in found:
        cells = [
            m["users"], m["interactions"], m["epoch_cpu"], m["rank_cpu"], m["data_mib"],
            m["trained_mib"], m["peak_mib"], m["table_of_scores_mib"],
        ]  # fmt: skip
        lines.append("| " + " | ".join(f"{cell:,.0f}" for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _seconds(value: float | None) -> str:
    return "not reached" if value is None else f"{value:.1f}"
