"""`pm run --workers`: several processes under one parent."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.codec import encode
from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.examples.order_fulfilment import messages as m
from process_manager.interfaces.cli import team
from process_manager.interfaces.cli.run import metrics_of
from process_manager.ports import Block, StreamState
from process_manager.testing.contract.support import eventually

APP = "process_manager.examples.order_fulfilment:app"
STORE = "sqlite:///a.db"


def publish(first: int, count: int) -> None:
    store = SqliteStore("a.db")
    for number in range(first, first + count):
        placed = m.OrderPlaced(order_id=str(number), lines=(m.Line(sku="a", quantity=1),), total=Decimal(50), card="card-1")
        record = NewRecord(derive("order", str(number)), placed.message_type, encode(placed), b"{}")
        store.append(Block(f"order-{number}", [record], StreamState.NO_STREAM))
    store.close()


def started(pm: Any) -> int:
    """How many orders the process has begun with."""
    answer = pm("list", "--store", STORE, "-o", "ids")
    return len(answer.out.split()) if answer.code == 0 else 0


def children(parent: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{parent}/task").iterdir():
        with suppress(OSError):  # a thread that ended just now
            found += map(int, (task / "children").read_text().split())
    return found


def runs(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.fixture
def running(start: Any) -> Callable[..., subprocess.Popen[str]]:
    """Starts a team."""
    return lambda *args: start("run", "--app", APP, "--store", STORE, *args)


def test_workers_end_together_when_all_is_taken(pm: Any, place: Path, running: Any) -> None:
    """On a file one has worked, and the others say that they stood by; each sums up what it did."""
    publish(0, 20)
    parent = running("--workers", "3", "--until-idle")
    _, err = parent.communicate(timeout=100)

    assert parent.returncode == 0, err
    assert "one worker is active on this store, the others stand by" in err
    turns = [int(count) for count in re.findall(r"worker \d: ([\d,]+) turns", err)]
    assert len(turns) == 3
    assert sum(turns) >= 20
    assert started(pm) == 20


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for child processes in /proc")
def test_a_worker_that_was_killed_is_started_again_and_ctrl_c_ends_all(pm: Any, place: Path, running: Any) -> None:
    """Whichever it was, what is published afterwards is taken."""
    publish(0, 5)
    parent = running("--workers", "2")
    eventually(lambda: started(pm) == 5 and len(children(parent.pid)) == 2)
    before = children(parent.pid)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    publish(5, 5)
    eventually(lambda: started(pm) == 10 and len(set(children(parent.pid)) - set(before)) == 2)

    parent.send_signal(signal.SIGINT)
    _, err = parent.communicate(timeout=100)
    assert parent.returncode == 130
    assert err.count("was ended by SIGKILL: it starts again in") == 2
    assert re.findall(r"worker \d: [\d,]+ turns", err.splitlines()[-1])


def test_each_worker_answers_for_its_metrics_on_a_port_of_its_own(pm: Any, place: Path, running: Any) -> None:
    """From the one that is named on, in a row; 0 lets each take a free one."""
    publish(0, 1)
    parent = running("--workers", "2", "--until-idle", "--metrics", "0")
    _, err = parent.communicate(timeout=100)

    assert parent.returncode == 0, err
    assert sorted(re.findall(r"^worker (\d): metrics: http://127\.0\.0\.1:\d+/metrics$", err, re.MULTILINE)) == ["1", "2"]
    assert [metrics_of(port, number) for port, number in ((9100, 1), (9100, 2), (0, 2), (None, 2))] == [
        ["--metrics", "9100"],
        ["--metrics", "9101"],
        ["--metrics", "0"],
        [],
    ]
    refused = pm("run", "--app", APP, "--store", STORE, "--workers", "2", "--metrics", "65535")
    assert (refused.code, "2 workers need ports up to 65535" in refused.err) == (2, True)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for child processes in /proc")
@pytest.mark.parametrize("count", [1, 2])
def test_ctrl_c_while_workers_start_up_ends_all_of_them(place: Path, running: Any, count: int) -> None:
    """Whether they import, and would lose an exception, or are not all started yet."""
    parent = running("--workers", "2")
    eventually(lambda: len(children(parent.pid)) >= count)
    parent.send_signal(signal.SIGINT)
    _, err = parent.communicate(timeout=100)
    assert (parent.returncode, "KeyboardInterrupt" in err) == (130, False), err


def test_a_signal_in_the_middle_of_a_start_is_passed_on_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nobody yet whom the handler could tell."""

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(team, "PM", (sys.executable, "-c", "import sys; sys.stdin.read()"))
    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    assert team.Team(lambda _: [], 1, {}).run() == 0  # else it waits for a worker that was not told


def test_ctrl_c_in_an_import_ends_a_run_without_a_word(start: Any, place: Path) -> None:
    """Even where Python ignores what is raised, as in the callbacks that importlib uses."""
    Path("hard.py").write_text(
        "import os, signal, weakref\n\nclass Lock: ...\n\nlock = Lock()\n"
        "watch = weakref.ref(lock, lambda _: os.kill(os.getpid(), signal.SIGINT))\ndel lock\n"
    )
    process = start("run", "--app", "hard:app", "--store", STORE)
    assert (process.communicate(timeout=100)[1], process.returncode) == ("", 130)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for child processes in /proc")
def test_workers_end_with_a_parent_that_was_killed(pm: Any, place: Path, running: Any) -> None:
    publish(0, 1)
    parent = running("--workers", "2")
    eventually(lambda: started(pm) == 1 and len(children(parent.pid)) == 2)
    pids = children(parent.pid)
    parent.kill()
    parent.wait()
    eventually(lambda: not any(map(runs, pids)))


def test_a_refusal_comes_once_and_from_the_parent(pm: Any, place: Path) -> None:
    publish(0, 1)
    Path("renamed.py").write_text(
        "from process_manager import App\nfrom process_manager.examples.order_fulfilment import app as shop\n"
        "app = App('renamed', handlers=shop.handlers, resources=shop.resources)\n"
    )
    assert pm("run", "--app", APP, "--store", STORE, "--until-idle").code == 0
    refused = pm("run", "--app", "renamed:app", "--store", STORE, "--workers", "2")
    assert (refused.code, refused.err.count("--take-over")) == (3, 1)


@pytest.mark.parametrize(("code", "ends", "said"), [(3, 3, 0), (1, 1, 4), (0, 0, 0)])
def test_only_a_worker_that_died_is_started_again(
    code: int, ends: int, said: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One that ended as told, or that would only say the same again, is not; nor is one that keeps dying."""
    monkeypatch.setattr(team, "PM", (sys.executable, "-c", f"import sys; sys.exit({code})"))
    monkeypatch.setattr(team, "DEATHS", 2)
    assert team.Team(lambda _: [], 2, {}).run() == ends
    told = capfd.readouterr().err.count("ended with exit code")
    assert (told > 0, told <= said) == (said > 0, True)


def test_what_cannot_be_shared_is_refused(pm: Any) -> None:
    answer = pm("run", "--app", APP, "--store", "memory:", "--workers", "2")
    assert answer.code == 3
    assert "several workers need a store that they share" in answer.err
    assert pm("run", "--app", APP, "--workers", "2", "--clock", "driven").code == 2


def test_the_summary_names_what_was_left_to_a_newer_version_once(pm: Any, place: Path) -> None:
    line = {"id": derive("newer"), "type": m.OrderPlaced.message_type, "stream": "newer-1", "metadata": {"version": 9}, "data": {"no": 1}}
    assert pm("publish", "-", "--store", STORE, input=json.dumps(line)).code == 0
    answer = pm("run", "--app", APP, "--store", STORE, "--until-idle")
    assert answer.code == 0
    assert "1 left" in answer.err
    assert "pm subscriptions show GROUP" in answer.err


def test_the_summary_says_what_to_do_about_what_was_suspended_or_parked(pm: Any, place: Path) -> None:
    """The exit code stays 0: everybody else went on."""
    Path("bad.jsonl").write_text(
        json.dumps({"id": derive("bad"), "type": m.OrderPlaced.message_type, "stream": "bad-1", "data": {"no": 1}})
    )
    assert pm("publish", "bad.jsonl", "--store", STORE).code == 0
    answer = pm("run", "--app", APP, "--store", STORE, "--until-idle")
    assert answer.code == 0
    assert "1 parked" in answer.err
    assert "pm parked list" in answer.err
    assert "or pm parked drop" in answer.err
