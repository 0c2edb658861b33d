"""The README is followed to the letter: its files are written, its tests run, its commands typed."""

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.fixture
def trip(tmp_path: Path) -> Path:
    """A fresh directory with the tutorial's files."""
    for _, name, text in re.findall(r"^```(\w+) (\S+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(text)
    return tmp_path


def run(directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=200, check=False)


def test_the_tutorials_commands_do_what_it_says(trip: Path) -> None:
    """One trip is completed, the other compensated, and its story tells of the cancelled flight."""
    (console,) = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    outputs = []
    for line in console.splitlines():
        done = run(trip, *line.removeprefix("$ ").split())
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        outputs.append(done.stdout)

    assert re.search(r"1\b.*completed", outputs[3])
    assert re.search(r"2\b.*compensated", outputs[3])
    assert "trips.cancel-flight" in outputs[4]


def test_the_tutorials_tests_pass(trip: Path) -> None:
    """The process that the saga grows into is tested as the README shows."""
    done = run(trip, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_process.py", "test_rooms.py", "test_crashes.py")

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_handler_with_an_aggregate_takes_the_place_of_the_one_without(trip: Path) -> None:
    """Its hotel has rooms in Venice too, so both trips are completed."""
    app = (trip / "app.py").read_text()
    before, plain, rest = app.partition("@handles(BookHotel)")
    (trip / "app.py").write_text("from rooms import book_hotel\n" + before + rest[rest.index("@handles(CancelHotel)") :])
    assert plain
    for line in ("pm publish trips.jsonl", "pm run --until-idle --app app:app"):
        assert run(trip, *line.split()).returncode == 0
    assert [line.split(",")[3] for line in run(trip, "pm", "list", "-o", "csv").stdout.splitlines()] == ["status", "completed", "completed"]


def test_the_readmes_own_projection_and_reports_work(trip: Path) -> None:
    """Its commands run after the tutorial's; the trip that was undone has no car any more."""
    typed = re.findall(r"^\$ (pm (?:publish|run) .*)$|^(pm (?:projections|report) .*)$", README, re.MULTILINE)
    for line in ["".join(each) for each in typed if "trips.db" in "".join(each)]:
        done = run(trip, "sh", "-c", line)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"

    with closing(sqlite3.connect(trip / "trips.views.db")) as views:
        assert views.execute("SELECT * FROM trips ORDER BY trip_id").fetchall() == [("1", "Turin", 1), ("2", "Venice", 0)]


def test_the_command_line_reference_is_what_help_says() -> None:
    shown = README.partition("<!-- cli -->\n```text\n")[2].partition("```\n<!-- /cli -->")[0]
    done = run(ROOT, "env", "COLUMNS=100", "pm", "--help")

    assert done.returncode == 0, done.stderr
    assert shown == done.stdout


def test_a_changed_rule_shows_before_it_is_deployed(trip: Path) -> None:
    """The section's commands run in its order on a demo; each `drift` finds orders that the candidate would have had reviewed."""
    section = README.partition("## Replay, explain, drift")[2].partition("\n## ")[0]
    assert run(trip, "pm", "demo", "--orders", "200", "--store", "sqlite:///demo.db").returncode == 0
    typed = [line for block in re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL) for line in block.splitlines()]
    outputs = [shell(trip, line, 5 if "drift" in line else 0) for line in typed]

    assert "compensating: rejected by alan" in outputs[0]
    assert outputs[1].startswith("order_fulfilment-1.000005 is compensated")
    assert "gave inventory.reserve-stock" in outputs[2]
    for drift in (outputs[3], outputs[4], outputs[7]):
        assert "manual review" in drift


def shell(directory: Path, line: str, code: int) -> str:
    """What a line of a shell block prints; `>` writes a file."""
    words, _, file = line.partition(" > ")
    done = run(directory, *words.split())
    assert done.returncode == code, f"{line}\n{done.stdout}{done.stderr}"
    if file:
        (directory / file).write_text(done.stdout)
    return done.stdout
