"""What other processes do to a store while `test_sqlite_processes` looks on: one word a line on stdout, orders on stdin."""

import json
import os
import sys
from uuid import uuid4

from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.records import NewRecord
from process_manager.errors import LeaseLost, StoreUnavailable, WrongExpectedVersion
from process_manager.ports import Appended, Block, Consumer, StreamState


def say(word: object) -> None:
    sys.stdout.write(json.dumps(word) + "\n")
    sys.stdout.flush()


def records(number: int, size: int) -> list[NewRecord]:
    return [NewRecord(str(uuid4()), "test.Happened", b'{"batch":%d}' % number, b"x" * 300) for _ in range(size)]


def append_batches(store: SqliteStore, name: str, times: str) -> None:
    """Append so many numbered batches of 20 blocks of 3 records, then wait to be killed; say each number when it is on disk."""
    for number in range(int(times)):
        store.append_many([Block(f"{name}-{number}-{block}", records(number, 3), StreamState.NO_STREAM) for block in range(20)])
        say(number)
    sys.stdin.readline()


def append_to_one(store: SqliteStore, stream: str, times: str) -> None:
    """Append to a stream that others append to as well: read its version, try, and try again."""
    for number in range(int(times)):
        while not attempt(store, stream, number):
            pass
    say("done")


def attempt(store: SqliteStore, stream: str, number: int) -> bool:
    version = next(store.read_stream(stream, backwards=True, limit=1)).revision
    try:
        store.append(Block(stream, records(number, 1), version))
    except WrongExpectedVersion:
        return False
    return True


def append_when_told(store: SqliteStore, stream: str) -> None:
    """Append a record for each line; say which."""
    say("ready")
    for number, _ in enumerate(sys.stdin):
        store.append(Block(stream, records(number, 1), StreamState.ANY))
        say(number)


def work(store: SqliteStore, group: str, times: str) -> None:
    """Fetch and acknowledge so many times, then wait to be killed; say what is in hand, then what is acknowledged."""
    consumer = store.join(group, "worker")
    for _ in range(int(times)):
        found = consumer.fetch(7, timeout=1.0)
        say(["fetched", [it.record.position for it in found]])
        consumer.ack(found[::2])
        say(["acked", [it.record.position for it in found[::2]]])
        consumer.ack(found[1::2])
        say(["acked", [it.record.position for it in found[1::2]]])
    sys.stdin.readline()


def hold(store: SqliteStore, group: str) -> None:
    """Take what there is and hold it; then, when told, append for the group and say how that went."""
    consumer = store.join(group, "holder")
    say([it.record.position for it in consumer.fetch(100, timeout=100)])
    for _ in sys.stdin:
        say(append_under_lease(store, consumer))


def append_under_lease(store: SqliteStore, consumer: Consumer) -> str:
    block = Block(f"holder-{uuid4().hex}", records(0, 1), StreamState.NO_STREAM)
    try:
        (answer,) = store.append_many([block], lease=consumer)
    except LeaseLost:
        return "lease lost"
    return "appended" if isinstance(answer, Appended) else "refused"


def fork_and_append(store: SqliteStore, stream: str) -> None:
    """Append in a child, first on what was its parent's, which is refused, then on its own; then in the parent. Say how the child ended."""
    path = sys.argv[2]
    pid = os.fork()
    if pid == 0:
        os._exit(append_in_child(store, path, stream))
    _, status = os.waitpid(pid, 0)
    store.append(Block(stream, records(2, 1), 1))
    say(os.waitstatus_to_exitcode(status))


def append_in_child(store: SqliteStore, path: str, stream: str) -> int:
    try:
        store.last_position()
    except StoreUnavailable as refused:
        store.close()
        own = SqliteStore(path)
        own.append(Block(stream, records(1, 1), 0))
        own.close()
        return 0 if "fork" in str(refused) else 2
    return 1


def open_and_append(store: SqliteStore, name: str) -> None:
    store.append(Block(name, records(0, 1), StreamState.NO_STREAM))
    say("done")


if __name__ == "__main__":
    globals()[sys.argv[1]](SqliteStore(sys.argv[2]), *sys.argv[3:])
