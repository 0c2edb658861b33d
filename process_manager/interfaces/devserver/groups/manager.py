"""All groups. Everything here but `offer` runs in the actor's thread."""

import time
from collections.abc import Sequence
from dataclasses import replace

from process_manager.core.records import Record
from process_manager.interfaces.devserver import statuses
from process_manager.interfaces.devserver.groups.actor import Actor
from process_manager.interfaces.devserver.groups.definition import Definition, Key
from process_manager.interfaces.devserver.groups.engine import Nack
from process_manager.interfaces.devserver.groups.running import Member, Running
from process_manager.interfaces.devserver.groups.settings import Settings
from process_manager.interfaces.devserver.groups.stored import load, save
from process_manager.interfaces.devserver.groups.strategies import STRATEGIES
from process_manager.interfaces.devserver.log import Log
from process_manager.interfaces.devserver.statuses import Refused
from process_manager.interfaces.devserver.wire import position_on_wire
from process_manager.interfaces.devserver.writer import Writer


class Manager:
    """The groups of a server, as they run."""

    def __init__(self, log: Log, writer: Writer) -> None:
        self._log = log
        self._writer = writer
        self._groups: dict[Key, Running] = {}
        self.actor = Actor(self._tick)
        self.actor.ask(self.restart)

    def offer(self, records: Sequence[Record]) -> bool:
        """Take the feed's news."""
        self.actor.post(lambda: self._hear_of(records))
        return True

    def _hear_of(self, records: Sequence[Record]) -> None:
        for running in self._groups.values():
            if running.hear_of(records):
                self._move_soon(running)

    def _tick(self) -> None:
        for running in self._groups.values():
            self._move_soon(running, ticking=True)

    def _move_soon(self, running: Running, *, ticking: bool = False) -> None:
        """As a job of its own, so that a group that fails stops no other; not if it was deleted meanwhile."""
        self.actor.post(lambda: self._move(running, ticking=ticking) if self._groups.get(running.key) is running else None)

    def _move(self, running: Running, *, ticking: bool = False) -> None:
        """Where much is to be looked through, the other groups have their turn in between."""
        if running.move(time.monotonic(), ticking=ticking):
            self._move_soon(running)

    def restart(self) -> None:
        """Begin anew with what is stored, as after a restart of the server."""
        for running in self._groups.values():
            running.drop()
        self._groups.clear()
        for definition in load(self._log):
            self._start(definition)

    def _start(self, definition: Definition) -> None:
        running = self._groups[definition.key] = Running(definition, self._log, self._writer, time.monotonic())
        self._move(running)

    def find(self, key: Key) -> Running:
        """Raises Refused."""
        if key not in self._groups:
            raise statuses.group_missing(*key)
        return self._groups[key]

    def on(self, stream: str | None) -> list[Running]:
        """The groups on a stream, all for None. Raises Refused when a stream has none."""
        found = [running for key, running in self._groups.items() if stream in {None, key.stream}]
        if not found and stream is not None:
            raise statuses.group_missing(stream, "")
        return found

    def create(self, definition: Definition) -> None:
        if definition.key in self._groups:
            raise statuses.group_exists(*definition.key)
        self._check(definition)
        self._replace({**self._definitions(), definition.key: definition})
        self._start(definition)

    def update(self, key: Key, settings: Settings) -> None:
        """Every consumer is dropped, and delivery begins again behind the checkpoint."""
        running = self.find(key)
        definition = replace(running.definition, settings=settings)
        self._check(definition)
        self._replace({**self._definitions(), key: definition})
        running.drop()
        self._start(definition)

    def delete(self, key: Key) -> None:
        running = self.find(key)
        self._replace({name: it for name, it in self._definitions().items() if name != key})
        del self._groups[key]
        running.drop()
        running.forget()

    def join(self, key: Key, member: Member) -> None:
        """Raises Refused."""
        running = self.find(key)
        running.join(member)
        self._move(running)

    def leave(self, key: Key, member: Member) -> None:
        if running := self._groups.get(key):
            running.leave(member)
            self._move(running)

    def ack(self, key: Key, ids: Sequence[str]) -> None:
        if running := self._groups.get(key):
            running.engine.ack(ids)
            self._move(running)

    def nack(self, key: Key, ids: Sequence[str], action: Nack, reason: str) -> None:
        if running := self._groups.get(key):
            running.park(running.engine.nack(ids, action, reason))
            self._move(running)

    def replay(self, key: Key, stop_at: int | None) -> None:
        """Raises Refused."""
        running = self.find(key)
        running.replay(stop_at)
        self._move(running)

    def _definitions(self) -> dict[Key, Definition]:
        return {key: running.definition for key, running in self._groups.items()}

    def _replace(self, definitions: dict[Key, Definition]) -> None:
        save(self._writer, list(definitions.values()))

    def _check(self, definition: Definition) -> None:
        """Raise Refused for what no group can be."""
        key, settings = definition.key, definition.settings
        if settings.strategy not in STRATEGIES:
            raise statuses.group_failed(*key, f"Consumer strategy {settings.strategy} does not exist.")
        if settings.read_batch_size >= settings.history_buffer_size:
            raise statuses.group_failed(*key, "The read batch size must be below the history buffer size.")
        if key.is_all and not definition.from_end:
            self._check_start(key, settings.start)

    def _check_start(self, key: Key, start: int) -> None:
        if start > position_on_wire(self._log.store.last_position()):
            raise statuses.group_failed(*key, f"The start {start} lies beyond the end of $all.")
        try:
            self._log.position(start)
        except Refused as error:
            raise statuses.group_failed(*key, error.details) from error
