"""Records that only a newer version can take: each is counted and told once, however often it is delivered."""

import logging

from process_manager.core.records import Record
from process_manager.errors import NewerFact
from process_manager.runtime.counters import Counters

log = logging.getLogger(__name__)


class LeftToNewer:
    """What one runner has left to workers of a newer version."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._told: set[str] = set()

    def note(self, record: Record, error: NewerFact) -> None:
        """This record is left to others."""
        if record.id in self._told:
            return
        self._told.add(record.id)
        self._counters.left += 1
        where = f"{record.type} {record.id} (revision {record.revision} of {record.stream}, position {record.position})"
        extra = {"action": "left_to_newer", "id": record.id, "stream": record.stream, "position": record.position}
        log.warning("left to a newer version: %s: %s", where, error, extra=extra)
