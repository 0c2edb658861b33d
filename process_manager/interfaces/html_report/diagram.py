"""The process as a diagram: domain events as boxes, and how often one followed another on the arrows between them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import graphlay

from process_manager.core import readable
from process_manager.interfaces.html_report.colors import color
from projections.reports.flow import START, Follows

SHARE = 0.01
"""An arrow is drawn when at least this part of the instances took it, or when it is the most frequent to or from its box."""

MOST = 80
"""Of those that enough instances took, no more than the most frequent ones are drawn: nobody could follow them."""

_HEIGHT = 34
_LETTER = 7.2  # pixels, of 13 px text
_LONGEST = 42  # letters in a box
_WIDEST = 3.5


class Box(NamedTuple):
    """A domain event, or the start or an end, where the name stands in parentheses; x and y are its centre."""

    name: str
    x: float
    y: float
    width: float
    height: float
    kind: str  # event, start, or a status for an end

    @property
    def text(self) -> str:
        """The name as far as it has room."""
        return self.name if len(self.name) <= _LONGEST else self.name[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"

    @property
    def color(self) -> str:
        """The name of a variable of the style."""
        return color(self.kind, "soft")


class Arrow(NamedTuple):
    """A way from box to box as the path of an SVG, with the place for its number."""

    row: Follows
    path: str
    width: float
    x: float
    y: float

    @property
    def title(self) -> str:
        """What it says when one points at it."""
        after = f", on average after {readable.span(self.row.mean)}" if self.row.mean is not None else ""
        return (
            f"{self.row.source} \N{RIGHTWARDS ARROW} {self.row.target}: {self.row.times:,} times in {self.row.instances:,} instances{after}"
        )


class Diagram(NamedTuple):
    """Boxes and arrows in a frame of x, y, width and height; `left_out` are the pairs that are too rare to be drawn."""

    boxes: Sequence[Box]
    arrows: Sequence[Arrow]
    frame: tuple[float, float, float, float]
    left_out: Sequence[Follows]


def diagram(rows: Sequence[Follows]) -> Diagram:
    """The diagram of one process, from its rows, the most frequent first."""
    drawn = _worth_drawing(rows)
    names = list(dict.fromkeys(name for row in drawn for name in (row.source, row.target)))
    most = max(row.times for row in drawn)
    graph = graphlay.Graph()
    for name in names:
        graph.node(name, width=_width(name), height=_HEIGHT)
    for row in drawn:
        graph.edge(row.source, row.target, weight=row.times, label_size=[_LETTER * len(f"{row.times:,}") + 8, 18])
    found = graphlay.layout(graph, preset="process_map", options={"direction": "topbottom"})
    low, high = found.bounds["min"], found.bounds["max"]
    margin = 24
    return Diagram(
        [_box(name, node) for name, node in zip(names, found.nodes, strict=True)],
        [_arrow(row, edge, row.times / most) for row, edge in zip(drawn, found.edges, strict=True)],
        (low["x"] - margin, low["y"] - margin, high["x"] - low["x"] + 2 * margin, high["y"] - low["y"] + 2 * margin),
        [row for row in rows if row not in drawn],
    )


def _worth_drawing(rows: Sequence[Follows]) -> list[Follows]:
    """The frequent pairs, and for each box the most frequent way to it and from it."""
    instances = sum(row.instances for row in rows if row.source == START)
    to: dict[str, Follows] = {}
    from_: dict[str, Follows] = {}
    for row in rows:
        to.setdefault(row.target, row)
        from_.setdefault(row.source, row)
    frequent = [row for row in rows if row.instances >= SHARE * instances][:MOST]
    drawn = {*frequent, *to.values(), *from_.values()}
    return [row for row in rows if row in drawn]


def _width(name: str) -> float:
    return max(70.0, _LETTER * min(len(name), _LONGEST) + 24)


def _box(name: str, node: dict[str, Any]) -> Box:
    centre, size = node["center"], node["size"]
    kind = name[1:-1] if name.startswith("(") else "event"
    return Box(name, centre["x"], centre["y"], size["width"], size["height"], kind)


def _arrow(row: Follows, edge: dict[str, Any], part: float) -> Arrow:
    path = "M" + " L".join(f"{point['x']:.1f},{point['y']:.1f}" for point in edge["points"])
    place = edge.get("label_anchor") or edge["points"][len(edge["points"]) // 2]
    return Arrow(row, path, 1 + (_WIDEST - 1) * part, place["x"], place["y"])
