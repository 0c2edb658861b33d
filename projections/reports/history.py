"""What the sequence of an instance's domain events tells: variants, and the time from the first to the last."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from projections.reports.quantiles import quantiles
from projections.reports.scope import Scope
from projections.shipped.events import EVENTS


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
    counts = Counter(_sequences(connection, scope))
    totals: Counter[str] = Counter()
    for (process, _), count in counts.items():
        totals[process] += count
    rows = [Variant(process, count, count / totals[process], events) for (process, events), count in counts.items()]
    return sorted(rows, key=lambda row: (row.process, -row.instances, row.events))


def _sequences(connection: Connection, scope: Scope) -> Iterator[tuple[str, tuple[str, ...]]]:
    e = EVENTS.c
    query = scope.of(select(e.instance, e.type), EVENTS).order_by(e.instance, e.happened, e.position)
    for instance, events in groupby(connection.execute(query), key=itemgetter(0)):
        yield instance.partition("-")[0], tuple(type_ for _, type_ in events)


def throughput(connection: Connection, scope: Scope) -> list[Throughput]:
    """One row for each process."""
    e = EVENTS.c
    query = select(e.process, func.count(), func.max(e.happened) - func.min(e.happened))
    spans: dict[str, list[int]] = {}
    events: Counter[str] = Counter()
    for process, count, span in connection.execute(scope.of(query, EVENTS).group_by(e.process, e.instance)):
        spans.setdefault(process, []).append(span)
        events[process] += count
    found = {process: quantiles(each) for process, each in sorted(spans.items())}
    return [Throughput(process, each.size, events[process], *each[1:]) for process, each in found.items()]
