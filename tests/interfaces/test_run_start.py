"""Where `pm run` starts, and what it refuses to start."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from process_manager import App
from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.adapters.memory import MemoryStore
from process_manager.errors import CommandOwned
from process_manager.examples.order_fulfilment import app
from process_manager.interfaces import bootstrap
from tests.interfaces.orders_in_a_file import APP, placed, reserved

RENAMED = """
from process_manager import App
from process_manager.examples.order_fulfilment import app as shop

app = App("renamed", processes=shop.processes, handlers=shop.handlers, resources=shop.resources)
"""


def test_from_says_where_the_first_groups_start(pm: Any, place: Path) -> None:
    """On a file too, where without it everything is taken."""
    placed("a.db", "1", "2")
    assert pm("run", "--app", APP, "--store", "sqlite:///a.db", "--from", "now", "--until-idle").code == 0
    assert reserved("a.db") == 0
    placed("a.db", "3")
    assert pm("run", "--app", APP, "--store", "sqlite:///a.db", "--until-idle").code == 0
    assert reserved("a.db") == 1

    placed("b.db", "1", "2")
    assert pm("run", "--app", APP, "--store", "sqlite:///b.db", "--until-idle").code == 0
    assert reserved("b.db") == 2


def test_a_store_that_was_not_there_is_told(pm: Any, place: Path) -> None:
    """Its name may be mistyped."""
    told = [pm("run", "--app", APP, "--store", "sqlite:///stroe.db", "--until-idle").err for _ in range(2)]
    assert ["stroe.db is a new store" in each for each in told] == [True, False]


def test_from_takes_nothing_else(pm: Any) -> None:
    answer = pm("run", "--app", APP, "--from", "yesterday")
    assert answer.code == 2
    assert "neither start nor now nor a position" in answer.err


def test_a_second_app_that_handles_the_same_commands_is_refused(pm: Any, place: Path) -> None:
    """With the owner's name, and what to do when it is the same app under a new name."""
    Path("renamed.py").write_text(RENAMED)
    placed("a.db", "1")
    assert pm("run", "--app", APP, "--store", "sqlite:///a.db", "--until-idle").code == 0

    check = pm("check", "--app", "renamed:app", "--store", "sqlite:///a.db")
    refused = pm("run", "--app", "renamed:app", "--store", "sqlite:///a.db", "--until-idle")
    assert check.code == refused.code == 3
    assert check.err.splitlines()[-1] == refused.err.splitlines()[-1]
    assert f"belongs to the app {app.name!r}" in refused.err
    assert "--take-over" in refused.err

    assert pm("run", "--app", "renamed:app", "--store", "sqlite:///a.db", "--until-idle", "--take-over").code == 0
    assert pm("check", "--app", "renamed:app", "--store", "sqlite:///a.db").code == 0
    assert reserved("a.db") == 1, "what the other had done is not done again"
    assert pm("run", "--app", APP, "--store", "sqlite:///a.db", "--until-idle").code == 3


def test_an_index_of_deadlines_that_no_worker_uses_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a worker without deadlines, and of one that is refused."""
    closed: list[SqliteDeadlineIndex] = []
    close = SqliteDeadlineIndex.close

    def noted(index: SqliteDeadlineIndex) -> None:
        closed.append(index)
        close(index)

    monkeypatch.setattr(SqliteDeadlineIndex, "close", noted)
    with closing(MemoryStore()) as store:
        with closing(bootstrap.build(app, "memory:", store, only=["processes"])):
            assert len(closed) == 1
        with closing(bootstrap.build(app, "memory:", store)):
            assert len(closed) == 1
        assert len(closed) == 2
        with pytest.raises(CommandOwned):
            bootstrap.build(App("another", handlers=app.handlers, resources=app.resources), "memory:", store)
        assert len(closed) == 3
