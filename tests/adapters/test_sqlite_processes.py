"""Several processes on one file: kills, stops, races. Nothing is lost, nothing is torn, and nobody waits for long."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from process_manager.adapters.sqlite import SqliteStore, lease, store as module
from process_manager.core.records import Record
from process_manager.ports import Block, Filter, GroupSettings, StreamState
from process_manager.testing.contract.support import PATIENCE, eventually, some, take

WORKER = Path(__file__).with_name("sqlite_worker.py")
EVERY_TEST = Filter(type_prefixes=("test.",))


class Worker:
    """Another process that does one of the things in `sqlite_worker`."""

    def __init__(self, action: str, *args: object) -> None:
        command = [sys.executable, str(WORKER), action, *map(str, args)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def heard(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, f"the worker ended with {self.process.wait()}"
        return json.loads(line)

    def tell(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def kill(self) -> list[Any]:
        """Kill it at once; what it still said."""
        self.process.kill()
        assert self.process.stdin
        assert self.process.stdout
        rest = [json.loads(line) for line in self.process.stdout.read().splitlines() if line.endswith(("]", '"')) or line.isdigit()]
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        return rest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def start(action: str, *args: object) -> Worker:
        workers.append(Worker(action, *args))
        return workers[-1]

    yield start
    for worker in workers:
        if worker.process.returncode is None:
            worker.kill()


def spin(seconds: float) -> None:
    """Let a random moment pass, finer than a sleep could."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def batches(records: list[Record]) -> dict[str, int]:
    """How many records of each batch there are."""
    counts: dict[str, int] = {}
    for record in records:
        batch = record.stream.rsplit("-", 1)[0]
        counts[batch] = counts.get(batch, 0) + 1
    return counts


def test_a_kill_at_any_moment_loses_nothing_and_tears_nothing(path: Path, start: Callable[..., Worker]) -> None:
    """What was said to be on disk is there, and the batch that the kill met is there whole or not at all."""
    rng = random.Random(7)
    said: set[str] = set()
    for life in range(10):
        worker = start("append_batches", path, f"life{life}", 100)
        numbers = [worker.heard() for _ in range(rng.randrange(1, 12))]
        spin(rng.random() * 0.01)
        numbers += worker.kill()
        said |= {f"life{life}-{number}" for number in numbers}
        store = SqliteStore(path)
        records = list(store.read_all(where=EVERY_TEST))
        assert [record.position for record in records] == list(range(len(records)))
        assert said <= batches(records).keys()
        assert set(batches(records).values()) == {60}
        assert len(list(store.read_stream(f"life{life}-0-0"))) == 3
        store.close()


def test_a_killed_consumers_records_are_delivered_again_and_its_acks_hold(
    path: Path, store: SqliteStore, start: Callable[..., Worker]
) -> None:
    """Over many kills every record is acknowledged in the end, and none is delivered after that."""
    rng = random.Random(11)
    store.append(Block("order", some(1500), StreamState.NO_STREAM))
    settings = GroupSettings(message_timeout=timedelta(minutes=5), lease=timedelta(milliseconds=150))
    store.create_group("group", where=EVERY_TEST, settings=settings)
    delivered: set[int] = set()
    acked: set[int] = set()
    for _ in range(6):
        worker = start("work", path, "group", 30)  # all six together leave something, however late they are killed
        words = [worker.heard() for _ in range(rng.randrange(3, 60))]
        spin(rng.random() * 0.002)
        for kind, positions in words + worker.kill():
            assert not (kind == "fetched" and acked & set(positions))
            (delivered if kind == "fetched" else acked).update(positions)
    assert acked < set(range(1500))
    consumer = store.join("group", "the last one")
    while store.group("group").lag:
        found = consumer.fetch(100, timeout=PATIENCE)
        assert found
        positions = [it.record.position for it in found]
        assert not acked & set(positions)
        delivered.update(positions)
        consumer.ack(found)
    assert delivered == set(range(1500))


def test_a_standby_takes_over_from_the_dead(path: Path, store: SqliteStore, start: Callable[..., Worker]) -> None:
    settings = GroupSettings(message_timeout=timedelta(minutes=5), lease=timedelta(milliseconds=300))
    store.create_group("group", where=EVERY_TEST, settings=settings)
    store.append(Block("order", some(3), StreamState.NO_STREAM))
    holder = start("hold", path, "group")
    assert holder.heard() == [0, 1, 2]
    standby = store.join("group", "standby")
    assert not standby.active
    holder.kill()
    store.append(Block("order", some(1), 2))
    assert [(it.record.position, it.retries) for it in take(standby, 4)] == [(0, 1), (1, 1), (2, 1), (3, 0)]
    assert standby.active


def test_a_living_holder_keeps_its_lease(
    path: Path, store: SqliteStore, start: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it has nothing to do: the standby, whose clock the test moves, sees its counter rise."""
    settings = GroupSettings(lease=timedelta(milliseconds=300))
    store.create_group("group", where=EVERY_TEST, settings=settings)
    store.append(Block("order", some(1), StreamState.NO_STREAM))
    holder = start("hold", path, "group")
    assert holder.heard() == [0]
    now = [0.0]
    monkeypatch.setattr(lease, "time", SimpleNamespace(monotonic=lambda: now[0]))
    standby = store.join("group", "standby")
    for _ in range(5):
        before = counter(path)
        eventually(lambda: counter(path) > before)  # noqa: B023  asked at once
        now[0] += 0.4
        assert list(standby.fetch(1)) == []
    holder.tell()
    assert holder.heard() == "appended"


def counter(path: Path) -> int:
    """What a standby looks at."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT beat FROM groups").fetchone()[0])


def stop_between_transactions(worker: Worker, path: Path) -> None:
    """In the middle of one it would hold the lock of all who write."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        while True:
            worker.signal(signal.SIGSTOP)
            os.waitpid(worker.process.pid, os.WUNTRACED)
            with suppress(sqlite3.OperationalError):
                connection.execute("BEGIN IMMEDIATE")
                return
            worker.signal(signal.SIGCONT)


def test_who_was_stopped_and_wakes_up_may_do_nothing(path: Path, store: SqliteStore, start: Callable[..., Worker]) -> None:
    settings = GroupSettings(message_timeout=timedelta(minutes=5), lease=timedelta(milliseconds=300))
    store.create_group("group", where=EVERY_TEST, settings=settings)
    store.append(Block("order", some(1), StreamState.NO_STREAM))
    holder = start("hold", path, "group")
    assert holder.heard() == [0]
    standby = store.join("group", "standby")
    stop_between_transactions(holder, path)
    assert [it.retries for it in take(standby, 1)] == [1]
    before = store.last_position()
    holder.tell()
    holder.signal(signal.SIGCONT)
    assert holder.heard() == "lease lost"
    assert store.last_position() == before


def test_the_append_of_another_process_is_noticed(path: Path, store: SqliteStore, start: Callable[..., Worker]) -> None:
    writer = start("append_when_told", path, "order")
    assert writer.heard() == "ready"
    for number in range(20):
        last = store.last_position()
        writer.tell()
        assert store.wait(last, PATIENCE)
        assert writer.heard() == number


def test_who_waits_looks_within_50_ms_and_sleeps_in_between(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Often enough for what is promised, and seldom enough to take hardly any CPU; time passes in the pauses alone."""
    pauses: list[float] = []
    monkeypatch.setattr(store._tail, "pause", lambda _, timeout: pauses.append(timeout))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: sum(pauses)))
    assert not store.wait(store.last_position(), 1.0)
    assert max(pauses) < 0.05
    assert len(pauses) < 100


def test_processes_that_want_one_stream_all_get_their_turn(path: Path, store: SqliteStore, start: Callable[..., Worker]) -> None:
    store.append(Block("shared", some(1), StreamState.NO_STREAM))
    workers = [start("append_to_one", path, "shared", 40) for _ in range(3)]
    for version in range(40):
        eventually(lambda: _append_at_end(store))
        assert store.last_position() > version
    assert [worker.heard() for worker in workers] == ["done"] * 3
    assert [record.revision for record in store.read_stream("shared")] == list(range(161))
    assert [record.position for record in store.read_all(where=EVERY_TEST)] == list(range(161))


def _append_at_end(store: SqliteStore) -> bool:
    version = next(store.read_stream("shared", backwards=True, limit=1)).revision
    (answer,) = store.append_many([Block("shared", some(1), version)])
    return not isinstance(answer, Exception)


def test_processes_that_create_one_file_all_may(path: Path, start: Callable[..., Worker]) -> None:
    workers = [start("open_and_append", path, f"order-{number}") for number in range(5)]
    assert [worker.heard() for worker in workers] == ["done"] * 5
    store = SqliteStore(path)
    assert len(list(store.read_all(where=EVERY_TEST))) == 5
    store.close()


def test_a_backup_while_others_write_is_a_whole_store(path: Path, tmp_path: Path, store: SqliteStore, start: Callable[..., Worker]) -> None:
    store.create_group("group", where=EVERY_TEST)
    writer = start("append_batches", path, "life", 100)  # fewer records than a lag counts
    for number in range(5):
        writer.heard()
        copy = tmp_path / f"copy-{number}.db"
        before = store.last_position()
        store.backup(copy)
        assert [it.name for it in tmp_path.glob("copy-*-*")] == []
        restored = SqliteStore(copy, create=False)
        records = list(restored.read_all(where=EVERY_TEST))
        assert len(records) > before
        assert set(batches(records).values()) == {60}
        assert restored.group("group").lag == len(records)
        restored.append(Block("order", some(1), StreamState.NO_STREAM))
        restored.close()


def test_a_fork_does_not_use_its_parents_connections(path: Path, store: SqliteStore, start: Callable[..., Worker]) -> None:
    """In a process without other threads, unlike this one, whose child could find a lock held by a thread that it does not have."""
    store.append(Block("order", some(1), StreamState.NO_STREAM))
    forker = start("fork_and_append", path, "order")
    assert forker.heard() == 0
    assert [record.revision for record in store.read_stream("order")] == [0, 1, 2]
