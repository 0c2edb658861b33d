"""An app of the order process whose handlers answer at once; nobody reviews, nobody refunds."""

from datetime import UTC, datetime
from decimal import Decimal

import orjson

from process_manager import Aggregate, App, Refused, Repository, applies, handles
from process_manager.core.codec import encode
from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.examples.order_fulfilment import messages as m
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.ports import Block, EventStore, StreamState
from process_manager.runtime.instances import load

START = datetime(2026, 3, 1, tzinfo=UTC)


class Desk(Aggregate, category="desk"):
    """Whatever a command is about."""

    @applies
    def happened(
        self, event: m.StockReserved | m.StockReleased | m.ReviewApproved | m.CardCharged | m.CardDeclined | m.CardRefunded | m.OrderShipped
    ) -> None:
        """Nothing is remembered."""


@handles(m.ReserveStock)
def reserve(command: m.ReserveStock, desks: Repository[Desk]) -> None:
    with desks.edit(command.sku) as desk:
        desk.record(m.StockReserved(order_id=command.order_id, sku=command.sku, quantity=1))


@handles(m.ReleaseStock)
def release(command: m.ReleaseStock, desks: Repository[Desk]) -> None:
    with desks.edit(command.sku) as desk:
        desk.record(m.StockReleased(order_id=command.order_id, sku=command.sku, quantity=1))


@handles(m.ChargeCard)
def charge(command: m.ChargeCard, desks: Repository[Desk]) -> None:
    with desks.edit(f"card_{command.order_id}") as desk:
        if command.card == "declined":
            raise Refused(m.CardDeclined(order_id=command.order_id, reason="no cover"))
        desk.record(m.CardCharged(order_id=command.order_id, amount=command.amount))


@handles(m.ShipOrder)
def ship(command: m.ShipOrder) -> m.OrderShipped:
    return m.OrderShipped(order_id=command.order_id, parcel="p")


@handles(m.RefundCard)
def refund(command: m.RefundCard, desks: Repository[Desk]) -> None:
    with desks.edit(f"card_{command.order_id}") as desk:
        desk.record(m.CardRefunded(order_id=command.order_id, amount=Decimal(1)))


app = App("shop", processes=[OrderFulfilment], handlers=[reserve, release, charge, ship])  # nobody reviews, nobody refunds


def place(store: EventStore, key: str, *, card: str = "4000", total: int = 50) -> None:
    placed = m.OrderPlaced(order_id=key, lines=tuple(m.Line(sku=sku, quantity=1) for sku in "ab"), total=Decimal(total), card=card)
    record = NewRecord(derive("order", key), placed.message_type, encode(placed), orjson.dumps({"time": START}))
    store.append(Block(f"order-{key}", [record], StreamState.NO_STREAM))


def status(store: EventStore, key: str) -> str:
    return load(store, OrderFulfilment.definition, key).status
