"""Deadlines are data: set, moved, cancelled and passed, each with its generation."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from process_manager import Complete, Deadline, Effects, ProcessManager, days, hours, on, starts
from process_manager.core import facts
from process_manager.core.deadlines import cleared_by, set_by
from process_manager.core.facts import Input
from process_manager.core.signals import DEADLINE_PASSED, DeadlinePassed
from process_manager.testing.scenario import START, Scenario, scenario
from tests.core.processes import Waiting
from tests.core.samples import CLOSED, NOTICED, Began, Noticed, Paid, began


def waiting() -> Scenario:
    return scenario(Waiting).given(began())


def passed(case: Scenario, name: str, generation: int) -> None:
    data = orjson.dumps(DeadlinePassed(case.instance.stream, name, generation, case.now))
    case.facts = []
    case._take(Input(f"{name}-{generation}-{len(case.records)}", DEADLINE_PASSED, 1, data, b"{}", "s", 0, 10**6, case.now))


def test_the_deadlines_reaction_runs_at_its_time_and_not_before() -> None:
    waiting().then_due(Waiting.first, days(3)).after(days(3) - timedelta(microseconds=1)).then_running().after(
        timedelta(microseconds=1)
    ).then_aborted("first")


def test_a_deadline_set_again_is_moved() -> None:
    case = waiting().after(days(1)).when(Noticed(id="1", text="both")).then_due(Waiting.first, days(5)).then_due(Waiting.second, None)
    case.after(days(4)).then_running().then_nothing().after(days(1)).then_aborted("first")


def test_a_stale_generation_is_a_recorded_no_op() -> None:
    case = waiting().given(NOTICED)
    passed(case, "first", 1)
    case.then_ignored("moved, cancelled or met").then_running()
    passed(case, "first", 2)
    case.then_aborted("first")
    passed(case, "first", 2)
    case.then_ignored("moved, cancelled or met")


def test_the_end_cancels_what_is_still_set() -> None:
    case = waiting().when(CLOSED).then_completed().then_due(Waiting.first, None).then_due(Waiting.second, None)
    case.after(days(9)).then()
    assert case.facts == []


def test_due_is_exactly_at_the_time_and_in_due_order() -> None:
    case = waiting().given(NOTICED).after(days(9)).then_aborted("second")
    assert case.now == START + days(9)
    assert [line.text for line in _lines(case) if "passed" in line.text] == ["deadline second passed"]


def _lines(case: Scenario) -> list[Any]:
    from process_manager.core.story import story

    return story(case.records)


def test_the_index_hears_of_every_deadline_and_of_its_end() -> None:
    case = waiting()
    assert {p.name: (p.generation, p.due) for fact in case.facts if (p := set_by(fact))} == {
        "first": (1, START + days(3)),
        "second": (1, START + days(3)),
    }
    case.when(Noticed(id="1", text="both"))
    assert [name for fact in case.facts for name in cleared_by(fact)] == ["second"]
    assert [fact.generation for fact in case.facts if isinstance(fact, facts.DeadlineSet)] == [2]


def test_a_deadline_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="no"):
        Waiting.first.at((START + hours(1)).replace(tzinfo=None))


class Foreign(ProcessManager, key="id"):
    """Sets a deadline that is not its own."""

    @starts
    def begin(self, _: Began) -> Effects[Complete]:
        yield STRANGER.after(hours(1))

    @on
    def never(self, _: Paid) -> Effects[Complete]:
        yield Complete("never")


STRANGER = Deadline()


def test_a_deadline_of_another_class_suspends() -> None:
    scenario(Foreign).given(began()).then_suspended("no Deadline of this class")
