"""Inputs to instances: fetch, decode, load, decide, append, acknowledge; on a conflict load and decide again."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from process_manager.core import facts
from process_manager.core.block import fact_metadata, fact_record
from process_manager.core.definition import Definition
from process_manager.core.instance import Instance
from process_manager.core.snapshot import snapshot
from process_manager.core.turn import Turn, suspend, take
from process_manager.errors import (
    AppendTooLarge,
    LeaseLost,
    NewerFact,
    NotCorrelated,
    StoreError,
    StoreUnavailable,
    StreamDeleted,
    UndecodableMessage,
)
from process_manager.ports import MAX_APPEND, Appended, Block, Clock, Consumer, Delivery, EventStore, Nack
from process_manager.runtime.awaiting import Awaiting
from process_manager.runtime.counters import Counters
from process_manager.runtime.instances import Instances
from process_manager.runtime.left_to_newer import LeftToNewer
from process_manager.runtime.refusals import allow_conflicts
from process_manager.runtime.router import Incoming, Router
from process_manager.runtime.suspects import ALONE_FROM, Suspects
from process_manager.runtime.work import Work

log = logging.getLogger(__name__)

BATCH = 512
"""Deliveries taken at once."""

SNAPSHOT_EVERY = 200
"""Records of an instance after which its next turn adds a snapshot."""

INSIST = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between repeats of an append whose outcome is unknown."""

PATIENCE = 30.0
"""Seconds after which it is not repeated any more: a store on a server insists by itself, and a worker that is told to stop must end."""

HOLD = 1.0
"""Seconds for which an input that a newer version has to take is left alone before it is offered again."""


class TurnRunner:
    """Takes what a consumer group delivers to the instances of an app's processes.

    One block for each instance in a batch, one `append_many` for all blocks, one acknowledgement after it.
    """

    role = "processes"
    guesses = True
    """Whether an input that starts instances is taken to be new until the append says otherwise."""

    def __init__(
        self,
        store: EventStore,
        consumer: Consumer,
        router: Router,
        clock: Clock,
        counters: Counters,
        *,
        rejoin: Callable[[], Consumer] | None = None,
        leased: bool = True,
        instances: Instances | None = None,
    ) -> None:
        """`leased` appends are refused when the consumer is not the active one any more; `instances` may be shared with others."""
        self._store = store
        self._consumer = consumer
        self._leased = leased
        self._rejoin = rejoin
        self._router = router
        self._clock = clock
        self._counters = counters
        self._instances = instances or Instances(store)
        self._suspects = Suspects(store)
        self._awaiting = Awaiting()
        self._newer = LeftToNewer(counters, HOLD)
        self._limit = MAX_APPEND  # of an append; less once a server that is set to less has said so
        self._lost = False  # the membership, and not joined again yet
        self._aside: set[int] = set()  # deliveries of the batch, by identity, that were parked or are held

    @property
    def busy(self) -> bool:
        """Nothing is in flight between two steps."""
        return False

    @property
    def left(self) -> int:
        """How many deliveries are held for a newer version to take."""
        return len(self._newer)

    @property
    def consumer(self) -> Consumer:
        return self._consumer

    def finish(self) -> None:
        """Nothing outlasts a step."""

    def close(self) -> None:
        self._consumer.leave()

    def step(self) -> int:
        """Take one batch. Returns how many deliveries it held."""
        self._join_again()
        try:
            self._suspects.tell()
            if newer := self._newer.due():
                self._consumer.nack(newer, Nack.RETRY)
            deliveries = self._consumer.fetch(BATCH)
            suspects = [each for each in deliveries if each.retries >= ALONE_FROM]
            usual = [*self._awaiting.due(deliveries), *(each for each in deliveries if each.retries < ALONE_FROM)]
            if usual:
                self._take(usual)
            for each in suspects:
                self._take_alone(each)
        except LeaseLost:
            log.info("another worker has taken over", extra={"action": "lease_lost", "role": self.role})
            self._start_over()
            return 0
        except StoreError:
            self._start_over()
            raise
        return len(deliveries)

    def _start_over(self) -> None:
        """Forget what is cached and hand back what is in flight, so that it comes again, here or elsewhere."""
        self._instances.clear()
        self._newer.clear()
        self._awaiting.clear()
        self._lost = True
        self._join_again()

    def _join_again(self) -> None:
        if self._lost and self._rejoin is not None:
            with suppress(StoreError):
                self._consumer.leave()
            self._consumer = self._rejoin()
        self._lost = False

    def _take_alone(self, suspect: Delivery) -> None:
        if reason := self._suspects.verdict(suspect):
            self._park([suspect], reason)
            return
        try:
            self._take([suspect])
        except StoreError:
            self._suspects.outlived(suspect)
            raise
        self._suspects.outlived(suspect)
        self._suspects.tell()

    def _take(self, batch: Sequence[Delivery]) -> None:
        works: dict[str, Work] = {}
        done: list[tuple[Incoming, Delivery]] = []
        self._aside.clear()
        for delivery in sorted(batch, key=lambda each: each.record.position):
            incoming = self._decoded(delivery)
            if incoming is None:
                continue
            done.append((incoming, delivery))
            for target in incoming.targets:
                works.setdefault(target.stream, Work(target)).inputs.append((incoming, delivery))
        self._router.write_notes()
        waiting = list(works.values())
        while waiting:
            waiting = self._appended([work for work in waiting if self._decided(work)])
        for incoming, delivery in done:
            if incoming.unrouted is not None and self._set_aside([(incoming, delivery)]):
                self._not_routed(delivery, incoming.unrouted)
        self._consumer.ack([delivery for _, delivery in done if id(delivery) not in self._aside])

    def _decoded(self, delivery: Delivery) -> Incoming | None:
        try:
            incoming = self._router.incoming(delivery.record)
        except NewerFact as error:
            self._newer.keep(delivery, error)
        except UndecodableMessage as error:
            self._not_routed(delivery, error)
        else:
            if incoming.unrouted is None:
                self._awaiting.taken(delivery)
            return incoming
        return None

    def _not_routed(self, delivery: Delivery, error: UndecodableMessage) -> None:
        early = isinstance(error, NotCorrelated) and self._leased and not self._store.features.single_active
        if not (early and self._awaiting.keeps(delivery)):  # another worker may have the start
            self._park([delivery], str(error))

    def _park(self, deliveries: Sequence[Delivery], reason: str) -> None:
        if not deliveries:
            return
        self._counters.parked += len(deliveries)
        log.warning("parked %s: %s", deliveries[0].record.id, reason, extra={"action": "parked"})
        self._consumer.nack(deliveries, Nack.PARK, reason)

    # -- rounds -------------------------------------------------------------------------------------------------

    def _decided(self, work: Work) -> bool:
        """Whether there is something to append, or nothing left to do; the inputs of an instance that cannot be loaded go aside.

        Where a new instance is likely its stream is not looked up: the append at NO_STREAM does that. Without an append it has to be.
        """
        try:
            likely_new = self.guesses and not work.refused and self._router.starts_new(work.target.definition, work.inputs[0][0].input)
            self._decide(work, self._instances.get(work.target.definition, work.target.key, likely_new=likely_new))
            if likely_new and not work.records:
                self._decide(work, self._instances.get(work.target.definition, work.target.key))
        except NewerFact as error:
            for delivery in self._set_aside(work.inputs):
                self._newer.keep(delivery, error)
        except UndecodableMessage as error:
            self._park(self._set_aside(work.inputs), f"the instance {work.target.stream} cannot be rebuilt: {error}")
        else:
            return True
        return False

    def _set_aside(self, inputs: Iterable[tuple[Incoming, Delivery]]) -> list[Delivery]:
        """Deliveries that are not to be acknowledged with the batch, those that are aside already left out."""
        deliveries = [delivery for _, delivery in inputs if id(delivery) not in self._aside]
        self._aside.update(map(id, deliveries))
        return deliveries

    def _decide(self, work: Work, instance: Instance) -> None:
        work.records, work.size, work.taken, work.turns, work.duplicates = [], 0, 0, [], 0
        for incoming, delivery in work.inputs:
            if self._instances.has_taken(instance, incoming.input.id, incoming.input.position):
                work.duplicates += delivery not in self._awaiting  # offered again by ourselves, for another process
            elif (turn := self._turn(work.target.definition, instance, incoming)) is None:
                self._park(self._set_aside([(incoming, delivery)]), f"its receipt would not fit an append of {self._limit:,} bytes")
            else:
                size = sum(record.size for record in turn.records)
                if work.records and work.size + size > self._limit:
                    break
                instance = turn.instance
                work.records += turn.records
                work.size += size
                work.turns.append((turn, delivery))
            work.taken += 1
        if instance.records_since_snapshot >= SNAPSHOT_EVERY and work.records:
            self._add_snapshot(work.target.definition, instance, work)
        work.instance = instance

    def _turn(self, definition: Definition, instance: Instance, incoming: Incoming) -> Turn | None:
        """The turn; that of a suspension when it is over the limit; None when even that would be."""
        now = self._clock.now(incoming.input.time)
        turn = take(definition, instance, incoming.input, now, incoming.message)
        size = sum(record.size for record in turn.records)
        if size <= self._limit:
            return turn
        turn = suspend(definition, instance, incoming.input, now, f"the turn comes to {size:,} bytes, an append holds {self._limit:,}")
        return turn if sum(record.size for record in turn.records) <= self._limit else None

    def _add_snapshot(self, definition: Definition, instance: Instance, work: Work) -> None:
        fact = snapshot(instance, definition.fold_version)
        if fact is None:
            instance.records_since_snapshot = 0  # not tried in every turn from now on
            return
        last = work.inputs[work.taken - 1][0].input
        metadata = fact_metadata(instance.correlation, last.id, self._clock.now(last.time), fact.fact_version)
        record = fact_record(instance.stream, last.id, "snapshot", fact, metadata)
        if work.size + record.size <= self._limit:
            work.records.append(record)
            work.size += record.size
            instance.revision += 1
            instance.records_since_snapshot = 0

    def _count(self, work: Work) -> None:
        """What is decided counts once it stands: a conflict decides it anew."""
        now = time.time()
        self._counters.duplicates += work.duplicates
        for turn, delivery in work.turns:
            self._counters.add_turn(turn.facts)
            for fact in turn.facts:
                if isinstance(fact, facts.Suspended):
                    extra = {"action": "suspended", "stream": turn.instance.stream, "input_id": fact.input.id}
                    log.warning("suspended %s: %s", turn.instance.stream, fact.error, extra=extra, exc_info=turn.error)
            if any(isinstance(fact, facts.StepStarted) for fact in turn.facts):
                self._counters.event_to_command.observe(now - delivery.record.created / 1_000_000)

    def _appended(self, works: list[Work]) -> list[Work]:
        """Append one block for each work; the works that have to go on: refused ones, and ones with inputs left."""
        blocks = [work.block for work in works if work.records]
        answers = iter(self._append(blocks) if blocks else [])
        again: list[Work] = []
        for work in works:
            answer = next(answers) if work.records else None
            if isinstance(answer, StoreError):
                self._refused(work, answer)
                again += [work] if work.inputs else []
                continue
            if answer is not None and work.instance is not None:
                self._instances.put(work.instance)
            self._count(work)
            del work.inputs[: work.taken]
            if work.inputs:
                again.append(work)
        return again

    def _append(self, blocks: Sequence[Block]) -> Sequence[Appended | StoreError]:
        """An append of unknown result is repeated with the bytes in hand: decided again, it could differ."""
        lease = self._consumer if self._leased else None
        until = time.monotonic() + PATIENCE
        for wait in INSIST:
            try:
                return self._store.append_many(blocks, lease)
            except StoreUnavailable as error:
                if time.monotonic() >= until:
                    raise
                log.warning("repeating %d blocks: %s", len(blocks), error, extra={"action": "append_repeated"})
                time.sleep(wait)
        return self._store.append_many(blocks, lease)

    def _refused(self, work: Work, error: StoreError) -> None:
        """A conflict means: somebody else wrote, or wrote it already; drop what is cached, load, decide again; too large: decide again
        what fits. Raises other refusals."""
        if isinstance(error, AppendTooLarge):
            self._limit = min(error.limit, work.size - 1)
        else:
            allow_conflicts([error])
            self._counters.conflicts += 1
        self._instances.drop(work.target.stream)
        work.refused = True
        if isinstance(error, StreamDeleted):
            self._park(self._set_aside(work.inputs), f"the instance's stream {work.target.stream} was deleted")
            work.inputs.clear()
        log.debug("conflict on %s: %s", work.target.stream, error, extra={"action": "conflict"})
