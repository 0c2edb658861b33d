"""Streams.Read that follows: first what is there, then what comes.

History is read in the call's own thread; when it has caught up with the feed, the feed pushes. A call that is too slow is
dropped by the feed and reads on by itself: nothing is lost, and the call is not ended.
"""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from process_manager.core.records import Record
from process_manager.errors import StreamDeleted, StreamNotFound
from process_manager.interfaces.devserver import wire
from process_manager.interfaces.devserver.calls import Calls, Mailbox
from process_manager.interfaces.devserver.feed import Feed
from process_manager.interfaces.devserver.filters import matcher
from process_manager.interfaces.devserver.log import PAGE, Log
from process_manager.interfaces.devserver.messages import CAUGHT_UP, Answer, Messages
from process_manager.interfaces.devserver.sieves import AllSieve, Checkpoint, Item, StreamSieve
from process_manager.interfaces.devserver.statuses import invalid
from process_manager.interfaces.devserver.wire import TOMBSTONE

MOST_WAITING = 256  # batches that wait for a slow call
DEFAULT_WINDOW = 32


class _Source(Protocol):
    """What is followed."""

    def history(self) -> Iterator[list[Item]]:
        """What is there and was not sifted yet, page by page."""

    def sift(self, records: Sequence[Record]) -> list[Item]: ...

    @property
    def is_there(self) -> bool:
        """Whether being caught up says something."""


class _All:
    """$all, filtered or not."""

    is_there = True

    def __init__(self, log: Log, options: Any) -> None:
        self._log = log
        filtered = options.WhichOneof("filter_option") == "filter"
        interval = _interval(options.filter) if filtered else None
        self._sieve = AllSieve(matcher(options.filter if filtered else None), self._start(options.all), interval)
        self.sift = self._sieve.sift

    def _start(self, at: Any) -> int:
        last = self._log.store.last_position()
        match at.WhichOneof("all_option"):
            case "position":
                return min(self._log.position(at.position.commit_position), last)
            case "end":
                return last
            case _:
                return -1

    def history(self) -> Iterator[list[Item]]:
        yield from map(self.sift, self._log.forwards(self._sieve.position))
        yield self._sieve.checkpoint()


def _interval(options: Any) -> int:
    """How many records are looked at from one checkpoint to the next."""
    if not options.checkpointIntervalMultiplier:
        raise invalid("The checkpoint interval multiplier must be above 0.")
    return int((options.max or DEFAULT_WINDOW) * options.checkpointIntervalMultiplier)


class _Stream:
    """One stream, which need not be there yet."""

    def __init__(self, log: Log, options: Any) -> None:
        self._log = log
        self._name = wire.stream_name(options.stream_identifier)
        if log.index.is_tombstoned(self._name):
            raise StreamDeleted(self._name)
        at_end = options.WhichOneof("revision_option") == "end"
        after = int(options.revision) if options.WhichOneof("revision_option") == "revision" else -1
        self._sieve = StreamSieve(self._name, log.last_revision(self._name) if at_end else after)
        self.is_there = at_end
        self.sift = self._sieve.sift

    def history(self) -> Iterator[list[Item]]:
        page: list[Record] = []
        try:
            for record in self._log.stream(self._name, self._sieve.revision + 1):
                page.append(record)
                if len(page) == PAGE:
                    yield self.sift(page)
                    page = []
        except StreamNotFound:
            return
        self.is_there = True
        yield self.sift(page)


class _Live:
    """A call that the feed pushes to."""

    def __init__(self, source: _Source, mailbox: Mailbox[list[Item] | None]) -> None:
        self._source = source
        self._mailbox = mailbox

    def offer(self, records: Sequence[Record]) -> bool:
        if len(self._mailbox) >= MOST_WAITING:
            self._mailbox.put(None)
            return False
        if items := self._source.sift(records):
            self._mailbox.put(items)
        return not self._mailbox.ended


class Subscribing:
    """Catch-up subscriptions."""

    def __init__(self, log: Log, feed: Feed, calls: Calls) -> None:
        self._log = log
        self._feed = feed
        self._calls = calls

    def subscribe(self, options: Any, context: Any) -> Iterator[Answer]:
        messages = Messages(self._log, options)
        of_stream = options.WhichOneof("stream_option") == "stream"
        source: _Source = _Stream(self._log, options.stream) if of_stream else _All(self._log, options)
        mailbox = self._calls.open(context)
        live = _Live(source, mailbox)
        yield messages.confirmation(str(uuid.uuid4()))
        try:
            for items in self._items(source, live, mailbox):
                for item in items or ():
                    yield _message(item, messages)
                    if of_stream and isinstance(item, Record) and item.type == TOMBSTONE:
                        raise StreamDeleted(item.stream)
                if items is None:
                    yield CAUGHT_UP
        finally:
            self._feed.leave(live)

    def _items(self, source: _Source, live: _Live, mailbox: Mailbox[list[Item] | None]) -> Iterator[list[Item] | None]:
        """Items in order; None where it has caught up."""
        while True:
            yield from self._history(source, live, mailbox)
            told = source.is_there
            if told:
                yield None
            for items in mailbox:
                if items is None:
                    break
                yield items
                if not told:
                    told = True
                    yield None
            else:
                return

    def _history(self, source: _Source, live: _Live, mailbox: Mailbox[list[Item] | None]) -> Iterator[list[Item]]:
        """What is there, until the feed takes over."""
        joined = False
        while not (joined or mailbox.ended):
            last = self._log.store.last_position()
            yield from source.history()
            joined = self._feed.join(live, last)


def _message(item: Item, messages: Messages) -> Answer:
    return messages.checkpoint(item.position) if isinstance(item, Checkpoint) else messages.event(item)
