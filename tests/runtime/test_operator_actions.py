"""Operator actions come to instances through the log, as everything does."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson

from process_manager.core.block import read_fact
from process_manager.core.codec import encode
from process_manager.core.facts import Receipt
from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.core.signals import OPERATOR_ACTION, OperatorAction
from process_manager.examples.order_fulfilment.messages import StockReserved
from process_manager.ports import Block, StreamState
from tests.runtime.shop import Shop


def act(shop: Shop, action: Any, key: str = "1", *, request: str = "r", process: str = "order_fulfilment", version: int = 1) -> NewRecord:
    asked = OperatorAction(f"{process}-{key}", request, action, "ann", "because")
    data, metadata = orjson.dumps(asked), orjson.dumps({"version": version})
    record = NewRecord(derive(asked.stream), OPERATOR_ACTION, data, metadata)
    shop.store.append(Block(asked.stream, [record], StreamState.NO_STREAM))
    return record


def _answer_to_another(number: int) -> NewRecord:
    reserved = StockReserved(order_id="1", sku="a", quantity=1)
    metadata = orjson.dumps({"$causationId": derive("another", str(number))})
    return NewRecord(derive(str(number)), reserved.message_type, encode(reserved), metadata)


def types(shop: Shop, key: str = "1") -> list[str]:
    return [record.type for record in shop.records(key)]


def test_an_action_is_taken_once_however_many_workers_see_it(shop: Shop, open_shop: Callable[[], Shop]) -> None:
    shop.place("1", "a")
    shop.settle()
    act(shop, "suspend")
    shop.settle()
    (group,) = shop.store.groups()
    other = open_shop()
    shop.consumer.leave()
    other.settle()
    assert types(shop).count("pm.operator-acted") == 1
    assert group.parked == 0
    assert shop.instance("1").suspended == "by ann: because"


def test_an_action_on_nothing_and_on_a_process_of_another_app_leaves_no_trace(shop: Shop) -> None:
    act(shop, "cancel", "9")
    act(shop, "cancel", process="something_else")
    shop.settle()
    assert shop.records("9") == []
    (group,) = shop.store.groups()
    assert (group.parked, group.in_flight, group.lag) == (0, 0, 0)


def test_an_action_of_a_newer_version_is_left_to_others_and_one_that_is_none_is_parked(shop: Shop) -> None:
    shop.place("1", "a")
    act(shop, "cancel", version=2)
    act(shop, "burn", request="other")
    shop.settle()
    (group,) = shop.store.groups()
    assert (group.parked, group.in_flight) == (1, 1)
    assert "'burn' is no action" in shop.store.parked(group.name)[0].reason
    assert shop.instance("1").status == "running"


def test_thousands_of_inputs_behind_a_suspension_are_taken_in_order_over_several_appends(shop: Shop) -> None:
    shop.place("1", "a")
    shop.settle()
    (command,) = shop.commands("1", "reserve_stock")
    act(shop, "suspend")
    shop.settle()
    sent = [_answer_to_another(number) for number in range(4_000)]
    for first in range(0, len(sent), 1_000):
        shop.store.append(Block("answers", sent[first : first + 1_000], StreamState.ANY))
    shop.publish(StockReserved(order_id="1", sku="a", quantity=1), cause=command.id)
    shop.settle()
    assert len(shop.instance("1").kept) == 4_001
    before = len(shop.records("1"))

    act(shop, "resume", request="again")
    shop.pass_time(timedelta(0))

    instance = shop.instance("1")
    assert instance.kept == {}
    assert [run.step for run in instance.runs.values()] == ["reserve_stock", "charge_card"]
    taken = [fact.input.id for record in shop.records("1")[before:] if isinstance(fact := read_fact(record), Receipt) and fact.kept]
    assert taken[:-1] == [record.id for record in sent]
    assert types(shop)[before:].count("pm.deadline-reached") >= 1
