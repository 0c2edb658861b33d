"""Which domain event follows which: the process as the log shows it."""

from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, literal, select

from projections.reports.scope import Scope
from projections.shipped.events import EVENTS
from projections.shipped.instances import INSTANCES

START = "(start)"
"""What the first event of an instance follows. Its last one is followed by its status, in parentheses too."""


class Follows(NamedTuple):
    """That `target` came next after `source`: how often, in how many instances, and how long after it on average."""

    process: str
    source: str
    target: str
    times: int
    instances: int
    mean: timedelta | None  # of what happened; none before the first event and after the last


def flow(connection: Connection, scope: Scope) -> list[Follows]:
    """Pairs by process, the most frequent first. Events are in the order of their own time, then of the log."""
    each = _neighbours(scope).subquery().c
    count = (func.count(), func.count(func.distinct(each.instance)))
    target = func.coalesce(each.following, literal("(") + each.status + ")")
    pairs = select(each.process, each.type, target, *count, func.avg(each.later - each.happened)).group_by(each.process, each.type, target)
    starts = select(each.process, literal(START), each.type, *count).where(each.number == 1).group_by(each.process, each.type)
    rows = [Follows._make([*row[:-1], _span(row[-1])]) for row in connection.execute(pairs)]
    rows += [Follows._make([*row, None]) for row in connection.execute(starts)]
    return sorted(rows, key=lambda row: (row.process, -row.times, row.source, row.target))


def _neighbours(scope: Scope) -> Select[Any]:
    """Every event with the one that comes next in its instance."""
    e = EVENTS.c
    window: dict[str, Any] = {"partition_by": e.instance, "order_by": (e.happened, e.position)}
    return scope.of(
        select(
            e.process,
            e.instance,
            e.type,
            e.happened,
            INSTANCES.c.status.label("status"),
            func.lead(e.type).over(**window).label("following"),
            func.lead(e.happened).over(**window).label("later"),
            func.row_number().over(**window).label("number"),
        ).where(e.instance == INSTANCES.c.instance),
        EVENTS,
    )


def _span(mean: float | None) -> timedelta | None:
    return None if mean is None else timedelta(microseconds=round(mean))
