"""Long calls: what they have to say comes through a mailbox, which also ends them."""

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Lock
from typing import Any, Generic, TypeVar

from process_manager.interfaces.devserver.statuses import Refused, shutting_down

T = TypeVar("T")


class _End:
    """The last thing in a mailbox."""

    def __init__(self, why: Refused | None) -> None:
        self.why = why


class Mailbox(Generic[T]):
    """What other threads hand to a call. Iterating waits; it stops, or raises Refused, when the call is to end."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[T | _End] = SimpleQueue()
        self.ended = False

    def put(self, item: T) -> None:
        self._queue.put(item)

    def end(self, why: Refused | None = None) -> None:
        self.ended = True
        self._queue.put(_End(why))

    def __len__(self) -> int:
        return self._queue.qsize()

    def __iter__(self) -> Iterator[T]:
        while not isinstance(item := self._queue.get(), _End):
            yield item
        if item.why:
            raise item.why


class Calls:
    """The long calls that are open."""

    def __init__(self) -> None:
        self._open: set[Mailbox[Any]] = set()
        self._lock = Lock()
        self._closed = False

    def open(self, context: Any) -> Mailbox[Any]:
        """A mailbox that ends when the client goes or the server stops."""
        mailbox: Mailbox[Any] = Mailbox()
        with self._lock:
            if self._closed:
                raise shutting_down()
            self._open.add(mailbox)
        if not context.add_callback(lambda: self._leave(mailbox)):
            self._leave(mailbox)
        return mailbox

    def _leave(self, mailbox: Mailbox[Any]) -> None:
        with self._lock:
            self._open.discard(mailbox)
        mailbox.end()

    def close(self) -> None:
        """End every call with UNAVAILABLE: clients come back to another server, or later."""
        with self._lock:
            self._closed = True
            mailboxes = list(self._open)
        for mailbox in mailboxes:
            mailbox.end(shutting_down())
