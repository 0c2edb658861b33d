"""An instance's recorded facts as the turns that wrote them."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from process_manager.core.facts import Fact, Receipt


class RecordedTurn(NamedTuple):
    """What one input led to: its receipt, and all facts of its block with their revisions, the receipt's own first.

    The receipt is None only for records that somebody else wrote before the first turn.
    """

    receipt: Receipt | None
    facts: list[tuple[Fact, int]]


def turns(recorded: Iterable[tuple[Fact, int]]) -> Iterator[RecordedTurn]:
    """The turns, in order. A receipt of an input that had been kept belongs to the turn that offered it again."""
    turn = RecordedTurn(None, [])
    for fact, revision in recorded:
        if isinstance(fact, Receipt) and not fact.kept:
            if turn.facts:
                yield turn
            turn = RecordedTurn(fact, [])
        turn.facts.append((fact, revision))
    if turn.facts:
        yield turn
