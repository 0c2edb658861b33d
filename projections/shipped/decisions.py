"""One row for each decision that was taken, and why."""

from sqlalchemy import Column, Index, Integer, Table

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
    Column("version", Integer, nullable=False),  # of the definition that the instance's life was started by
    time("decided"),
)
STARTED_BY = Table(
    "started_by",
    METADATA,
    instance(primary_key=True),
    Column("version", Integer, nullable=False),  # of the newest life
)
Index("decisions_by_question", DECISIONS.c.process, DECISIONS.c.question)
Index("decisions_by_instance", DECISIONS.c.instance)


class Decisions(Projection, name="decisions", tables=[DECISIONS, STARTED_BY]):
    """Every recorded decision: question, answer, reason, version of the definition."""

    @reads(facts.Started)
    def started(self, message: Message, rows: Rows) -> None:
        version = message.data["definition_version"]
        if message.data["life"] == 1:
            rows.insert(STARTED_BY, instance=message.instance, version=version)
        else:
            rows.update(STARTED_BY, message.instance, version=version)

    @reads(facts.Decided)
    def decided(self, message: Message, rows: Rows) -> None:
        data = message.data
        started_by = rows.get(STARTED_BY, message.instance)
        rows.insert(
            DECISIONS, position=message.record.position, instance=message.instance, process=message.process, question=data["question"],
            answer=data["answer"], because=data["because"], reaction=data["reaction"],
            version=started_by["version"] if started_by else 0, decided=message.time,
        )  # fmt: skip
