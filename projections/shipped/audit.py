"""One row for each thing that an operator did, or asked for in vain."""

from sqlalchemy import Boolean, Column, Index, Table

from process_manager.core import facts
from process_manager.core.signals import OPERATOR_ACTION
from projections.message import Message
from projections.projection import Projection, reads
from projections.rows import Rows
from projections.shipped.columns import METADATA, instance, position, process, text, time

AUDIT = Table(
    "audit",
    METADATA,
    position(primary_key=True),
    instance(),
    process(),
    text("action"),
    text("actor"),
    text("reason"),
    text("deadline"),  # which one was moved or cancelled
    Column("applied", Boolean, nullable=False),
    text("refusal"),  # why it did not apply
    time("acted"),
)
Index("audit_by_instance", AUDIT.c.instance)


class Audit(Projection, name="audit", tables=[AUDIT]):
    """What operators did to which instance, who and why; what did not apply too, with the reason."""

    @reads(facts.OperatorActed)
    def acted(self, message: Message, rows: Rows) -> None:
        _add(message, rows, "")

    @reads(facts.InputIgnored)
    def refused(self, message: Message, rows: Rows) -> None:
        if message.data["input"]["type"] == OPERATOR_ACTION:
            _add(message, rows, message.data["reason"])


def _add(message: Message, rows: Rows, refusal: str) -> None:
    asked = message.data["input"]["data"]
    rows.insert(
        AUDIT, position=message.record.position, instance=message.instance, process=message.process, action=asked["action"],
        actor=asked["actor"], reason=asked["reason"], deadline=asked.get("deadline", ""), applied=not refusal, refusal=refusal,
        acted=message.time,
    )  # fmt: skip
