"""One row for each run of a step: its attempts, and how long it took."""

from sqlalchemy import Column, Index, Integer, Table

from process_manager.core import facts
from projections.message import Message
from projections.projection import Projection, reads
from projections.rows import Rows
from projections.shipped.columns import METADATA, instance, position, process, text, time

STEPS = Table(
    "steps",
    METADATA,
    text("operation", primary_key=True),
    instance(),
    process(),
    text("step"),
    text("run"),
    text("undoes"),
    text("status"),  # open, retrying, done, failed or overdue
    Column("attempts", Integer, nullable=False),
    position(),  # of its first command
    time("started"),
    time("ended", nullable=True),
)
Index("steps_by_instance", STEPS.c.instance)


class Steps(Projection, name="steps", version=2, tables=[STEPS]):
    """Every run of a step: status, attempts, started, ended. Tried again after a refusal it is a new operation, so a row of its own."""

    @reads(facts.StepStarted)
    def started(self, message: Message, rows: Rows) -> None:
        meta = message.metadata
        if meta.get("operation"):
            rows.update(STEPS, meta["operation"], status="open", attempts=meta["attempt"], ended=None)
        else:
            rows.insert(
                STEPS, operation=message.record.id, instance=message.instance, process=message.process, step=meta["step"],
                run=meta["run"], undoes=meta.get("undoes", ""), status="open", attempts=meta["attempt"],
                position=message.record.position, started=message.time,
            )  # fmt: skip

    @reads(facts.StepCompleted)
    def completed(self, message: Message, rows: Rows) -> None:
        rows.update(STEPS, message.data["operation"], status="done", ended=message.time)

    @reads(facts.StepFailed, facts.StepOverdue)
    def not_done(self, message: Message, rows: Rows) -> None:
        data = message.data
        status = "failed" if message.record.type == facts.StepFailed.fact_type else "overdue"
        again = data.get("retrying") and status == "overdue"
        rows.update(STEPS, data["operation"], status="retrying" if again else status, ended=None if again else message.time)
