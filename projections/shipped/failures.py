"""One row for each thing that went wrong."""

from sqlalchemy import Index, Table

from process_manager.core import facts
from projections.message import Message
from projections.projection import Projection, reads
from projections.rows import Rows
from projections.shipped.columns import METADATA, instance, position, process, text, time

FAILURES = Table(
    "failures",
    METADATA,
    position(primary_key=True),
    instance(),
    process(),
    text("kind"),  # refused, overdue, suspended, undo failed, undo skipped, compensated or aborted
    text("step"),
    text("reason"),
    time("failed"),
)
Index("failures_by_kind", FAILURES.c.process, FAILURES.c.kind, FAILURES.c.step)  # a reason may be longer than an index bears

UNDO_SKIPPED = "undo skipped"

COMPENSATING = Table("compensating", METADATA, instance(primary_key=True))
"""Instances whose life has a compensation already."""


class Failures(Projection, name="failures", version=2, tables=[FAILURES, COMPENSATING]):
    """What went wrong and why: refusals, missing answers, suspended instances, undos that failed or were skipped, compensations, aborts."""

    @reads(facts.StepFailed)
    def refused(self, message: Message, rows: Rows) -> None:
        _add(message, rows, "refused", message.data["input"]["type"], message.data["step"])

    @reads(facts.StepOverdue)
    def overdue(self, message: Message, rows: Rows) -> None:
        _add(message, rows, "overdue", message.data["reason"], message.data["step"])

    @reads(facts.Suspended)
    def suspended(self, message: Message, rows: Rows) -> None:
        _add(message, rows, "suspended", message.data["error"])

    @reads(facts.CompensationFailed)
    def undo_failed(self, message: Message, rows: Rows) -> None:
        _add(message, rows, "undo failed", message.data["reason"], message.data["step"])

    @reads(facts.UndoSkipped)
    def undo_skipped(self, message: Message, rows: Rows) -> None:
        _add(message, rows, UNDO_SKIPPED, "it stays as it is", message.data["step"])

    @reads(facts.CompensationStarted)
    def compensated(self, message: Message, rows: Rows) -> None:
        if rows.get(COMPENSATING, message.instance) is None:  # recorded again where it goes on after an undo had failed
            rows.insert(COMPENSATING, instance=message.instance)
            _add(message, rows, "compensated", message.data["reason"])

    @reads(facts.Started)
    def began(self, message: Message, rows: Rows) -> None:
        if message.record.revision:  # perhaps another life
            rows.delete(COMPENSATING, message.instance)

    @reads(facts.Ended)
    def aborted(self, message: Message, rows: Rows) -> None:
        if message.data["status"] == "aborted":
            _add(message, rows, "aborted", message.data["outcome"])


def _add(message: Message, rows: Rows, kind: str, reason: str, step: str = "") -> None:
    rows.insert(
        FAILURES, position=message.record.position, instance=message.instance, process=message.process, kind=kind, step=step,
        reason=reason, failed=message.time,
    )  # fmt: skip
