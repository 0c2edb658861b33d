"""Each promise about a stream is found broken when it is."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from process_manager import (
    CONTINUE,
    FOREVER,
    Compensate,
    Complete,
    Effects,
    ProcessManager,
    Retry,
    Step,
    hours,
    minutes,
    n_of,
    on,
    starts,
    undo,
)
from process_manager.core.records import Record
from process_manager.examples.order_fulfilment import messages as m
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.testing.invariants import broken_promises
from process_manager.testing.scenario import scenario, unsolicited
from tests.core.samples import (
    CLOSED,
    NOTICED,
    PAID as PAID_FOR,
    REFUND,
    Began,
    Closed,
    GiveBack,
    GivenBack,
    Noticed,
    Paid,
    Pay,
    Refund,
    Refunded,
    Refused,
    Stuck,
    Take,
    Taken,
    began,
    by_item,
    give_back,
    given_back,
    refused,
    take,
    taken,
)
from tests.proof.errand import Errand

PLACED = m.OrderPlaced(order_id="1", lines=(m.Line(sku="a", quantity=1),), total=Decimal(50), card="c")
RESERVED = m.StockReserved(order_id="1", sku="a", quantity=1)
RELEASED = m.StockReleased(order_id="1", sku="a", quantity=1)
DECLINED = m.CardDeclined(order_id="1", reason="broke")
HELD = scenario(OrderFulfilment).given(PLACED).operator("suspend").given(RELEASED, PLACED).operator("resume").records
UNDONE = scenario(OrderFulfilment).given(PLACED, RESERVED, DECLINED, RELEASED).then_compensated().records

CHARGED = m.CardCharged(order_id="1", amount=Decimal(50))
REFUNDED = m.CardRefunded(order_id="1", amount=Decimal(50))
PAID = scenario(OrderFulfilment).given(PLACED, RESERVED, CHARGED).operator("compensate").after(timedelta(days=5)).given(REFUNDED).records
TRIED_AGAIN = scenario(OrderFulfilment).given(PLACED).after(timedelta(minutes=10)).records


def without(records: list[Record], type_: str) -> list[Record]:
    return numbered([record for record in records if record.type != type_])


def again(records: list[Record], type_: str) -> list[Record]:
    return numbered([*records, *(record for record in records if record.type == type_)])


def numbered(records: list[Record]) -> list[Record]:
    return [record._replace(revision=revision) for revision, record in enumerate(records)]


def sooner(records: list[Record], type_: str) -> list[Record]:
    """Its record of this type two places earlier."""
    (index,) = [index for index, record in enumerate(records) if record.type == type_]
    return numbered([*records[: index - 2], records[index], *records[index - 2 : index], *records[index + 1 :]])


BROKEN: dict[str, Callable[[], list[Record]]] = {
    "no_input_is_taken_twice": lambda: again(UNDONE, "pm.step-failed"),
    "a_suspended_instance_takes_nothing": lambda: numbered([*HELD[:-3], *HELD[-2:]]),
    "what_was_held_back_is_taken_in_the_order_of_the_log": lambda: numbered([*HELD[:-2], HELD[-1], HELD[-2]]),
    "every_record_has_its_receipt": lambda: without(UNDONE, "pm.step-failed"),
    "no_command_is_given_twice": lambda: again(UNDONE, "payments.charge-card"),
    "an_attempt_after_a_refusal_is_a_new_operation": lambda: [
        record._replace(metadata=record.metadata.replace(b'"operation":"', b'"replaces":"')) for record in TRIED_AGAIN
    ],
    "an_attempt_fails_once": lambda: again(UNDONE, "pm.step-failed"),
    "a_later_life_takes_nothing_from_before_it": lambda: again(UNDONE, "pm.started"),
    "a_life_ends_once": lambda: again(UNDONE, "pm.ended"),
    "no_step_starts_after_the_end": lambda: again(UNDONE, "payments.charge-card"),
    "only_what_may_have_been_done_is_undone": lambda: numbered(
        [record._replace(metadata=record.metadata.replace(b'"undoes":"', b'"undoes":"x')) for record in UNDONE]
    ),
    "what_was_done_is_undone_last_first": lambda: sooner(PAID, "inventory.release-stock"),
    "outstanding_is_started_minus_answered": lambda: again(scenario(OrderFulfilment).given(PLACED).records, "pm.started"),
    "what_a_compensated_instance_has_done_is_undone": lambda: without(UNDONE, "inventory.release-stock")[:-2] + numbered(UNDONE)[-1:],
}


def test_a_stream_that_keeps_them_has_nothing_wrong() -> None:
    late = scenario(OrderFulfilment).given(PLACED).after(timedelta(days=1)).given(RESERVED)
    for records in (UNDONE, HELD, PAID, TRIED_AGAIN, late.records):
        assert broken_promises(OrderFulfilment.definition, "1", records) == []


@pytest.mark.parametrize("promise", BROKEN)
def test_a_broken_promise_is_named(promise: str) -> None:
    found = broken_promises(OrderFulfilment.definition, "1", BROKEN[promise]())

    assert any(promise in each for each in found), found


def test_an_answer_by_hand_from_before_the_start_of_a_later_life_is_named() -> None:
    asked = scenario(Errand).given(began("b"), CLOSED, began("a"), taken("a")).when(NOTICED).then(Pay(id="1"))
    records = asked.when(unsolicited(PAID_FOR)).then_completed().records
    assert broken_promises(Errand.definition, "1", records) == []

    early = [each._replace(data=each.data.replace(b'"position":6000', b'"position":2500')) for each in records]
    assert any("an_answer_by_hand" in each for each in broken_promises(Errand.definition, "1", early))


def test_a_compensation_that_does_not_wait_for_what_is_out_is_named() -> None:
    lines = (m.Line(sku="a", quantity=1), m.Line(sku="b", quantity=1))
    placed, other = PLACED.model_copy(update={"lines": lines}), RESERVED.model_copy(update={"sku": "b"})
    *begun, answered, release, release_too = scenario(OrderFulfilment).given(placed, RESERVED).operator("compensate").given(other).records
    assert answered.type == "pm.step-completed"
    found = broken_promises(OrderFulfilment.definition, "1", numbered([*begun, release, answered, release_too]))

    assert any("before reserve_stock is settled" in each for each in found), found


def test_a_start_that_was_kept_until_an_operator_skipped_a_failed_undo_begins_the_next_life() -> None:
    """It stands in the log before the action, and behind all that the life before it went on by."""
    case = scenario(Errand).given(began("a"), taken("a"), Noticed(id="1", text="undo"), Stuck(id="1", item="a")).then_compensation_failed()
    case.given(unsolicited(began("b"))).operator("skip").then(take("b")).then_running()

    assert case.instance.life == 2
    assert broken_promises(Errand.definition, "1", case.records) == []


def test_an_undo_of_an_earlier_life_that_is_tried_again_in_the_next_one_is_not_of_that_life() -> None:
    case = (
        scenario(Errand)
        .given(began("a", "b"), taken("a"), Noticed(id="1"), PAID_FOR)
        .then_completed()
        .when(taken("b"))
        .then(give_back("b"))
    )
    case.given(began("c")).after(timedelta(hours=1)).then(give_back("b"))

    assert broken_promises(Errand.definition, "1", case.records) == []


class Content(Errand, key="id", name="errand"):
    """Ends as soon as anything is taken."""

    @on(n_of(1, Errand.taking))
    def content(self) -> Effects[Complete]:
        yield Complete("content")


def test_a_start_in_whose_turn_newer_code_ends_the_life_begins_the_next() -> None:
    case = scenario(Errand).given(began("a", "c", need=2), taken("a")).then_running().deployed(Content).given(unsolicited(began("b")))

    assert (case.instance.life, case.instance.status) == (2, "running")
    assert broken_promises(Content.definition, "1", case.records) == []


class Spare(ProcessManager, key="id"):
    """Takes what comes first of several, and pays for it; and what is noticed."""

    taking = Step(Take, each=by_item, done=Taken, failed=Refused, within=hours(1), then=CONTINUE, otherwise=CONTINUE)
    giving_back = Step(GiveBack, each=by_item, done=GivenBack, within=FOREVER, needs_undo=False)
    paying = Step(Pay, done=Paid, within=FOREVER, then=CONTINUE)
    refunding = Step(Refund, done=Refunded, within=FOREVER, needs_undo=False)

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield from (Take(id=event.id, item=item) for item in event.items)

    @on(n_of(1, taking))
    def enough(self) -> Effects[Pay]:
        yield Pay(id=self.key)

    @on
    def noticed(self, event: Noticed) -> Effects[Take]:
        yield Take(id=event.id, item=event.text)

    @on
    def closed(self, _: Closed) -> Effects[Compensate]:
        yield Compensate("closed")

    @undo(taking)
    def give_back(self, c: Take) -> Effects[GiveBack]:
        yield GiveBack(id=c.id, item=c.item)

    @undo(paying)
    def refund(self, c: Pay) -> Effects[Refund]:
        yield Refund(id=c.id)


def test_an_undo_that_was_asked_for_before_a_late_success_does_not_undo_it() -> None:
    case = scenario(Spare).given(began("a", "b"), taken("a")).after(hours(1)).then(give_back("b")).given(PAID_FOR, CLOSED, taken("b"))
    case.when(given_back("b")).then(give_back("a"), give_back("b"))

    assert broken_promises(Spare.definition, "1", case.records) == []


def test_what_is_refused_after_it_was_overdue_need_not_be_undone() -> None:
    case = scenario(Spare).given(began("a", "b"), taken("a"), PAID_FOR).after(minutes(30)).given(NOTICED, CLOSED).after(minutes(30))
    case.given(refused("b")).when(refused(NOTICED.text)).then(REFUND)

    assert broken_promises(Spare.definition, "1", case.records) == []


class Kept(Spare, key="id", name="kept"):
    """What is noticed need not be given back; giving back is tried once."""

    giving_back = Step(GiveBack, each=by_item, done=GivenBack, within=hours(1), needs_undo=False, retry=Retry(1))

    @undo(Spare.taking)
    def give_back(self, c: Take) -> Effects[GiveBack]:
        if c.item != NOTICED.text:
            yield GiveBack(id=c.id, item=c.item)


def test_an_undo_that_is_confirmed_after_it_was_given_up_undoes_no_success_that_came_since_it_was_asked_for() -> None:
    case = scenario(Kept).given(began("a", "b"), taken("a")).after(hours(1)).then(give_back("b")).given(CLOSED, PAID_FOR, taken("b"))
    case.after(hours(1)).then_compensation_failed().when(given_back("b")).then(give_back("a"), give_back("b"))

    assert broken_promises(Kept.definition, "1", case.records) == []


def test_runs_are_undone_together_though_the_last_one_has_nothing_to_undo() -> None:
    case = scenario(Kept).given(began("a"), taken("a"), NOTICED, PAID_FOR, taken(NOTICED.text)).when(CLOSED).then(give_back("a"))

    assert broken_promises(Kept.definition, "1", case.records) == []


def test_an_end_while_an_undo_has_failed_is_followed_by_another_when_that_is_settled() -> None:
    case = scenario(Failing).given(began("a", "b"), taken("a")).after(hours(2)).when(PAID_FOR).then_compensation_failed()
    case.operator("skip").then_completed("paid")

    assert broken_promises(Failing.definition, "1", case.records) == []


class Failing(Kept, key="id", name="failing"):
    """Ends when it is paid, whatever is given back."""

    @on
    def paid(self, _: Paid) -> Effects[Complete]:
        yield Complete("paid")
