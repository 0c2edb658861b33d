"""Wakes those who wait for the log to grow, whenever anything arrives in this process."""

import time
from threading import Condition


class Signal:
    """Counts arrivals; cheap while nobody waits."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._arrivals = 0
        self._seen = 0
        self._waiting = 0

    def arrived(self) -> None:
        self._arrivals += 1
        if self._waiting:
            with self._changed:
                self._changed.notify_all()

    def pause(self, timeout: float) -> bool:
        """Wait at most so many seconds. Returns whether something arrived since the last pause ended."""
        until = time.monotonic() + timeout
        with self._changed:
            self._waiting += 1
            while self._arrivals == self._seen and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            self._waiting -= 1
            arrived = self._arrivals != self._seen
            self._seen = self._arrivals
            return arrived
