"""What becomes of a role's consumer group when the handled types change."""

from uuid import uuid4

from process_manager.core.records import NewRecord
from process_manager.ports import BEFORE_ALL, Block, EventStore, Filter, Nack, StreamState
from process_manager.runtime.groups import ensure_groups, group_name

OLD, NEW = Filter(types=frozenset({"a"})), Filter(types=frozenset({"a", "b"}))


def append(store: EventStore, type_: str) -> None:
    store.append(Block(str(uuid4()), [NewRecord(str(uuid4()), type_, b"{}", b"{}")], StreamState.NO_STREAM))


def names(store: EventStore) -> list[str]:
    return [group.name for group in store.groups()]


def test_the_name_says_what_is_delivered() -> None:
    """Other types, another group; the same types in any order, the same group."""
    assert group_name("app", "processes", OLD.types) != group_name("app", "processes", NEW.types)
    assert group_name("app", "processes", frozenset(["b", "a"])) == group_name("app", "processes", NEW.types)


def test_a_new_group_goes_on_from_the_old_ones_checkpoint(store: EventStore) -> None:
    """What was acknowledged is not offered again; the old group goes."""
    old, _ = ensure_groups(store, "app", "processes", OLD)
    append(store, "a")
    append(store, "a")
    consumer = store.join(old, "w")
    consumer.ack(consumer.fetch(1))
    consumer.leave()

    new, older = ensure_groups(store, "app", "processes", NEW)

    assert names(store) == [new]
    assert older == []
    assert len(store.join(new, "w").fetch(9)) == 1


def test_of_several_old_groups_the_one_that_is_behind_counts(store: EventStore) -> None:
    """A version that was killed with something left to do loses nothing to one that went further."""
    behind, _ = ensure_groups(store, "app", "processes", OLD)
    keeper = store.join(behind, "w")
    append(store, "a")
    ahead, _ = ensure_groups(store, "app", "processes", Filter(types=frozenset({"a", "c"})))
    consumer = store.join(ahead, "w")
    consumer.ack(consumer.fetch(9))

    new, _ = ensure_groups(store, "app", "processes", NEW)

    assert store.group(new).checkpoint == BEFORE_ALL
    keeper.leave()


def test_what_an_old_group_has_parked_is_still_worked_on(store: EventStore) -> None:
    """The old group is kept, and named to the worker, until it holds nothing."""
    old, _ = ensure_groups(store, "app", "processes", OLD)
    append(store, "a")
    consumer = store.join(old, "w")
    consumer.nack(consumer.fetch(1), Nack.PARK, "bad")
    consumer.leave()

    new, older = ensure_groups(store, "app", "processes", NEW)
    assert (sorted(names(store)), older) == (sorted([old, new]), [old])

    store.replay_parked(old)
    again = store.join(old, "w")
    again.ack(again.fetch(1))
    again.leave()
    ensure_groups(store, "app", "processes", NEW)
    assert names(store) == [new]
