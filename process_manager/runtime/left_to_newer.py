"""Records that only a newer version can take: held a while, then offered again; each is counted and told once, however often it comes."""

import logging
import time
from collections.abc import Callable, Sequence

from process_manager.errors import NewerFact
from process_manager.ports import Delivery
from process_manager.runtime.counters import Counters

log = logging.getLogger(__name__)


class LeftToNewer:
    """What one runner leaves to workers of a newer version; `hold` is for how many seconds before it is handed to them."""

    def __init__(self, counters: Counters, hold: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._counters = counters
        self._hold = hold
        self._monotonic = monotonic
        self._told: set[str] = set()
        self._held: list[tuple[float, Delivery]] = []

    def __len__(self) -> int:
        return len(self._held)

    def keep(self, delivery: Delivery, error: NewerFact) -> None:
        """This delivery is left to others, in a while."""
        self._held.append((self._monotonic() + self._hold, delivery))
        record = delivery.record
        if record.id in self._told:
            return
        self._told.add(record.id)
        self._counters.left += 1
        where = f"{record.type} {record.id} (revision {record.revision} of {record.stream}, position {record.position})"
        extra = {"action": "left_to_newer", "id": record.id, "stream": record.stream, "position": record.position}
        log.warning("left to a newer version: %s: %s", where, error, extra=extra)

    def due(self) -> Sequence[Delivery]:
        """Those that were held long enough, to be handed to others."""
        now = self._monotonic()
        due = [delivery for when, delivery in self._held if when <= now]
        self._held = [each for each in self._held if each[0] > now]
        return due

    def clear(self) -> None:
        """Forget what is held: it comes again."""
        self._held.clear()
