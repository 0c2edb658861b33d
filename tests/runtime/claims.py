"""Claims that are assessed by people who know no claim id, on a store."""

from typing import Any
from uuid import uuid4

import orjson

from process_manager import FOREVER, Command, Complete, Effects, Event, ProcessManager, Step, by, by_correlation_id, on, starts
from process_manager.adapters.clock import RealClock
from process_manager.core.codec import encode
from process_manager.core.instance import Instance
from process_manager.core.records import NewRecord
from process_manager.ports import Block, EventStore, Filter, StreamState
from process_manager.runtime.counters import Counters
from process_manager.runtime.instances import load
from process_manager.runtime.router import Router, input_types
from process_manager.runtime.turns import TurnRunner
from tests.runtime.shop import join_group


class ClaimFiled(Event, type="claims.claim-filed"):
    claim_id: str


class Assess(Command, type="claims.assess"):
    claim_id: str


class Assessed(Event, type="claims.assessed"):
    amount: int


class AddressChanged(Event, type="claims.address-changed"):
    ref: str


class ClaimOpened(Event, type="claims.claim-opened"):
    claim_id: str


class HandleClaim(ProcessManager, version=1, key="claim_id", keys=(by(AddressChanged, lambda e: e.ref[6:]), by_correlation_id(Assessed))):
    """Assessors know no claim id; they answer with the correlation id alone."""

    assess = Step(Assess, done=Assessed, within=FOREVER, needs_undo=False)

    @starts
    def filed(self, claim: ClaimFiled) -> Effects[Assess]:
        yield Assess(claim_id=claim.claim_id)

    @on
    def assessed(self, _: Assessed) -> Effects[Complete]:
        yield Complete("assessed")

    @on
    def moved(self, _: AddressChanged) -> Effects:
        yield from ()


class Claims:
    """The process, or several, on a store."""

    def __init__(self, store: EventStore, *processes: type[ProcessManager]) -> None:
        self.store = store
        definitions = {each.definition.name: each.definition for each in processes or (HandleClaim,)}
        router = Router(definitions, store)
        consumer = join_group(store, "claims", "processes", Filter(types=input_types(definitions)), "test")
        self.counters = Counters()
        self.turns = TurnRunner(store, consumer, router, RealClock(), self.counters)

    def publish(self, event: Event, **metadata: Any) -> str:
        record = NewRecord(str(uuid4()), event.message_type, encode(event), orjson.dumps(metadata))
        self.store.append(Block(f"in-{record.id}", [record], StreamState.NO_STREAM))
        while self.turns.step():
            pass
        return record.id

    def instance(self, key: str) -> Instance:
        return load(self.store, HandleClaim.definition, key)

    def parked(self) -> list[str]:
        (group,) = self.store.groups()
        return [each.reason for each in self.store.parked(group.name)]


class Settle(ProcessManager, version=1, key="claim_id", keys=(by(Assessed, lambda e: str(e.amount)),)):
    """Takes assessments too, by a key of its own."""

    @starts
    def opened(self, _: ClaimOpened) -> Effects[Complete]:
        yield from ()

    @on
    def assessed(self, _: Assessed) -> Effects[Complete]:
        yield Complete("settled")
