"""Who gets the next message."""

import json
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from process_manager.interfaces.devserver.groups.message import Consumer, Message


class Strategy(Protocol):
    """Knows the consumers of a group, and chooses."""

    def __init__(self) -> None: ...

    def join(self, consumer: Consumer) -> None: ...

    def leave(self, consumer: Consumer) -> None: ...

    def choose(self, message: Message) -> Consumer | None:
        """A consumer with room; None where nobody has room, or not the one that this message is for."""


class _Rotating:
    def __init__(self) -> None:
        self._consumers: deque[Consumer] = deque()

    def join(self, consumer: Consumer) -> None:
        self._consumers.append(consumer)

    def leave(self, consumer: Consumer) -> None:
        self._consumers.remove(consumer)


class DispatchToSingle(_Rotating):
    """One consumer until it is full, then the next."""

    def choose(self, message: Message) -> Consumer | None:  # noqa: ARG002  all are alike
        for _ in range(len(self._consumers)):
            if self._consumers[0].has_room:
                return self._consumers[0]
            self._consumers.rotate(-1)
        return None


class RoundRobin(_Rotating):
    """All consumers in turn, leaving out those that are full."""

    def choose(self, message: Message) -> Consumer | None:  # noqa: ARG002  all are alike
        for _ in range(len(self._consumers)):
            consumer = self._consumers[0]
            self._consumers.rotate(-1)
            if consumer.has_room:
                return consumer
        return None


def stream_of(message: Message) -> str:
    """The stream of the event, not that of a link to it."""
    return (message.resolved.event or message.resolved.original).stream


def correlation_of(message: Message) -> str:
    """The `$correlationId` of the event's metadata, the stream where there is none."""
    try:
        found = json.loads((message.resolved.event or message.resolved.original).metadata)
    except ValueError:
        return stream_of(message)
    correlation = found.get("$correlationId") if isinstance(found, dict) else None
    return correlation if isinstance(correlation, str) and correlation else stream_of(message)


class Pinned:
    """Messages with the same key go to the same consumer, until consumers come or go and keys are dealt out anew."""

    key: Callable[[Message], str] = staticmethod(stream_of)

    def __init__(self) -> None:
        self._consumers: list[Consumer] = []

    def join(self, consumer: Consumer) -> None:
        self._consumers.append(consumer)

    def leave(self, consumer: Consumer) -> None:
        self._consumers.remove(consumer)

    def choose(self, message: Message) -> Consumer | None:
        if not self._consumers:
            return None
        if message.pin is None:
            message.pin = zlib.crc32(self.key(message).encode())
        consumer = self._consumers[message.pin % len(self._consumers)]
        return consumer if consumer.has_room else None


class PinnedByCorrelation(Pinned):
    """Pinned by correlation id."""

    key = staticmethod(correlation_of)


_ALL: Iterable[type[Strategy]] = (DispatchToSingle, RoundRobin, Pinned, PinnedByCorrelation)
STRATEGIES: dict[str, type[Strategy]] = {strategy.__name__: strategy for strategy in _ALL}
