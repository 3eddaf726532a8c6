"""The map of personas as a picture: SVG, a page of HTML around it, or PNG.

Readers are dots in the colour of their strongest prototype, prototypes are names. The SVG follows
the viewer's light or dark scheme; the PNG has a light ground, which is readable on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kg.errors import ChangeSomethingError
from kg.views.prototypes import Place, StoredPrototype

WIDTH, HEIGHT = 1200, 860
MARGIN, TOP = 40, 84
FONT, SMALL = 17, 14
LINE = 19
"""Height of a line of a name."""
FAR = 60
"""A name that others push further away gets a line to its readers."""
COLOURS = (
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#9c6ade", "#17a2a2", "#c98a00", "#d4679c",
    "#8c6d4f", "#6b8e23", "#3b9ddd", "#b5523b", "#5c6bc0", "#00a36c", "#c2185b", "#7f8c8d",
    "#ad8a3c", "#2e8b8b", "#a35fb4", "#e0775a",
)  # fmt: skip
"""Of middle lightness, so that they are seen on white and on black."""
_STYLE = """
svg{background:#fff;--ink:#1b1f24;--soft:#5a6470;--halo:#fff;font-family:system-ui,sans-serif}
@media(prefers-color-scheme:dark){svg{background:#14171b;--ink:#f2f4f7;--soft:#a8b1bd;--halo:#14171b}}
text{fill:var(--ink);stroke:var(--halo);stroke-width:4px;stroke-linejoin:round;paint-order:stroke}
.small{fill:var(--soft)}
circle{fill-opacity:.85;stroke:var(--halo);stroke-width:.4px}
line{stroke:var(--soft);stroke-width:1px}
""".strip()


@dataclass(frozen=True)
class Label:
    """A prototype's name on the map, in pixels.

    Attributes:
        lines: the name, cut at its dots, and the number of readers.
        colour: of the prototype.
        x: middle.
        y: top.
        anchor: where its readers are.
        moved: whether other names pushed it away from there.
    """

    lines: tuple[str, ...]
    colour: str
    x: float
    y: float
    anchor: tuple[float, float]
    moved: bool = False

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.y + LINE * len(self.lines)


@dataclass(frozen=True)
class Drawing:
    """What is on the map, in pixels.

    Attributes:
        title: the line above.
        note: the line below.
        users: their keys.
        xy: float64, shape (n_users, 2).
        group: int64, shape (n_users,), place of each user's prototype among the labels.
        labels: names.
    """

    title: str
    note: str
    users: tuple[str, ...]
    xy: NDArray[np.float64]
    group: NDArray[np.int64]
    labels: tuple[Label, ...]

    @property
    def radius(self) -> float:
        """Of a dot: smaller where there are many."""
        return float(np.clip(70 / np.sqrt(max(len(self.users), 1)), 1.3, 5))


def draw(dataset: str, places: Sequence[Place], prototypes: Sequence[StoredPrototype]) -> Drawing:
    """Lay out a map.

    Args:
        dataset: name, for the title.
        places: users on the map.
        prototypes: all that ``places`` name.
    """
    number = {p.id: i for i, p in enumerate(prototypes)}
    xy = _pixels(np.array([(p.x, p.y) for p in places]))
    anchors = _pixels(np.array([p.place for p in prototypes]))
    group = np.array([number[p.prototype] for p in places], np.int64)
    labels = []
    for place, (prototype, colour) in enumerate(zip(prototypes, _colours(), strict=False)):
        lines = (*prototype.name.split(" · "), f"{prototype.size} readers")
        x, y = anchors[place].tolist()
        height = LINE * len(lines)
        top = y - height / 2
        own = xy[group == place]
        if len(own):
            (left, upper), (right, lower) = np.quantile(own, (0.05, 0.95), axis=0).tolist()
            # A small group would vanish under its name.
            if _width(lines) * height > 0.25 * (right - left) * (lower - upper):
                top = lower + 6 if lower + height < HEIGHT - MARGIN / 2 else upper - height - 6
        labels.append(Label(lines, colour, x, top, (x, y)))
    return Drawing(
        f"Personas of {dataset}: {len(places)} readers, {len(prototypes)} prototypes",
        "Near is alike; how far apart distant groups are says nothing.",
        tuple(p.user for p in places),
        xy,
        group,
        _apart(labels),
    )


def write_picture(drawing: Drawing, path: Path) -> None:
    """Write a map as the file's name says: .svg, .html or .png.

    Raises ChangeSomethingError for another ending, or for PNG where matplotlib is not installed.
    """
    kind = path.suffix.lower()
    if kind == ".png":
        _write_png(drawing, path)
    elif kind == ".svg":
        path.write_text(svg(drawing), "utf-8")
    elif kind in (".html", ".htm"):
        path.write_text(_page(drawing), "utf-8")
    else:
        raise ChangeSomethingError(f"{path}: a map is written as .svg, .html or .png; rename it")


def svg(drawing: Drawing, *, told: bool = False) -> str:
    """The map as SVG; with ``told`` each dot says whose it is when pointed at."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(drawing.title)}</title><style>{_STYLE}</style>",
        f'<text x="{MARGIN}" y="40" font-size="22" font-weight="600">'
        f"{escape(drawing.title)}</text>",
        f'<text class="small" x="{MARGIN}" y="64" font-size="{SMALL}">'
        f"{escape(drawing.note)}</text>",
    ]
    for place, label in enumerate(drawing.labels):
        parts.append(f'<g fill="{label.colour}">')
        for user in np.flatnonzero(drawing.group == place).tolist():
            x, y = drawing.xy[user]
            says = f"<title>{escape(drawing.users[user])}</title>" if told else ""
            dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{drawing.radius:.1f}"'
            parts.append(f"{dot}>{says}</circle>" if says else f"{dot}/>")
        parts.append("</g>")
    for label in drawing.labels:
        if label.moved:
            (x, y), end = label.anchor, _edge(label)
            parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{label.x:.1f}" y2="{end:.1f}"/>')
    for label in drawing.labels:
        for number, line in enumerate(label.lines):
            first, last = number == 0, number == len(label.lines) - 1
            size = FONT if first else SMALL
            style = ' font-weight="600"' if first else ' class="small"' if last else ""
            parts.append(
                f'<text x="{label.x:.1f}" y="{label.y + LINE * (number + 0.8):.1f}" '
                f'font-size="{size}" text-anchor="middle"{style}>{escape(line)}</text>'
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _page(drawing: Drawing) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(drawing.title)}</title>"
        "<style>body{margin:0}svg{width:100vw;height:100vh;display:block}</style></head>\n<body>"
        f"{svg(drawing, told=True)}</body></html>\n"
    )


def _write_png(drawing: Drawing, path: Path) -> None:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patheffects import withStroke
    except ModuleNotFoundError as error:
        raise ChangeSomethingError(
            f"{path}: a map as PNG needs matplotlib; pip install matplotlib, or write .svg"
        ) from error
    dpi = 100
    figure = Figure((WIDTH / dpi, HEIGHT / dpi), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    axes.set_axis_off()
    colours = [drawing.labels[g].colour for g in drawing.group]
    points = (2 * drawing.radius * 72 / dpi) ** 2
    x, y = drawing.xy[:, 0], drawing.xy[:, 1]
    axes.scatter(x, y, s=points, c=colours, alpha=0.75, linewidths=0.3, edgecolors="white")
    halo = [withStroke(linewidth=3, foreground="white")]
    scale = 72 / dpi
    axes.text(MARGIN, 40, drawing.title, size=22 * scale, weight="bold", color="#1b1f24")
    axes.text(MARGIN, 64, drawing.note, size=SMALL * scale, color="#5a6470")
    for label in drawing.labels:
        if label.moved:
            from_x, from_y = label.anchor
            axes.plot([from_x, label.x], [from_y, _edge(label)], color="#5a6470", linewidth=0.8)
    for label in drawing.labels:
        for number, line in enumerate(label.lines):
            first, last = number == 0, number == len(label.lines) - 1
            axes.text(
                label.x,
                label.y + LINE * (number + 0.8),
                line.replace("$", r"\$"),
                size=(FONT if first else SMALL) * scale,
                weight="bold" if first else "normal",
                color="#5a6470" if last else "#1b1f24",
                ha="center",
                path_effects=halo,
            )
    # Without the library's version in it: the same map is the same file.
    figure.savefig(path, dpi=dpi, metadata={"Software": None})


def _colours() -> list[str]:
    return list(COLOURS) * 50  # more prototypes than colours share them


def _pixels(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """From -1…1 to the frame, y upwards."""
    x = MARGIN + (places[:, 0] + 1) / 2 * (WIDTH - 2 * MARGIN)
    y = TOP + (1 - places[:, 1]) / 2 * (HEIGHT - TOP - MARGIN)
    return np.stack((x, y), axis=1)


def _edge(label: Label) -> float:
    """The edge of a label that a line from its readers ends at."""
    return label.y if label.anchor[1] < label.y else label.bottom


def _width(lines: Sequence[str]) -> float:
    """About how wide a name is: a letter of a sans serif face is a little over half its height."""
    return 0.58 * max(len(x) * (FONT if i == 0 else SMALL) for i, x in enumerate(lines))


def _apart(labels: Sequence[Label]) -> tuple[Label, ...]:
    """Labels moved until none covers another, each as near to its readers as may be."""
    if not labels:
        return ()
    half = np.array([(_width(x.lines) / 2, LINE * len(x.lines) / 2 + 3) for x in labels])
    home = np.array([(label.x, label.y + half_y - 3) for label, (_, half_y) in zip(
        labels, half.tolist(), strict=True)])  # fmt: skip
    centre = home.copy()
    low = np.array([MARGIN / 2, TOP]) + half
    high = np.array([WIDTH - MARGIN / 2, HEIGHT - MARGIN / 2]) - half
    for step in range(600):
        pull = 0.02 if step < 500 else 0.0  # at the end only the overlaps count
        centre += pull * (home - centre)
        for a in range(len(labels)):
            for b in range(a):
                gap = np.abs(centre[a] - centre[b]) - (half[a] + half[b])
                if (gap < 0).all():
                    axis = int(gap[1] >= gap[0])
                    sign = 1 if (centre[a, axis], a) >= (centre[b, axis], b) else -1
                    centre[a, axis] -= sign * gap[axis] / 2
                    centre[b, axis] += sign * gap[axis] / 2
        centre = np.clip(centre, low, high)
    far = np.abs(centre - home).max(axis=1) > FAR
    return tuple(
        replace(label, x=float(x), y=float(y - half_y + 3), moved=bool(moved))
        for label, (x, y), (_, half_y), moved in zip(labels, centre, half, far, strict=True)
    )
