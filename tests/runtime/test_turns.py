"""What becomes of the inputs that a consumer group delivers to instances."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from uuid import uuid4

import orjson
import pytest

from process_manager.adapters.clock import ManualClock
from process_manager.core.identity import derive
from process_manager.core.instance import Instance
from process_manager.core.records import NewRecord
from process_manager.errors import AccessDenied, AppendTooLarge, StoreError, StoreUnavailable
from process_manager.examples.order_fulfilment.messages import CardCharged, OrderShipped, StockReserved, StockUnavailable
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.ports import MAX_APPEND, Appended, Block, Consumer, EventStore, Filter, StreamState
from process_manager.runtime import turns
from process_manager.runtime.counters import Counters
from process_manager.runtime.instances import load
from process_manager.runtime.router import Router, input_types
from process_manager.runtime.turns import TurnRunner
from tests.runtime.shop import START, Shop, join_group, place


def reserved(sku: str) -> StockReserved:
    return StockReserved(order_id="1", sku=sku, quantity=1)


def test_a_turn_is_one_append_at_the_next_version(shop: Shop) -> None:
    """The receipt, what followed and the commands stand in one block of the instance's stream."""
    placed = shop.place("1", "a", "b")
    shop.settle()

    records = shop.records("1")
    assert [record.type for record in records] == ["pm.started", "inventory.reserve-stock", "inventory.reserve-stock"]
    assert [record.revision for record in records] == [0, 1, 2]
    metadata = [orjson.loads(record.metadata) for record in records]
    assert {each["$causationId"] for each in metadata} == {placed.id}
    assert {each["$correlationId"] for each in metadata} == {placed.id}


def test_an_order_goes_through(shop: Shop) -> None:
    """Answers are matched by causation, and the process completes."""
    shop.place("1", "a")
    shop.settle()
    for step, answer in (
        ("reserve_stock", reserved("a")),
        ("charge_card", CardCharged(order_id="1", amount=50)),  # type: ignore[arg-type]
        ("ship_order", OrderShipped(order_id="1", parcel="p")),
    ):
        (command,) = shop.commands("1", step)
        shop.publish(answer, cause=command.id)
        shop.settle()

    assert shop.instance("1").status == "completed"


def test_the_same_input_again_writes_nothing(shop: Shop, open_shop: Callable[[], Shop]) -> None:
    """A redelivery to a worker that has never seen the instance is recognised from the stream."""
    shop.place("1", "a")
    deliveries = shop.consumer.fetch(10)
    shop.turns._take(deliveries)
    before = shop.records("1")

    shop.turns._instances.clear()
    shop.turns._take(deliveries)  # decided alike: the store has these ids already

    assert shop.records("1") == before

    shop.turns._instances.clear()
    shop.clock.advance(timedelta(seconds=1))
    shop.turns._take(deliveries)  # decided at another time: a conflict, and then the receipt is there

    assert shop.records("1") == before
    assert (shop.counters.conflicts, shop.counters.duplicates) == (1, 1)


def test_a_receipt_below_the_floor_is_found_in_the_stream(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An id that the state has dropped is looked up before its input is taken."""
    monkeypatch.setattr("process_manager.core.fold.WINDOW", 1)
    shop.place("1", "a", "b")
    deliveries = shop.consumer.fetch(10)
    shop.turns._take(deliveries)
    for command in shop.commands("1", "reserve_stock"):
        shop.publish(reserved(orjson.loads(command.data)["sku"]), cause=command.id)
    shop.settle()
    before = shop.records("1")

    shop.turns._take(deliveries)

    assert shop.records("1") == before


def test_a_conflict_is_decided_again_on_what_was_written_meanwhile(shop: Shop) -> None:
    """Somebody else's append between load and append leads to another turn, not to a lost or doubled one."""
    shop.place("1", "a", "b")
    shop.settle()
    stale = shop.instance("1")
    first, second = shop.commands("1", "reserve_stock")
    shop.publish(reserved("a"), cause=first.id)
    shop.settle()

    shop.turns._instances.put(stale)
    shop.publish(reserved("b"), cause=second.id)
    shop.settle()

    assert shop.counters.conflicts == 1
    assert len(shop.commands("1", "charge_card")) == 1


def test_consecutive_turns_of_one_instance_share_an_append(shop: Shop) -> None:
    """Answers that come in one batch are one block, with a receipt each."""
    shop.place("1", "a", "b", "c")
    shop.settle()
    for command in shop.commands("1", "reserve_stock"):
        shop.publish(reserved(orjson.loads(command.data)["sku"]), cause=command.id)

    shop.turns.step()

    types = [record.type for record in shop.records("1")]
    assert types.count("pm.step-completed") == 3
    assert types.count("payments.charge-card") == 1


def test_the_last_overdue_attempt_compensates(shop: Shop) -> None:
    """Deadlines come through the log; attempts after overdue are one operation."""
    shop.place("1", "a")
    shop.settle()
    for _ in range(3):
        shop.pass_time(timedelta(minutes=10))

    attempts = [orjson.loads(record.metadata) for record in shop.commands("1", "reserve_stock")]
    assert [each["attempt"] for each in attempts] == [1, 2, 3]
    assert {each["operation"] for each in attempts[1:]} == {shop.commands("1", "reserve_stock")[0].id}
    assert shop.instance("1").status == "compensating"
    assert len(shop.commands("1", "release_stock")) == 1


def test_a_deadline_fires_once_whoever_fires_it(shop: Shop, open_shop: Callable[[], Shop]) -> None:
    """A second firing is a refused append, and a rebuilt index fires nothing again that has passed."""
    shop.place("1", "a")
    shop.settle()
    other = open_shop()
    shop.clock.advance(timedelta(minutes=10))
    other.clock.advance(timedelta(minutes=10))

    assert shop.deadlines.step() == 1
    other.deadlines.step()

    passed = [record for record in shop.store.read_all() if record.type == "pm.deadline-passed"]
    assert len(passed) == 1


@pytest.mark.parametrize(
    ("data", "metadata", "why"),
    [
        (b"{", b"{}", "not JSON"),
        (b"[]", b"{}", "not a JSON object"),
        (b'{"order_id": 5}', b"{}", "lines"),
        (b'{"order_id": "1", "lines": [], "total": 1, "card": "c"}', b"nonsense", "metadata is not JSON"),
        (b'{"order_id": "1", "lines": [], "total": 1, "card": "c"}', b'{"time": "yesterday"}', "no ISO time"),
        (b'{"order_id": "1", "lines": [], "total": 1, "card": "c"}', b'{"version": "x"}', "version"),
        (b'{"order_id": "", "lines": [], "total": 1, "card": "c"}', b"{}", "names no instance"),
        (b'{"order_id": "1", "lines": [], "total": 1, "card": "c", "x": ' + b"[" * 200 + b"]" * 200 + b"}", b"{}", "nested"),
    ],
)
def test_what_cannot_be_decoded_is_parked_with_the_reason(shop: Shop, data: bytes, metadata: bytes, why: str) -> None:
    """The bad record goes aside; a good one in the same batch goes on."""
    bad = NewRecord(str(uuid4()), "orders.order-placed", data, metadata)
    shop.store.append(Block("order-bad", [bad], StreamState.NO_STREAM))
    shop.place("2", "a")
    shop.settle()

    (group,) = shop.store.groups()
    (parked,) = shop.store.parked(group.name)
    assert why in parked.reason
    assert parked.record.id == bad.id
    assert shop.instance("2").status == "running"


def test_an_event_of_a_newer_version_is_left_alone(shop: Shop) -> None:
    """It stays with the group for a worker that knows it; it is neither parked nor acknowledged."""
    newer = NewRecord(str(uuid4()), "orders.order-placed", b"{}", b'{"version": 9}')
    shop.store.append(Block("order-new", [newer], StreamState.NO_STREAM))
    shop.settle()

    (group,) = shop.store.groups()
    assert (group.in_flight, group.parked) == (1, 0)


def test_what_is_left_to_a_newer_version_is_told_and_counted_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it is delivered; and it is told where it stands."""
    monkeypatch.setattr(shop.turns._newer, "_hold", 0.0)
    newer = NewRecord(str(uuid4()), "orders.order-placed", b"{}", b'{"version": 9}')
    shop.store.append(Block("order-new", [newer], StreamState.NO_STREAM))
    assert sum(shop.turns.step() for _ in range(4)) > 1

    assert shop.counters.left == 1
    (told,) = [each.getMessage() for each in caplog.records if "newer version" in each.getMessage()]
    assert f"{newer.id} (revision 0 of order-new, position " in told


def test_a_turn_over_the_limit_suspends_its_instance(shop: Shop) -> None:
    """More than an append holds is no block; the instance says so and the others go on."""
    shop.place("1", *(f"sku-{number:04}" for number in range(3_000)))
    shop.place("2", "a")
    shop.settle()

    assert "an append holds" in shop.instance("1").suspended
    assert shop.instance("2").status == "running"


def test_a_long_instance_is_read_from_its_snapshot(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state after a snapshot equals the fold of the whole stream."""
    monkeypatch.setattr(turns, "SNAPSHOT_EVERY", 5)
    shop.place("1", "a", "b", "c")
    shop.settle()
    whole = shop.instance("1")
    for command in shop.commands("1", "reserve_stock"):
        shop.publish(reserved(orjson.loads(command.data)["sku"]), cause=command.id)
        shop.settle()

    assert any(record.type == "pm.snapshot-taken" for record in shop.records("1"))
    cached = shop.turns._instances.get(_definition(shop), "1")
    assert cached == shop.instance("1")
    assert cached.revision > whole.revision


def test_an_instance_that_is_too_large_for_a_snapshot_is_not_tried_in_every_turn(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    monkeypatch.setattr(turns, "SNAPSHOT_EVERY", 5)
    monkeypatch.setattr(turns, "snapshot", lambda instance, _: tried.append(instance.revision))
    shop.place("1", *"abcdefghij")
    shop.settle()
    for command in shop.commands("1", "reserve_stock"):
        shop.publish(reserved(orjson.loads(command.data)["sku"]), cause=command.id)
        shop.settle()

    assert len(tried) > 1
    assert all(later - earlier >= 5 for earlier, later in pairwise(tried))


def _definition(shop: Shop):  # type: ignore[no-untyped-def]
    return next(iter(shop.turns._router._definitions.values()))


def test_an_answer_to_somebody_elses_command_is_recorded_and_ignored(shop: Shop) -> None:
    """Causation decides, not the key alone."""
    shop.place("1", "a")
    shop.settle()
    shop.publish(StockUnavailable(order_id="1", sku="a", wanted=1, available=0), cause=derive("somebody else"))
    shop.settle()

    assert shop.instance("1").status == "running"
    assert shop.counters.ignored == 1


class Flaky:
    """The store, whose next appends fail in a way that leaves their outcome unknown."""

    def __init__(self, store: EventStore, failures: int, *, after: bool) -> None:
        self._store = store
        self._failures = failures
        self._after = after
        self.offered: list[list[str]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def append_many(self, blocks: Sequence[Block], lease: Consumer | None = None) -> object:
        self.offered.append([record.id for block in blocks for record in block.records])
        if len(self.offered) > self._failures:
            return self._store.append_many(blocks, lease)
        if self._after:
            self._store.append_many(blocks, lease)
        raise StoreUnavailable("no answer")


@pytest.mark.parametrize("after", [False, True])
def test_an_append_of_unknown_result_is_repeated_with_the_same_bytes(shop: Shop, monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
    """Whether the first one was written or not, the instance holds one block, and no conflict is seen."""
    monkeypatch.setattr(turns, "INSIST", (0.0, 0.0))
    flaky = Flaky(shop.store, 2, after=after)
    monkeypatch.setattr(shop.turns, "_store", flaky)
    shop.place("1", "a")
    shop.settle()

    assert len(flaky.offered) == 3
    assert flaky.offered[0] == flaky.offered[1] == flaky.offered[2]
    assert len(shop.records("1")) == 2
    assert shop.counters.conflicts == 0


def test_a_refusal_that_is_no_conflict_is_no_reason_to_decide_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as that of a user who may not write: it would be the same for ever."""
    placed = shop.place("1", "a")
    monkeypatch.setattr(shop.store, "append_many", lambda blocks, lease=None: [AccessDenied("no right") for _ in blocks])
    with pytest.raises(AccessDenied):
        shop.turns.step()
    monkeypatch.undo()
    assert placed.id in {record.id for record in shop.store.read_all()}
    assert shop.records("1") == []


def test_a_store_that_stays_away_hands_the_batch_back(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last repeat the error goes up, and what was in flight is delivered again at once."""
    monkeypatch.setattr(turns, "INSIST", ())
    router = Router({"order_fulfilment": OrderFulfilment.definition}, store)

    def join() -> Consumer:
        return join_group(store, "test", "processes", Filter(types=input_types({"order_fulfilment": OrderFulfilment.definition})), "worker")

    runner = TurnRunner(store, join(), router, ManualClock(START), Counters(), rejoin=join)
    place(store, "1", "a")
    with monkeypatch.context() as patched:
        patched.setattr(runner, "_store", Flaky(store, 1, after=False))
        with pytest.raises(StoreUnavailable):
            runner.step()

    assert runner.step() == 1
    assert load(store, OrderFulfilment.definition, "1").status == "running"
    runner.close()


def test_a_store_that_has_insisted_itself_is_not_asked_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one on a server does; else a worker would need minutes to stop."""
    monkeypatch.setattr(turns, "PATIENCE", 0.0)
    flaky = Flaky(shop.store, 9, after=False)
    monkeypatch.setattr(shop.turns, "_store", flaky)
    shop.place("1", "a")
    with pytest.raises(StoreUnavailable):
        shop.turns.step()
    assert len(flaky.offered) == 1


def append(shop: Shop, stream: str, type_: str, data: bytes, metadata: bytes = b"{}") -> NewRecord:
    record = NewRecord(str(uuid4()), type_, data, metadata)
    shop.store.append(Block(stream, [record], StreamState.ANY))
    return record


def test_an_event_whose_receipt_would_not_fit_is_parked(shop: Shop) -> None:
    """It cannot even be kept in the instance; the worker and the instance go on."""
    shop.place("1", "a")
    shop.settle()
    filler = b"x" * (MAX_APPEND - 400)
    big = append(shop, "big", "inventory.stock-reserved", b'{"order_id":"1","sku":"a","quantity":1,"x":"%s"}' % filler)
    (command,) = shop.commands("1", "reserve_stock")
    shop.publish(reserved("a"), cause=command.id)
    shop.settle()

    (group,) = shop.store.groups()
    assert [each.record.id for each in shop.store.parked(group.name)] == [big.id]
    assert len(shop.commands("1", "charge_card")) == 1


class Small:
    """The store of a server whose MaxAppendSize is smaller than ours."""

    def __init__(self, store: EventStore, limit: int) -> None:
        self._store = store
        self._limit = limit

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def append_many(self, blocks: Sequence[Block], lease: Consumer | None = None) -> Sequence[Appended | StoreError]:
        sizes = {block.stream: sum(record.size for record in block.records) for block in blocks}
        fitting = iter(self._store.append_many([block for block in blocks if sizes[block.stream] <= self._limit], lease))
        return [AppendTooLarge(name, size, self._limit) if size > self._limit else next(fitting) for name, size in sizes.items()]


def test_what_a_server_refuses_as_too_large_is_split_and_what_never_fits_is_parked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is the server's, and known once it has refused."""
    shop.place("1", "a")
    shop.settle()
    (command,) = shop.commands("1", "reserve_stock")
    monkeypatch.setattr(shop.turns, "_store", Small(shop.store, 6_000))
    for number in range(3):
        shop.publish(reserved("x" * 1_500), cause=command.id if number else "")
    big = shop.publish(reserved("y" * 9_000))
    shop.publish(reserved("a"), cause=command.id)
    shop.settle()

    (group,) = shop.store.groups()
    (parked,) = shop.store.parked(group.name)
    assert (parked.record.id, parked.reason) == (big.id, "its receipt would not fit an append of 6,000 bytes")
    assert len(shop.commands("1", "charge_card")) == 1
    assert shop.counters.conflicts == 0


def test_what_comes_with_a_start_that_is_too_large_is_not_decided_on_a_guess(shop: Shop) -> None:
    """The start makes a new instance likely; nothing is appended for it that would show that there is one."""
    shop.place("1", "a")
    shop.settle()
    (command,) = shop.commands("1", "reserve_stock")
    shop.turns._instances.clear()
    append(shop, "big", "orders.order-placed", b'{"order_id":"1","lines":[],"total":1,"card":"%s"}' % (b"4" * (MAX_APPEND - 400)))
    shop.publish(reserved("a"), cause=command.id)
    shop.settle()

    assert len(shop.commands("1", "charge_card")) == 1


def test_a_foreign_record_in_an_instances_stream_is_passed_over(shop: Shop) -> None:
    """Somebody published to the instance's own stream; the instance goes on behind it."""
    shop.place("1", "a")
    shop.settle()
    (command,) = shop.commands("1", "reserve_stock")
    append(shop, "order_fulfilment-1", "note.added", b"not even JSON", b"{")
    shop.publish(reserved("a"), cause=command.id)
    shop.settle()

    assert [run.step for run in shop.instance("1").runs.values()] == ["reserve_stock", "charge_card"]


@pytest.mark.parametrize("data", [b'{"instance":5}', b'{"instance":"order_fulfilment-1"}', b"{}"])
def test_a_signal_that_is_none_is_parked(shop: Shop, data: bytes) -> None:
    """Somebody else's deadline-passed ends neither the worker nor an instance."""
    shop.place("1", "a")
    append(shop, "odd", "pm.deadline-passed", data)
    shop.settle()

    (group,) = shop.store.groups()
    assert len(shop.store.parked(group.name)) == 1
    assert shop.instance("1").suspended == ""


def test_an_instance_that_cannot_be_rebuilt_stops_nobody(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """New code that fails on old facts leaves the inputs parked, with the reason, until it is mended."""
    shop.place("1", "a")
    shop.settle()
    shop.turns._instances.clear()
    (command,) = shop.commands("1", "reserve_stock")
    shop.publish(reserved("a"), cause=command.id)
    shop.place("2", "a")
    with monkeypatch.context() as patched:
        patched.setattr("process_manager.runtime.instances.fold", _broken)
        shop.settle()

    (group,) = shop.store.groups()
    (parked,) = shop.store.parked(group.name)
    assert "cannot be rebuilt" in parked.reason
    assert shop.instance("2").status == "running"
    assert shop.store.replay_parked(group.name) == 1
    shop.settle()
    assert len(shop.commands("1", "charge_card")) == 1


def _broken(*_: object) -> Instance:
    raise ZeroDivisionError("in somebody's @applies")
