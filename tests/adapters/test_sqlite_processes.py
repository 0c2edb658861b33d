"""Several processes on one file: kills, stops, races. Nothing is lost, nothing is torn, and nobody waits for long."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.records import Record
from process_manager.errors import StoreUnavailable
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
        worker = start("append_batches", path, f"life{life}")
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
        worker = start("work", path, "group")
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


def test_a_living_holder_keeps_its_lease(path: Path, store: SqliteStore, start: Callable[..., Worker]) -> None:
    settings = GroupSettings(lease=timedelta(milliseconds=300))
    store.create_group("group", where=EVERY_TEST, settings=settings)
    store.append(Block("order", some(1), StreamState.NO_STREAM))
    holder = start("hold", path, "group")
    assert holder.heard() == [0]
    standby = store.join("group", "standby")
    assert list(standby.fetch(1, timeout=1.5)) == []  # five lengths of the lease
    holder.tell()
    assert holder.heard() == "appended"


def test_who_was_stopped_and_wakes_up_may_do_nothing(path: Path, store: SqliteStore, start: Callable[..., Worker]) -> None:
    settings = GroupSettings(message_timeout=timedelta(minutes=5), lease=timedelta(milliseconds=300))
    store.create_group("group", where=EVERY_TEST, settings=settings)
    store.append(Block("order", some(1), StreamState.NO_STREAM))
    holder = start("hold", path, "group")
    assert holder.heard() == [0]
    standby = store.join("group", "standby")
    holder.signal(signal.SIGSTOP)
    assert [it.retries for it in take(standby, 1)] == [1]
    before = store.last_position()
    holder.tell()
    holder.signal(signal.SIGCONT)
    assert holder.heard() == "lease lost"
    assert store.last_position() == before


def test_the_append_of_another_process_is_noticed_within_50_ms(path: Path, store: SqliteStore, start: Callable[..., Worker]) -> None:
    """The typical delay is under 50 ms, and waiting takes hardly any CPU."""
    writer = start("append_when_told", path, "order")
    assert writer.heard() == "ready"
    delays, busy, idle = [], time.process_time(), time.monotonic()
    for _ in range(20):
        last = store.last_position()
        writer.tell()
        assert store.wait(last, PATIENCE)
        noticed = time.monotonic_ns()
        delays.append((noticed - writer.heard()) / 1e6)
    assert median(delays) < 50
    assert not store.wait(store.last_position(), 0.5)
    assert time.process_time() - busy < 0.5 * (time.monotonic() - idle)


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
    writer = start("append_batches", path, "life")
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


@contextmanager
def forked() -> Iterator[bool]:
    """True in a child, whose fate is its exit code."""
    pid = os.fork()
    if pid == 0:
        try:
            yield True
        except BaseException:  # noqa: BLE001  a child must not return into pytest
            os._exit(1)
        os._exit(0)
    yield False
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_does_not_use_its_parents_connections(path: Path, store: SqliteStore) -> None:
    store.append(Block("order", some(1), StreamState.NO_STREAM))
    with forked() as child:
        if child:
            with pytest.raises(StoreUnavailable, match="fork"):
                store.last_position()
            store.close()
            own = SqliteStore(path)
            own.append(Block("order", some(1), 0))
            own.close()
    assert store.append(Block("order", some(1), 1)).position == 2
