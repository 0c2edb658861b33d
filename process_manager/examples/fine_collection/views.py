"""How fines end, as the town's treasurer asks: a projection of the example's own, over its domain events."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ColumnElement, Connection, Index, MetaData, String, Table, case, func, select

from process_manager.examples.fine_collection.messages import (
    AppealedToJudge,
    AppealForwarded,
    FineCreated,
    FineSent,
    PaymentReceived,
    PenaltyAdded,
    SentToCollection,
)
from projections import Message, Projection, Rows, reads

_METADATA = MetaData()

FINES = Table(
    "fines",
    _METADATA,
    Column("case", String, primary_key=True),
    Column("cents", BigInteger, nullable=False, default=0),  # with the penalty, without the postage
    Column("postage", BigInteger, nullable=False, default=0),
    Column("in_collection", Boolean, nullable=False, default=False),
    Column("dismissed", Boolean, nullable=False, default=False),
    Column("appealed", Boolean, nullable=False, default=False),
)
PAYMENTS = Table(
    "payments",
    _METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("case", String, nullable=False),
    Column("cents", BigInteger, nullable=False),
)
Index("payments_by_case", PAYMENTS.c.case, PAYMENTS.c.cents)


class Fines(Projection, name="fines", tables=[FINES, PAYMENTS]):
    """What is owed and paid for every fine, and whether it was dismissed, appealed against, or sent to collection."""

    @reads(FineCreated)
    def created(self, message: Message, rows: Rows) -> None:
        data = message.data
        rows.insert(FINES, case=data["case"], cents=_cents(data["amount"]), dismissed=data["dismissal"] == "G")

    @reads(FineSent)
    def sent(self, message: Message, rows: Rows) -> None:
        rows.update(FINES, message.data["case"], postage=_cents(message.data["expense"]))

    @reads(PenaltyAdded)
    def penalty_added(self, message: Message, rows: Rows) -> None:
        rows.update(FINES, message.data["case"], cents=_cents(message.data["amount"]))

    @reads(PaymentReceived)
    def paid(self, message: Message, rows: Rows) -> None:
        data = message.data
        rows.insert(PAYMENTS, position=message.record.position, case=data["case"], cents=_cents(data["amount"]))

    @reads(AppealForwarded)
    def forwarded(self, message: Message, rows: Rows) -> None:
        self._appealed(message, rows, dismissals="#G")

    @reads(AppealedToJudge)
    def judged(self, message: Message, rows: Rows) -> None:
        self._appealed(message, rows, dismissals="G")

    def _appealed(self, message: Message, rows: Rows, dismissals: str) -> None:
        data = message.data
        dismissed = {"dismissed": True} if data["dismissal"] and data["dismissal"] in dismissals else {}
        rows.update(FINES, data["case"], appealed=True, **dismissed)

    @reads(SentToCollection)
    def collected(self, message: Message, rows: Rows) -> None:
        rows.update(FINES, message.data["case"], in_collection=True)


def _cents(amount: str) -> int:
    cents = Decimal(amount) * 100
    if cents != int(cents):
        raise ValueError(f"{amount} has parts of a cent")
    return int(cents)


_PAID = select(PAYMENTS.c.case, func.sum(PAYMENTS.c.cents).label("cents")).group_by(PAYMENTS.c.case).subquery()


def _outcome() -> ColumnElement[str]:
    """The first that holds."""
    paid = func.coalesce(_PAID.c.cents, 0)
    return case(
        (FINES.c.in_collection, "credit_collection"),
        (FINES.c.dismissed, "dismissed"),
        (paid >= FINES.c.cents + FINES.c.postage, "fully_paid"),
        (paid > 0, "partly_paid"),
        (FINES.c.appealed, "appeal_open"),
        else_="unpaid_open",
    )


def outcomes(connection: Connection) -> Mapping[str, int]:
    """How many fines stand how, the most frequent first."""
    outcome = _outcome().label("outcome")
    each = select(outcome).select_from(FINES.outerjoin(_PAID, _PAID.c.case == FINES.c.case)).subquery()
    found: list[Any] = list(connection.execute(select(each.c.outcome, func.count()).group_by(each.c.outcome)))
    return dict(sorted(found, key=lambda row: (-row[1], row[0])))


def total_paid(connection: Connection) -> Decimal:
    """All payments together."""
    return Decimal(connection.execute(select(func.coalesce(func.sum(PAYMENTS.c.cents), 0))).scalar_one()) / 100


fines = Fines()
