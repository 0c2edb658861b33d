"""The delivery rules of a persistent subscription, without I/O, clock or threads: times are seconds handed in.

A message that was taken in waits, is in flight with one consumer, or waits to be delivered again, until it is acknowledged, skipped
or parked. It is tracked by its id alone: a second message in flight with the same id is delivered and forgotten.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from process_manager.interfaces.devserver.groups.message import Consumer, Message
from process_manager.interfaces.devserver.groups.settings import Settings
from process_manager.interfaces.devserver.groups.strategies import STRATEGIES
from process_manager.interfaces.devserver.wire import Resolved


class Nack(Enum):
    """What becomes of a message that was not handled."""

    RETRY = auto()
    PARK = auto()
    SKIP = auto()


class Park(NamedTuple):
    """A message to be set aside, and why."""

    message: Message
    reason: str


@dataclass(slots=True)
class _Flight:
    message: Message
    consumer: Consumer
    due: float


class Engine:
    """One group. `checkpoint` is where it stood at its last start, None for one that never had a checkpoint."""

    def __init__(self, settings: Settings, checkpoint: int | None, now: float) -> None:
        self.settings = settings
        self.checkpoint = checkpoint
        self.consumers: list[Consumer] = []
        self.last_known: int | None = None  # the newest place that it heard of
        self.delivered = 0
        self._strategy = STRATEGIES[settings.strategy]()
        self._fresh: deque[Message] = deque()
        self._again: deque[Message] = deque()
        self._flights: dict[str, _Flight] = {}
        self._taken = 0  # messages taken in
        self._last_taken: int | None = None
        self._newest: Message | None = None  # the newest one that was delivered
        self._checkpointed = 0  # the sequence number that the checkpoint stands at
        self._checkpoint_time = now

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    @property
    def waiting(self) -> int:
        """Messages that were taken in and not delivered yet."""
        return len(self._fresh)

    @property
    def redeliveries(self) -> int:
        return len(self._again)

    @property
    def wants(self) -> int:
        """How many more messages it would take in now."""
        room = self.settings.history_buffer_size - len(self._fresh)
        return self.settings.read_batch_size if room >= self.settings.read_batch_size else 0

    def take(self, resolved: Resolved, at: int) -> None:
        """Take in the next record of the group's stream or of $all."""
        self._taken += 1
        self._fresh.append(Message(resolved, at, self._taken, self._last_taken))
        self._last_taken = at
        self.hear_of(at)

    def hear_of(self, at: int) -> None:
        """There is something to take in up to this place."""
        self.last_known = at if self.last_known is None else max(at, self.last_known)

    def replay(self, parked: Iterable[tuple[Resolved, int]]) -> None:
        """Take in parked messages again, as if they were new; their links' ids acknowledge them."""
        self._wait_again([Message(resolved, at) for resolved, at in parked])

    def join(self, consumer: Consumer) -> None:
        self.consumers.append(consumer)
        self._strategy.join(consumer)

    def leave(self, consumer: Consumer) -> None:
        """What it held waits for the others, however often that happened. May be called twice."""
        if consumer not in self.consumers:
            return
        self.consumers.remove(consumer)
        self._strategy.leave(consumer)
        lost = list(consumer.in_flight.values())
        self._end(message.id for message in lost)
        self._retry(lost)

    def ack(self, ids: Iterable[str]) -> None:
        """These are done, whoever holds them; unknown ones are ignored."""
        self._end(ids)

    def nack(self, ids: Iterable[str], action: Nack, reason: str) -> list[Park]:
        """These were not handled; what is to be parked."""
        messages = self._end(ids)
        match action:
            case Nack.RETRY:
                return self._retry_or_park(messages)
            case Nack.PARK:
                return [Park(message, f"Client explicitly NAK'ed message.\n{reason}") for message in messages]
            case Nack.SKIP:
                return []

    def expire(self, now: float) -> list[Park]:
        """Deliver again what nobody answered for in time; what is to be parked instead."""
        late = [id_ for id_, flight in self._flights.items() if flight.due <= now]
        return self._retry_or_park(self._end(late))

    def deliver(self, now: float) -> list[tuple[Consumer, Message]]:
        """Hand out what can be: what waits again first, then what is new."""
        found = self._hand_out(self._again, now) + self._hand_out(self._fresh, now)
        self.delivered += len(found)
        return found

    def _hand_out(self, waiting: deque[Message], now: float) -> list[tuple[Consumer, Message]]:
        """From the front, passing over what is pinned to a consumer without room."""
        found, passed = list[tuple[Consumer, Message]](), list[Message]()
        while waiting and any(consumer.has_room for consumer in self.consumers):
            message = waiting.popleft()
            if consumer := self._strategy.choose(message):
                self._start(message, consumer, now)
                found.append((consumer, message))
            else:
                passed.append(message)
        waiting.extendleft(reversed(passed))
        return found

    def _start(self, message: Message, consumer: Consumer, now: float) -> None:
        consumer.delivered += 1
        if message.id not in self._flights:
            self._flights[message.id] = _Flight(message, consumer, now + self.settings.message_timeout)
            consumer.in_flight[message.id] = message
        if not message.is_replayed and (self._newest is None or message.sequence > self._newest.sequence):
            self._newest = message

    def _end(self, ids: Iterable[str]) -> list[Message]:
        """Take these out of flight."""
        flights = [flight for id_ in ids if (flight := self._flights.pop(id_, None))]
        for flight in flights:
            flight.consumer.in_flight.pop(flight.message.id, None)
        return [flight.message for flight in flights]

    def _retry_or_park(self, messages: Sequence[Message]) -> list[Park]:
        most = self.settings.max_retry_count
        parks = [Park(message, f"Reached retry count of {most}") for message in messages if message.retries >= most]
        self._retry([message for message in messages if message.retries < most])
        return parks

    def _retry(self, messages: Sequence[Message]) -> None:
        for message in messages:
            message.retries += 1
        self._wait_again(messages)

    def _wait_again(self, messages: Sequence[Message]) -> None:
        if messages:
            self._again = deque(sorted([*self._again, *messages], key=lambda it: it.order))

    def next_checkpoint(self, now: float, *, ticking: bool) -> int | None:
        """The checkpoint to write now, if one is due: after enough messages, and, on the tick, enough time."""
        at, sequence = self._reached()
        moved = sequence - self._checkpointed
        if at is None or moved <= 0:
            return None
        timely = ticking and now - self._checkpoint_time >= self.settings.checkpoint_after
        if moved < self.settings.max_checkpoint_count and not (timely and moved >= self.settings.min_checkpoint_count):
            return None
        self.checkpoint, self._checkpointed, self._checkpoint_time = at, sequence, now
        return at

    def _reached(self) -> tuple[int | None, int]:
        """The last message before the oldest one that is not done, and its sequence number."""
        if self._newest is None:
            return None, 0
        open_ = [it.message for it in self._flights.values()] + list(self._again) + list(self._fresh)[:1]
        unfinished = [it for it in open_ if not it.is_replayed and it.sequence <= self._newest.sequence]
        if not unfinished:
            return self._newest.at, self._newest.sequence
        oldest = min(unfinished, key=lambda it: it.sequence)
        return oldest.before, oldest.sequence - 1
