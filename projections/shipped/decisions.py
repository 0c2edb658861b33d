"""One row for each decision that was taken, and why."""

from sqlalchemy import Index, Table

from process_manager.core import facts
from projections.message import Message
from projections.projection import Projection, reads
from projections.rows import Rows
from projections.shipped.columns import METADATA, instance, position, process, text, time

DECISIONS = Table(
    "decisions",
    METADATA,
    position(primary_key=True),
    instance(),
    process(),
    text("question"),
    text("answer"),
    text("because"),
    text("reaction"),
    time("decided"),
)
Index("decisions_by_question", DECISIONS.c.process, DECISIONS.c.question, DECISIONS.c.answer)
Index("decisions_by_instance", DECISIONS.c.instance)


class Decisions(Projection, name="decisions", tables=[DECISIONS]):
    """Every recorded decision: question, answer, reason."""

    @reads(facts.Decided)
    def decided(self, message: Message, rows: Rows) -> None:
        data = message.data
        rows.insert(
            DECISIONS, position=message.record.position, instance=message.instance, process=message.process, question=data["question"],
            answer=data["answer"], because=data["because"], reaction=data["reaction"], decided=message.time,
        )  # fmt: skip
