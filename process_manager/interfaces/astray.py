"""Events that an app makes no use of: mistyped, or in streams of its instances, most likely."""

from collections import Counter
from difflib import get_close_matches

from process_manager.interfaces.histories import is_command
from process_manager.ports import EventStore
from process_manager.runtime.app import App

ALIKE = 0.85
"""How alike two types are (0 to 1) for one to be taken for the other, mistyped."""


OPERATION = b'"operation":'
"""Stands in the metadata of what handlers record."""


class Astray:
    """Counts them as they are looked at."""

    def __init__(self, app: App) -> None:
        self.types: Counter[str] = Counter()  # by type, those that no process or aggregate of the app takes
        self.streams: Counter[str] = Counter()  # by stream, those in streams of the app's processes
        self._known = app.known_types
        self._processes = frozenset(app.definitions)

    def look(self, type_: str, stream: str) -> None:
        """Count an event, if it is one of them."""
        if type_ not in self._known:
            self.types[type_] += 1
        if stream.partition("-")[0] in self._processes:
            self.streams[stream] += 1

    def meant(self, type_: str) -> str:
        """The type that the app takes and that is all but the same; "" where there is none."""
        return next(iter(get_close_matches(type_, self._known, 1, ALIKE)), "")


def astray(store: EventStore, app: App) -> Astray:
    """Those of a log, which is read from its beginning to its end. What the app's own handlers recorded needs nobody to take it."""
    found = Astray(app)
    for record in store.read_all():
        if not record.type.startswith("pm.") and not is_command(record) and OPERATION not in record.metadata:
            found.look(record.type, record.stream)
    return found
