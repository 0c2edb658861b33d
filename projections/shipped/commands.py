"""One row for each command: issued, and what came of it."""

from sqlalchemy import Column, Index, Integer, Table

from process_manager.core import facts
from projections.message import Message
from projections.projection import Projection, reads
from projections.rows import Rows
from projections.shipped.columns import METADATA, instance, position, process, text, time
from projections.times import parse

COMMANDS = Table(
    "commands",
    METADATA,
    text("operation", primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    text("id"),
    instance(),
    process(),
    text("step"),
    text("run"),
    text("type"),
    text("undoes"),  # the operation that it undoes
    text("replaces"),  # the failed operation that it tries again
    position(),
    time("issued"),
    time("due", nullable=True),
    text("status"),  # outstanding, done, failed or overdue
    time("settled", nullable=True),
    text("outcome"),  # the type of the event that answered it, or why there is no answer
)
Index("commands_by_instance", COMMANDS.c.instance)
Index("commands_by_status", COMMANDS.c.status, COMMANDS.c.process, COMMANDS.c.issued)


class Commands(Projection, name="commands", version=2, tables=[COMMANDS]):
    """Every attempt's command: outstanding, or done, failed or overdue, since when and by what."""

    @reads(facts.StepStarted)
    def issued(self, message: Message, rows: Rows) -> None:
        meta, record = message.metadata, message.record
        due = meta.get("due")
        rows.insert(
            COMMANDS, operation=meta.get("operation") or record.id, attempt=meta["attempt"], id=record.id, instance=message.instance,
            process=message.process, step=meta["step"], run=meta["run"], type=record.type, undoes=meta.get("undoes", ""),
            replaces=meta.get("replaces", ""), position=record.position, issued=message.time, due=parse(due) if due else None,
            status="outstanding",
        )  # fmt: skip

    @reads(facts.StepCompleted)
    def completed(self, message: Message, rows: Rows) -> None:
        _settle(message, rows, "done", message.data["input"]["type"])

    @reads(facts.StepFailed)
    def failed(self, message: Message, rows: Rows) -> None:
        _settle(message, rows, "failed", message.data["input"]["type"])

    @reads(facts.StepOverdue)
    def overdue(self, message: Message, rows: Rows) -> None:
        _settle(message, rows, "overdue", message.data["reason"])


def _settle(message: Message, rows: Rows, status: str, outcome: str) -> None:
    data = message.data
    rows.update(COMMANDS, (data["operation"], data["attempt"]), status=status, settled=message.time, outcome=outcome)
