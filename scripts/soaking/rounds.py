"""One load of orders, from the first to the last of their deadlines."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from typing_extensions import TypeVar

from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.errors import GroupNotFound, ProcessManagerError
from process_manager.examples.order_fulfilment import app
from process_manager.examples.order_fulfilment.demo import answering
from process_manager.examples.order_fulfilment.orders import START
from process_manager.interfaces.bootstrap import open_store
from process_manager.interfaces.publishing.event_lines import Addressed
from process_manager.interfaces.publishing.publisher import Publisher
from process_manager.ports import EventStore
from process_manager.runtime.counters import Counters
from process_manager.runtime.deadlines import DeadlineRunner
from process_manager.runtime.groups import ensure_group
from process_manager.runtime.wiring import prepare, shares
from scripts.soaking.ends import Ends, Load, ends_of
from scripts.soaking.figures import Figures
from scripts.soaking.missed import Missed
from scripts.soaking.worker import FileClock
from scripts.soaking.workers import TroubleMaker

T = TypeVar("T")

LEASE = timedelta(seconds=0.5)
"""How long a standby bears the silence of a worker that was killed, where one is active."""

STEP = timedelta(minutes=30)
"""How far time moves at least, from one settled state to the next."""

CALM = 30.0
"""Seconds after which there is no more trouble until all is settled: workers that are killed faster than they start come to nothing."""

STUCK = 120.0
"""Seconds in which the log does not grow, for the last part without trouble, after which orders that do not settle are stuck, and lost."""

FOREVER = 1200.0
"""Seconds after which they are although it grows: what goes round in circles does not settle either."""

SET_BACK = timedelta(hours=1)


class Stuck(Exception):
    """Nothing settles any more."""


class Round:
    """One load of orders on a store, settled step by step in a time that only moves when all is settled."""

    def __init__(self, load: Load, url: str, directory: Path, figures: Figures, chance: random.Random, trouble: TroubleMaker) -> None:
        self._load = load
        self._url = url
        self._figures = figures
        self._chance = chance
        self._trouble = trouble
        self._clock = FileClock(directory / "clock")
        self._clock.set(START)
        self._now = START
        self._store: EventStore | None = None
        self._deadlines: DeadlineRunner | None = None
        self.after = self._patiently(self._prepare)
        self._missed = Missed(self._clock, self.after)

    def run(self) -> None:
        """Publish everything, and let all deadlines pass. Raises Stuck."""
        for events in self._load.slices():
            self._pass_time(events[0].time)
            back = self._chance.random() < 0.3
            if back:
                self._clock.set(self._now - SET_BACK)
                self._figures.clock_set_back += 1
            self._publish([each.addressed for each in events])
            if self._chance.random() < 0.2:
                self._figures.duplicates_offered += self._publish([each.addressed for each in events])
            self._settle()
            self._clock.set(self._now)
        self._trouble.killed.wait(STUCK)
        self._pass_time(None)

    def standing(self) -> str:
        """The groups, and the time, for whoever has to find out why nothing settles."""
        groups = self._patiently(lambda store: [str(store.group(share.group)) for share in shares(app)])
        return "\n".join([*groups, f"the time is {self._now}, the next deadline {self._next_due()}"])

    def ends(self) -> Ends:
        return self._patiently(lambda store: ends_of(store, self._load.tag, self.after))

    # -- time ---------------------------------------------------------------------------------------------------

    def _pass_time(self, until: datetime | None) -> None:
        while True:
            self._settle()
            due = self._next_due()
            if due is None or (until is not None and due > until):
                break
            self._now = max(due, self._now + STEP) if until is None else min(max(due, self._now + STEP), until)
            self._clock.set(self._now)
        if until is not None:
            self._now = max(self._now, until)
            self._clock.set(self._now)

    def _next_due(self) -> datetime | None:
        return None if self._deadlines is None else self._deadlines.next_due()

    def _settle(self) -> None:
        """Until every group has delivered everything, and nothing came while that was seen."""
        start = grown = time.monotonic()
        end = -1
        while not self._patiently(self._settled):
            now, before, end = time.monotonic(), end, self._patiently(lambda store: store.last_position())
            grown = grown if end == before else now
            if now > min(grown + STUCK, start + FOREVER):
                raise Stuck
            if now > start + CALM:
                self._trouble.calm.set()
            time.sleep(0.02)
        self._trouble.calm.clear()

    def _settled(self, store: EventStore) -> bool:
        assert self._deadlines is not None
        before = store.last_position()
        fired = self._deadlines.step()
        lag = sum(store.group(share.group).lag for share in shares(app))
        return not fired and not lag and store.last_position() == before and not self._missed.any(store)

    # -- a store that fails -------------------------------------------------------------------------------------

    def _prepare(self, store: EventStore) -> int:
        """Groups that begin now: those of an earlier run may lag behind what others have done with the same messages since."""
        after = store.last_position()
        for share in shares(app):
            with suppress(GroupNotFound):
                store.delete_group(share.group)
            ensure_group(store, replace(share, settings=replace(share.settings, lease=LEASE)), after)
        prepare(app, store, start=after, take_over=True)  # a bench may have had the commands before
        return after

    def _publish(self, events: list[Addressed]) -> int:
        """How many were there already."""

        def publish(store: EventStore) -> int:
            publisher = Publisher(store)
            publisher.publish(answering(store, each) for each in events)
            return publisher.known

        return self._patiently(publish)

    def _patiently(self, work: Callable[[EventStore], T]) -> T:
        """Again, from the beginning, for as long as the store fails."""
        until = time.monotonic() + STUCK
        while True:
            try:
                if self._store is None:
                    self._open()
                assert self._store is not None
                return work(self._store)
            except ProcessManagerError:
                if time.monotonic() > until:
                    raise
                self.close()
                time.sleep(0.1)

    def _open(self) -> None:
        self._store = open_store(self._url)
        self._deadlines = DeadlineRunner(self._store, app.definitions, SqliteDeadlineIndex(), self._clock, Counters())

    def close(self) -> None:
        """Let go of the store; may be called twice."""
        for each in (self._deadlines, self._store):
            with suppress(ProcessManagerError):
                if each is not None:
                    each.close()
        self._store = self._deadlines = None
