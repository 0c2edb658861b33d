"""The order process, and one that calls the outside world, survive everything that can go wrong between worker and store."""

from __future__ import annotations

import pytest

from process_manager import App, Call, Saga, SagaStep, handles, hours
from process_manager.examples.order_fulfilment import app
from process_manager.testing.crash_points import survives
from tests.core import samples as t
from tests.proof.conftest import NewStore
from tests.proof.orders import RACES, WAYS


@pytest.mark.parametrize("way", WAYS)
def test_an_order_survives_every_crash_redelivery_and_swap(way: str) -> None:
    walked = survives(app, WAYS[way], races=RACES.get(way, []))

    assert walked.crashes >= 20
    assert walked.redeliveries >= 15
    assert walked.swaps >= 1


def test_it_does_so_on_every_store(new_store: NewStore) -> None:
    assert survives(app, WAYS["one part is sold out"], store=new_store).crashes >= 20


def test_a_write_whose_answer_is_lost_is_repeated_and_not_doubled() -> None:
    assert survives(app, WAYS["declined"][1:], unanswered=True).unanswered >= 20


class Trip(Saga, version=1, key="id", starts=t.Began, ends="paid"):
    """Takes something and pays for it, by calls to the outside world."""

    taking = SagaStep(t.Take, done=t.Taken, failed=t.Refused, undo=t.GiveBack, undone=t.GivenBack, within=hours(1))
    paying = SagaStep(t.Pay, done=t.Paid, failed=t.Declined, undo=t.Refund, undone=t.Refunded, within=hours(1))


class Bank:
    """What is outside: it charges an operation once, however often it is asked."""

    def __init__(self) -> None:
        self.operations: set[str] = set()


@handles(t.Take)
def take(command: t.Take) -> t.Taken | t.Refused:
    return t.Taken(id=command.id)


@handles(t.GiveBack)
def give_back(command: t.GiveBack) -> t.GivenBack:
    return t.GivenBack(id=command.id)


@handles(t.Pay)
def pay(command: t.Pay, call: Call, bank: Bank) -> t.Paid | t.Declined:
    bank.operations.add(call.operation_id)
    return t.Declined(id=command.id) if command.id == "broke" else t.Paid(id=command.id)


@handles(t.Refund)
def refund(command: t.Refund) -> t.Refunded:
    return t.Refunded(id=command.id)


@pytest.mark.parametrize("key", ["1", "broke"])
def test_calls_survive_it_too_and_keep_their_operation(key: str) -> None:
    bank = Bank()
    calling = App("calling", processes=[Trip], handlers=[take, give_back, pay, refund], resources=[bank])

    assert survives(calling, [t.Began(id=key)]).crashes >= 15
    assert len(bank.operations) == 1
