"""One row for each domain event that an instance took: its history as a sequence."""

from sqlalchemy import Index, Table

from process_manager.core import facts
from process_manager.core.signals import ADDRESSED
from projections.message import Message
from projections.projection import Projection, reads
from projections.rows import Rows
from projections.shipped.columns import METADATA, instance, position, process, text, time
from projections.times import parse

EVENTS = Table(
    "events",
    METADATA,
    instance(primary_key=True),
    position(primary_key=True),  # of the event itself
    process(),
    text("type"),
    time("happened"),  # the event's own time
    position("recorded"),  # of the newest receipt, which tells the life that took it
)
Index("events_by_time", EVENTS.c.instance, EVENTS.c.happened, EVENTS.c.position, EVENTS.c.type, EVENTS.c.recorded)


class Events(Projection, name="events", version=2, tables=[EVENTS]):
    """Which domain events reached which instance, with their own times; ignored ones too, each once however long it waited."""

    @reads(
        facts.Started, facts.StepCompleted, facts.StepFailed, facts.EventTaken, facts.InputIgnored, facts.InputKept, facts.Suspended,
    )  # fmt: skip
    def taken(self, message: Message, rows: Rows) -> None:
        data, recorded = message.data, message.record.position
        event = data["input"]
        if event["type"] in ADDRESSED:
            return
        if data.get("kept"):
            rows.update(EVENTS, (message.instance, event["position"]), recorded=recorded)
        else:
            rows.insert(
                EVENTS, instance=message.instance, position=event["position"], process=message.process, type=event["type"],
                happened=parse(event["time"]), recorded=recorded,
            )  # fmt: skip
