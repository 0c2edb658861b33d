"""A pass over the log for commands that a group has been through and that left no trace.

Servers of EventStoreDB may write a filtered group's checkpoint beyond what it has not delivered yet, and go on from there after a restart.
What is found is given to the group's runner as if it had just been delivered: where an outcome is recorded after all, that is found then.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import islice

from process_manager.core.metadata import read_metadata
from process_manager.core.records import Record
from process_manager.core.signals import COMMAND_PARKED
from process_manager.errors import MessageError
from process_manager.ports import Delivery, EventStore, Filter
from process_manager.runtime.groups import Share, followed
from process_manager.runtime.handlers import Handler
from process_manager.runtime.reconcile import EVERY, Found, set_aside

log = logging.getLogger(__name__)

BATCH = 1_000
"""Records looked at in one step."""


class CommandPass:
    """Looks through the log after `after`, up to where the group has got to, for commands without an outcome; one batch with each step.

    `age`: younger commands are left to a later pass, for a call may be under way. Raises GroupNotFound.
    """

    def __init__(
        self, store: EventStore, share: Share, handlers: Sequence[Handler], offer: Callable[[Sequence[Delivery]], None], *,
        after: int, age: timedelta = timedelta(0), now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.found = Found(after, store.group(share.group).checkpoint)
        self.left = 0
        """How many were offered: another pass has to see what came of them."""
        self.again = EVERY
        self._age = age.total_seconds()
        self._begins = {type_: max(begin, after) for type_, begin in followed(store, share).items()}
        self._settled = set_aside(store, share.group)
        self._open: dict[str, Record] = {}  # by operation
        self._offer = offer
        self._newest = int((now() - self._age) * 1_000_000)
        where = Filter(types=share.types | _outcomes(handlers))
        self._records = store.read_all(after=after if after >= 0 else None, where=where)

    def step(self) -> int:
        """How many records were looked at; after the last one commands are offered."""
        records = list(islice(self._records, BATCH))
        for record in records:
            self._look_at(record)
        self.found.offered += len(records)
        if not records:
            self._end()
        return len(records)

    def _look_at(self, record: Record) -> None:
        metadata = _metadata(record)
        operation = str(metadata.get("operation") or record.id)
        if (begin := self._begins.get(record.type)) is None:
            self._open.pop(operation, None)
            self._settled.add(str(metadata.get("$causationId")))
        elif begin < record.position <= self.found.until:
            self._open[operation] = record

    def _end(self) -> None:
        missed = [record for record in self._open.values() if record.id not in self._settled]
        if young := [record.position for record in missed if record.created > self._newest]:
            self.found.until, self.again = min(young) - 1, self._age
        missed = [record for record in missed if record.position <= self.found.until]
        for record in missed:
            log.warning("missed until now: %s %s", record.type, record.id, extra={"action": "missed", "stream": record.stream})
        self.left = len(missed)
        self._offer([Delivery(record) for record in missed])


def _outcomes(handlers: Sequence[Handler]) -> frozenset[str]:
    """The types of what commands lead to."""
    found = {COMMAND_PARKED}
    for handler in handlers:
        found |= {event.message_type for event in handler.outcomes}
        found |= {type_ for aggregate in handler.repositories.values() for type_ in aggregate.events}
    return frozenset(found)


def _metadata(record: Record) -> dict[str, object]:
    """Nothing where it cannot be read: somebody else's."""
    try:
        return read_metadata(record.type, record.metadata)
    except MessageError:
        return {}
