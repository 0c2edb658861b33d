"""`pm discover`: the flow of a log from correlation and causation alone, in the order of the messages' own times."""

import csv
import io
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.ports import Block, StreamState
from tests.interfaces.conftest import Pm


class Log:
    """A file to which messages are appended as nobody coordinates them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0

    def say(self, type_: str, minute: int, *, case: str = "", cause: str = "", stream: str = "") -> str:
        """A message timed so many minutes after midnight; its id."""
        self._count += 1
        named = {"$correlationId": case, "$causationId": cause, "time": f"2026-01-01T00:{minute:02}:00+00:00"}
        id_ = derive(str(self._count))
        record = NewRecord(id_, type_, b"{}", orjson.dumps({name: value for name, value in named.items() if value}))
        with closing(SqliteStore(self._path)) as store:
            store.append(Block(stream or f"{type_}-{self._count}", [record], StreamState.ANY))
        return id_


@pytest.fixture
def log(place: Path) -> Log:
    return Log(place / "log.db")


def flow(pm: Pm, *args: str) -> dict[str, Any]:
    answer = pm("discover", "--store", "log.db", "-o", "json", *args)
    assert answer.code == 0, answer.err
    found: dict[str, Any] = orjson.loads(answer.out)
    return found


def follows(pm: Pm, *args: str) -> dict[tuple[str, str], int]:
    return {(each["before"], each["after"]): each["count"] for each in flow(pm, *args)["follows"]}


def test_what_a_server_keeps_of_its_groups_in_the_file_is_no_message(pm: Pm, log: Log) -> None:
    log.say("placed", 0, case="one")
    log.say("SubscriptionCheckpoint", 1, case="one", stream="$persistentsubscription-$all::shop.processes.1-checkpoint")
    assert [node["type"] for node in flow(pm)["types"]] == ["placed"]


def test_messages_of_a_correlation_follow_each_other_by_their_own_time(pm: Pm, log: Log) -> None:
    log.say("shipped", 30, case="one")
    log.say("placed", 0, case="one")
    log.say("placed", 5, case="two")
    log.say("paid", 10, case="one")
    log.say("paid", 25, case="two")
    found = flow(pm)
    assert found["cases"] == 2
    assert found["types"][0] == {"type": "shipped", "count": 1, "command": False}
    assert {(each["before"], each["after"], each["count"], each["median"], each["p90"]) for each in found["follows"]} == {
        ("(start)", "placed", 2, None, None), ("placed", "paid", 2, 600, 1200), ("paid", "shipped", 1, 1200, 1200),
        ("shipped", "(end)", 1, None, None), ("paid", "(end)", 1, None, None),
    }  # fmt: skip


def test_messages_of_one_time_follow_by_their_position(pm: Pm, log: Log) -> None:
    for type_ in ("a", "b", "c"):
        log.say(type_, 0, case="one")
    assert {("a", "b"), ("b", "c")} < follows(pm).keys()


def test_without_a_correlation_causes_join_what_belongs_together(pm: Pm, log: Log) -> None:
    first = log.say("a", 0)
    second = log.say("b", 1, cause=first)
    log.say("c", 2, cause=second)
    log.say("a", 3)
    outside = log.say("x", 4)
    log.say("y", 5, case="one", cause=outside)
    found = flow(pm)
    assert found["cases"] == 3
    assert {("a", "b"), ("b", "c"), ("a", "(end)"), ("x", "y")} < {(each["before"], each["after"]) for each in found["follows"]}


def test_only_what_was_asked_for_is_drawn(pm: Pm, log: Log) -> None:
    for minute, (type_, stream) in enumerate([("shop.a", "order-1"), ("bank.b", "card-1"), ("shop.c", "order-1"), ("shop.d", "order-1")]):
        log.say(type_, minute, case="one", stream=stream)
    assert ("shop.a", "shop.c") in follows(pm, "--category", "order")
    assert ("shop.a", "shop.c") in follows(pm, "--type-prefix", "shop.")
    assert follows(pm, "--since", "2026-01-01T00:01:00Z", "--until", "2026-01-01T00:02:00Z").keys() == {
        ("(start)", "bank.b"), ("bank.b", "shop.c"), ("shop.c", "(end)")
    }  # fmt: skip
    assert follows(pm, "--until", "2026-01-01") == follows(pm)
    assert follows(pm, "--min-count", "2") == {}
    assert pm("discover", "--store", "log.db", "--since", "yesterday").code == 2


def test_it_is_drawn_as_mermaid_and_dot_and_written_as_csv(pm: Pm, log: Log) -> None:
    log.say('odd"<type>', 0, case="one")
    log.say("b", 10, case="one")
    mermaid = pm("discover", "--store", "log.db").out
    assert mermaid.startswith("flowchart TD\n")
    assert 'n0(["odd#quot;#lt;type#gt;<br/>1"])' in mermaid
    assert 'n0 -->|"1, 10 min"| n1' in mermaid
    dot = pm("discover", "--store", "log.db", "-o", "dot").out
    assert r'n0 [label="odd\"<type>\n1", shape=box, style="rounded"];' in dot
    assert 'n0 -> n1 [label="1, 10 min"];' in dot
    rows = list(csv.DictReader(io.StringIO(pm("discover", "--store", "log.db", "-o", "csv").out)))
    assert {"before": 'odd"<type>', "after": "b", "count": "1", "median": "600.0", "p90": "600.0"} in rows


def test_commands_of_a_process_manager_are_told_from_events(pm: Pm, recorded: Path, place: Path) -> None:
    shutil.copy(recorded, place / "log.db")
    found = flow(pm)
    commands = {each["type"] for each in found["types"] if each["command"]}
    assert {"inventory.reserve-stock", "payments.charge-card"} < commands
    assert "orders.order-placed" not in commands
    assert not any(each["type"].startswith("pm.") for each in found["types"])
    assert follows(pm, "--min-count", "40")["payments.card-charged", "shipping.ship-order"] > 40
