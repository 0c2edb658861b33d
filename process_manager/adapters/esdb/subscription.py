"""Catch-up subscriptions: a thread reads the server's stream of records into a bounded queue, and comes back wherever that breaks."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event

from process_manager.adapters.esdb.backoff import Backoff
from process_manager.adapters.esdb.client import Client
from process_manager.adapters.esdb.errors import TROUBLE, leader, translate
from process_manager.adapters.esdb.filtering import passes, server_filter
from process_manager.adapters.esdb.reading import Reading
from process_manager.adapters.esdb.records import Found, found
from process_manager.adapters.esdb.signal import Signal
from process_manager.core.records import Record
from process_manager.errors import StoreError, StoreUnavailable
from process_manager.ports import BEFORE_ALL, Filter

log = logging.getLogger(__name__)

AHEAD = 2_000
"""Records that the thread may be ahead of who takes them; then the server waits."""

ROOM_WITHIN = 0.01
"""Seconds between its looks for room."""

Arrival = Found | int
"""A record, or a checkpoint: the position up to which there is none."""

SENT_WITHIN = 0.5
"""Seconds that the server gets to send what stands in the log, before it is read."""


class EsdbSubscription:
    """See `Subscription`. Its client is its own, for a client's end ends its subscriptions."""

    def __init__(self, connect: Callable[[], Client], reading: Reading, signal: Signal, after: int, where: Filter) -> None:
        self.position = after
        self._connect = connect
        self._reading = reading
        self._signal = signal
        self._where = where
        self._asked = server_filter(where)
        self._arrived: SimpleQueue[Arrival | StoreError] = SimpleQueue()
        self._closed = Event()
        self._client = connect()
        self._client.receive("pm-subscription", partial(self._follow, after))

    def next_batch(self, limit: int, timeout: float = 0.0) -> Sequence[Record]:
        return self._arrivals(limit, timeout) or self._on_its_way(limit)

    def _arrivals(self, limit: int, timeout: float) -> list[Record]:
        until = time.monotonic() + timeout
        found: list[Record] = []
        while not self._closed.is_set() and len(found) < limit:
            item = self._next(0.0 if found else until - time.monotonic())
            if item is not None:
                found += self._take(item)
            elif found or time.monotonic() >= until:
                break
        return found

    def _next(self, timeout: float) -> Arrival | StoreError | None:
        try:
            return self._arrived.get(timeout=timeout) if timeout > 0 else self._arrived.get_nowait()
        except Empty:
            return None

    def _take(self, item: Arrival | StoreError) -> Sequence[Record]:
        if isinstance(item, StoreError):
            raise item
        if (at := _place(item)) <= self.position:
            return ()
        self.position = at
        if isinstance(item, int):
            return ()
        return (item.record,) if self._asked.exact or passes(self._where, item) else ()

    def _on_its_way(self, limit: int) -> list[Record]:
        """What matches between the position and the log's end: an empty queue says nothing, the server may be sending it."""
        if self._closed.is_set() or (last := self._reading.last_position()) <= self.position:
            return []
        if next(self._behind(1), None) is None:
            self.position = last
            return []
        if found := self._arrivals(limit, SENT_WITHIN):
            return found
        found = list(self._behind(limit))
        self.position = found[-1].position if found else self.position
        return found

    def _behind(self, limit: int) -> Iterator[Record]:
        return self._reading.log(after=self.position, limit=limit, where=self._where)

    def _follow(self, after: int) -> None:
        """The thread: subscribe, hand on, and again behind the last one when the server's stream ends."""
        backoff = Backoff()
        while not self._closed.is_set():
            before = after
            try:
                for arrival in self._subscribe(after):
                    after = max(after, _place(arrival))
                    self._hand_on(arrival)
                raise StoreUnavailable("the subscription ended unasked")
            except (*TROUBLE, StoreError) as error:
                backoff = backoff if after == before else Backoff()
                if not self._closed.is_set() and not self._recover(error, backoff):
                    return

    def _subscribe(self, after: int) -> Iterator[Arrival]:
        position = None if after == BEFORE_ALL else after
        try:
            messages = self._client.read(commit_position=position, subscribe=True, resolve_links=True, **self._asked.arguments())
        except StopIteration:  # what esdbclient makes of a call that ends before it is confirmed
            raise StoreUnavailable("the server ended the subscription before it was confirmed") from None
        with closing(messages):
            for message in messages:
                if message.HasField("checkpoint"):
                    yield message.checkpoint.commit_position
                elif message.HasField("event") and (event := found(message.event)):
                    yield event

    def _hand_on(self, arrival: Arrival) -> None:
        while self._arrived.qsize() >= AHEAD and not self._closed.wait(ROOM_WITHIN):
            pass
        self._arrived.put(arrival)
        self._signal.arrived()

    def _recover(self, error: Exception, backoff: Backoff) -> bool:
        """Wait and reconnect; or give up with an error for who takes the records."""
        meaning = translate(error)
        if not isinstance(meaning, StoreUnavailable):
            self._arrived.put(meaning)
            return False
        log.warning("a subscription broke, following it again: %s", meaning, extra={"action": "resubscribe"})
        backoff.again()
        try:
            self._client.follow(leader(error))
        except (*TROUBLE, StoreError) as again:
            log.info("not yet: %s", translate(again), extra={"action": "resubscribe"})
        return True

    def close(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            self._client.close()


def _place(arrival: Arrival) -> int:
    return arrival if isinstance(arrival, int) else arrival.record.position
