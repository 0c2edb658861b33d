"""Inputs whose order is allowed to decide, and the pairs that came in another order than in the undisturbed run."""

from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass
from itertools import combinations

from process_manager.core.messages import Message
from process_manager.core.signals import OperatorAction
from process_manager.testing.trial import type_of

Orders = Mapping[str, Sequence[str]]
"""By instance, the types of its inputs in the order in which they came to it."""

Pair = frozenset[str]
"""The types of two inputs."""


@dataclass(frozen=True)
class Race:
    """Two inputs whose order may decide: whichever comes first, the instance ends in one of `ends`: its status, its outcome,
    or `suspended`."""

    first: type[Message] | type[OperatorAction]
    second: type[Message] | type[OperatorAction]
    ends: AbstractSet[str]

    @property
    def pair(self) -> Pair:
        return frozenset({type_of(self.first), type_of(self.second)})


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
