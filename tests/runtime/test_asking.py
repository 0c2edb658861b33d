"""Handlers that only ask: the answer comes later, as an event of somebody else."""

import orjson

from process_manager import Abort, App, Call, Complete, Effects, ProcessManager, Retry, Step, days, handles, starts
from process_manager.testing.crash_points import Published, Race, survives
from tests.core.samples import Began, Paid, Pay
from tests.runtime.desk import GROUP, Answered, Desk, Phone, Ring


@handles(Ring)
def leave_a_message(command: Ring, call: Call, phone: Phone) -> Answered | None:
    """Somebody rings back, later; unless the machine tells all that one wants to know."""
    said = phone.ring(command.number, call.command_id)
    return Answered(by=said) if command.number == "a machine" else None


def test_a_handler_may_ask_and_leave_the_answer_to_somebody_else(desk: Desk) -> None:
    """It has asked once, however often its command is delivered; the next attempt asks again."""
    phone = Phone()
    runner = desk.calls(phone, leave_a_message)
    id_ = desk.send(Ring(number="1"), **{"$correlationId": "whole"})
    desk.settle(runner)
    desk.send(Ring(number="1"), id_)
    desk.settle(runner)
    assert phone.calls == [id_]
    assert desk.types(f"pm.outcome-{id_}") == []
    (record,) = desk.records(f"pm.asked-{id_}")
    metadata = orjson.loads(record.metadata)
    assert (record.type, metadata["$causationId"], metadata["$correlationId"]) == ("pm.asked", id_, "whole")

    again = desk.send(Ring(number="1"), operation=id_)
    desk.settle(runner)
    assert phone.calls == [id_, again]
    assert desk.store.group(GROUP).lag == 0


def test_a_handler_that_may_ask_may_have_the_outcome_at_once(desk: Desk) -> None:
    """After it was asked for in vain, too."""
    runner = desk.calls(Phone(), leave_a_message)
    id_ = desk.send(Ring(number="1"))
    desk.send(Ring(number="a machine"), operation=id_)
    desk.settle(runner)
    desk.settle(runner)
    assert desk.types(f"pm.outcome-{id_}") == ["test.answered"]


class Dunning(ProcessManager, key="id"):
    """Asks somebody to pay, twice."""

    paying = Step(Pay, done=Paid, within=days(2), needs_undo=False, retry=Retry(2), then=Complete("paid"), otherwise=Abort("not paid"))

    @starts
    def begin(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)


def test_what_was_asked_waits_for_its_answer_whatever_goes_wrong() -> None:
    @handles(Pay)
    def send_a_letter(command: Pay) -> None: ...

    app = App("dunning", processes=[Dunning], handlers=[send_a_letter])
    asked_once = [Race(other, Paid, {"paid"}) for other in (Began, Dunning.paying)]
    assert survives(app, [Published(Began(id="1")), Published(Paid(id="1"), after=days(3))], races=asked_once).crashes > 20
