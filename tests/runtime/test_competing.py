"""Workers that compete on a store where every member of a group is active: whatever the interleaving, everything is decided once."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from process_manager import App
from process_manager.adapters.clock import ManualClock, RealClock
from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.adapters.memory import MemoryStore
from process_manager.core.signals import DEADLINE_PASSED
from process_manager.examples.order_fulfilment import messages as m
from process_manager.ports import Appended, Block, Consumer, Delivery, EventStore, Filter, Nack
from process_manager.runtime import handler_runner, turns
from process_manager.runtime.awaiting import Awaiting
from process_manager.runtime.instances import load
from process_manager.runtime.wiring import build_worker
from process_manager.runtime.worker import Worker
from process_manager.testing.contract.support import PATIENCE, eventually
from tests.runtime.answered_shop import app, place, refund, status
from tests.runtime.claims import Assessed, ClaimFiled, ClaimOpened, Claims, HandleClaim, Settle
from tests.runtime.shop import START

ORDERS = [(str(number), "declined" if number % 3 == 0 else "4000") for number in range(12)]


class Killed(BaseException):
    """Stands for the end of a process."""


class Crowd:
    """Workers on one store. While one is about to append, others may take steps, die, come and go, as a seed says."""

    def __init__(self, seed: int) -> None:
        self.store = MemoryStore(single_active=False)
        self.random = random.Random(seed)
        self.workers: list[Worker] = []
        self.deaths = 0
        self.conflicts = 0
        self._depth = 0
        self._busy: list[Worker] = []
        self._append_many = self.store.append_many
        self.store.append_many = self.append_many  # type: ignore[method-assign]

    def join(self) -> Worker:
        worker = build_worker(app, self.store, RealClock(), SqliteDeadlineIndex(), member=f"worker {len(self.workers)}")
        self.workers.append(worker)
        return worker

    def append_many(self, blocks: Sequence[Block], lease: Consumer | None = None) -> Any:
        if lease is None or self._depth > 2:
            return self._append_many(blocks, lease)
        self._depth += 1
        try:
            if self.random.random() < 0.5:
                self.step(self.random.choice(self.workers))
            self._maybe_die()
            answers = self._append_many(blocks, lease)
            self.conflicts += sum(not isinstance(answer, Appended) for answer in answers)
            self._maybe_die()
            return answers
        finally:
            self._depth -= 1

    def _maybe_die(self) -> None:
        if self.deaths < 2 and self.random.random() < 0.05:
            self.deaths += 1
            raise Killed

    def step(self, worker: Worker) -> int:
        if worker in self._busy:
            return 0
        self._busy.append(worker)
        try:
            return worker.step()
        except Killed:
            worker.close()
            if worker in self.workers:
                self.workers.remove(worker)
            self.join()
            return 1
        finally:
            self._busy.remove(worker)

    def settle(self) -> None:
        """Until all is taken; now and then somebody comes or goes."""
        for _ in range(5_000):
            worked = self.step(self.random.choice(self.workers))
            if self.random.random() < 0.02 and len(self.workers) > 1:
                leaving = self.workers.pop(self.random.randrange(len(self.workers)))
                leaving.close()
                self.join()
            if not worked and all(group.lag == 0 for group in self.store.groups()):
                return
        raise AssertionError("it does not settle")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that everybody gets something."""
    monkeypatch.setattr(turns, "BATCH", 3)
    monkeypatch.setattr(handler_runner, "BATCH", 2)


@pytest.fixture(scope="module")
def alone() -> dict[str, str]:
    """How each order ends with one worker."""
    store = MemoryStore()
    for key, card in ORDERS:
        place(store, key, card=card)
    worker = build_worker(app, store, RealClock(), SqliteDeadlineIndex())
    worker.run(until_idle=True)
    worker.close()
    return {key: status(store, key) for key, _ in ORDERS}


def settled(seed: int) -> Crowd:
    """Three workers that have taken everything."""
    crowd = Crowd(seed)
    for _ in range(3):
        crowd.join()
    for key, card in ORDERS:
        place(crowd.store, key, card=card)
    crowd.settle()
    for worker in crowd.workers:
        worker.close()
    return crowd


def effects(store: EventStore) -> Counter[tuple[str, bytes]]:
    """How often each command stands in the log, and each answer."""
    types = frozenset(app.handled_commands) | {m.StockReserved.message_type, m.CardCharged.message_type, m.OrderShipped.message_type}
    return Counter((record.type, record.data) for record in store.read_all(where=Filter(types=types)))


@pytest.mark.parametrize("seed", range(25))
def test_whatever_the_interleaving_every_order_ends_once_and_as_with_one_worker(seed: int, alone: dict[str, str]) -> None:
    """With workers that act between another's decision and its append, that die before or after it, that come and go."""
    crowd = settled(seed)

    assert {key: status(crowd.store, key) for key, _ in ORDERS} == alone
    assert set(effects(crowd.store).values()) == {1}
    assert sum(group.parked for group in crowd.store.groups()) == 0


def test_the_interleavings_do_meet_conflicts_and_deaths() -> None:
    """Else the test above would show nothing."""
    crowds = [settled(seed) for seed in range(5)]
    assert sum(crowd.conflicts for crowd in crowds) > 0
    assert sum(crowd.deaths for crowd in crowds) > 0


def test_workers_in_threads_end_every_order_once(alone: dict[str, str]) -> None:
    """Five of them, of which two leave on the way and one comes late; each ends when all is taken, by whomever."""
    store = MemoryStore(single_active=False)
    orders = [(str(number), "declined" if number % 3 == 0 else "4000") for number in range(90)]
    workers = [build_worker(app, store, RealClock(), SqliteDeadlineIndex(), member=f"worker {number}") for number in range(5)]
    threads = [threading.Thread(target=worker.run, kwargs={"until_idle": True}) for worker in workers]
    for key, card in orders[:45]:
        place(store, key, card=card)
    for thread in threads[:4]:
        thread.start()
    for worker in workers[:2]:
        worker.stop()
        worker_thread = threads[workers.index(worker)]
        worker_thread.join(PATIENCE)
        assert not worker_thread.is_alive()
        worker.close()
    for key, card in orders[45:]:
        place(store, key, card=card)
    threads[4].start()
    for thread in threads[2:]:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    for worker in workers[2:]:
        worker.close()

    assert Counter(status(store, key) for key, _ in orders) == {"completed": 60, "compensated": 30}
    assert set(effects(store).values()) == {1}
    assert sum(group.parked for group in store.groups()) == 0


def test_a_worker_is_not_idle_while_another_has_something_in_its_hands() -> None:
    """What that one makes of it may be this one's next input."""
    store = MemoryStore(single_active=False)
    worker = build_worker(app, store, RealClock(), SqliteDeadlineIndex())
    place(store, "1")
    group = next(name for name in worker.groups if ".processes." in name)
    other = store.join(group, "other")
    deliveries = other.fetch(1)
    thread = threading.Thread(target=worker.run, kwargs={"until_idle": True}, daemon=True)
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()

    other.nack(deliveries, Nack.RETRY)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    worker.close()
    assert status(store, "1") == "completed"


def test_an_input_whose_instance_is_with_another_worker_waits_for_it() -> None:
    """Routed by a correlation id that is not noted yet: it is tried again, not parked."""
    store = MemoryStore(single_active=False)
    first, second = Claims(store), Claims(store)
    held: list[Delivery] = []
    fetch = first.turns.consumer.fetch

    def hold(limit: int, timeout: float = 0.0) -> list[Delivery]:
        held.extend(fetch(limit, timeout))
        return []

    first.turns.consumer.fetch = hold  # type: ignore[method-assign]
    first.publish(ClaimFiled(claim_id="7"), **{"$correlationId": "mail-1"})
    assert len(held) == 1
    second.publish(Assessed(amount=5), **{"$correlationId": "mail-1"})
    assert second.parked() == []

    first.turns._take(held)
    eventually(lambda: second.turns.step() == 0 and second.instance("7").status == "completed")
    assert second.parked() == []


def test_an_input_that_waits_for_one_process_is_taken_by_another_at_once() -> None:
    """And is parked for the first when it has waited long enough."""
    now = [0.0]
    claims = Claims(MemoryStore(single_active=False), HandleClaim, Settle)
    claims.turns._awaiting = Awaiting(lambda: now[0])
    claims.publish(ClaimOpened(claim_id="5"))
    claims.publish(Assessed(amount=5), **{"$correlationId": "mail-1"})
    assert load(claims.store, Settle.definition, "5").outcome == "settled"
    assert claims.parked() == []
    now[0] = 1.0
    claims.turns.step()
    assert claims.counters.duplicates == 0
    now[0] = 21.0
    claims.turns.step()
    (reason,) = claims.parked()
    assert "mail-1" in reason


def test_an_input_that_has_waited_long_enough_is_parked() -> None:
    """Nobody knows its instance."""
    now = [0.0]
    store = MemoryStore(single_active=False)
    claims = Claims(store)
    claims.turns._awaiting = Awaiting(lambda: now[0])
    claims.publish(Assessed(amount=5), **{"$correlationId": "mail-1"})
    now[0] = 19.0
    claims.turns.step()
    assert claims.parked() == []
    now[0] = 21.0
    claims.turns.step()
    (reason,) = claims.parked()
    assert "mail-1" in reason


def passed(store: EventStore) -> list[bytes]:
    """The deadlines that were fired."""
    return [record.data for record in store.read_all(where=Filter(types=frozenset({DEADLINE_PASSED})))]


def test_three_workers_fire_each_deadline_once() -> None:
    """Each follows the deadlines by itself; whoever is first has fired it, for all of them."""
    store = MemoryStore(single_active=False)
    clock = ManualClock(START)
    keys = [str(number) for number in range(30)]
    for key in keys:
        place(store, key, total=900)  # for which nobody gives the review that has to be there in a day
    first = build_worker(app, store, clock, SqliteDeadlineIndex())
    first.run(until_idle=True)  # so that everything else is answered, and its deadlines met, before the clock moves
    first.close()
    workers = [build_worker(app, store, clock, SqliteDeadlineIndex(), member=f"worker {number}") for number in range(3)]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    clock.advance(timedelta(days=1, seconds=1))
    eventually(lambda: all(status(store, key) == "compensated" for key in keys))
    for worker, thread in zip(workers, threads, strict=True):
        worker.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        worker.close()

    fired = passed(store)
    assert len(fired) == len(set(fired)) == 30
    assert set(effects(store).values()) == {1}


def test_a_worker_that_comes_late_fires_nothing_that_was_met_long_ago() -> None:
    """It follows the log to its end before it fires; what is still pending and due it fires then."""
    store = MemoryStore(single_active=False)
    clock = ManualClock(START)
    place(store, "met")
    place(store, "open", total=900)
    first = build_worker(app, store, clock, SqliteDeadlineIndex())
    first.run(until_idle=True)
    first.close()
    assert status(store, "met") == "completed"

    clock.advance(timedelta(days=30))
    late = build_worker(app, store, clock, SqliteDeadlineIndex())
    late.run(until_idle=True)
    late.close()
    assert [b'"order_fulfilment-open"' in data for data in passed(store)] == [True]
    assert status(store, "open") == "compensated"


def test_workers_leave_a_drained_group_one_by_one_and_the_last_deletes_it() -> None:
    """One of the old version stays in it for as long as it likes."""
    store = MemoryStore(single_active=False)
    old_app = App("shop", processes=app.processes, handlers=app.handlers[:3])
    old = build_worker(old_app, store, RealClock(), SqliteDeadlineIndex(), member="old")
    old_group = next(name for name in old.groups if ".handlers." in name)
    new_app = App("shop", processes=app.processes, handlers=[*app.handlers, refund])
    new = [build_worker(new_app, store, RealClock(), SqliteDeadlineIndex(), member=f"new {number}") for number in range(2)]
    assert store.group(old_group).consumers == 3

    eventually(lambda: all(worker.step() == 0 and old_group not in worker.groups for worker in new))
    assert store.group(old_group).members == ["old"]
    place(store, "1")
    eventually(lambda: status(store, "1") == "completed" if sum([worker.step() for worker in (old, *new)]) == 0 else False)
    old.close()
    late = build_worker(new_app, store, RealClock(), SqliteDeadlineIndex(), member="late")
    eventually(lambda: late.step() == 0 and old_group not in {group.name for group in store.groups()})
    for worker in (late, *new):
        worker.close()
