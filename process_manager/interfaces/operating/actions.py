"""An operator's actions on instances: see what an instance is now, whether an action applies, append it, wait for what came of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from time import monotonic

from process_manager.core import facts
from process_manager.core.block import read_fact
from process_manager.core.codec import dumps
from process_manager.core.fold import fold
from process_manager.core.identity import new_record
from process_manager.core.instance import Instance
from process_manager.core.operator import refusal
from process_manager.core.signals import OPERATOR_ACTION, OperatorAction
from process_manager.errors import StoreError, StreamNotFound, WrongExpectedVersion
from process_manager.interfaces.reading.histories import read_facts
from process_manager.ports import Block, EventStore, StreamState
from process_manager.runtime.time_driver import TimeDriver

BATCH = 500
"""Records appended at once."""

NOT_THERE = "there is no such instance"

RECENT = 200
"""How many of an instance's newest records are searched for what became of an action."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An action that stands in the log; `again` says that it stood there before."""

    action: OperatorAction
    id: str
    again: bool = False


def current(store: EventStore, stream: str) -> Instance:
    """An instance, folded from its stream without its definition. Raises StreamNotFound where the stream is missing or no instance's."""
    process, _, key = stream.partition("-")
    read = list(read_facts(store.read_stream(stream)))
    if all(isinstance(fact, facts.Foreign | facts.StepStarted) for fact, _ in read):
        raise StreamNotFound(stream)
    return fold(Instance(process, key), read)


def obstacle(store: EventStore, action: OperatorAction) -> str:
    """Why an action cannot be taken now; "" when it can, or when its request is in the log already."""
    if asked_before(store, action) is not None:
        return ""
    try:
        return refusal(current(store, action.instance), action)
    except StreamNotFound:
        return NOT_THERE


def asked_before(store: EventStore, action: OperatorAction) -> OperatorAction | None:
    """The action that this request of this instance already stands for in the log; None where there is none."""
    try:
        (record,) = store.read_stream(action.stream, limit=1)
    except StreamNotFound:
        return None
    return OperatorAction.read(record.data)


def ask(store: EventStore, actions: Iterable[OperatorAction]) -> Iterator[Asked]:
    """Append actions, each to a stream of its own. Raises StoreError, also for a request that was used before for another action."""
    now = TimeDriver(store).now or datetime.now(UTC)
    rest = iter(actions)
    while batch := list(islice(rest, BATCH)):
        blocks = [_block(store, action, now) for action in batch]
        for action, block, answer in zip(batch, blocks, store.append_many(blocks), strict=True):
            if isinstance(answer, WrongExpectedVersion):
                yield _known(store, action)
            elif isinstance(answer, StoreError):
                raise answer
            else:
                yield Asked(action, block.records[0].id)


def _block(store: EventStore, action: OperatorAction, now: datetime) -> Block:
    data = dumps(action)
    metadata = dumps({"$correlationId": current(store, action.instance).correlation, "time": now, "version": action.version})
    record = new_record(action.stream, action.request, "", OPERATOR_ACTION, data, metadata)
    return Block(action.stream, [record], StreamState.NO_STREAM)


def _known(store: EventStore, action: OperatorAction) -> Asked:
    (record,) = store.read_stream(action.stream, limit=1)
    before = OperatorAction.read(record.data)
    if before != action:
        raise StoreError(f"the request {action.request} was used before, for {before.action} by {before.actor}: give another one")
    return Asked(action, record.id, again=True)


def outcomes(store: EventStore, asked: Sequence[Asked], seconds: float) -> Iterator[tuple[str, str]]:
    """Pairs of instance and what became of its action, each as soon as a worker has taken it; ends after so many seconds at the latest."""
    left, until = list(asked), monotonic() + seconds
    while left:
        seen = store.last_position()
        still = []
        for each in left:
            outcome = _outcome(store, each)
            if outcome is None:
                still.append(each)
            else:
                yield each.action.instance, outcome
        left = still
        if left and not store.wait(seen, max(0.0, min(1.0, until - monotonic()))) and monotonic() >= until:
            return


def _outcome(store: EventStore, asked: Asked) -> str | None:
    for record in islice(store.read_stream(asked.action.instance, backwards=True), RECENT):
        if asked.id.encode() not in record.data:
            continue
        match read_fact(record):
            case facts.OperatorActed(input=taken) if taken.id == asked.id:
                return _standing(current(store, record.stream))
            case facts.InputIgnored(input=taken, reason=reason) if taken.id == asked.id:
                return f"ignored: {reason}"
            case facts.Suspended(input=taken, error=error) if taken.id == asked.id:
                return f"suspended: {error}"
            case _:
                continue
    return None


def _standing(instance: Instance) -> str:
    return f"suspended: {instance.suspended}" if instance.suspended else instance.status
