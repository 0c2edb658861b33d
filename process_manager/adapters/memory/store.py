"""The store over the state: each call takes the lock, does its work and lets go."""

import time
from collections.abc import Iterator, Sequence
from uuid import UUID

from process_manager.adapters.appending import Verdict, block_size, check_blocks, first_revision, too_large, verdict
from process_manager.adapters.memory.groups import Group, MemoryConsumer
from process_manager.adapters.memory.state import State, matches
from process_manager.core.records import NewRecord, Record
from process_manager.errors import GroupExists, GroupNotFound, LeaseLost, StoreError, StreamNotFound, WrongExpectedVersion
from process_manager.ports import (
    BEFORE_ALL,
    EVERYTHING,
    Appended,
    Block,
    Consumer,
    Features,
    Filter,
    GroupInfo,
    GroupSettings,
    Parked,
)


class MemoryStore:
    """An `EventStore` for tests and trials. With `single_active=False` its groups have competing members,
    as EventStoreDB's do; otherwise one is active and the others stand by, as on SQLite."""

    def __init__(self, *, single_active: bool = True) -> None:
        self.features = Features(durable=False, single_active=single_active, shared=False)
        self._state = State(single_active)

    def append(self, block: Block) -> Appended:
        (answer,) = self.append_many([block])
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def append_many(self, blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        check_blocks(blocks)
        for block in blocks:
            for record in block.records:
                _check(block.stream, record)
        with self._state.locked():
            if lease is not None and not lease.active:
                raise LeaseLost("this member is not the active one of its group")
            answers = [self._append(block) for block in blocks]
            self._state.changed.notify_all()
            return answers

    def _append(self, block: Block) -> Appended | StoreError:
        stream = self._state.streams.get(block.stream, [])
        actual = len(stream) - 1 if stream else None
        if refused := too_large(block, block_size(block)):
            return refused
        judged = verdict(block.expected, actual)
        if judged is Verdict.WRITE:
            return self._write(block)
        first = first_revision(block.expected)
        stored = stream[first : first + len(block.records)]
        if judged is Verdict.COMPARE and [it.id for it in stored] == [it.id for it in block.records]:
            return Appended(stored[-1].revision, stored[-1].position)
        return WrongExpectedVersion(block.stream, block.expected, actual)

    def _write(self, block: Block) -> Appended:
        stream, log = self._state.streams.setdefault(block.stream, []), self._state.log
        now = time.time_ns() // 1000
        for new in block.records:
            record = Record(*new, block.stream, len(stream), len(log), now)
            stream.append(record)
            log.append(record)
        return Appended(len(stream) - 1, len(log) - 1)

    def read_stream(self, stream: str, *, start: int | None = None, backwards: bool = False, limit: int | None = None) -> Iterator[Record]:
        with self._state.locked():
            records = list(self._state.streams.get(stream, []))
        if not records:
            raise StreamNotFound(stream)
        found = records[: None if start is None else start + 1][::-1] if backwards else records[start or 0 :]
        return iter(found[:limit])

    def read_all(
        self, *, after: int | None = None, backwards: bool = False, limit: int | None = None, where: Filter = EVERYTHING
    ) -> Iterator[Record]:
        with self._state.locked():
            log = self._state.log
            records = log[: None if after is None else max(after, 0)][::-1] if backwards else log[0 if after is None else after + 1 :]
        return iter([record for record in records if matches(where, record)][:limit])

    def subscribe(self, *, after: int = BEFORE_ALL, where: Filter = EVERYTHING) -> "MemorySubscription":
        return MemorySubscription(self._state, after, where)

    def last_position(self) -> int:
        with self._state.locked():
            return len(self._state.log) - 1

    def wait(self, after: int, timeout: float) -> bool:
        with self._state.locked():
            return self._state.changed.wait_for(lambda: len(self._state.log) - 1 > after, timeout)

    def create_group(self, name: str, *, where: Filter, after: int = BEFORE_ALL, settings: GroupSettings | None = None) -> None:
        with self._state.locked():
            if name in self._state.groups:
                raise GroupExists(f"there is a group {name!r} already")
            self._state.groups[name] = Group(name, where, settings or GroupSettings(), after, after)

    def update_group(self, name: str, settings: GroupSettings) -> None:
        with self._state.locked():
            self._group(name).settings = settings

    def delete_group(self, name: str) -> None:
        with self._state.locked():
            self._group(name).members.clear()
            del self._state.groups[name]
            self._state.changed.notify_all()

    def group_names(self) -> Sequence[str]:
        with self._state.locked():
            return sorted(self._state.groups)

    def groups(self) -> Sequence[GroupInfo]:
        with self._state.locked():
            return [group.info(self._state) for _, group in sorted(self._state.groups.items())]

    def group(self, name: str) -> GroupInfo:
        with self._state.locked():
            return self._group(name).info(self._state)

    def join(self, group: str, member: str) -> MemoryConsumer:
        with self._state.locked():
            return MemoryConsumer(self._state, self._group(group), member)

    def parked(self, group: str) -> Sequence[Parked]:
        with self._state.locked():
            return sorted(self._group(group).parked.values(), key=lambda it: (it.parked_at, it.record.position))

    def replay_parked(self, group: str, ids: Sequence[str] | None = None) -> int:
        with self._state.locked():
            count = self._group(group).replay(ids)
            self._state.changed.notify_all()
            return count

    def drop_parked(self, group: str, ids: Sequence[str]) -> int:
        with self._state.locked():
            return self._group(group).drop(ids)

    def close(self) -> None:
        with self._state.changed:
            self._state.closed = True
            self._state.changed.notify_all()

    def _group(self, name: str) -> Group:
        if name not in self._state.groups:
            raise GroupNotFound(f"there is no group {name!r}")
        return self._state.groups[name]


class MemorySubscription:
    """A catch-up subscription in memory."""

    def __init__(self, state: State, after: int, where: Filter) -> None:
        self.position = after
        self._state = state
        self._where = where
        self._closed = False

    def next_batch(self, limit: int, timeout: float = 0.0) -> Sequence[Record]:
        until = time.monotonic() + timeout
        with self._state.locked():
            while not self._closed:
                self._state.check_open()
                left = until - time.monotonic()
                if (found := self._look(limit)) or left <= 0:
                    return found
                self._state.changed.wait(left)
        return []

    def _look(self, limit: int) -> list[Record]:
        found: list[Record] = []
        while len(found) < limit and self.position + 1 < len(self._state.log):
            self.position += 1
            if matches(self._where, record := self._state.log[self.position]):
                found.append(record)
        return found

    def close(self) -> None:
        with self._state.changed:
            self._closed = True
            self._state.changed.notify_all()


def _check(stream: str, record: NewRecord) -> None:
    if str(UUID(record.id)) != record.id:
        raise ValueError(f"{record.id!r} is no UUID in its canonical lower-case text")
    f"{stream}{record.type}".encode()  # raises UnicodeEncodeError, a ValueError, for what is no UTF-8
