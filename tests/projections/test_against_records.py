"""Whatever a report is asked for, its figures are those that plain Python counts in the records, now and as of any time."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from random import Random
from statistics import median

import pytest
from hypothesis import given, settings, strategies as st
from sqlalchemy import Connection

from process_manager.adapters.memory import MemoryStore
from process_manager.interfaces.cli.instances import STATUSES
from process_manager.interfaces.reading.instance_scan import scan
from projections.as_of import as_of
from projections.reports import REPORTS, Scope
from projections.runner import Runner
from projections.shipped import SHIPPED
from projections.times import micros
from projections.views import Views
from tests.projections import naive
from tests.projections.support import append
from tests.projections.test_rebuild import lives, mixed, reopened

MOVES = [(0, 1), (6, 2), (1, 0), (7, 3), (2, 2), (6, 4), (3, 1), (7, 5), (5, 0), (6, 6)]


@pytest.fixture(scope="module")
def log(orders: MemoryStore) -> MemoryStore:
    """Sixty orders, three lives that were attended to by hand, and an instance with several lives."""
    made = MemoryStore()
    append(made, mixed(Random(7), [list(orders.read_all()), *lives(MOVES), reopened(MOVES)]))
    return made


@pytest.fixture(scope="module")
def built(log: MemoryStore) -> Iterator[Views]:
    with closing(Views("sqlite://")) as views:
        Runner(log, views, SHIPPED).run(until_idle=True)
        yield views


spans = st.one_of(st.none(), st.integers(0, 100))
scopes = st.tuples(
    st.sampled_from(["", "", "order_fulfilment", "quorum", "errand", "another"]),
    st.sampled_from([None, None, 1, 2]),
    st.sampled_from(["", "", *STATUSES]),
)


@settings(max_examples=60, deadline=None)
@given(chosen=scopes, since=spans, until=spans)
def test_reports_by_any_filter(
    log: MemoryStore, built: Views, chosen: tuple[str, int | None, str], since: int | None, until: int | None
) -> None:
    times = sorted(micros(row["started"]) for row in scan(log) if row["started"])
    first, last = (at if at is None else times[min(at, len(times) - 1)] for at in (since, until))
    with built.read() as connection:
        compare(connection, Scope(*chosen, first, last), log)


@settings(max_examples=10, deadline=None)
@given(chosen=scopes, at=st.integers(0, 10_000))
def test_reports_as_of_any_time(log: MemoryStore, chosen: tuple[str, int | None, str], at: int) -> None:
    times = sorted({naive.time_of(record) for record in log.read_all()})
    before = times[at % len(times)] + 1
    with as_of(log, before, SHIPPED) as then, then.read() as connection:
        compare(connection, Scope(*chosen), earlier(log, before))


def earlier(log: MemoryStore, before: int) -> MemoryStore:
    """The records that are timed before a time."""
    made = MemoryStore()
    append(made, [record for record in log.read_all() if naive.time_of(record) < before])
    return made


@cache
def counted(log: MemoryStore) -> list[naive.Life]:
    """All lives; the newest of each instance stands as the list says."""
    found = naive.lives(list(log.read_all()))
    for row in scan(log):
        found[row["instance"]][-1].status = row["status"]
    return [life for each in found.values() for life in each if life.status]


def compare(connection: Connection, scope: Scope, log: MemoryStore) -> None:
    """Hold the reports against what is counted."""
    rows = {name: list(report.query(connection, scope)) for name, report in REPORTS.items()}
    of_scope = [life for life in counted(log) if _matches(life, scope)]
    inside = [life for life in of_scope if life.within(scope)]
    overview = Counter({(each.process, each.what, each.name): each.number for each in rows["overview"] if each.what != "pending"})
    assert overview == Counter(
        [(life.process, "event", type_) for life in inside for *_, type_ in life.events]
        + [(life.process, "status", life.status) for life in inside]
        + [(life.process, "outstanding", step) for life in inside for step in life.commands.values()]
    )
    assert sum(each.instances for each in rows["outcomes"]) == len(inside)
    assert {(each.process, each.events): each.instances for each in rows["variants"]} == Counter(
        (life.process, tuple(type_ for *_, type_ in sorted(life.events))) for life in inside if life.events
    )
    assert {each.process: (each.instances, each.median.total_seconds()) for each in rows["throughput"]} == {
        process: (len(found), median(found)) for process, found in _spans(inside).items()
    }
    assert sum(each.started for each in rows["timeline"]) == sum(life.started is not None for life in inside)
    assert sum(each.ended for each in rows["timeline"]) == sum(life.ended is not None for life in inside)
    assert {(each.process, each.step, each.status): (each.runs, each.attempts) for each in rows["durations"] if each.step} == _steps(
        of_scope, scope
    )


def _matches(life: naive.Life, scope: Scope) -> bool:
    return scope.process in {"", life.process} and scope.version in {None, life.version} and scope.status in {"", life.status}


def _spans(chosen: list[naive.Life]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for life in chosen:
        if life.events:
            times = [time for time, *_ in life.events]
            found.setdefault(life.process, []).append((max(times) - min(times)) / 1e6)
    return found


def _steps(chosen: list[naive.Life], scope: Scope) -> dict[tuple[str, str, str], tuple[int, int]]:
    found: dict[tuple[str, str, str], tuple[int, int]] = {}
    for life in chosen:
        for operation, (how, _) in life.answered.items():
            first, step, attempts = life.asked[operation]
            if (scope.since is None or first >= scope.since) and (scope.until is None or first < scope.until):
                runs, tried = found.get((life.process, step, how), (0, 0))
                found[life.process, step, how] = runs + 1, tried + attempts
    return found
