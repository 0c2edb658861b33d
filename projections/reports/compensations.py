"""What had to be undone, and why."""

from collections import Counter
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection, select

from projections.reports.quantiles import quantiles
from projections.reports.scope import Scope
from projections.shipped.commands import COMMANDS
from projections.shipped.failures import FAILURES, UNDO_SKIPPED
from projections.shipped.instances import INSTANCES


class Compensated(NamedTuple):
    """A reason to compensate: instances by how far they are (the others were cancelled meanwhile), their undo commands, what
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


class _Member(NamedTuple):
    instance: str
    status: str
    took: int | None  # microseconds


def compensations(connection: Connection, scope: Scope) -> list[Compensated]:
    """Reasons by process, the most frequent first."""
    i = INSTANCES.c
    query = select(i.process, i.compensation, i.instance, i.status, i.ended - i.compensating_since)
    groups: dict[tuple[str, str], list[_Member]] = {}
    for process, reason, *rest in connection.execute(scope.instances(query.where(i.compensating_since.is_not(None)))):
        groups.setdefault((process, reason), []).append(_Member(*rest))
    undone = Counter(connection.scalars(select(COMMANDS.c.instance).where(COMMANDS.c.undoes != "")))
    skipped = Counter(connection.scalars(select(FAILURES.c.instance).where(FAILURES.c.kind == UNDO_SKIPPED)))
    rows = [_row(*key, members, undone, skipped) for key, members in groups.items()]
    return sorted(rows, key=lambda row: (row.process, -row.instances, row.reason))


def _row(process: str, reason: str, members: list[_Member], undone: Counter[str], skipped: Counter[str]) -> Compensated:
    statuses = Counter(member.status for member in members)
    spans = [member.took for member in members if member.took is not None and member.status == "compensated"]
    took = quantiles(spans) if spans else None
    return Compensated(
        process, reason, len(members), statuses["compensated"], statuses["compensating"] + statuses["suspended"],
        statuses["compensation_failed"], sum(undone[member.instance] for member in members),
        sum(skipped[member.instance] for member in members), took and took.median, took and took.p90,
    )  # fmt: skip
