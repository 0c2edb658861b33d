"""What races, and what a walk compares: deadlines, inputs that leave no receipt, ids that a handler is called with."""

import pytest

from process_manager import (
    CONTINUE,
    FOREVER,
    IGNORE,
    Abort,
    App,
    Call,
    Complete,
    Deadline,
    Effects,
    Event,
    ProcessManager,
    Step,
    all_of,
    days,
    due,
    handles,
    hours,
    on,
    starts,
)
from process_manager.testing.crash_points import Published, Race, survives
from tests.core.samples import Began, Closed, GiveBack, GivenBack, Noticed, Paid, Pay, Take, Taken

BEGAN, NOTICED, CLOSED = Began(id="1"), Noticed(id="1"), Closed(id="1")


@handles(Pay)
def pay(command: Pay) -> Paid:
    return Paid(id=command.id)


class Reminded(ProcessManager, key="id"):
    """Pays for a reminder after two days, and asks for something back that nobody gives."""

    paying = Step(Pay, done=Paid, within=FOREVER, needs_undo=False, then=CONTINUE)
    returning = Step(GiveBack, done=GivenBack, within=days(5), needs_undo=False, then=CONTINUE, otherwise=Abort("kept"))
    reminder = Deadline()

    @starts
    def begin(self, event: Began) -> Effects[GiveBack]:
        yield GiveBack(id=event.id)
        yield self.reminder.after(days(2))

    @due(reminder)
    def remind(self) -> Effects[Pay]:
        yield Pay(id=self.key)

    @on(early=IGNORE)
    def noticed(self, _: Noticed) -> Effects[Complete]:
        yield Complete("noticed")


REMINDED = App("reminded", processes=[Reminded], handlers=[pay])
BEGIN_FIRST = Race(Began, Noticed, {"noticed", "kept"})


def test_an_input_and_a_deadline_may_race() -> None:
    inputs = [Published(BEGAN), Published(NOTICED, after=days(3))]
    with pytest.raises(AssertionError, match=r"reminded-1 took t\.noticed and the deadline reminder in another order: declare a Race"):
        survives(REMINDED, inputs, races=[BEGIN_FIRST])

    assert survives(REMINDED, inputs, races=[BEGIN_FIRST, Race(Noticed, Reminded.reminder, {"noticed"})]).swaps > 0


def test_an_input_and_a_step_that_is_overdue_may_race() -> None:
    inputs = [Published(BEGAN), Published(NOTICED, after=days(6))]
    races = [BEGIN_FIRST, Race(Noticed, Reminded.reminder, {"noticed"})]
    with pytest.raises(AssertionError, match=r"reminded-1 took t\.noticed and the deadline returning in another order: declare a Race"):
        survives(REMINDED, inputs, races=races)

    assert survives(REMINDED, inputs, races=[*races, Race(Reminded.returning, Noticed, {"noticed", "kept"})]).swaps > 0


class Stoppable(ProcessManager, key="id"):
    """Pays, unless it is stopped before; a stop before the start is none."""

    paying = Step(Pay, done=Paid, within=hours(1), needs_undo=False, then=Complete("paid"), otherwise=Abort("late"))

    @starts
    def begin(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)

    @on(early=IGNORE)
    def closed(self, _: Closed) -> Effects[Abort]:
        yield Abort("closed")


STOPPABLE = App("stoppable", processes=[Stoppable], handlers=[pay])


@pytest.mark.parametrize("inputs", [[BEGAN, CLOSED], [CLOSED, BEGAN]], ids=["stopped", "stopped before the start"])
def test_an_input_that_is_let_go_of_before_the_start_races_with_the_start(inputs: list[Event]) -> None:
    with pytest.raises(AssertionError, match=r"stoppable-1 took t\.began and t\.closed in another order: declare a Race"):
        survives(STOPPABLE, inputs, races=[Race(Paid, Closed, {"paid", "closed"})])

    races = [Race(each, Closed, {"paid", "closed"}) for each in (Began, Paid)]
    assert survives(STOPPABLE, inputs, races=races).swaps > 0


class Booked(Event, type="t.booked"):
    id: str
    reference: str


class Booking(ProcessManager, key="id"):
    """Takes and pays at once, then books, for a reference that is made from the operation."""

    paying = Step(Pay, done=Paid, within=FOREVER, needs_undo=False)
    taking = Step(Take, done=Taken, within=FOREVER, needs_undo=False)
    booking = Step(GiveBack, done=Booked, within=FOREVER, needs_undo=False, then=Complete("booked"))

    @starts
    def begin(self, event: Began) -> Effects[Pay | Take]:
        yield Pay(id=event.id)
        yield Take(id=event.id)

    @on(all_of(paying, taking))
    def both(self) -> Effects[GiveBack]:
        yield GiveBack(id=self.key)


@handles(Take)
def take(command: Take) -> Taken:
    return Taken(id=command.id)


def test_an_event_may_hold_the_ids_that_its_handler_is_called_with() -> None:
    """They derive from the answer that completed the join, whichever that was."""

    @handles(GiveBack)
    def book(command: GiveBack, call: Call) -> Booked:
        return Booked(id=command.id, reference=f"{call.operation_id}/{call.command_id}")

    assert survives(App("booking", processes=[Booking], handlers=[pay, take, book]), [BEGAN]).swaps > 0


def test_an_event_that_holds_another_operation_is_found_out() -> None:
    """The second call makes another reference."""
    calls: list[str] = []

    @handles(GiveBack)
    def book(command: GiveBack, call: Call) -> Booked:
        calls.append(call.operation_id)
        return Booked(id=command.id, reference=call.operation_id if len(calls) == 1 else "none")

    with pytest.raises(AssertionError, match=r'surplus: event: t\.booked \{"id":"1","reference":"none"\}') as caught:
        survives(App("booking", processes=[Booking], handlers=[pay, take, book]), [BEGAN])
    assert '"reference":"<operation 1 of booking[] of booking-1>"' in str(caught.value)
