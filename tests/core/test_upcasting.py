"""Messages of older versions, wherever they stand: in an input, in an instance's memory, kept, in a command, in an aggregate."""

from typing import Any

import pytest

from process_manager import CONTINUE, Command, Complete, Effects, Event, ProcessManager, Retry, State, Step, applies, hours, on, starts
from process_manager.core.codec import decode
from process_manager.core.messages import Json
from process_manager.core.turn import take
from process_manager.errors import DefinitionError, NewerFact, UndecodableMessage
from process_manager.testing.scenario import Scenario, scenario
from tests.core.samples import Taken, taken


class Ordered1(Event, type="u.ordered"):
    id: str
    price: str


class Noted1(Event, type="u.noted"):
    id: str


class Fetch1(Command, type="u.fetch"):
    id: str
    where: str = "here"


class First(ProcessManager, key="id", name="buying"):
    """As it was."""

    fetching = Step(Fetch1, done=Taken, within=hours(1), needs_undo=False, then=CONTINUE, otherwise=CONTINUE, retry=Retry(2))

    @starts
    def ordered(self, event: Ordered1) -> Effects[Fetch1]:
        yield Fetch1(id=event.id)

    @on(after=fetching)
    def noted(self, _: Noted1) -> Effects[Complete]:
        yield Complete("noted")


def _to_cents(data: Json) -> Json:
    return {"id": data["id"], "cents": round(float(data["price"]) * 100)}


def _with_currency(data: Json) -> Json:
    return {**data, "currency": "EUR"}


class Ordered(Event, type="u.ordered", version=3, upcasters=(_to_cents, _with_currency)):
    id: str
    cents: int
    currency: str


class Noted(Event, type="u.noted", version=2, upcasters=(lambda data: {**data, "by": "nobody"},)):
    id: str
    by: str


class Fetch(Command, type="u.fetch", version=2, upcasters=(lambda data: {"id": data["id"], "place": data["where"]},)):
    id: str
    place: str


class Memory(State):
    cents: int = 0

    @applies
    def ordered(self, event: Ordered) -> "Memory":
        return self.but(cents=event.cents)


class Now(ProcessManager[Memory], key="id", name="buying", version=2):
    """As it is."""

    fetching = Step(Fetch, done=Taken, within=hours(1), needs_undo=False, then=CONTINUE, otherwise=CONTINUE, retry=Retry(2))

    @starts
    def ordered(self, event: Ordered) -> Effects[Fetch]:
        yield Fetch(id=event.id, place="there")

    @on(after=fetching)
    def noted(self, event: Noted) -> Effects[Complete]:
        order = self.event(Ordered)
        yield Complete(f"{order.cents} {order.currency}, {self.state.cents}, by {event.by}")


def first() -> Scenario:
    return scenario(First).given(Ordered1(id="1", price="1.50"))


def refolded(case: Scenario) -> Scenario:
    """The same instance as a worker with the code of now loads it."""
    from process_manager.core.block import read_fact
    from process_manager.core.fold import fold
    from process_manager.core.instance import Instance

    case.deployed(Now)
    facts = [(read_fact(record), record.revision) for record in case.records]
    case.instance = fold(Instance("buying", "1"), facts, Now.definition.evolve)
    return case


def test_every_step_of_the_way_is_taken() -> None:
    assert decode(Ordered, 1, b'{"id":"1","price":"1.50"}') == Ordered(id="1", cents=150, currency="EUR")
    assert decode(Ordered, 2, b'{"id":"1","cents":150}') == Ordered(id="1", cents=150, currency="EUR")
    assert decode(Ordered, 3, b'{"id":"1","cents":1,"currency":"USD"}').currency == "USD"


def test_what_an_instance_remembers_and_keeps_is_read_as_it_is_now() -> None:
    case = refolded(first().given(Noted1(id="1")).then_waits())
    case.when(taken()).then_completed("150 EUR, 150, by nobody")


def test_a_command_that_was_given_before_is_tried_again_as_it_is_now() -> None:
    refolded(first()).after(hours(1)).then(Fetch(id="1", place="here"))


def test_an_old_event_may_start_an_instance() -> None:
    case = scenario(Now, key="1")
    old = case._input("u.ordered", 1, b'{"id":"1","price":"2"}', b"{}")
    case._take(old)
    case.then(Fetch(id="1", place="there"))
    assert case.instance.data == Memory(cents=200)


class MoreMemory(State):
    cents: int = 0
    discount: int = 7


class Later(ProcessManager[MoreMemory], key="id", name="buying", version=3):
    """Remembers more than the instance's snapshot holds."""

    @starts
    def ordered(self, event: Ordered) -> Effects[Complete]:
        yield Complete("at once")

    @on
    def noted(self, _: Noted) -> Effects[Complete]:
        yield Complete(f"{self.state.cents} less {self.state.discount}")


def test_a_new_field_of_the_state_takes_its_default() -> None:
    case = refolded(first())
    assert case.instance.data == Memory(cents=150)
    case.instance.data = case.instance.data.model_dump()  # as a snapshot holds it
    turn = take(Later.definition, case.instance, case._input("u.noted", 1, b'{"id":"1"}', b"{}"), case.now)
    assert turn.instance.outcome == "150 less 7"


def test_an_upcaster_that_raises_makes_it_undecodable() -> None:
    with pytest.raises(UndecodableMessage, match="KeyError"):
        decode(Ordered, 1, b'{"id":"1"}')
    with pytest.raises(NewerFact):
        decode(Ordered, 4, b"{}")


@pytest.mark.parametrize(("version", "upcasters"), [(2, ()), (1, (_to_cents,)), (3, (_to_cents,)), (0, ())])
def test_each_step_of_the_version_has_its_upcaster(version: int, upcasters: Any) -> None:
    with pytest.raises(DefinitionError, match="upcasters"):

        class _Wrong(Event, type="u.wrong", version=version, upcasters=upcasters):
            id: str
