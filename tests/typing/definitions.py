"""What a type checker says of definitions and handlers. Checked by mypy, never run: each `type: ignore` names an error that has to be
there, since mypy refuses one that is not needed.
"""

from decimal import Decimal
from typing import assert_type

from process_manager import (
    Command,
    Compensate,
    Complete,
    Deadline,
    Effects,
    Event,
    ProcessManager,
    Repository,
    State,
    Step,
    applies,
    days,
    due,
    hours,
    on,
    overdue,
    starts,
    undo,
)
from process_manager.examples.order_fulfilment.inventory import Inventory


class Began(Event, type="typing.began"):
    id: str


class Paid(Event, type="typing.paid"):
    id: str
    amount: Decimal


class Refunded(Event, type="typing.refunded"):
    id: str


class Pay(Command, type="typing.pay"):
    id: str


class Refund(Command, type="typing.refund"):
    id: str


class Account(State):
    paid: Decimal = Decimal(0)

    @applies
    def payment(self, event: Paid) -> "Account":
        return self.but(paid=self.paid + event.amount)


class Payment(ProcessManager[Account], version=1, key="id"):
    pay = Step(Pay, done=Paid, within=hours(1))
    refund = Step(Refund, done=Refunded, within=hours(1), needs_undo=False)
    keyed = Step(Pay, done=Paid, within=hours(1), each=lambda command: command.id)
    a_key_that_the_command_has_not = Step(Pay, done=Paid, within=hours(1), each=lambda command: command.nope)  # type: ignore[attr-defined]
    reminder = Deadline()

    @starts
    def a_command_that_is_not_announced(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)
        yield Refund(id=event.id)  # type: ignore[misc]

    @on
    def an_ending_that_is_not_announced(self, _: Paid) -> Effects[Complete]:
        yield self.reminder.after(days(1))
        yield Compensate("late")  # type: ignore[misc]

    @due(reminder)
    def nothing_announced(self) -> Effects:
        yield self.reminder.cancel()
        yield Complete("paid")  # type: ignore[misc]

    @overdue(pay)
    def the_command_of_its_step(self, command: Pay) -> Effects[Compensate]:
        assert_type(self.state, Account)
        assert_type(self.event(Began), Began)
        assert_type(self.find(Paid), Paid | None)
        assert_type(self.results(Payment.pay), dict[str, Paid])
        yield Compensate(command.id)

    @undo(pay)  # type: ignore[arg-type]
    def the_command_of_another_step(self, command: Refund) -> Effects[Refund]:
        yield command


def edits(inventory: Repository[Inventory]) -> None:
    with inventory.edit("lamp") as item:
        assert_type(item, Inventory)
        item.reserve("1", "two")  # type: ignore[arg-type]
