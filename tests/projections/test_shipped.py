"""The shipped tables say what the core says of the same log: an instance's fold, its pending deadlines, its facts."""

from collections import Counter
from contextlib import closing

import pytest
from sqlalchemy import select

from process_manager.adapters.memory import MemoryStore
from process_manager.core import facts
from process_manager.core.block import read_fact
from process_manager.core.deadlines import pending
from process_manager.core.facts import Fact, Receipt
from process_manager.core.fold import fold
from process_manager.core.instance import Instance
from process_manager.core.records import Record
from process_manager.core.signals import ADDRESSED
from process_manager.interfaces.reading.instance_list import VERSIONS, from_views, views_at
from process_manager.interfaces.reading.instance_scan import scan, with_waits
from process_manager.ports import Filter
from projections.runner import Runner
from projections.shipped import SHIPPED, Deadlines, Instances, Steps
from projections.shipped.commands import COMMANDS
from projections.shipped.deadlines import DEADLINES
from projections.shipped.decisions import DECISIONS
from projections.shipped.events import EVENTS
from projections.shipped.instances import INSTANCES
from projections.shipped.steps import STEPS
from projections.times import micros
from projections.views import Views
from tests.projections.support import append

PLACES = [0.2, 0.5, 0.8, 1.0]
"""Shares of the log: views are right in the middle of things too."""


def cut(orders: MemoryStore, share: float) -> MemoryStore:
    """The first part of a log; a turn's records stay together."""
    records = list(orders.read_all())
    end = int(len(records) * share)
    while end < len(records) and records[end].stream == records[end - 1].stream:
        end += 1
    log = MemoryStore()
    append(log, records[:end])
    return log


def histories(log: MemoryStore) -> dict[str, list[tuple[Record, Fact]]]:
    found: dict[str, list[tuple[Record, Fact]]] = {}
    for record in log.read_all(where=Filter(stream_prefixes=("order_fulfilment-",))):
        found.setdefault(record.stream, []).append((record, read_fact(record)))
    return found


def folded(stream: str, history: list[tuple[Record, Fact]]) -> Instance:
    return fold(Instance("order_fulfilment", stream.partition("-")[2]), [(fact, record.revision) for record, fact in history])


@pytest.fixture(params=PLACES, ids=str)
def log(request: pytest.FixtureRequest, orders: MemoryStore, views: Views) -> MemoryStore:
    part = cut(orders, request.param)
    Runner(part, views, SHIPPED, batch=97).run(until_idle=True)
    return part


def test_instances_stand_as_their_fold_says(log: MemoryStore, views: Views) -> None:
    with views.read() as connection:
        found = {row.instance: (row.status, row.life, row.version, row.outcome) for row in connection.execute(select(INSTANCES))}
    expected = {stream: folded(stream, history) for stream, history in histories(log).items()}
    assert found == {stream: (each.status, each.life, each.definition_version, each.outcome) for stream, each in expected.items()}


def test_the_list_is_that_of_the_log(log: MemoryStore, views: Views) -> None:
    with views_at(str(views.engine.url)) as execute:
        assert execute is not None
        found = from_views(log, execute, "", "", None)
    assert found is not None
    assert found.rows == list(with_waits(log, scan(log)))


def test_the_list_reads_the_tables_of_this_version() -> None:
    assert {each.name: each.version for each in (Instances, Steps, Deadlines)} == VERSIONS


def test_deadlines_are_those_that_are_pending(log: MemoryStore, views: Views) -> None:
    with views.read() as connection:
        found = {
            tuple(row) for row in connection.execute(select(*[DEADLINES.c[name] for name in ("instance", "name", "generation", "due")]))
        }
    assert found == {
        (stream, each.name, each.generation, micros(each.due))
        for stream, history in histories(log).items()
        for each in pending(folded(stream, history))
    }


def test_every_run_and_attempt_is_there_with_its_outcome(log: MemoryStore, views: Views) -> None:
    with views.read() as connection:
        commands = {(row.operation, row.attempt): row.status for row in connection.execute(select(COMMANDS))}
        steps = {row.operation: (row.status, row.attempts) for row in connection.execute(select(STEPS))}
    expected: dict[tuple[str, int], str] = {}
    for history in histories(log).values():
        for _, fact in history:
            match fact:
                case facts.StepStarted():
                    expected[fact.operation or fact.id, fact.attempt] = "outstanding"
                case facts.StepCompleted():
                    expected[fact.operation, fact.attempt] = "done"
                case facts.StepFailed():
                    expected[fact.operation, fact.attempt] = "failed"
                case facts.StepOverdue():
                    expected[fact.operation, fact.attempt] = "overdue"
                case _:
                    pass
    assert commands == expected
    assert {operation: attempts for operation, (_, attempts) in steps.items()} == {
        operation: max(attempt for each, attempt in expected if each == operation) for operation, _ in expected
    }
    assert sum(status == "done" for status, _ in steps.values()) == sum(status == "done" for status in expected.values())


def test_events_are_each_input_once(log: MemoryStore, views: Views) -> None:
    with views.read() as connection:
        found = {(row.instance, row.position): (row.type, row.happened) for row in connection.execute(select(EVENTS))}
    assert found == {
        (stream, fact.input.position): (fact.input.type, micros(fact.input.time))
        for stream, history in histories(log).items()
        for _, fact in history
        if isinstance(fact, Receipt) and fact.input.type not in ADDRESSED
    }


def test_decisions_are_all_there(log: MemoryStore, views: Views) -> None:
    with views.read() as connection:
        found = Counter((row.instance, row.question, row.answer, row.because) for row in connection.execute(select(DECISIONS)))
    assert found == Counter(
        (stream, fact.question, fact.answer, fact.because)
        for stream, history in histories(log).items()
        for _, fact in history
        if isinstance(fact, facts.Decided)
    )


def test_the_sample_has_what_these_tests_are_about(orders: MemoryStore) -> None:
    """Retries, refusals, late answers, compensations, decisions, all of them."""
    seen = Counter(type(fact) for history in histories(orders).values() for _, fact in history)
    for kind in (facts.StepFailed, facts.StepOverdue, facts.Decided, facts.CompensationStarted, facts.Ended):
        assert seen[kind] > 0, kind


def test_views_in_memory_serve_as_well(orders: MemoryStore) -> None:
    with closing(Views("sqlite://")) as memory:
        Runner(orders, memory, SHIPPED).run(until_idle=True)
        with memory.read() as connection:
            assert len(connection.execute(select(INSTANCES)).all()) == 60
