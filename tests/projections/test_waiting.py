"""The report on what waits, and since when."""

from contextlib import closing
from datetime import timedelta

from process_manager import hours, minutes
from process_manager.adapters.memory import MemoryStore
from process_manager.testing.scenario import Scenario, scenario
from projections.reports.compensations import Compensated, compensations
from projections.reports.scope import Scope
from projections.reports.waiting import Waiting, waiting
from projections.runner import Runner
from projections.shipped import SHIPPED
from projections.views import Views
from tests.core.processes import Purchase
from tests.core.samples import DECLINED, NOTICED, PAID, REFUNDED, began, given_back, taken
from tests.projections.support import append


def reports(case: Scenario) -> tuple[list[Waiting], list[Compensated]]:
    log = MemoryStore()
    append(log, case.records)
    with closing(Views("sqlite://")) as views:
        Runner(log, views, SHIPPED).run(until_idle=True)
        with views.read() as connection:
            return waiting(connection, Scope()), compensations(connection, Scope())


def waits(case: Scenario) -> list[tuple[str, str, timedelta]]:
    """What waits for what, and for how long by now."""
    return [(each.what, each.waits_for, case.now - each.since) for each in reports(case)[0]]


def test_one_that_stands_still_waits_since_it_does_not_since_something_came_meanwhile() -> None:
    case = scenario(Purchase).given(began("a"), taken("a")).operator("suspend", "a look").after(minutes(20)).when(PAID).after(minutes(5))
    assert ("operator", "by operator: a look", minutes(25)) in waits(case)


def test_an_answer_is_waited_for_since_it_was_asked_for_first() -> None:
    case = scenario(Purchase).given(began("a"), taken("a")).after(hours(3))
    assert waits(case) == [("answer", "paying", hours(3))]  # the second attempt, an hour old


def test_the_next_attempt_of_a_run_is_told_with_its_run() -> None:
    case = scenario(Purchase).given(began("a", "b"), taken("a"), taken("b"), DECLINED).after(hours(1))
    assert {(what, name) for what, name, _ in waits(case)} == {("retry", "giving_back [a]"), ("retry", "giving_back [b]")}
    assert {span for _, _, span in waits(case)} == {hours(1)}


def test_an_undo_after_the_end_is_waited_for() -> None:
    case = scenario(Purchase).given(began("a"), taken("a")).after(hours(4)).when(REFUNDED, given_back("a")).then_compensated("not paid")
    assert waits(case) == []
    case.when(PAID).after(minutes(10))
    assert waits(case) == [("answer", "refunding", minutes(10))]


def test_a_compensation_that_was_cancelled_is_not_under_way() -> None:
    case = scenario(Purchase).given(began("a"), taken("a"), NOTICED)
    (row,) = reports(case)[1]
    assert (row.instances, row.under_way, row.compensated) == (1, 1, 0)
    case.after(minutes(3)).operator("cancel", "settled by telephone").then_cancelled()
    waited, (row,) = reports(case)
    assert waited == []
    assert (row.instances, row.under_way, row.compensated, row.failed, row.median) == (1, 0, 0, 0, None)
