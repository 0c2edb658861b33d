"""Counts of what there is, and how instances ended."""

from collections import Counter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Table, func, literal, select

from projections.reports.scope import Scope
from projections.shipped.commands import COMMANDS
from projections.shipped.deadlines import DEADLINES
from projections.shipped.events import EVENTS
from projections.shipped.instances import INSTANCES, SHOWN_OUTCOME


class Count(NamedTuple):
    """How many: instances by status, events by type, outstanding commands by step, pending deadlines by name."""

    process: str
    what: str
    name: str
    number: int


class Outcome(NamedTuple):
    """How many instances of a process and version stand so; `share` of the process's."""

    process: str
    version: int
    status: str
    outcome: str
    instances: int
    share: float


def overview(connection: Connection, scope: Scope) -> list[Count]:
    """Counts by process, the largest of each sort first."""
    status = select(INSTANCES.c.process, literal("status"), INSTANCES.c.status, func.count())
    queries = [
        scope.instances(status).group_by(INSTANCES.c.process, INSTANCES.c.status),
        _counted(scope, EVENTS, "event", "type"),
        _counted(scope, COMMANDS, "outstanding", "step").where(COMMANDS.c.status == "outstanding"),
        _counted(scope, DEADLINES, "pending", "about"),
    ]
    counts = [(order, Count(*row)) for order, query in enumerate(queries) for row in connection.execute(query)]
    return [each for _, each in sorted(counts, key=lambda pair: (pair[1].process, pair[0], -pair[1].number, pair[1].name))]


def _counted(scope: Scope, table: Table, what: str, name: str) -> Select[Any]:
    query = select(table.c.process, literal(what), table.c[name], func.count())
    return scope.of(query, table).group_by(table.c.process, table.c[name])


def outcomes(connection: Connection, scope: Scope) -> list[Outcome]:
    """How instances ended, or stand; the most frequent first."""
    what = (INSTANCES.c.process, INSTANCES.c.version, INSTANCES.c.status, SHOWN_OUTCOME)
    found = connection.execute(scope.instances(select(*what, func.count())).group_by(*what)).all()
    totals: Counter[str] = Counter()
    for process, *_, count in found:
        totals[process] += count
    rows = [Outcome._make([*row, row[-1] / totals[row[0]]]) for row in found]
    return sorted(rows, key=lambda row: (row.process, -row.instances, row))
