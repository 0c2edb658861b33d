"""Whatever comes in, nothing of ours raises what it does not promise, and the good beside the bad is not lost."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, assume, example, given, settings, strategies as st

from process_manager.adapters.clock import ManualClock
from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.adapters.memory import MemoryStore
from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.block import read_fact
from process_manager.core.codec import MAX_DEPTH, decode, decode_json
from process_manager.core.facts import FACTS, Fact
from process_manager.core.identity import derive
from process_manager.core.metadata import read_metadata
from process_manager.core.records import NewRecord, Record
from process_manager.errors import BadEvent, MessageError, StoreError, UndecodableMessage
from process_manager.examples.order_fulfilment import app
from process_manager.examples.order_fulfilment.messages import OrderPlaced
from process_manager.interfaces.cli.events import HOPELESS
from process_manager.interfaces.publishing.event_lines import MAX_EVENT, Addressed, read_line
from process_manager.ports import Block, EventStore, StreamState
from process_manager.runtime.instances import load
from process_manager.runtime.wiring import build_worker

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars, lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(max_size=5), each, max_size=4), max_leaves=8
)
FIELDS = ["id", "type", "stream", "data", "metadata", "time", "specversion", "source", "subject", "data_base64", "datacontenttype", "other"]
GOOD = {"id": "1", "type": "shop.thing-happened", "stream": "thing-1", "data": {"a": 1}, "metadata": {}, "time": "2026-01-01T00:00:00Z"}


def damaged(bytes_: bytes, at: int) -> bytes:
    line = json.dumps(GOOD).encode()
    return line[:at] + bytes_ + line[at:]


lines = st.one_of(
    st.binary(max_size=200),
    values.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=8).map(lambda some: json.dumps(GOOD | some).encode()),
    st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=30), max_size=8).map(lambda some: json.dumps(GOOD | some).encode()),
    st.builds(damaged, st.binary(max_size=4), st.integers(0, 150)),
    st.integers(1, 3000).map(lambda deep: json.dumps(GOOD).encode().replace(b'"a": 1', b'"a": ' + b"[" * deep + b"]" * deep)),
)  # fmt: skip


def read(line: bytes) -> Addressed | None:
    try:
        return read_line(line)
    except BadEvent:
        return None


@settings(max_examples=250, deadline=None)
@example(json.dumps(GOOD | {"stream": "\ud800"}).encode())
@example(json.dumps(GOOD | {"id": "\udfff"}).encode())
@example(json.dumps(GOOD | {"metadata": {"$causationId": 7, "time": []}}).encode())
@example(b'{"id": 1e400, "type": "a", "stream": "b"}')
@given(lines)
def test_a_line_is_an_event_or_says_why_it_is_none(line: bytes) -> None:
    addressed = read(line)
    if addressed is None:
        return
    assert addressed.record.size <= MAX_EVENT
    store = MemoryStore()
    store.append(Block(addressed.stream, [addressed.record], StreamState.NO_STREAM))
    (record,) = store.read_stream(addressed.stream)
    assert decode_json("line", record.data) == orjson.loads(addressed.record.data)


whole_lines = lines.filter(lambda line: line.strip() and b"\n" not in line and not line.startswith(codecs.BOM_UTF8))
"""The mark at the beginning of a file is no part of its first line."""


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(whole_lines, max_size=HOPELESS - 1), st.randoms(use_true_random=False))
def test_no_bad_line_takes_a_good_one_with_it(pm: Any, tmp_path_factory: pytest.TempPathFactory, some: list[bytes], random: Any) -> None:
    """Unless a file begins with so many that it is taken for something else."""
    good = [json.dumps(GOOD | {"id": f"good {number}", "stream": "good"}).encode() for number in range(5)]
    content = [*some, *good]
    random.shuffle(content)
    url = f"sqlite:///{tmp_path_factory.mktemp('fuzz') / 'events.db'}"
    answer = pm("publish", "-", "--store", url, input=b"\n".join(content))

    assert "Traceback" not in answer.err
    assert answer.code == (1 if any(read(line) is None for line in some) else 0), answer.err
    store = SqliteStore(url.removeprefix("sqlite:///"))
    published = {record.id for record in store.read_all()}
    store.close()
    assert {derive(f"good {number}") for number in range(5)} <= published


# -- the codec --------------------------------------------------------------------------------------------------

raw = st.one_of(st.binary(max_size=100), values.map(lambda value: json.dumps(value).encode()))


@settings(max_examples=150, deadline=None)
@given(raw, st.integers(-3, 10**30))
def test_bytes_are_a_message_or_undecodable(data: bytes, version: int) -> None:
    with suppress(MessageError):
        assert isinstance(decode_json("t", data), dict)
    with suppress(MessageError):
        assert isinstance(read_metadata("t", data), dict)
    with suppress(MessageError):
        assert isinstance(decode(OrderPlaced, version, data), OrderPlaced)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_is_refused_before_anything_recurses(opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    for deep in (MAX_DEPTH + 1, 1000, 1_000_000):
        with pytest.raises(UndecodableMessage):
            decode_json("t", b'{"x":' + opening * deep + b"1" + closing * deep + b"}")


@settings(max_examples=250, deadline=None)
@given(st.sampled_from([*FACTS, "pm.unknown", "inventory.reserve-stock"]), raw, raw)
def test_a_record_of_an_instance_is_a_fact_or_undecodable(type_: str, data: bytes, metadata: bytes) -> None:
    with suppress(MessageError):
        assert isinstance(read_fact(Record(derive("x"), type_, data, metadata, "order_fulfilment-1", 0, 0, 0)), Fact)


# -- the stores -------------------------------------------------------------------------------------------------

texts = st.text(max_size=30) | st.sampled_from(["$all", "$$a", "\ud800", "a\0b", "x" * 3000])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(texts, texts, st.binary(max_size=50), st.binary(max_size=50))
def test_a_store_keeps_what_it_takes_and_refuses_the_rest(
    tmp_path_factory: pytest.TempPathFactory, stream: str, type_: str, data: bytes, metadata: bytes
) -> None:
    record = NewRecord(derive("x"), type_, data, metadata)
    stores: list[EventStore] = [MemoryStore(), SqliteStore(tmp_path_factory.mktemp("fuzz") / "events.db")]
    taken = []
    for store in stores:
        try:
            store.append(Block(stream, [record], StreamState.NO_STREAM))
            taken.append([each[:6] for each in store.read_stream(stream)])
        except (ValueError, StoreError):
            taken.append([])
        store.close()
    assert taken[0] == taken[1]
    assert taken[0] in ([], [(*record, stream, 0)])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.binary(max_size=300))
def test_a_file_that_is_no_store_is_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    assume(content)
    path = tmp_path_factory.mktemp("fuzz") / "events.db"
    for start in (b"", b"SQLite format 3\0"):
        path.write_bytes(start + content)
        with pytest.raises(StoreError):
            SqliteStore(path)
        assert path.read_bytes() == start + content


# -- a worker on a log that others write too --------------------------------------------------------------------

handled = st.sampled_from([*app.definitions["order_fulfilment"].handled, *app.handled_commands, "pm.deadline-passed", "pm.command-parked"])
streams = st.sampled_from(["order-1", "order_fulfilment-1", "order_fulfilment-2", "inventory-a", "payment-1", "pm.time-2"])
records = st.tuples(streams, handled | st.sampled_from([*filter(None, FACTS), "pm.operator-action"]), raw, raw)


@settings(max_examples=60, deadline=None)
@given(st.lists(records, max_size=15))
def test_a_worker_goes_on_whatever_stands_in_the_log(foreign: list[tuple[str, str, bytes, bytes]]) -> None:
    store = MemoryStore()
    for number, (stream, type_, data, metadata) in enumerate(foreign):
        store.append(Block(stream, [NewRecord(derive(str(number)), type_, data, metadata)], StreamState.ANY))
    placed = json.dumps({"order_id": "good", "lines": [], "total": "50", "card": "4"}).encode()
    store.append(Block("order-good", [NewRecord(derive("good"), "orders.order-placed", placed, b"")], StreamState.ANY))
    worker = build_worker(app, store, ManualClock(), SqliteDeadlineIndex())
    for _ in range(20):
        worker.step()
    worker.close()

    assert load(store, app.definitions["order_fulfilment"], "good").status == "completed"
    assert sum(group.lag - group.parked for group in store.groups()) <= len(foreign)  # some wait to be tried again


# -- the command line -------------------------------------------------------------------------------------------

COMMANDS: list[Callable[[str], list[str]]] = [
    lambda text: ["show", text],
    lambda text: ["list", "--process", text],
    lambda text: ["list", "--status", text],
    lambda text: ["list", "--store", text],
    lambda text: ["run", "--until-idle", "--app", text],
    lambda text: ["check", "--app", text],
    lambda text: ["publish", text],
    lambda text: ["parked", "show", text],
    lambda text: ["skip", text, "--reason", text],
    lambda text: [text],
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.sampled_from(COMMANDS),
    st.text(max_size=20).filter(lambda text: "\0" not in text)
    | st.sampled_from(["", "-", "--", "a:b", "os:system", "sys:modules", "json:loads.x", "../x", "\udc80"]),
)
def test_no_argument_makes_a_traceback(pm: Any, place: Path, command: Callable[[str], list[str]], text: str) -> None:
    (place / "process-manager.db").unlink(missing_ok=True)
    SqliteStore(place / "process-manager.db").close()
    answer = pm(*command(text), input=b"")

    assert answer.code in {0, 1, 2, 3, 4}, answer.err
    assert "Traceback" not in answer.err
