"""Consumer groups: persistent subscriptions to $all with a server-side filter, beside our own record of each."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from process_manager.adapters.esdb.client import LOOKED_AT
from process_manager.adapters.esdb.filtering import ServerFilter, passes, server_filter
from process_manager.adapters.esdb.group_records import GroupRecord, GroupRecords
from process_manager.adapters.esdb.parking import Parking, marker_of, stream_of
from process_manager.adapters.esdb.reading import Reading
from process_manager.adapters.esdb.records import Found
from process_manager.core.records import Record
from process_manager.errors import GroupExists, GroupNotFound, StoreError, StreamNotFound, WrongExpectedVersion
from process_manager.ports import BEFORE_ALL, Filter, GroupInfo, GroupSettings

LAG_COUNTED = 1_000

FOREVER = 2_000_000.0
"""Seconds; as many as the server's milliseconds hold."""

SETTINGS = {
    "resolve_links": True,
    "min_checkpoint_count": 1,  # with the default of 10, nine acknowledged records would come again after each restart
    "max_checkpoint_count": 1_000,
    "checkpoint_after": 0.5,  # seconds
    "max_subscriber_count": 0,  # no limit
    "live_buffer_size": 2_000,
    "read_batch_size": 500,
    "history_buffer_size": 2_000,
    "extra_statistics": False,
    "window_size": LOOKED_AT,
    "checkpoint_interval_multiplier": 1,
}


def filter_of(group: GroupRecord) -> ServerFilter:
    """What the server sends to a group: what it is for, and its replay markers."""
    return server_filter(group.where, types=[marker_of(group.name)], streams=[stream_of(group.name)])


def is_marker(group: GroupRecord, record: Record) -> bool:
    """Whether a record stands for a parked one that this group gets again."""
    return record.type == marker_of(group.name) and record.stream == stream_of(group.name)


def wants(group: GroupRecord, found: Found) -> bool:
    """Whether something that came through the server's filter is for this group."""
    if found.record.position <= group.after:
        return False
    return is_marker(group, found.record) if found.itself.stream == stream_of(group.name) else passes(group.where, found)


class Groups:
    """Creates, deletes, changes and describes groups."""

    def __init__(self, reading: Reading, records: GroupRecords, parking: Parking) -> None:
        self._reading = reading
        self._records = records
        self._parking = parking

    def create(self, name: str, where: Filter, after: int, settings: GroupSettings) -> None:
        """Write our record, then let the server make the group. After a crash between the two it may be created again."""
        old = self._records.find(name)
        if self._server_has(name):
            if old is None or not old.deleted:
                raise GroupExists(f"there is a group {name!r} already")
            self._delete(name)
        version = -1 if old is None else old.version
        try:
            self._create(self._records.write(GroupRecord(name, where, settings, after, version=version)))
        except WrongExpectedVersion:
            raise GroupExists(f"somebody else creates the group {name!r} just now") from None

    def _create(self, group: GroupRecord) -> None:
        settings: dict[str, Any] = {
            **SETTINGS,
            "consumer_strategy": group.settings.strategy,
            "message_timeout": group.settings.message_timeout.total_seconds() or FOREVER,
            "max_retry_count": group.settings.max_retries,
            **filter_of(group).arguments(),
        }
        if group.after != BEFORE_ALL:
            settings["commit_position"] = group.after  # inclusive: members leave out what is not after it
        with suppress(GroupExists):  # our own, whose answer was lost
            self._reading.ask(lambda it: it.create_subscription_to_all(group.name, **settings), group=group.name)

    def delete(self, name: str) -> None:
        group = self._records.get(name)
        self._records.write(replace(group, deleted=True))
        self._delete(name)
        self._parking.clear(name)

    def _delete(self, name: str) -> None:
        with suppress(GroupNotFound):
            self._reading.ask(lambda it: it.delete_subscription(name), group=name)

    def update(self, name: str, settings: GroupSettings) -> None:
        """Delete and create again, behind the checkpoint: the server cannot change a group that is pinned by correlation, and
        changing another one drops its members and what is in flight just the same. With settings that the server refuses, the old ones
        stay, and the refusal is raised."""
        group = self._records.get(name)
        after = group.after
        with suppress(GroupNotFound):
            after = _checkpoint(group, self._info(name))
        changed = self._records.write(replace(group, settings=settings, after=after))
        self._parking.adopt(name)
        self._delete(name)
        try:
            self._create(changed)
        except StoreError:
            with suppress(StoreError):  # then the server is away, and the change can be repeated
                self._create(self._records.write(replace(changed, settings=group.settings)))
            raise

    def names(self) -> Sequence[str]:
        """Groups that are ours, by name; others on the same server have no record of ours."""
        listed: Sequence[str] = ()
        with suppress(StreamNotFound):  # the server has none at all
            listed = self._reading.ask(lambda it: it.group_names())
        return [name for name in sorted(listed) if (record := self._records.find(name)) and not record.deleted]

    def info(self, name: str) -> GroupInfo:
        group = self._records.get(name)
        newest = next(self._behind(group, None, backwards=True), None)  # before the server is asked, so that "all done" includes it
        server = self._info(name)
        return self._told(group, server, self._progress(group, newest, server))

    def _glance(self, name: str) -> GroupInfo:
        """By the server's own counts, where it has read all: what an exact answer looks for may be far back in the log."""
        group, server = self._records.get(name), self._info(name)
        if server.status != "Live":
            return self.info(name)
        checkpoint, waiting = _checkpoint(group, server), _waiting(server)
        if not waiting:
            return self._told(group, server, Progress(max(checkpoint, _position(server.last_known_event_position)), 0, None))
        first = next(self._behind(group, checkpoint), None)
        return self._told(group, server, Progress(checkpoint, waiting, first.created if first else None))

    def _told(self, group: GroupRecord, server: Any, progress: "Progress") -> GroupInfo:
        members = [it.connection_name for it in server.connections]
        counts = (progress.lag, server.total_in_flight_messages, len(self._parking.parked(group.name)), len(members))
        return GroupInfo(group.name, group.where, group.settings, progress.checkpoint, *counts, progress.oldest, members)

    def all(self) -> Sequence[GroupInfo]:
        found: list[GroupInfo] = []
        for name in self.names():
            with suppress(GroupNotFound):
                found.append(self._glance(name))
        return found

    def _progress(self, group: GroupRecord, newest: Record | None, server: Any) -> "Progress":
        """The server writes checkpoints some time after the acks, so its counts are asked too before a group counts as behind; and
        before one does not, for a checkpoint may stand beyond what is still out (KurrentDB #5497)."""
        checkpoint = _checkpoint(group, server)
        if newest is None or newest.position <= checkpoint:
            return Progress(checkpoint, _waiting(server), None)
        if server.status == "Live" and not _waiting(server) and newest.position <= _position(server.last_known_event_position):
            return Progress(newest.position, 0, None)
        behind = list(islice(self._behind(group, checkpoint), LAG_COUNTED))
        return Progress(checkpoint, len(behind), behind[0].created if behind else None)

    def _behind(self, group: GroupRecord, after: int | None, *, backwards: bool = False) -> Iterator[Record]:
        asked = filter_of(group)
        one = backwards and asked.exact and not asked.by_stream  # then what comes first is wanted, or nothing is
        every = self._reading.in_log(after, asked.arguments(), backwards=backwards, limit=1 if one else None)
        return (it.record for it in every if wants(group, it))

    def _server_has(self, name: str) -> bool:
        with suppress(GroupNotFound):
            self._info(name)
            return True
        return False

    def _info(self, name: str) -> Any:
        return self._reading.ask(lambda it: it.group_info(name), group=name)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a group has come; see `GroupInfo`."""

    checkpoint: int
    lag: int
    oldest: int | None


def _checkpoint(group: GroupRecord, server: Any) -> int:
    return max(group.after, _position(server.last_checkpointed_event_position))


def _waiting(server: Any) -> int:
    """What is read ahead, waits to be delivered again, or is out."""
    out = max(server.outstanding_messages_count, server.total_in_flight_messages)
    return int(server.read_buffer_count + server.retry_buffer_count + out)


def _position(text: str) -> int:
    """`C:12/P:12`, or nothing."""
    commit = text.partition("/")[0].partition(":")[2]
    return int(commit) if commit else BEFORE_ALL
