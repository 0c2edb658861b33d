"""The worker: all roles of an app on one store, driven time, stopping, and going on elsewhere."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from process_manager import Aggregate, App, Repository, handles
from process_manager.adapters.clock import DrivenClock, RealClock
from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.errors import AppError, GroupNotFound
from process_manager.examples.order_fulfilment import messages as m
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.ports import Block, Clock, Consumer, EventStore, Filter, GroupInfo, Nack, StreamState
from process_manager.runtime import worker as worker_module
from process_manager.runtime.counters import Counters
from process_manager.runtime.instances import load
from process_manager.runtime.time_driver import TimeDriver, run_through
from process_manager.runtime.wiring import build_worker
from process_manager.runtime.worker import Worker
from process_manager.testing.contract.support import eventually
from tests.runtime.answered_shop import START, Desk, app, charge, place, refund, release, reserve, ship, status


def worker_on(store: EventStore, clock: Clock | None = None) -> Worker:
    return build_worker(app, store, clock or RealClock(), SqliteDeadlineIndex())


def test_orders_flow_until_nothing_is_left(store: EventStore) -> None:
    """Processes, inline handlers and calls work together; every order ends."""
    for number in range(20):
        place(store, str(number), card="declined" if number % 5 == 0 else "4000")
    worker = worker_on(store)
    worker.run(until_idle=True)
    worker.close()

    counts = Counter(status(store, str(number)) for number in range(20))
    assert counts == {"completed": 16, "compensated": 4}


def test_driven_time_jumps_from_deadline_to_deadline(store: EventStore) -> None:
    """A review that nobody gives is overdue after a day of driven time; the reserved stock is released."""
    place(store, "1", total=900)
    worker = worker_on(store, DrivenClock())
    driver = TimeDriver(store)
    run_through(worker, driver)
    worker.close()

    instance = load(store, OrderFulfilment.definition, "1")
    assert (instance.status, instance.outcome) == ("compensated", "nobody reviewed the order in time")
    assert driver.now == START + timedelta(days=1)
    assert instance.ended_at == START + timedelta(days=1)


def test_a_worker_goes_on_where_another_stopped(store: EventStore) -> None:
    """Stopped after any number of batches and started anew, with an index that is rebuilt, the end is the same."""
    for number in range(10):
        place(store, str(number))
    for _ in range(30):
        worker = worker_on(store)
        if not worker.step():
            worker.close()
            break
        worker.close()
    worker = worker_on(store)
    worker.run(until_idle=True)
    worker.close()

    commands = Counter((record.type, record.data) for record in store.read_all(where=Filter(types=frozenset(app.handled_commands))))
    assert set(commands.values()) == {1}
    assert {status(store, str(number)) for number in range(10)} == {"completed"}


def test_stop_ends_the_loop_after_the_batch(store: EventStore) -> None:
    """A worker that was told to stop leaves its groups with nothing in flight."""
    place(store, "1")
    worker = build_worker(app, store, RealClock(), SqliteDeadlineIndex(), progress=lambda _: worker.stop())
    worker.run()
    worker.close()

    assert {group.in_flight for group in store.groups()} == {0}


def test_a_standby_waits_until_the_others_are_done(store: EventStore) -> None:
    """`until_idle` of a member that is not active ends when its group has nothing left."""
    place(store, "1")
    first, second = worker_on(store), worker_on(store)
    first.run(until_idle=True)
    second.run(until_idle=True)
    first.close()
    second.close()

    assert status(store, "1") == "completed"


def test_what_an_older_group_holds_is_taken_and_then_it_goes(store: EventStore) -> None:
    """What is replayed there too; with nothing waiting, in flight or parked it is deleted, while the worker runs."""
    before = App("shop", processes=[OrderFulfilment], handlers=[reserve, release, charge])
    place(store, "1")
    first = build_worker(before, store, RealClock(), SqliteDeadlineIndex())
    first.run(until_idle=True)
    first.close()
    (old,) = (group.name for group in store.groups() if ".handlers." in group.name)
    command = next(iter(store.read_all(where=Filter(types=frozenset({m.ReserveStock.message_type})))))
    place(store, "2")
    consumer = store.join(old, "operator")
    store.append(
        Block("other-1", [NewRecord(derive("again"), command.type, command.data, b'{"instance": "other-1"}')], StreamState.NO_STREAM)
    )
    consumer.nack(consumer.fetch(1), Nack.PARK, "bad")
    consumer.leave()

    after = App("shop", processes=[OrderFulfilment], handlers=[reserve, charge, ship, release, refund])
    worker = build_worker(after, store, RealClock(), SqliteDeadlineIndex())
    worker.run(until_idle=True)
    assert old in {group.name for group in store.groups()}
    store.replay_parked(old)
    eventually(lambda: worker.step() == 0 and old not in {group.name for group in store.groups()})
    assert old not in worker.groups
    worker.close()
    assert status(store, "2") == "completed"


def test_a_group_that_is_made_again_is_joined_again(store: EventStore) -> None:
    """As when its settings are changed where that drops it."""
    worker = worker_on(store)
    group = store.group(next(name for name in worker.groups if ".processes." in name))
    store.delete_group(group.name)
    worker.step()
    assert worker.store_trouble
    store.create_group(group.name, where=group.where, after=group.checkpoint)
    place(store, "1")
    worker.run(until_idle=True)
    worker.close()

    assert status(store, "1") == "completed"
    assert not worker.store_trouble


@pytest.mark.parametrize("role", ["processes", "handlers"])
def test_a_worker_whose_group_is_deleted_says_so_once_and_ends(
    store: EventStore, role: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whichever it was; another one makes it anew."""
    monkeypatch.setattr(worker_module, "ABSENT", 1.0)
    worker = worker_on(store)
    gone = next(name for name in worker.groups if f".{role}." in name)
    store.delete_group(gone)
    with pytest.raises(GroupNotFound, match=f"{gone} was deleted"):
        worker.run()
    worker.close()
    said = [each.message for each in caplog.records if each.name == worker_module.__name__]  # not what other tests' threads still say
    assert sum("waiting for a group" in each for each in said) == 1
    assert len(said) <= 3

    place(store, "1")
    again = worker_on(store)
    again.run(until_idle=True)
    again.close()
    assert status(store, "1") == "completed"


def test_everything_wrong_with_an_app_is_told_at_once() -> None:
    """Names, doubled handlers and things that are no processes come in one error."""

    @handles(m.ShipOrder)
    def ship_again(command: m.ShipOrder) -> m.OrderShipped:
        return m.OrderShipped(order_id=command.order_id, parcel="p")

    with pytest.raises(AppError) as caught:
        App("a-b", processes=[OrderFulfilment, Desk], handlers=[ship, ship_again])  # type: ignore[list-item]

    assert len(caught.value.problems) == 3


def test_a_class_instead_of_a_list_is_told_in_words() -> None:
    """`processes=OrderFulfilment` is an easy slip."""
    with pytest.raises(AppError, match=r"processes=\[\.\.\.\]"):
        App("shop", processes=OrderFulfilment)  # type: ignore[arg-type]


def test_a_handler_whose_outcome_answers_no_step_is_refused() -> None:
    """Its step would wait in vain."""

    @handles(m.ShipOrder)
    def ship_wrongly(command: m.ShipOrder) -> m.CardCharged:
        return m.CardCharged(order_id=command.order_id, amount=Decimal(1))

    with pytest.raises(AppError, match="CardCharged, which no step takes as an answer to ShipOrder"):
        App("shop", processes=[OrderFulfilment], handlers=[ship_wrongly])


class Parcel(Aggregate, category="order_fulfilment"):
    """Of the process's own name."""


def test_a_process_and_an_aggregate_that_would_share_streams_are_refused() -> None:
    @handles(m.ShipOrder)
    def edit_parcel(command: m.ShipOrder, parcels: Repository[Parcel]) -> None:
        """Never called."""

    with pytest.raises(AppError, match="the process 'order_fulfilment' and the aggregate Parcel would share streams"):
        App("shop", processes=[OrderFulfilment], handlers=[edit_parcel])


def test_a_process_that_is_named_twice_is_refused() -> None:
    with pytest.raises(AppError, match="OrderFulfilment stands twice in processes"):
        App("shop", processes=[OrderFulfilment, OrderFulfilment])


class Idle:
    """A role in a group in which nothing is for it to do."""

    role = "handlers"
    busy = False
    left = 0

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer

    def step(self) -> int:
        return 0

    def finish(self) -> None: ...

    def close(self) -> None:
        self.consumer.leave()


def test_an_older_group_goes_only_when_it_is_empty_at_two_looks(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between them something is replayed: it is parked no more, and not to be delivered yet."""
    monkeypatch.setattr(worker_module, "SWEEP", 0.0)
    store.create_group("old", where=Filter())
    worker = Worker(store, {"old": Idle(store.join("old", "w"))}, None, Counters(), older=["old"])
    group = store.group
    lags = iter([0, 1, 0, 0])
    monkeypatch.setattr(store, "group", lambda name: replace(group(name), lag=next(lags)))
    there = []
    for _ in range(4):
        worker.step()
        there.append(worker.groups)

    assert there == [["old"], ["old"], ["old"], []]
    assert [each.name for each in store.groups()] == []


def test_a_worker_that_waits_for_its_calls_is_not_taken_for_stuck(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever watches it would kill it in the middle of them."""
    store.create_group("calls", where=Filter())
    role = Idle(store.join("calls", "w"))
    worker = Worker(store, {"calls": role}, None, Counters())
    monkeypatch.setattr(worker, "_alive", worker._alive - 60)
    silent = [worker.silent_for()]
    monkeypatch.setattr(role, "finish", lambda: silent.append(worker.silent_for()))
    worker.finish()

    assert silent[0] >= 60
    assert silent[1:] == [0.0]


def test_a_worker_is_not_idle_when_something_comes_while_its_groups_are_looked_at(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a group that was found empty a moment before."""
    worker = worker_on(store)
    worker.run(until_idle=True)
    group, last = store.group, worker.groups[-1]

    def looked_at(name: str) -> GroupInfo:
        found = group(name)
        if name == last and "1" not in placed:
            placed.append("1")
            place(store, "1")
        return found

    placed: list[str] = []
    monkeypatch.setattr(store, "group", looked_at)
    worker.run(until_idle=True)
    worker.close()

    assert status(store, "1") == "completed"
