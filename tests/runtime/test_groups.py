"""What becomes of a role's consumer group: where it starts, and what happens when the handled types change."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from process_manager import App, handles
from process_manager.adapters.memory import MemoryStore
from process_manager.core.records import NewRecord
from process_manager.core.signals import DEADLINE_PASSED
from process_manager.errors import StartNotNamed
from process_manager.examples.order_fulfilment import messages as m
from process_manager.ports import BEFORE_ALL, Block, EventStore, Filter, GroupSettings, Nack, StreamState
from process_manager.runtime.groups import Share, drained, ensure_group, followed, group_name
from process_manager.runtime.wiring import shares
from tests.runtime.answered_shop import app


def share(*types: str) -> Share:
    return Share("app", "processes", frozenset(types), GroupSettings())


OLD, NEW = share("a"), share("a", "b")


def append(store: EventStore, type_: str) -> int:
    return store.append(Block(str(uuid4()), [NewRecord(str(uuid4()), type_, b"{}", b"{}")], StreamState.NO_STREAM)).position


def names(store: EventStore) -> list[str]:
    return [group.name for group in store.groups()]


@pytest.fixture
def common() -> Iterator[MemoryStore]:
    """A store whose log others append to as well."""
    store = MemoryStore(single_active=False)
    store.features = replace(store.features, common_log=True)
    yield store
    store.close()


def test_the_name_says_what_is_delivered() -> None:
    """Other types, another group; the same types in any order, the same group."""
    assert OLD.group != NEW.group
    assert group_name("app", "processes", frozenset(["b", "a"])) == NEW.group


def test_a_new_group_goes_on_from_the_old_ones_checkpoint(store: EventStore) -> None:
    """What was acknowledged is not offered again; the old group is worked on beside it."""
    ensure_group(store, OLD)
    append(store, "a")
    append(store, "a")
    consumer = store.join(OLD.group, "w")
    consumer.ack(consumer.fetch(1))
    consumer.leave()

    older = ensure_group(store, NEW)

    assert older == [OLD.group]
    assert len(store.join(NEW.group, "w").fetch(9)) == 1


def test_of_several_old_groups_the_one_that_is_behind_counts(store: EventStore) -> None:
    """A version that was killed with something left to do loses nothing to one that went further."""
    ensure_group(store, OLD)
    keeper = store.join(OLD.group, "w")
    append(store, "a")
    ahead = share("a", "c")
    ensure_group(store, ahead)
    consumer = store.join(ahead.group, "w")
    consumer.ack(consumer.fetch(9))

    ensure_group(store, NEW)

    assert store.group(NEW.group).checkpoint == store.group(OLD.group).checkpoint
    assert len(store.join(NEW.group, "w").fetch(9)) == 1
    keeper.leave()


def test_an_old_group_is_drained_when_nothing_is_in_it(store: EventStore) -> None:
    """Neither waiting, nor in flight, nor parked."""
    ensure_group(store, OLD)
    append(store, "a")
    consumer = store.join(OLD.group, "w")
    assert not drained(store.group(OLD.group))
    consumer.nack(consumer.fetch(1), Nack.PARK, "bad")
    assert not drained(store.group(OLD.group))
    store.replay_parked(OLD.group)
    deliveries = consumer.fetch(1)
    assert not drained(store.group(OLD.group))
    consumer.ack(deliveries)
    assert drained(store.group(OLD.group))
    consumer.leave()


def test_an_old_group_with_types_that_nobody_handles_any_more_goes_with_its_consumers(store: EventStore) -> None:
    """The new group offers from its checkpoint what is handled still; what is parked there stays."""
    ensure_group(store, NEW)
    append(store, "b")
    consumer = store.join(NEW.group, "w")
    consumer.nack(consumer.fetch(1), Nack.PARK, "bad")
    consumer.leave()

    assert ensure_group(store, OLD) == []
    assert names(store) == sorted([OLD.group, NEW.group])

    store.replay_parked(NEW.group)
    assert ensure_group(store, OLD) == []
    assert names(store) == [OLD.group]


def test_a_first_group_on_a_common_log_that_holds_matching_records_wants_its_start_named(common: MemoryStore) -> None:
    """Nothing is created before somebody has said whether history counts."""
    first = append(common, "a")
    with pytest.raises(StartNotNamed, match=r"--from start .* --from now"):
        ensure_group(common, OLD)
    assert names(common) == []

    ensure_group(common, OLD, start=first)
    assert common.group(OLD.group).lag == 0
    append(common, "a")
    assert common.group(OLD.group).lag == 1


def test_signals_to_instances_of_other_apps_are_no_history(common: MemoryStore) -> None:
    """Every app with processes takes them; without an event of its own it has no instance that they could concern."""
    append(common, DEADLINE_PASSED)
    share = replace(OLD, types=OLD.types | {DEADLINE_PASSED})
    ensure_group(common, share)
    assert names(common) == [share.group]


def test_a_common_log_without_matching_records_is_taken_from_its_start(common: MemoryStore) -> None:
    """There is no history that could act again."""
    append(common, "else")
    ensure_group(common, OLD)
    append(common, "a")
    assert common.group(OLD.group).lag == 1


def test_a_file_of_ones_own_starts_at_its_start(store: EventStore) -> None:
    """Unless somebody says otherwise."""
    append(store, "a")
    last = append(store, "a")
    ensure_group(store, OLD)
    assert store.group(OLD.group).lag == 2
    ensure_group(store, Share("app", "handlers", frozenset({"a"}), GroupSettings()), start=last)
    assert store.group(group_name("app", "handlers", frozenset({"a"}))).lag == 0


def test_the_start_is_noted_and_counts_when_the_group_is_made_again(common: MemoryStore) -> None:
    """A group that was deleted, or never came to be after its start was noted, needs no name for it again."""
    start = append(common, "a")
    ensure_group(common, OLD, start=start)
    common.delete_group(OLD.group)
    append(common, "a")

    ensure_group(common, OLD)

    assert common.group(OLD.group).lag == 1
    assert followed(common, OLD) == {"a": start}


def test_added_types_are_followed_from_where_they_were_added(store: EventStore) -> None:
    """The note says for each type from where on it counts."""
    ensure_group(store, OLD)
    at = append(store, "a")
    consumer = store.join(OLD.group, "w")
    consumer.ack(consumer.fetch(1))
    consumer.leave()
    checkpoint = store.group(OLD.group).checkpoint

    ensure_group(store, NEW)
    ensure_group(store, NEW)

    assert checkpoint >= at
    assert followed(store, NEW) == {"a": BEFORE_ALL, "b": checkpoint}
    notes = list(store.read_all(where=Filter(types=frozenset({"pm.types-followed"}))))
    assert len(notes) == 2


def test_a_group_whose_timeout_is_too_short_by_now_is_told(store: EventStore, caplog: pytest.LogCaptureFixture) -> None:
    """Handlers that take longer than before would be called again while they are at it; the line says what to type."""
    ensure_group(store, OLD)
    ensure_group(store, replace(OLD, settings=GroupSettings(message_timeout=timedelta(seconds=90))))

    assert f"pm subscriptions update {OLD.group} --message-timeout 90" in caplog.text


def test_each_role_holds_what_suits_it() -> None:
    """A batch for processes and quick handlers; of calls what can be under way at once, for longer than the longest takes."""

    @handles(m.RequestReview, takes=timedelta(minutes=3))
    def review(command: m.RequestReview) -> m.ReviewApproved:
        return m.ReviewApproved(order_id=command.order_id, reviewer="r")

    settings = {share.role: share.settings for share in shares(App("held", processes=app.processes, handlers=[*app.handlers, review]))}
    assert {role: each.in_flight for role, each in settings.items()} == {"processes": 512, "handlers": 256, "calls": 8}
    assert {role: each.strategy for role, each in settings.items()} == {
        "processes": "PinnedByCorrelation", "handlers": "RoundRobin", "calls": "RoundRobin",
    }  # fmt: skip
    assert settings["calls"].message_timeout > timedelta(minutes=3)
