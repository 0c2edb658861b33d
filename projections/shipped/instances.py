"""One row for each life of an instance: how it stands, or how it ended."""

from typing import Any

from sqlalchemy import Boolean, Column, ColumnElement, FromClause, Index, Integer, Table, and_, case

from process_manager.core import facts
from projections.message import Message
from projections.projection import Projection, reads
from projections.rows import Row, Rows
from projections.shipped.columns import METADATA, instance, position, process, text, time

NEWEST = 0
"""Stands for the newest life in `past`, so that a record finds its row without a look at the table."""

ENDLESS = 2**63 - 1
"""Where a life ends that no other has followed."""

INSTANCES = Table(
    "instances",
    METADATA,
    instance(primary_key=True),
    Column("past", Integer, primary_key=True, autoincrement=False, default=NEWEST),  # 0 for the newest life, else the life
    process(),
    text("key"),
    text("status"),  # as people are told it: the stage, or suspended or compensation_failed, which stand in its way
    text("stage"),  # not_started, running, compensating, completed, compensated, aborted or cancelled
    text("suspended"),  # the error, while an operator is waited for
    Column("undo_failed", Boolean, nullable=False, default=False),
    Column("life", Integer, nullable=False, default=0),
    Column("version", Integer, nullable=False, default=0),
    text("correlation"),
    position("first_position"),  # of the instance's first record: the order of a list
    position("from_position"),  # what was recorded from here on, and before the next column, belongs to this life
    position("to_position"),
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


def in_life(table: FromClause) -> ColumnElement[bool]:
    """Whether a row of another shipped table belongs to the life of a row. What has no place in the log belongs to the newest life."""
    i, recorded = INSTANCES.c, table.c.get("recorded", table.c.get("position"))
    if recorded is None:
        return and_(i.instance == table.c.instance, i.past == NEWEST)
    return and_(i.instance == table.c.instance, i.from_position <= recorded, recorded < i.to_position)


class Instances(Projection, name="instances", version=2, tables=[INSTANCES]):
    """How every life of every instance stands or ended: status, version, started, ended, outcome."""

    @reads(facts.Started)
    def started(self, message: Message, rows: Rows) -> None:
        data = message.data
        _add(message, rows)
        if data["life"] > 1:
            _close_last_life(message, rows)
        _update(
            message, rows, status="running", stage="running", undo_failed=False, life=data["life"],
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
            _update(message, rows, status=stage, stage=stage, outcome=outcome, ended=time, updated=time, since=time)

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
        _update(message, rows, updated=message.time)


def _add(message: Message, rows: Rows) -> None:
    """A row for an instance that has none yet. Nearly always the first record of a stream tells; a look into the table costs more."""
    if message.record.revision == 0 or not _row(message, rows):
        first = message.record.position
        rows.insert(
            INSTANCES, instance=message.instance, process=message.process, key=message.key, status="not_started", stage="not_started",
            first_position=first, from_position=first, to_position=ENDLESS, updated=message.time, since=message.time,
        )  # fmt: skip


def _close_last_life(message: Message, rows: Rows) -> None:
    """Put what the newest row says aside, for another life begins."""
    row, here = _row(message, rows), message.record.position
    if row["life"]:
        rows.insert(INSTANCES, **row | {"past": row["life"], "to_position": here})
    _update(message, rows, from_position=here)


def _row(message: Message, rows: Rows) -> Row:
    return rows.get(INSTANCES, (message.instance, NEWEST)) or {}


def _update(message: Message, rows: Rows, **changes: Any) -> None:
    rows.update(INSTANCES, (message.instance, NEWEST), **changes)


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
    _update(message, rows, **changes, status=status, updated=message.time)
