"""`pm run` and `pm demo` as processes of their own: signals, kills, totals."""

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

APP = "process_manager.examples.order_fulfilment:app"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_the_worker_after_its_batch(start: Any, place: Path, number: int, code: int) -> None:
    process = start("run", "--app", APP, "--store", "sqlite:///a.db", "--metrics", "0")
    assert "metrics: " in process.stderr.readline()  # said when it is about to work
    process.send_signal(number)
    out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (code, "")
    assert "0 turns" in err


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
