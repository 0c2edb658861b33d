"""Whether a process survives everything that can go wrong between a worker and its store. One call walks it all:

    def test_it_survives() -> None:
        survives(app, [OrderPlaced(order_id="1", ...), Published(ReviewApproved(...), after=hours(3))])

- every **crash**: before, within and after each append, acknowledgement and group that is created, followed by a new worker;
- every **redelivery**: each delivery once more, in the same batch, in the next one, and to a new worker at the end;
- every **swap**: each input of the processes held back until a later one was taken, of the same time or published later for the same
  instance, unless that one follows from it or a deadline comes first; and of the inputs from outside each two of one time, and each
  two that come to one instance, themselves or as what follows from them, published in each other's place, at each other's time;
- with `unanswered`, every append and acknowledgement whose answer is an error, though it was done, not done, or done in part.

Each run must come to the same commands, events and states as an undisturbed one; where two inputs came in another order that are
declared a `Race`, the instance must come to one of its ends instead. Handlers must do the same for the same command, so
let the test hand them fakes of what is outside.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import combinations, count
from typing import NamedTuple

from process_manager.adapters.memory import MemoryStore
from process_manager.core.instance import Instance
from process_manager.core.messages import Message
from process_manager.core.signals import OperatorAction
from process_manager.errors import StoreUnavailable
from process_manager.ports import EventStore
from process_manager.runtime.app import App
from process_manager.testing.faults import Again, Crash, FailAt, Faults, HeldBack, Seen, Twice
from process_manager.testing.races import Arrivals, Orders, Pair, Race, allowed, called, orders, told, told_of_one_type
from process_manager.testing.trial import Outcome, Published, Trial, published_id, surviving, type_of

__all__ = ["OperatorAction", "Published", "Race", "Walked", "survives"]


@dataclass
class Walked:
    """How many crashes, redeliveries, swaps and writes without an answer were tried. A delivery held back in vain does not count."""

    crashes: int = 0
    redeliveries: int = 0
    swaps: int = 0
    unanswered: int = 0


def survives(
    app: App,
    inputs: Sequence[Message | OperatorAction | Published],
    *,
    store: Callable[[], EventStore] = MemoryStore,
    races: Sequence[Race] = (),
    unanswered: bool = False,
) -> Walked:
    """Walk every crash, redelivery and swap of a run of the app; `store` makes an empty store for each run. `unanswered` takes longer,
    since a worker waits a little before it tries again.

    Raises AssertionError that names the point and tells what differs, or that says that nothing of the app takes any of the inputs.
    """
    published = [each if isinstance(each, Published) else Published(each) for each in inputs]
    walk = _Walk(app, sorted(enumerate(published), key=lambda each: each[1].after), store, races)
    return Walked(walk.failures(Crash), walk.redeliveries(), walk.swaps(), walk.failures(StoreUnavailable) if unanswered else 0)


class _Walk:
    def __init__(self, app: App, inputs: list[tuple[int, Published]], store: Callable[[], EventStore], races: Sequence[Race]) -> None:
        self._app = app
        self._inputs = inputs
        self._store = store
        self._races = races
        self._seen = Seen()
        self._undisturbed: _Result | None = None
        self._undisturbed = self._tried(self._seen, "undisturbed", self._inputs)
        self._arrivals, self._together = self._undisturbed.arrivals, self._undisturbed.published
        if not self._seen.deliveries:
            raise AssertionError("nothing was tried: no process and no handler of the app takes any of these inputs")

    def failures(self, error: type[BaseException]) -> int:
        """Until a run comes to its end before the point is reached."""
        for number in count():
            failing = FailAt(number, error)
            self._tried(failing, error.__name__, self._inputs)
            if not failing.where:
                break
        return number

    def redeliveries(self) -> int:
        for number, (_, delivery) in enumerate(self._seen.deliveries):
            what = f"{delivery.record.type} of {delivery.record.stream} delivered"
            self._tried(Twice(number, later=False), f"{what} twice in one batch", self._inputs)
            self._tried(Twice(number, later=True), f"{what} again with the next batch", self._inputs)
            self._tried(Again(number), f"{what} again to a new worker at the end", self._inputs)
        return 3 * len(self._seen.deliveries)

    def swaps(self) -> int:
        return self._held_back() + self._published_otherwise()

    def _held_back(self) -> int:
        inputs = [(group, each.record) for group, each in self._seen.deliveries if ".processes." in group]
        swapped = 0
        for (group, one), (its_group, other) in combinations(inputs, 2):
            holding = HeldBack((group, one.id), (its_group, other.id), over_time=self._may_be_late(one.id, other.id))
            what = f"{one.type} of {one.stream} delivered after {other.type} of {other.stream}"
            self._tried(holding, what, self._inputs, frozenset(called(each.type, each.data) for each in (one, other)))
            swapped += holding.swapped
        return swapped

    def _may_be_late(self, one: str, other: str) -> bool:
        """Whether the other is published, whatever happens before, and one instance takes both."""
        published = any(published_id(number) == other for number, _ in self._inputs)
        return published and any({one, other} <= {each.id for each in inputs} for inputs in self._arrivals.values())

    def _published_otherwise(self) -> int:
        pairs = [pair for pair in combinations(range(len(self._inputs)), 2) if self._exchangeable(*pair)]
        for first, second in pairs:
            one, other = self._inputs[first][1].message, self._inputs[second][1].message
            exchanged = frozenset({type_of(type(one)), type_of(type(other))})
            self._tried(Faults(), f"{_name(one)} published after {_name(other)}", _exchanged(self._inputs, first, second), exchanged)
        return len(pairs)

    def _exchangeable(self, first: int, second: int) -> bool:
        """Of one time, or of one instance: the exchange of others says only that something came at another time."""
        ids = {published_id(self._inputs[each][0]) for each in (first, second)}
        return self._inputs[first][1].after == self._inputs[second][1].after or any(ids <= each for each in self._together)

    # -- one run ------------------------------------------------------------------------------------------------

    def _tried(self, faults: Faults, what: str, inputs: list[tuple[int, Published]], exchanged: Pair | None = None) -> "_Result":
        store = self._store()
        try:
            trial = Trial(self._app, inputs, store)
            surviving(trial, faults)
            if (another := faults.another()) is not None:
                trial.run(another)
            result = _Result(trial.outcome(), trial.arrivals(), frozenset(record.id for record in store.read_all()))
            if isinstance(faults, HeldBack) and not faults.swapped:
                exchanged = None  # the later one follows from it, or comes too late
            before, now = self._orders(self._undisturbed or result, result), self._orders(result, self._undisturbed or result)
            ends = allowed(self._races, before, now, exchanged)
            if wrong := trial.broken(ends) + (_other_ends(trial, ends) if ends else self._unexpected(result, told(before, now, exchanged))):
                _fail(f"{what} {faults.where}" if isinstance(faults, FailAt) else what, wrong, trial)
            return result
        finally:
            store.close()

    def _orders(self, result: "_Result", other: "_Result") -> Orders:
        return orders(result.arrivals, other.arrivals, result.recorded, self._app.definitions)

    def _unexpected(self, result: "_Result", hints: list[str]) -> list[str]:
        """All that is not as in the undisturbed run, and what to do about it."""
        if self._undisturbed is None or not (differences := _differences(self._undisturbed.outcome, result.outcome)):
            return []
        return [*differences, *hints, *told_of_one_type(self._undisturbed.arrivals, result.arrivals)]


class _Result(NamedTuple):
    """What a run came to, by instance its inputs, in the order in which they came to it, and the ids of all records."""

    outcome: Outcome
    arrivals: Arrivals
    recorded: frozenset[str]

    @property
    def published(self) -> list[set[str]]:
        """For each instance, the ids of what was published and came to it, itself or as something that followed from it."""
        return [{each.meta.get("$correlationId") or each.id for each in inputs} for inputs in self.arrivals.values()]


def _exchanged(inputs: Sequence[tuple[int, Published]], first: int, second: int) -> list[tuple[int, Published]]:
    """Each of the two at the other's place and time."""
    (number, one), (another, other) = inputs[first], inputs[second]
    found = list(inputs)
    found[first], found[second] = (another, replace(other, after=one.after)), (number, replace(one, after=other.after))
    return found


def _name(message: Message | OperatorAction) -> str:
    return type_of(type(message)) + (f" ({message.action})" if isinstance(message, OperatorAction) else "")


def _differences(expected: Outcome, found: Outcome) -> list[str]:
    return [f"missing: {line}" for line in (expected - found).elements()] + [f"surplus: {line}" for line in (found - expected).elements()]


def _other_ends(trial: Trial, ends: Mapping[str, Set[str]]) -> list[str]:
    instances = map(trial.instance, ends)
    return [f"{it.stream} ended {it.status}: {it.outcome}" for it in instances if not _ends(it) & ends[it.stream]]


def _ends(instance: Instance) -> set[str]:
    return {instance.status, instance.outcome, *(["suspended"] if instance.suspended else [])}


def _fail(what: str, wrong: list[str], trial: Trial) -> None:
    log = [f"  {record.position:4} {record.stream}: {record.type}" for record in trial.store.read_all()]
    raise AssertionError("\n".join([f"after this: {what}", *(f"  {each}" for each in wrong), "", "the log:", *log]))
