"""What an operator does by hand: each action a fact with actor and reason, or a recorded refusal."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from process_manager import (
    CONTINUE,
    FOREVER,
    Abort,
    Compensate,
    Complete,
    Deadline,
    Effects,
    ProcessManager,
    Retry,
    Step,
    days,
    due,
    hours,
    on,
    overdue,
    starts,
    undo,
)
from process_manager.core import facts
from process_manager.core.deadlines import LEFTOVER
from process_manager.core.facts import Input
from process_manager.core.signals import OPERATOR_ACTION, OperatorAction
from process_manager.core.turn import take
from process_manager.testing.invariants import broken_promises
from process_manager.testing.scenario import START, Scenario, scenario, unsolicited
from tests.core.processes import BOOM, Flow, Purchase, flow, suspended
from tests.core.samples import (
    CLOSED,
    DECLINED,
    NOTICED,
    PAID,
    PAY,
    REFUND,
    REFUNDED,
    Began,
    Closed,
    GiveBack,
    GivenBack,
    Noticed,
    Paid,
    Pay,
    Refund,
    Refunded,
    Stuck,
    Take,
    Taken,
    began,
    give_back,
    given_back,
    taken,
)


class Mended(ProcessManager, key="id", name="flow"):
    """Flow after a mend: it takes a boom."""

    taking = Step(Take, each=lambda c: c.item, done=Taken, within=FOREVER, needs_undo=False, then=CONTINUE)
    paying = Step(Pay, done=Paid, within=hours(1), needs_undo=False, then=Complete("paid"), otherwise=Abort("not paid"))

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield from (Take(id=event.id, item=item) for item in event.items)

    @on
    def noticed(self, event: Noticed) -> Effects[Pay]:
        if event.text != "quiet":
            yield Pay(id=event.id)

    @on
    def closed(self, _: Closed) -> Effects[Abort]:
        yield Abort("closed")


def types(case: Scenario) -> list[str]:
    return [type(fact).__name__ for fact in case.facts]


def test_retry_runs_the_suspended_input_again_with_the_code_of_now() -> None:
    case = suspended().deployed(Mended).operator("retry", "mended the text").then(PAY).then_running()
    assert types(case) == ["OperatorActed", "EventTaken", "StepStarted"]
    assert "retry by operator: mended the text" in case.story
    case.when(PAID).then_completed()


def test_a_retry_that_raises_again_suspends_again() -> None:
    case = suspended().operator("retry").then_suspended("boom")
    assert types(case) == ["OperatorActed", "Suspended"]
    case.operator("retry").then_suspended("boom").operator("skip").then_running()


def test_what_turns_out_to_be_early_is_offered_again_before_what_stands_behind_it_in_the_log() -> None:
    """Kept by the suspension, the notice comes before what it waits for; the close, which ends it all, after both."""
    case = scenario(Flow).given(began("a")).operator("suspend").given(NOTICED, taken("a"), CLOSED)
    case.operator("resume").then(PAY).then_aborted("closed")


def test_skip_records_the_suspended_input_as_skipped_and_goes_on() -> None:
    case = suspended().operator("skip", "it was a test").then_running().then_ignored("skip by operator: it was a test")
    case.when(NOTICED).then(PAY)


@pytest.mark.parametrize("action", ["retry", "skip"])
def test_what_was_kept_behind_is_taken_in_the_order_of_the_log_in_the_same_block(action: Any) -> None:
    case = suspended().given(Noticed(id="1", text="quiet"), CLOSED).then_waits("suspended")
    case.deployed(Mended).operator(action).then_aborted("closed")
    assert types(case)[-3:] == ["EventTaken", "EventTaken", "Ended"]
    assert case.instance.kept == {}


def test_what_was_delivered_late_is_taken_by_its_place_in_the_log() -> None:
    """Delivery keeps no order; the queue of a suspended instance does."""
    case = scenario(Reborn).given(began()).operator("suspend")
    instance = case.instance
    for position in (9_300, 9_100, 9_200):
        data = orjson.dumps({"id": "1", "text": str(position)})
        late = Input(f"id-{position}", Noticed.message_type, 1, data, b"{}", "s", 0, position, START)
        instance = take(Reborn.definition, instance, late, START).instance
    resume = orjson.dumps(OperatorAction("reborn-1", "r", "resume", "ann", "because"))
    turn = take(Reborn.definition, instance, Input("go", OPERATOR_ACTION, 1, resume, b"{}", "s", 0, 9_400, START), START)
    assert [fact.input.position for fact in turn.facts if isinstance(fact, facts.EventTaken)] == [9_100, 9_200, 9_300]


def test_what_comes_after_the_culprit_and_raises_too_suspends_in_its_turn() -> None:
    case = suspended().given(BOOM, NOTICED).operator("skip").then_suspended("boom")
    assert len(case.instance.kept) == 2
    case.operator("skip").then_running().then(PAY)


def test_what_expired_in_the_log_before_its_condition_came_is_not_taken() -> None:
    case = flow("a").given(NOTICED).operator("suspend").after(days(3)).given(taken("a")).operator("resume").then()
    assert types(case) == ["OperatorActed", "InputExpired", "StepCompleted"]
    assert case.instance.kept == {}


def test_suspend_keeps_what_comes_and_resume_takes_it() -> None:
    case = flow("a").operator("suspend", "the bank is being moved").then_suspended("by operator: the bank is being moved")
    case.when(taken("a"), NOTICED).then_waits("suspended").then()
    case.operator("resume").then(PAY).then_running()


def test_cancel_ends_without_undoing() -> None:
    case = scenario(Purchase).given(began("a"), taken("a")).operator("cancel", "the customer died").then_cancelled("the customer died")
    case.then().after(days(9)).then().then_cancelled()
    case.when(PAID).then().then_cancelled().when(NOTICED).then_ignored("late: the instance is cancelled")


def test_cancel_lifts_a_suspension_and_skips_what_caused_it() -> None:
    case = suspended().given(CLOSED).operator("cancel", "enough").then_cancelled("enough").then_ignored("cancel by operator: enough")
    assert case.instance.kept == {}


def test_cancel_stops_undos_that_are_under_way() -> None:
    case = scenario(Purchase).given(began("a"), taken("a")).when(DECLINED).then(give_back("a")).operator("cancel").then_cancelled()
    case.after(days(1)).then().then_cancelled()
    assert not [fact for fact in case.facts if isinstance(fact, facts.CompensationFailed)]


def test_cancel_stops_an_undo_that_waits_for_its_next_attempt() -> None:
    case = (
        scenario(Purchase).given(began("a"), taken("a"), DECLINED).after(hours(1)).then_compensating().operator("cancel").then_cancelled()
    )
    assert broken_promises(case.definition, "1", case.records) == []
    case.after(days(1)).then().then_cancelled()


def test_compensate_undoes_what_was_done() -> None:
    case = scenario(Purchase).given(began("a"), taken("a"), PAID)
    case.operator("compensate", "fraud").then(REFUND).then_compensating("fraud")
    case.when(REFUNDED, given_back("a")).then_compensated("fraud")


class Fragile(ProcessManager, key="id"):
    """Cannot take that it is paid, and once it was noticed, cannot be undone."""

    paying = Step(Pay, done=Paid, within=hours(1), otherwise=Compensate("not paid"))
    refunding = Step(Refund, done=Refunded, within=hours(1), needs_undo=False, retry=Retry(1))

    @starts
    def begin(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)

    @on
    def paid(self, _: Paid) -> Effects[Complete]:
        if self.find(Noticed) is None:
            yield Complete(str(1 // 0))

    @undo(paying)
    def refund(self, c: Pay) -> Effects[Refund]:
        yield Refund(id=c.id if self.find(Noticed) is None else str(1 // 0))

    @on
    def noticed(self, _: Noticed) -> Effects[Complete]:
        yield from ()


def test_compensate_lifts_a_suspension_and_takes_its_answer_as_something_to_undo() -> None:
    case = scenario(Fragile).given(began(), PAID).then_suspended("ZeroDivisionError")
    case.operator("compensate", "too hard").then(REFUND).then_compensating().when(REFUNDED).then_compensated("too hard")


def test_an_action_whose_reaction_raises_suspends_with_the_action_itself_which_can_be_tried_again() -> None:
    case = scenario(Fragile).given(began(), NOTICED, PAID).then_running().operator("compensate")
    case.then_suspended("ZeroDivisionError").operator("retry").then_suspended("ZeroDivisionError").operator("skip").then_running()


def test_retry_of_a_failed_undo_tries_it_again() -> None:
    case = scenario(Purchase).given(began("a"), taken("a"), DECLINED, Stuck(id="1", item="a")).then_compensation_failed()
    case.operator("retry", "made room").then(give_back("a")).then_compensating("declined")
    case.when(given_back("a")).then_compensated("declined")


def test_a_failed_undo_that_got_no_answer_is_the_same_operation_when_retried() -> None:
    case = scenario(Purchase).given(began("a"), taken("a"), PAID, NOTICED).after(hours(1)).then_compensation_failed()
    before = {run.operation for run in case.instance.runs.values() if run.undoes}
    case.operator("retry").then(REFUND).then_compensating()
    assert {run.operation for run in case.instance.runs.values() if run.undoes} == before
    case.after(hours(1)).then_compensation_failed().operator("retry").when(REFUNDED).then(give_back("a"))


def test_skip_of_a_failed_undo_goes_on_with_the_rest() -> None:
    case = scenario(Purchase).given(began("a"), taken("a"), PAID, NOTICED).after(hours(1)).then_compensation_failed()
    case.operator("skip", "refunded in cash").then(give_back("a")).then_compensating()
    assert "paying is not undone" in case.story
    case.when(given_back("a")).then_compensated("noticed").when(REFUNDED).then_compensated()


def test_cancel_gives_up_a_failed_compensation() -> None:
    case = scenario(Purchase).given(began("a"), taken("a"), PAID, NOTICED).after(hours(1)).then_compensation_failed()
    case.operator("cancel", "written off").then_cancelled("written off").operator("retry").then_ignored("it is cancelled").then()


def test_one_of_two_failed_undos_that_fails_again_keeps_it_failed() -> None:
    case = scenario(Purchase).given(began("a", "b"), taken("a"), taken("b"), DECLINED, Stuck(id="1", item="a"), Stuck(id="1", item="b"))
    case.operator("retry").then(give_back("a"), give_back("b")).when(given_back("a")).then_compensating()
    case.when(Stuck(id="1", item="b")).then_compensation_failed().operator("skip").then_compensated()


@pytest.mark.parametrize(
    ("action", "case", "why"),
    [
        ("retry", flow, "nothing is suspended"),
        ("skip", flow, "nothing is suspended"),
        ("resume", flow, "it is not suspended"),
        ("resume", suspended, "retry it, or skip it"),
        ("retry", lambda: flow().operator("suspend"), "resume it"),
        ("suspend", suspended, "suspended already"),
        ("suspend", lambda: flow().given(CLOSED), "it is aborted"),
        ("cancel", lambda: flow().given(CLOSED), "it is aborted"),
        ("cancel", lambda: scenario(Flow).given(NOTICED), "it has not started"),
        ("compensate", lambda: scenario(Flow).given(NOTICED), "it has not started"),
        ("compensate", lambda: flow().given(CLOSED), "it is aborted"),
        ("move-deadline", flow, "it does not say to when"),
        ("cancel-deadline", flow, "no deadline"),
    ],
)
def test_what_does_not_apply_is_a_recorded_ignored_input(action: Any, case: Any, why: str) -> None:
    before = case()
    state = (before.instance.status, before.instance.suspended, len(before.instance.kept))
    before.operator(action).then_ignored(why).then_ignored(f"{action} by operator does not apply")
    assert (before.instance.status, before.instance.suspended, len(before.instance.kept)) == state


def test_an_instance_that_is_not_there_records_nothing() -> None:
    assert scenario(Flow, key="1").operator("cancel").records == []


def test_an_event_that_comes_for_a_cancelled_life_may_fail_and_a_start_begins_the_next() -> None:
    late = flow().operator("cancel").when(NOTICED).then_suspended("late: the instance is cancelled").operator("skip")
    late.then_cancelled()
    assert not late.instance.suspended


def test_resuming_does_not_move_the_end_of_a_life_behind_what_was_kept() -> None:
    """The start stands behind the end in the log: it begins the next life, though both waited for the operator."""
    case = scenario(Reborn).given(began()).operator("suspend").given(CLOSED, began()).operator("resume").then_running()
    assert case.instance.life == 2


def test_a_kept_start_from_before_a_cancel_belongs_to_the_cancelled_life() -> None:
    case = scenario(Reborn).given(began()).operator("suspend").given(began()).operator("cancel").then_cancelled()
    case.when(began()).then_running()
    assert case.instance.life == 2


class Reborn(ProcessManager, key="id"):
    """Lives as often as it is begun."""

    @starts(again=True)
    def begin(self, _: Began) -> Effects:
        yield from ()

    @on
    def noticed(self, _: Noticed) -> Effects:
        yield from ()

    @on
    def closed(self, _: Closed) -> Effects[Complete]:
        yield Complete("closed")


def test_more_than_fits_one_block_goes_on_behind_a_deadline_that_is_due_now() -> None:
    case = scenario(Reborn).given(began()).operator("suspend")
    for text in ("x" * 300_000, "y" * 300_000, "quiet"):
        case.given(Noticed(id="1", text=text))
    case.operator("resume")
    assert case.instance.timers[LEFTOVER].due == case.now
    assert case.instance.kept
    case.after(timedelta(0))
    assert case.instance.kept == {}
    taken_ = [orjson.loads(fact.input.data)["text"][:1] for record, fact in _taken(case)]
    assert taken_ == ["x", "y", "q"]


def test_what_comes_while_more_waits_than_fits_one_block_is_taken_behind_it() -> None:
    case = scenario(Reborn).given(began()).operator("suspend")
    for text in ("v" * 300_000, "w" * 300_000, "x" * 300_000, "y" * 300_000):
        case.given(Noticed(id="1", text=text))
    case.operator("resume").given(Noticed(id="1", text="z"), CLOSED).then_waits("what was kept before it comes first")
    case.after(timedelta(0)).then_completed("closed")
    assert "".join(orjson.loads(fact.input.data).get("text", "end")[:1] for _, fact in _taken(case)) == "vwxyze"


def _taken(case: Scenario) -> list[tuple[Any, facts.EventTaken]]:
    from process_manager.core.block import read_fact

    found = [(record, read_fact(record)) for record in case.records]
    return [(record, fact) for record, fact in found if isinstance(fact, facts.EventTaken)]


def test_one_request_is_one_action() -> None:
    """The request is in the bytes, and so in the ids: what an operator asks twice is written once by the store."""
    one = OperatorAction("flow-1", "r", "retry", "ann", "mended")
    assert one.stream == OperatorAction("flow-1", "r", "skip", "bob", "else").stream
    assert OperatorAction.read(orjson.dumps(one)) == one


@pytest.mark.parametrize(
    "change",
    [
        {"action": "burn"},
        {"reason": 5},
        {"deadline": None},
        {"due": "2030-01-01T00:00:00"},
        {"due": "9999-12-31T23:59:59-12:00"},
        {"due": 5},
    ],
    ids=str,
)
def test_what_is_no_action_is_not_read(change: dict[str, Any]) -> None:
    raw = {"instance": "flow-1", "request": "r", "action": "retry", "actor": "a", "reason": "b", "deadline": "", "due": None}
    assert OperatorAction.read(orjson.dumps(raw)).action == "retry"
    with pytest.raises((ValueError, TypeError)):
        OperatorAction.read(orjson.dumps(raw | change))


def test_the_same_action_again_changes_nothing() -> None:
    case = suspended()
    data = orjson.dumps(OperatorAction("flow-1", "r", "skip", "ann", "x"))
    again = Input("an-id", OPERATOR_ACTION, 1, data, b"{}", "s", 0, 99_000, case.now)
    case._take(again)
    revision = case.instance.revision
    case._take(again)
    assert case.instance.revision == revision
    assert take(Flow.definition, case.instance, again, case.now).instance.knows("an-id", 99_000)


# deadlines


class Waiting(ProcessManager, key="id"):
    """Waits for a notice, or for its payment."""

    last_call = Deadline()
    paying = Step(Pay, done=Paid, within=hours(2), needs_undo=False, then=Complete("paid"), retry=Retry(2, wait=hours(1)))

    @starts
    def begin(self, event: Began) -> Effects[Pay]:
        yield self.last_call.after(days(3))
        yield Pay(id=event.id)

    @due(last_call)
    def too_late(self) -> Effects[Abort]:
        yield Abort("too late")

    @overdue(paying)
    def not_paid(self, _: Pay) -> Effects[Abort]:
        yield Abort("not paid")


def waiting() -> Scenario:
    return scenario(Waiting).given(began())


def test_a_deadline_is_moved() -> None:
    case = waiting().given(unsolicited(began())).operator("move-deadline", "a holiday", deadline="last_call", due=START + days(9))
    case.then_due(Waiting.last_call, days(9))
    assert "move-deadline by operator: a holiday" in case.story


def test_the_deadline_of_a_step_is_moved_and_the_old_one_is_stale() -> None:
    case = waiting().operator("move-deadline", deadline="paying", due=START + hours(9))
    assert "deadline of paying set to 2026-01-01 09:00:00" in case.story
    case.after(hours(8)).then_open(Waiting.paying)
    assert case.facts == []
    case.after(hours(1)).then_open(Waiting.paying)
    assert "is tried again" in case.story
    case.after(hours(1)).then(PAY).after(hours(2)).then_aborted("not paid")


def test_the_wait_before_the_next_attempt_is_moved() -> None:
    case = waiting().after(hours(2)).operator("move-deadline", deadline="paying", due=START + hours(5))
    case.after(hours(2)).then().after(hours(1)).then(PAY)


def test_a_passed_deadline_that_was_moved_meanwhile_is_a_recorded_no_op() -> None:
    case = waiting().operator("suspend").after(hours(2)).operator("move-deadline", deadline="paying", due=START + hours(5))
    case.operator("resume").then_ignored("moved, cancelled or met").then_open(Waiting.paying).then()


def test_a_deadline_is_cancelled_and_that_of_a_step_is_not() -> None:
    case = waiting().operator("cancel-deadline", deadline="last_call").then_due(Waiting.last_call, None)
    case.operator("cancel-deadline", deadline="paying").then_ignored("wait for ever")
    case.operator("move-deadline", deadline="last_call", due=START).then_ignored("no deadline last_call is set")


class GivesBack(ProcessManager, key="id"):
    """Only for its undo that answers late."""

    taking = Step(Take, done=Taken, within=FOREVER, then=CONTINUE)
    giving_back = Step(GiveBack, done=GivenBack, failed=Stuck, within=FOREVER, needs_undo=False, retry=Retry(1))

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield Take(id=event.id)

    @on
    def closed(self, _: Closed) -> Effects[Compensate]:
        yield Compensate("closed")

    @undo(taking)
    def back(self, c: Take) -> Effects[GiveBack]:
        yield GiveBack(id=c.id)


def test_a_success_after_a_skipped_undo_of_it_is_ignored_as_answered() -> None:
    case = scenario(GivesBack).given(began(), taken(), CLOSED, Stuck(id="1")).operator("skip").then_compensated()
    case.when(taken()).then_ignored("answered before").then_compensated()


class GivesBackLate(ProcessManager, key="id"):
    """Only for a success that comes after its undo was asked for."""

    taking = Step(Take, done=Taken, within=hours(1), then=CONTINUE, otherwise=Compensate("late"))
    giving_back = Step(GiveBack, done=GivenBack, failed=Stuck, within=FOREVER, needs_undo=False, retry=Retry(2, hours(1), refusals=True))

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield Take(id=event.id)

    @undo(taking)
    def back(self, c: Take) -> Effects[GiveBack]:
        yield GiveBack(id=c.id)


def stuck() -> Scenario:
    """Overdue, and its undo refused."""
    return scenario(GivesBackLate).given(began()).after(hours(1)).then(give_back()).when(Stuck(id="1"))


def test_an_undo_that_is_tried_again_after_the_late_success_undoes_it() -> None:
    case = stuck().when(taken()).then().after(hours(1)).then(give_back())
    case.when(given_back()).then().then_compensated("late")


def test_of_two_undos_of_a_run_that_failed_the_newer_one_is_retried() -> None:
    case = stuck().after(hours(1)).when(Stuck(id="1")).then_compensation_failed()
    case.when(taken()).then(give_back()).when(Stuck(id="1")).after(hours(1)).when(Stuck(id="1")).then_compensation_failed()
    case.operator("retry").then(give_back()).when(given_back()).then_compensated("late")


def test_one_of_two_failed_undos_that_is_confirmed_after_all_leads_to_nothing_yet() -> None:
    case = scenario(Purchase).given(began("a", "b"), taken("a"), taken("b"), DECLINED, Stuck(id="1", item="a"), Stuck(id="1", item="b"))
    case.then_compensation_failed().when(given_back("a")).then_compensation_failed()
    assert types(case) == ["StepCompleted"]
    case.when(given_back("b")).then_compensated("declined")
