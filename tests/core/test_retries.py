"""Attempts: the same operation after no answer, a new one after a refusal."""

from collections.abc import Callable

import orjson
import pytest

from process_manager import Compensate, Complete, Effects, ProcessManager, Retry, Step, hours, minutes, on, overdue, seconds, starts, undo
from process_manager.core import facts
from process_manager.core.deadlines import pending
from process_manager.errors import DefinitionError
from process_manager.testing.scenario import START, Scenario, answer, scenario
from tests.core.samples import (
    CLOSED,
    Began,
    Closed,
    GiveBack,
    GivenBack,
    Refused,
    Take,
    Taken,
    began,
    give_back,
    given_back,
    park,
    refused,
    take,
    taken,
)


class Patient(ProcessManager, key="id"):
    """Tries three times, waiting one and two minutes, after refusals too."""

    taking = Step(Take, done=Taken, failed=Refused, within=hours(1), retry=Retry(3, wait=minutes(1), refusals=True))
    giving_back = Step(GiveBack, done=GivenBack, within=hours(1), needs_undo=False, retry=Retry(2))

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield Take(id=event.id)

    @on
    def taken(self, _: Taken) -> Effects[Complete]:
        yield Complete("taken")

    @on
    def refused(self, _: Refused) -> Effects[Compensate]:
        yield Compensate("refused")

    @overdue(taking)
    def overdue(self, _: Take) -> Effects[Compensate]:
        yield Compensate("overdue")

    @on
    def closed(self, _: Closed) -> Effects[Compensate | Complete]:
        yield Complete("closed")

    @undo(taking)
    def back(self, c: Take) -> Effects[GiveBack]:
        yield GiveBack(id=c.id)


def patient() -> Scenario:
    return scenario(Patient).given(began())


def operations(case: Scenario) -> list[str]:
    """The operation of each command record so far: its own id, or the one in its metadata."""
    found = []
    for record in case.records:
        metadata = orjson.loads(record.metadata)
        if metadata.get("step") == "taking":
            found.append(metadata.get("operation") or record.id)
    return found


def test_an_attempt_after_overdue_is_the_same_operation() -> None:
    case = patient().after(hours(1)).then().after(minutes(1)).then(take())
    assert len(operations(case)) == 2
    assert len(set(operations(case))) == 1


def test_an_older_attempt_that_is_parked_does_not_give_up_the_newer_one() -> None:
    case = patient().after(hours(1)).after(minutes(1)).then(take())
    park(case, next(iter(case.instance.commands)))
    case.then_ignored("a newer attempt is under way").then_open(Patient.taking)
    case.when(taken()).then_completed()


def test_an_attempt_after_a_refusal_is_a_new_operation() -> None:
    case = patient().when(refused()).then().after(minutes(1)).then(take())
    assert len(set(operations(case))) == 2
    assert set(case.instance.commands.values()) == set(case.instance.runs)


def test_an_overdue_attempt_then_a_refused_one() -> None:
    case = patient().after(hours(1)).after(minutes(1)).then(take()).when(refused()).then().after(minutes(2)).then(take())
    first, second, third = operations(case)
    assert first == second != third
    case.when(taken()).then_completed()


def test_the_wait_between_attempts_grows() -> None:
    case = patient().given(refused()).after(minutes(1)).then(take()).given(refused()).after(minutes(1)).then()
    case.after(minutes(1)).then(take())


def test_the_reaction_runs_after_the_last_attempt_alone() -> None:
    case = patient().given(refused()).after(minutes(1)).given(refused()).after(minutes(2))
    case.when(refused()).then_compensated("refused")
    late = patient().after(hours(1)).then_running().after(minutes(1)).after(hours(1)).after(minutes(2)).then_running().after(hours(1))
    late.then_compensating("overdue").then(give_back())


def test_an_answer_to_an_earlier_attempt_completes_the_run() -> None:
    case = patient().after(hours(1)).after(minutes(1)).then(take())
    case.when(answer(taken(), to=take(), attempt=1)).then_completed("taken").when(answer(taken(), to=take(), attempt=2)).then_ignored()


def test_a_late_success_while_the_next_attempt_is_waited_for_counts_and_stops_it() -> None:
    patient().after(hours(1)).when(taken()).then_completed("taken").after(hours(9)).then()


def test_nothing_is_tried_again_after_the_end() -> None:
    case = patient().after(hours(1)).then_open(Patient.taking).when(CLOSED).then_completed("closed").then_open()
    case.after(hours(9)).then()


def test_a_parked_command_is_tried_again_as_the_step_says_and_is_the_same_operation() -> None:
    """The handler's own tries end within a minute; the step's attempts may span an outage of hours."""
    case = patient()
    for wait in (1, 2):
        park(case, next(reversed(case.instance.commands)))
        case.then_running().after(minutes(wait)).then(take())
    assert "parked: it crashed" in case.story
    assert len(operations(case)) == 3
    assert len(set(operations(case))) == 1
    park(case, next(reversed(case.instance.commands)))
    case.then_compensating("overdue")


def test_a_command_parked_unread_is_not_tried_again() -> None:
    """No handler was called, or the call ended its workers: the next attempt would do the same."""
    case = patient()
    park(case, next(iter(case.instance.commands)), unread=True)
    case.then_compensating("overdue")
    assert "parked: it crashed" in case.story


def test_a_parked_earlier_attempt_does_not_end_the_newer_one() -> None:
    case = patient()
    first = next(iter(case.instance.commands))
    case.after(hours(1)).after(minutes(1)).then(take())
    park(case, first)
    case.then_running().when(taken()).then_completed()


def test_a_refusal_that_comes_twice_does_not_begin_the_wait_again() -> None:
    case = patient().when(refused()).at(START + seconds(30)).when(refused()).then_ignored("answered before")
    case.at(START + minutes(1)).then(take())


def test_an_attempt_that_is_overdue_and_then_parked_has_one_outcome() -> None:
    case = patient().after(hours(1)).then_open(Patient.taking)
    park(case, next(iter(case.instance.commands)))
    case.then_ignored("the next one is planned").after(minutes(1)).then(take())


def test_an_attempt_that_is_refused_and_then_parked_was_not_done() -> None:
    """Its handler was called again, in vain, because its acknowledgement was lost."""
    case = patient().when(refused())
    park(case, next(iter(case.instance.commands)), unread=True)
    case.then_ignored("the next one is planned").then_running().after(minutes(1)).then(take())


def test_an_undo_is_tried_again_and_then_reported() -> None:
    case = patient()
    park(case, next(iter(case.instance.commands)), unread=True)
    case.after(hours(1)).then(give_back()).then_compensating().after(hours(1)).then_compensation_failed()
    case.when(given_back()).then_compensated("overdue")


def test_an_undo_whose_handler_has_given_up_is_tried_again() -> None:
    case = patient()
    park(case, next(iter(case.instance.commands)), unread=True)
    park(case, next(reversed(case.instance.commands)))
    case.then_compensating()
    park(case, next(reversed(case.instance.commands)))
    case.then_compensation_failed()


def test_a_retry_carries_its_attempt_in_fact_and_metadata() -> None:
    case = patient().after(hours(1)).after(minutes(1))
    started = [fact for fact in case.facts if isinstance(fact, facts.StepStarted)]
    assert [fact.attempt for fact in started] == [2]


@pytest.mark.parametrize(
    "ending", [lambda case: case.when(CLOSED), lambda case: case.operator("cancel"), lambda case: case.operator("compensate")]
)
def test_a_wait_that_an_ending_makes_moot_is_cancelled(ending: Callable[[Scenario], Scenario]) -> None:
    """So that nobody lists it as pending, and nothing passes in vain."""
    case = ending(patient().after(hours(1)))
    assert [fact.name.partition("/")[0] for fact in case.facts if isinstance(fact, facts.DeadlineCancelled)] == ["taking"]
    assert "taking is not tried again" in case.story
    assert set(case._pending.values()) == set(pending(case.instance))


def test_a_wait_that_is_a_number_is_refused_with_what_to_write() -> None:
    with pytest.raises(DefinitionError, match=r"write wait=seconds\(20\)"):
        Retry(5, wait=20)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match=r"write longest=seconds\(20\)"):
        Retry(5, longest=20)  # type: ignore[arg-type]


def test_the_wait_before_an_attempt_is_never_longer_than_the_longest_however_many_there_are() -> None:
    assert Retry(10**6, wait=minutes(1)).delay(10**6) == hours(1)
    assert Retry(10**6, wait=minutes(1), factor=1e300).delay(3) == hours(1)
