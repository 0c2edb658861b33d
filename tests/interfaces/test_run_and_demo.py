"""`pm run` and `pm demo` as processes of their own: signals, kills, totals."""

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from process_manager.testing.contract.support import eventually

APP = "process_manager.examples.order_fulfilment:app"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_the_worker_after_its_batch(start: Any, place: Path, number: int, code: int) -> None:
    process = start("run", "--app", APP, "--store", "sqlite:///a.db", "--metrics", "0")
    assert "a.db is a new store" in process.stderr.readline()
    assert "metrics: " in process.stderr.readline()  # said when it is about to work
    process.send_signal(number)
    out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (code, "")
    assert "0 turns" in err


SLOW = """
import time
from pathlib import Path
from process_manager import *

class Begun(Event, type="slow.begun"):
    id: str

class Take(Command, type="slow.take"):
    id: str

class Taken(Event, type="slow.taken"):
    id: str

class Slow(ProcessManager, key="id"):
    take = Step(Take, done=Taken, within=hours(1), needs_undo=False, then=Complete("taken"), otherwise=Abort("late"))

    @starts
    def begun(self, event: Begun) -> Effects[Take]:
        yield Take(id=event.id)

@handles(Take)
def taking(command: Take) -> Taken:
    Path("under-way").touch()
    while not Path("go-on").exists():
        time.sleep(0.01)
    return Taken(id=command.id)

app = App("slow", processes=[Slow], handlers=[taking])
"""


def test_ctrl_c_while_a_handler_is_at_work_says_that_it_is_waited_for(pm: Any, start: Any, place: Path) -> None:
    Path("slow.py").write_text(SLOW)
    assert pm("publish", "-", input='{"id": 1, "type": "slow.begun", "stream": "begin-1", "data": {"id": "1"}}').code == 0
    process = start("run", "--app", "slow:app", "--store", "process-manager.db")
    begun = process.stderr.readline()
    eventually(Path("under-way").exists)
    process.send_signal(signal.SIGINT)
    told = process.stderr.readline()
    Path("go-on").touch()
    _, err = process.communicate(timeout=100)

    assert begun == "running slow:app on process-manager.db: 1 process, 1 handler, deadlines; Ctrl-C to stop\n"
    assert told == "finishing what is under way; Ctrl-C once more stops at once\n"
    assert (process.returncode, err) == (130, "1 turn, 1 command, 1 handled\n")  # and that once


def test_a_second_ctrl_c_ends_at_once_and_names_what_is_left_behind(pm: Any, start: Any, place: Path) -> None:
    """And the next worker calls it again."""
    Path("slow.py").write_text(SLOW)
    assert pm("publish", "-", input='{"id": 1, "type": "slow.begun", "stream": "begin-1", "data": {"id": "1"}}').code == 0
    process = start("run", "--app", "slow:app", "--store", "process-manager.db")
    eventually(Path("under-way").exists)
    process.send_signal(signal.SIGINT)
    while "finishing what is under way" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 130
    left = "left behind, another worker will call it again: taking, slow.take [0-9a-f-]{36}"
    assert re.search(left, err), err

    Path("go-on").touch()
    again = pm("run", "--app", "slow:app", "--store", "process-manager.db", "--until-idle")
    assert "1 handled" in again.err


def test_a_worker_that_ends_by_itself_says_what_it_did(pm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("process_manager.interfaces.cli.progress.QUIET", 0.0)
    lines = pm("run", "--app", APP, "--until-idle").err.splitlines()
    assert [line for line in lines if not line.startswith("so far ")][-1] == "0 turns, 0 commands"


def demo(pm: Any, *args: str) -> dict[str, int]:
    answer = pm("demo", "--orders", "60", "--seed", "3", "-o", "json", *args)
    assert answer.code == 0, answer.err
    found: dict[str, int] = json.loads(answer.out)
    assert found.pop("seconds") > 0
    return found


def test_a_demo_again_and_after_a_kill_comes_to_the_same(pm: Any, start: Any, place: Path) -> None:
    undisturbed = demo(pm)
    assert undisturbed["orders"] == 60
    assert undisturbed["running"] == 0
    assert undisturbed["completed"] + undisturbed["compensated"] == 60
    killed = start("demo", "--orders", "60", "--seed", "3", "--store", "sqlite:///k.db")
    until = time.monotonic() + 30
    while killed.poll() is None and time.monotonic() < until:
        if Path("k.db-wal").exists() and Path("k.db-wal").stat().st_size > 300_000:
            break
        time.sleep(0.005)
    killed.kill()
    killed.communicate()
    assert demo(pm, "--store", "sqlite:///k.db") == undisturbed
    assert demo(pm, "--store", "sqlite:///k.db") == undisturbed
    other = pm("demo", "--orders", "61", "--seed", "3", "--store", "sqlite:///k.db")
    assert other.code == 3
    assert "60 orders with seed 3" in other.err


def test_a_demo_tells_its_totals_and_a_story(pm: Any) -> None:
    answer = pm("demo", "--orders", "40")
    assert "completed" in answer.out
    assert "compensated: " in answer.out


def test_a_demo_tells_how_far_it_is_so_far(pm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines are overtaken by the totals, so they say no more than that."""
    monkeypatch.setattr("process_manager.interfaces.cli.progress.QUIET", 0.0)
    lines = [line for line in pm("demo", "--orders", "20").err.splitlines() if "orders placed" in line]
    assert lines
    assert all(re.fullmatch(r"\d+ of 20 orders placed, [\d,]+ turns so far", line) for line in lines)
