"""The newest records, pushed to everyone who follows the log live: one thread reads, however many follow."""

from collections.abc import Sequence
from threading import Lock, Thread
from typing import Protocol

from process_manager.core.records import Record
from process_manager.errors import StoreError
from process_manager.interfaces.devserver.log import ALL
from process_manager.ports import EventStore

PAGE = 500
PATIENCE = 0.1  # seconds: how late it notices that the server stops


class Follower(Protocol):
    """Someone who follows the log."""

    def offer(self, records: Sequence[Record]) -> bool:
        """Take the next records, quickly; False: enough, no more."""


class Feed:
    """Hands every record to its followers, in order and without gaps."""

    def __init__(self, store: EventStore) -> None:
        self._followers: list[Follower] = []
        self._lock = Lock()
        self._position = store.last_position()
        self._subscription = store.subscribe(after=self._position, where=ALL)
        self._stopping = False
        self._thread = Thread(target=self._run, name="devserver-feed", daemon=True)
        self._thread.start()

    def join(self, follower: Follower, position: int) -> bool:
        """Follow from here on, if everything that was handed out so far is at or before `position`; the follower skips what it
        has seen. False: read on, then ask again."""
        with self._lock:
            if self._position > position:
                return False
            self._followers.append(follower)
            return True

    def leave(self, follower: Follower) -> None:
        """Follow no more; does nothing for one that does not follow."""
        with self._lock:
            if follower in self._followers:
                self._followers.remove(follower)

    def close(self) -> None:
        self._stopping = True
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            try:
                records = self._subscription.next_batch(PAGE, PATIENCE)
            except StoreError:
                return
            if records:
                with self._lock:
                    self._position = records[-1].position
                    self._followers = [it for it in self._followers if it.offer(records)]
