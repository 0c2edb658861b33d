"""A pass over the log for commands that a group has been through and that left no trace.

Servers of EventStoreDB may write a filtered group's checkpoint beyond what it has not delivered yet, and go on from there after a restart.
What is found is given to the group's runner as if it had just been delivered: where an outcome is recorded after all, that is found then.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from heapq import merge
from itertools import islice, takewhile
from typing import NamedTuple
from uuid import uuid4

from process_manager.core.metadata import read_metadata
from process_manager.core.records import Record
from process_manager.core.signals import COMMAND_PARKED
from process_manager.errors import MessageError
from process_manager.ports import BEFORE_ALL, Delivery, EventStore, Filter
from process_manager.runtime.call_runner import OUTCOMES, REQUESTS
from process_manager.runtime.groups import Share, followed
from process_manager.runtime.handlers import Handler
from process_manager.runtime.left_out import LeftOut
from process_manager.runtime.reconcile import EVERY, HURRY, Found, set_aside
from process_manager.runtime.swept import claim_missed

log = logging.getLogger(__name__)

BATCH = 1_000
"""Records looked at in one step."""

SOON = 30.0
"""Seconds to the next pass, at least, where commands may be under way."""


class _Unanswered(NamedTuple):
    """A command without an outcome, and where a pass ends that leaves it: servers read on behind a record, and from no other position."""

    command: Record
    before: int


class CommandPass:
    """Looks through the log after `after`, up to where the group has got to, for commands without an outcome; one batch with each step.

    A command that may be under way is left to a later pass, with all behind it: one that is younger than `age`, which is how long a
    delivery may take; and, while the group has work, one with none behind it that was answered so long ago, for it may wait in the server
    though the checkpoint is beyond it. With an `age` one worker at a time offers what it finds. Raises GroupNotFound.
    """

    def __init__(
        self, store: EventStore, share: Share, handlers: Sequence[Handler], left_out: LeftOut, *,
        after: int, age: timedelta = timedelta(0), now: Callable[[], float] = time.time, worker: str = "",
    ) -> None:  # fmt: skip
        group = store.group(share.group)
        last = store.last_position()  # what the group has been through has come to its outcome before
        self.found = Found(after, group.checkpoint)
        self.again = EVERY
        self._store = store
        self._share = share
        self._worker = worker or str(uuid4())
        self._age = age.total_seconds()
        self._begins = {type_: max(begin, after) for type_, begin in followed(store, share).items() if type_ in share.types}
        self._settled = set_aside(store, share.group)
        self._open: dict[str, _Unanswered] = {}  # by operation
        self._last = self._before = after  # the positions of the record that is looked at, and of the one before it
        self._left_out = left_out
        self._ended = False
        self._newest = int((now() - self._age) * 1_000_000)
        self._working = bool(group.lag or group.in_flight)
        self._delivered = BEFORE_ALL  # up to here no delivery is under way
        wanted = Filter(types=share.types | {COMMAND_PARKED}), Filter(stream_prefixes=_outcome_streams(handlers))
        found = [store.read_all(after=after if after >= 0 else None, where=where) for where in wanted]
        self._records: Iterator[Record] = takewhile(
            lambda record: record.position <= last, merge(*found, key=lambda record: record.position)
        )

    @property
    def left(self) -> int:
        """How many commands are for a newer version to take."""
        return self._left_out.declined if self._ended else 0

    @property
    def waits(self) -> bool:
        """Whether what was offered is not settled yet."""
        return len(self._left_out) > 0

    def step(self) -> int:
        """How many records were looked at; after the last one commands are offered."""
        records = list(islice(self._records, BATCH))
        for record in records:
            self._look_at(record)
        self.found.offered += len(records)
        if not records and not self._ended:
            self._end()
        return len(records)

    def _look_at(self, record: Record) -> None:
        if record.position > self._last:  # a record may come by both reads
            self._before, self._last = self._last, record.position
        operation = _operation(record)
        if record.type == COMMAND_PARKED:
            self._settled.add(str(_metadata(record).get("$causationId")))
        elif (begin := self._begins.get(record.type)) is None:
            self._answered(self._open.pop(operation, None), record)
        elif begin < record.position <= self.found.until:
            self._open[operation] = _Unanswered(record, self._before)

    def _answered(self, found: _Unanswered | None, outcome: Record) -> None:
        """A group delivers in the order of the log, so what stands before this command was delivered before its outcome."""
        if found is not None and outcome.created <= self._newest:
            self._delivered = max(self._delivered, found.command.position)

    def _end(self) -> None:
        self._ended, self._records = True, iter(())  # which ends the reads
        missed = sorted((it for it in self._open.values() if it.command.id not in self._settled), key=lambda it: it.command.position)
        over = [it.command for it in takewhile(self._is_over, missed)]
        offered = self._claimed(over[: self._share.settings.in_flight])
        if left := missed[len(offered) :]:
            self.found.until, self.again = left[0].before, HURRY if offered else max(self._age, SOON)
        for record, _ in self._left_out.offer([Delivery(record) for record in offered]):
            level = logging.WARNING if _operation(record) == record.id else logging.INFO  # an earlier attempt may have the outcome
            log.log(level, "missed until now: %s %s", record.type, record.id, extra={"action": "missed", "stream": record.stream})

    def _is_over(self, found: _Unanswered) -> bool:
        """Whether no delivery of a command can be under way."""
        return found.command.created <= self._newest and (not self._working or found.command.position < self._delivered)

    def _claimed(self, records: list[Record]) -> list[Record]:
        """Of several workers that find them at once one makes these calls. It may have others under way, hence twice the time."""
        since = self._newest - int(self._age * 1_000_000)
        if records and self._age and not claim_missed(self._store, self._share.group, self._worker, since):
            return []
        return records


def _outcome_streams(handlers: Sequence[Handler]) -> tuple[str, ...]:
    """What the names of the streams begin with that hold what commands lead to."""
    aggregates = {f"{aggregate.category}-" for handler in handlers for aggregate in handler.repositories.values()}
    return (OUTCOMES, REQUESTS, *sorted(aggregates))


def _operation(record: Record) -> str:
    return str(_metadata(record).get("operation") or record.id)


def _metadata(record: Record) -> dict[str, object]:
    """Nothing where it cannot be read: somebody else's."""
    try:
        return read_metadata(record.type, record.metadata)
    except MessageError:
        return {}
