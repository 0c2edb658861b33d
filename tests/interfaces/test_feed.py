"""`pm run --feed`: recorded events meet the deadlines of their own time."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from process_manager.adapters.sqlite import SqliteStore
from process_manager.interfaces import bootstrap
from process_manager.interfaces.loading import load_app
from process_manager.interfaces.publishing.event_lines import read_line
from process_manager.interfaces.publishing.feeder import Feeder, in_order

APP = '''
from process_manager import *

class Sent(Event, type="bills.sent"):
    id: str

class Paid(Event, type="bills.paid"):
    id: str

class Bill(ProcessManager, key="id", name="bill"):
    """Paid in three days, or never mind."""

    soon = Deadline()

    @starts
    def begin(self, e: Sent) -> Effects:
        yield self.soon.after(days(3))

    @on
    def paid(self, e: Paid) -> Effects[Complete]:
        yield Complete("paid in time")

    @due(soon)
    def late(self) -> Effects[Abort]:
        yield Abort("late")

app = App("fed_bills", processes=[Bill])
'''


def bill(number: int, type_: str, time: str) -> dict[str, Any]:
    return {"id": f"{number} {type_}", "type": f"bills.{type_}", "stream": f"b-{number}", "data": {"id": str(number)}, "time": time}


LATE = [bill(1, "sent", "2026-01-01T00:00:00Z"), bill(1, "paid", "2026-01-10T00:00:00Z")]
EVENTS = [
    LATE[0],
    bill(2, "sent", "2026-01-01T00:00:00Z"),
    bill(3, "sent", "2026-01-01T00:00:00Z"),
    bill(2, "paid", "2026-01-03T23:59:59.999999Z"),
    bill(3, "paid", "2026-01-04T00:00:00Z"),
    bill(4, "sent", "2026-01-04T01:00:00+01:00"),
    LATE[1],
    bill(5, "sent", "2026-01-10T00:00:00Z"),
]  # fmt: skip
ENDS = {"bill-1": "aborted", "bill-2": "completed", "bill-3": "aborted", "bill-4": "aborted", "bill-5": "aborted"}
FEED = ("run", "--app", "fed_bills:app", "--clock", "driven", "--feed", "events.jsonl")


@pytest.fixture
def bills(pm: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`pm` where the app and the events are."""
    Path("fed_bills.py").write_text(APP)
    monkeypatch.syspath_prepend(place)
    write(*EVENTS)
    return pm


def write(*events: dict[str, Any] | str) -> None:
    Path("events.jsonl").write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in events))


def ends(pm: Any) -> dict[str, str]:
    return {row["instance"]: row["status"] for row in json.loads(pm("list", "-o", "json").out)}


def log() -> list[Any]:
    store = SqliteStore("process-manager.db")
    found = list(store.read_all())
    store.close()
    return found


def test_deadlines_pass_before_what_came_at_their_time_or_later(bills: Any) -> None:
    answer = bills(*FEED)
    assert (answer.code, answer.out) == (0, ""), answer.err
    assert "8 events published\n" in answer.err
    assert ends(bills) == ENDS
    before = log()
    again = bills(*FEED)
    assert again.code == 0
    assert "0 events published, 8 were there already\n" in again.err
    assert "late" not in again.err
    assert log() == before


def test_events_that_came_late_are_told(bills: Any) -> None:
    write(LATE[0])
    assert bills(*FEED).code == 0
    write(*EVENTS[:4])
    answer = bills(*FEED)
    assert "3 events published, 1 was there already\n" in answer.err
    assert "3 of them came late" in answer.err


@pytest.mark.parametrize("stop_after", range(1, 12))
def test_a_feed_that_was_stopped_goes_on(bills: Any, stop_after: int) -> None:
    app = load_app("fed_bills:app")
    store = SqliteStore("process-manager.db")
    worker = bootstrap.driven_worker(app, store)
    whole, steps = worker.step, 0

    def step() -> int:
        nonlocal steps
        steps += 1
        if steps == stop_after:
            worker.stop()
        return whole()

    worker.step = step  # type: ignore[method-assign]
    Feeder(store, worker).feed(in_order(enumerate(read_line(json.dumps(each).encode()) for each in EVENTS)))
    worker.close()
    store.close()
    assert bills(*FEED).code == 0
    assert ends(bills) == ENDS


def test_a_signal_stops_a_feed(bills: Any, start: Any) -> None:
    """It comes while the app takes one of the events in the middle, which sends it."""
    signalled = "        if e.id == '300':\n            os.kill(os.getpid(), signal.SIGINT)\n        yield self.soon"
    Path("signalled.py").write_text("import os, signal\n" + APP.replace("        yield self.soon", signalled))
    write(*(bill(n, "sent", f"2026-01-01T{n // 60:02}:{n % 60:02}:00Z") for n in range(600)))
    process = start("run", "--app", "signalled:app", *FEED[3:])
    _, err = process.communicate(timeout=100)
    assert process.returncode == 130, err
    assert "301 events published" in err


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([EVENTS[3], "", EVENTS[0]], "line 3: its time 2026-01-01T00:00:00+00:00 is before 2026-01-03T23:59:59.999999+00:00"),
        ([EVENTS[0], {**EVENTS[1], "time": None}], "line 2: it has no time"),
    ],
)
def test_what_is_not_in_order_is_refused_before_anything_is_published(bills: Any, events: list[Any], why: str) -> None:
    write(*events)
    answer = bills(*FEED)
    assert answer.code == 3
    assert why in answer.err
    assert not Path("process-manager.db").exists()


def test_bad_lines_are_reported_once_as_in_publish(bills: Any) -> None:
    write(EVENTS[0], "nonsense", *EVENTS[1:])
    published = bills("publish", "events.jsonl", "--store", "sqlite:///other.db")
    answer = bills(*FEED)
    assert (published.code, answer.code) == (1, 1)
    assert published.err.startswith("line 2: it is not JSON")
    assert answer.err.startswith(published.err)
    assert ends(bills) == ENDS


def test_a_feed_needs_a_driven_clock_every_role_and_a_file_to_read_twice(bills: Any) -> None:
    assert bills(*FEED[:3], "--feed", "events.jsonl").code == 2
    alone = bills(*FEED, "--only", "processes")
    assert alone.code == 2
    assert "leave --only out" in alone.err
    assert bills(*FEED[:-1], "nothing.jsonl").err == "error: nothing.jsonl: No such file or directory\n"
    piped = [sys.executable, "-m", "process_manager.interfaces.cli.main", *FEED[:-1], "-"]
    done = subprocess.run(piped, input=json.dumps(EVENTS[0]), capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "cannot be read twice" in done.stderr
