"""Events that an app probably does not mean: of a type that nothing in it handles, or in a stream that belongs to an instance."""

from collections import Counter
from difflib import get_close_matches

from process_manager.core.block import is_command
from process_manager.ports import EventStore
from process_manager.runtime.app import App

ALIKE = 0.85
"""How alike two types must be (0 to 1) for one to be suggested as what the other was meant to be."""

OPERATION = b'"operation":'
"""Part of the metadata of every event that a handler recorded."""


class UnusedEvents:
    """Counts such events, one call of `look` for each event of a log or file."""

    def __init__(self, app: App) -> None:
        self.types: Counter[str] = Counter()  # by type: events that no process or aggregate of the app handles
        self.streams: Counter[str] = Counter()  # by stream: events in streams of instances
        self._known = app.known_types
        self._processes = frozenset(app.definitions)

    def look(self, type_: str, stream: str) -> None:
        """Count an event of this type in this stream, if it is one of those."""
        if type_ not in self._known:
            self.types[type_] += 1
        if stream.partition("-")[0] in self._processes:
            self.streams[stream] += 1

    def meant(self, type_: str) -> str:
        """The type of the app that is most like this one, which was perhaps mistyped; "" where none is `ALIKE`."""
        return next(iter(get_close_matches(type_, self._known, 1, ALIKE)), "")


def unused_events(store: EventStore, app: App) -> UnusedEvents:
    """Read a whole log and count its unused events. Facts, commands and what handlers recorded are left out: nobody has to handle those."""
    found = UnusedEvents(app)
    for record in store.read_all():
        if not (record.of_the_store or record.type.startswith("pm.") or is_command(record) or OPERATION in record.metadata):
            found.look(record.type, record.stream)
    return found
