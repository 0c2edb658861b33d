"""What a server has left out when it was started again, or another node led: workers look for it in the log, and the time must not move
on before they have found it."""

import orjson

from process_manager.core.records import Record
from process_manager.examples.order_fulfilment import app
from process_manager.ports import Clock, EventStore
from process_manager.runtime.groups import Share
from process_manager.runtime.handlers import bind_handlers
from process_manager.runtime.left_out import LeftOut
from process_manager.runtime.missed_commands import CommandPass
from process_manager.runtime.reconcile import Pass
from process_manager.runtime.wiring import shares
from process_manager.runtime.work import Work


class _Look(Pass):
    """A pass that only counts what nobody has taken."""

    untaken = 0

    def _appended(self, works: list[Work]) -> list[Work]:
        self.untaken += sum(bool(work.records) for work in works)
        return []


class Missed:
    """Looks behind a position at what the groups of a store with many members have been through, each record once."""

    def __init__(self, clock: Clock, after: int) -> None:
        self._clock = clock
        self._after = after
        self._looked = {share.group: after for share in shares(app)}

    def any(self, store: EventStore) -> bool:
        """Whether something was left out."""
        return not store.features.single_active and any(self._missed(store, share) for share in shares(app))

    def _missed(self, store: EventStore, share: Share) -> int:
        look = self._inputs if share.role == "processes" else self._commands
        count, until = look(store, share, self._looked[share.group])
        if not count:
            self._looked[share.group] = max(until, self._looked[share.group])
        return count

    def _inputs(self, store: EventStore, share: Share, after: int) -> tuple[int, int]:
        run = _Look(store, app.definitions, share, self._clock, after=after)
        while run.step():
            pass
        return run.untaken, run.found.until

    def _commands(self, store: EventStore, share: Share, after: int) -> tuple[int, int]:
        found = LeftOut()
        run = CommandPass(store, share, bind_handlers(app.handlers, app.resources), found, after=after)
        while run.step():
            pass
        return sum(not self._answered(store, each.record) for each in found.take(len(found))), run.found.until

    def _answered(self, store: EventStore, record: Record) -> bool:
        """Whether an earlier attempt of a command's operation has its outcome: then there is nothing to come of it."""
        operation = str(orjson.loads(record.metadata).get("operation"))
        return operation != record.id and any(
            operation == orjson.loads(each.metadata).get("operation")
            for each in store.read_all(after=self._after)
            if each.position < record.position and each.type not in app.handled_commands and not each.type.startswith(("pm.", "$"))
        )
