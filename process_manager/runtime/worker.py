"""The worker: the roles of an app, taken in turn by one thread until it is told to stop or nothing is left to do."""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from process_manager.errors import GroupNotFound, StoreError, StoreFull, StoreUnavailable
from process_manager.ports import Consumer, EventStore
from process_manager.runtime.counters import Counters
from process_manager.runtime.deadlines import DeadlineRunner
from process_manager.runtime.groups import drained
from process_manager.runtime.reconcile import Sweep

log = logging.getLogger(__name__)

SWEEP = 0.5
"""Seconds between two looks at everything: a wake-up may get lost, and a deadline comes without one."""

PATIENCE = 30.0
"""Seconds for which a store may be unavailable before the worker gives up."""

ABSENT = 5.0
"""Seconds for which a group may be gone, as it is while it is changed, before the worker gives up."""


class Role(Protocol):
    """One kind of work of a worker: turns, quick handlers, calls. Used by the worker's thread alone."""

    role: str

    def step(self) -> int:
        """Do what there is to do, up to one batch. Returns how many deliveries that was."""

    @property
    def busy(self) -> bool:
        """Whether something is under way that no `step` has returned yet."""

    @property
    def left(self) -> int:
        """How many deliveries are held for a newer version to take."""

    @property
    def consumer(self) -> Consumer: ...

    def finish(self) -> None:
        """Let what is under way come to its end, for as long as it may take."""

    def close(self) -> None:
        """Leave the group at once; may be called twice."""


class Worker:
    """Runs roles, each with the name of its consumer group, on a store.

    `progress` is called with the counters at most twice a second.
    The groups named in `older` go when they are drained. `sweeps` look now and then for what delivery has missed.
    """

    def __init__(
        self,
        store: EventStore,
        roles: Mapping[str, Role],
        deadlines: DeadlineRunner | None,
        counters: Counters,
        progress: Callable[[Counters], None] | None = None,
        older: Collection[str] = (),
        sweeps: Sequence[Sweep] = (),
    ) -> None:
        self.counters = counters
        self.deadlines = deadlines
        self._store = store
        self._sweeps = sweeps
        self._roles = dict(roles)
        self._older = dict.fromkeys(older, False)  # and whether nothing was found in it lately
        self._progress = progress or (lambda _: None)
        self._stopping = False
        self._finishing = False
        self._swept = 0.0
        self._failing_since = 0.0
        self._absent_since = 0.0
        self._trouble = ""
        self._alive = time.monotonic()

    def stop(self) -> None:
        """Finish the batch, acknowledge, leave. May be called from a signal handler or another thread."""
        self._stopping = True

    @property
    def stopped(self) -> bool:
        return self._stopping

    @property
    def busy(self) -> bool:
        """Whether handlers are at work, or are about to be tried again."""
        return any(role.busy for role in self._roles.values())

    @property
    def groups(self) -> Sequence[str]:
        """The consumer groups that this worker is in."""
        return list(self._roles)

    @property
    def store_trouble(self) -> str:
        """What the store's last error says while it fails, else nothing."""
        return self._trouble

    def silent_for(self) -> float:
        """Seconds since a step ended; 0 while it waits for the calls under way, before it leaves."""
        return 0.0 if self._finishing else time.monotonic() - self._alive

    def run(self, *, until_idle: bool = False) -> None:
        """Work until `stop` is called, or, with `until_idle`, until every input in the log is taken.

        Raises StoreUnavailable or StoreFull when the store has failed for PATIENCE, GroupNotFound when a group has been gone for ABSENT.
        """
        standing_by = False
        while not self._stopping:
            if standing_by != self._standby:
                standing_by = self._say_standby()
            seen = self._store.last_position()
            if self.step():
                continue
            if until_idle and self._idle(seen) and all(sweep.covers_all for sweep in self._sweeps):
                break
            self._rest(seen, until_idle=until_idle)

    def step(self) -> int:
        """One batch of every role; the deadlines whenever nothing else is to do, and at least every sweep."""
        try:
            count = sum([self._step(name, role) for name, role in list(self._roles.items())])
            now = time.monotonic()
            if not count or now - self._swept > SWEEP:
                count += sum([each.step() for each in (self.deadlines, *self._sweeps) if each is not None])
            if now - self._swept > SWEEP:
                self._swept = now
                self._retire()
                self._progress(self.counters)
            self._failing_since, self._absent_since, self._trouble = 0.0, 0.0, ""
        except (StoreUnavailable, StoreFull) as error:
            self._wait_for_store(error)
            return 1
        except GroupNotFound as error:
            self._wait_for_group(error)
            return 1
        finally:
            self._alive = time.monotonic()
        return count

    def _step(self, name: str, role: Role) -> int:
        try:
            return role.step()
        except GroupNotFound as error:
            if name not in self._older:
                told = f"the group {name} was deleted under this worker: a worker that is started again makes it anew"
                raise GroupNotFound(told) from error
            self._part(name)  # another worker saw that it is drained
            return 0

    def _retire(self) -> None:
        """Leave older groups when nothing is found in them twice: what is replayed leaves the parked ones before it is delivered.

        The last member deletes the group; workers of an older version may still be in it.
        """
        for name, empty in list(self._older.items()):
            role, group = self._roles[name], self._store.group(name)
            self._older[name] = not role.busy and role.consumer.active and drained(group)
            if empty and self._older[name]:
                if group.consumers <= 1:
                    self._store.delete_group(name)
                log.info("%s is drained", name, extra={"action": "group_drained", "group": name})
                self._part(name)

    def _part(self, name: str) -> None:
        del self._older[name]
        with suppress(GroupNotFound):
            self._roles.pop(name).close()

    def _wait_for_store(self, error: StoreError) -> None:
        """Pause before the next step: what is not acknowledged is delivered again, so nothing else is to be done. Raises after PATIENCE."""
        now = time.monotonic()
        self._failing_since, self._trouble = self._failing_since or now, str(error)
        if now - self._failing_since > PATIENCE:
            raise error
        log.warning("the store is unavailable: %s", error, extra={"action": "store_unavailable"})
        time.sleep(0.2)

    def _wait_for_group(self, error: GroupNotFound) -> None:
        """Pause before the next step: the group may be back in a moment. Raises GroupNotFound after ABSENT."""
        now = time.monotonic()
        if not self._absent_since:
            log.warning("waiting for a group to come back: %s", error, extra={"action": "group_absent"})
        self._absent_since, self._trouble = self._absent_since or now, str(error)
        if now - self._absent_since > ABSENT:
            raise error
        time.sleep(0.2)

    def _idle(self, seen: int) -> bool:
        """Whether all of the log is taken, by whomever: what is under way to a member, or with another one, is not.

        The groups are looked at before the log's end: what is appended for an input is there before the input is acknowledged.
        """
        if self.busy:
            return False
        return all(self._lag(name) <= role.left for name, role in self._roles.items()) and self._store.last_position() == seen

    def _lag(self, name: str) -> int:
        try:
            return self._store.group(name).lag
        except GroupNotFound:  # an older one that is gone, or one of today that is about to come back
            return 0 if name in self._older else 1

    def _rest(self, seen: int, *, until_idle: bool) -> None:
        """Wait for the next append. What others do without one, such as an acknowledgement, wakes nobody, so some waits are short."""
        self._store.wait(seen, 0.02 if self.busy else 0.1 if self._standby else 0.05 if until_idle else SWEEP)

    @property
    def _standby(self) -> bool:
        """Whether another worker is the active one of a group that has one at a time."""
        return not all(role.consumer.active for role in self._roles.values())

    def _say_standby(self) -> bool:
        standby = self._standby
        text = "another worker is active on this store: standing by" if standby else "active: no other worker has these groups any more"
        log.info(text, extra={"action": "standing_by" if standby else "active"})
        return standby

    def finish(self) -> None:
        """Leave every group, as soon as the calls under way have come to their end or have had the time that they may take.

        Raises StoreUnavailable or StoreFull when the store fails for longer than `inbox.PATIENCE`.
        """
        self._finishing = True
        for role in self._roles.values():
            role.finish()
            role.close()

    def close(self) -> None:
        """Leave every group at once, whatever is under way; may be called twice."""
        for role in self._roles.values():
            role.close()
        if self.deadlines is not None:
            self.deadlines.close()
