"""`pm publish`: twice is once, and a bad line spoils no other."""

import json
from pathlib import Path
from typing import Any

import pytest

from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.identity import derive
from process_manager.core.messages import Event
from process_manager.core.records import NewRecord
from process_manager.errors import BadEvent
from process_manager.interfaces.publishing.event_lines import MAX_EVENT, checked_against, read_line
from process_manager.interfaces.publishing.publisher import Publisher
from process_manager.ports import Block, StreamState

GOOD: dict[str, Any] = {"id": "1", "type": "shop.thing-happened", "stream": "thing-1", "data": {"a": 1}}


def line(**changes: Any) -> str:
    return json.dumps({name: value for name, value in (GOOD | changes).items() if value is not ...})


def test_a_file_published_twice_is_published_once(pm: Any, place: Path) -> None:
    Path("events.jsonl").write_text("\n".join(line(id=str(number), stream=f"thing-{number % 3}") for number in range(50)))
    first = pm("publish", "events.jsonl")
    again = pm("publish", "events.jsonl")
    assert (first.code, again.code) == (0, 0)
    assert "50 events published" in first.err
    assert "0 events published, 50 were there already" in again.err
    assert (first.out, again.out) == ("", "")
    with_store = SqliteStore("process-manager.db")
    assert [record.id for record in with_store.read_all()] == [derive(str(number)) for number in range(50)]
    with_store.close()


def test_an_interrupted_file_goes_on(pm: Any, place: Path) -> None:
    lines = [line(id=str(number)) for number in range(10)]
    pm("publish", "-", input="\n".join(lines[:4]))
    assert "6 events published, 4 were there already" in pm("publish", "-", input="\n".join(lines)).err


BAD = {
    "nonsense": "not JSON",
    '{"id": "1"': "not JSON",
    "[1, 2]": "not a JSON object",
    "null": "not a JSON object",
    line(type=...): "no type",
    line(type=7): "type is not text",
    line(stream=...): "no stream",
    line(stream=""): "no stream",
    line(stream="$all"): "the stream .* is reserved",
    line(stream="pm.time"): "the stream .* is reserved",
    '{"specversion": "1.0", "id": "1", "type": "a", "source": "/pm.deadline", "subject": "1"}': "the stream .* is reserved",
    line(stream="a\0b"): "NUL",
    line(id=...): "no id",
    line(id=None): "no id",
    line(id=True): "id is not text",
    line(data=[1]): "data is not an object",
    line(data="text"): "data is not an object",
    line(metadata=3): "metadata is not an object",
    line(metdata={"who": "ada"}): "it has 'metdata', which is no attribute of a line",
    line(metadata={"version": 0}): "version",
    line(time="yesterday"): "no ISO 8601 time",
    line(time=12): "no ISO 8601 time",
    line(time="2026-01-01T00:00:00"): "has no zone",
    line(type="pm.started"): "reserved",
    line(type="$metadata"): "reserved",
    line(data={"long": "x" * 520_000}, metadata={"long": "x" * 5_000}): r"come to 525,\d+ bytes, an event may have 524,288",
    line(data={"number": 10**30}): "beyond 64 bits",
    line(data=json.loads("[" * 0 + '{"a":' * 150 + "1" + "}" * 150)): "nested deeper",
    '{"id": "1", "type": "a", "stream": "b", "data": {"a": NaN}}': "not JSON",
    '{"specversion": "1.0", "id": "1", "type": "a"}': "no source",
    '{"specversion": "1.0", "id": "1", "type": "a", "source": "/b", "data_base64": "AA=="}': "data_base64",
}


@pytest.mark.parametrize(("text", "why"), BAD.items(), ids=range(len(BAD)))
def test_a_bad_line_says_why(text: str, why: str) -> None:
    with pytest.raises(BadEvent, match=why):
        read_line(text.encode())


def test_bad_lines_are_reported_by_number_and_good_ones_kept(pm: Any, place: Path) -> None:
    content = b"\xef\xbb\xbf" + line().encode() + b"\n\n" + b'{"a": "\xff"}\n' + line(id="2").encode() + b"\r\nnonsense"
    answer = pm("publish", "-", input=content)
    assert answer.code == 1
    assert "line 3: it is not UTF-8" in answer.err
    assert "line 5: it is not JSON" in answer.err
    assert "2 events published, 2 bad lines left out" in answer.err


def test_the_largest_event_that_is_published_is_taken(pm: Any, place: Path) -> None:
    app = "process_manager.examples.order_fulfilment:app"
    order = {"order_id": "1", "lines": [{"sku": "a", "quantity": 1}], "total": "100", "card": "x"}
    event = {"id": "1", "type": "orders.order-placed", "stream": "order-1", "data": order, "metadata": {"note": ""}}
    room = MAX_EVENT - read_line(json.dumps(event).encode()).record.size
    more = pm("publish", "-", input=json.dumps(event | {"metadata": {"note": "x" * (room + 1)}}))
    assert "line 1: its type, data and metadata come to 524,289 bytes" in more.err
    assert pm("publish", "-", input=json.dumps(event | {"metadata": {"note": "x" * room}})).code == 0
    assert pm("run", "--app", app, "--until-idle").code == 0
    (listed,) = json.loads(pm("list", "-o", "json").out)
    assert listed["status"] == "compensated"


def test_who_publishes_into_the_stream_of_an_instance_is_warned(pm: Any, place: Path) -> None:
    app = "process_manager.examples.order_fulfilment:app"
    order = {"order_id": "1", "lines": [{"sku": "a", "quantity": 1}], "total": "100", "card": "x"}
    placed = pm("publish", "-", input=json.dumps({"id": "1", "type": "orders.order-placed", "stream": "order-1", "data": order}))
    assert pm("run", "--app", app, "--until-idle").code == 0
    answer = pm("publish", "-", input=line(id="2", stream="order_fulfilment-1") + "\n" + line(id="3", stream="thing-1"))

    assert "warning" not in placed.err
    assert (answer.code, answer.err.count("warning")) == (0, 1)
    assert "warning: 1 event in the stream order_fulfilment-1, where instances keep what they know" in answer.err


def test_a_line_without_an_end_is_not_held_in_memory(pm: Any, place: Path) -> None:
    answer = pm("publish", "-", input=b'{"a": "' + b"x" * 9_000_000 + b'"}\n' + line().encode())
    assert answer.code == 1
    assert "line 1: it is longer than" in answer.err
    assert "1 event published" in answer.err


def test_what_a_line_becomes() -> None:
    known = "5f0c9ad2-9a07-5c1e-8a52-6d3f9d1a7c11"
    stream, record = read_line(line(id=known.upper(), time="2026-01-01T01:00:00+01:00", metadata={"who": "ada"}).encode())
    assert (stream, record.id, record.type) == ("thing-1", known, "shop.thing-happened")
    assert json.loads(record.metadata) == {"who": "ada", "time": "2026-01-01T00:00:00+00:00", "version": 1}
    assert read_line(line(id="order 7").encode()).record.id == derive("order 7")


def test_a_cloud_event_goes_to_the_stream_of_its_source_and_subject() -> None:
    event = {
        "specversion": "1.0", "id": "7", "source": "/shop/orders", "subject": "42", "type": "orders.placed",
        "time": "2026-01-01T00:00:00Z", "data": {"a": 1}, "traceparent": "00-1",
    }  # fmt: skip
    stream, record = read_line(json.dumps(event).encode())
    assert (stream, record.id, json.loads(record.data)) == ("orders-42", derive("/shop/orders", "7"), {"a": 1})
    metadata = json.loads(record.metadata)
    assert metadata["ce-source"] == "/shop/orders"
    assert metadata["ce-traceparent"] == "00-1"
    del event["subject"]
    assert read_line(json.dumps(event).encode()).stream == "orders"
    assert read_line(json.dumps(event | {"stream": "mine-1"}).encode()).stream == "mine-1"


def test_the_log_keeps_the_order_of_the_file_and_others_may_append_between(place: Path) -> None:
    store = SqliteStore("a.db")
    publisher = Publisher(store)
    publisher.publish(read_line(line(id=str(number), stream=f"s-{number % 2}").encode()) for number in range(6))
    store.append(Block("s-0", [NewRecord(derive("other"), "other", b"{}", b"")], StreamState.ANY))
    publisher.publish(read_line(line(id=str(number), stream="s-0").encode()) for number in (4, 6, 6))
    found = [record.id for record in store.read_all()]
    assert found == [derive(each) for each in ("0", "1", "2", "3", "4", "5", "other", "6")]
    assert (publisher.published, publisher.known) == (7, 2)
    store.close()


def test_more_than_one_append_may_hold_goes_in_several(place: Path) -> None:
    store = SqliteStore("a.db")
    publisher = Publisher(store)
    publisher.publish(read_line(line(id=str(number), data={"a": "x" * 400_000}).encode()) for number in range(5))
    assert publisher.published == 5
    store.close()


def test_a_file_that_is_not_there_is_named(pm: Any) -> None:
    answer = pm("publish", "nothing.jsonl")
    assert answer.code == 1
    assert answer.err == "error: nothing.jsonl: No such file or directory\n"


def test_a_file_without_one_good_line_leaves_no_store_behind(pm: Any, place: Path) -> None:
    answer = pm("publish", "-", input="no JSON\n{}\n")
    assert (answer.code, "0 events published, 2 bad lines left out" in answer.err) == (1, True)
    assert list(place.iterdir()) == []


def test_who_names_the_app_is_warned_of_types_that_it_does_not_take(pm: Any, place: Path) -> None:
    types = ["orders.order-place", "shop.thing-happened", "inventory.stock-received", "orders.order-placed"]
    data = {"sku": "a", "quantity": 1, "order_id": "1", "lines": [{"sku": "a", "quantity": 1}], "total": "100", "card": "x"}
    lines = "\n".join(line(id=type_, type=type_, stream=f"{number}-1", data=data) for number, type_ in enumerate(types))
    answer = pm("publish", "-", "--app", "process_manager.examples.order_fulfilment:app", input=lines)

    assert answer.code == 0
    assert answer.err.splitlines() == [
        "4 events published",
        "warning: 1 event of type orders.order-place, which no process or aggregate of the app takes: did you mean orders.order-placed?",
        "warning: 1 event of type shop.thing-happened, which no process or aggregate of the app takes",
    ]


APP = "process_manager.examples.order_fulfilment:app"


def test_who_names_the_app_is_told_of_commands_and_of_data_that_do_not_fit(pm: Any, place: Path) -> None:
    """Types that the app does not know are none of its business."""
    order = {"order_id": "1", "lines": [{"sku": "a", "quantity": 1}], "total": "100", "card": "x"}
    lines = [
        line(id="1", type="payments.charge-card", data={}),
        line(id="2", type="orders.order-placed", data=order | {"total": "much"}),
        line(id="3", type="orders.order-placed", data=order, metadata={"version": 9}),
        line(id="4", type="orders.order-placed", data=order),
        line(id="5"),
    ]
    answer = pm("publish", "-", "--app", APP, input="\n".join(lines))

    assert answer.code == 1
    assert "line 1: payments.charge-card is a command: only an instance gives commands; publish events" in answer.err
    assert "line 2: its data is no orders.order-placed: total: " in answer.err
    assert "line 3: orders.order-placed is version 9, this process knows up to " in answer.err
    assert "2 events published, 3 bad lines left out" in answer.err


class Moved(Event, type="moves.moved", version=2, upcasters=(lambda data: {"to": data["place"]},)):
    to: str


def test_an_older_version_is_checked_as_a_worker_decodes_it() -> None:
    old = read_line(line(type="moves.moved", data={"place": "Turin"}).encode())
    assert checked_against(old, {"moves.moved": Moved}) == old
    with pytest.raises(BadEvent, match=r"its data is no moves\.moved"):
        checked_against(read_line(line(type="moves.moved", data={"to": "Turin"}).encode()), {"moves.moved": Moved})


def test_a_file_that_is_none_of_events_is_given_up(pm: Any, place: Path) -> None:
    answer = pm("publish", "-", input="no JSON\n" * 1_000)
    assert (answer.code, answer.err.count("\nline ")) == (1, 19)
    assert "20 bad lines and no good one" in answer.err
    assert "20 bad lines left out" in pm("publish", "-", input=line() + "\nno JSON" * 20).err


def test_an_address_that_is_none_is_reported_with_where_it_was_written(pm: Any) -> None:
    assert "PM_STORE" not in pm("list", "--store", "mysql://x").err
    assert "'--store' (env var: 'PM_STORE')" in pm("list", PM_STORE="mysql://x").err
