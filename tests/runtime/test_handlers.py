"""What becomes of a command to an aggregate: one outcome, recorded once, whatever is delivered how often."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import orjson
import pytest

from process_manager import Call, Repository, handles
from process_manager.core.codec import encode
from process_manager.core.records import NewRecord
from process_manager.errors import StoreError
from process_manager.ports import Appended, Block, Consumer, StreamState
from process_manager.runtime import handler_runner, unit_of_work
from tests.runtime.desk import GROUP, Box, Break, Desk, Filled, Look, Move, Put, put
from tests.runtime.shop import START


def test_the_events_of_a_command_say_where_they_come_from(desk: Desk) -> None:
    """Correlation, causation, time, version and operation stand in the metadata of what a handler records."""
    runner = desk.runner(put)
    id_ = desk.send(Put(box="1", what="a"), **{"$correlationId": "whole"})

    assert runner.step() == 1
    (record,) = desk.records("box-1")
    assert orjson.loads(record.data) == {"what": "a"}
    assert orjson.loads(record.metadata) == {
        "$correlationId": "whole", "$causationId": id_, "time": START.isoformat(), "version": 1, "operation": id_,
    }  # fmt: skip
    assert not runner.busy
    assert desk.store.group(GROUP).lag == 0


def test_a_command_delivered_again_writes_nothing(desk: Desk) -> None:
    """Whether the worker remembers the command or has to read it from the stream."""
    runner = desk.runner(put)
    id_ = desk.send(Put(box="1", what="a"))
    runner.step()
    desk.send(Put(box="1", what="a"), id_)
    runner.step()
    runner.close()

    desk.send(Put(box="1", what="a"), id_)
    assert desk.runner(put).step() == 1
    assert desk.types("box-1") == ["test.filled"]
    assert (desk.counters.handled, desk.counters.duplicates) == (1, 2)


def test_a_second_attempt_at_an_operation_writes_nothing(desk: Desk) -> None:
    """Another command with the same operation id ends where the aggregate holds an event of it, in one batch or in two."""
    runner = desk.runner(put)
    first = desk.send(Put(box="1", what="a"))
    desk.send(Put(box="1", what="a"), operation=first)
    assert runner.step() == 2
    desk.send(Put(box="1", what="a"), operation=first)
    assert runner.step() == 1

    assert desk.types("box-1") == ["test.filled"]


def test_an_operation_that_is_no_longer_remembered_is_looked_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory holds a window; below its floor the stream itself is asked."""
    monkeypatch.setattr(unit_of_work, "WINDOW", 1)
    runner = desk.runner(put)
    first, *_ = [desk.send(Put(box="1", what=what)) for what in "abc"]
    runner.step()
    desk.send(Put(box="1", what="a"), operation=first)
    runner.step()
    runner.close()
    desk.send(Put(box="1", what="a"), operation=first)
    desk.runner(put).step()

    assert desk.types("box-1") == ["test.filled"] * 3


def test_a_command_delivered_again_that_is_no_longer_remembered_is_looked_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its events stand behind it in the log, where the search ends."""
    monkeypatch.setattr(unit_of_work, "WINDOW", 1)
    runner = desk.runner(put)
    monkeypatch.setattr(runner.consumer, "ack", lambda _: None)
    for what in "abc":
        desk.send(Put(box="1", what=what))
    runner.step()
    runner.close()
    desk.runner(put).step()

    assert desk.types("box-1") == ["test.filled"] * 3
    assert desk.store.group(GROUP).lag == 0


def test_a_quick_handler_may_ask_about_its_call(desk: Desk) -> None:
    """Each command has one of its own."""

    @handles(Put)
    def put_operation(command: Put, call: Call, boxes: Repository[Box]) -> None:
        with boxes.edit(command.box) as box:
            box.put(call.operation_id)

    runner = desk.runner(put_operation)
    sent = [desk.send(Put(box="1", what="")), desk.send(Put(box="1", what=""), operation="earlier")]
    runner.step()

    assert [orjson.loads(each.data)["what"] for each in desk.records("box-1")] == [sent[0], "earlier"]


def test_a_refusal_is_recorded_as_its_event(desk: Desk) -> None:
    """It is the outcome, and a repetition of it is recognised as well."""
    runner = desk.runner(put)
    for what in "abc":
        desk.send(Put(box="1", what=what))
    id_ = desk.send(Put(box="1", what="d"))
    runner.step()
    desk.send(Put(box="1", what="d"), id_)
    runner.step()

    assert desk.types("box-1") == ["test.filled"] * 3 + ["test.full"]
    assert not runner.busy


def test_a_refusal_takes_back_what_was_recorded_before_it(desk: Desk) -> None:
    """Only the refusal's event is appended, and what follows is decided without the rest."""

    @handles(Break)
    def fill_up(command: Break, boxes: Repository[Box]) -> None:
        with boxes.edit(command.box) as box:
            for what in "abcd":
                box.put(what)

    runner = desk.runner(put, fill_up)
    desk.send(Break(box="1"))
    desk.send(Put(box="1", what="x"))
    runner.step()

    assert desk.types("box-1") == ["test.full", "test.filled"]


def test_a_batch_shares_one_append_for_each_aggregate(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two aggregates, five commands, one call to the store."""
    runner = desk.runner(put)
    for box, what in ("1a", "2a", "1b", "2b", "1c"):
        desk.send(Put(box=box, what=what))
    appends: list[list[Block]] = []
    append_many = desk.store.append_many

    def noted(blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        appends.append(list(blocks))
        return append_many(blocks, lease)

    monkeypatch.setattr(desk.store, "append_many", noted)
    assert runner.step() == 5

    assert [[(block.stream, len(block.records)) for block in blocks] for blocks in appends] == [[("box-1", 3), ("box-2", 2)]]


def test_what_does_not_fit_one_append_goes_into_the_next(desk: Desk) -> None:
    """A block stays below the limit, however many commands meet in a batch."""
    runner = desk.runner(put)
    for letter in "abc":
        desk.send(Put(box="1", what=letter * 600_000))

    assert runner.step() == 3
    assert desk.types("box-1") == ["test.filled"] * 3


def test_after_a_conflict_the_command_is_decided_again(desk: Desk) -> None:
    """Somebody else filled the box behind this worker's back: what was possible is refused now."""
    runner = desk.runner(put)
    desk.send(Put(box="1", what="a"))
    runner.step()
    others = [NewRecord(str(uuid4()), "test.filled", encode(Filled(what=what)), b"") for what in "bc"]
    desk.store.append(Block("box-1", others, 0))
    desk.send(Put(box="1", what="d"))
    runner.step()

    assert desk.types("box-1") == ["test.filled"] * 3 + ["test.full"]
    assert desk.counters.conflicts == 1


def test_what_conflicts_again_and_again_waits_a_little(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step comes to an end; the command is not lost and not blamed."""
    monkeypatch.setattr(handler_runner, "ROUNDS", 0)
    runner = desk.runner(put)
    desk.send(Put(box="1", what="a"))
    assert runner.step() == 0
    assert runner.busy

    monkeypatch.undo()
    desk.now += 1
    assert runner.step() == 1
    assert desk.types("box-1") == ["test.filled"]


def test_an_aggregate_that_was_let_go_of_is_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is bounded."""
    monkeypatch.setattr(unit_of_work, "CACHED", 1)
    runner = desk.runner(put)
    for box, what in ("1a", "2a", "1b", "1c", "2b", "1d"):
        desk.send(Put(box=box, what=what))
        runner.step()

    assert desk.types("box-1") == ["test.filled"] * 3 + ["test.full"]
    assert desk.types("box-2") == ["test.filled"] * 2


def test_an_outcome_may_answer_an_earlier_command(desk: Desk) -> None:
    """Its causation names that command; its operation is its own."""

    @handles(Look)
    def settle(command: Look, boxes: Repository[Box]) -> None:
        with boxes.edit(command.box) as box:
            box.record(Filled(what="late"), answers=command.at)

    runner = desk.runner(settle)
    asked = str(uuid4())
    id_ = desk.send(Look(box="1", at=asked))
    runner.step()

    metadata = orjson.loads(desk.records("box-1")[0].metadata)
    assert (metadata["$causationId"], metadata["operation"]) == (asked, id_)


@handles(Move)
def move(command: Move, boxes: Repository[Box]) -> None:
    with boxes.edit(command.box) as box:
        box.record(Filled(what="x"))
    with boxes.edit(command.to) as other:
        other.record(Filled(what="x"))


@handles(Move)
def do_nothing(command: Move, boxes: Repository[Box]) -> None:
    with boxes.edit(command.box):
        pass


@handles(Move)
def open_nothing(command: Move, boxes: Repository[Box]) -> None:
    assert boxes.get(command.to).content == []


@handles(Move)
def write_on_what_is_looked_at(command: Move, boxes: Repository[Box]) -> None:
    boxes.get(command.to).put("x")
    with boxes.edit(command.box) as box:
        box.put("x")


@handles(Move)
def write_too_much(command: Move, boxes: Repository[Box]) -> None:
    with boxes.edit(command.box) as box:
        box.put("x" * 2_000_000)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (move, "one command edits one aggregate, once; split the command"),
        (do_nothing, "recorded nothing on box-1"),
        (open_nothing, "edited no aggregate"),
        (write_on_what_is_looked_at, "only got to look at"),
        (write_too_much, "over the limit"),
    ],
)
def test_a_handler_that_breaks_the_rules_writes_nothing_and_is_parked(desk: Desk, function: Callable[..., Any], reason: str) -> None:
    """The reason says what to do, and the instance is told."""
    runner = desk.runner(function)
    id_ = desk.send(Move(box="1", to="2"), instance="process-7")
    for _ in range(3):
        runner.step()
        desk.now += 60

    assert desk.types("box-1") == desk.types("box-2") == []
    (parked,) = desk.store.parked(GROUP)
    assert reason in parked.reason
    assert parked.record.id == id_
    assert not runner.busy


def test_looking_at_another_aggregate_shows_what_is_appended(desk: Desk) -> None:
    """What is only decided in the same batch is appended before somebody looks at it."""
    seen: list[list[str]] = []

    @handles(Look)
    def look(command: Look, boxes: Repository[Box]) -> None:
        with boxes.edit(command.box) as box:
            seen.append([*boxes.get(command.at).content])
            box.put("seen")

    runner = desk.runner(put, look)
    desk.send(Put(box="1", what="a"))
    desk.send(Look(box="2", at="1"))
    assert runner.step() == 2

    assert seen == [["a"]]
    assert desk.types("box-2") == ["test.filled"]


def reads(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The streams that are read from now on."""
    found: list[str] = []
    read_stream = desk.store.read_stream

    def reading(stream: str, **options: Any) -> object:
        found.append(stream)
        return read_stream(stream, **options)

    monkeypatch.setattr(desk.store, "read_stream", reading)
    return found


def test_where_the_last_aggregate_was_new_the_next_is_not_looked_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The append at NO_STREAM tells that it is not there."""
    runner = desk.runner(put)
    found = reads(desk, monkeypatch)
    for box in "123":
        desk.send(Put(box=box, what="a"))
    runner.step()

    assert found == ["box-1"]
    assert [desk.types(f"box-{box}") for box in "123"] == [["test.filled"]] * 3
    assert desk.counters.conflicts == 0


def test_an_aggregate_that_was_there_after_all_is_read_and_decided_again(desk: Desk) -> None:
    """Whether the guess led to an event, to one that its history refuses, or to an error."""
    runner = desk.runner(put)
    for box in ("there", "full"):
        others = [NewRecord(str(uuid4()), "test.filled", encode(Filled(what=what)), b"") for what in "abc"[: 1 if box == "there" else 3]]
        desk.store.append(Block(f"box-{box}", others, StreamState.NO_STREAM))
    desk.send(Put(box="new", what="a"))
    runner.step()
    for box in ("there", "full"):
        desk.send(Put(box=box, what="d"))
    runner.step()

    assert desk.types("box-there") == ["test.filled"] * 2
    assert desk.types("box-full") == ["test.filled"] * 3 + ["test.full"]


def test_an_error_that_rests_on_a_guess_is_not_believed(desk: Desk) -> None:
    """The aggregate is read and the handler called again, at once."""
    calls: list[int] = []

    @handles(Break)
    def open_again(command: Break, boxes: Repository[Box]) -> None:
        with boxes.edit(command.box) as box:
            calls.append(len(box.content))
            if not box.content:
                raise LookupError("there is no such box")
            box.record(Filled(what="again"))

    runner = desk.runner(put, open_again)
    desk.store.append(Block("box-old", [NewRecord(str(uuid4()), "test.filled", encode(Filled(what="a")), b"")], StreamState.NO_STREAM))
    desk.send(Put(box="new", what="a"))
    runner.step()
    desk.send(Break(box="old"))
    runner.step()

    assert calls == [0, 1]
    assert desk.types("box-old") == ["test.filled"] * 2


def test_a_look_at_an_aggregate_is_never_out_of_date(desk: Desk) -> None:
    """What another worker appended since is read, as no append of this one would tell."""
    seen: list[int] = []

    @handles(Look)
    def peek(command: Look, boxes: Repository[Box]) -> None:
        seen.append(len(boxes.get(command.at).content))
        with boxes.edit(command.box) as box:
            box.put("seen")

    runner = desk.runner(peek)
    desk.send(Look(box="1", at="2"))
    runner.step()
    desk.store.append(Block("box-2", [NewRecord(str(uuid4()), "test.filled", encode(Filled(what="a")), b"")], StreamState.NO_STREAM))
    desk.send(Look(box="1", at="2"))
    runner.step()

    assert seen == [0, 1]
