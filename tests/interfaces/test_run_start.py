"""Where `pm run` starts, and what it refuses to start."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from process_manager.adapters.sqlite import SqliteStore
from process_manager.core.codec import encode
from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.examples.order_fulfilment import app
from process_manager.examples.order_fulfilment import messages as m
from process_manager.ports import Block, Filter, StreamState

APP = "process_manager.examples.order_fulfilment:app"
RENAMED = """
from process_manager import App
from process_manager.examples.order_fulfilment import app as shop

app = App("renamed", processes=shop.processes, handlers=shop.handlers, resources=shop.resources)
"""


def placed(path: str, *keys: str) -> None:
    store = SqliteStore(path)
    for key in keys:
        order = m.OrderPlaced(order_id=key, lines=(m.Line(sku="a", quantity=1),), total=Decimal(50), card="card-1")
        record = NewRecord(derive("order", key), order.message_type, encode(order), b"{}")
        store.append(Block(f"order-{key}", [record], StreamState.NO_STREAM))
    store.close()


def reserved(path: str) -> int:
    """How many commands for the first step there are."""
    store = SqliteStore(path)
    try:
        return len(list(store.read_all(where=Filter(types=frozenset({m.ReserveStock.message_type})))))
    finally:
        store.close()


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


def test_from_takes_nothing_else(pm: Any) -> None:
    answer = pm("run", "--app", APP, "--from", "yesterday")
    assert answer.code == 2
    assert "neither start nor now nor a position" in answer.err


def test_a_second_app_that_handles_the_same_commands_is_refused(pm: Any, place: Path) -> None:
    """With the owner's name, and what to do when it is the same app under a new name."""
    Path("renamed.py").write_text(RENAMED)
    placed("a.db", "1")
    assert pm("run", "--app", APP, "--store", "sqlite:///a.db", "--until-idle").code == 0

    refused = pm("run", "--app", "renamed:app", "--store", "sqlite:///a.db", "--until-idle")
    assert refused.code == 3
    assert f"belongs to the app {app.name!r}" in refused.err
    assert "--take-over" in refused.err

    assert pm("run", "--app", "renamed:app", "--store", "sqlite:///a.db", "--until-idle", "--take-over").code == 0
    assert reserved("a.db") == 1, "what the other had done is not done again"
    assert pm("run", "--app", APP, "--store", "sqlite:///a.db", "--until-idle").code == 3
