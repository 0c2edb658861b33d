"""Whatever the world and its operators do to an instance, its rows say what its fold says."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import given, settings, strategies as st
from sqlalchemy import Connection, inspect, select, text

from process_manager.adapters.memory import MemoryStore
from process_manager.core import facts
from process_manager.core.block import read_fact
from process_manager.core.deadlines import LEFTOVER, pending
from process_manager.core.explain import Explainer
from process_manager.core.instance import ENDED
from process_manager.core.view import called
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.interfaces.reading.instance_list import from_views
from process_manager.interfaces.reading.instance_scan import scan, with_waits
from process_manager.testing.scenario import Scenario, scenario
from projections.reports.scope import Scope
from projections.reports.waiting import waiting
from projections.runner import Runner
from projections.shipped import SHIPPED
from projections.shipped.audit import AUDIT
from projections.shipped.deadlines import DEADLINES
from projections.shipped.failures import FAILURES
from projections.shipped.instances import INSTANCES, NEWEST
from projections.shipped.steps import STEPS
from projections.times import micros
from projections.views import Views
from tests.core.processes import Purchase, Quorum
from tests.core.random_lives import Attended, Stubborn, actions, lines, order
from tests.core.samples import CLOSED, PAID, Stuck, began, taken
from tests.projections.support import append


@pytest.fixture(scope="module")
def database() -> Iterator[Views]:
    """One for all cases, each of which begins by emptying it: SQLAlchemy compiles its statements anew for each that is opened."""
    with closing(Views("sqlite://")) as opened:
        yield opened


def compare(views: Views, case: Scenario, batch: int) -> None:
    """Project the records of a case, and hold the rows against its instance."""
    log = MemoryStore()
    append(log, case.records)
    instance = case.instance
    with views.begin() as connection:
        for table in inspect(connection).get_table_names():
            connection.exec_driver_sql(f"DROP TABLE {table}")
    Runner(log, views, SHIPPED, batch=batch).run(until_idle=True)
    with views.read() as connection:
        (row,) = connection.execute(select(INSTANCES).where(INSTANCES.c.past == NEWEST))
        deadlines = {(each.name, each.due) for each in connection.execute(select(DEADLINES))}
        audited = len(connection.execute(select(AUDIT).where(AUDIT.c.applied)).all())
        compensations = len(connection.execute(select(FAILURES).where(FAILURES.c.kind == "compensated")).all())
        steps = {each.operation: each.status for each in connection.execute(select(STEPS))}
        waited = waiting(connection, Scope())
        listed = from_views(log, partial(_query, connection), "", "", None)
    assert row.status == ("suspended" if instance.suspended else instance.status), case.story
    assert instance.status in {row.stage, "compensation_failed"}
    assert (row.suspended, row.life, row.version) == (instance.suspended, instance.life, instance.definition_version)
    assert deadlines == {(each.name, micros(each.due)) for each in pending(instance) if each.name != LEFTOVER}, case.story
    assert audited == sum(isinstance(read_fact(record), facts.OperatorActed) for record in case.records)
    assert compensations == len(compensated_lives(case)), case.story
    settled = {run.operation: run.status for run in instance.runs.values() if run.status in {"done", "open"}}
    assert {operation: steps[operation] for operation in settled} == settled
    answers = [(each.what, each.waits_for, each.since, each.due) for each in waited if each.what in {"answer", "retry"}]
    assert answers == asked(case), case.story
    stands = [each.since for each in waited if each.what == "operator"]
    assert len(stands) == (row.status in {"suspended", "compensation_failed"})
    assert all(since in stood(case) for since in stands), case.story
    assert listed is not None
    assert listed.rows == list(with_waits(log, scan(log))), case.story


def _query(connection: Connection, sql: str, parameters: dict[str, object]) -> Sequence[Sequence[Any]]:
    return [tuple(row) for row in connection.execute(text(sql), parameters)]


def timed(case: Scenario) -> list[tuple[facts.Fact, datetime]]:
    """The facts of its instance with their times."""
    return [(read_fact(record), datetime.fromisoformat(orjson.loads(record.metadata)["time"])) for record in case.records]


def asked(case: Scenario) -> list[tuple[str, str, datetime, datetime | None]]:
    """The answers and next attempts that an instance waits for, since their step was asked for first, and until when."""
    instance, due = case.instance, {each.name: each.due for each in pending(case.instance)}
    since: dict[str, datetime] = {}
    for fact, time in timed(case):
        if isinstance(fact, facts.StepStarted):
            since.setdefault(fact.operation or fact.id, time)
    runs = [run for run in instance.runs.values() if run.is_open and (instance.status not in ENDED or run.undoes)]
    rows = [
        ("answer" if run.status == "open" else "retry", called(run), since[run.operation], due.get(f"{run.step}/{run.operation}"))
        for run in runs
        if instance.status != "cancelled"
    ]
    return sorted(rows, key=lambda row: (row[2], row[0], row[1]))


def stood(case: Scenario) -> set[datetime]:
    """When an instance may have come to stand as it does: as its explanation has it, or where it was suspended once more."""
    explainer = Explainer(case.instance.process, case.instance.key)
    explainer.take((read_fact(record), revision) for revision, record in enumerate(case.records))
    since = explainer.explanation(case.now).since
    assert since is not None
    return {since, *[time for fact, time in timed(case) if isinstance(fact, facts.Suspended)][-1:]}


def compensated_lives(case: Scenario) -> set[int]:
    """The lives of its instance that have compensated; each once, however often an undo had to be taken up again."""
    life, found = 0, set[int]()
    for fact in map(read_fact, case.records):
        if isinstance(fact, facts.Started):
            life = fact.life
        elif isinstance(fact, facts.CompensationStarted):
            found.add(life)
    return found


def test_an_undo_that_failed_before_the_end_or_was_skipped_after_it_is_told(database: Views) -> None:
    """Of a surplus that could not be given back the life knows nothing until its end; skipped, it stays in the outcome."""
    case = scenario(Quorum).given(began("a", "b", need=1), taken("a"), taken("b"), Stuck(id="1", item="b"))
    compare(database, case.then_running(), 40)
    compare(database, case.when(PAID).then_compensation_failed(), 40)
    compare(database, case.operator("skip").then_completed("paid"), 40)
    log = MemoryStore()
    append(log, case.records)
    (listed,) = scan(log)
    assert listed["outcome"] == "paid (left undone: taking)"


@settings(deadline=None, max_examples=30)
@given(skus=lines, total=st.sampled_from([50, 5000]), moves=actions, batch=st.integers(1, 40))
def test_views_follow_the_fold_of_orders_that_are_attended_to(
    database: Views, skus: tuple[str, ...], total: int, moves: list[tuple[int, int]], batch: int
) -> None:
    world = Attended(scenario(OrderFulfilment).given(order(skus, total)))
    for move in moves:
        world.act(*move)
    compare(database, world.case, batch)
    compare(database, world.settle(), batch)


@settings(deadline=None, max_examples=30)
@given(need=st.integers(1, 3), more=st.integers(0, 2), moves=actions, batch=st.integers(1, 40))
def test_views_follow_the_fold_of_a_quorum_that_is_attended_to(
    database: Views, need: int, more: int, moves: list[tuple[int, int]], batch: int
) -> None:
    items = [str(number) for number in range(need + more)]
    world = Attended(scenario(Quorum).given(began(*items, need=need)))
    for move in moves:
        world.act(*move)
    compare(database, world.case, batch)
    compare(database, world.settle(), batch)


@settings(deadline=None, max_examples=60)
@given(count=st.integers(0, 3), moves=actions, batch=st.integers(1, 40))
def test_views_follow_the_fold_where_undos_fail(database: Views, count: int, moves: list[tuple[int, int]], batch: int) -> None:
    world = Stubborn(scenario(Purchase).given(began(*map(str, range(count)))))
    for number, (choice, which) in enumerate(moves):
        if number == len(moves) // 2:
            world.case.operator("compensate")
        world.act(choice, which)
    compare(database, world.case, batch)
    world.case.when(CLOSED)
    compare(database, world.settle(), batch)
