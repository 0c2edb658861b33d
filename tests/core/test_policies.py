"""For every event in every situation there is an answer: what is early waits, is ignored or fails; so does what is late."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from process_manager import (
    CONTINUE,
    FAIL,
    FOREVER,
    IGNORE,
    Abort,
    Compensate,
    Complete,
    Effects,
    Event,
    ProcessManager,
    Step,
    days,
    n_of,
    on,
    starts,
    undo,
    wait,
)
from process_manager.core.facts import Input
from process_manager.core.instance import Instance
from process_manager.core.reactions import Policy
from process_manager.core.turn import take
from process_manager.testing.scenario import Scenario, scenario, unsolicited
from tests.core.samples import (
    CLOSED,
    NOTICED,
    NOW,
    PAID,
    Began,
    Closed,
    GiveBack,
    GivenBack,
    Noticed,
    Paid,
    Pay,
    Stuck,
    Take,
    Taken,
    began,
    by_item,
    given_back,
    input_of,
    taken,
)


class Hasty(Event, type="t.hasty"):
    id: str


class Fussy(Event, type="t.fussy"):
    id: str


class Plain(Event, type="t.plain"):
    id: str


HASTY, FUSSY, PLAIN = Hasty(id="1"), Fussy(id="1"), Plain(id="1")


class Every(ProcessManager, key="id"):
    """Has an event of each policy; ends as it is noticed."""

    taking = Step(Take, done=Taken, within=FOREVER, then=CONTINUE)
    giving_back = Step(GiveBack, done=GivenBack, failed=Stuck, within=FOREVER, needs_undo=False)

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield Take(id=event.id)

    @on(after=taking, early=IGNORE, late=IGNORE)
    def hasty(self, _: Hasty) -> Effects:
        yield from ()

    @on(after=taking, early=FAIL, late=FAIL)
    def fussy(self, _: Fussy) -> Effects:
        yield from ()

    @on(after=taking, early=wait(days(1)))
    def plain(self, _: Plain) -> Effects:
        yield from ()

    @on
    def noticed(self, event: Noticed) -> Effects[Complete | Compensate | Abort]:
        match event.text:
            case "complete":
                yield Complete("noticed")
            case "abort":
                yield Abort("noticed")
            case _:
                yield Compensate("noticed")

    @undo(taking)
    def back(self, c: Take) -> Effects[GiveBack]:
        yield GiveBack(id=c.id)


def begun() -> Scenario:
    return scenario(Every).given(began())


def noticed(text: str) -> Scenario:
    return begun().given(taken()).given(Noticed(id="1", text=text))


SITUATIONS: dict[str, Callable[[], Scenario]] = {
    "before the start": lambda: scenario(Every, key="1"),
    "before its condition": begun,
    "compensating": lambda: noticed("undo").then_compensating(),
    "completed": lambda: noticed("complete").then_completed(),
    "compensated": lambda: noticed("undo").given(given_back()).then_compensated(),
    "compensation failed": lambda: noticed("undo").given(Stuck(id="1")).then_compensation_failed(),
    "aborted": lambda: noticed("abort").then_aborted(),
    "cancelled": lambda: begun().operator("cancel").then_cancelled(),
}
EARLY = ("before the start", "before its condition")
LATE = tuple(each for each in SITUATIONS if each not in EARLY)


@pytest.mark.parametrize("situation", EARLY)
def test_an_early_event_waits_is_ignored_or_fails_as_its_policy_says(situation: str) -> None:
    SITUATIONS[situation]().when(PLAIN).then_waits()
    SITUATIONS[situation]().when(HASTY).then_ignored("early").then_nothing()
    SITUATIONS[situation]().when(FUSSY).then_suspended("early")


@pytest.mark.parametrize("situation", LATE)
def test_a_late_event_is_ignored_or_fails_as_its_policy_says(situation: str) -> None:
    status = SITUATIONS[situation]().instance.status
    for event in (PLAIN, HASTY):
        case = SITUATIONS[situation]().when(event).then_ignored(f"late: the instance is {status}").then_nothing()
        assert case.instance.status == status
    SITUATIONS[situation]().when(FUSSY).then_suspended(f"late: the instance is {status}")


def test_between_all_are_taken() -> None:
    case = begun().given(taken()).when(PLAIN, HASTY, FUSSY).then_running()
    assert [type(fact).__name__ for fact in case.facts] == ["EventTaken"] * 3


@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_an_instance_has_no_use_for_is_a_recorded_ignored_input(situation: str) -> None:
    """As when it was kept, or routed, by another version of the class."""
    case = SITUATIONS[situation]()
    unknown = Input("an-id", "t.unknown", 1, b"{}", b"{}", "s", 0, 10**6, case.now)
    case.facts = []
    case._take(unknown)
    case.then_ignored("no use for it")


def test_what_waits_before_the_start_leaves_it_not_started_and_its_expiry_does_not_block_the_start() -> None:
    case = scenario(Every).given(PLAIN).then_not_started().after(days(2)).then_not_started()
    assert "waited in vain" in case.story
    case.when(began()).then_running().then(Take(id="1"))


def test_what_failed_before_the_start_can_be_skipped_and_the_start_comes() -> None:
    case = scenario(Every).given(FUSSY, began()).then_suspended("early").operator("skip").then_running().then(Take(id="1"))
    assert case.instance.kept == {}


# lives


class Twice(ProcessManager, key="id"):
    """Begins by either of two events, as often as it has ended; answers may be given by hand."""

    paying = Step(Pay, done=Paid, within=FOREVER, needs_undo=False, then=CONTINUE)

    @starts(again=True)
    def begin(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)

    @starts(again=True)
    def plain(self, _: Plain) -> Effects:
        yield from ()

    @on
    def noticed(self, _: Noticed) -> Effects[Abort]:
        yield Abort("noticed")

    @on
    def closed(self, _: Closed) -> Effects[Complete]:
        yield Complete("closed")


def second_life(*more: tuple[int, Event]) -> Instance:
    """An instance that began at 10, ended at 50 and began anew at 60; then these events, at their positions in the log."""
    instance = Instance("twice", "1")
    for position, event in ((10, began()), (50, CLOSED), (60, began()), *more):
        instance = take(Twice.definition, instance, input_of(event, position), NOW).instance
    return instance


@pytest.mark.parametrize("event", [NOTICED, PAID, PLAIN, began(), CLOSED], ids=lambda event: event.message_type)
def test_an_event_of_the_first_life_that_comes_in_the_second_does_not_move_it(event: Event) -> None:
    before, after = second_life(), second_life((30, event))
    assert after.knows(input_of(NOTICED, 30).id, 30)
    known = {**before.seen, input_of(NOTICED, 30).id: 30}
    assert replace(after, revision=0, records_since_snapshot=0) == replace(before, revision=0, records_since_snapshot=0, seen=known)


@pytest.mark.parametrize("event", [NOTICED, PAID, PLAIN], ids=lambda event: event.message_type)
def test_the_same_event_from_after_the_start_does(event: Event) -> None:
    before, after = second_life(), second_life((70, event))
    assert (after.status, after.runs, after.events) != (before.status, before.runs, before.events)


def test_an_event_between_the_end_and_the_next_start_belongs_to_the_next_life() -> None:
    assert second_life((55, NOTICED)).status == "aborted"


def test_an_answer_from_between_the_end_and_the_next_start_answers_nothing_of_the_next_life() -> None:
    before, after = second_life(), second_life((55, PAID))
    assert after.runs == before.runs
    assert after.kept == {}


@pytest.mark.parametrize("late", [IGNORE, FAIL])
def test_an_answer_that_comes_after_the_end_is_late_and_never_early_for_the_next_life(late: Policy) -> None:
    class Handed(ProcessManager, key="id"):
        paying = Step(Pay, done=Paid, within=FOREVER, needs_undo=False)

        @starts(again=True)
        def begin(self, event: Began) -> Effects[Pay]:
            yield Pay(id=event.id)

        @on(late=late)
        def paid(self, _: Paid) -> Effects[Complete]:
            yield Complete("paid")

    case = scenario(Handed).given(began(), unsolicited(PAID)).then_completed().when(unsolicited(PAID))
    if late is FAIL:
        case.then_suspended("late: the instance is completed").operator("skip")
    else:
        case.then_ignored("late: the instance is completed")
    case.when(began()).then(Pay(id="1")).then_open(Handed.paying)


def test_an_answer_that_waits_for_its_step_is_late_when_the_life_ends_before_it() -> None:
    class Asking(ProcessManager, key="id"):
        paying = Step(Pay, done=Paid, within=FOREVER, needs_undo=False, then=Complete("paid"))

        @starts(again=True)
        def begin(self, _: Began) -> Effects:
            yield from ()

        @on
        def noticed(self, _: Noticed) -> Effects[Pay]:
            yield Pay(id=self.key)

        @on
        def closed(self, _: Closed) -> Effects[Abort]:
            yield Abort("closed")

    case = scenario(Asking).given(began()).when(unsolicited(PAID)).then_waits("its step has not started")
    case.when(CLOSED).then_aborted("closed").then_ignored("late: the instance is aborted")
    case.when(began(), NOTICED).then_running().then_open(Asking.paying)


def test_an_answer_that_comes_before_the_first_life_waits_for_its_step() -> None:
    scenario(Twice, key="1").when(unsolicited(PAID)).when(began()).then_open()


class Counting(ProcessManager, key="id"):
    """Closes when as many are taken as it was told, and cannot count before."""

    taking = Step(Take, done=Taken, each=by_item, within=FOREVER, needs_undo=False, then=CONTINUE)

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield from (Take(id=event.id, item=item) for item in event.items)

    @on
    def noticed(self, _: Noticed) -> Effects[Take]:
        yield from ()

    @on(after=n_of(lambda self: int(self.event(Noticed).text), taking))
    def closed(self, _: Closed) -> Effects[Complete]:
        yield Complete("closed")


def blamed() -> Scenario:
    """What waits cannot be judged any more once the process has begun."""
    case = scenario(Counting, key="1").when(CLOSED).then_waits("not started").when(began("a")).then_suspended("Noticed was not taken yet")
    assert case.instance.kept[case.instance.culprit].input.type == Closed.message_type
    return case


def test_what_waits_and_cannot_be_judged_is_blamed_itself() -> None:
    blamed().operator("skip").then_running().when(taken("a")).then_open()


def test_what_waits_and_cannot_be_judged_is_tried_again() -> None:
    blamed().when(Noticed(id="1", text="1")).operator("retry").then_suspended("Noticed was not taken yet").operator(
        "cancel"
    ).then_cancelled()
