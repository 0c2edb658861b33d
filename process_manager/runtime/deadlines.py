"""Deadlines that pass: follow the log into an index of what is pending, and append what is due, once.

The index is a cache: it is rebuilt from the log, and nothing fires before it has caught up with it.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import orjson

from process_manager.core import facts
from process_manager.core.block import read_fact
from process_manager.core.codec import dumps
from process_manager.core.deadlines import ANSWERED, Pending, cleared_by, command_deadline, expiry_name, run_deadline, set_by
from process_manager.core.definition import Definition
from process_manager.core.facts import FACTS, Fact
from process_manager.core.identity import derive, new_record
from process_manager.core.messages import Json
from process_manager.core.metadata import read_metadata
from process_manager.core.records import Record
from process_manager.core.signals import DEADLINE_PASSED, TIME_PASSED, DeadlinePassed
from process_manager.errors import MessageError, StoreError
from process_manager.ports import Appended, Block, Clock, DeadlineChange, DeadlineIndex, EventStore, Filter, PendingDeadline, StreamState
from process_manager.runtime.counters import Counters
from process_manager.runtime.refusals import allow_conflicts

log = logging.getLogger(__name__)

FOLLOW = 10_000
"""Records read at once."""

FIRE = 512
"""Deadlines fired at once."""

_NEUTRAL = frozenset(each.fact_type for each in (facts.Started, facts.EventTaken, facts.InputIgnored, facts.OperatorActed))
"""Receipts that touch no deadline, unless the input that they hold had been kept until one."""

UNFOLLOWED = frozenset(
    each.fact_type
    for each in (
        facts.Decided, facts.JoinDecided, facts.CompensationStarted, facts.NothingToUndo, facts.CompensationFailed, facts.UndoSkipped,
        facts.Ended, facts.SnapshotTaken,
    )
)  # fmt: skip
"""Facts that touch no deadline: they are not followed."""

MOST = 2**31
"""Generations of a deadline: one that claims more was set by no turn."""

Changes = list[tuple[str, PendingDeadline | None]]
"""What a record does to deadlines, by name: set, or cleared."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DeadlineRunner:
    """Follows the facts of an app's processes and fires what is due."""

    role = "deadlines"

    def __init__(
        self, store: EventStore, definitions: Mapping[str, Definition], index: DeadlineIndex, clock: Clock, counters: Counters
    ) -> None:
        self._store = store
        self._processes = frozenset(definitions)
        self._index = index
        self._clock = clock
        self._counters = counters
        commands = (step.command.message_type for each in definitions.values() for step in each.steps.values())
        self._where = Filter(types=frozenset({*FACTS, *commands, TIME_PASSED}) - UNFOLLOWED)
        index.begin(derive(*_log(store), *sorted(definitions), "", *sorted(self._where.types)), store.last_position())
        self._subscription = store.subscribe(after=index.position, where=self._where)

    @property
    def busy(self) -> bool:
        return False

    def close(self) -> None:
        self._subscription.close()
        self._index.close()

    def step(self) -> int:
        """Catch up with the log, then fire what is due. Returns how many deadlines passed. Raises StoreError."""
        self._catch_up()
        now = self._clock.now(self._index.time or EPOCH)
        fired = 0
        while pending := self._index.due(now, FIRE):
            self._fire(pending)
            fired += len(pending)
        return fired

    def _catch_up(self) -> None:
        """Read the log to its end. Records that did not come into the index, since it failed, are read again the next time."""
        try:
            while records := self._subscription.next_batch(FOLLOW):
                self._follow(records)
        except StoreError:
            self._subscription.close()
            self._subscription = self._store.subscribe(after=self._index.position, where=self._where)
            raise

    def next_due(self) -> datetime | None:
        """When the earliest pending deadline is due."""
        return self._index.next_due()

    def pending(self) -> int:
        """How many deadlines are set and have not passed, as far as the log was followed."""
        return self._index.count()

    def _follow(self, records: Sequence[Record]) -> None:
        """Take in records from the newest to the oldest: of a deadline that was set and met among them only the answer is decoded."""
        changes: dict[tuple[str, str], DeadlineChange] = {}
        answered: dict[str, tuple[str, str]] = {}  # operation -> its deadline
        time: datetime | None = None
        for record in reversed(records):
            if record.type == TIME_PASSED:
                time = time or _time_passed(record)
            elif record.id in answered:  # the first attempt of the operation: no older record sets its deadline
                if changes[answered[record.id]].pending is None:
                    del changes[answered[record.id]]
            elif record.stream.partition("-")[0] in self._processes:
                for name, pending in changes_of(record, answered):
                    changes.setdefault((record.stream, name), DeadlineChange(record.position, pending))
        self._index.apply(changes, self._subscription.position, time)

    def _fire(self, pending: Sequence[PendingDeadline]) -> None:
        """A conflict means that somebody fired it already. Raises other refusals, and all are still pending."""
        answers = self._store.append_many([self._passed(each) for each in pending])
        allow_conflicts(answers)
        over = DeadlineChange(self._index.position, None)
        self._index.apply({(each.instance, each.name): over for each in pending}, self._index.position)
        self._counters.deadlines += sum(isinstance(answer, Appended) for answer in answers)

    def _passed(self, pending: PendingDeadline) -> Block:
        passed = DeadlinePassed(pending.instance, pending.name, pending.generation, pending.due)
        data = dumps(passed)
        metadata = dumps(
            {
                "$correlationId": pending.correlation,
                "$causationId": pending.cause,
                "time": self._clock.now(pending.due),
                "version": passed.version,
            }
        )
        record = new_record(passed.stream, pending.cause, "", DEADLINE_PASSED, data, metadata)
        return Block(passed.stream, [record], StreamState.NO_STREAM)


def _log(store: EventStore) -> tuple[str, ...]:
    """What distinguishes this log from another one at the same address, such as that of a server that was set up anew."""
    return tuple(f"{record.id} {record.created}" for record in store.read_all(limit=1))


def changes_of(record: Record, answered: dict[str, tuple[str, str]]) -> Changes:
    """What a record of an instance's stream does to its deadlines, by name; notes which operation it answers."""
    try:
        return _changes(record, answered)
    except (MessageError, AttributeError, LookupError, TypeError, ValueError) as error:  # somebody else appended it
        log.warning("not followed: %s of %s: %s", record.type, record.stream, error, extra={"action": "fact_not_followed"})
        return []


def _changes(record: Record, answered: dict[str, tuple[str, str]]) -> Changes:
    if record.type not in FACTS:
        metadata = read_metadata(record.type, record.metadata)
        return _set(record, command_deadline(metadata, record.id), metadata)
    if record.type in ANSWERED:
        receipt = orjson.loads(record.data)
        name = run_deadline(receipt)
        found: Changes = [(name, None), (expiry_name(receipt["input"]["id"]), None)] if receipt["kept"] else [(name, None)]
        answered[receipt["operation"]] = (record.stream, name)
        return found
    if record.type in _NEUTRAL and b'"kept":true' not in record.data:
        return []
    return _of_fact(record, read_fact(record))


def _of_fact(record: Record, fact: Fact) -> Changes:
    changes = _set(record, set_by(fact), read_metadata(record.type, record.metadata))
    changes += [(name, None) for name in cleared_by(fact)]
    if not all(isinstance(name, str) for name, _ in changes):
        raise TypeError("its deadline's name is no text")
    return changes


def _set(record: Record, pending: Pending | None, metadata: Json) -> Changes:
    """What an index can hold, and a message can say."""
    if pending is None:
        return []
    correlation = metadata["$correlationId"]
    if pending.due.tzinfo is None or not 0 <= pending.generation <= MOST or not isinstance(correlation, str):
        raise ValueError(f"{pending.name} is no deadline that was set by a turn")
    return [(pending.name, PendingDeadline(record.stream, *pending, correlation, record.id))]


def _time_passed(record: Record) -> datetime | None:
    try:
        return datetime.fromisoformat(orjson.loads(record.data)["time"]).astimezone(UTC)
    except (LookupError, TypeError, ValueError, OverflowError):
        return None
