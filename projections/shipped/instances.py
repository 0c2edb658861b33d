"""One row for each instance: how it stands."""

from typing import Any

from sqlalchemy import Boolean, Column, ColumnElement, Index, Integer, Table, case

from process_manager.core import facts
from projections.message import Message
from projections.projection import Projection, reads
from projections.rows import Row, Rows
from projections.shipped.columns import METADATA, instance, position, process, text, time

INSTANCES = Table(
    "instances",
    METADATA,
    instance(primary_key=True),
    process(),
    text("key"),
    text("status"),  # as people are told it: the stage, or suspended or compensation_failed, which stand in its way
    text("stage"),  # not_started, running, compensating, completed, compensated, aborted or cancelled
    text("suspended"),  # the error, while an operator is waited for
    Column("undo_failed", Boolean, nullable=False, default=False),
    Column("life", Integer, nullable=False, default=0),
    Column("version", Integer, nullable=False, default=0),
    text("correlation"),
    position("first_position"),  # of its first record: the order of a list
    time("started", nullable=True),
    time("updated"),
    time("since"),  # when it came to stand as `status` says, or was suspended once more
    time("ended", nullable=True),
    text("outcome"),
    time("compensating_since", nullable=True),
    text("compensation"),  # why
)
Index("instances_by_position", INSTANCES.c.first_position)

SHOWN_OUTCOME: ColumnElement[str] = case((INSTANCES.c.suspended != "", INSTANCES.c.suspended), else_=INSTANCES.c.outcome)
"""The outcome, or the error of one that is suspended."""


class Instances(Projection, name="instances", tables=[INSTANCES]):
    """How every instance stands: status, version, started, ended, outcome. Of one with several lives, the newest."""

    @reads(facts.Started)
    def started(self, message: Message, rows: Rows) -> None:
        data = message.data
        _add(message, rows)
        rows.update(
            INSTANCES, message.instance, status="running", stage="running", undo_failed=False, life=data["life"],
            version=data["definition_version"], correlation=data["correlation"], started=message.time, updated=message.time,
            since=message.time, ended=None, outcome="", compensating_since=None, compensation="",
        )  # fmt: skip

    @reads(facts.InputKept)
    def kept(self, message: Message, rows: Rows) -> None:
        _add(message, rows)
        self.touched(message, rows)

    @reads(facts.Suspended)
    def suspended(self, message: Message, rows: Rows) -> None:
        _add(message, rows)
        _change(message, rows, _row(message, rows), suspended=message.data["error"] or "suspended")

    @reads(facts.CompensationStarted)
    def compensating(self, message: Message, rows: Rows) -> None:
        reason, row = message.data["reason"], _row(message, rows)
        since = row.get("compensating_since") or message.time  # recorded again where it goes on after an undo had failed
        _change(message, rows, row, stage="compensating", undo_failed=False, outcome=reason, compensation=reason, compensating_since=since)

    @reads(facts.CompensationFailed)
    def compensation_failed(self, message: Message, rows: Rows) -> None:
        _change(message, rows, _row(message, rows), undo_failed=True, outcome=message.data["reason"])

    @reads(facts.Ended)
    def ended(self, message: Message, rows: Rows) -> None:
        data, time = message.data, message.time
        stage, outcome = data["status"], facts.outcome_told(data["outcome"], data.get("left_undone", ()))
        if stage == "completed":
            row = _row(message, rows)
            again = row.get("stage") == "completed"  # recorded again where an undo that had failed is settled after the end
            undo_failed = bool(row.get("undo_failed")) and not again
            _change(message, rows, row, stage=stage, outcome=outcome, ended=time, undo_failed=undo_failed)
        else:
            rows.update(INSTANCES, message.instance, status=stage, stage=stage, outcome=outcome, ended=time, updated=time, since=time)

    @reads(facts.OperatorActed)
    def operator_acted(self, message: Message, rows: Rows) -> None:
        data, row = message.data, _row(message, rows)
        if data["action"] == "suspend":
            _change(message, rows, row, suspended=f"by {data['actor']}: {data['reason']}")
        elif row.get("suspended") and not data["action"].endswith("-deadline"):
            _change(message, rows, row, suspended="")
        elif data["action"] in {"retry", "skip"}:
            _change(message, rows, row, undo_failed=False)
        else:
            self.touched(message, rows)

    @reads(
        facts.StepCompleted, facts.StepFailed, facts.StepOverdue, facts.EventTaken, facts.DeadlineReached, facts.InputIgnored,
        facts.InputExpired,
    )  # fmt: skip
    def touched(self, message: Message, rows: Rows) -> None:
        rows.update(INSTANCES, message.instance, updated=message.time)


def _add(message: Message, rows: Rows) -> None:
    """A row for an instance that has none yet. Nearly always the first record of a stream tells; a look into the table costs more."""
    if message.record.revision == 0 or rows.get(INSTANCES, message.instance) is None:
        rows.insert(
            INSTANCES, instance=message.instance, process=message.process, key=message.key, status="not_started",
            stage="not_started", first_position=message.record.position, updated=message.time, since=message.time,
        )  # fmt: skip


def _row(message: Message, rows: Rows) -> Row:
    return rows.get(INSTANCES, message.instance) or {}


def _change(message: Message, rows: Rows, row: Row, **changes: Any) -> None:
    """Change a row whose status depends on what stands in it."""
    before = row.get("status")
    row |= changes
    if row.get("suspended"):
        status = "suspended"
    elif row.get("undo_failed") and row.get("stage") in {"compensating", "compensated", "completed"}:
        status = "compensation_failed"
    else:
        status = row.get("stage", "")
    if status != before or changes.get("suspended"):
        changes["since"] = message.time
    rows.update(INSTANCES, message.instance, **changes, status=status, updated=message.time)
