"""Driven mode: time moves only by TimePassed messages in the log, appended when what came before is settled."""

from datetime import UTC, datetime

import orjson

from process_manager.core.identity import new_record
from process_manager.core.signals import TIME_PASSED, TimePassed
from process_manager.errors import StreamNotFound
from process_manager.ports import Block, EventStore, StreamState
from process_manager.runtime.worker import Worker

STREAM = "pm.time"
"""The stream of the TimePassed messages; one driver appends to it."""


class TimeDriver:
    """Moves the time of a store for workers whose clock is driven."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._revision, self.now = _newest(store)

    def pass_to(self, time: datetime) -> None:
        """The time is now `time`; a time that has passed already changes nothing. Raises WrongExpectedVersion for two drivers."""
        if self.now is not None and time <= self.now:
            return
        data = orjson.dumps(TimePassed(time.astimezone(UTC)))
        metadata = orjson.dumps({"time": time.astimezone(UTC), "version": 1})
        record = new_record(STREAM, "", "", TIME_PASSED, data, metadata)
        expected = StreamState.NO_STREAM if self._revision is None else self._revision
        self._revision = self._store.append(Block(STREAM, [record], expected)).revision
        self.now = time


def _newest(store: EventStore) -> tuple[int | None, datetime | None]:
    try:
        (record,) = store.read_stream(STREAM, backwards=True, limit=1)
    except StreamNotFound:
        return None, None
    return record.revision, datetime.fromisoformat(orjson.loads(record.data)["time"])


def run_through(worker: Worker, driver: TimeDriver, until: datetime | None = None) -> None:
    """Settle everything, jump to the next deadline, settle what it leads to, and so on, up to `until` or, without it, until no
    deadline is pending. Time never jumps over a deadline, so none passes before the answers that were there earlier. Ends early when the
    worker is stopped.
    """
    while True:
        worker.run(until_idle=True)
        due = None if worker.deadlines is None else worker.deadlines.next_due()
        if worker.stopped or due is None or (until is not None and due > until):
            break
        driver.pass_to(due)
    if until is not None and not worker.stopped:
        driver.pass_to(until)
