"""What happened in a life stays in the reports when the instance begins another one."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Connection, text

from process_manager import days, hours
from process_manager.adapters.memory import MemoryStore
from process_manager.interfaces.reading.instance_list import from_views
from process_manager.interfaces.reading.instance_scan import scan, with_waits
from process_manager.testing.scenario import Scenario, scenario
from projections.as_of import as_of
from projections.reports import REPORTS, Scope
from projections.runner import Runner
from projections.shipped import SHIPPED
from projections.times import micros
from projections.views import Views
from tests.core.processes import Closing
from tests.core.samples import CLOSED, Noticed, began, given_back, taken
from tests.projections.support import append


@pytest.fixture
def first() -> Scenario:
    """A life that was undone."""
    case = scenario(Closing).given(began("a"), taken("a")).after(hours(1))
    return case.when(Noticed(id="1")).when(given_back("a")).then_compensated()


@pytest.fixture
def both(first: Scenario) -> Scenario:
    """And another one, a day later, which completes. The same events came, in another order."""
    return first.after(days(1)).when(began("b")).after(hours(2)).when(CLOSED).then_completed()


@pytest.fixture
def connection(both: Scenario) -> Iterator[Connection]:
    log = MemoryStore()
    append(log, both.records)
    with closing(Views("sqlite://")) as views:
        Runner(log, views, SHIPPED).run(until_idle=True)
        with views.read() as opened:
            yield opened


EVERYTHING = Scope()


def report(connection: Connection, name: str, scope: Scope = EVERYTHING) -> list[tuple[Any, ...]]:
    """Its rows, as tuples."""
    return [tuple(row) for row in REPORTS[name].query(connection, scope)]


def test_each_life_has_its_outcome(connection: Connection) -> None:
    rows = [(status, outcome, count) for _, _, status, outcome, count, _ in report(connection, "outcomes")]

    assert sorted(rows) == [("compensated", "noticed", 1), ("completed", "closed", 1)]


def test_a_compensation_counts_where_it_happened(connection: Connection) -> None:
    ((_, reason, lives, compensated, *_rest, undos, skipped, _median, _p90),) = report(connection, "compensations")

    assert (reason, lives, compensated, undos, skipped) == ("noticed", 1, 1, 1, 0)
    assert [row[1:5] for row in report(connection, "failures")] == [("compensated", "", "noticed", 1)]


def test_each_life_is_a_sequence_of_its_own(connection: Connection) -> None:
    assert sorted(events for *_, events in report(connection, "variants")) == [
        ("t.began", "t.closed"),
        ("t.began", "t.taken", "t.noticed", "t.given-back"),
    ]
    (row,) = report(connection, "throughput")
    assert row[1:3] == (2, 6)
    assert row[-1] == hours(2)
    pairs = {(source, target): times for _, source, target, times, *_ in report(connection, "flow")}
    assert pairs["(start)", "t.began"] == 2
    assert pairs["t.given-back", "(compensated)"] == pairs["t.closed", "(completed)"] == 1
    assert ("t.given-back", "t.began") not in pairs


def test_each_life_has_its_duration(connection: Connection) -> None:
    whole = {status: (runs, median) for _, step, status, _, runs, median, *_ in report(connection, "durations") if not step}

    assert whole == {"compensated": (1, hours(1)), "completed": (1, hours(2))}


def test_a_filter_asks_for_lives(connection: Connection) -> None:
    done, undone = Scope(status="completed"), Scope(status="compensated")

    assert {row[1:] for row in report(connection, "overview", done) if row[1] == "event"} == {
        ("event", "t.began", 1),
        ("event", "t.closed", 1),
    }
    assert [events for *_, events in report(connection, "variants", done)] == [("t.began", "t.closed")]
    assert {step for _, step, *_ in report(connection, "durations", undone)} == {"", "taking", "giving_back"}
    assert {step for _, step, *_ in report(connection, "durations", done)} == {""}
    assert report(connection, "failures", done) == []


def test_the_past_is_as_it_was_told_then(first: Scenario) -> None:
    """What is said of the time before the second life does not change with it."""
    before = micros(first.now) + 1
    log = MemoryStore()
    append(log, first.records)
    with as_of(log, before, SHIPPED) as views, views.read() as connection:
        told = {name: report(connection, name) for name in REPORTS}
    later = first.after(days(1)).when(began("b")).when(CLOSED)
    log = MemoryStore()
    append(log, later.records)
    with as_of(log, before, SHIPPED) as views, views.read() as connection:
        assert {name: report(connection, name) for name in REPORTS} == told
    with closing(Views("sqlite://")) as views:
        Runner(log, views, SHIPPED).run(until_idle=True)
        with views.read() as connection:
            assert report(connection, "compensations") == told["compensations"]
            now = report(connection, "timeline")
    assert [(sum(row[3] for row in rows), sum(row[4] for row in rows)) for rows in (told["timeline"], now)] == [(1, 1), (2, 2)]


def test_the_list_shows_the_newest_life(both: Scenario) -> None:
    log = MemoryStore()
    append(log, both.records)

    with closing(Views("sqlite://")) as views:
        Runner(log, views, SHIPPED).run(until_idle=True)
        with views.read() as connection:
            listed = from_views(log, lambda sql, values: [tuple(row) for row in connection.execute(text(sql), values)], "", "", None)

    rows = list(with_waits(log, scan(log)))
    assert [(row["life"], row["status"]) for row in rows] == [(2, "completed")]
    assert listed is not None
    assert listed.rows == rows
