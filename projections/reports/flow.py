"""Which domain event follows which: the process as the log shows it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import Connection

from projections.reports.history import histories
from projections.reports.scope import Scope
from projections.shipped.events import EVENTS
from projections.shipped.instances import INSTANCES

START = "(start)"
"""What the first event of an instance follows. Its last one is followed by its status, in parentheses too."""


class Follows(NamedTuple):
    """How often `target` came directly after `source`, in how many instances, and how long after it on average."""

    process: str
    source: str
    target: str
    times: int
    instances: int
    mean: timedelta | None  # none before the first event and after the last


@dataclass(slots=True)
class _Seen:
    """What was counted of one pair; `together` is the sum of the times between the two, in microseconds."""

    times: int = 0
    instances: int = 0
    together: int = 0


def flow(connection: Connection, scope: Scope) -> list[Follows]:
    """Pairs by process, the most frequent first. Events are in the order of their own time, then of the log."""
    seen: dict[tuple[str, str, str], _Seen] = {}
    for process, events in _sequences(connection, scope):
        keys = [(process, former[0], latter[0]) for former, latter in pairwise(events)]
        for key, (former, latter) in zip(keys, pairwise(events), strict=True):
            pair = seen.setdefault(key, _Seen())
            pair.times += 1
            pair.together += latter[1] - former[1]
        for key in set(keys):
            seen[key].instances += 1
    rows = [Follows(*key, pair.times, pair.instances, _mean(key, pair)) for key, pair in seen.items()]
    return sorted(rows, key=lambda row: (row.process, -row.times, row.source, row.target))


def _sequences(connection: Connection, scope: Scope) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Of every life its process, and names with times: the start, each event, the status."""
    e = EVENTS.c
    for events in histories(connection, scope, e.type, e.happened, INSTANCES.c.status):
        instance, *_, status = events[0]
        names = [(type_, happened) for *_, type_, happened, _ in events]
        yield instance.partition("-")[0], [(START, names[0][1]), *names, (f"({status})", names[-1][1])]


def _mean(key: tuple[str, str, str], pair: _Seen) -> timedelta | None:
    _, source, target = key
    return None if source == START or target.startswith("(") else timedelta(microseconds=pair.together // pair.times)
