"""A group that runs: its engine, fed from the log, its deliveries handed to calls, its checkpoints and parked links written."""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from process_manager.core.records import Record
from process_manager.errors import StreamDeleted, StreamNotFound
from process_manager.interfaces.devserver import statuses
from process_manager.interfaces.devserver.calls import Mailbox
from process_manager.interfaces.devserver.filters import matcher
from process_manager.interfaces.devserver.groups.definition import CHECKPOINT_TYPE, Definition, Key
from process_manager.interfaces.devserver.groups.engine import Engine, Park
from process_manager.interfaces.devserver.groups.message import Consumer
from process_manager.interfaces.devserver.groups.sources import AllSource, Source, StreamSource
from process_manager.interfaces.devserver.log import Log
from process_manager.interfaces.devserver.wire import LINK, Resolved, new_record
from process_manager.interfaces.devserver.write_rules import Outcome, Rules, Write, Written
from process_manager.interfaces.devserver.writer import Writer
from process_manager.ports import StreamState


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A consumer and the call that it is on; the mailbox takes pairs of what is delivered and its retry count."""

    consumer: Consumer
    mailbox: Mailbox[tuple[Resolved, int]]


class Running:
    """One group; used by the manager's thread alone, but for `_parked`, which the writer calls."""

    def __init__(self, definition: Definition, log: Log, writer: Writer, now: float) -> None:
        self.definition = definition
        self._log = log
        self._writer = writer
        checkpoint = _stored_checkpoint(log, definition.key)
        self.engine = Engine(definition.settings, checkpoint, now)
        self.source = _source(definition, log, checkpoint)
        self.members: list[Member] = []
        self._last_parked = log.last_revision(definition.key.parked_stream)

    @property
    def key(self) -> Key:
        return self.definition.key

    def join(self, member: Member) -> None:
        """Raises Refused when the group is full."""
        most = self.definition.settings.max_subscriber_count
        if most and len(self.members) >= most:
            raise statuses.group_full(*self.key)
        self.members.append(member)
        self.engine.join(member.consumer)

    def leave(self, member: Member) -> None:
        if member in self.members:
            self.members.remove(member)
            self.engine.leave(member.consumer)

    def drop(self) -> None:
        """End the calls of all consumers."""
        for member in self.members:
            member.mailbox.end(statuses.group_dropped(*self.key))
        self.members.clear()

    def hear_of(self, records: Sequence[Record]) -> bool:
        """Whether some of these new records concern the group."""
        newest = self.source.newest(records)
        if newest is None:
            return False
        self.engine.hear_of(newest)
        self.source.more = True
        return True

    def move(self, now: float, *, ticking: bool = False) -> bool:
        """Read, deliver and write the checkpoint, as far as that goes now. Returns whether to go on soon."""
        if ticking:
            self.source.more = True  # a sweep: news may get lost
            self.park(self.engine.expire(now))
        while self._take() and self._deliver(now):
            pass
        self._deliver(now)
        self._write_checkpoint(now, ticking=ticking)
        return self.source.more and self.engine.wants > 0

    def _deliver(self, now: float) -> bool:
        mailboxes = {id(member.consumer): member.mailbox for member in self.members}
        delivered = self.engine.deliver(now)
        for consumer, message in delivered:
            mailboxes[id(consumer)].put((message.resolved, message.retries))
        return bool(delivered)

    def _write_checkpoint(self, now: float, *, ticking: bool) -> None:
        checkpoint = self.engine.next_checkpoint(now, ticking=ticking)
        if checkpoint is not None:
            self._write(self.key.checkpoint_stream, CHECKPOINT_TYPE, json.dumps(self.key.text(checkpoint)).encode())

    def _take(self) -> bool:
        """Take in what comes next. Returns whether there was something."""
        wanted = self.engine.wants if self.source.more else 0
        found = self.source.next(wanted) if wanted else []
        for record, at in found:
            self.engine.take(self._log.resolve(record, links=self.definition.settings.resolve_links), at)
        return bool(found)

    def park(self, parks: Iterable[Park]) -> None:
        """Set messages aside, as links in a stream of the group's own."""
        for message, reason in parks:
            event, original = message.resolved.event, message.resolved.original
            added = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            kept = {"added": added, "reason": reason} | ({"subscriptionEventNumber": original.revision} if original.revision else {})
            target = f"{event.revision}@{event.stream}".encode() if event else original.data
            self._write(self.key.parked_stream, LINK, target, json.dumps(kept, indent=2).encode(), is_json=False, done=self._parked)

    def _parked(self, outcome: Outcome) -> None:
        if isinstance(outcome, Written):
            self._last_parked = outcome.revision

    @property
    def parked(self) -> int:
        """As the real server counts: by numbers, not by looking."""
        limits = self._log.index.limits(self.key.parked_stream)
        return 0 if limits.deleted else max(self._last_parked + 1 - limits.truncate_before, 0)

    def replay(self, stop_at: int | None) -> None:
        """Deliver parked messages again, those below `stop_at`, and take them out of the parked stream."""
        parked = self.key.parked_stream
        stop = self._last_parked + 1 if stop_at is None else min(stop_at, self._last_parked + 1)
        try:
            links = [it for it in self._log.stream(parked, 0) if it.revision < stop]
        except (StreamNotFound, StreamDeleted):
            return
        self.engine.replay([(self._log.resolve(link, links=True), link.revision) for link in links])
        if links:
            self._writer.submit(Write(parked, lambda rules: rules.truncate(parked, stop), _ignored))

    def forget(self) -> None:
        """Delete what the group kept."""
        for stream in (self.key.checkpoint_stream, self.key.parked_stream):
            self._writer.wait(stream, partial(_delete, stream))

    def _write(self, stream: str, type_: str, data: bytes, metadata: bytes = b"", *, is_json: bool = True, done: Any = None) -> None:
        record = new_record(str(uuid.uuid4()), type_, data, metadata, is_json=is_json)
        self._writer.submit(Write(stream, lambda rules: rules.append(stream, [record], StreamState.ANY), done or _ignored))


def _ignored(outcome: Outcome) -> None:
    """What is lost here comes again."""


def _delete(stream: str, rules: Rules) -> Any:
    return rules.delete(stream, StreamState.ANY)


def _stored_checkpoint(log: Log, key: Key) -> int | None:
    try:
        newest = next(log.stream(key.checkpoint_stream, None, backwards=True), None)
    except StreamNotFound:
        return None
    return None if newest is None else key.place(json.loads(newest.data))


def _source(definition: Definition, log: Log, checkpoint: int | None) -> Source:
    """Behind the checkpoint; without one at the start, which is inclusive, or at the end as it is now."""
    key, start = definition.key, definition.settings.start
    if key.is_all:
        at_start = log.store.last_position() if definition.from_end else log.position(start) - 1
        return AllSource(log, matcher(definition.filter), max(at_start, -1) if checkpoint is None else checkpoint)
    at_start = log.last_revision(key.stream) if definition.from_end else start - 1
    return StreamSource(log, key.stream, at_start if checkpoint is None else checkpoint)
