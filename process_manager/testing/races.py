"""Inputs whose order is allowed to decide, and the pairs that came in another order than in the undisturbed run."""

from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass
from itertools import combinations

from process_manager.core.definition import Definition
from process_manager.core.effects import Deadline
from process_manager.core.inputs import Input
from process_manager.core.messages import Message
from process_manager.core.reactions import IGNORE
from process_manager.core.signals import DEADLINE_PASSED, OPERATOR_ACTION, DeadlinePassed, OperatorAction
from process_manager.core.steps import AnyStep, Step
from process_manager.testing.trial import type_of

Arrivals = Mapping[str, Sequence[Input]]
"""By instance, its inputs that have a receipt, in the order in which they came to it."""

Orders = Mapping[str, Sequence[str]]
"""By instance, what its inputs are called, in the order in which they came to it."""

Pair = frozenset[str]
"""What two inputs are called."""

Side = type[Message] | type[OperatorAction] | Deadline | AnyStep
"""One of two inputs that race: messages of a class, a deadline that passes, a step that gets no answer in time."""


@dataclass(frozen=True)
class Race:
    """Two inputs whose order may decide: whichever comes first, the instance ends in one of `ends`: its status, its outcome,
    or `suspended`. A deadline is named by its attribute, as in `Race(Approved, Claim.reminder, ends)`; so is a step, for the deadline of
    its answer."""

    first: Side
    second: Side
    ends: AbstractSet[str]

    @property
    def pair(self) -> Pair:
        return frozenset({_side(self.first), _side(self.second)})


def _side(side: Side) -> str:
    return _deadline(side.name) if isinstance(side, Deadline | Step) else type_of(side)


def _deadline(name: str) -> str:
    return f"the deadline {name.partition('/')[0]}"


def called(type_: str, data: bytes) -> str:
    """What an input is called where order matters: its type, or the deadline that has passed."""
    return _deadline(DeadlinePassed.read(data).name) if type_ == DEADLINE_PASSED else type_


def orders(arrivals: Arrivals, others: Arrivals, recorded: AbstractSet[str], definitions: Mapping[str, Definition]) -> Orders:
    """The order in which inputs came. What has a receipt in the other run only, and is `recorded` in this one by its id, came before the
    start, if it is let go of there without a receipt."""
    found: dict[str, list[str]] = {}
    for stream, inputs in arrivals.items():
        definition, known = definitions[stream.partition("-")[0]], {each.id for each in inputs}
        unseen = [each for each in others.get(stream, ()) if each.id in recorded - known and _let_go(definition, each.type)]
        found[stream] = [called(each.type, each.data) for each in (*unseen, *inputs)]
    return found


def _let_go(definition: Definition, type_: str) -> bool:
    """Whether such an input leaves no trace of an instance that has not started."""
    handled = definition.handled.get(type_)
    return type_ == OPERATOR_ACTION or (handled is not None and handled.on is not None and handled.on.mark.early is IGNORE)


def swapped(before: Orders, now: Orders) -> dict[str, set[Pair]]:
    """By instance, the pairs of inputs that came in another order, neither of them more or less often."""
    found = {stream: set(_swapped(before[stream], types)) for stream, types in now.items() if stream in before}
    return {stream: pairs for stream, pairs in found.items() if pairs}


def _swapped(before: Sequence[str], now: Sequence[str]) -> Iterator[Pair]:
    for pair in map(frozenset, combinations(sorted(set(before) & set(now)), 2)):
        was, is_ = ([each for each in types if each in pair] for types in (before, now))
        if was != is_ and sorted(was) == sorted(is_):
            yield pair


def allowed(races: Sequence[Race], before: Orders, now: Orders, exchanged: Pair | None) -> dict[str, set[str]]:
    """The ends that instances may come to because inputs that race came in another order; the others come to what they came to before.

    `exchanged` was delivered or published the other way round: where no receipt tells of it, the race is of every instance with either,
    or of all of them, where neither comes to an instance itself.
    """
    found: dict[str, set[str]] = {}
    by_instance = swapped(before, now)
    for race in races:
        raced = [stream for stream, pairs in by_instance.items() if race.pair in pairs]
        if not raced and race.pair == exchanged:
            raced = [stream for stream, types in now.items() if not race.pair.isdisjoint(types)] or list(now)
        for stream in raced:
            found.setdefault(stream, set()).update(race.ends)
    return found


def told(before: Orders, now: Orders, exchanged: Pair | None) -> list[str]:
    """What came in another order, or was exchanged, in sentences that say what to do about it."""
    by_instance = swapped(before, now)
    found = [
        f"{stream} took {' and '.join(sorted(pair))} in another order: declare a Race where that may decide"
        for stream, pairs in by_instance.items()
        for pair in sorted(pairs, key=sorted)
    ]
    if exchanged and not any(exchanged in pairs for pairs in by_instance.values()):
        found.append(f"{' and '.join(sorted(exchanged))} were exchanged: declare a Race where their order, or time, may decide")
    return found


def told_of_one_type(before: Arrivals, now: Arrivals) -> list[str]:
    """Inputs of one type, which cannot race, that came to an instance in another order than in the undisturbed run; of each type two."""
    return [
        f"{stream} took two {type_} in another order: {later.data.decode()} before {earlier.data.decode()}."
        " Keep what is known by a key, as self.results(step) does, not in the order in which it comes"
        for stream, inputs in now.items()
        for type_, (later, earlier) in _first_inversions(before.get(stream, ()), inputs).items()
    ]


def _first_inversions(before: Sequence[Input], now: Sequence[Input]) -> dict[str, tuple[Input, Input]]:
    place = {each.id: number for number, each in enumerate(before)}
    found: dict[str, tuple[Input, Input]] = {}
    messages = [each for each in now if each.id in place and each.type not in {DEADLINE_PASSED, OPERATOR_ACTION}]
    for one, other in combinations(messages, 2):
        if one.type == other.type and place[one.id] > place[other.id]:
            found.setdefault(one.type, (one, other))
    return found
