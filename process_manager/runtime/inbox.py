"""The commands that a worker has taken and not dealt with yet: back-off, parking, acknowledgement, and trouble with the store."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

import orjson

from process_manager.core.identity import new_record
from process_manager.core.messages import Json
from process_manager.core.metadata import read_metadata, readable_time
from process_manager.core.retry import Retry
from process_manager.core.signals import COMMAND_PARKED, CommandParked
from process_manager.errors import (
    GroupNotFound,
    LeaseLost,
    MessageError,
    NewerFact,
    StoreError,
    StoreFull,
    StoreUnavailable,
    UndecodableMessage,
)
from process_manager.ports import Appended, Block, Clock, Consumer, Delivery, EventStore, Nack, StreamState
from process_manager.runtime.counters import Counters
from process_manager.runtime.handlers import Handler
from process_manager.runtime.left_out import LeftOut
from process_manager.runtime.left_to_newer import LeftToNewer
from process_manager.runtime.received import Received
from process_manager.runtime.suspects import ALONE_FROM, Suspects

log = logging.getLogger(__name__)

RETRY = Retry(8, wait=timedelta(milliseconds=200), longest=timedelta(seconds=15))
"""How often a handler that raises is tried before its command is parked: the waits come to 25 s, so that all tries fit into the 30 s
after which a command that is not acknowledged would be delivered again."""

PATIENCE = 30.0
"""Seconds for which a store that fails is tried again before the worker gives up."""

MOST = 10_000
"""Commands held at once, most of them waiting to be tried again."""

TOLD = 10_000
"""Characters of a reason that are kept: with a longer one its signal might not fit an append, and the instance would wait for ever."""

CONTENDED = 0.05
"""Seconds before a command is handled again whose aggregate others kept changing."""

Entry = tuple[Block, Callable[[Appended | StoreError], None]]
"""An append, and what to do with its answer."""


class Inbox:
    """A runner's membership in its consumer group, and the commands it holds."""

    def __init__(
        self, store: EventStore, consumer: Consumer, handlers: Sequence[Handler], clock: Clock, counters: Counters, *,
        rejoin: Callable[[], Consumer] | None, retry: Retry, monotonic: Callable[[], float],
    ) -> None:  # fmt: skip
        self.consumer = consumer
        self.counters = counters
        self.settled = 0
        self._store = store
        self._handlers = {handler.command.message_type: handler for handler in handlers}
        self._suspects = Suspects(store)
        self._newer = LeftToNewer(counters, retry.longest.total_seconds(), monotonic)
        self._clock = clock
        self._rejoin = rejoin
        self._retry = retry
        self._monotonic = monotonic
        self._trouble: float | None = None  # since when the store fails
        self._pause = 0.0  # until when it is left alone
        self._lost = False  # the membership, to another worker
        self.left_out = LeftOut()
        self._forget()

    def _forget(self) -> None:
        self._held: dict[int, Received] = {}  # by position: all that is not settled
        self._waiting: list[Received] = []
        self._alone: dict[int, Delivery] = {}  # by position: suspects that nobody has read yet
        self._done: list[Received] = []
        self._parking: dict[str, tuple[Delivery, str, bool]] = {}  # by command id, with the reason, and whether it was unread
        self._park: list[tuple[Delivery, str]] = []  # what its signal was written for
        self._newer.clear()
        self._entries: list[Entry] = []  # an append without an answer
        self.left_out.again()

    @property
    def busy(self) -> bool:
        """Whether anything is held that this runner will deal with."""
        return bool(self._held or self.left_out.waits or self._alone or self._entries or self._parking or self._park)

    @property
    def owes(self) -> bool:
        """Whether the store has still to take an append or an acknowledgement."""
        return bool(self._entries or self._done or self._park)

    @property
    def left(self) -> int:
        """How many deliveries are held for a newer version to take."""
        return len(self._newer)

    @property
    def has_suspects(self) -> bool:
        return bool(self._alone)

    # -- the store ----------------------------------------------------------------------------------------------

    def guard(self, work: Callable[[], None], start_over: Callable[[], None]) -> int:
        """Run a step's work, and go on after the store has failed. Returns how many deliveries were settled.

        Raises StoreUnavailable or StoreFull when the store has failed for longer than PATIENCE, GroupNotFound when there is no group.
        """
        before, now = self.settled, self._monotonic()
        if now < self._pause:
            return 0
        try:
            self._join_again()
            self._suspects.tell()
            work()
            self._trouble = None
        except (LeaseLost, GroupNotFound) as error:
            if self._lost:
                raise  # there is no group to join
            log.info("no longer a member: %s", error, extra={"action": "lease_lost"})
            start_over()
            self._let_go()
            self._lost = True
        except (StoreUnavailable, StoreFull) as error:
            if self._trouble is None:
                log.warning("the store fails: %s", error, extra={"action": "store_failed"})
                self._trouble = now
            elif now - self._trouble >= PATIENCE:
                raise
            self._pause = now + 0.05 + min(1.0, (now - self._trouble) / 4)
        return self.settled - before

    def _join_again(self) -> None:
        if self._lost and self._rejoin is not None:
            with suppress(StoreError):
                self.consumer.leave()
            self.consumer = self._rejoin()
        self._lost = False

    def append(self, entries: Sequence[Entry], *, leased: bool) -> None:
        """Append these and the signals of what is parked, hand out the answers, acknowledge.

        When the store fails, the same bytes are appended by the next `flush`.
        """
        self._entries += [*entries, *self._signals()]
        self.flush(leased=leased)

    def flush(self, *, leased: bool) -> None:
        """Bring an append without an answer to its end, then acknowledge what is done."""
        if self._entries:
            answers = self._store.append_many([block for block, _ in self._entries], self.consumer if leased else None)
            entries, self._entries = self._entries, []
            for (_, answered), answer in zip(entries, answers, strict=True):
                answered(answer)
        self._acknowledge()

    def _acknowledge(self) -> None:
        while self._park:
            delivery, reason = self._park[0]
            self.consumer.nack([delivery], Nack.PARK, reason)
            self._park.pop(0)
            self._settle(delivery)
        if self._done:
            self.consumer.ack([received.delivery for received in self._done])
            self.counters.handled += sum(not received.known for received in self._done)
            self.counters.duplicates += sum(received.known for received in self._done)
            for received in self._done:
                self._settle(received.delivery)
            self._done = []

    def _settle(self, delivery: Delivery) -> None:
        self._held.pop(delivery.record.position, None)
        self.left_out.settled(delivery)
        self.settled += 1

    def leave(self) -> None:
        """Leave the group and forget what is held; the group delivers it again."""
        self._let_go()
        with suppress(StoreError):
            self._suspects.tell()
        self.consumer.leave()

    def _let_go(self) -> None:
        for received in self._held.values():
            self._suspects.outlived(received.delivery)
        self._forget()

    # -- taking -------------------------------------------------------------------------------------------------

    def fetch(self, limit: int) -> list[Received]:
        """The next commands: those whose wait is over, then new ones. Suspects are kept for `next_suspect`."""
        if newer := self._newer.due():
            self.consumer.nack(newer, Nack.RETRY, "written by a newer version")
        room = min(limit, MOST - len(self._held))
        deliveries = [*self.left_out.take(room), *self.consumer.fetch(room)] if room > 0 else []
        found = self._due() if self._waiting else []
        for delivery in deliveries:
            if delivery.retries >= ALONE_FROM and delivery.record.position not in self._held:
                self._alone[delivery.record.position] = delivery
            elif (received := self._receive(delivery)) is not None:
                found.append(received)
        return found

    def next_suspect(self) -> Received | None:
        """A command that was delivered so often that it is to be handled alone; one that ended its workers is parked unread."""
        while self._alone:
            position, delivery = next(iter(self._alone.items()))
            reason = self._suspects.verdict(delivery)
            del self._alone[position]
            if reason:
                self._give_up(delivery, reason, unread=True)
            elif (received := self._receive(delivery)) is not None:
                return received
        return None

    def _receive(self, delivery: Delivery) -> Received | None:
        """Decode a command; None when it is held already, or cannot be decoded."""
        position = delivery.record.position
        if (held := self._held.get(position)) is not None:
            held.delivery = delivery
            return None
        try:
            received = self._held[position] = Received(delivery, self._handlers[delivery.record.type])
        except NewerFact as error:
            self._leave_to_others(delivery, error)
            return None
        except MessageError as error:
            self._give_up(delivery, str(error), unread=True)
            return None
        return received

    def _due(self) -> list[Received]:
        now = self._monotonic()
        due = [received for received in self._waiting if received.not_before <= now]
        if due:
            self._waiting = [received for received in self._waiting if received.not_before > now]
        return due

    # -- what became of them ------------------------------------------------------------------------------------

    def holds(self, received: Received) -> bool:
        """Whether this command is still this runner's; not after it had to start over."""
        return self._held.get(received.position) is received

    def done(self, received: Received, *, known: bool = False) -> None:
        """To be acknowledged with the next append or flush; `known` when what it led to was recorded before."""
        received.known = known
        self._suspects.outlived(received.delivery)
        if self.holds(received):
            self._done.append(received)

    def later(self, received: Received, seconds: float = CONTENDED) -> None:
        """To be handled again in a while, through no fault of its own."""
        self._suspects.outlived(received.delivery)
        if self.holds(received):
            received.not_before = self._monotonic() + seconds
            self._waiting.append(received)

    def failed(self, received: Received, error: BaseException) -> None:
        """Its handler raised: to be tried again in a while, or parked once it was tried often enough."""
        self._suspects.outlived(received.delivery)
        if not self.holds(received):
            return
        if isinstance(error, NewerFact):
            del self._held[received.position]
            self._leave_to_others(received.delivery, error)
            return
        received.tries += 1
        told = f"{type(error).__name__}: {error}"
        wait = self._retry.delay(received.tries).total_seconds() if received.tries < self._retry.attempts else None
        self._log_failure(received, told, wait, error)
        if wait is None:
            self._give_up(received.delivery, f"{received.handler.name}: {told}")
        else:
            self.later(received, wait)

    def _log_failure(self, received: Received, told: str, wait: float | None, error: BaseException) -> None:
        """With its trace once, not again for the same error."""
        extra = {"action": "handler_failed", "handler": received.handler.name, "command_id": received.id, "tries": received.tries}
        attempt, again = f"attempt {received.tries} of {self._retry.attempts}", "" if wait is None else f", again in {wait:.3g} s"
        trace, received.error = error if told != received.error else None, told
        log.warning("%s failed (%s%s): %s", received.handler.name, attempt, again, told, extra=extra, exc_info=trace)

    def _leave_to_others(self, delivery: Delivery, error: NewerFact) -> None:
        if not self.left_out.decline(delivery):
            self._newer.keep(delivery, error)
        self._suspects.outlived(delivery)

    def _give_up(self, delivery: Delivery, reason: str, *, unread: bool = False) -> None:
        record = delivery.record
        extra = {"action": "command_parked", "command_id": record.id, "type": record.type, "reason": reason}
        log.error("parked %s %s: %s", record.type, record.id, reason, extra=extra)
        self.counters.parked += 1
        self._parking[record.id] = (delivery, reason[:TOLD], unread)

    def _signals(self) -> list[Entry]:
        """The appends that tell instances of their parked commands; what belongs to none is parked without."""
        parking, self._parking = self._parking, {}
        entries: list[Entry] = []
        for delivery, reason, unread in parking.values():
            block = self._signal(delivery, reason, unread=unread)
            if block is None:
                self._park.append((delivery, reason))
            else:
                entries.append((block, lambda _, parked=(delivery, reason): self._park.append(parked)))  # type: ignore[misc]
        return entries

    def _signal(self, delivery: Delivery, reason: str, *, unread: bool) -> Block | None:
        """The record that a command's handler has given up; written once, whoever parks it and for whatever reason."""
        record = delivery.record
        metadata = _metadata(delivery)
        instance = metadata.get("instance")
        if instance != record.stream:
            return None
        parked = CommandParked(record.stream, record.id, reason, unread)
        data = orjson.dumps(parked)
        raw = orjson.dumps(
            {
                "$correlationId": metadata.get("$correlationId") or record.id,
                "$causationId": record.id,
                "time": self._clock.now(readable_time(record)),
                "version": parked.version,
            }
        )
        signal = new_record(parked.stream, parked.command_id, "", COMMAND_PARKED, data, raw)
        return Block(parked.stream, [signal], StreamState.NO_STREAM)


def _metadata(delivery: Delivery) -> Json:
    try:
        return read_metadata(delivery.record.type, delivery.record.metadata)
    except UndecodableMessage:
        return {}
