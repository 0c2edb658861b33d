"""Commands to the outside world: calls that may be slow run in threads, and hold up neither turns nor each other."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread

from process_manager.core.aggregate import Refused
from process_manager.core.messages import Event
from process_manager.core.retry import Retry
from process_manager.errors import (
    GroupNotFound,
    HandlerError,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StreamNotFound,
    WrongExpectedVersion,
)
from process_manager.ports import Appended, Block, Clock, Consumer, EventStore, StreamState
from process_manager.runtime.counters import Counters
from process_manager.runtime.handlers import SPARE, THREADS, Handler
from process_manager.runtime.inbox import RETRY, Entry, Inbox
from process_manager.runtime.left_out import LeftOut
from process_manager.runtime.received import Received, asked_record, event_record
from process_manager.runtime.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)

OUTCOMES = "pm.outcome-"
"""What the names of the streams begin with that hold what calls without an aggregate came to."""

REQUESTS = "pm.asked-"
"""The same of those that say which commands were handled by asking somebody else: one for each attempt, since the next one asks again."""

Ended = tuple[Received, Block | None, BaseException | None]
"""A call that came to its end: what it leads to, nothing because that is recorded already, or what it raised."""


class CallRunner:
    """Runs handlers without an aggregate, and those that say how long they take; each in a thread of its own.

    An outcome is appended without the group's lease: it was reached, it belongs to the operation, and its stream takes one.
    `threads` is how many may be under way at once; 0 runs them one after the other where `step` is called, so that a run can be repeated.
    `wake` is called in the thread of a call that came to its end, so that a sleeping worker can be told to `step`.
    `rejoin` becomes a member of the group anew, after another worker has taken it over.
    """

    role = "calls"

    def __init__(
        self, store: EventStore, consumer: Consumer, handlers: Sequence[Handler], clock: Clock, counters: Counters, *,
        rejoin: Callable[[], Consumer] | None = None, retry: Retry = RETRY, threads: int = THREADS,
        monotonic: Callable[[], float] = time.monotonic, wake: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._inbox = Inbox(store, consumer, handlers, clock, counters, rejoin=rejoin, retry=retry, monotonic=monotonic)
        self._threads = Threads(threads, wake) if threads else InTurn()
        self._ready: list[Received] = []
        self._flying: dict[str, Received] = {}  # by operation: two attempts are never under way at once
        self._suspect = False  # the one under way is to be alone

    @property
    def busy(self) -> bool:
        """Whether calls are under way, or wait to be tried again."""
        return bool(self._flying) or self._inbox.busy

    @property
    def left(self) -> int:
        """How many deliveries are held for a newer version to take."""
        return self._inbox.left

    @property
    def consumer(self) -> Consumer:
        """This runner as a member of its group."""
        return self._inbox.consumer

    @property
    def left_out(self) -> LeftOut:
        """What it takes beside what its group delivers."""
        return self._inbox.left_out

    def step(self) -> int:
        """Record calls that came to their end, and start what can be started. Returns how many deliveries were settled. Never waits.

        Raises StoreUnavailable or StoreFull when the store fails for longer than `inbox.PATIENCE`.
        """
        return self._inbox.guard(self._step, self._ready.clear)

    def finish(self) -> None:
        """Let calls under way come to their end, each for as long as it may take from now on, and record what they lead to.

        Raises StoreUnavailable or StoreFull when the store fails for longer than `inbox.PATIENCE`.
        """
        since, settled = self._monotonic(), not self._inbox.owes
        ended: list[Ended] = []
        while ((left := since + self._longest() - self._monotonic()) > 0 and len(ended) < len(self._flying)) or not settled:
            ended += self._threads.ended(min(left, 1.0) if settled else 0.05)
            settled = self._settle(ended)

    def close(self) -> None:
        """Leave the group at once, and say which calls are left behind."""
        if self._flying:
            left = ", ".join(f"{each.handler.name}, {each.handler.command.message_type} {each.id}" for each in self._flying.values())
            log.warning("left behind, another worker will call it again: %s", left, extra={"action": "calls_left"})
        self._flying.clear()
        self._threads.close()
        self._inbox.leave()
        self._ready.clear()

    def _longest(self) -> float:
        """Seconds that the longest of the calls under way may take."""
        return max(map(_may_take, self._flying.values()), default=0.0)

    def _step(self) -> None:
        self._inbox.flush(leased=False)
        self._record(self._threads.ended())
        self._start()
        self._inbox.append([], leased=False)

    # -- starting -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        free = self._threads.count - len(self._flying) - len(self._ready)
        if free > 0 and not self._inbox.has_suspects:
            self._ready += self._inbox.fetch(free)
        if not self._occupied:
            self._suspect = False
            self._start_suspect()
        if not self._suspect and not self._inbox.has_suspects:
            self._start_ready()

    @property
    def _occupied(self) -> bool:
        """Whether calls are under way that a suspect has to wait for: one that takes longer than it may, perhaps for ever, is not."""
        now = self._monotonic()
        return any(each.overtime > now for each in self._flying.values())

    def _start_suspect(self) -> None:
        if len(self._flying) >= self._threads.count or (suspect := self._inbox.next_suspect()) is None:
            return
        if suspect.operation in self._flying:
            self._ready.append(suspect)
        else:
            self._suspect = True
            self._fly(suspect)

    def _start_ready(self) -> None:
        ready, self._ready = self._ready, []
        for received in ready:
            if received.operation in self._flying or len(self._flying) >= self._threads.count:
                self._ready.append(received)
            else:
                self._fly(received)

    def _fly(self, received: Received) -> None:
        self._flying[received.operation] = received
        received.overtime = self._monotonic() + _may_take(received)
        self._threads.start(received, partial(self._run, received))

    # -- in a thread --------------------------------------------------------------------------------------------

    def _run(self, received: Received) -> Block | None:
        if received.handler.repositories:
            return self._edit(received)
        stream, asked = f"{OUTCOMES}{received.operation}", f"{REQUESTS}{received.id}"
        if self._exists(stream) or (received.handler.asks and self._exists(asked)):
            return None
        now = self._clock.now(received.time)
        outcome = self._call(received)
        if outcome is None:
            return Block(asked, [asked_record(asked, received, now)], StreamState.NO_STREAM)
        return Block(stream, [event_record(stream, received, 0, outcome, "", now)], StreamState.NO_STREAM)

    def _edit(self, received: Received) -> Block | None:
        unit = UnitOfWork(self._store, self._clock)
        unit.handle(received)
        pending = unit.take_pending()
        return pending[0].block if pending else None

    def _exists(self, stream: str) -> bool:
        try:
            return any(True for _ in self._store.read_stream(stream, limit=1))
        except StreamNotFound:
            return False

    def _call(self, received: Received) -> Event | None:
        handler = received.handler
        arguments = {**handler.resources, handler.command_name: received.command}
        if handler.call_name:
            arguments[handler.call_name] = received.call(self._clock.now(received.time))
        try:
            outcome = handler.function(**arguments)
        except Refused as refusal:
            return refusal.event
        if isinstance(outcome, handler.outcomes) or (outcome is None and handler.asks):
            return outcome
        raise HandlerError(f"{handler.name} returned {outcome!r}, which its annotation does not name: return one of its outcomes")

    # -- recording ----------------------------------------------------------------------------------------------

    def _settle(self, ended: list[Ended]) -> bool:
        """Record these; whether the store has all that it is to have. Without a group it has: what comes again is done again."""
        with suppress(GroupNotFound):
            self._inbox.guard(partial(self._record_all, ended), self._ready.clear)
            return not (ended or self._inbox.owes)
        return True

    def _record_all(self, ended: list[Ended]) -> None:
        taken = ended.copy()
        ended.clear()
        self._record(taken)

    def _record(self, ended: Sequence[Ended]) -> None:
        entries: list[Entry] = []
        for received, block, error in ended:
            self._flying.pop(received.operation, None)
            if isinstance(error, StoreUnavailable | StoreFull):
                self._inbox.later(received, 1.0)
            elif error is not None:
                self._inbox.failed(received, error)
            elif block is None:
                self._inbox.done(received, known=True)
            else:
                entries.append((block, partial(self._answered, received)))
        self._inbox.append(entries, leased=False)

    def _answered(self, received: Received, answer: Appended | StoreError) -> None:
        if isinstance(answer, Appended):
            self._inbox.done(received)
        elif not isinstance(answer, WrongExpectedVersion):
            self._inbox.failed(received, answer)
        elif self._inbox.holds(received):
            self._ready.append(received)  # somebody was faster: look again, and find the outcome or decide anew


def _may_take(received: Received) -> float:
    return (received.handler.takes or SPARE).total_seconds()


class InTurn:
    """No threads: a call comes to its end before the next one is started."""

    count = THREADS

    def __init__(self) -> None:
        self._ended: list[Ended] = []

    def start(self, received: Received, run: Callable[[], Block | None]) -> None:
        try:
            self._ended.append((received, run(), None))
        except Exception as error:  # noqa: BLE001  as in a thread, the runner judges
            self._ended.append((received, None, error))

    def ended(self, _timeout: float = 0.0) -> list[Ended]:
        found, self._ended = self._ended, []
        return found

    def close(self) -> None: ...


class Threads:
    """Daemon threads, so that a call that never comes back does not keep the process from ending. Started as needed."""

    def __init__(self, count: int, wake: Callable[[], None] | None) -> None:
        self.count = count
        self._wake = wake
        self._started: list[Thread] = []
        self._jobs: SimpleQueue[tuple[Received, Callable[[], Block | None]] | None] = SimpleQueue()
        self._ended: SimpleQueue[Ended] = SimpleQueue()

    def start(self, received: Received, run: Callable[[], Block | None]) -> None:
        """Run it in a thread; never more than `count` at once, which the caller sees to."""
        if len(self._started) < self.count:
            self._started.append(Thread(target=self._work, name=f"call-{len(self._started)}", daemon=True))
            self._started[-1].start()
        self._jobs.put((received, run))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            received, run = job
            try:
                self._ended.put((received, run(), None))
            except BaseException as error:  # noqa: BLE001  a thread has nobody above it: the runner judges
                self._ended.put((received, None, error))
            if self._wake is not None:
                self._wake()

    def ended(self, timeout: float = 0.0) -> list[Ended]:
        """What came to its end, waiting up to `timeout` seconds for the first."""
        found: list[Ended] = []
        try:
            found.append(self._ended.get(timeout=timeout) if timeout else self._ended.get_nowait())
            while True:
                found.append(self._ended.get_nowait())
        except Empty:
            return found

    def close(self) -> None:
        """Let idle threads end."""
        for _ in self._started:
            self._jobs.put(None)
        self._started = []
