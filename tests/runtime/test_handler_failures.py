"""What becomes of commands whose handler fails, and of all of them when the store does."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest

from process_manager import Repository, Retry, handles
from process_manager.core.codec import encode
from process_manager.core.records import NewRecord, Record
from process_manager.core.signals import COMMAND_PARKED, CommandParked
from process_manager.errors import AppendTooLarge, LeaseLost, StoreError, StoreFull, StoreUnavailable
from process_manager.ports import Appended, Block, Consumer, Delivery, Nack, StreamState
from tests.runtime.desk import GROUP, Box, Break, Desk, Filled, Put, put


class Trouble:
    """Makes handlers raise."""

    def __init__(self) -> None:
        self.error: BaseException | None = ValueError("no")


def breaking(trouble: Trouble) -> Callable[..., Any]:
    @handles(Break)
    def break_(command: Break, boxes: Repository[Box]) -> None:
        with boxes.edit(command.box) as box:
            box.put("broken")
            if trouble.error:
                raise trouble.error

    return break_


def test_a_failing_handler_holds_up_nobody_and_is_tried_again_later(desk: Desk) -> None:
    """Others go on, even on the same aggregate; the time of the next attempt is kept."""
    trouble = Trouble()
    runner = desk.runner(put, breaking(trouble))
    desk.send(Put(box="1", what="a"))
    desk.send(Break(box="1"))
    desk.send(Put(box="1", what="b"))
    assert runner.step() == 2
    assert [orjson.loads(record.data)["what"] for record in desk.records("box-1")] == ["a", "b"]

    trouble.error = None
    assert runner.step() == 0
    assert runner.busy
    desk.now += 1
    assert runner.step() == 1
    assert [orjson.loads(record.data)["what"] for record in desk.records("box-1")] == ["a", "b", "broken"]


def test_events_that_the_store_takes_only_one_by_one_are_appended_so_and_the_one_that_never_fits_is_parked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server's limit is known once it has refused."""
    append_many = desk.store.append_many

    def small(blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        sizes = [sum(record.size for record in block.records) for block in blocks]
        if max(sizes) > 3_000:
            return [AppendTooLarge(block.stream, size, 3_000) for block, size in zip(blocks, sizes, strict=True)]
        return append_many(blocks, lease)

    runner = desk.runner(put)
    _, _, big = [desk.send(Put(box="1", what="a" * size)) for size in (2_000, 2_000, 4_000)]
    monkeypatch.setattr(desk.store, "append_many", small)
    for _ in range(4):
        runner.step()
        desk.now += 60

    assert [len(orjson.loads(record.data)["what"]) for record in desk.records("box-1")] == [2_000, 2_000]
    (parked,) = desk.store.parked(GROUP)
    assert parked.record.id == big
    assert "over the limit of 3,000" in parked.reason


def test_a_command_that_fails_too_often_is_parked_and_its_instance_is_told(desk: Desk) -> None:
    """The signal is written before the command is set aside."""
    runner = desk.runner(breaking(Trouble()))
    id_ = desk.send(Break(box="1"), instance="process-7", **{"$correlationId": "whole"})
    for _ in range(3):
        runner.step()
        desk.now += 60

    reason = "break_: ValueError: no"
    assert [parked.reason for parked in desk.store.parked(GROUP)] == [reason]
    (signal,) = desk.records(f"pm.parked-{id_}")
    assert signal.type == COMMAND_PARKED
    assert CommandParked.read(signal.data) == CommandParked("process-7", id_, reason)
    assert orjson.loads(signal.metadata)["$correlationId"] == "whole"
    assert desk.counters.parked == 1


def test_a_parked_command_is_told_in_a_version_that_workers_without_unread_leave_to_others(desk: Desk) -> None:
    runner = desk.runner(breaking(Trouble()))
    id_ = desk.send(Break(box="1"), instance="process-7")
    for _ in range(3):
        runner.step()
        desk.now += 60

    (signal,) = desk.records(f"pm.parked-{id_}")
    assert orjson.loads(signal.metadata)["version"] == 2
    first = orjson.dumps({"instance": "process-7", "command_id": id_, "reason": "no"})
    assert not CommandParked.read(first).unread


def test_each_attempt_that_fails_is_logged_and_the_same_trace_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    trouble = Trouble()
    runner = desk.runner(breaking(trouble))
    desk.send(Break(box="1"))
    for error in (ValueError("no"), ValueError("no"), OSError("worse")):
        trouble.error = error
        runner.step()
        desk.now += 60

    failed = [record for record in caplog.records if getattr(record, "action", "") == "handler_failed"]
    assert [record.getMessage() for record in failed] == [
        "break_ failed (attempt 1 of 3, again in 1 s): ValueError: no",
        "break_ failed (attempt 2 of 3, again in 2 s): ValueError: no",
        "break_ failed (attempt 3 of 3): OSError: worse",
    ]
    assert [record.exc_info is not None for record in failed] == [True, False, True]


def test_an_instance_hears_of_its_parked_command_however_much_the_handler_had_to_say(desk: Desk) -> None:
    @handles(Break)
    def talk(command: Break, boxes: Repository[Box]) -> None:
        raise RuntimeError("x" * 2_000_000)

    id_ = desk.send(Break(box="1"), instance="a_process-1")
    runner = desk.runner(talk, retry=Retry(1))
    for _ in range(2):
        runner.step()
    assert desk.types(f"pm.parked-{id_}") == ["pm.command-parked"]
    assert len(desk.store.parked(GROUP)) == 1


def test_a_parked_command_can_be_replayed_when_the_cause_is_gone(desk: Desk) -> None:
    """It is handled like a new one."""
    trouble = Trouble()
    runner = desk.runner(breaking(trouble))
    desk.send(Break(box="1"), instance="process-7")
    for _ in range(3):
        runner.step()
        desk.now += 60
    trouble.error = None
    desk.store.replay_parked(GROUP)

    assert runner.step() == 1
    assert desk.types("box-1") == ["test.filled"]


@pytest.mark.parametrize("metadata", [{"version": 0}, {"time": "yesterday"}])
def test_a_command_that_cannot_be_decoded_is_parked_at_once(desk: Desk, metadata: dict[str, Any]) -> None:
    """With the reason, and its instance is told as far as it can be named."""
    runner = desk.runner(put)
    id_ = desk.send(Put(box="1", what="a"), instance="process-7", **metadata)
    desk.store.append(Block("sender-x", [NewRecord(str(uuid4()), "test.put", b"no json", b"no json")], StreamState.ANY))
    desk.store.append(Block("sender-y", [NewRecord(str(uuid4()), "test.put", b"{}", b'{"instance": "sender-y"}')], StreamState.ANY))
    assert runner.step() == 3

    assert len(desk.store.parked(GROUP)) == 3
    (signal,) = desk.records(f"pm.parked-{id_}")
    assert CommandParked.read(signal.data).unread


@pytest.mark.parametrize("metadata", [b"", b'{"instance": "process-7"}'])
def test_a_command_that_no_instance_gave_is_parked_and_nothing_is_done(desk: Desk, metadata: bytes) -> None:
    """Nobody could say later why it was carried out. An instance that it names, from another stream, hears nothing."""
    runner = desk.runner(put)
    desk.store.append(Block("by-hand", [NewRecord(str(uuid4()), "test.put", encode(Put(box="1", what="a")), metadata)], StreamState.ANY))
    assert runner.step() == 1

    (parked,) = desk.store.parked(GROUP)
    assert "by-hand is no instance that gave this command" in parked.reason
    assert [record.stream for record in desk.store.read_all() if not record.type.startswith("$")] == ["by-hand"]


def test_a_command_of_a_newer_version_is_left_to_others(desk: Desk) -> None:
    """It is neither parked nor answered, and does not count as work of this worker."""
    runner = desk.runner(put)
    desk.send(Put(box="1", what="a"), version=2)
    desk.send(Put(box="1", what="b"))
    assert runner.step() == 1
    assert not runner.busy

    desk.now += 3600 * 2
    runner.step()
    assert desk.store.parked(GROUP) == []
    assert desk.store.group(GROUP).lag == 1


def test_a_newer_event_in_the_aggregate_leaves_the_command_to_others(desk: Desk) -> None:
    """A worker that cannot read the whole aggregate does not decide about it."""
    newer = NewRecord(str(uuid4()), "test.filled", b'{"what": "a"}', b'{"version": 2}')
    desk.store.append(Block("box-1", [newer], StreamState.NO_STREAM))
    runner = desk.runner(put)
    desk.send(Put(box="1", what="b"))
    runner.step()

    assert desk.types("box-1") == ["test.filled"]
    assert desk.store.parked(GROUP) == []
    assert not runner.busy


def test_a_command_that_was_delivered_often_is_handled_alone(desk: Desk) -> None:
    """It may be what ended its worker: whatever else was delivered is appended and acknowledged first."""
    handled: list[list[str]] = []

    @handles(Break)
    def note(command: Break, boxes: Repository[Box]) -> None:
        with boxes.edit(command.box) as box:
            box.put("x")
        handled.append(desk.types("box-9"))

    desk.runner(note, put).close()
    desk.send(Break(box="1"))
    for _ in range(2):  # two workers that die with the command in their hands
        consumer = desk.join()
        consumer.fetch(10)
        consumer.leave()
    desk.send(Put(box="9", what="a"))
    runner = desk.runner(note, put)
    runner.step()
    runner.step()

    assert handled == [["test.filled"]]
    assert desk.types("box-1") == ["test.filled"]


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreFull("full")])
@pytest.mark.parametrize("written", [True, False])
def test_an_append_of_unknown_result_is_repeated_with_the_same_bytes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: StoreError, written: bool
) -> None:
    """Whether it was written or not, it is there once."""
    runner = desk.runner(put)
    desk.send(Put(box="1", what="a"))
    append_many = desk.store.append_many
    offered: list[bytes] = []

    def failing(blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        offered.append(blocks[0].records[0].metadata)
        if len(offered) > 1:
            return append_many(blocks, lease)
        if written:
            append_many(blocks, lease)
        raise error

    monkeypatch.setattr(desk.store, "append_many", failing)
    assert runner.step() == 0
    assert runner.busy
    desk.clock.advance(timedelta(hours=1))
    desk.now += 1
    assert runner.step() == 1

    assert desk.types("box-1") == ["test.filled"]
    assert offered[0] == offered[1]


def test_a_store_that_stays_away_ends_the_worker(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a bounded time; what is in the hands of the group comes again."""
    runner = desk.runner(put)
    desk.send(Put(box="1", what="a"))

    def failing(blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        raise StoreUnavailable("away")

    monkeypatch.setattr(desk.store, "append_many", failing)
    assert runner.step() == 0
    desk.now += 100
    with pytest.raises(StoreUnavailable):
        runner.step()


def test_a_store_that_fails_while_reading_blames_no_command(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken is handled once the store is back."""
    runner = desk.runner(put)
    desk.store.append(Block("box-1", [NewRecord(str(uuid4()), "test.filled", encode(Filled(what="z")), b"")], StreamState.NO_STREAM))
    desk.send(Put(box="1", what="a"))
    desk.send(Put(box="2", what="a"))
    read_stream = desk.store.read_stream
    failures = [StoreUnavailable("away")]

    def failing(stream: str, **options: Any) -> Iterator[Record]:
        if stream == "box-2" and failures:
            raise failures.pop()
        return read_stream(stream, **options)

    monkeypatch.setattr(desk.store, "read_stream", failing)
    assert runner.step() == 0
    desk.now += 1
    assert runner.step() == 2
    assert desk.types("box-1") == ["test.filled"] * 2
    assert desk.types("box-2") == ["test.filled"]


def test_a_worker_that_lost_its_lease_forgets_everything_and_joins_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written under a stale lease; the commands come again."""
    runner = desk.runner(put)
    desk.send(Put(box="1", what="a"))
    append_many = desk.store.append_many
    lost = [LeaseLost("gone")]

    def failing(blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        if lost:
            raise lost.pop()
        return append_many(blocks, lease)

    monkeypatch.setattr(desk.store, "append_many", failing)
    before = runner.consumer
    assert runner.step() == 0
    assert not runner.busy
    assert runner.step() == 1
    assert runner.consumer is not before
    assert desk.types("box-1") == ["test.filled"]


def test_a_command_that_could_not_be_parked_is_parked_once_the_store_is_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its signal stands there already; what remains is not forgotten."""
    failures = [StoreUnavailable("away")]
    runner = desk.runner(breaking(Trouble()), retry=Retry(1))
    consumer = runner.consumer
    nack = consumer.nack

    def failing(deliveries: Sequence[Delivery], action: Nack, reason: str = "") -> None:
        if failures:
            raise failures.pop()
        nack(deliveries, action, reason)

    monkeypatch.setattr(consumer, "nack", failing)
    id_ = desk.send(Break(box="1"), instance="process-7")
    assert runner.step() == 0
    assert runner.busy
    desk.now += 1
    assert [runner.step(), runner.step()] == [1, 0]
    assert [each.record.id for each in desk.store.parked(GROUP)] == [id_]
