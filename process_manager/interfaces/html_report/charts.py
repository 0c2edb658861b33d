"""Charts in the grammar of Vega-Lite, drawn as SVG. Colours are variables of the page's style, so that they follow light and dark."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import vl_convert
from markupsafe import Markup

from process_manager.core import readable
from projections.reports.durations import Duration
from projections.reports.timeline import Period

Json = dict[str, Any]

MOST = 12
"""Bars in a chart; the table has the rest."""

_LABELS, _WIDE, _NARROW = 260, 960, 620
"""Pixels: of the labels of bars, longer ones are cut; of a chart without and with such labels."""

_MIN, _HOUR, _DAY = 60, 3_600, 86_400
_TICKS = [0, 1, 10, _MIN, 10 * _MIN, _HOUR, 6 * _HOUR, _DAY, 7 * _DAY, 30 * _DAY, 100 * _DAY, 365 * _DAY, 1_000 * _DAY, 3_650 * _DAY]
_TICK_LABEL = (
    f"datum.value < {_MIN} ? datum.value + ' s' : datum.value < {_HOUR} ? datum.value / {_MIN} + ' min' : "
    f"datum.value < {_DAY} ? datum.value / {_HOUR} + ' h' : format(datum.value / {_DAY}, ',d') + ' d'"
)
_WHOLE = {"labelExpr": "datum.value % 1 ? '' : format(datum.value, ',d')"}
_HOURS, _DAYS, _MONTHS = "%H:%M", "%d %b", "%b %Y"
_TIMES = {
    "milliseconds": "%H:%M:%S", "seconds": "%H:%M:%S", "minutes": _HOURS, "hours": _HOURS, "day": _DAYS, "date": _DAYS, "week": _DAYS,
    "month": _MONTHS, "quarter": _MONTHS, "year": "%Y",
}  # fmt: skip
_NAMED: Json = {
    "field": "label", "type": "nominal", "sort": None, "title": None,
    "axis": {"ticks": False, "domain": False, "labelPadding": 6, "minExtent": 1.2 * _LABELS, "maxExtent": 1.2 * _LABELS},
}  # fmt: skip
"""A row for each label; with room for a font that is wider than the one measured."""
_CONFIG: Json = {
    "background": None,
    "font": "Arial, Helvetica, sans-serif",  # what it measures, most machines have
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--soft)", "titleColor": "var(--soft)", "gridColor": "var(--line)", "domainColor": "var(--line)",
        "tickColor": "var(--line)", "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": _LABELS,
    },
    "legend": {"labelColor": "var(--ink)", "symbolFillColor": "var(--ink)", "labelFontSize": 12, "orient": "top", "title": None},
    "text": {"color": "var(--ink)", "fontSize": 12},
}  # fmt: skip


def bars(rows: Iterable[tuple[str, int, str]], title: str) -> Markup:
    """Horizontal bars in the order given, the first MOST of them; each is a label, a number and the name of a colour. Empty of no bars."""
    added: dict[tuple[str, str], int] = {}
    for label, number, color in rows:
        added[label, color] = added.get((label, color), 0) + number
    if not added:
        return Markup()
    values = [
        {"label": label, "number": number, "color": f"var(--{color})", "text": f"{number:,}"}
        for (label, color), number in islice(added.items(), MOST)
    ]
    own_color = {"color": {"field": "color", "type": "nominal", "scale": None}}
    return _svg({
        "data": {"values": values},
        "width": _NARROW,
        "height": {"step": 26},
        "encoding": {
            "y": _NAMED,
            "x": {"field": "number", "type": "quantitative", "title": title, "axis": {"tickCount": 5, **_WHOLE}},
        },
        "layer": [
            {"mark": {"type": "bar", "height": 18}, "encoding": own_color},
            {"mark": {"type": "text", "align": "left", "dx": 4}, "encoding": {"text": {"field": "text"}}},
        ],
    })  # fmt: skip


def lines(periods: Sequence[Period]) -> Markup:
    """What started and ended in each period, and below it what was open at its end."""
    last = periods[-1]
    values = [
        {"at": each.since.timestamp() * 1000, "started": each.started, "ended": each.ended, "open": each.open}
        for each in (*periods, last._replace(since=last.since + last.length))  # the last step ends, too
    ]
    time = {"field": "at", "type": "temporal", "scale": {"type": "utc"}, "title": None, "axis": {"format": _TIMES, "labelOverlap": True}}
    number = {"type": "quantitative", "axis": {"tickCount": 4, "minExtent": 60, **_WHOLE}}
    colors = {"domain": ["started", "ended"], "range": ["var(--bar)", "var(--compensated)"]}
    dashes = {"domain": ["started", "ended"], "range": [[1, 0], [6, 3]]}
    return _svg({
        "data": {"values": values},
        "vconcat": [
            {
                "width": _WIDE - 60,
                "height": 150,
                "transform": [{"fold": ["started", "ended"], "as": ["what", "number"]}],
                "mark": {"type": "line", "strokeWidth": 2, "interpolate": "step-after"},
                "encoding": {
                    "x": time,
                    "y": {**number, "field": "number", "title": f"in each {readable.span(periods[0].length)}"},
                    "color": {"field": "what", "type": "nominal", "scale": colors},
                    "strokeDash": {"field": "what", "type": "nominal", "scale": dashes},
                },
            },
            {
                "width": _WIDE - 60,
                "height": 90,
                "mark": {"type": "area", "color": "var(--bar)", "opacity": 0.35, "interpolate": "step-after"},
                "encoding": {"x": time, "y": {**number, "field": "open", "title": "open"}},
            },
        ],
    })  # fmt: skip


def spans(rows: Sequence[Duration]) -> Markup:
    """Median, 90th and 99th percentile of each step, on a scale that begins at nothing and then grows by powers."""
    values = [
        {
            "label": f"{row.step or 'whole process'}: {row.status}", "median": row.median.total_seconds(), "p90": row.p90.total_seconds(),
            "p99": row.p99.total_seconds(),
        }
        for row in rows
    ]  # fmt: skip
    longest = max(row.p99.total_seconds() for row in rows)
    ticks = [tick for tick in _TICKS if tick <= max(longest, 1) * 1.5]
    axis = {"values": ticks, "labelExpr": _TICK_LABEL, "labelOverlap": "greedy"}
    x = {"type": "quantitative", "title": None, "axis": axis, "scale": {"type": "symlog", "domainMin": 0}}
    quantiles = ["median", "p90", "p99"]
    shapes = {"domain": quantiles, "range": ["circle", "diamond", "triangle-right"]}
    return _svg({
        "data": {"values": values},
        "width": _NARROW,
        "height": {"step": 26},
        "encoding": {"y": _NAMED},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 4, "opacity": 0.35, "color": "var(--bar)"},
                "encoding": {"x": {**x, "field": "median"}, "x2": {"field": "p99"}},
            },
            {
                "transform": [{"fold": quantiles, "as": ["quantile", "span"]}],
                "mark": {"type": "point", "filled": True, "size": 70, "color": "var(--bar)", "opacity": 1},
                "encoding": {
                    "x": {**x, "field": "span"},
                    "shape": {"field": "quantile", "type": "nominal", "scale": shapes},
                },
            },
        ],
    })  # fmt: skip


def _svg(spec: Json) -> Markup:
    svg = vl_convert.vegalite_to_svg({**spec, "config": _CONFIG}, allowed_base_urls=[])
    return Markup(svg)  # noqa: S704  Vega escapes the texts that it writes; a test looks
