"""What had to be undone, and why."""

from collections import Counter
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, select

from projections.reports.quantiles import quantiles
from projections.reports.scope import Scope
from projections.shipped.commands import COMMANDS
from projections.shipped.failures import FAILURES, UNDO_SKIPPED
from projections.shipped.instances import INSTANCES, in_life


class Compensated(NamedTuple):
    """A reason to compensate: lives of instances by how far they are (the others were cancelled meanwhile), their undo commands, what
    an operator let stay undone, and how long it took those that are through."""

    process: str
    reason: str
    instances: int
    compensated: int
    under_way: int
    failed: int
    undo_commands: int
    undos_skipped: int
    median: timedelta | None
    p90: timedelta | None


Lives = Counter[tuple[str, int]]
"""Counts by instance and past."""


class _Member(NamedTuple):
    life: tuple[str, int]  # instance and past
    status: str
    took: int | None  # microseconds


_UNDONE = COMMANDS.alias()
"""The first command of what is undone."""


def compensations(connection: Connection, scope: Scope) -> list[Compensated]:
    """Reasons by process, the most frequent first."""
    i = INSTANCES.c
    query = select(i.process, i.compensation, i.instance, i.past, i.status, i.ended - i.compensating_since)
    groups: dict[tuple[str, str], list[_Member]] = {}
    for process, reason, *life, status, took in connection.execute(scope.instances(query.where(i.compensating_since.is_not(None)))):
        groups.setdefault((process, reason), []).append(_Member((life[0], life[1]), status, took))
    undone = and_(in_life(_UNDONE), _UNDONE.c.operation == COMMANDS.c.undoes, _UNDONE.c.attempt == 1)
    undos, skips = (_by_life(connection, where) for where in (undone, and_(in_life(FAILURES), FAILURES.c.kind == UNDO_SKIPPED)))
    rows = [_row(*key, members, undos, skips) for key, members in groups.items()]
    return sorted(rows, key=lambda row: (row.process, -row.instances, row.reason))


def _by_life(connection: Connection, where: ColumnElement[bool]) -> Lives:
    query = select(INSTANCES.c.instance, INSTANCES.c.past).where(where)
    return Counter((instance, past) for instance, past in connection.execute(query))


def _row(process: str, reason: str, members: list[_Member], undos: Lives, skips: Lives) -> Compensated:
    statuses = Counter(member.status for member in members)
    spans = [member.took for member in members if member.took is not None and member.status == "compensated"]
    took = quantiles(spans) if spans else None
    return Compensated(
        process, reason, len(members), statuses["compensated"], statuses["compensating"] + statuses["suspended"],
        statuses["compensation_failed"], sum(undos[member.life] for member in members),
        sum(skips[member.life] for member in members), took and took.median, took and took.p90,
    )  # fmt: skip
