"""The delivery rules of a group, without gRPC, store or clock."""

import json
from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from process_manager.core.records import Record
from process_manager.interfaces.devserver.groups.engine import Engine, Nack, Park
from process_manager.interfaces.devserver.groups.message import Consumer, Message
from process_manager.interfaces.devserver.groups.settings import Settings
from process_manager.interfaces.devserver.wire import Resolved


def record(number: int, *, stream: str = "orders-1", correlation: str | None = None, id_: str | None = None) -> Record:
    metadata = json.dumps({"$correlationId": correlation}).encode() if correlation else b""
    return Record(id_ or f"id-{number}", "Happened", b"{}", metadata, stream, number, number, 0)


def engine(count: int = 0, **settings: object) -> Engine:
    """A group that has taken in `count` messages."""
    made = Engine(Settings.from_json({"start": 0, "strategy": "DispatchToSingle", **settings}), None, 0.0)
    feed(made, (record(number) for number in range(count)))
    return made


def feed(group: Engine, records: Iterable[Record]) -> None:
    for it in records:
        group.take(Resolved(it), it.position)


def consumer(group: Engine, capacity: int = 100) -> Consumer:
    joined = Consumer("someone", capacity)
    group.join(joined)
    return joined


def numbers(deliveries: list[tuple[Consumer, Message]]) -> list[tuple[int, int]]:
    """What was delivered: the place in the log, and the retries."""
    return [(message.at, message.retries) for _, message in deliveries]


def test_a_consumer_holds_no_more_than_it_asked_for() -> None:
    group = engine(5)
    consumer(group, capacity=2)

    assert numbers(group.deliver(0)) == [(0, 0), (1, 0)]
    group.ack(["id-1"])
    assert numbers(group.deliver(0)) == [(2, 0)]


def test_what_is_nacked_with_retry_comes_again_before_what_is_new() -> None:
    group = engine(4)
    consumer(group, capacity=2)
    group.deliver(0)

    assert group.nack(["id-1", "id-0"], Nack.RETRY, "") == []
    assert numbers(group.deliver(0)) == [(0, 1), (1, 1)]


def test_after_the_last_retry_a_message_is_parked() -> None:
    group = engine(1, max_retry_count=2)
    consumer(group)
    deliveries = 0
    parks: list[Park] = []
    while not parks:
        deliveries += len(group.deliver(0))
        parks = group.nack(["id-0"], Nack.RETRY, "")

    assert deliveries == 3
    assert [(it.message.at, it.reason) for it in parks] == [(0, "Reached retry count of 2")]
    assert group.deliver(0) == []


@pytest.mark.parametrize(("action", "parked"), [(Nack.PARK, ["Client explicitly NAK'ed message.\nbroken"]), (Nack.SKIP, [])])
def test_parked_and_skipped_messages_do_not_come_again(action: Nack, parked: list[str]) -> None:
    group = engine(1)
    consumer(group)
    group.deliver(0)

    assert [it.reason for it in group.nack(["id-0"], action, "broken")] == parked
    assert (group.in_flight, group.deliver(0)) == (0, [])


def test_what_is_not_answered_in_time_comes_again() -> None:
    group = engine(1, message_timeout=5.0)
    consumer(group)
    group.deliver(10.0)

    assert group.expire(14.9) == []
    assert group.deliver(14.9) == []
    group.expire(15.0)
    assert numbers(group.deliver(15.0)) == [(0, 1)]


def test_a_late_ack_ends_the_new_delivery_but_is_lost_while_the_message_only_waits() -> None:
    group = engine(1, message_timeout=5.0)
    first = consumer(group)
    group.deliver(0)
    group.leave(first)
    group.ack(["id-0"])  # nobody has it
    consumer(group)
    assert numbers(group.deliver(1)) == [(0, 1)]

    group.ack(["id-0"])
    assert (group.in_flight, group.redeliveries) == (0, 0)


def test_a_consumer_that_leaves_never_parks_what_it_held() -> None:
    group = engine(1, max_retry_count=0)
    for turn in range(3):
        leaving = consumer(group)
        assert numbers(group.deliver(0)) == [(0, turn)]
        group.leave(leaving)
        group.leave(leaving)


def test_a_second_message_in_flight_with_the_same_id_is_delivered_and_not_tracked() -> None:
    group = engine()
    feed(group, [record(0, id_="same"), record(1, id_="same")])
    consumer(group)

    assert numbers(group.deliver(0)) == [(0, 0), (1, 0)]
    assert group.in_flight == 1


def test_replayed_messages_come_after_redeliveries_and_leave_the_checkpoint_alone() -> None:
    group = engine(2, min_checkpoint_count=1, checkpoint_after=0.0)
    consumer(group)
    group.deliver(0)
    group.ack(["id-0"])
    group.nack(["id-1"], Nack.RETRY, "")
    link = record(7, stream="parked", id_="link")
    group.replay([(Resolved(record(0), link), 0)])

    assert [message.id for _, message in group.deliver(0)] == ["id-1", "link"]
    group.ack(["id-1"])
    assert group.next_checkpoint(1, ticking=True) == 1


def test_there_is_no_checkpoint_before_the_first_message_is_done() -> None:
    group = engine(3, min_checkpoint_count=1, checkpoint_after=0.0)
    consumer(group)
    group.deliver(0)
    group.ack(["id-1", "id-2"])
    assert group.next_checkpoint(1, ticking=True) is None

    group.ack(["id-0"])
    assert group.next_checkpoint(1, ticking=True) == 2


def test_the_checkpoint_stands_before_the_oldest_message_that_is_not_done() -> None:
    group = engine(5, min_checkpoint_count=1, checkpoint_after=0.0)
    consumer(group)
    group.deliver(0)
    group.ack(["id-0", "id-1", "id-3"])

    assert group.next_checkpoint(1, ticking=True) == 1
    assert group.next_checkpoint(2, ticking=True) is None


@pytest.mark.parametrize(
    ("acked", "now", "ticking", "checkpoint"),
    [
        (9, 100.0, True, None),  # below the least count
        (10, 1.9, True, None),  # too soon
        (10, 2.0, True, 9),
        (10, 2.0, False, None),  # not on the tick
        (20, 0.0, False, 19),  # the most: at once
    ],
)
def test_a_checkpoint_is_due_after_enough_messages_and_time(acked: int, now: float, ticking: bool, checkpoint: int | None) -> None:
    group = engine(30, min_checkpoint_count=10, max_checkpoint_count=20, checkpoint_after=2.0)
    consumer(group)
    group.deliver(0)
    group.ack(f"id-{number}" for number in range(acked))

    assert group.next_checkpoint(now, ticking=ticking) == checkpoint


def test_a_message_that_waits_for_its_pinned_consumer_holds_the_checkpoint() -> None:
    group = engine(strategy="Pinned", min_checkpoint_count=1, checkpoint_after=0.0)
    for _ in range(2):
        consumer(group, capacity=1)
    feed(group, [record(number, stream=f"orders-{number % 7}") for number in range(30)])
    delivered = [message for _, message in group.deliver(0)]
    passed_over = min(set(range(delivered[-1].at)) - {message.at for message in delivered}, default=None)
    assert passed_over is not None
    group.ack(message.id for message in delivered)

    assert group.next_checkpoint(1, ticking=True) == passed_over - 1


def test_it_takes_in_no_more_than_its_buffer_holds() -> None:
    group = engine(history_buffer_size=50, read_batch_size=20)
    feed(group, (record(number) for number in range(group.wants)))
    feed(group, (record(number) for number in range(20, 20 + group.wants)))

    assert (group.waiting, group.wants) == (40, 0)


def shares(group: Engine, of: Callable[[Message], str]) -> dict[str, set[int]]:
    """Which consumers got which keys."""
    found: dict[str, set[int]] = {}
    for to, message in group.deliver(0):
        found.setdefault(of(message), set()).add(id(to))
    return found


def test_dispatch_to_single_fills_one_consumer_before_the_next() -> None:
    group = engine(5)
    first, second = consumer(group, 3), consumer(group, 3)

    group.deliver(0)

    assert (len(first.in_flight), len(second.in_flight)) == (3, 2)


def test_round_robin_takes_turns_and_leaves_out_who_is_full() -> None:
    group = engine(7, strategy="RoundRobin")
    small, large = consumer(group, 2), consumer(group, 9)

    group.deliver(0)

    assert (len(small.in_flight), len(large.in_flight)) == (2, 5)


def test_pinned_keeps_a_stream_with_one_consumer_and_in_order() -> None:
    group = engine(strategy="Pinned", history_buffer_size=1000)
    for _ in range(3):
        consumer(group, 400)
    feed(group, (record(number, stream=f"orders-{number % 50}") for number in range(400)))

    found = shares(group, lambda message: message.resolved.original.stream)

    assert all(len(to) == 1 for to in found.values())
    assert len({it for to in found.values() for it in to}) == 3


def test_pinned_by_correlation_keeps_an_id_with_one_consumer_over_all_streams() -> None:
    group = engine(strategy="PinnedByCorrelation", history_buffer_size=1000)
    for _ in range(3):
        consumer(group, 400)
    feed(group, (record(number, stream=f"s-{number % 20}", correlation=f"c-{number % 100}") for number in range(400)))

    found = shares(group, lambda message: str(json.loads(message.resolved.original.metadata)["$correlationId"]))

    assert len(found) == 100
    assert all(len(to) == 1 for to in found.values())
    assert len(Counter(it for to in found.values() for it in to)) == 3


def test_nothing_is_delivered_where_nobody_is() -> None:
    group = engine(3)

    assert group.deliver(0) == []
    assert group.waiting == 3
