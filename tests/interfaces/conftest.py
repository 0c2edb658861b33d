"""The CLI, called inside this process or started as a user would."""

import logging
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from process_manager.adapters.sqlite import SqliteStore
from process_manager.examples.order_fulfilment import app
from process_manager.examples.order_fulfilment.demo import Demo
from process_manager.examples.order_fulfilment.orders import Plan
from process_manager.interfaces.bootstrap import driven_worker
from process_manager.interfaces.cli import errors, progress
from process_manager.interfaces.cli.commands import cli


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Pm = Callable[..., Answer]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)
    for name in ("PM_STORE", "PM_APP", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(progress, "QUIET", math.inf)  # a slow machine has no more to say
    return tmp_path


def call(*args: str, input: str | bytes | None = None, **env: str | None) -> Answer:  # noqa: A002  as click's runner has it
    """Call a command inside this process, through the same errors and exit codes as the script."""
    with CliRunner().isolation(input=input, env=env) as (out, err, _):
        handlers, level = logging.root.handlers[:], logging.root.level
        code = errors.run(cli, args, prog_name="pm")
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        sys.stdout.flush()
        return Answer(code, out.getvalue().decode(), err.getvalue().decode())


@pytest.fixture
def pm(place: Path) -> Pm:
    """Calls a command in an empty directory."""
    return call


@pytest.fixture
def start(place: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `pm` as a process of its own, which ends with the test at the latest."""
    started: list[subprocess.Popen[str]] = []

    def call(*args: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "process_manager.interfaces.cli.main", *args],
            cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ},
        )  # fmt: skip
        started.append(process)
        return process

    yield call
    for process in started:
        with process:  # closes its pipes, then waits
            process.kill()


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a demo that was lived through once; whoever writes takes a copy."""
    path = tmp_path_factory.mktemp("recorded") / "demo.db"
    with closing(SqliteStore(path)) as store, closing(driven_worker(app, store)) as worker:
        Demo(Plan(60, 1), store, worker).run()
    return path
