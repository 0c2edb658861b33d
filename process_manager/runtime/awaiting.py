"""Holds inputs for a short time, until another worker has written what they need to be routed."""

import time
from collections.abc import Callable, Sequence

from process_manager.ports import Delivery

WAIT = 20.0
"""Seconds for which an input waits; less than a group's message timeout, so that it is not delivered to somebody else meanwhile."""

AGAIN = 0.1
"""Seconds between two tries."""


class Awaiting:
    """Deliveries that are tried again every `AGAIN` seconds, each for `WAIT` seconds at most. Used by one thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._since: dict[int, tuple[float, Delivery]] = {}  # by position
        self._tried = 0.0

    def keeps(self, delivery: Delivery) -> bool:
        """Whether a delivery that cannot be taken yet goes on waiting; False when it has waited long enough, and is forgotten."""
        position = delivery.record.position
        since = self._since.get(position, (self._monotonic(), delivery))[0]
        if self._monotonic() - since > WAIT:
            del self._since[position]
            return False
        self._since[position] = (since, delivery)
        return True

    def __contains__(self, delivery: Delivery) -> bool:
        """Whether this delivery waits already."""
        return delivery.record.position in self._since

    def due(self, fetched: Sequence[Delivery]) -> list[Delivery]:
        """The deliveries to try now, without those that `fetched` holds anew."""
        now = self._monotonic()
        if now - self._tried < AGAIN:
            return []
        self._tried = now
        again = {delivery.record.position for delivery in fetched}
        return [delivery for position, (_, delivery) in self._since.items() if position not in again]

    def taken(self, delivery: Delivery) -> None:
        """Forget a delivery: it was taken."""
        self._since.pop(delivery.record.position, None)

    def clear(self) -> None:
        """Forget all of them."""
        self._since.clear()
