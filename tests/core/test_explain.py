"""Why an instance is where it is: what the facts tell, and what the definition adds."""

import re

from process_manager import CONTINUE, FOREVER, Abort, Effects, ProcessManager, Step, hours, minutes, on, starts
from process_manager.core.block import read_fact
from process_manager.core.definition import Definition
from process_manager.core.explain import Explainer, Explanation, Late, Waiting
from process_manager.examples.order_fulfilment.messages import OrderPlaced, ReviewApproved, ReviewRejected
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.testing.scenario import START, Scenario, scenario
from tests.core.processes import Broken, Patient, Purchase, Quorum, Sale, suspended
from tests.core.random_lives import order, reserved
from tests.core.samples import DECLINED, NOTICED, PAID, Began, Noticed, Paid, Pay, Stuck, began, taken


def explained(case: Scenario, definition: Definition | None = None) -> Explanation:
    explainer = Explainer(case.definition.name, case.instance.key, definition)
    explainer.take((read_fact(record), record.revision) for record in case.records)
    return explainer.explanation(START + hours(2))


def reviewed() -> Scenario:
    return scenario(OrderFulfilment).given(order(("a",), 5000)).after(minutes(5)).when(reserved("a"))


def test_the_facts_alone_say_what_it_waits_for_and_since_when() -> None:
    found = explained(reviewed())
    assert (found.status, found.since) == ("running", START)
    assert [line.text for line in found.decisions] == ["manual review? yes, because total 5000 > 500"]
    assert next(line.text for line in found.because) == "inventory.stock-reserved: reserve_stock [a] is done"
    due = START + minutes(5) + hours(24)
    assert found.waiting == [Waiting("request_review: an answer to reviews.request-review", START + minutes(5), due, [])]
    assert found.next is not None
    assert (found.next.what, found.next.due, found.next.follows) == ("request_review", due, None)
    assert found.possible is None


def test_the_definition_says_what_happens_if_nothing_comes_and_what_can_still_happen() -> None:
    found = explained(reviewed(), OrderFulfilment.definition)
    assert found.waiting[0].answers == ["reviews.review-approved", "reviews.review-rejected"]
    assert found.next is not None
    assert found.next.follows == [
        "request_review is overdue",
        "compensating: nobody reviewed the order in time",
        "release_stock [a]: inventory.release-stock, undoes reserve_stock [a], answer due 2026-01-02 00:15:00",
    ]
    assert found.possible == {"reviews.review-approved": ["payments.charge-card"], "reviews.review-rejected": ["compensate"]}


def test_what_is_answered_is_waited_for_no_more() -> None:
    found = explained(reviewed().when(ReviewApproved(order_id="1", reviewer="ada")))
    assert [each.what for each in found.waiting] == ["charge_card: an answer to payments.charge-card"]


def test_a_later_attempt_is_named_and_waits_since_the_first() -> None:
    case = scenario(OrderFulfilment).given(order(("a",))).after(minutes(10))
    attempts = [run.attempt for run in case.instance.runs.values() if run.status == "open"]
    (waits,) = explained(case).waiting
    assert attempts == [2]
    assert (waits.what, waits.since) == ("reserve_stock [a]: an answer to inventory.reserve-stock (attempt 2)", START)


class Insistent(ProcessManager, key="id"):
    """Pays at once, whenever somebody notices, and once more for each payment."""

    paying = Step(Pay, done=Paid, within=FOREVER, needs_undo=False, otherwise=CONTINUE)

    @starts
    def begun(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)

    @on
    def noticed(self, notice: Noticed) -> Effects[Pay | Abort]:
        yield Pay(id=notice.id)

    @on
    def paid(self, paid: Paid) -> Effects[Pay]:
        yield Pay(id=paid.id)


def test_a_step_that_is_running_already_is_not_said_to_start_but_to_suspend() -> None:
    """Nor is it running any more once it is answered."""
    case = scenario(Insistent).given(began())
    assert explained(case, Insistent.definition).possible == {
        "t.noticed": ["abort", "suspended, because the step paying is already running"],
        "t.paid": ["t.pay"],
    }
    assert explained(case.given(PAID), Insistent.definition).status == "running"
    assert "the step paying is already running" in explained(case.given(NOTICED)).outcome


def test_what_is_being_undone_waits_for_its_confirmation() -> None:
    found = explained(reviewed().when(ReviewRejected(order_id="1", reviewer="alan")), OrderFulfilment.definition)
    assert (found.status, found.outcome) == ("compensating", "rejected by alan")
    assert found.possible == {"inventory.stock-released": ["what it undoes is undone"]}


def test_deadlines_of_its_own_and_the_next_of_several() -> None:
    found = explained(scenario(Sale).given(began()), Sale.definition)
    assert [each.what for each in found.waiting] == ["paying: an answer to t.pay", "the deadline patience"]
    assert found.next is not None
    assert (found.next.what, found.next.due) == ("paying", START + hours(1))
    assert found.next.follows == ["paying is overdue", "deadline patience cancelled", "aborted: not paid"]


def test_a_suspended_instance_waits_for_an_operator() -> None:
    found = explained(scenario(Broken).given(began(), PAID))
    assert found.status == "suspended"
    assert "ZeroDivisionError" in found.outcome
    waits = found.waiting[0]
    assert [each.what for each in found.waiting[1:]] == ["the deadline patience"]  # the answer is there
    assert waits.what.startswith("an operator, because t.paid ")
    assert waits.what.endswith(", the answer to paying, could not be taken,")
    assert (found.actions, found.retried) == (["retry", "skip", "compensate", "cancel"], None)


def test_a_suspension_tells_the_reaction_and_the_line_and_a_retry_is_tried_with_the_definition() -> None:
    case = scenario(Broken).given(began(), PAID)
    found = explained(case, Sale.definition)
    assert re.fullmatch(r"ZeroDivisionError:  \(\w+, processes\.py:\d+\)", found.outcome)
    assert found.retried is not None
    assert found.retried[-1] == "completed: sold"
    assert (explained(case, Broken.definition).retried or [""])[-1].startswith("t.paid: suspended, ZeroDivisionError")


def test_what_is_kept_behind_a_suspension_is_told_and_its_culprit_is_not_repeated() -> None:
    found = explained(suspended().when(NOTICED))
    assert [each.what for each in found.waiting[1:]] == ["its turn: t.noticed, kept because suspended"]


def test_one_that_an_operator_suspended_goes_on_by_hand() -> None:
    found = explained(scenario(Sale).given(began()).operator("suspend"), Sale.definition)
    assert found.actions == ["resume", "compensate", "cancel"]


def test_an_undo_that_may_fail_says_so_and_one_that_failed_waits_for_an_operator_or_is_confirmed_after_all() -> None:
    case = scenario(Purchase).given(began("a"), taken("a"), DECLINED)
    assert explained(case, Purchase.definition).possible == {
        "t.given-back": ["what it undoes is undone"], "t.stuck": ["what it undoes is not undone"],
    }  # fmt: skip
    found = explained(case.given(Stuck(id="1", item="a")), Purchase.definition)
    assert found.status == "compensation_failed"
    assert [each.what for each in found.waiting] == [
        "an operator, because giving_back [a] could not undo taking [a] (t.stuck: giving_back [a] failed)"
    ]
    assert (found.actions, len(found.failed)) == (["retry", "skip", "cancel"], 1)
    assert found.retried is not None
    assert any("undoes" in line for line in found.retried)
    assert found.possible == {"t.given-back": ["what it undoes is undone"]}


def test_a_deadline_that_passed_and_is_kept_behind_a_suspension_is_not_to_come() -> None:
    found = explained(scenario(Broken).given(began(), PAID).after(hours(1)), Sale.definition)
    assert found.waiting[-1].what == "its turn: the deadline of paying, kept because suspended"
    assert found.next is not None
    assert found.next.what == "patience"


def test_what_an_operator_left_undone_is_told() -> None:
    found = explained(scenario(Purchase).given(began("a"), taken("a"), DECLINED, Stuck(id="1", item="a")).operator("skip"))
    assert (found.status, found.waiting) == ("compensated", [])
    assert [line.text for line in found.because][-3:] == [
        "taking [a] is not undone", "compensating: declined", "compensated: declined (left undone: taking)",
    ]  # fmt: skip


def test_a_success_that_may_come_late_is_undone() -> None:
    found = explained(scenario(Purchase).given(began("a"), NOTICED).after(hours(1)), Purchase.definition)
    assert found.possible is not None
    assert found.possible["t.taken"] == ["it is undone"]


def test_what_waits_in_vain_is_named() -> None:
    found = explained(scenario(Patient).given(Noticed(id="1", text="early")), Patient.definition)
    assert found.next is not None
    assert found.next.follows == ["t.noticed: waited in vain"]


def test_one_that_has_ended_waits_for_nothing() -> None:
    found = explained(scenario(Sale).given(began(), PAID), Sale.definition)
    assert (found.status, found.outcome, found.waiting, found.next, found.possible) == ("completed", "sold", [], None, {})


def test_an_answer_that_nothing_follows_from_is_not_waited_for_once_it_is_undone() -> None:
    case = scenario(Sale).given(began()).operator("compensate").then_compensated().then_open(Sale.paying)
    found = explained(case, Sale.definition)
    assert (found.waiting, found.late, found.next, found.possible) == ([], [], None, {})


def test_what_is_undone_when_it_is_done_after_the_end_is_told_and_not_waited_for() -> None:
    case = scenario(Quorum).given(began("a", "b", need=1), taken("a"), PAID).then_completed().then_open(Quorum.taking)
    found = explained(case, Quorum.definition)
    assert (found.waiting, found.late) == ([], [Late("taking [b]", START + hours(1), ["t.give-back"])])
    assert found.possible == {"t.taken": ["it is undone"], "t.refused": []}
    assert found.next is not None
    assert found.next.follows is not None
    assert found.next.follows[-1].startswith("giving_back [b]: t.give-back, undoes taking [b]")


def test_one_that_has_not_started_says_what_would_start_it() -> None:
    found = explained(scenario(Patient).given(Noticed(id="1", text="early")), Patient.definition)
    assert found.status == "not_started"
    assert found.waiting[0].what == "its turn: t.noticed, kept because the instance has not started"
    assert found.possible == {"t.began": ["t.pay"]}


def test_a_join_that_is_undecided_names_what_may_follow_from_it() -> None:
    found = explained(scenario(OrderFulfilment).given(order(("a", "b"))), OrderFulfilment.definition)
    assert found.possible is not None
    assert found.possible["inventory.stock-reserved"] == ["all of reserve_stock: payments.charge-card or reviews.request-review"]
    assert found.possible["inventory.stock-unavailable"] == ["compensate"]
    assert OrderPlaced.message_type not in found.possible
