"""Which instance an event concerns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from process_manager.core.messages import E, Event, Json
from process_manager.errors import UndecodableMessage

MAX_KEY = 500
"""Characters of a key; the instance's stream is named by it."""


@dataclass(frozen=True, slots=True)
class Route:
    """How the key of one event type is found: by a function, or, without one, by `$correlationId`."""

    event: type[Event]
    function: Callable[[Any], object] | None

    @property
    def by_correlation(self) -> bool:
        return self.function is None

    def key(self, event: Event) -> str:
        """The key. Raises UndecodableMessage when the event has none that can name a stream."""
        assert self.function is not None
        try:
            found = self.function(event)
            key = None if found is None else str(found)
        except Exception as error:
            raise UndecodableMessage(event.message_type, f"its key cannot be found ({type(error).__name__}: {error})") from error
        return checked_key(event.message_type, key)


def by(event: type[E], function: Callable[[E], object]) -> Route:
    """The key of this event is what the function takes from it."""
    return Route(event, function)


def by_correlation_id(event: type[Event]) -> Route:
    """This event concerns the instance whose messages carry the event's `$correlationId`."""
    return Route(event, None)


def checked_key(type_: str, key: object) -> str:
    """The key as text. Raises UndecodableMessage for none, an empty one, one too long or with control characters."""
    text = "" if key is None else str(key)
    if not text or len(text) > MAX_KEY or not text.isprintable():
        raise UndecodableMessage(type_, f"{text[:60]!r} names no instance: a key is 1 to {MAX_KEY} printable characters")
    return text


def correlation_of(type_: str, metadata: Json) -> str:
    """The `$correlationId`. Raises UndecodableMessage when there is none."""
    return checked_key(type_, metadata.get("$correlationId"))
