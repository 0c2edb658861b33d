"""Commands to aggregates: decode, decide, append, acknowledge; on a conflict read and decide again."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from process_manager.core.retry import Retry
from process_manager.errors import AppendTooLarge, LeaseLost, StoreError, StoreFull, StoreUnavailable, WrongExpectedVersion
from process_manager.ports import Appended, Clock, Consumer, EventStore
from process_manager.runtime.counters import Counters
from process_manager.runtime.handlers import Handler
from process_manager.runtime.inbox import RETRY, Inbox
from process_manager.runtime.left_out import LeftOut
from process_manager.runtime.received import Received
from process_manager.runtime.unit_of_work import Held, Outcome, UnitOfWork

BATCH = 512
"""Commands taken at once."""

ROUNDS = 5
"""How often what met a conflict is decided again before it waits a little."""


class HandlerRunner:
    """Runs handlers that edit aggregates, in the caller's thread. One command after the other, one append for a whole batch.

    `rejoin` becomes a member of the group anew, after another worker has taken it over.
    """

    role = "handlers"

    def __init__(
        self, store: EventStore, consumer: Consumer, handlers: Sequence[Handler], clock: Clock, counters: Counters, *,
        rejoin: Callable[[], Consumer] | None = None, retry: Retry = RETRY,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._unit = UnitOfWork(store, clock)
        self._inbox = Inbox(store, consumer, handlers, clock, counters, rejoin=rejoin, retry=retry, monotonic=monotonic)
        self._todo: deque[Received] = deque()

    @property
    def busy(self) -> bool:
        """Whether commands were taken that are not settled yet, or wait to be tried again."""
        return self._inbox.busy

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
        """Take what there is and deal with it. Returns how many deliveries were settled. Never waits.

        Raises StoreUnavailable or StoreFull when the store fails for longer than `inbox.PATIENCE`.
        """
        return self._inbox.guard(self._step, self._start_over)

    def finish(self) -> None:
        """Nothing is under way between two steps."""

    def close(self) -> None:
        """Leave the group; what is not settled goes to the others at once."""
        self._inbox.leave()
        self._start_over()

    def _start_over(self) -> None:
        self._unit.clear()
        self._todo.clear()

    def _step(self) -> None:
        self._inbox.flush(leased=True)
        if not self._todo:
            self._todo.extend(self._inbox.fetch(BATCH))
        self._work()
        if (suspect := self._inbox.next_suspect()) is not None:
            self._todo.append(suspect)
            self._work()

    def _work(self) -> None:
        for _ in range(ROUNDS):
            self._decide()
            self._append()
            if not self._todo:
                break
        while self._todo:
            self._inbox.later(self._todo.popleft())
        self._unit.trim()

    def _decide(self) -> None:
        again: list[Received] = []
        try:
            while self._todo:
                if self._handle(self._todo[0]) is Outcome.LATER:
                    again.append(self._todo[0])
                self._todo.popleft()
        finally:
            self._todo.extend(again)

    def _handle(self, received: Received) -> Outcome | None:
        try:
            outcome = self._unit.handle(received)
        except (StoreUnavailable, StoreFull, LeaseLost):
            raise
        except Exception as error:  # noqa: BLE001  whatever a handler raises is its own command's trouble, nobody else's
            self._inbox.failed(received, error)
            return None
        if outcome is Outcome.KNOWN:
            self._inbox.done(received, known=True)
        return outcome

    def _append(self) -> None:
        self._inbox.append([(held.block, partial(self._answered, held)) for held in self._unit.take_pending()], leased=True)

    def _answered(self, held: Held, answer: Appended | StoreError) -> None:
        if isinstance(answer, Appended):
            for received in self._unit.appended(held, answer):
                self._inbox.done(received)
            return
        if isinstance(answer, AppendTooLarge):
            self._todo.extend(self._unit.drop_too_large(held, answer))  # what fits alone, or is parked
            return
        self._inbox.counters.conflicts += 1
        for received in self._unit.drop(held):
            if isinstance(answer, WrongExpectedVersion):
                self._todo.append(received)
            else:
                self._inbox.failed(received, answer)
