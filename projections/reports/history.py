"""What the sequence of a life's domain events tells: variants, and the time from the first to the last."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, func, select

from projections.reports.quantiles import quantiles
from projections.reports.scope import Scope
from projections.shipped.events import EVENTS
from projections.shipped.instances import INSTANCES, in_life


class Variant(NamedTuple):
    """A sequence of domain events, and how many instances went this way; `share` of the process's."""

    process: str
    instances: int
    share: float
    events: tuple[str, ...]


class Throughput(NamedTuple):
    """The time from the first to the last domain event of an instance, running ones included."""

    process: str
    instances: int
    events: int
    median: timedelta
    p90: timedelta
    p99: timedelta
    longest: timedelta


def variants(connection: Connection, scope: Scope) -> list[Variant]:
    """Variants by process, the most frequent first. Events are in the order of their own time, then of the log."""
    counts = Counter(
        (events[0][0].partition("-")[0], tuple(type_ for *_, type_ in events)) for events in histories(connection, scope, EVENTS.c.type)
    )
    totals: Counter[str] = Counter()
    for (process, _), count in counts.items():
        totals[process] += count
    rows = [Variant(process, count, count / totals[process], events) for (process, events), count in counts.items()]
    return sorted(rows, key=lambda row: (row.process, -row.instances, row.events))


def histories(connection: Connection, scope: Scope, *columns: "Column[Any]") -> Iterator[Sequence[Any]]:
    """The events of each life, in the order of their own time, then of the log; rows of instance, past, and the columns asked for."""
    e, past = EVENTS.c, itemgetter(1)
    query = select(e.instance, INSTANCES.c.past, *columns).where(in_life(EVENTS))
    rows = connection.execute(scope.of(query, EVENTS).order_by(e.instance, e.happened, e.position))
    for _, lives in groupby(rows, key=itemgetter(0)):
        for _, events in groupby(sorted(lives, key=past), key=past):
            yield list(events)


def throughput(connection: Connection, scope: Scope) -> list[Throughput]:
    """One row for each process."""
    e = EVENTS.c
    query = select(e.process, func.count(), func.max(e.happened) - func.min(e.happened)).where(in_life(EVENTS))
    spans: dict[str, list[int]] = {}
    events: Counter[str] = Counter()
    for process, count, span in connection.execute(scope.of(query, EVENTS).group_by(e.process, e.instance, INSTANCES.c.past)):
        spans.setdefault(process, []).append(span)
        events[process] += count
    found = {process: quantiles(each) for process, each in sorted(spans.items())}
    return [Throughput(process, each.size, events[process], *each[1:]) for process, each in found.items()]
