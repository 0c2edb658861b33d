"""The orders of a soak, and what a store says has become of them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import orjson

from process_manager.adapters.memory import MemoryStore
from process_manager.core.codec import encode
from process_manager.core.identity import new_record
from process_manager.core.instance import Instance
from process_manager.core.records import Record
from process_manager.examples.order_fulfilment import app
from process_manager.examples.order_fulfilment.demo import SLICE, SLICE_SIZE, Demo
from process_manager.examples.order_fulfilment.orders import LIMITED_EACH, Outside, Plan
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.interfaces.bootstrap import driven_worker
from process_manager.interfaces.publishing.event_lines import Addressed
from process_manager.ports import EventStore
from process_manager.runtime.instances import load
from process_manager.testing.invariants import broken_promises


class Timed(NamedTuple):
    """An event from outside and its time."""

    time: datetime
    addressed: Addressed


@dataclass(frozen=True)
class Load:
    """The demo's orders, with a tag in all that they name, so that rounds on one store keep out of each other's way."""

    plan: Plan
    tag: str

    def slices(self) -> Iterator[list[Timed]]:
        """Pieces in which nothing answers anything."""
        found: list[Timed] = []
        for outside in self.plan.events():
            timed = self._tagged(outside)
            if found and (len(found) >= SLICE_SIZE or timed.time - found[0].time >= SLICE):
                yield found
                found = []
            found.append(timed)
        yield found

    def _tagged(self, outside: Outside) -> Timed:
        message = outside.message
        data = encode(message).replace(b'"order_id":"', b'"order_id":"%s' % self.tag.encode())
        data = data.replace(b'"sku":"', b'"sku":"%s' % self.tag.encode())
        category, _, key = outside.stream.partition("-")
        stream, type_ = f"{category}-{self.tag}{key}", message.message_type
        metadata = orjson.dumps({"time": outside.time, "version": message.message_version})
        return Timed(outside.time, Addressed(stream, new_record(stream, "", "", type_, data, metadata)))


@dataclass
class Ends:
    """What became of the orders on a store."""

    orders: dict[str, str] = field(default_factory=dict)  # by id, without the tag: the end, or what it is instead
    effects: Counter[str] = field(default_factory=Counter)  # events of the domain by type
    doubled: list[str] = field(default_factory=list)  # operations with a second effect, and broken promises
    unfinished: list[str] = field(default_factory=list)


def ends_of(store: EventStore, tag: str, after: int) -> Ends:
    """Read them from the log behind a position; what does not name the tag is of others who use the store."""
    ends, mark = Ends(), tag.encode()
    operations: Counter[str] = Counter()
    instances: dict[str, list[Record]] = {}
    for record in store.read_all(after=after):
        category = record.stream.partition("-")[0]
        if mark not in record.data and tag not in record.stream:
            continue
        if category in app.definitions:
            instances.setdefault(record.stream, []).append(record)
        elif not record.type.startswith("pm.") and not record.stream.startswith("$"):  # a server's own
            ends.effects[record.type] += 1
            if operation := orjson.loads(record.metadata).get("operation"):
                operations[f"{operation} ({record.type} in {record.stream})"] += 1
    ends.doubled = [f"{count} effects of {operation}" for operation, count in operations.items() if count > 1]
    for stream, records in instances.items():
        _take(ends, stream.partition("-")[2], records, tag, load(store, OrderFulfilment.definition, stream.partition("-")[2]))
    return ends


def _take(ends: Ends, key: str, records: list[Record], tag: str, instance: Instance) -> None:
    end = f"{instance.status}: {instance.suspended or instance.outcome}".replace(tag, "")
    ends.orders[key.removeprefix(tag)] = end
    if not instance.ended or instance.suspended:
        ends.unfinished.append(f"{key} is {end}")
    ends.doubled += broken_promises(OrderFulfilment.definition, key, records)


def undisturbed(plan: Plan) -> Ends:
    """What becomes of the orders when nothing goes wrong, in memory."""
    store = MemoryStore()
    worker = driven_worker(app, store)
    Demo(plan, store, worker).run()
    worker.close()
    return ends_of(store, "", -1)


def lost(found: Ends, expected: Ends) -> list[str]:
    """Orders that never began or never ended."""
    return found.unfinished + [f"{order} is not there" for order in expected.orders.keys() - found.orders.keys()]


def otherwise(found: Ends, expected: Ends) -> list[str]:
    """Ends and effects that are others than those of an undisturbed run.

    Of the orders for what is limited the first ones get it, so they are compared by their number.
    """
    wrong = [
        f"{order} is {end}, undisturbed it is {expected.orders.get(order)}"
        for order, end in found.orders.items()
        if int(order.rpartition(".")[2]) % LIMITED_EACH and end != expected.orders.get(order)
    ]
    for what, one, other in (("ends", _counted(found), _counted(expected)), ("events", found.effects, expected.effects)):
        wrong += [f"{one[each]} {what} {each!r}, undisturbed {other[each]}" for each in sorted({*one, *other}) if one[each] != other[each]]
    return wrong


def _counted(ends: Ends) -> Counter[str]:
    return Counter(ends.orders.values())
