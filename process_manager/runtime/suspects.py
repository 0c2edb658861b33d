"""What was delivered so often that it may be what ends its worker. A store's count of deliveries does not tell: it also counts outages
and what was handed back. So a worker says in the log that it takes such a record alone, and says so too when it outlived it."""

import logging
from itertools import takewhile

from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.errors import StreamNotFound, WrongExpectedVersion
from process_manager.ports import Block, Delivery, EventStore, StreamState

log = logging.getLogger(__name__)

ALONE_FROM = 2
"""Redeliveries after which a record is taken alone."""

DEATHS = 3
"""Workers that may end while they have it alone; then it is parked unread. With those before it, that is five."""

TAKEN_ALONE, OUTLIVED = "pm.taken-alone", "pm.outlived"


class Suspects:
    """The suspects of one runner."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._taken: dict[str, int] = {}  # record id -> the revision of its mark
        self._outlived: dict[str, int] = {}  # the same, to be told
        self._harmless: set[str] = set()  # what this worker has outlived

    def verdict(self, delivery: Delivery) -> str:
        """Why a suspect is to be parked unread; "" when it may be taken alone now, which the log then says. Raises StoreError."""
        id_ = delivery.record.id
        if id_ in self._harmless or id_ in self._outlived or id_ in self._taken:
            return ""
        marks = self._marks(id_)
        deaths = len(list(takewhile(TAKEN_ALONE.__eq__, reversed(marks))))
        if deaths >= DEATHS:
            return f"not read: the last {deaths} workers that took it alone ended with it ({delivery.retries} redeliveries)"
        self._append(id_, TAKEN_ALONE, len(marks))  # in vain when another worker takes it too, and says so
        self._taken[id_] = len(marks)
        extra = {"action": "taken_alone", "record_id": id_, "type": delivery.record.type, "retries": delivery.retries}
        log.info("%s %s was delivered %d times: taken alone, others wait", delivery.record.type, id_, delivery.retries + 1, extra=extra)
        return ""

    def outlived(self, delivery: Delivery) -> None:
        """It came to an end, or is handed back, and did this worker no harm, whatever became of its acknowledgement; see `tell`."""
        id_ = delivery.record.id
        if id_ in self._taken:
            self._outlived[id_] = self._taken.pop(id_)

    def tell(self) -> None:
        """Say in the log what was outlived. Raises StoreError; then it is said the next time."""
        for id_, taken in list(self._outlived.items()):
            revision = taken + 1
            while not self._append(id_, OUTLIVED, revision):
                revision = len(self._marks(id_))
            del self._outlived[id_]
            self._harmless.add(id_)

    def _marks(self, id_: str) -> list[str]:
        try:
            return [mark.type for mark in self._store.read_stream(_stream(id_))]
        except StreamNotFound:
            return []

    def _append(self, id_: str, type_: str, revision: int) -> bool:
        """Whether it stands there; not when another worker has noted something of its own at this revision."""
        stream = _stream(id_)
        mark = NewRecord(derive(stream, str(revision), type_), type_, b"{}", b"")
        try:
            self._store.append(Block(stream, [mark], revision - 1 if revision else StreamState.NO_STREAM))
        except WrongExpectedVersion:
            return False
        return True


def _stream(id_: str) -> str:
    return f"pm.suspect-{id_}"
