"""How many instances start and end in each period of time, and how many are open at its end."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import NamedTuple

from sqlalchemy import Column, Connection, func, select

from projections.reports.scope import Scope
from projections.shipped.instances import INSTANCES
from projections.times import micros, moment

MOST = 200
"""Periods in a timeline; they are made longer before there are more."""

_DAY = 86_400_000_000
_LENGTHS = (60_000_000, 600_000_000, 3_600_000_000, _DAY, 7 * _DAY, 28 * _DAY, 364 * _DAY)
_MONDAY = micros(datetime(1, 1, 1, tzinfo=UTC))  # weeks begin on Mondays, and no number of a period is negative


class Period(NamedTuple):
    """What happened in a span of time that begins at `since`; `open` at its end are those that have started and not ended."""

    process: str
    since: datetime
    length: timedelta
    started: int
    ended: int
    open: int


def timeline(connection: Connection, scope: Scope) -> list[Period]:
    """Periods by process, the earliest first, those in which nothing happened too; of one length, from a minute to a year of 52 weeks."""
    i = INSTANCES.c
    span = select(func.min(i.started), func.max(func.coalesce(i.ended, i.started)))
    first, last = connection.execute(scope.instances(span)).one()
    if first is None:
        return []
    length = next((each for each in _LENGTHS if (last - first) // each < MOST - 1), _LENGTHS[-1])
    started, ended = (_counted(connection, scope, time, length) for time in (i.started, i.ended))
    numbers = range((first - _MONDAY) // length, (last - _MONDAY) // length + 1)
    processes = sorted({process for process, _ in started})
    return [row for process in processes for row in _periods(process, numbers, length, started, ended)]


def _counted(connection: Connection, scope: Scope, time: "Column[int]", length: int) -> Counter[tuple[str, int]]:
    """How many by process and number of the period."""
    number = (time - _MONDAY) // length
    query = select(INSTANCES.c.process, number, func.count()).where(time.is_not(None)).group_by(INSTANCES.c.process, number)
    return Counter({(process, at): count for process, at, count in connection.execute(scope.instances(query))})


def _periods(process: str, numbers: range, length: int, started: Counter[tuple[str, int]], ended: Counter[tuple[str, int]]) -> list[Period]:
    pairs = [(started[process, at], ended[process, at]) for at in numbers]
    still_open = accumulate(new - gone for new, gone in pairs)
    return [
        Period(process, moment(at * length + _MONDAY), timedelta(microseconds=length), new, gone, left)
        for at, (new, gone), left in zip(numbers, pairs, still_open, strict=True)
    ]
