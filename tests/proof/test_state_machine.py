"""Two workers, two processes, and a world that does what it likes: after every step every promise holds, and all comes to an end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from process_manager import App, Event
from process_manager.adapters.clock import ManualClock
from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.adapters.memory import MemoryStore
from process_manager.core.block import read_fact
from process_manager.core.codec import encode
from process_manager.core.explain import Explainer
from process_manager.core.facts import FACTS
from process_manager.core.identity import derive
from process_manager.core.instance import Instance, Run
from process_manager.core.records import NewRecord, Record
from process_manager.core.signals import Action, OperatorAction
from process_manager.examples.order_fulfilment import messages as m
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.interfaces.operating.actions import ask
from process_manager.ports import Block, Delivery, StreamState
from process_manager.runtime.instances import load
from process_manager.runtime.wiring import build_worker
from process_manager.runtime.worker import Worker
from process_manager.testing.faults import Crash, Faults, FaultyStore
from process_manager.testing.invariants import broken_promises
from tests.core import samples as t
from tests.proof.errand import Errand
from tests.proof.naive import view_by_the_fold, view_of

START = datetime(2026, 1, 1, tzinfo=UTC)
APP = App("proof", processes=[OrderFulfilment, Errand])
OVER = {"not_started", "completed", "compensated", "aborted", "cancelled"}

keys = st.sampled_from(["1", "2"])
items = st.sets(st.sampled_from("abc")).map(lambda each: tuple(sorted(each)))
seats = st.integers(0, 1)
numbers = st.integers(0, 50)


def outcomes(step: str, data: dict[str, Any]) -> list[Event]:
    """What may answer a command, its success first."""
    order, errand, sku, item = data.get("order_id", ""), data.get("id", ""), data.get("sku", ""), data.get("item", "")
    found: dict[str, list[Event]] = {
        "reserve_stock": [
            m.StockReserved(order_id=order, sku=sku, quantity=1),
            m.StockUnavailable(order_id=order, sku=sku, wanted=1, available=0),
        ],
        "release_stock": [m.StockReleased(order_id=order, sku=sku, quantity=1)],
        "request_review": [m.ReviewApproved(order_id=order, reviewer="r"), m.ReviewRejected(order_id=order, reviewer="r")],
        "charge_card": [m.CardCharged(order_id=order, amount=Decimal(1)), m.CardDeclined(order_id=order, reason="broke")],
        "refund_card": [m.CardRefunded(order_id=order, amount=Decimal(1))],
        "ship_order": [m.OrderShipped(order_id=order, parcel="p")],
        "taking": [t.Taken(id=errand, item=item), t.Refused(id=errand, item=item)],
        "giving_back": [t.GivenBack(id=errand, item=item), t.Stuck(id=errand, item=item)],
        "paying": [t.Paid(id=errand)],
    }
    return found[step]


class Chaos(Faults):
    """Between one worker and the store."""

    def __init__(self) -> None:
        self.crash_in: int | None = None
        self.meanwhile: Callable[[], object] | None = None
        self.again: list[tuple[str, Delivery]] = []
        self.hold = 0
        self._held: list[tuple[str, Delivery]] = []

    def write(self, what: str, parts: int, do: Callable[[int], Any]) -> Any:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        if self.crash_in is not None:
            if self.crash_in <= parts:
                if self.crash_in:
                    do(self.crash_in)
                raise Crash(what)
            self.crash_in -= parts + 1
        return do(parts)

    def deliver(self, group: str, found: Sequence[Delivery]) -> Sequence[Delivery]:
        held, self._held = self._held, [(group, each) for each in found[: self.hold]]
        again, self.again, self.hold = self.again, [], 0
        return [each for name, each in (*held, *again) if name == group] + list(found[len(self._held) :])

    def hidden(self, group: str) -> int:
        return len(self._held)


class Anything(RuleBasedStateMachine):
    """The world around two workers on one store."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("process_manager.core.fold.WINDOW", 3)  # so that what comes again is mostly below the floor
        self.patch.setattr("process_manager.runtime.turns.SNAPSHOT_EVERY", 7)
        self.store = MemoryStore(single_active=False)
        self.clock = ManualClock(START)
        self.count = 0
        self.seen: dict[str, int] = {}
        self.chaos = [Chaos(), Chaos()]
        self.stores: dict[int, FaultyStore] = {}
        self.indexes: dict[int, SqliteDeadlineIndex] = {}
        self.workers = [self.hire(seat) for seat in (0, 1)]

    def hire(self, seat: int) -> Worker:
        """A new process in a seat."""
        self.chaos[seat] = Chaos()
        self.stores[seat], self.indexes[seat] = FaultyStore(self.store, self.chaos[seat]), SqliteDeadlineIndex()
        return build_worker(APP, self.stores[seat].as_store, self.clock, self.indexes[seat], member=f"worker {seat}", threads=0)

    def vacate(self, seat: int) -> None:
        """The process is gone."""
        self.stores[seat].abandon()
        self.indexes[seat].close()

    # -- what the world does ------------------------------------------------------------------------------------

    def publish(self, event: Event, cause: str = "") -> None:
        self.count += 1
        metadata: dict[str, Any] = {"time": self.clock.now(START), "version": 1}
        if cause:
            metadata["$causationId"] = cause
        record = NewRecord(derive("machine", str(self.count)), event.message_type, encode(event), orjson.dumps(metadata))
        self.store.append(Block(f"world-{self.count}", [record], StreamState.NO_STREAM))

    @rule(key=keys, skus=items, total=st.sampled_from([50, 5000]))
    def place(self, key: str, skus: tuple[str, ...], total: int) -> None:
        lines = tuple(m.Line(sku=sku, quantity=1) for sku in skus)
        self.publish(m.OrderPlaced(order_id=key, lines=lines, total=Decimal(total), card="4"))

    @rule(key=keys, names=items, need=st.integers(1, 3))
    def begin(self, key: str, names: tuple[str, ...], need: int) -> None:
        self.publish(t.Began(id=key, items=names, need=min(need, max(1, len(names)))))

    @rule(key=keys, text=st.sampled_from(["", "boom", "undo"]))
    def notice(self, key: str, text: str) -> None:
        self.publish(t.Noticed(id=key, text=text))

    @rule(key=keys)
    def close(self, key: str) -> None:
        self.publish(t.Closed(id=key))

    @precondition(lambda self: self.commands())
    @rule(which=numbers, bad=st.booleans(), by_hand=st.booleans())
    def answer(self, which: int, bad: bool, by_hand: bool) -> None:
        """Any command that was ever given, answered before or not."""
        commands = self.commands()
        command = commands[which % len(commands)]
        possible = outcomes(orjson.loads(command.metadata)["step"], orjson.loads(command.data))
        self.publish(possible[-1 if bad else 0], "" if by_hand else command.id)

    @precondition(lambda self: self.undos())
    @rule(which=numbers)
    def an_undo_is_refused(self, which: int) -> None:
        undos = self.undos()
        undo = undos[which % len(undos)]
        self.publish(outcomes(undo.step, orjson.loads(undo.command.data))[-1], undo.command_id)

    @rule(hours=st.sampled_from([0.1, 1, 5, 30, 200]))
    def time_passes(self, hours: float) -> None:
        self.clock.advance(timedelta(hours=hours))

    @rule()
    def the_clock_is_set_back(self) -> None:
        self.clock.advance(timedelta(hours=-1))

    @precondition(lambda self: self.instances())
    @rule(which=numbers, action=st.sampled_from(["retry", "skip", "cancel", "suspend", "resume", "compensate"]))
    def an_operator_acts(self, which: int, action: Action) -> None:
        streams = list(self.instances())
        self.operate(streams[which % len(streams)], action)

    def operate(self, stream: str, action: Action) -> None:
        self.count += 1
        list(ask(self.store, [OperatorAction(stream, f"request {self.count}", action, "ada", "because")]))

    # -- what the workers do ------------------------------------------------------------------------------------

    @rule(seat=seats)
    def work(self, seat: int) -> None:
        try:
            self.workers[seat].step()
        except Crash:
            self.vacate(seat)
            self.workers[seat] = self.hire(seat)

    @rule(seat=seats, writes=st.integers(0, 5))
    def crash(self, seat: int, writes: int) -> None:
        self.chaos[seat].crash_in = writes
        self.work(seat)

    @rule(seat=seats)
    def work_at_once(self, seat: int) -> None:
        """Between a worker's decision and its append the other one does a whole step."""
        self.chaos[seat].meanwhile = lambda: self.work(1 - seat)
        self.work(seat)
        self.chaos[seat].meanwhile = None  # there was no append

    @rule(seat=seats, count=st.integers(1, 3))
    def arrive_out_of_order(self, seat: int, count: int) -> None:
        self.chaos[seat].hold = count
        self.work(seat)
        self.work(seat)

    @precondition(lambda self: self.inputs())
    @rule(seat=seats, which=numbers)
    def deliver_again(self, seat: int, which: int) -> None:
        inputs = self.inputs()
        self.chaos[seat].again = [(self.group(), Delivery(inputs[which % len(inputs)], retries=1))]
        self.work(seat)

    # -- what is looked at --------------------------------------------------------------------------------------

    def group(self) -> str:
        return self.store.groups()[0].name

    def inputs(self) -> list[Record]:
        """What was delivered before: everything up to the group's checkpoint that it wants."""
        (group,) = self.store.groups()
        return [each for each in self.store.read_all(where=group.where) if each.position <= group.checkpoint]

    def instances(self) -> dict[str, list[Record]]:
        found: dict[str, list[Record]] = {}
        for record in self.store.read_all():
            if record.stream.partition("-")[0] in APP.definitions:
                found.setdefault(record.stream, []).append(record)
        return found

    def commands(self) -> list[Record]:
        return [each for records in self.instances().values() for each in records if each.type not in FACTS]

    def undos(self) -> list[Run]:
        """Those that are out and may be refused."""
        runs = [run for stream in self.instances() for run in self.instance(stream).runs.values()]
        return [run for run in runs if run.step == "giving_back" and run.status == "open"]

    def instance(self, stream: str) -> Instance:
        process, _, key = stream.partition("-")
        return load(self.store, APP.definitions[process], key)

    @invariant()
    def every_promise_holds(self) -> None:
        for stream, records in self.instances().items():
            if self.seen.get(stream) == len(records):
                continue
            self.seen[stream] = len(records)
            process, _, key = stream.partition("-")
            broken = broken_promises(APP.definitions[process], key, records)
            assert not broken, "\n".join(broken)
            expected, folded = view_of(records), view_by_the_fold(self.instance(stream))
            assert folded.taken <= expected.taken
            assert replace(folded, taken=expected.taken) == expected
            explainer = Explainer(process, key, APP.definitions[process])
            explainer.take((read_fact(record), record.revision) for record in records)
            assert explainer.explanation(self.clock.now(START)).status in {
                *OVER,
                "running",
                "compensating",
                "compensation_failed",
                "suspended",
            }

    # -- the end ------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self.settle()
            self.every_promise_holds()
            self.everything_has_its_receipt()
        finally:
            for seat in (0, 1):
                self.vacate(seat)
            self.store.close()
            self.patch.undo()

    def settle(self) -> None:
        """Nobody disturbs any more, operators mend, and what is asked is done: everything comes to an end."""
        for seat in (0, 1):
            self.chaos[seat].crash_in = self.chaos[seat].meanwhile = None
        self.clock.set(max(self.clock.now(START), START))
        unfinished: list[Instance] = []
        for _ in range(60):
            while sum(worker.step() for worker in self.workers) or self.store.replay_parked(self.group()):
                pass  # what crashed often enough was parked
            unfinished = [each for each in map(self.instance, self.instances()) if each.status not in OVER or each.suspended]
            if not unfinished:
                return
            for instance in unfinished:
                self.mend(instance)
            self.clock.advance(timedelta(hours=1))
        raise AssertionError([f"{each.stream}: {each.status} {each.suspended} {each.runs}" for each in unfinished])

    def mend(self, instance: Instance) -> None:
        if instance.suspended:
            self.operate(instance.stream, "skip" if instance.culprit else "resume")
        elif instance.status == "compensation_failed":
            self.operate(instance.stream, "retry" if self.count % 2 else "skip")
        for run in instance.runs.values():
            if run.status == "open":
                self.publish(outcomes(run.step, orjson.loads(run.command.data))[0], run.command_id)

    def everything_has_its_receipt(self) -> None:
        """Nothing that concerns an instance was dropped silently."""
        taken = {stream: view_of(records).taken for stream, records in self.instances().items()}
        for record in self.store.read_all():
            if record.stream.startswith("world-"):
                data = orjson.loads(record.data)
                stream = f"errand-{data['id']}" if "id" in data else f"order_fulfilment-{data['order_id']}"
                assert stream not in taken or record.id in taken[stream], f"{record.type} of {stream} has no receipt"


TestAnything = Anything.TestCase
TestAnything.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
