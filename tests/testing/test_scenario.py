"""The test kit itself: that it fails when it should, and says why."""

from collections.abc import Callable
from typing import Any

import pytest

from process_manager import Complete, Effects, ProcessManager, State, applies, days, hours, on, starts
from process_manager.testing.scenario import START, Scenario, answer, scenario
from tests.core.processes import Flow, Waiting
from tests.core.samples import CLOSED, NOTICED, PAID, PAY, Began, Noticed, began, take, taken


def flow(*items: str) -> Scenario:
    return scenario(Flow).given(began(*items))


FAILURES: dict[str, tuple[Callable[[], object], str]] = {
    "another command": (lambda: flow("a").then(take("b")), "missing:    Take(id='1', item='b')\n  unexpected: Take(id='1', item='a')"),
    "one command too many": (lambda: flow("a").then(), "unexpected: Take(id='1', item='a')"),
    "something followed": (lambda: flow("a").then_nothing(), "something followed, nothing was expected\n  StepStarted"),
    "no decision": (lambda: flow("a").then_decided("size", "big"), "it was not decided: size? big"),
    "not completed": (lambda: flow("a").then_completed(), "it is not completed\n  it is running"),
    "another outcome": (lambda: flow().given(CLOSED).then_aborted("sold"), "expected: sold\n  it is:    closed"),
    "suspended": (
        lambda: flow().given(Noticed(id="1", text="boom")).then_running(),
        "it is not running: it is suspended\n  ValueError: boom",
    ),
    "not suspended": (lambda: flow().then_suspended("boom"), "it is not suspended with 'boom'"),
    "nothing waits": (lambda: flow().then_waits(), "no event was kept"),
    "nothing ignored": (lambda: flow().then_ignored("late"), "no event was ignored because 'late'"),
    "other steps open": (lambda: flow("a").then_open(), "expected: none\n  open:     taking"),
    "another due time": (
        lambda: scenario(Waiting).given(began()).then_due(Waiting.first, hours(1)),
        "the deadline first is at another time",
    ),
    "another instance": (lambda: flow("a").when(Noticed(id="2")), "concerns the instance '2', this scenario is about '1'"),
    "no use": (lambda: scenario(Waiting).given(PAID), "Waiting has no use for Paid"),
    "an answer to nothing": (lambda: flow("a").when(answer(taken("b"), to=take("b"))), "was not asked for"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_says_what_was_expected_and_tells_the_story(name: str) -> None:
    run, message = FAILURES[name]
    with pytest.raises(AssertionError) as caught:
        run()
    assert message in str(caught.value)
    assert "the story so far:" in str(caught.value)


def test_assertions_are_about_the_last_step_of_the_scenario() -> None:
    flow("a").then(take("a")).when(taken("a")).then().when(NOTICED).then(PAY)


def test_an_answer_is_matched_by_the_fields_it_shares_with_the_command() -> None:
    case = flow("a", "b").when(taken("b"))
    assert {run.key: run.status for run in case.instance.runs.values()} == {"a": "open", "b": "done"}


def test_an_answer_may_name_its_command() -> None:
    case = flow("a", "b").when(answer(taken("b"), to=take("b")))
    assert {run.key: run.status for run in case.instance.runs.values()} == {"a": "open", "b": "done"}


def test_what_is_asserted_right_after_what_was_given_is_about_that() -> None:
    flow("a").then(take("a"))


def test_the_clock_moves_only_when_it_is_told_to() -> None:
    case = scenario(Waiting).given(began())
    assert case.now == START
    case.at(START + days(1)).then_running()
    assert case.now == START + days(1)
    case.at(START).then_running()
    assert case.now == START + days(1)


def test_the_clock_starts_at_the_time_that_is_named() -> None:
    start = START + days(400)
    scenario(Waiting, at=start).given(began()).then_due(Waiting.first, start + days(3))


class Forgetful(State):
    """Does not survive JSON."""

    items: object = None

    @applies
    def begin(self, event: Began) -> "Forgetful":
        return self.but(items=frozenset(event.items))


class Leaky(ProcessManager[Forgetful], key="id"):
    """Its state cannot be stored."""

    @starts
    def begin(self, _: Began) -> Effects[Complete]:
        yield Complete("begun")


def test_a_state_that_does_not_survive_a_snapshot_fails() -> None:
    with pytest.raises(AssertionError, match="does its state survive JSON"):
        scenario(Leaky).given(began("a", "b"))


def counting(price: int) -> type[ProcessManager[Any]]:
    """A version of a process, with a state class of its own."""

    class Bill(State):
        total: int = 0

        @applies
        def noticed(self, _: Noticed) -> State:
            return self.but(total=self.total + price)

    class Billing(ProcessManager[Bill], key="id", name="billing"):
        @starts
        def begin(self, _: Began) -> Effects[Complete]:
            yield from ()

        @on
        def notice(self, _: Noticed) -> Effects[Complete]:
            if self.state.total >= 4:
                yield Complete(f"billed {self.state.total}")

    return Billing


def test_a_copy_of_a_class_goes_on_with_the_state() -> None:
    scenario(counting(2)).given(began(), NOTICED).deployed(counting(2)).when(NOTICED).then_completed("billed 4")


def test_deployed_code_reads_the_state_from_what_is_recorded() -> None:
    scenario(counting(1)).given(began(), NOTICED).deployed(counting(3)).when(NOTICED).then_completed("billed 6")
