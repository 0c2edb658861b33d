"""What becomes of a command to the outside world: called until there is an outcome, which is recorded once."""

import threading
import time
from collections.abc import Callable, Sequence
from itertools import count
from uuid import uuid4

import orjson
import pytest

from process_manager import Repository, handles, seconds
from process_manager.core.codec import encode
from process_manager.core.records import NewRecord
from process_manager.core.signals import COMMAND_PARKED
from process_manager.errors import StoreError, StoreUnavailable
from process_manager.ports import Appended, Block, Consumer, StreamState
from process_manager.testing.contract.support import PATIENCE, eventually
from tests.runtime.desk import GROUP, Answered, Box, Busy, Desk, Filled, Phone, Put, Ring, ring


def test_the_outcome_of_a_call_stands_in_a_stream_of_its_operation(desk: Desk) -> None:
    """Recorded once; the operation id is handed on."""
    phone = Phone()
    runner = desk.calls(phone)
    id_ = desk.send(Ring(number="1"), **{"$correlationId": "whole"})
    desk.settle(runner)

    (record,) = desk.records(f"pm.outcome-{id_}")
    assert record.type == "test.answered"
    metadata = orjson.loads(record.metadata)
    assert (metadata["$causationId"], metadata["$correlationId"], metadata["operation"]) == (id_, "whole", id_)
    assert phone.calls == [id_]
    assert not runner.busy
    assert desk.store.group(GROUP).lag == 0


def test_a_call_whose_outcome_is_known_is_not_made_again(desk: Desk) -> None:
    """Neither for the same command nor for another attempt at its operation."""
    phone = Phone()
    runner = desk.calls(phone)
    id_ = desk.send(Ring(number="1"))
    desk.settle(runner)
    desk.send(Ring(number="1"), id_)
    desk.send(Ring(number="1"), operation=id_)
    desk.settle(runner)

    assert phone.calls == [id_]
    assert desk.types(f"pm.outcome-{id_}") == ["test.answered"]


def test_two_attempts_at_one_operation_are_never_under_way_at_once(desk: Desk) -> None:
    """The second waits for the first and then finds its outcome."""
    phone = Phone()
    phone.keep_ringing()
    runner = desk.calls(phone)
    id_ = desk.send(Ring(number="1"))
    desk.send(Ring(number="1"), operation=id_)
    runner.step()
    runner.step()
    phone.answered.set()
    desk.settle(runner)
    desk.settle(runner)

    assert phone.calls == [id_]
    assert not runner.busy


def test_a_refusal_of_a_call_is_its_outcome(desk: Desk) -> None:
    """As with aggregates."""
    runner = desk.calls(Phone())
    id_ = desk.send(Ring(number="engaged"))
    desk.settle(runner)

    assert desk.types(f"pm.outcome-{id_}") == ["test.busy"]


def test_a_slow_call_holds_up_nobody(desk: Desk) -> None:
    """The others are made, recorded and acknowledged while it is under way, and `step` never waits for it."""
    phone = Phone()
    phone.keep_ringing("slow")
    runner = desk.calls(phone)
    slow = desk.send(Ring(number="slow"))
    runner.step()
    quick = [desk.send(Ring(number=str(number))) for number in range(5)]
    runner.step()
    for _ in quick:
        assert desk.ended.acquire(timeout=PATIENCE)
    runner.step()

    assert [desk.types(f"pm.outcome-{id_}") for id_ in quick] == [["test.answered"]] * 5
    assert desk.types(f"pm.outcome-{slow}") == []
    assert runner.busy
    phone.answered.set()
    desk.settle(runner)
    assert desk.types(f"pm.outcome-{slow}") == ["test.answered"]


def test_no_more_calls_are_taken_than_can_be_made(desk: Desk) -> None:
    """What waits, waits in the group, where other workers can take it."""
    phone = Phone()
    phone.keep_ringing()
    runner = desk.calls(phone, threads=2)
    ids = [desk.send(Ring(number="1")) for _ in range(5)]
    runner.step()
    assert desk.store.group(GROUP).in_flight == 2
    phone.answered.set()
    while runner.busy or desk.store.group(GROUP).lag:
        desk.settle(runner)

    assert sorted(phone.calls) == sorted(ids)


def test_a_failing_call_is_tried_again_and_then_parked(desk: Desk) -> None:
    """With back-off, and its instance is told."""
    phone = Phone()

    def out_of_order(_: str) -> None:
        raise ConnectionError("out of order")

    phone.rings = out_of_order
    runner = desk.calls(phone)
    id_ = desk.send(Ring(number="1"), instance="process-7")
    for _ in range(3):
        desk.settle(runner)
        desk.now += 60
    desk.settle(runner)

    assert phone.calls == [id_] * 3
    assert [parked.reason for parked in desk.store.parked(GROUP)] == ["ring: ConnectionError: out of order"]
    assert desk.types(f"pm.parked-{id_}") == [COMMAND_PARKED]


def test_a_call_that_returns_something_else_than_it_says_is_a_failure(desk: Desk) -> None:
    """Nobody would understand the outcome."""

    @handles(Ring)
    def wrong(command: Ring) -> Answered:
        return Busy(number=command.number)  # type: ignore[return-value]

    runner = desk.calls(Phone(), wrong)
    id_ = desk.send(Ring(number="1"))
    for _ in range(4):
        desk.settle(runner)
        desk.now += 60

    assert desk.types(f"pm.outcome-{id_}") == []
    assert "which its annotation does not name" in desk.store.parked(GROUP)[0].reason


def test_the_outcome_of_a_call_is_kept_when_the_lease_was_lost_meanwhile(desk: Desk) -> None:
    """It was reached: another worker finds it instead of calling again."""
    phone = Phone()
    phone.keep_ringing()
    runner = desk.calls(phone)
    id_ = desk.send(Ring(number="1"))
    runner.step()
    runner.consumer.leave()
    phone.answered.set()
    desk.settle(runner)
    desk.settle(runner)

    assert phone.calls == [id_]
    assert desk.types(f"pm.outcome-{id_}") == ["test.answered"]
    assert not runner.busy


@handles(Ring)
def ring_shortly(command: Ring, phone: Phone) -> Answered:
    """Does not say how long it takes."""
    return Answered(by=phone.ring(command.number, ""))


def stopped_after(desk: Desk, phone: Phone, seconds_: float) -> Callable[[], float]:
    """A clock that stands still, but for the look after the first one of `finish`: then so many seconds have gone by, and the phone is
    answered."""
    looks = iter(range(10_000))

    def now() -> float:
        if next(looks) == 1:
            desk.now += seconds_
            phone.answered.set()
        return desk.now

    return now


@pytest.mark.parametrize(("handler", "within"), [(ring, 59.0), (ring_shortly, 29.0)])
def test_a_worker_that_stops_waits_for_a_call_as_long_as_it_may_take(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, handler: Callable[..., object], within: float
) -> None:
    """What its handler says, else SPARE."""
    phone = Phone()
    phone.keep_ringing()
    runner = desk.calls(phone, handler)
    id_ = desk.send(Ring(number="1"))
    runner.step()
    monkeypatch.setattr(runner, "_monotonic", stopped_after(desk, phone, within))
    runner.finish()
    runner.close()

    assert desk.types(f"pm.outcome-{id_}") == ["test.answered"]
    assert desk.store.group(GROUP).lag == 0
    assert caplog.messages == []


@pytest.mark.parametrize(("handler", "after"), [(ring, 60.0), (ring_shortly, 30.0)])
def test_a_call_that_takes_longer_than_it_may_is_left_behind_and_named(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, handler: Callable[..., object], after: float
) -> None:
    """Its command is delivered again."""
    phone = Phone()
    phone.keep_ringing()
    runner = desk.calls(phone, handler)
    id_ = desk.send(Ring(number="1"))
    runner.step()
    monkeypatch.setattr(runner, "_monotonic", stopped_after(desk, phone, after))
    runner.finish()
    runner.close()
    runner.close()

    assert desk.types(f"pm.outcome-{id_}") == []
    assert caplog.messages == [f"left behind, another worker will call it again: {handler.__name__}, test.ring {id_}"]
    assert [delivery.record.id for delivery in desk.join().fetch(10)] == [id_]


def test_what_ends_while_others_are_waited_for_is_recorded_at_once(desk: Desk) -> None:
    """A worker may be killed before the last one ends."""
    phone = Phone()
    phone.keep_ringing("slow")
    runner = desk.calls(phone)
    slow, quick = desk.send(Ring(number="slow")), desk.send(Ring(number="1"))
    runner.step()
    finishing = threading.Thread(target=runner.finish)
    finishing.start()
    eventually(lambda: desk.types(f"pm.outcome-{quick}") == ["test.answered"])
    assert desk.types(f"pm.outcome-{slow}") == []
    phone.answered.set()
    finishing.join(PATIENCE)
    assert desk.types(f"pm.outcome-{slow}") == ["test.answered"]


@pytest.mark.parametrize("since", ["before", "after"])
def test_a_worker_that_stops_bears_a_store_that_is_away(desk: Desk, monkeypatch: pytest.MonkeyPatch, since: str) -> None:
    """The call came to its end: its outcome is recorded, and its command acknowledged, as soon as the store is back."""
    phone = Phone()
    runner = desk.calls(phone, monotonic=time.monotonic)
    id_ = desk.send(Ring(number="1"))
    runner.step()
    failures = iter([StoreUnavailable("away")] * 2)
    append_many = desk.store.append_many

    def failing(blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        for error in failures:
            raise error
        return append_many(blocks, lease)

    monkeypatch.setattr(desk.store, "append_many", failing)
    if since == "before":
        assert desk.ended.acquire(timeout=PATIENCE)
        runner.step()
    runner.finish()

    assert desk.types(f"pm.outcome-{id_}") == ["test.answered"]
    assert desk.store.group(GROUP).lag == 0


def test_a_worker_that_stops_gives_up_on_a_store_that_stays_away(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = count()
    runner = desk.calls(Phone(), monotonic=lambda: float(next(looks)))
    desk.send(Ring(number="1"))
    runner.step()

    def failing(*_: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(desk.store, "append_many", failing)
    with pytest.raises(StoreUnavailable):
        runner.finish()


def test_finishing_lets_a_call_under_way_come_to_its_end(desk: Desk) -> None:
    """Its outcome is recorded and its command acknowledged before the worker leaves."""
    phone = Phone()
    phone.keep_ringing()
    runner = desk.calls(phone)
    id_ = desk.send(Ring(number="1"))
    runner.step()
    threading.Timer(0.05, phone.answered.set).start()
    runner.finish()

    assert desk.types(f"pm.outcome-{id_}") == ["test.answered"]
    assert desk.store.group(GROUP).lag == 0


def test_a_slow_handler_may_edit_an_aggregate(desk: Desk) -> None:
    """It says how long it takes, runs beside the others, and decides again on a conflict."""
    phone = Phone()

    @handles(Put, takes=seconds(5))
    def put_slowly(command: Put, boxes: Repository[Box], phone: Phone) -> None:
        with boxes.edit(command.box) as box:
            phone.ring(command.what, "")
            box.put(command.what)

    def interfere(what: str) -> None:
        if len(phone.calls) == 1:
            desk.store.append(Block("box-1", [NewRecord(str(uuid4()), "test.filled", encode(Filled(what="z")), b"")], StreamState.ANY))

    phone.rings = interfere
    runner = desk.calls(phone, put_slowly)
    id_ = desk.send(Put(box="1", what="a"))
    desk.settle(runner)
    desk.send(Put(box="1", what="a"), operation=id_)
    desk.settle(runner)

    assert [orjson.loads(record.data)["what"] for record in desk.records("box-1")] == ["z", "a"]
    assert len(phone.calls) == 2
    assert not runner.busy


def test_a_call_that_was_delivered_often_is_made_alone(desk: Desk) -> None:
    """Nothing else is under way while it is."""
    phone = Phone()
    under_way: list[int] = []
    desk.calls(phone)
    desk.opened.pop().close()
    suspect = desk.send(Ring(number="suspect"))
    for _ in range(2):
        consumer = desk.join()
        consumer.fetch(10)
        consumer.leave()
    runner = desk.calls(phone)
    phone.rings = lambda _: under_way.append(len(runner._flying))
    others = [desk.send(Ring(number="1")) for _ in range(3)]
    while runner.busy or desk.store.group(GROUP).lag:
        desk.settle(runner)

    assert sorted(phone.calls) == sorted([suspect, *others])
    assert under_way[phone.calls.index(suspect)] == 1


def test_a_call_that_is_made_alone_holds_up_the_others_no_longer_than_it_may_take(desk: Desk) -> None:
    """Nor does one that never ends keep a suspect waiting."""
    phone = Phone()
    phone.keep_ringing("hung")
    desk.calls(phone)
    desk.opened.pop().close()
    desk.send(Ring(number="hung"))
    suspect = desk.send(Ring(number="1"))
    for _ in range(2):
        consumer = desk.join()
        consumer.fetch(10)
        consumer.leave()
    runner = desk.calls(phone)
    runner.step()
    other = desk.send(Ring(number="1"))
    runner.step()
    assert len(runner._flying) == 1

    def made() -> bool:
        runner.step()
        return all(desk.types(f"pm.outcome-{each}") == ["test.answered"] for each in (suspect, other))

    desk.now += 60
    eventually(made)
    assert len(runner._flying) == 1
    phone.answered.set()
    desk.settle(runner)
