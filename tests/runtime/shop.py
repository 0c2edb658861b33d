"""An order process on a store, whose answers a test gives by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import orjson

from process_manager.adapters.clock import ManualClock
from process_manager.core.codec import encode
from process_manager.core.instance import Instance
from process_manager.core.messages import Event
from process_manager.core.records import NewRecord, Record
from process_manager.errors import StreamNotFound
from process_manager.examples.order_fulfilment.messages import Line, OrderPlaced
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.ports import Block, Consumer, EventStore, Filter, GroupSettings, StreamState
from process_manager.runtime.counters import Counters
from process_manager.runtime.deadlines import DeadlineRunner
from process_manager.runtime.groups import Share, ensure_group
from process_manager.runtime.instances import load
from process_manager.runtime.turns import TurnRunner

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def join_group(store: EventStore, app: str, role: str, where: Filter, member: str) -> Consumer:
    """Become a member of a role's group, creating it if need be."""
    share = Share(app, role, where.types, GroupSettings())
    ensure_group(store, share)
    return store.join(share.group, member)


def place(store: EventStore, key: str, *skus: str, total: int = 50) -> NewRecord:
    """Append an order of these."""
    lines = tuple(Line(sku=sku, quantity=1) for sku in skus)
    placed = OrderPlaced(order_id=key, lines=lines, total=Decimal(total), card="4000")
    record = NewRecord(str(uuid4()), placed.message_type, encode(placed), b"{}")
    store.append(Block(f"order-{key}", [record], StreamState.NO_STREAM))
    return record


@dataclass
class Shop:
    """One order process on a store, driven by hand."""

    store: EventStore
    clock: ManualClock
    consumer: Consumer
    turns: TurnRunner
    deadlines: DeadlineRunner
    counters: Counters

    def publish(self, event: Event, stream: str = "", **metadata: Any) -> NewRecord:
        """Append an event from outside, or as an answer with `cause`, to a stream of its own."""
        if "cause" in metadata:
            metadata["$causationId"] = metadata.pop("cause")
        record = NewRecord(str(uuid4()), event.message_type, encode(event), orjson.dumps(metadata))
        self.store.append(Block(stream or f"test-{record.id}", [record], StreamState.ANY))
        return record

    def place(self, key: str, *skus: str, total: int = 50) -> NewRecord:
        return place(self.store, key, *skus, total=total)

    def settle(self) -> None:
        while self.turns.step():
            pass

    def pass_time(self, span: timedelta) -> None:
        self.clock.advance(span)
        self.settle()
        while self.deadlines.step():
            self.settle()

    def instance(self, key: str) -> Instance:
        return load(self.store, OrderFulfilment.definition, key)

    def records(self, key: str) -> list[Record]:
        try:
            return list(self.store.read_stream(f"order_fulfilment-{key}"))
        except StreamNotFound:
            return []

    def commands(self, key: str, step: str) -> list[Record]:
        return [record for record in self.records(key) if orjson.loads(record.metadata).get("step") == step]
