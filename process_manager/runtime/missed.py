"""A pass over the log for commands that a group has been through and that left no trace.

Servers of EventStoreDB may write a filtered group's checkpoint beyond what it has not delivered yet, and go on from there after a restart.
What is found is given to the group's runner as if it had just been delivered: where an outcome is recorded after all, that is found then.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from heapq import merge
from itertools import islice
from typing import Protocol

from process_manager.core.metadata import read_metadata
from process_manager.core.records import Record
from process_manager.core.signals import COMMAND_PARKED
from process_manager.errors import MessageError
from process_manager.ports import Delivery, EventStore, Filter
from process_manager.runtime.call_runner import OUTCOMES, REQUESTS
from process_manager.runtime.groups import Share, followed
from process_manager.runtime.handlers import Handler
from process_manager.runtime.reconcile import EVERY, Found, set_aside

log = logging.getLogger(__name__)

BATCH = 1_000
"""Records looked at in one step."""


class Taker(Protocol):
    """Who takes what was missed."""

    def offer(self, deliveries: Sequence[Delivery]) -> None: ...

    @property
    def owed(self) -> int:
        """How many of what was offered are not settled."""


class CommandPass:
    """Looks through the log after `after`, up to where the group has got to, for commands without an outcome; one batch with each step.

    `age`: younger commands are left to a later pass, for a call may be under way. Raises GroupNotFound.
    """

    def __init__(
        self, store: EventStore, share: Share, handlers: Sequence[Handler], taker: Taker, *,
        after: int, age: timedelta = timedelta(0), now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.found = Found(after, store.group(share.group).checkpoint)
        self.again = EVERY
        self._age = age.total_seconds()
        self._begins = {type_: max(begin, after) for type_, begin in followed(store, share).items()}
        self._settled = set_aside(store, share.group)
        self._open: dict[str, Record] = {}  # by operation
        self._taker = taker
        self._ended = False
        self._newest = int((now() - self._age) * 1_000_000)
        wanted = Filter(types=share.types | {COMMAND_PARKED}), Filter(stream_prefixes=_outcome_streams(handlers))
        found = [store.read_all(after=after if after >= 0 else None, where=where) for where in wanted]
        self._records = merge(*found, key=lambda record: record.position)

    left = 0

    @property
    def waits(self) -> bool:
        """Whether what was offered is not settled yet."""
        return self._taker.owed > 0

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
        metadata = _metadata(record)
        operation = str(metadata.get("operation") or record.id)
        if record.type == COMMAND_PARKED:
            self._settled.add(str(metadata.get("$causationId")))
        elif (begin := self._begins.get(record.type)) is None:
            self._open.pop(operation, None)
        elif begin < record.position <= self.found.until:
            self._open[operation] = record

    def _end(self) -> None:
        self._ended = True
        missed = {operation: record for operation, record in self._open.items() if record.id not in self._settled}
        if young := [record.position for record in missed.values() if record.created > self._newest]:
            self.found.until, self.again = min(young) - 1, self._age
        missed = {operation: record for operation, record in missed.items() if record.position <= self.found.until}
        for operation, record in missed.items():
            level = logging.WARNING if operation == record.id else logging.INFO  # an earlier attempt may have the outcome
            log.log(level, "missed until now: %s %s", record.type, record.id, extra={"action": "missed", "stream": record.stream})
        self._taker.offer([Delivery(record) for record in missed.values()])


def _outcome_streams(handlers: Sequence[Handler]) -> tuple[str, ...]:
    """What the names of the streams begin with that hold what commands lead to."""
    aggregates = {f"{aggregate.category}-" for handler in handlers for aggregate in handler.repositories.values()}
    return (OUTCOMES, REQUESTS, *sorted(aggregates))


def _metadata(record: Record) -> dict[str, object]:
    """Nothing where it cannot be read: somebody else's."""
    try:
        return read_metadata(record.type, record.metadata)
    except MessageError:
        return {}
