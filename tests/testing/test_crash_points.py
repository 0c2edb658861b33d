"""The walk over crashes, redeliveries and swaps finds what is wrong, and says where."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import current_thread
from typing import Any

import pytest

from process_manager import (
    CONTINUE,
    FOREVER,
    Abort,
    App,
    Command,
    Complete,
    Effects,
    Event,
    ProcessManager,
    Retry,
    State,
    Step,
    all_of,
    applies,
    handles,
    hours,
    on,
    starts,
)
from process_manager.adapters.memory import MemoryStore
from process_manager.core.signals import Action
from process_manager.ports import Consumer, Delivery
from process_manager.testing.crash_points import OperatorAction, Published, Race, survives
from process_manager.testing.faults import Faults
from process_manager.testing.trial import Trial
from tests.core.processes import Paying
from tests.core.samples import Began, Closed, GiveBack, GivenBack, Noticed, Paid, Pay, Take, Taken


class Stamped(Event, type="t.stamped"):
    id: str
    number: int


class Stamping(ProcessManager, key="id"):
    """Begins, gets a number, is done."""

    paying = Step(Pay, done=Stamped, within=FOREVER, needs_undo=False)

    @starts
    def begin(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)

    @on
    def stamped(self, _: Stamped) -> Effects[Complete]:
        yield Complete("stamped")


class FirstWins(ProcessManager, key="id"):
    """Ends by whichever comes first."""

    @starts
    def begin(self, _: Began) -> Effects[Complete]:
        yield from ()

    @on
    def noticed(self, _: Noticed) -> Effects[Complete]:
        yield Complete("noticed")

    @on
    def closed(self, _: Closed) -> Effects[Complete]:
        yield Complete("closed")


class Retrying(ProcessManager, key="id"):
    """Asks three times."""

    paying = Step(Pay, done=Paid, within=hours(1), needs_undo=False, retry=Retry(3), otherwise=Abort("nobody was paid"))

    @starts
    def begin(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)

    @on
    def paid(self, _: Paid) -> Effects[Complete]:
        yield Complete("paid")


@handles(Pay)
def pay(command: Pay) -> Paid:
    return Paid(id=command.id)


def test_a_handler_that_raises_has_given_up() -> None:
    """Time is driven: no worker waits between tries that would all end alike."""
    calls: list[str] = []

    @handles(Pay)
    def pay(command: Pay) -> Paid:
        calls.append(command.id)
        raise ValueError("broken")

    trial = Trial(App("paying", processes=[Retrying], handlers=[pay]), [(0, Published(BEGAN))], MemoryStore())
    trial.run(Faults())

    assert calls == ["1"] * 3
    assert trial.instance("retrying-1").outcome == "nobody was paid"


@dataclass
class Memory:
    """What a handler should not have."""

    numbers: list[int] = field(default_factory=list)


@handles(Pay)
def stamp(command: Pay, memory: Memory) -> Stamped:
    memory.numbers.append(1)
    return Stamped(id=command.id, number=len(memory.numbers))


BEGAN = Began(id="1")
RACE = [Published(BEGAN), Published(Noticed(id="1"), hours(1)), Published(Closed(id="1"), hours(1))]


def test_a_handler_that_remembers_in_memory_is_found_out() -> None:
    class Fresh(MemoryStore):
        """Each run of the app begins with an empty memory."""

        def __init__(self) -> None:
            super().__init__()
            memory.numbers.clear()

    memory = Memory()
    app = App("stamping", processes=[Stamping], handlers=[stamp], resources=[memory])
    with pytest.raises(AssertionError, match=r"after this: Crash before the append to pm\.outcome-") as caught:
        survives(app, [BEGAN], store=Fresh)

    assert 'surplus: event: t.stamped {"id":"1","number":2}' in str(caught.value)


class _AtMostOnce:
    """A member whose store forgets what it has handed out."""

    def __init__(self, inner: Consumer) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def fetch(self, limit: int, timeout: float = 0.0) -> Sequence[Delivery]:
        found = self._inner.fetch(limit, timeout)
        self._inner.ack(found)
        return found


class LosingStore(MemoryStore):
    def join(self, group: str, member: str) -> Any:
        return _AtMostOnce(super().join(group, member))


def test_a_store_that_forgets_what_it_has_delivered_is_found_out() -> None:
    app = App("paying", processes=[Paying], handlers=[pay])
    with pytest.raises(AssertionError, match=r"after this: Crash before the append to paying-1 \[pm.started, t.pay\]\n  missing: command"):
        survives(app, [BEGAN], store=LosingStore)


def test_an_order_that_decides_is_found_out_and_may_be_named_a_race() -> None:
    app = App("racing", processes=[FirstWins])
    with pytest.raises(AssertionError, match=r"after this: t.closed published after t.noticed|after this: t.noticed .* after t.closed"):
        survives(app, RACE)
    with pytest.raises(AssertionError, match="ended completed: closed"):
        survives(app, RACE, races=[Race(Closed, Noticed, frozenset({"noticed"}))])

    # each two of the three delivered and published the other way round
    assert survives(app, RACE, races=[ANY_END]).swaps == 6


class Listing(State):
    items: tuple[str, ...] = ()

    @applies
    def taken(self, event: Taken) -> "Listing":
        return self.but(items=(*self.items, event.item))


class ListsAsTheyCome(ProcessManager[Listing], key="id"):
    """Takes two things at once and remembers which came first."""

    taking = Step(Take, each=lambda c: c.item, done=Taken, within=FOREVER, needs_undo=False, then=CONTINUE)

    @starts
    def begin(self, event: Began) -> Effects[Take]:
        yield Take(id=event.id, item="a")
        yield Take(id=event.id, item="b")

    @on(all_of(taking))
    def both(self) -> Effects[Complete]:
        yield Complete(" ".join(self.state.items))


def test_answers_of_one_type_that_came_in_another_order_are_named_as_the_cause() -> None:
    @handles(Take)
    def take(command: Take) -> Taken:
        return Taken(id=command.id, item=command.item)

    with pytest.raises(AssertionError, match="after this: ") as caught:
        survives(App("listing", processes=[ListsAsTheyCome], handlers=[take]), [BEGAN])

    assert 'took two t.taken in another order: {"id":"1","item":"b"} before {"id":"1","item":"a"}. Keep' in str(caught.value)


def test_inputs_of_different_times_are_exchanged() -> None:
    app = App("racing", processes=[FirstWins])
    apart = [Published(BEGAN), Published(Noticed(id="1"), hours(1)), Published(Closed(id="1"), hours(2))]
    with pytest.raises(AssertionError, match=r"t\.closed and t\.noticed in another order: declare a Race"):
        survives(app, apart)

    assert survives(app, apart, races=[ANY_END]).swaps == 6


def test_an_answer_may_be_late_for_an_input_of_a_later_time() -> None:
    """Paid in time, it ends as paid; closed before, also because it began late, as unpaid."""
    late = [Published(BEGAN), Published(Closed(id="1"), hours(1))]
    app = App("slow", processes=[PaysFirst], handlers=[pay])
    with pytest.raises(AssertionError, match=r"after this: t\.paid of .* delivered after t\.closed of published-1\n"):
        survives(app, late, races=[Race(Began, Closed, {"unpaid"})])

    races = [Race(each, Closed, {"unpaid"}) for each in (Began, Paid)]
    assert survives(app, late, races=races).swaps == 3


class PaysFirst(ProcessManager, key="id"):
    """Pays, which may take for ever, and ends when it is closed."""

    paying = Step(Pay, done=Paid, within=FOREVER, needs_undo=False, then=CONTINUE)

    @starts
    def begin(self, event: Began) -> Effects[Pay]:
        yield Pay(id=event.id)

    @on
    def closed(self, _: Closed) -> Effects[Complete]:
        yield Complete("paid" if self.find(Paid) else "unpaid")


class Noticing(ProcessManager, key="id"):
    """Has it noticed once it is paid."""

    noticing = Step(Take, done=Noticed, within=FOREVER, needs_undo=False, then=Complete("noticed"))

    @starts
    def paid(self, event: Paid) -> Effects[Take]:
        yield Take(id=event.id)


class ClosingLater(ProcessManager, key="id"):
    """Has it closed once it is given back."""

    closing = Step(GiveBack, done=Closed, within=FOREVER, needs_undo=False, then=Complete("closed"))

    @starts
    def given_back(self, event: GivenBack) -> Effects[GiveBack]:
        yield GiveBack(id=event.id)


def test_what_follows_from_inputs_of_different_times_is_exchanged_too() -> None:
    @handles(Take)
    def notice(command: Take) -> Noticed:
        return Noticed(id=command.id)

    @handles(GiveBack)
    def close(command: GiveBack) -> Closed:
        return Closed(id=command.id)

    app = App("racing", processes=[FirstWins, Noticing, ClosingLater], handlers=[notice, close])
    apart = [Published(Paid(id="1"), hours(1)), Published(GivenBack(id="1"), hours(2)), Published(BEGAN)]
    with pytest.raises(AssertionError, match=r"t\.closed and t\.noticed in another order: declare a Race"):
        survives(app, apart)

    assert survives(app, apart, races=[ANY_END]).swaps == 3


def test_inputs_of_different_times_and_instances_are_not_exchanged() -> None:
    """The deadline of the other would only be set at another time."""
    assert survives(App("racing", processes=[FirstWins]), [BEGAN, Published(Began(id="2"), hours(5))]).swaps == 0


def test_an_input_that_leaves_no_receipt_before_the_start_is_named() -> None:
    """There is nothing to cancel before the start."""
    app, inputs = App("racing", processes=[FirstWins]), [Published(BEGAN), Published(by("cancel"), hours(1))]
    with pytest.raises(
        AssertionError, match=r"after this: t\.began of published-0 delivered after pm\.operator-action of .*/cancel\n"
    ) as caught:
        survives(app, inputs)
    assert "first_wins-1 took pm.operator-action and t.began in another order: declare a Race" in str(caught.value)

    assert survives(app, inputs, races=[Race(Began, OperatorAction, {"cancelled", "running"})]).swaps == 2


def test_an_instance_may_end_suspended_where_its_race_says_so() -> None:
    app = App("racing", processes=[FirstWins])
    inputs = [Published(BEGAN), Published(by("suspend"), hours(1)), Published(by("resume"), hours(2))]
    with pytest.raises(AssertionError, match=r"/resume\n  first_wins-1 is suspended: by ann"):
        survives(app, inputs)

    races = [Race(each, OperatorAction, {"running", "suspended"}) for each in (Began, OperatorAction)]
    assert survives(app, inputs, races=races).swaps == 6


def by(action: Action) -> OperatorAction:
    return OperatorAction("first_wins-1", action, action, "ann", "why")


def test_inputs_that_nobody_takes_prove_nothing() -> None:
    with pytest.raises(AssertionError, match="nothing was tried"):
        survives(App("paying", processes=[Paying], handlers=[pay]), [Closed(id="1")])


class Both(ProcessManager, key="id"):
    """Takes and pays at once, then closes."""

    paying = Step(Pay, done=Paid, within=FOREVER, needs_undo=False)
    taking = Step(Take, done=Taken, within=FOREVER, needs_undo=False)
    returning = Step(GiveBack, done=GivenBack, within=FOREVER, needs_undo=False)

    @starts
    def begin(self, event: Began) -> Effects[Pay | Take]:
        yield Pay(id=event.id)
        yield Take(id=event.id)

    @on(all_of(paying, taking))
    def both(self) -> Effects[GiveBack]:
        yield GiveBack(id=self.key)

    @on
    def given_back(self, _: GivenBack) -> Effects[Complete]:
        yield Complete("both")


def test_a_trial_comes_in_the_same_order_again() -> None:
    """Answers to commands that are out at once too, whichever handler is the faster: the last of the three would have another id."""
    called: list[tuple[str, str]] = []

    def note(command: Command) -> None:
        called.append((command.message_type, current_thread().name))

    @handles(Pay)
    def pay(command: Pay) -> Paid:
        note(command)
        return Paid(id=command.id)

    @handles(Take)
    def take(command: Take) -> Taken:
        note(command)
        return Taken(id=command.id)

    @handles(GiveBack)
    def give_back(command: GiveBack) -> GivenBack:
        note(command)
        return GivenBack(id=command.id)

    here = current_thread().name
    Trial(App("both", processes=[Both], handlers=[pay, take, give_back]), [(0, Published(BEGAN))], MemoryStore()).run(Faults())
    assert called == [("t.pay", here), ("t.take", here), ("t.give-back", here)]


class Claim(ProcessManager, key="id"):
    """A notice has it paid, unless it was closed before."""

    paying = Step(Pay, done=Paid, within=FOREVER, needs_undo=False)

    @starts
    def begin(self, _: Began) -> Effects[Complete]:
        yield from ()

    @on
    def noticed(self, event: Noticed) -> Effects[Pay]:
        yield Pay(id=event.id)

    @on
    def closed(self, _: Closed) -> Effects[Complete]:
        if not self.find(Noticed):
            yield Complete("closed")

    @on
    def paid(self, _: Paid) -> Effects[Complete]:
        yield Complete("paid")


CLAIM = App("claims", processes=[Claim], handlers=[pay])


def test_a_race_is_one_too_where_its_order_changes_for_another_reason() -> None:
    """Held back until its own effect has come, a notice comes after what closes the claim."""
    assert survives(CLAIM, RACE, races=[Race(Noticed, Closed, {"paid", "closed"})]).swaps == 7
    with pytest.raises(AssertionError, match=r"after this: t.noticed of .* delivered after .*\n  claim-1 ended completed: closed"):
        survives(CLAIM, RACE, races=[Race(Noticed, Closed, {"paid"})])


def test_a_race_that_is_not_declared_is_named() -> None:
    with pytest.raises(AssertionError, match=r"claim-1 took t\.closed and t\.noticed in another order: declare a Race"):
        survives(CLAIM, RACE)


def test_a_race_is_of_the_instance_whose_inputs_came_in_another_order() -> None:
    """The other claim stays open, which is no end of the race."""
    both = [*RACE, Published(Began(id="2"), hours(5))]
    assert survives(CLAIM, both, races=[Race(Noticed, Closed, {"paid", "closed"})]).swaps == 7


class _Forgetting(_AtMostOnce):
    """A member whose store loses what closes a claim when it is delivered again."""

    def fetch(self, limit: int, timeout: float = 0.0) -> Sequence[Delivery]:
        found = self._inner.fetch(limit, timeout)
        lost = [each for each in found if each.retries and each.record.type == Closed.message_type]
        self._inner.ack(lost)
        return [each for each in found if each not in lost]


class ForgettingStore(MemoryStore):
    def join(self, group: str, member: str) -> Any:
        return _Forgetting(super().join(group, member))


def test_an_input_that_is_lost_is_no_race() -> None:
    with pytest.raises(AssertionError, match="after this: Crash"):
        survives(App("racing", processes=[FirstWins]), [*RACE[:1], *RACE[:0:-1]], store=ForgettingStore, races=[ANY_END])


ANY_END = Race(Noticed, Closed, {"noticed", "closed"})


class Counting(Faults):
    """Counts the points of an undisturbed run."""

    points = 0

    def write(self, what: str, parts: int, do: Callable[[int], Any]) -> Any:
        self.points += parts + 1
        return do(parts)


def test_it_walks_each_point_once() -> None:
    app = App("paying", processes=[Paying], handlers=[pay])
    walked = survives(app, [BEGAN], unanswered=True)

    assert walked.redeliveries == 3 * 3  # the start, the command, its answer; in three ways
    assert walked.swaps == 0  # each follows from the one before
    counting = Counting()
    Trial(app, [(0, Published(BEGAN))], MemoryStore()).run(counting)
    assert walked.crashes == walked.unanswered == counting.points > 16  # before and after each write
