"""What ends its worker again and again is parked unread, and nothing else is."""

from collections.abc import Callable
from typing import Any

import pytest

from process_manager import Repository, handles
from process_manager.core.signals import CommandParked
from process_manager.errors import StoreFull
from process_manager.examples.order_fulfilment.messages import OrderPlaced
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.ports import Delivery, EventStore, Filter
from process_manager.runtime.counters import Counters
from process_manager.runtime.router import Router, input_types
from process_manager.runtime.suspects import DEATHS, Suspects
from process_manager.runtime.turns import TurnRunner
from tests.runtime.desk import GROUP, Box, Break, Desk, Put, put
from tests.runtime.shop import Shop, join_group


class Killed(BaseException):
    """Stands for the end of the process."""


def die(*_: object) -> None:
    raise Killed


def delivery(store: EventStore) -> Delivery:
    record = next(record for record in store.read_all() if record.type == OrderPlaced.message_type)
    return Delivery(record, retries=2)


def test_a_suspect_is_condemned_when_enough_workers_ended_with_it(shop: Shop) -> None:
    shop.place("1", "a")
    suspect = delivery(shop.store)
    assert [Suspects(shop.store).verdict(suspect) for _ in range(DEATHS)] == [""] * DEATHS
    assert Suspects(shop.store).verdict(suspect).startswith("not read: the last 3 workers")


def test_what_a_worker_outlived_is_no_suspect_to_it_and_a_clean_slate_to_others(shop: Shop) -> None:
    shop.place("1", "a")
    suspect = delivery(shop.store)
    for _ in range(DEATHS):
        worker = Suspects(shop.store)
        assert worker.verdict(suspect) == ""
        worker.outlived(suspect)
        worker.tell()
        before = shop.store.last_position()
        assert worker.verdict(suspect) == ""
        assert shop.store.last_position() == before
    assert Suspects(shop.store).verdict(suspect) == ""


def test_what_was_outlived_is_told_whoever_took_it_meanwhile(shop: Shop) -> None:
    """Three workers have it at once, as when connections break; each says that it lives on."""
    shop.place("1", "a")
    suspect = delivery(shop.store)
    crowd = [Suspects(shop.store) for _ in range(DEATHS)]
    assert [worker.verdict(suspect) for worker in crowd] == [""] * DEATHS
    crowd[0].outlived(suspect)
    crowd[0].tell()
    assert Suspects(shop.store).verdict(suspect) == ""


@pytest.mark.parametrize("lost", ["ack", "append_many"])
def test_a_worker_that_lives_on_did_not_end_by_an_input_whose_ack_or_append_failed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """However often connections break: the input is never parked."""
    shop.turns.close()
    shop.place("1", "a")
    for number in range(2 + DEATHS + 1):
        runner = worker(shop.store, shop, None, monkeypatch)
        if number < 2:
            runner.consumer.fetch(9)
        else:
            fail_once(runner.consumer if lost == "ack" else shop.store, lost)
            with pytest.raises(StoreFull):
                runner.step()
            runner.step()
        runner.close()
    runner = worker(shop.store, shop, None, monkeypatch)
    runner.step()
    runner.close()
    (group,) = shop.store.groups()
    assert (group.parked, shop.instance("1").status) == (0, "running")


def fail_once(where: Any, what: str) -> None:
    does = getattr(where, what)

    def fail(*_: object) -> None:
        setattr(where, what, does)
        raise StoreFull("no space left")

    setattr(where, what, fail)


def worker(store: EventStore, shop: Shop, kills: Callable[..., Any] | None, monkeypatch: pytest.MonkeyPatch) -> TurnRunner:
    """Another process's runner on the same group, which ends when it decodes the input `killer`."""
    router = Router({"order_fulfilment": OrderFulfilment.definition}, store)
    consumer = join_group(store, "test", "processes", Filter(types=input_types({"order_fulfilment": OrderFulfilment.definition})), "worker")
    runner = TurnRunner(store, consumer, router, shop.clock, Counters())
    if kills is not None:
        incoming = router.incoming
        monkeypatch.setattr(router, "incoming", lambda record: kills() if b'"order_id":"bad"' in record.data else incoming(record))
    return runner


def test_an_input_that_ends_every_worker_is_parked_unread_after_five(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in the same batches are taken; nobody reads the bad one any more."""
    shop.turns.close()
    for key in ("1", "bad", "2"):
        shop.place(key, "a")
    ended = 0
    for _ in range(20):
        runner = worker(shop.store, shop, die, monkeypatch)
        try:
            while runner.step():
                pass
            break
        except Killed:
            ended += 1
            runner.close()
    assert ended == 5
    (group,) = shop.store.groups()
    (parked,) = shop.store.parked(group.name)
    assert "ended with it" in parked.reason
    assert b'"order_id":"bad"' in parked.record.data
    assert [shop.instance(key).status for key in ("1", "2", "bad")] == ["running", "running", "not_started"]


def test_what_was_parked_unread_is_taken_after_a_mend(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.place("bad", "a")
    for _ in range(DEATHS):
        Suspects(shop.store).verdict(delivery(shop.store))
    shop.turns.close()
    join = worker(shop.store, shop, None, monkeypatch)
    for _ in range(2):
        join.consumer.fetch(9)
        join.close()
        join = worker(shop.store, shop, None, monkeypatch)
    join.step()
    (group,) = shop.store.groups()
    assert group.parked == 1
    assert shop.store.replay_parked(group.name) == 1
    join.step()
    assert shop.instance("bad").status == "running"
    join.close()


def test_a_command_that_ends_every_worker_is_parked_and_its_instance_hears_of_it(desk: Desk) -> None:
    @handles(Break)
    def kill(command: Break, boxes: Repository[Box]) -> None:
        raise Killed

    desk.runner(kill, put).close()
    desk.send(Break(box="1"), instance="a_process-1")
    desk.send(Put(box="9", what="a"))
    ended = 0
    for _ in range(20):
        consumer = desk.join()
        runner = desk.runner(kill, put, consumer=consumer)
        try:
            while runner.step():
                pass
            break
        except Killed:
            ended += 1
            consumer.leave()
    assert ended == 5
    (parked,) = desk.store.parked(GROUP)
    assert "ended with it" in parked.reason
    assert desk.types("box-9") == ["test.filled"]
    (signal,) = desk.records(f"pm.parked-{parked.record.id}")
    assert CommandParked.read(signal.data) == CommandParked("a_process-1", parked.record.id, parked.reason, unread=True)


def test_a_worker_that_is_stopped_with_a_suspect_in_its_hands_did_not_end_by_it(desk: Desk) -> None:
    desk.runner(put).close()
    id_ = desk.send(Put(box="1", what="a"))
    for _ in range(2):
        consumer = desk.join()
        consumer.fetch(1)
        consumer.leave()
    for _ in range(DEATHS + 1):
        runner = desk.runner(put)
        assert runner._inbox.fetch(9) == []
        assert runner._inbox.next_suspect() is not None
        runner.close()
    assert desk.types(f"pm.suspect-{id_}")[-2:] == ["pm.taken-alone", "pm.outlived"]
    runner = desk.runner(put)
    runner.step()
    assert desk.types("box-1") == ["test.filled"]


def test_a_command_whose_ack_is_lost_again_and_again_is_not_parked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its handler came to an end each time."""
    desk.runner(put).close()
    desk.send(Put(box="1", what="a"))
    for number in range(2 + DEATHS + 1):
        consumer = desk.join()
        monkeypatch.setattr(consumer, "ack", lambda _: None)
        if number < 2:
            consumer.fetch(1)
            consumer.leave()
            continue
        runner = desk.runner(put, consumer=consumer)
        runner.step()
        runner.close()
    runner = desk.runner(put)
    for _ in range(2):
        runner.step()
    assert desk.store.parked(GROUP) == []
    assert desk.types("box-1") == ["test.filled"]
