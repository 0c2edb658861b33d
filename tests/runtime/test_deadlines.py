"""The index of pending deadlines, and what is fired from it."""

from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.adapters.memory import MemoryStore
from process_manager.core.deadlines import cleared_by, set_by
from process_manager.core.facts import FACTS
from process_manager.errors import AccessDenied, StoreFull
from process_manager.examples.order_fulfilment.messages import StockReserved
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.ports import DeadlineChange, PendingDeadline
from process_manager.runtime import deadlines
from process_manager.runtime.counters import Counters
from process_manager.runtime.deadlines import UNFOLLOWED, DeadlineRunner
from tests.runtime.shop import START, Shop, place


@pytest.fixture
def index() -> Iterator[SqliteDeadlineIndex]:
    """An empty one."""
    opened = SqliteDeadlineIndex()
    yield opened
    opened.close()


def rebuild(index: SqliteDeadlineIndex, shop: Shop) -> None:
    """From the whole log in one go."""
    definitions = {"order_fulfilment": OrderFulfilment.definition}
    DeadlineRunner(shop.store, definitions, index, shop.clock, Counters()).step()


def pending(index: SqliteDeadlineIndex) -> list[tuple[str, str, int, object]]:
    return [(each.instance, each.name, each.generation, each.due) for each in index.due(START + timedelta(days=999), 9_999)]


def test_an_index_that_is_rebuilt_equals_the_one_that_followed(shop: Shop, index: SqliteDeadlineIndex) -> None:
    """Set, met, overdue and tried again, read at once or one by one: the same deadlines are pending."""
    for key in ("1", "2", "3"):
        shop.place(key, "a", "b")
    shop.settle()
    shop.deadlines.step()
    first = shop.commands("1", "reserve_stock")[0]
    shop.publish(StockReserved(order_id="1", sku="a", quantity=1), cause=first.id)
    shop.settle()
    shop.pass_time(timedelta(minutes=10))
    second = shop.commands("2", "reserve_stock")[-1]
    shop.publish(StockReserved(order_id="2", sku="b", quantity=1), cause=second.id)
    shop.settle()
    shop.deadlines.step()

    followed = pending(shop.deadlines._index)  # type: ignore[arg-type]
    rebuild(index, shop)
    assert pending(index) == followed
    assert len(followed) == 4
    assert {generation for _, _, generation, _ in followed} == {3}


def test_a_met_deadline_never_fires(shop: Shop) -> None:
    """What was answered in time leaves nothing behind."""
    shop.place("1", "a")
    shop.settle()
    (command,) = shop.commands("1", "reserve_stock")
    shop.publish(StockReserved(order_id="1", sku="a", quantity=1), cause=command.id)
    shop.settle()
    shop.pass_time(timedelta(minutes=11))

    assert not [record for record in shop.store.read_all() if record.type == "pm.deadline-passed"]


def test_late_firing_goes_in_due_order(shop: Shop) -> None:
    """After downtime the earliest deadline is the first in the log."""
    for minute, key in enumerate(("1", "2", "3")):
        shop.place(key, "a")
        shop.settle()
        shop.clock.advance(timedelta(minutes=minute + 1))
    shop.clock.advance(timedelta(days=1))
    shop.deadlines.step()

    passed = [orjson.loads(record.data) for record in shop.store.read_all() if record.type == "pm.deadline-passed"]
    assert [each["instance"] for each in passed] == [f"order_fulfilment-{key}" for key in ("1", "2", "3")]
    assert [each["due"] for each in passed] == sorted(each["due"] for each in passed)


def test_a_deadline_whose_append_is_refused_is_still_pending(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a conflict says that somebody else has fired it."""
    shop.place("1", "a")
    shop.settle()
    shop.clock.advance(timedelta(days=1))
    monkeypatch.setattr(shop.store, "append_many", lambda blocks, lease=None: [AccessDenied("no right") for _ in blocks])
    with pytest.raises(AccessDenied):
        shop.deadlines.step()
    monkeypatch.undo()
    assert shop.deadlines.step() == 1


def test_an_index_of_another_log_is_forgotten(shop: Shop, index: SqliteDeadlineIndex) -> None:
    """A position beyond the end of the log means that the file belonged to another store."""
    rebuild(index, shop)
    index.apply({}, 10**9)
    DeadlineRunner(shop.store, {"order_fulfilment": OrderFulfilment.definition}, index, shop.clock, Counters()).step()

    assert index.position < 10**9


def test_an_index_of_a_log_that_began_otherwise_is_forgotten(shop: Shop, index: SqliteDeadlineIndex) -> None:
    """As of a server that kept its log in memory, was restarted, and has grown beyond where the index was."""
    definitions, old = {"order_fulfilment": OrderFulfilment.definition}, MemoryStore()
    place(old, "0")
    place(shop.store, "1")
    shop.settle()
    DeadlineRunner(old, definitions, index, shop.clock, Counters())
    index.apply({}, shop.store.last_position())

    DeadlineRunner(shop.store, definitions, index, shop.clock, Counters()).step()

    assert index.count() == 1


def test_an_index_that_followed_other_processes_is_forgotten(shop: Shop, index: SqliteDeadlineIndex) -> None:
    """What an app with other processes has read past is read again, so that no deadline is lost."""
    shop.place("1", "a")
    shop.settle()
    DeadlineRunner(shop.store, {}, index, shop.clock, Counters()).step()
    assert index.count() == 0

    DeadlineRunner(shop.store, {"order_fulfilment": OrderFulfilment.definition}, index, shop.clock, Counters()).step()

    assert index.count() == 1


def test_two_followers_of_one_index_undo_nothing_of_each_other(index: SqliteDeadlineIndex) -> None:
    """A change of an older record, applied later, leaves what a newer one said."""
    key, later = ("p-1", "pay"), START + timedelta(days=1)
    moved = PendingDeadline("p-1", "pay", 2, later, "c", "m")
    index.apply({key: DeadlineChange(20, moved)}, 20)
    index.apply({key: DeadlineChange(10, moved._replace(generation=1, due=START))}, 10)
    assert [each.generation for each in index.due(later, 9)] == [2]
    index.apply({key: DeadlineChange(15, None)}, 15)
    assert index.count() == 1
    assert index.position == 20
    index.apply({key: DeadlineChange(25, None)}, 25)
    assert index.count() == 0


def test_more_than_one_page_of_the_log_is_followed_before_anything_fires(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing fires that a later page would have cleared."""
    monkeypatch.setattr(deadlines, "FOLLOW", 100)
    for key in range(200):
        shop.place(str(key), "a")
    shop.settle()
    for key in range(200):
        (command,) = shop.commands(str(key), "reserve_stock")
        shop.publish(StockReserved(order_id=str(key), sku="a", quantity=1), cause=command.id)
    shop.settle()
    shop.clock.advance(timedelta(minutes=10))

    assert shop.deadlines.step() == 0


def test_a_full_disk_under_the_index_loses_no_deadline(shop: Shop, tmp_path: Path) -> None:
    """What could not be taken in is read again when there is room."""
    index = SqliteDeadlineIndex(tmp_path / "deadlines")
    runner = DeadlineRunner(shop.store, {"order_fulfilment": OrderFulfilment.definition}, index, shop.clock, Counters())
    for key in range(300):
        shop.place(str(key), "a")
    shop.settle()
    (pages,) = index._db.execute("pragma page_count").fetchone()
    index._db.execute(f"pragma max_page_count = {pages + 1}")
    with pytest.raises(StoreFull):
        runner.step()
    assert index.count() == 0

    index._db.execute("pragma max_page_count = 1000000")
    runner.step()

    assert index.count() == 300
    runner.close()


@pytest.mark.parametrize("type_", sorted(UNFOLLOWED))
def test_a_fact_that_is_not_followed_sets_no_deadline_and_clears_none(type_: str) -> None:
    cls = FACTS[type_]
    fact = cls(**{each.name: "any" for each in fields(cls)})

    assert set_by(fact) is None
    assert cleared_by(fact) == []
