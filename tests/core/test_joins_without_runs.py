"""Joins over steps that have no run yet: they stay open while a reaction may still start one, and are decided when none may."""

import pytest

from process_manager import (
    CONTINUE,
    FOREVER,
    Abort,
    Complete,
    Deadline,
    Effects,
    ProcessManager,
    Step,
    all_of,
    any_of,
    days,
    due,
    hours,
    n_of,
    on,
    starts,
)
from process_manager.core import joins
from process_manager.core.definition import Definition
from process_manager.core.instance import Instance
from process_manager.core.steps import Join
from process_manager.testing.scenario import Scenario, scenario
from tests.core.samples import (
    CLOSED,
    NOTICED,
    PAID,
    PAY,
    Began,
    Closed,
    Declined,
    GiveBack,
    GivenBack,
    Noticed,
    Paid,
    Pay,
    Refund,
    Refunded,
    Refused,
    Take,
    Taken,
    began,
    by_item,
    given_back,
    refused,
    take,
    taken,
)


class Asking(ProcessManager, key="id"):
    """Takes its items at once, or, where more than one is needed, when the payment has come."""

    paying = Step(Pay, done=Paid, failed=Declined, within=FOREVER, needs_undo=False, otherwise=CONTINUE)
    taking = Step(Take, each=by_item, done=Taken, within=FOREVER, needs_undo=False, then=CONTINUE, otherwise=Abort("too few"))

    @starts
    def begin(self, event: Began) -> Effects[Pay | Take]:
        if event.need > 1:
            yield Pay(id=event.id)
        else:
            yield from (Take(id=event.id, item=item) for item in event.items)

    @on
    def paid(self, _: Paid) -> Effects[Take]:
        yield from (Take(id=self.key, item=item) for item in self.event(Began).items)

    @on(all_of(taking))
    def all_taken(self) -> Effects[Complete]:
        yield Complete("all")


def ended_by(join: Join) -> type[ProcessManager]:
    """The same, ended by an event that waits for a join."""

    class Ended(Asking, key="id", name="ended_by"):
        @on(all_of(Asking.taking))
        def all_taken(self) -> Effects[Complete]:
            yield from ()

        @on(after=join)
        def closed(self, _: Closed) -> Effects[Complete]:
            yield Complete("closed")

    return Ended


def test_a_join_waits_for_the_branch_that_may_still_start_its_step() -> None:
    case = scenario(Asking).given(began("a", "b", need=2)).then(PAY).then_running()
    case.when(PAID).then(take("a"), take("b")).when(taken("a")).then_running().when(taken("b")).then_completed("all")


@pytest.mark.parametrize("join", [all_of(Asking.taking), any_of(Asking.taking), n_of(2, Asking.taking)])
def test_an_event_waits_for_the_branch_that_may_still_start_what_it_waits_for(join: Join) -> None:
    case = scenario(ended_by(join)).given(began("a", "b", need=2)).when(CLOSED).then_running()
    case.when(PAID, taken("a"), taken("b")).then_completed("closed")


def test_a_join_over_nothing_holds_when_the_other_branch_cannot_come_any_more() -> None:
    scenario(Asking).when(began()).then_completed("all")
    scenario(Asking).given(began(need=2)).then_running().when(PAID).then_completed("all")


class Two(ProcessManager, key="id"):
    """Pays and takes; both are waited for, and taking begins when something is noticed."""

    paying = Step(Pay, done=Paid, within=FOREVER, needs_undo=False, then=CONTINUE, otherwise=CONTINUE)
    taking = Step(Take, done=Taken, within=FOREVER, needs_undo=False, then=CONTINUE, otherwise=CONTINUE)

    @starts
    def begin(self, event: Began) -> Effects[Pay | Take]:
        yield Pay(id=event.id)
        if event.need == 0:
            yield Take(id=event.id)

    @on
    def noticed(self, event: Noticed) -> Effects[Take]:
        if event.text != "no":
            yield Take(id=event.id)

    @on(all_of(paying, taking))
    def both(self) -> Effects[Complete]:
        yield Complete("both")


def test_a_join_of_two_steps_is_not_reached_by_the_runs_of_one() -> None:
    scenario(Two).given(began(), PAID).then_running().when(NOTICED).then(take()).when(taken()).then_completed("both")
    scenario(Two).given(began(), NOTICED, taken()).then_running().when(PAID).then_completed("both")


def test_an_event_from_outside_that_may_start_it_is_waited_for_once() -> None:
    nothing = NOTICED.model_copy(update={"text": "no"})
    scenario(Two).given(began(), PAID).then_running().when(nothing).then_completed("both")


class Mended(ProcessManager, key="id"):
    """Every item is checked (taken), and those that are refused are given back; it ends when all of these are."""

    checking = Step(Take, each=by_item, done=Taken, failed=Refused, within=FOREVER, needs_undo=False, then=CONTINUE)
    mending = Step(GiveBack, each=by_item, done=GivenBack, within=FOREVER, needs_undo=False, then=CONTINUE, otherwise=CONTINUE)

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield from (Take(id=event.id, item=item) for item in event.items)

    @on
    def passed(self, event: Taken) -> Effects[GiveBack]:
        yield from ()

    @on
    def refused(self, event: Refused) -> Effects[GiveBack]:
        yield GiveBack(id=event.id, item=event.item)

    @on(all_of(mending))
    def mended(self) -> Effects[Complete]:
        yield Complete("mended")


def test_a_reaction_that_runs_for_each_answer_may_start_one_as_long_as_answers_come() -> None:
    scenario(Mended).given(began("a", "b"), taken("a")).then_running().when(taken("b")).then_completed("mended")
    case = scenario(Mended).given(began("a", "b"), taken("a"), refused("b")).then_running()
    case.when(given_back("b")).then_completed("mended")


class Timed(ProcessManager, key="id"):
    """Refunds when a day has passed without a closing, or not at all."""

    refunding = Step(Refund, done=Refunded, within=FOREVER, needs_undo=False, then=CONTINUE, otherwise=CONTINUE)
    day = Deadline()

    @starts
    def begin(self, _: Began) -> Effects[Refund]:
        yield self.day.after(days(1))

    @due(day)
    def over(self) -> Effects[Refund]:
        yield Refund(id=self.key)

    @on
    def closed(self, _: Closed) -> Effects:
        yield self.day.cancel()

    @on(all_of(refunding))
    def refunded(self) -> Effects[Complete]:
        yield Complete("settled")


def settled() -> Scenario:
    return scenario(Timed).given(began()).then_running()


def test_a_deadline_that_may_start_it_is_waited_for_while_it_is_pending() -> None:
    settled().after(days(1)).then(Refund(id="1")).then_running().when(Refunded(id="1")).then_completed("settled")
    settled().when(CLOSED).then_completed("settled")


class Some(ProcessManager, key="id"):
    """Needs two of its items."""

    taking = Step(Take, each=by_item, done=Taken, within=hours(1), needs_undo=False, otherwise=Abort("too few"))

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield from (Take(id=event.id, item=item) for item in event.items)

    @on(n_of(2, taking))
    def two(self) -> Effects[Complete]:
        yield Complete("two")


def test_some_of_nothing_is_too_few() -> None:
    scenario(Some).when(began()).then_aborted("too few")


class Circular(ProcessManager, key="id"):
    """What follows from its joins may start what they are over."""

    paying = Step(Pay, done=Paid, within=FOREVER, needs_undo=False, then=CONTINUE, otherwise=CONTINUE)
    taking = Step(Take, done=Taken, within=FOREVER, needs_undo=False, then=CONTINUE, otherwise=CONTINUE)
    refunding = Step(Refund, done=Refunded, within=FOREVER, needs_undo=False, then=CONTINUE, otherwise=CONTINUE)

    @starts
    def begin(self, event: Began) -> Effects[Pay | Take | Refund]:
        yield Pay(id=event.id)

    @on(all_of(paying, taking))
    def both(self) -> Effects[Take | Complete]:
        yield Complete("both")

    @on(after=all_of(refunding))
    def closed(self, _: Closed) -> Effects[Refund | Complete]:
        yield Complete("closed")


def test_what_waits_for_a_join_is_not_what_the_join_waits_for() -> None:
    scenario(Circular).given(began()).when(PAID).then_completed("both")
    scenario(Circular).given(began()).when(CLOSED).then_completed("closed")


class Dense(ProcessManager, key="id"):
    """Any answer may start any step."""

    paying = Step(Pay, done=Paid, within=FOREVER, needs_undo=False, otherwise=CONTINUE)
    taking = Step(Take, done=Taken, within=FOREVER, needs_undo=False, otherwise=CONTINUE)
    refunding = Step(Refund, done=Refunded, within=FOREVER, needs_undo=False, otherwise=CONTINUE)
    giving = Step(GiveBack, done=GivenBack, within=FOREVER, needs_undo=False, otherwise=CONTINUE)

    @starts
    def begin(self, _: Began) -> Effects[Pay | Take | Refund | GiveBack]:
        yield from ()

    @on
    def paid(self, _: Paid) -> Effects[Pay | Take | Refund | GiveBack]:
        yield from ()

    @on
    def taken(self, _: Taken) -> Effects[Pay | Take | Refund | GiveBack]:
        yield from ()

    @on
    def refunded(self, _: Refunded) -> Effects[Pay | Take | Refund | GiveBack]:
        yield from ()

    @on
    def given_back(self, _: GivenBack) -> Effects[Pay | Take | Refund | GiveBack]:
        yield from ()

    @on(all_of(paying, taking, refunding, giving))
    def finished(self) -> Effects[Complete]:
        yield Complete("nothing to do")


def test_what_may_start_a_step_is_looked_at_once_for_a_join(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for each way that leads to it: there are as many as orders of the steps."""
    looks: list[str] = []

    def noted(definition: Definition, instance: Instance, step: str, passed: set[str]) -> bool:
        if step not in passed:
            looks.append(step)
        return may_start(definition, instance, step, passed)

    may_start = joins._may_start
    monkeypatch.setattr(joins, "_may_start", noted)
    scenario(Dense).when(began()).then_completed("nothing to do")
    assert sorted(looks) == ["giving", "paying", "refunding", "taking"]
