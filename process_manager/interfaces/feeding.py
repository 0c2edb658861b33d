"""Recorded events into a store in their own time: `pm run --feed`.

A worker takes the log as it stands, and a log of days that was published at once holds what came after a deadline before the deadline's
passing. So the events of each moment are published when the time is theirs and everything earlier is settled. Twice is once, and what was
interrupted goes on where it was.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from operator import itemgetter

import orjson

from process_manager.errors import ProcessManagerError
from process_manager.interfaces.lines import Addressed
from process_manager.interfaces.publishing import Publisher, batches
from process_manager.ports import EventStore
from process_manager.runtime.time_driver import TimeDriver, run_through
from process_manager.runtime.worker import Worker


class NotInOrder(ProcessManagerError):
    """Events that cannot be fed, as they are not in the order of their times."""


def in_order(events: Iterable[tuple[int, Addressed]]) -> Iterator[tuple[datetime, Addressed]]:
    """Each numbered event with its time. Raises NotInOrder."""
    last: datetime | None = None
    for number, event in events:
        said = orjson.loads(event.record.metadata).get("time")
        if said is None:
            raise NotInOrder(f"line {number}: it has no time, and events are fed in the order of their times")
        time = datetime.fromisoformat(said)
        if last is not None and time < last:
            raise NotInOrder(f"line {number}: its time {said} is before {last.isoformat()} of an earlier line: sort the lines by time")
        last = time
        yield time, event


class Feeder:
    """Feeds a store and settles it with a worker whose clock is driven."""

    def __init__(self, store: EventStore, worker: Worker) -> None:
        self.publisher = Publisher(store)
        self.late = 0  # events that are new, and timed before what had passed in the store
        self._worker = worker
        self._time = TimeDriver(store)

    def feed(self, events: Iterable[tuple[datetime, Addressed]]) -> None:
        """Take events in the order of their times, then let every deadline pass; ends early when the worker is stopped."""
        for time, timed in groupby(events, itemgetter(0)):
            run_through(self._worker, self._time, time)
            if self._worker.stopped:
                return
            before = self.publisher.published
            for batch in batches(event for _, event in timed):
                self.publisher.publish(batch)
            if self._time.now is not None and time < self._time.now:
                self.late += self.publisher.published - before
        run_through(self._worker, self._time)
