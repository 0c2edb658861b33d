"""Commands that a group has been through without a trace are found by a pass over the log, and handled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from process_manager import Repository, Retry, handles
from process_manager.adapters.clock import RealClock
from process_manager.adapters.deadline_index import SqliteDeadlineIndex
from process_manager.adapters.esdb.store import EsdbStore
from process_manager.adapters.memory import MemoryStore
from process_manager.core.messages import Command
from process_manager.core.records import NewRecord, Record
from process_manager.errors import AccessDenied
from process_manager.interfaces.devserver import serve
from process_manager.interfaces.operating.parked import drop
from process_manager.ports import BEFORE_ALL, Block, Delivery, EventStore, GroupInfo, GroupSettings, StreamState
from process_manager.runtime.groups import Share, ensure_group
from process_manager.runtime.handlers import bind_handlers, command_types
from process_manager.runtime.left_out import LeftOut
from process_manager.runtime.missed_commands import CommandPass
from process_manager.runtime.reconcile import Sweep
from process_manager.runtime.swept import swept
from process_manager.runtime.wiring import build_worker
from process_manager.testing.contract.support import eventually
from tests.runtime.answered_shop import app, place, status
from tests.runtime.desk import Box, Desk, Phone, Put, Ring, put, ring

HANDLERS = bind_handlers([put, ring], [Phone()])
SHARE = Share("desk", "handlers", command_types(HANDLERS), GroupSettings())


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(single_active=False)


@pytest.fixture
def desk(store: MemoryStore) -> Iterator[Desk]:
    ensure_group(store, SHARE)
    opened = Desk(store)
    yield opened
    opened.close()


@handles(Put)
def failing(command: Put, boxes: Repository[Box]) -> None:
    raise ValueError("no")


def lose(store: EventStore, group: str, timeout: float = 0.0) -> None:
    """Everything that the group delivers is acknowledged without anybody having handled it."""
    consumer = store.join(group, "a faulty server")
    while found := consumer.fetch(99, timeout):
        consumer.ack(found)
    consumer.leave()


def loses(store: EventStore, group: str) -> bool:
    """The same on a server, which delivers when it has got to it. Whether all is lost."""
    lose(store, group, 1.0)
    return not store.group(group).lag


def missed(store: EventStore, *, after: int = BEFORE_ALL, **options: object) -> list[str]:
    """The ids of what a pass offers."""
    found = LeftOut()
    run = CommandPass(store, SHARE, HANDLERS, found, after=after, **options)  # type: ignore[arg-type]
    for _ in range(2):
        while run.step():
            pass
    assert run.waits == bool(len(found))
    return ids(found)


def ids(found: LeftOut) -> list[str]:
    """The ids of what was offered."""
    return [delivery.record.id for delivery in found.take(len(found))]


def handle(desk: Desk, command: Command) -> str:
    """Send a command, and let it be handled; its id."""
    id_ = desk.send(command)
    runner = desk.runner(put, consumer=desk.store.join(SHARE.group, "worker"))
    runner.step()
    runner.close()
    return id_


def test_what_left_no_trace_is_found(store: MemoryStore, desk: Desk) -> None:
    handle(desk, Put(box="1", what="a"))
    lost = [desk.send(Put(box="1", what="b")), desk.send(Ring(number="1"))]
    lose(store, SHARE.group)
    assert missed(store) == lost


def test_what_was_only_asked_was_not_missed(store: MemoryStore, desk: Desk) -> None:
    @handles(Ring)
    def leave_a_message(command: Ring) -> None: ...

    desk.send(Ring(number="1"))
    desk.settle(desk.calls(Phone(), leave_a_message))
    lose(store, SHARE.group)
    assert missed(store) == []


def test_what_is_on_its_way_was_not_missed(store: MemoryStore, desk: Desk) -> None:
    """The group has not got there."""
    desk.send(Put(box="1", what="a"))
    assert missed(store) == []


def test_an_outcome_of_another_attempt_is_one(store: MemoryStore, desk: Desk) -> None:
    first = handle(desk, Put(box="1", what="a"))
    again = desk.send(Put(box="1", what="a"), operation=first)
    lose(store, SHARE.group)
    assert missed(store) == [again], "nothing came after it"

    runner = desk.runner(put)
    runner.left_out.offer([Delivery(record) for record in store.read_all() if record.id == again])
    assert (len(runner.left_out), runner.busy) == (1, True)
    runner.step()
    assert (len(runner.left_out), runner.busy) == (0, False)
    assert len(desk.records("box-1")) == 1


def test_what_is_parked_or_was_is_left_alone(store: MemoryStore, desk: Desk) -> None:
    """Nor is what an operator has let go of since."""
    runner = desk.runner(failing, consumer=store.join(SHARE.group, "worker"), retry=Retry(1))
    desk.send(Put(box="1", what="a"), instance="process-7")
    desk.send(Put(box="1", what="b"))
    runner.step()
    runner.close()
    assert missed(store) == []
    drop(store, SHARE.group, store.parked(SHARE.group), "me", "never mind")
    assert missed(store) == []


def test_a_call_may_be_under_way_for_as_long_as_its_delivery_may_take(store: MemoryStore, desk: Desk) -> None:
    """It is left to a later pass, and what comes behind it too."""
    desk.send(Ring(number="1"))
    lose(store, SHARE.group)
    (record,) = store.read_all(where=SHARE.where)
    sent = record.created / 1_000_000
    found = LeftOut()
    run = CommandPass(store, SHARE, HANDLERS, found, after=BEFORE_ALL, age=timedelta(seconds=60), now=lambda: sent + 59)
    while run.step():
        pass
    assert (ids(found), run.found.until, run.again) == ([], BEFORE_ALL, 60.0)
    assert missed(store, age=timedelta(seconds=60), now=lambda: sent + 61) == [record.id]


def test_the_pass_after_one_that_left_something_begins_where_a_server_can_read_on() -> None:
    """Its positions are not consecutive, and it refuses one at which no record begins."""
    server = serve(MemoryStore(single_active=False))
    with closing(server), closing(EsdbStore(server.url)) as store:
        desk = Desk(store)
        desk.send(Ring(number="1"))
        ensure_group(store, SHARE, start=BEFORE_ALL)
        eventually(lambda: loses(store, SHARE.group))
        until = BEFORE_ALL
        for _ in range(2):
            run = CommandPass(store, SHARE, HANDLERS, LeftOut(), after=until, age=timedelta(days=1))
            while run.step():
                pass
            until = run.found.until
        assert until < next(store.read_all(where=SHARE.where)).position


class Refusing(MemoryStore):
    """What a store may have against a pass."""

    refuses = False

    def read_all(self, **options: Any) -> Iterator[Record]:
        if self.refuses:
            raise AccessDenied("not for you")
        return super().read_all(**options)


def test_a_worker_goes_on_without_a_pass_that_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """It is told, and tried again when it is time."""
    store = Refusing(single_active=False)
    ensure_group(store, SHARE)
    sweep = Sweep(store, SHARE.group, partial(CommandPass, store, SHARE, HANDLERS, LeftOut()))
    store.refuses = True
    assert [sweep.step(), sweep.step(), sweep.covers_all] == [0, 0, True]
    assert [record.action for record in caplog.records if hasattr(record, "action")] == ["sweep_failed"]


class Ahead(MemoryStore):
    """A server that has written a group's checkpoint beyond what it has still to deliver."""

    def group(self, name: str) -> GroupInfo:
        return replace(super().group(name), checkpoint=self.last_position())


def test_what_waits_in_the_server_was_not_missed_though_the_checkpoint_is_beyond_it() -> None:
    """Until a command behind it was answered, for as long ago as a delivery may take."""
    store = Ahead(single_active=False)
    ensure_group(store, SHARE)
    desk = Desk(store)
    waiting, lost = desk.send(Put(box="1", what="a")), desk.send(Put(box="2", what="b"))
    assert missed(store) == []

    consumer = store.join(SHARE.group, "another worker")
    consumer.ack([each for each in consumer.fetch(9) if each.record.id == lost])
    handle(desk, Put(box="3", what="c"))
    desk.send(Put(box="4", what="d"))
    assert missed(store, age=timedelta(seconds=60)) == []
    assert missed(store) == [waiting, lost], "the first one's delivery has had its time, the last one waits"
    desk.close()


def test_what_is_found_again_while_it_is_owed_is_told_and_taken_once(
    store: MemoryStore, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """As when a membership breaks again and again, and each time a pass begins."""
    sent = desk.send(Put(box="1", what="a"))
    lose(store, SHARE.group)
    found = LeftOut()
    for _ in range(3):
        run = CommandPass(store, SHARE, HANDLERS, found, after=BEFORE_ALL)
        while run.step():
            pass
    assert [record.action for record in caplog.records if hasattr(record, "action")] == ["missed"]
    assert ids(found) == [sent]


class Growing(MemoryStore):
    """A read goes on with what was appended since it began, as a server's does."""

    def read_all(self, **options: Any) -> Iterator[Record]:
        yield from super().read_all(**options)


def test_a_pass_ends_where_the_log_ended_when_it_began() -> None:
    """It would never end where the log grows faster than it is looked through."""
    store = Growing(single_active=False)
    ensure_group(store, SHARE)
    desk = Desk(store)
    handle(desk, Put(box="0", what="a"))
    found = LeftOut()
    run = CommandPass(store, SHARE, HANDLERS, found, after=BEFORE_ALL)
    handle(desk, Put(box="1", what="a"))
    assert [run.step(), run.step(), len(found)] == [2, 0, 0]
    desk.close()


def test_of_several_workers_one_makes_the_calls_that_were_missed(store: MemoryStore, desk: Desk) -> None:
    """Another one only when that had time enough; more than a member may hold it takes one after the other."""
    share = replace(SHARE, settings=GroupSettings(in_flight=2))
    sent = [desk.send(Ring(number=number)) for number in "123"]
    lose(store, SHARE.group)
    later = store.last_position()
    then = next(store.read_all(where=SHARE.where)).created / 1_000_000

    def look(worker: str, passed: float = 61.0) -> tuple[list[str], int]:
        found = LeftOut()
        options = {"age": timedelta(seconds=60), "now": lambda: then + passed, "worker": worker}
        run = CommandPass(store, share, HANDLERS, found, after=BEFORE_ALL, **options)  # type: ignore[arg-type]
        while run.step():
            pass
        return ids(found), run.found.until

    assert look("a") == (sent[:2], later - 1)
    assert look("b") == ([], BEFORE_ALL)
    assert look("a") == (sent[:2], later - 1)
    assert look("b", 61 + 121)[0] == sent[:2]


def test_what_a_newer_version_has_to_handle_is_looked_for_again(store: MemoryStore, desk: Desk) -> None:
    """An older worker finds it, and cannot read it."""
    id_ = desk.send(Put(box="1", what="a"), version=99)
    lose(store, SHARE.group)
    runner = desk.runner(put)
    sweep = Sweep(store, SHARE.group, partial(CommandPass, store, SHARE, HANDLERS, runner.left_out))
    for _ in range(5):
        sweep.step()
        runner.step()
    assert swept(store, SHARE.group) == BEFORE_ALL
    assert missed(store) == [id_]


def test_what_was_before_the_start_of_the_role_is_not_looked_for(store: MemoryStore, desk: Desk) -> None:
    desk.send(Put(box="1", what="a"))
    store.delete_group(SHARE.group)
    ensure_group(store, SHARE, start=store.last_position())
    late = desk.send(Put(box="1", what="b"))
    lose(store, SHARE.group)
    assert missed(store) == [late]


def test_a_sweep_begins_where_its_group_did_and_a_new_group_where_the_sweeps_of_the_old_one_had_got_to(store: MemoryStore) -> None:
    """A checkpoint may be too far already when the first worker starts; and what came before was looked at."""
    store.append_many([Block("order-1", [NewRecord(str(uuid4()), "test.noise", b"{}", b"{}")], StreamState.NO_STREAM)])
    start = store.last_position()
    ensure_group(store, SHARE, start=start)
    assert swept(store, SHARE.group) == start

    desk = Desk(store)
    desk.send(Put(box="1", what="a"))
    lose(store, SHARE.group)
    more = replace(SHARE, types=SHARE.types | {"test.more"})
    ensure_group(store, more)
    assert store.group(more.group).checkpoint > start
    assert swept(store, more.group) == start


def test_a_workers_commands_that_were_lost_are_handled_after_its_membership_was_renewed(store: MemoryStore) -> None:
    """As when a server has written the checkpoint too far, and goes on from there after a restart."""
    worker = build_worker(app, store, RealClock(), SqliteDeadlineIndex())
    worker.run(until_idle=True)
    place(store, "1")
    deciding = build_worker(app, store, RealClock(), SqliteDeadlineIndex(), only=["processes"])
    deciding.run(until_idle=True)
    deciding.close()
    group = next(name for name in worker.groups if ".handlers." in name)
    lose(store, group)
    worker.run(until_idle=True)
    assert status(store, "1") == "running"

    worker._roles[group].consumer.renewals += 1  # type: ignore[misc]
    worker.run(until_idle=True)
    worker.close()
    assert status(store, "1") == "completed"
