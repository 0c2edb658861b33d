"""Runs thousands of orders through the process: `pm demo`.

The clock is driven: events from outside are published in slices of time, everything settles, and the clock jumps to the next slice. Events
that are in the store already are left out, so a demo that was killed goes on where it was and ends with the same totals.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import orjson

from process_manager.core.facts import Ended, Started
from process_manager.core.identity import new_record
from process_manager.errors import ProcessManagerError, StreamNotFound
from process_manager.examples.order_fulfilment import app
from process_manager.examples.order_fulfilment.messages import CardCharged, ChargePending
from process_manager.examples.order_fulfilment.orders import Outside, Plan
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.interfaces.publishing.event_lines import Addressed
from process_manager.interfaces.publishing.publisher import Publisher, addressed
from process_manager.ports import EventStore
from process_manager.runtime.time_driver import TimeDriver, run_through
from process_manager.runtime.worker import Worker

SLICE = timedelta(minutes=30)
"""Length of a slice: shorter than any answer from outside takes, so that no event answers another one of the same slice."""

SLICE_SIZE = 500


class OtherDemo(ProcessManagerError):
    """The store holds the demo of other orders."""


class Demo:
    """Runs a plan on a store with a worker whose clock is driven. `progress` is told how many orders are placed."""

    def __init__(self, plan: Plan, store: EventStore, worker: Worker, progress: Callable[[int], None] | None = None) -> None:
        self._plan = plan
        self._store = store
        self._worker = worker
        self._progress = progress or (lambda _: None)
        self._time = TimeDriver(store)
        self._publisher = Publisher(store)

    def run(self) -> None:
        """Until every order has its end, or the worker is stopped. Raises OtherDemo."""
        self._refuse_other()
        for outside in _slices(self._plan.events()):
            run_through(self._worker, self._time, outside[0].time)
            if self._worker.stopped:
                return
            self._publisher.publish(answering(self._store, _addressed(each)) for each in outside)
            self._progress(max(each.number for each in outside))
        run_through(self._worker, self._time)

    def _refuse_other(self) -> None:
        """Refuse a store that holds another demo or anything else: the totals would be those of both."""
        plan = _addressed(next(self._plan.events()))
        try:
            (first,) = self._store.read_stream(plan.stream, limit=1)
        except StreamNotFound:
            if any(not record.stream.startswith(("pm.", "$")) for record in self._store.read_all()):  # notes of workers and servers
                raise OtherDemo("this store holds something else than a demo: name a new one") from None
            return
        if first.id != plan.record.id:
            held = orjson.loads(first.data)
            raise OtherDemo(f"this store holds the demo of {held['orders']} orders with seed {held['seed']}: repeat it, or name another")


def _slices(events: Iterable[Outside]) -> Iterator[list[Outside]]:
    found: list[Outside] = []
    for each in events:
        if found and (len(found) >= SLICE_SIZE or each.time - found[0].time >= SLICE):
            yield found
            found = []
        found.append(each)
    yield found


def answering(store: EventStore, event: Addressed) -> Addressed:
    """A late `CardCharged` names the command that it answers, by which the bank was asked; any other event is left as it is."""
    if event.record.type != CardCharged.message_type:
        return event
    asked = next(each for each in store.read_stream(event.stream, backwards=True) if each.type == ChargePending.message_type)
    causes = {name: value for name, value in orjson.loads(asked.metadata).items() if name in {"$correlationId", "$causationId"}}
    metadata = orjson.dumps(orjson.loads(event.record.metadata) | causes)
    return Addressed(event.stream, new_record(event.stream, "", "0", event.record.type, event.record.data, metadata))


def _addressed(outside: Outside) -> Addressed:
    return addressed(outside.stream, outside.message, outside.time)


@dataclass
class Totals:
    """How the orders of a demo ended, counted from its store."""

    orders: int = 0
    completed: int = 0
    compensated: int = 0
    aborted: int = 0
    running: int = 0
    events: int = 0  # of the domain
    commands: int = 0  # that the process issued
    longest: str = ""  # the compensated instance with the longest story


def totals(store: EventStore) -> Totals:
    """Count a demo's orders, events and commands; the whole log is read."""
    found = Totals()
    status: dict[str, str] = {}
    records: dict[str, int] = {}
    instances = f"{OrderFulfilment.definition.name}-"
    for record in store.read_all():
        if record.stream.startswith(instances):
            records[record.stream] = records.get(record.stream, 0) + 1
            if record.type == Ended.fact_type:
                status[record.stream] = orjson.loads(record.data)["status"]
            elif record.type == Started.fact_type:
                status[record.stream] = "running"
            found.commands += not record.type.startswith("pm.")
        elif not record.type.startswith("pm.") and record.type not in app.handled_commands:
            found.events += 1
    found.orders = len(status)
    for name in ("completed", "compensated", "aborted"):
        setattr(found, name, sum(each == name for each in status.values()))
    found.running = found.orders - found.completed - found.compensated - found.aborted
    undone = [stream for stream, each in status.items() if each == "compensated"]
    found.longest = min(undone, key=lambda stream: (-records[stream], stream), default="")
    return found
