"""Two reports that look at the log as a whole agree with those that look at instances."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import Connection

from process_manager.adapters.memory import MemoryStore
from projections.reports import Scope
from projections.reports.flow import START, flow
from projections.reports.history import variants
from projections.reports.overview import outcomes
from projections.reports.timeline import MOST, timeline
from projections.runner import Runner
from projections.shipped import SHIPPED
from projections.times import micros
from projections.views import Views

EVERYTHING = Scope()


@pytest.fixture
def connection(orders: MemoryStore, views: Views) -> Iterator[Connection]:
    """The views of the orders."""
    Runner(orders, views, SHIPPED).run(until_idle=True)
    with views.read() as opened:
        yield opened


def statuses(connection: Connection, scope: Scope) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in outcomes(connection, scope):
        counts[row.status] += row.instances
    return counts


def test_the_flow_is_that_of_the_variants(connection: Connection) -> None:
    """Every pair of neighbours in a variant is counted as often as instances went that way."""
    expected: Counter[tuple[str, str]] = Counter()
    for variant in variants(connection, EVERYTHING):
        for pair in pairwise((START, *variant.events)):
            expected[pair] += variant.instances

    found = {(row.source, row.target): row.times for row in flow(connection, EVERYTHING) if not row.target.startswith("(")}

    assert found == dict(expected)
    assert len(found) > 10


@pytest.mark.parametrize("scope", [EVERYTHING, Scope(status="compensated"), Scope(process="order_fulfilment", status="completed")])
def test_every_instance_flows_to_its_status(connection: Connection, scope: Scope) -> None:
    ends: Counter[str] = Counter()
    for row in flow(connection, scope):
        if row.target.startswith("("):
            ends[row.target.strip("()")] += row.instances

    assert ends == statuses(connection, scope)


def test_what_happens_at_a_start_or_an_end_takes_no_time(connection: Connection) -> None:
    """Only between two events is there a time, and it is never negative."""
    for row in flow(connection, EVERYTHING):
        outer = row.source == START or row.target.startswith("(")
        assert (row.mean is None) == outer
        assert row.mean is None or row.mean >= timedelta(0)


def test_a_timeline_counts_every_instance_once(connection: Connection) -> None:
    periods = timeline(connection, EVERYTHING)
    counts = statuses(connection, EVERYTHING)

    assert sum(period.started for period in periods) == counts.total()
    assert sum(period.ended for period in periods) == counts["completed"] + counts["compensated"]
    assert periods[-1].open == counts.total() - counts["completed"] - counts["compensated"]


def test_periods_follow_one_another(connection: Connection) -> None:
    periods = timeline(connection, EVERYTHING)

    assert 2 < len(periods) <= MOST
    assert all(former.since + former.length == latter.since for former, latter in pairwise(periods))


def test_a_timeline_of_nothing_is_empty(connection: Connection) -> None:
    first = timeline(connection, EVERYTHING)[0].since

    assert timeline(connection, Scope(until=micros(first - timedelta(days=1)))) == []
    assert flow(connection, Scope(until=micros(first - timedelta(days=1)))) == []
