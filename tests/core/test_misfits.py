"""What an instance still needs, and a newer class no longer has."""

from collections.abc import Callable

import pytest

from process_manager import (
    CONTINUE,
    Command,
    Compensate,
    Complete,
    Deadline,
    Effects,
    ProcessManager,
    Step,
    all_of,
    days,
    due,
    hours,
    on,
    starts,
    undo,
)
from process_manager.core.misfits import misfits
from process_manager.testing.scenario import Scenario, scenario, unsolicited
from tests.core.processes import Quorum
from tests.core.samples import (
    DECLINED,
    NOTICED,
    PAID,
    Began,
    Closed,
    Declined,
    GiveBack,
    GivenBack,
    Noticed,
    Paid,
    Pay,
    Take,
    Taken,
    began,
    given_back,
    taken,
)


class Old(ProcessManager, key="id", name="trade"):
    """Takes, pays, waits for a notice."""

    last_call = Deadline()
    taking = Step(Take, each=lambda c: c.item, done=Taken, within=hours(1), otherwise=Compensate("not taken"))
    giving_back = Step(GiveBack, each=lambda c: c.item, done=GivenBack, within=hours(1), needs_undo=False)
    paying = Step(Pay, done=Paid, failed=Declined, within=hours(1), needs_undo=False, then=CONTINUE, otherwise=Compensate("not paid"))

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield self.last_call.after(days(9))
        yield from (Take(id=event.id, item=item) for item in event.items)

    @on(all_of(taking))
    def all_taken(self) -> Effects[Pay]:
        yield Pay(id=self.key)

    @on(after=paying)
    def noticed(self, _: Noticed) -> Effects[Complete]:
        yield Complete("noticed")

    @due(last_call)
    def too_late(self) -> Effects[Complete]:
        yield Complete("too late")

    @undo(taking)
    def back(self, c: Take) -> Effects[GiveBack]:
        yield GiveBack(id=c.id, item=c.item)


class Settle(Command, type="t.settle"):
    id: str


class New(ProcessManager, key="id", name="trade", version=2):
    """Its payment is made in another way, what was taken stays, and nobody waits for a notice or a last call."""

    grabbing = Step(Take, each=lambda c: c.item, done=Taken, within=hours(1), otherwise=Compensate("not taken"), needs_undo=False)
    paying = Step(Settle, done=Paid, failed=Declined, within=hours(1), needs_undo=False, then=CONTINUE, otherwise=Compensate("not paid"))

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield from (Take(id=event.id, item=item) for item in event.items)

    @on(all_of(grabbing))
    def all_taken(self) -> Effects[Settle]:
        yield Settle(id=self.key)

    @on(after=paying)
    def closed(self, _: Closed) -> Effects[Complete]:
        yield Complete("closed")


class Renamed(ProcessManager, key="id", name="trade", version=2):
    """Old, with reactions of other names and nothing to undo."""

    last_call = Deadline()
    taking = Step(Take, each=lambda c: c.item, done=Taken, within=hours(1), otherwise=Compensate("not taken"), needs_undo=False)
    paying = Step(Pay, done=Paid, failed=Declined, within=hours(1), needs_undo=False, then=CONTINUE, otherwise=Compensate("not paid"))

    @starts
    def start(self, event: Began) -> Effects[Take]:
        yield from (Take(id=event.id, item=item) for item in event.items)

    @on(all_of(taking))
    def everything(self) -> Effects[Pay]:
        yield Pay(id=self.key)

    @on(after=paying)
    def noticed(self, _: Noticed) -> Effects[Complete]:
        yield Complete("noticed")

    @due(last_call)
    def too_late(self) -> Effects[Complete]:
        yield Complete("too late")


def old(*items: str) -> Scenario:
    return scenario(Old).given(began(*items))


def found(case: Scenario, process: type[ProcessManager]) -> list[tuple[str, str, str]]:
    return [(each.kind, each.name, each.problem) for each in misfits(process.definition, case.instance)]


CASES: dict[str, Callable[[], Scenario]] = {
    "outstanding": lambda: old("a"),
    "paying": lambda: old("a").given(taken("a")),
    "compensating": lambda: old("a").given(taken("a"), DECLINED),
    "compensated": lambda: old("a").given(taken("a"), DECLINED, given_back("a")),
    "completed": lambda: old("a").given(taken("a"), PAID, NOTICED),
    "early": lambda: scenario(Old).given(NOTICED),
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_class_fits(case: str) -> None:
    assert found(CASES[case](), Old) == []


def test_a_step_that_is_outstanding_and_gone_is_a_misfit() -> None:
    assert ("step", "taking", "it waits for its answer, and the class has no such step") in found(CASES["outstanding"](), New)


def test_a_step_that_may_have_to_be_undone_and_is_gone() -> None:
    assert ("step", "taking", "it may have to undo it, and the class has no such step") in found(CASES["paying"](), New)


def test_a_step_that_has_another_command_is_a_misfit() -> None:
    assert ("step", "paying", "it has given t.pay, and the step's command is t.settle now") in found(CASES["paying"](), New)


def test_a_step_that_is_not_undone_any_more_is_a_misfit() -> None:
    assert ("undo", "taking", "it may have to undo it, and the class has no @undo for it") in found(CASES["paying"](), Renamed)


def test_an_undo_under_way_whose_step_is_gone_is_a_misfit() -> None:
    assert [name for kind, name, _ in found(CASES["compensating"](), New) if kind == "step"] == ["giving_back"]


def test_a_deadline_that_is_set_and_gone_is_a_misfit() -> None:
    assert [name for kind, name, _ in found(CASES["outstanding"](), New) if kind == "deadline"] == ["last_call"]


class Regrouped(New, key="id", name="trade", version=2):
    """Waits for what is taken now under another name."""

    all_taken = None  # type: ignore[assignment]  # gone

    @on(all_of(New.grabbing))
    def all_grabbed(self) -> Effects[Settle]:
        yield Settle(id=self.key)


def test_a_join_that_is_decided_and_gone_is_a_misfit_where_another_reaction_stands_for_it() -> None:
    assert ("join", "all of taking") in [each[:2] for each in found(CASES["paying"](), Regrouped)]
    assert ("join", "all of taking") not in [each[:2] for each in found(CASES["paying"](), New)]


def test_a_join_that_waits_for_a_reaction_of_another_name() -> None:
    """What the problem says is so: the answer that would reach the join does not."""
    case = CASES["outstanding"]()
    assert ("join", "all of taking") in [each[:2] for each in found(case, Renamed)]
    case.deployed(Renamed).when(taken("a")).then().then_running()


def test_an_event_that_is_kept_and_not_taken_any_more() -> None:
    case = CASES["early"]()
    assert [each[:2] for each in found(case, New)] == [("event", "t.noticed")]
    case.deployed(New).when(began("a")).then_ignored("no use for it")


def test_the_answer_to_a_step_that_is_gone_is_not_lost() -> None:
    case = CASES["outstanding"]()
    answer = unsolicited(taken("a"), causation=next(iter(case.instance.commands)))
    case.deployed(New).when(answer).then_suspended("it answers taking, a step that the class has no more")
    case.deployed(Old).operator("retry").then(Pay(id="1")).then_running()


def test_the_deadline_of_a_step_that_is_gone_suspends() -> None:
    CASES["outstanding"]().deployed(New).after(hours(1)).then_suspended("has no step taking any more")


def test_a_life_that_has_ended_needs_nothing() -> None:
    assert found(CASES["compensated"](), New) == found(CASES["completed"](), New) == []


def test_an_answer_that_is_out_when_all_is_undone_and_that_nothing_follows_from_is_needed_no_more() -> None:
    """When it comes after all, newer code that has another step need not know what to do about it."""
    case = old("a").given(taken("a")).operator("compensate").given(given_back("a")).then_compensated().then_open(Old.paying)
    assert found(case, New) == []
    answer = unsolicited(PAID, causation=list(case.instance.commands)[1])
    case.deployed(New).when(answer).then_compensated()


def test_what_is_undone_when_it_is_done_after_the_end_is_still_needed() -> None:
    case = scenario(Quorum).given(began("a", "b", need=1), taken("a"), PAID).then_completed().then_open(Quorum.taking)

    class Fewer(ProcessManager, key="id", name="quorum"):
        paying = Step(Pay, done=Paid, within=hours(1), needs_undo=False, then=CONTINUE, otherwise=CONTINUE)

        @starts
        def begin(self, event: Began) -> Effects[Pay | Complete]:
            yield Pay(id=event.id)
            yield Complete("begun")

    assert found(case, Fewer) == [("step", "taking", "it may have to undo it, and the class has no such step")]
