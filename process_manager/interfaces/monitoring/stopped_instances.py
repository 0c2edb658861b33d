"""How many instances wait for an operator: suspended, or with an undo that failed. Kept up to date from the log."""

import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from process_manager.core import facts
from process_manager.core.definition import Definition
from process_manager.core.records import Record
from process_manager.errors import MessageError, StoreError, StreamDeleted
from process_manager.ports import BEFORE_ALL, EventStore, Filter, Subscription
from process_manager.runtime.instances import load

READ = 20_000
"""Records that one call of `counts` reads at most, so that a scrape does not wait for a whole log."""

STATUSES = ("suspended", "compensation_failed")

_STOPS = {fact.fact_type for fact in (facts.Suspended, facts.OperatorActed, facts.CompensationFailed)}
_GOES_ON = {fact.fact_type for fact in (facts.CompensationStarted, facts.Ended)}


class StoppedInstances:
    """Follows the facts by which instances of an app stop and go on. Memory holds only those that are stopped now; an instance is loaded
    again when such a fact of it comes. Safe to use from several threads."""

    def __init__(self, store: EventStore, definitions: Mapping[str, Definition]) -> None:
        self._store = store
        self._definitions = definitions
        self._lock = threading.Lock()
        self._subscription: Subscription | None = None
        self._position = BEFORE_ALL
        self._known: dict[str, str] = {}  # stream -> its status when it was looked at
        self._changed: set[str] = set()

    def counts(self) -> Mapping[str, int] | None:
        """How many there are of each of STATUSES; None while older records are still to be read. Raises StoreError."""
        with self._lock:
            try:
                return self._looked()
            except StoreError:
                if self._subscription is not None:
                    self._subscription.close()
                self._subscription = None
                raise

    def _looked(self) -> Mapping[str, int] | None:
        if self._subscription is None:
            self._subscription = self._store.subscribe(after=self._position, where=Filter(types=frozenset(_STOPS | _GOES_ON)))
        left = READ
        while records := self._subscription.next_batch(left):
            self._changed.update(record.stream for record in records if self._concerns(record))
            self._position = self._subscription.position
            left -= len(records)
            if left <= 0:
                return None
        while self._changed:
            self._look(next(iter(self._changed)))
        found = Counter(self._known.values())
        return {status: found[status] for status in STATUSES}

    def _concerns(self, record: Record) -> bool:
        known = record.type in _STOPS or record.stream in self._known or record.stream in self._changed
        return known and record.stream.partition("-")[0] in self._definitions

    def _look(self, stream: str) -> None:
        process, _, key = stream.partition("-")
        self._known.pop(stream, None)
        with suppress(MessageError, StreamDeleted):  # a newer version's, or one that is gone
            instance = load(self._store, self._definitions[process], key)
            status = "suspended" if instance.suspended else instance.status
            if status in STATUSES:
                self._known[stream] = status
        self._changed.discard(stream)
