"""Worlds that answer commands as drawn numbers say, for what must hold whatever happens."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from process_manager import (
    Event,
    ProcessManager,
)
from process_manager.core.block import read_fact
from process_manager.core.deadlines import pending
from process_manager.core.drift import Difference, Judge
from process_manager.core.facts import Fact, Input
from process_manager.core.instance import Run
from process_manager.core.signals import Action
from process_manager.examples.order_fulfilment.messages import (
    CardCharged,
    CardDeclined,
    CardRefunded,
    Line,
    OrderPlaced,
    OrderShipped,
    ReviewApproved,
    ReviewRejected,
    StockReleased,
    StockReserved,
    StockUnavailable,
)
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.ports import MAX_APPEND
from process_manager.testing.scenario import Scenario, scenario, unsolicited
from tests.core.samples import PAID, REFUNDED, Stuck, given_back, refused, taken

SKUS = ("a", "b", "c")


def order(skus: tuple[str, ...], total: int = 50) -> OrderPlaced:
    return OrderPlaced(order_id="1", lines=tuple(Line(sku=sku, quantity=1) for sku in skus), total=Decimal(total), card="4")


def reserved(sku: str) -> StockReserved:
    return StockReserved(order_id="1", sku=sku, quantity=1)


def outcomes(run: Run) -> list[Event]:
    """What may answer a run: its success first."""
    found: dict[str, list[Event]] = {
        "reserve_stock": [reserved(run.key), StockUnavailable(order_id="1", sku=run.key, wanted=1, available=0)],
        "release_stock": [StockReleased(order_id="1", sku=run.key, quantity=1)],
        "request_review": [ReviewApproved(order_id="1", reviewer="r"), ReviewRejected(order_id="1", reviewer="r")],
        "charge_card": [CardCharged(order_id="1", amount=Decimal(1)), CardDeclined(order_id="1", reason="broke")],
        "refund_card": [CardRefunded(order_id="1", amount=Decimal(1))],
        "ship_order": [OrderShipped(order_id="1", parcel="p")],
        "taking": [taken(run.key), refused(run.key)],
        "giving_back": [given_back(run.key)],
        "paying": [PAID],
    }
    return found[run.step]


class World:
    """Answers commands as the drawn numbers say: in any order, late, more than once, or never."""

    def __init__(self, case: Scenario) -> None:
        self.case = case

    def act(self, choice: int, which: int) -> None:
        commands = list(self.case.instance.commands)
        if choice <= 5 and commands:
            self.answer(commands[which % len(commands)], 1 if choice == 0 else 0)
        else:
            self.case.after(timedelta(minutes=[5, 10, 60, 60 * 24][which % 4]))

    def answer(self, command: str, choice: int) -> None:
        run = self.case.instance.run_of_command(command)
        assert run is not None
        possible = outcomes(run)
        self.case.when(unsolicited(possible[choice % len(possible)], causation=command))

    def settle(self) -> Scenario:
        """Answer what is open, and undos that had been given up, with success until nothing is left."""
        for _ in range(50):
            ready = [run for run in self.case.instance.runs.values() if run.status == "open" or (run.undoes and run.status == "overdue")]
            if ready:
                self.answer(ready[0].command_id, 0)
            elif any(run.is_open for run in self.case.instance.runs.values()):
                self.case.after(timedelta(hours=1))
            else:
                break
        return self.case


actions = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 20)), max_size=25)


lines = st.sets(st.sampled_from(SKUS)).map(lambda skus: tuple(sorted(skus)))


def played(skus: tuple[str, ...], total: int, moves: list[tuple[int, int]]) -> Scenario:
    world = World(scenario(OrderFulfilment).given(order(skus, total)))
    for choice, which in moves:
        world.act(choice, which)
    return world.settle()


ACTIONS: tuple[Action, ...] = ("suspend", "resume", "retry", "skip", "compensate", "cancel", "move-deadline")


class Attended(World):
    """A world in which somebody steps in by hand too, whether it makes sense or not."""

    def act(self, choice: int, which: int) -> None:
        if choice < 6:
            super().act(choice, which)
            return
        due = [each.name for each in pending(self.case.instance)]
        name, action = due[which % len(due)] if due else "", ACTIONS[which % len(ACTIONS)]
        self.case.operator(action, deadline=name, due=self.case.now + timedelta(hours=1))

    def settle(self) -> Scenario:
        for action in ("resume", "retry"):
            self.case.operator(action)
        return super().settle()


class Stubborn(Attended):
    """An attended world whose undo steps are refused until it settles, and need somebody."""

    settling = False

    def answer(self, command: str, choice: int) -> None:
        run = self.case.instance.run_of_command(command)
        if run is not None and run.step == "giving_back" and not self.settling:
            self.case.when(unsolicited(Stuck(id="1", item=run.key), causation=command))
        elif run is not None and run.step == "refunding":
            self.case.when(unsolicited(REFUNDED, causation=command))
        else:
            super().answer(command, choice)

    def settle(self) -> Scenario:
        self.settling = True
        for _ in range(5):
            super().settle()
        return self.case.after(timedelta(hours=3))


def facts(case: Scenario) -> list[tuple[Fact, int]]:
    return [(read_fact(record), record.revision) for record in case.records]


def judged(candidate: type[ProcessManager[Any]], case: Scenario, untaken: Iterable[Input] = (), **limits: Any) -> Difference | None:
    return next(every(candidate, case, untaken, **limits), None)


def every(candidate: type[ProcessManager[Any]], case: Scenario, untaken: Iterable[Input] = (), **limits: Any) -> Iterator[Difference]:
    """All that differs where a candidate judges a case."""
    judge = Judge(candidate.definition, case.instance.key, limits.pop("limit", MAX_APPEND), **limits)
    return judge.differences(((read_fact(record), record.revision) for record in case.records), untaken)
