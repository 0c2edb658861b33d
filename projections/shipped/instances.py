"""One row for each instance: how it stands."""

from typing import Any

from sqlalchemy import Boolean, Column, ColumnElement, Index, Integer, Table, and_, case, literal

from process_manager.core import facts
from projections.message import Message
from projections.projection import Projection, reads
from projections.rows import Rows
from projections.shipped.columns import METADATA, instance, position, process, text, time

INSTANCES = Table(
    "instances",
    METADATA,
    instance(primary_key=True),
    process(),
    text("key"),
    text("status"),  # not_started, running, compensating, completed, compensated, aborted or cancelled; see SHOWN_STATUS
    text("suspended"),  # the error, while an operator is waited for
    Column("undo_failed", Boolean, nullable=False, default=False),
    Column("life", Integer, nullable=False, default=0),
    Column("version", Integer, nullable=False, default=0),
    text("correlation"),
    position("first_position"),  # of its first record: the order of a list
    time("started", nullable=True),
    time("updated"),
    time("ended", nullable=True),
    text("outcome"),
    time("compensating_since", nullable=True),
    text("compensation"),  # why
)
Index("instances_by_position", INSTANCES.c.first_position)

_c = INSTANCES.c

SHOWN_STATUS: ColumnElement[str] = case(
    (_c.suspended != "", literal("suspended")),
    (and_(_c.undo_failed, _c.status.in_(("completed", "compensated", "compensating"))), literal("compensation_failed")),
    else_=_c.status,
)
"""The status as people are told it: what stands in the way comes first."""

SHOWN_OUTCOME: ColumnElement[str] = case((_c.suspended != "", _c.suspended), else_=_c.outcome)
"""The outcome, or the error of one that is suspended."""


class Instances(Projection, name="instances", tables=[INSTANCES]):
    """How every instance stands: status, version, started, ended, outcome. Of one with several lives, the newest."""

    @reads(facts.Started)
    def started(self, message: Message, rows: Rows) -> None:
        data = message.data
        _add(message, rows)
        rows.update(
            INSTANCES, message.instance, status="running", undo_failed=False, life=data["life"], version=data["definition_version"],
            correlation=data["correlation"], started=message.time, updated=message.time, ended=None, outcome="",
            compensating_since=None, compensation="",
        )  # fmt: skip

    @reads(facts.InputKept)
    def kept(self, message: Message, rows: Rows) -> None:
        _add(message, rows)
        self.touched(message, rows)

    @reads(facts.Suspended)
    def suspended(self, message: Message, rows: Rows) -> None:
        _add(message, rows)
        rows.update(INSTANCES, message.instance, suspended=message.data["error"] or "suspended", updated=message.time)

    @reads(facts.CompensationStarted)
    def compensating(self, message: Message, rows: Rows) -> None:
        reason, row = message.data["reason"], rows.get(INSTANCES, message.instance)
        since = (row and row["compensating_since"]) or message.time  # recorded again where it goes on after an undo had failed
        rows.update(
            INSTANCES, message.instance, status="compensating", undo_failed=False, outcome=reason, compensation=reason,
            compensating_since=since, updated=message.time,
        )  # fmt: skip

    @reads(facts.CompensationFailed)
    def compensation_failed(self, message: Message, rows: Rows) -> None:
        rows.update(INSTANCES, message.instance, undo_failed=True, outcome=message.data["reason"], updated=message.time)

    @reads(facts.Ended)
    def ended(self, message: Message, rows: Rows) -> None:
        data, again = message.data, False
        if data["status"] == "completed":
            row = rows.get(INSTANCES, message.instance)
            again = row is not None and row["status"] == "completed"  # recorded again where a failed undo is settled after the end
        changes = {"undo_failed": False} if again else {}
        rows.update(
            INSTANCES, message.instance, status=data["status"], outcome=data["outcome"], ended=message.time, updated=message.time, **changes
        )

    @reads(facts.OperatorActed)
    def operator_acted(self, message: Message, rows: Rows) -> None:
        data, row, changes = message.data, rows.get(INSTANCES, message.instance), dict[str, Any]()
        if data["action"] == "suspend":
            changes = {"suspended": f"by {data['actor']}: {data['reason']}"}
        elif row is not None and row["suspended"] and not data["action"].endswith("-deadline"):
            changes = {"suspended": ""}
        elif data["action"] in {"retry", "skip"}:
            changes = {"undo_failed": False}
        rows.update(INSTANCES, message.instance, updated=message.time, **changes)

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
            first_position=message.record.position, updated=message.time,
        )  # fmt: skip
