"""What delivery has missed is found by a pass over the log, and nothing else is touched."""

from collections.abc import Callable
from functools import partial

import pytest

from process_manager.adapters.clock import ManualClock, RealClock
from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.adapters.memory import MemoryStore
from process_manager.core.identity import derive
from process_manager.core.records import NewRecord
from process_manager.examples.order_fulfilment import messages as m
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.interfaces.operating.parked import drop
from process_manager.ports import Block, EventStore, GroupSettings, StreamState
from process_manager.runtime.groups import Share, ensure_group
from process_manager.runtime.instances import Instances
from process_manager.runtime.reconcile import EVERY, HURRY, Found, MakePass, Pass, Sweep
from process_manager.runtime.swept import swept as swept_until
from process_manager.runtime.wiring import build_worker, process_share
from process_manager.testing.contract.support import eventually
from tests.runtime.answered_shop import START, app, place, status
from tests.runtime.claims import Assessed, Claims, HandleClaim

SHARE = process_share(app)


def skip(store: EventStore, key: str) -> None:
    """An order that the group acknowledges without anybody having taken it."""
    place(store, key)
    ensure_group(store, SHARE)
    consumer = store.join(SHARE.group, "a faulty server")
    consumer.ack(consumer.fetch(99))
    consumer.leave()


def reconcile(store: EventStore, since: int | None = None, types: list[str] | None = None, share: Share = SHARE) -> Found:
    run = Pass(store, app.definitions, share, RealClock(), since=since, types=types)
    while run.step():
        pass
    return run.found


def work(store: EventStore) -> None:
    worker = build_worker(app, store, RealClock(), SqliteDeadlineIndex())
    worker.run(until_idle=True)
    worker.close()


def test_what_was_missed_is_taken_and_told(store: EventStore) -> None:
    """It goes on from there as if it had never been missed."""
    place(store, "1")
    work(store)
    skip(store, "2")
    work(store)
    assert status(store, "2") == "not_started"

    found = reconcile(store)
    assert (found.missed, [record.stream for record in found.named]) == (1, ["order-2"])
    work(store)
    assert status(store, "2") == "completed"


def test_a_second_pass_finds_and_writes_nothing(store: EventStore) -> None:
    """Everything has its receipt."""
    for key in "123":
        place(store, key)
    work(store)
    last = store.last_position()

    found = reconcile(store)
    assert found.offered >= 3 * 5
    assert found.missed == 0
    assert store.last_position() == last


def test_what_was_taken_is_known_though_it_would_be_decided_alike_now(store: EventStore) -> None:
    """At the same time the same input leads to the same bytes, which a store takes as written before: no sign that it was missed."""
    clock = ManualClock(START)
    place(store, "1")
    worker = build_worker(app, store, clock, SqliteDeadlineIndex())
    worker.run(until_idle=True)
    worker.close()
    run = Pass(store, app.definitions, SHARE, clock)
    while run.step():
        pass

    assert run.found.offered > 0
    assert run.found.missed == 0


def test_what_is_under_way_to_a_worker_is_not_missed(store: EventStore) -> None:
    """The pass ends where the group has got to."""
    ensure_group(store, SHARE)
    place(store, "1")
    found = reconcile(store)
    assert (found.offered, status(store, "1")) == (0, "not_started")


def test_what_came_before_the_apps_start_is_left_alone_unless_asked_for(store: EventStore) -> None:
    """History acts again only when somebody says so."""
    place(store, "1")
    ensure_group(store, SHARE, start=store.last_position())
    place(store, "2")
    work(store)

    assert reconcile(store).missed == 0
    assert status(store, "1") == "not_started"
    assert reconcile(store, since=-1, types=[m.CardCharged.message_type]).missed == 0
    assert reconcile(store, since=-1).missed == 1
    assert status(store, "1") == "running"


def test_what_is_parked_is_left_to_its_replay(store: EventStore) -> None:
    """And what cannot be read is told, not parked."""
    bad = NewRecord("00000000-0000-4000-8000-000000000001", m.OrderPlaced.message_type, b"{}", b"")
    store.append(Block("order-bad", [bad], StreamState.NO_STREAM))
    work(store)
    store.append(Block("order-worse", [bad._replace(id="00000000-0000-4000-8000-000000000002")], StreamState.NO_STREAM))
    consumer = store.join(SHARE.group, "a faulty server")
    consumer.ack(consumer.fetch(9))
    consumer.leave()

    found = reconcile(store)
    assert (found.parked, [record.stream for record, _ in found.unread]) == (1, ["order-worse"])
    assert store.group(SHARE.group).parked == 1
    drop(store, SHARE.group, store.parked(SHARE.group), "me", "never mind")
    assert reconcile(store).parked == 1


def passes(store: EventStore) -> MakePass:
    return partial(Pass, store, app.definitions, SHARE, RealClock(), instances=Instances(store))


def swept(store: EventStore, now: list[float], renewals: list[int] | None = None) -> Sweep:
    """A sweep that has made its first pass."""
    ensure_group(store, SHARE)
    renewed = renewals or [0]
    sweep = Sweep(store, SHARE.group, passes(store), renewals=lambda: renewed[0], monotonic=lambda: now[0])
    settle(sweep.step)
    return sweep


@pytest.fixture
def shared() -> MemoryStore:
    return MemoryStore(single_active=False)


def test_a_workers_sweep_finds_what_was_missed_since_the_last_one(shared: MemoryStore) -> None:
    """Not before it is time, and nothing twice."""
    now = [0.0]
    sweep = swept(shared, now)
    skip(shared, "1")
    assert sweep.step() == 0
    assert status(shared, "1") == "not_started"

    now[0] += EVERY
    settle(sweep.step)
    assert status(shared, "1") == "running"
    skip(shared, "2")
    now[0] += EVERY
    assert sweep.step() <= 2
    settle(sweep.step)
    assert status(shared, "2") == "running"


def test_a_sweep_begins_where_the_last_worker_had_looked_not_where_the_group_stands(shared: MemoryStore) -> None:
    """A server that came back may stand beyond what it has delivered."""
    swept(shared, [0.0])
    skip(shared, "1")
    swept(shared, [0.0])
    assert status(shared, "1") == "running"

    before = shared.last_position()
    again = Sweep(shared, SHARE.group, passes(shared))
    assert again.step() == 0
    assert shared.last_position() == before


def test_what_a_newer_version_has_to_take_is_swept_again(shared: MemoryStore) -> None:
    """The log does not say of it that it was looked at."""
    now = [0.0]
    sweep = swept(shared, now)
    record = NewRecord(derive("newer"), m.OrderPlaced.message_type, b"{}", b'{"version":99}')
    shared.append(Block("order-newer", [record], StreamState.NO_STREAM))
    skip(shared, "1")
    now[0] += EVERY
    settle(sweep.step)
    assert status(shared, "1") == "running"

    assert Sweep(shared, SHARE.group, passes(shared)).step() > 0


def test_a_sweep_leaves_alone_what_a_new_start_has_passed_over(shared: MemoryStore) -> None:
    """Somebody deleted the group and said `--from now`."""
    swept(shared, [0.0])
    place(shared, "1")
    shared.delete_group(SHARE.group)
    ensure_group(shared, SHARE, start=shared.last_position())
    place(shared, "2")
    consumer = shared.join(SHARE.group, "a faulty server")
    consumer.ack(consumer.fetch(9))
    swept(shared, [0.0])
    assert [status(shared, key) for key in "12"] == ["not_started", "running"]


def test_a_membership_that_was_renewed_is_followed_by_a_sweep(shared: MemoryStore) -> None:
    """At once, not when it is time."""
    renewals = [0]
    sweep = swept(shared, [0.0], renewals)
    skip(shared, "1")
    assert sweep.covers_all
    renewals[0] += 1
    assert sweep.step() > 0
    settle(sweep.step)
    assert status(shared, "1") == "running"


def test_what_comes_to_light_after_the_sweep_that_followed_a_renewal_is_swept_too(shared: MemoryStore) -> None:
    """A store that failed may go on leaving something out; not until a sweep has come as far as the group is all looked at."""
    renewals, now = [0], [0.0]
    sweep = swept(shared, now, renewals)
    skip(shared, "1")
    renewals[0] += 1
    settle(sweep.step)
    skip(shared, "2")
    assert not sweep.covers_all
    assert (sweep.step(), status(shared, "2")) == (0, "not_started"), "not as fast as it can"

    now[0] += HURRY
    settle(sweep.step)
    assert status(shared, "2") == "running"
    assert sweep.covers_all


class Shorter(MemoryStore):
    """A server whose log was cut by a change of the leader."""

    def cut(self, length: int) -> None:
        for record in self._state.log[length:]:
            self._state.streams.pop(record.stream, None)
        del self._state.log[length:]
        for group in self._state.groups.values():
            group.cursor = group.checkpoint = min(group.cursor, length - 1)


def test_a_sweep_begins_where_the_log_says_though_this_worker_has_looked_further() -> None:
    """After a change of the leader other records may stand there."""
    store, now = Shorter(single_active=False), [0.0]
    sweep = swept(store, now)
    length = store.last_position() + 1
    for key in "123":
        skip(store, key)
    now[0] += EVERY
    settle(sweep.step)
    store.cut(length)
    skip(store, "4")
    now[0] += EVERY
    settle(sweep.step)
    assert status(store, "4") == "running"


def test_a_long_way_through_what_others_wrote_is_gone_once(shared: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log says so, though there was nothing in it; not each time, for that is an append."""
    monkeypatch.setattr("process_manager.runtime.reconcile.FAR", 5)
    now, others = [0.0], "others-1"
    sweep = swept(shared, now)
    noted = [swept_until(shared, SHARE.group) or 0]
    for count in (1, 9):
        records = [NewRecord(derive(others, str(count), str(each)), "others.event", b"{}", b"{}") for each in range(count)]
        shared.append(Block(others, records, StreamState.ANY))
        skip_nothing(shared)
        now[0] += EVERY
        settle(sweep.step)
        noted.append(swept_until(shared, SHARE.group) or 0)
    assert noted[0] == noted[1] < noted[2]


def skip_nothing(store: EventStore) -> None:
    """The group passes over what is not for it."""
    consumer = store.join(SHARE.group, "worker")
    assert not consumer.fetch(9)
    consumer.leave()


def test_an_idle_worker_whose_membership_was_renewed_looks_again_before_it_ends(shared: MemoryStore) -> None:
    worker = build_worker(app, shared, RealClock(), SqliteDeadlineIndex())
    worker.run(until_idle=True)
    skip(shared, "1")
    worker.run(until_idle=True)
    assert status(shared, "1") == "not_started"

    group = next(name for name in worker.groups if ".processes." in name)
    worker._roles[group].consumer.renewals += 1  # type: ignore[misc]
    worker.run(until_idle=True)
    worker.close()
    assert status(shared, "1") == "completed"


def test_what_nobody_can_take_now_is_told_by_a_pass_and_not_kept_waiting(shared: MemoryStore) -> None:
    """Its start may be with another worker; a pass has no hands to hold it in."""
    claims = Claims(shared)
    claims.publish(Assessed(amount=5), **{"$correlationId": "mail-1"})
    share = Share("claims", "processes", frozenset({Assessed.message_type}), GroupSettings())
    ensure_group(shared, share)
    consumer = shared.join(share.group, "a faulty server")
    consumer.ack(consumer.fetch(9))
    run = Pass(shared, {HandleClaim.definition.name: HandleClaim.definition}, share, RealClock())
    while run.step():
        pass
    assert [record.type for record, _ in run.found.unread] == [Assessed.message_type]


def settle(step: Callable[[], int]) -> None:
    while step():
        pass


def test_a_worker_that_competes_takes_what_delivery_has_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside its other work, where several compete."""
    monkeypatch.setattr("process_manager.runtime.reconcile.EVERY", 0.0)
    store = MemoryStore(single_active=False)
    worker = build_worker(app, store, RealClock(), SqliteDeadlineIndex())
    skip(store, "1")
    eventually(lambda: worker.step() >= 0 and status(store, "1") == "completed")
    worker.close()
    assert OrderFulfilment.definition.name in app.definitions
