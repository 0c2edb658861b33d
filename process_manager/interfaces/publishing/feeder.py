"""Publishes recorded events at their own times, while a worker with a driven clock runs: `pm run --feed`.

Were the events of several days published at once, an event from after a deadline would stand in the log before that deadline passes. So
the clock is moved to the time of each event first, and the event is published when everything earlier is settled. Events that are there
already are left out, so an interrupted feed is simply started again.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from operator import itemgetter

import orjson

from process_manager.errors import ProcessManagerError
from process_manager.interfaces.publishing.event_lines import Addressed
from process_manager.interfaces.publishing.publisher import Publisher, batches
from process_manager.ports import EventStore
from process_manager.runtime.time_driver import TimeDriver, run_through
from process_manager.runtime.worker import Worker


class NotInOrder(ProcessManagerError):
    """The events are not in the order of their times, or one has no time."""


def in_order(events: Iterable[tuple[int, Addressed]]) -> Iterator[tuple[datetime, Addressed]]:
    """Numbered lines as events with their times. Raises NotInOrder, which names the line."""
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
        self.late = 0  # new events whose time is before the time that the store has reached
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
