"""What went wrong, grouped by reason."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, distinct, func, select

from projections.reports.scope import Scope
from projections.shipped.failures import FAILURES
from projections.times import moment


class Failure(NamedTuple):
    """A reason for which something failed: how often, in how many instances, and the stream of the newest of them, to look at."""

    process: str
    kind: str
    step: str
    reason: str
    times: int
    instances: int
    first: datetime
    last: datetime
    example: str


def failures(connection: Connection, scope: Scope) -> list[Failure]:
    """Reasons by process, the most frequent first."""
    f = FAILURES.c
    what = (f.process, f.kind, f.step, f.reason)
    newest = func.max(f.position).label("newest")
    query = select(*what, func.count(), func.count(distinct(f.instance)), func.min(f.failed), func.max(f.failed), newest)
    *counted, at = scope.of(query, FAILURES, f.failed).group_by(*what).subquery().c
    found = connection.execute(select(*counted, f.instance).where(f.position == at))
    rows = [Failure._make([*row[:-3], moment(row[-3]), moment(row[-2]), row[-1]]) for row in found]
    return sorted(rows, key=lambda row: (row.process, -row.times, row))
