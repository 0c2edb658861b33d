"""One row for each deadline that is pending."""

from sqlalchemy import Column, Index, Integer, Table

from process_manager.core import facts
from process_manager.core.deadlines import attempt_generation, expiry_name, retry_generation
from projections.message import Message
from projections.projection import Projection, reads
from projections.rows import Rows
from projections.shipped.columns import METADATA, instance, process, text, time
from projections.times import parse

DEADLINES = Table(
    "deadlines",
    METADATA,
    instance(primary_key=True),
    text("name", primary_key=True),  # of the definition's deadline, or step/operation, or pm.expiry/input
    process(),
    text("kind"),  # deadline, answer (of a step), retry (of a step) or expiry (of an early input)
    text("about"),  # the deadline's, step's or event type's name
    Column("generation", Integer, nullable=False),
    time("set_at"),
    time("due"),
)
Index("deadlines_by_due", DEADLINES.c.due)


class Deadlines(Projection, name="deadlines", tables=[DEADLINES]):
    """What is due, when and for whom: named deadlines, awaited answers, waits before another attempt, early inputs that expire."""

    @reads(facts.DeadlineSet)
    def deadline_set(self, message: Message, rows: Rows) -> None:
        data = message.data
        name, generation, due = data["name"], data["generation"], data["due"]
        if "/" in name and rows.get(DEADLINES, (message.instance, name)):  # a step's, moved by hand
            rows.update(DEADLINES, (message.instance, name), generation=generation, due=parse(due))
        else:
            _put(message, rows, name, "deadline", name, generation, due)

    @reads(facts.StepStarted)
    def answer_awaited(self, message: Message, rows: Rows) -> None:
        meta = message.metadata
        name = f"{meta['step']}/{meta.get('operation') or message.record.id}"
        if meta.get("due"):
            _put(message, rows, name, "answer", meta["step"], attempt_generation(meta["attempt"]), meta["due"])
        elif meta["attempt"] > 1:
            rows.delete(DEADLINES, (message.instance, name))

    @reads(facts.RetryPlanned)
    def retry_planned(self, message: Message, rows: Rows) -> None:
        data = message.data
        name = f"{data['step']}/{data['operation']}"
        _put(message, rows, name, "retry", data["step"], retry_generation(data["attempt"]), data["due"])

    @reads(facts.InputKept)
    def kept(self, message: Message, rows: Rows) -> None:
        data = message.data
        self.taken(message, rows)
        if data.get("until"):
            _put(message, rows, expiry_name(data["input"]["id"]), "expiry", data["input"]["type"], 1, data["until"])

    @reads(facts.DeadlineReached, facts.DeadlineCancelled)
    def over(self, message: Message, rows: Rows) -> None:
        rows.delete(DEADLINES, (message.instance, message.data["name"]))
        self.taken(message, rows)

    @reads(facts.StepCompleted, facts.StepFailed, facts.StepOverdue)
    def answered(self, message: Message, rows: Rows) -> None:
        data = message.data
        rows.delete(DEADLINES, (message.instance, f"{data['step']}/{data['operation']}"))
        self.taken(message, rows)

    @reads(facts.InputExpired)
    def expired(self, message: Message, rows: Rows) -> None:
        rows.delete(DEADLINES, (message.instance, expiry_name(message.data["expired"])))

    @reads(facts.Started, facts.EventTaken, facts.InputIgnored, facts.Suspended)
    def taken(self, message: Message, rows: Rows) -> None:
        """An input that had been kept waits no more."""
        data = message.data
        if data.get("kept"):
            rows.delete(DEADLINES, (message.instance, expiry_name(data["input"]["id"])))


def _put(message: Message, rows: Rows, name: str, kind: str, about: str, generation: int, due: str) -> None:
    rows.put(
        DEADLINES, instance=message.instance, name=name, process=message.process, kind=kind, about=about, generation=generation,
        set_at=message.time, due=parse(due),
    )  # fmt: skip
