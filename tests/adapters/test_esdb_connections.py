"""Connections that are cut, fall silent, or end with a server that is killed and comes back."""

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice, pairwise
from pathlib import Path
from threading import Event, Thread, enumerate as enumerate_threads
from typing import Any

import pytest

pytest.importorskip("esdbclient", reason="the esdb extra is not installed")

from process_manager.adapters.esdb import client
from process_manager.adapters.esdb.duplex import hear_out
from process_manager.adapters.esdb.store import EsdbStore
from process_manager.core.records import Record
from process_manager.errors import StoreError, StoreUnavailable
from process_manager.ports import Appended, Block, StreamState
from process_manager.testing.contract.support import PATIENCE, eventually, ids, only, put, some, take, unique
from tests.adapters.esdb_proxy import Proxy
from tests.adapters.esdb_server import is_cluster, server_place, server_url, through
from tests.adapters.server_processes import free_port, node, reachable, serving

QUICK = "keepAliveInterval=300&keepAliveTimeout=3000"
"""To notice a silence; three seconds, for a busy machine is silent for moments too."""


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    if is_cluster(server_url()):
        pytest.skip("the nodes of a cluster are found around a proxy")
    with Proxy(*server_place()) as running:
        yield running


@pytest.fixture
def store(proxy: Proxy) -> Iterator[EsdbStore]:
    with closing(EsdbStore(through(proxy.port, QUICK))) as store:
        yield store


@pytest.fixture
def type_() -> str:
    return unique("test.Happened")


class TestCuts:
    """Every connection breaks, again and again."""

    def test_appends_are_written_once_each(self, proxy: Proxy, store: EsdbStore) -> None:
        """Cut somewhere inside the rounds, on the way there or back, fifteen times."""
        streams, chance, version = [unique("order") for _ in range(20)], random.Random(5), -1
        while proxy.cuts < 15:
            proxy.cut_after(chance.randrange(3_000))
            version += 1
            expected = StreamState.NO_STREAM if version == 0 else version - 1
            answers = store.append_many([Block(stream, some(1), expected) for stream in streams])
            assert all(isinstance(answer, Appended) for answer in answers)
        for stream in streams:
            assert [it.revision for it in store.read_stream(stream)] == list(range(version + 1))

    def test_a_read_goes_on_where_it_broke(self, proxy: Proxy, store: EsdbStore, type_: str) -> None:
        records = [it for _ in range(6) for it in put(store, unique("order"), some(500, type_))]
        for backwards in (False, True):
            reading = store.read_all(where=only(type_), backwards=backwards)
            found = list(islice(reading, 10))
            proxy.cut()
            found += reading
            assert found == (records[::-1] if backwards else records)
        stream = records[-1].stream
        reading = store.read_stream(stream, backwards=True)
        first = next(reading)
        proxy.cut()
        assert [first.revision, *(it.revision for it in reading)] == list(range(499, -1, -1))

    def test_a_reconnect_of_one_thread_ends_no_read_of_another(self, store: EsdbStore, type_: str) -> None:
        """esdbclient would close the connection under it, and the read would end as if complete."""
        records = [it for _ in range(6) for it in put(store, unique("order"), some(500, type_))]
        reading = store.read_all(where=only(type_))
        first = next(reading)
        store._reading._client.reconnect()
        assert [first, *reading] == records

    def test_a_subscription_goes_on_behind_its_last_record(self, proxy: Proxy, store: EsdbStore, type_: str) -> None:
        with closing(EsdbStore(server_url())) as other:
            subscription = store.subscribe(after=store.last_position(), where=only(type_))
            found: list[Record] = []
            for number in range(6):
                put(other, unique("order"), some(50, type_))
                proxy.cut()
                while len(found) < 50 * (number + 1):
                    more = subscription.next_batch(1000, timeout=PATIENCE)
                    assert more
                    found += more
            assert ids(found) == ids(list(other.read_all(where=only(type_))))
            assert all(earlier.position < later.position for earlier, later in pairwise(found))
            subscription.close()


class TestSilence:
    """A connection that is half dead: nothing comes, and nobody says so."""

    def test_a_subscription_notices(self, proxy: Proxy, store: EsdbStore, type_: str) -> None:
        with closing(EsdbStore(server_url())) as other:
            subscription = store.subscribe(after=other.last_position(), where=only(type_))
            put(other, unique("order"), some(1, type_))
            assert len(subscription.next_batch(5, timeout=PATIENCE)) == 1
            proxy.stall()
            before = proxy.accepted
            (record,) = put(other, unique("order"), some(1, type_))
            eventually(lambda: proxy.accepted > before)
            assert ids(subscription.next_batch(5, timeout=PATIENCE)) == [record.id]
            subscription.close()

    def test_an_append_notices(self, proxy: Proxy, store: EsdbStore) -> None:
        stream = unique("order")
        put(store, stream, some(1))
        proxy.stall()
        assert store.append(Block(stream, some(1), 0)).revision == 1

    def test_a_read_notices(self, proxy: Proxy, store: EsdbStore) -> None:
        stream = unique("order")
        put(store, stream, some(3))
        proxy.stall()
        assert len(list(store.read_stream(stream))) == 3
        assert store.last_position() > 0

    def test_what_the_server_does_not_send_is_read(self, store: EsdbStore, type_: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """An empty batch means caught up, so it cannot mean that the server is slow."""
        subscription = store.subscribe(after=store.last_position(), where=only(type_))
        monkeypatch.setattr(subscription, "_next", lambda timeout: None)
        records = put(store, unique("order"), some(3, type_))
        assert list(subscription.next_batch(2)) == records[:2]
        assert list(subscription.next_batch(2)) == records[2:]
        assert list(subscription.next_batch(2)) == []
        assert subscription.position >= records[-1].position
        subscription.close()


class TestClosing:
    """The end of a store."""

    def test_calls_after_closing_are_refused(self, store: EsdbStore, proxy: Proxy) -> None:
        stream = unique("order")
        put(store, stream, some(3))
        reading = store.read_stream(stream)
        subscription = store.subscribe()
        assert subscription.next_batch(1, timeout=PATIENCE)  # so that it has its connection
        store.close()
        before = proxy.accepted
        for act in (store.last_position, store.groups, lambda: list(reading), lambda: store.wait(0, 0.1), store.subscribe):
            with pytest.raises(StoreUnavailable, match="closed"):
                act()
        assert list(subscription.next_batch(1)) == []
        assert proxy.accepted == before

    def test_the_threads_of_a_store_end_with_it(self, type_: str) -> None:
        """Where they stand when the process ends, it stops them, though they may hold what it needs to end."""
        before = set(enumerate_threads())
        for _ in range(10):
            with closing(EsdbStore(server_url())) as store:
                store.create_group(name := unique("group"), where=only(type_), after=store.last_position())
                subscription, consumer = store.subscribe(after=store.last_position()), store.join(name, "one")
                put(store, unique("order"), some(1, type_))
                assert subscription.next_batch(1, timeout=PATIENCE)
                assert take(consumer, 1)
                store.delete_group(name)
            left = {thread.name for thread in enumerate_threads() if thread not in before}
            assert not {name for name in left if name.startswith("pm-")}

    def test_a_process_that_forgets_to_close_ends(self) -> None:
        code = (
            "import sys; from process_manager.adapters.esdb.store import EsdbStore; from process_manager.ports import *\n"
            "from process_manager.testing.contract.support import some, unique\n"
            "store = EsdbStore(sys.argv[1]); subscription = store.subscribe()\n"
            "store.append(Block(unique('order'), some(1), StreamState.NO_STREAM)); print(len(subscription.next_batch(1, 60)))\n"
        )
        done = subprocess.run([sys.executable, "-c", code, server_url()], capture_output=True, text=True, timeout=100, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_a_read_that_is_left_early_leaves_no_call_behind(store: EsdbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC keeps one that was not heard out for as long as the connection, and a worker asks where the log ends all day long."""
    put(store, stream := unique("order"), some(300))
    calls: list[Any] = []

    def noted(call: Any) -> None:
        calls.append(call)
        hear_out(call)

    monkeypatch.setattr(client, "hear_out", noted)

    assert next(store.read_stream(stream)).revision == 0
    assert next(store.read_stream(stream, backwards=True)).revision == 299
    assert store.last_position() > 0

    assert len(calls) == 3
    assert not any(call._state.due for call in calls)


class Appending:
    """Appends to ten streams at exact versions in a thread, until it is stopped."""

    def __init__(self, store: EsdbStore) -> None:
        self.rounds = 0
        self.failed: list[StoreError] = []
        self._store = store
        self._streams = [unique("order") for _ in range(10)]
        self._stop = Event()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and not self.failed:
                expected = self.rounds - 1 if self.rounds else StreamState.NO_STREAM
                answers = self._store.append_many([Block(stream, some(1), expected) for stream in self._streams])
                self.failed += [it for it in answers if isinstance(it, StoreError)]
                self.rounds += 1
        except StoreError as error:
            self.failed.append(error)

    def go_on(self) -> None:
        """Wait for twenty rounds more."""
        before = self.rounds
        eventually(lambda: self.rounds > before + 20 or self.failed)

    def check(self) -> None:
        """Stop; every append is there, once."""
        self._stop.set()
        self._thread.join()
        assert self.failed == []
        for stream in self._streams:
            assert [it.revision for it in self._store.read_stream(stream)] == list(range(self.rounds))


def test_a_server_killed_and_started_again_under_appends_loses_and_doubles_nothing(tmp_path: Path) -> None:
    port = free_port()
    with serving(port, tmp_path / "a.db"):
        eventually(lambda: reachable(port))
        store = EsdbStore(f"esdb://127.0.0.1:{port}?tls=false", patience=PATIENCE)
        appending = Appending(store)
        appending.go_on()
    with serving(port, tmp_path / "a.db"):
        appending.go_on()
        appending.check()
        store.close()


def test_when_one_node_is_killed_the_next_one_in_the_url_takes_over(tmp_path: Path, type_: str) -> None:
    """Two servers over one file stand for two nodes: what either answers is in both."""
    ports = (free_port(), free_port())
    url = f"esdb://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}?tls=false"
    with node(ports[1], tmp_path / "a.db"):
        with node(ports[0], tmp_path / "a.db"):
            eventually(lambda: all(map(reachable, ports)))
            store = EsdbStore(url)
            subscription = store.subscribe(where=only(type_), after=store.last_position())
            appending = Appending(store)
            appending.go_on()
        appending.go_on()
        appending.check()
        (record,) = put(store, unique("order"), some(1, type_))
        assert ids(subscription.next_batch(5, timeout=PATIENCE)) == [record.id]
        store.close()
