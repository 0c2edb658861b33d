"""A rebuilt projection equals the live one at the same position, row for row, wherever batches ended and whatever was killed."""

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import count, islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, event

from process_manager.adapters.memory import MemoryStore
from process_manager.core.facts import Ended, Started
from process_manager.core.records import NewRecord, Record
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.ports import Block, StreamState
from process_manager.testing.scenario import scenario
from projections import Message, Projection, Rows, reads, views as database
from projections.errors import Overtaken, ProjectionError, ProjectionFailed
from projections.follower import Follower
from projections.runner import Runner, check
from projections.shipped import SHIPPED, Decisions, Instances
from projections.views import Views
from tests.core.processes import Purchase, Quorum
from tests.core.random_lives import Attended, Stubborn, actions, order
from tests.core.samples import CLOSED, Noticed, began
from tests.projections.support import append, contents
from tests.proof.errand import Errand


class Killed(BaseException):
    """The process dies here."""


@contextmanager
def killed_at(engine: Engine, statement: int) -> Iterator[None]:
    """Die at a statement from now on, if it comes to that."""
    left = [statement]

    def count(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    event.listen(engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", count)


def rebuilt(store: MemoryStore, path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(Views(f"sqlite:///{path}")) as views:
        Runner(store, views, SHIPPED).rebuild(SHIPPED)
        return contents(views, SHIPPED)


def lives(moves: list[tuple[int, int]]) -> list[list[Record]]:
    """An order, a quorum and a purchase whose undos are refused, all attended to at random."""
    attended = [Attended(scenario(OrderFulfilment).given(order(("a", "b"), 5000))), Attended(scenario(Quorum).given(began("1", "2")))]
    worlds = [*attended, Stubborn(scenario(Purchase).given(began("1", "2")))]
    worlds[-1].case.operator("compensate")
    for world in worlds:
        for move in moves:
            world.act(*move)
    return [list(world.case.records) for world in worlds]


def reopened(moves: list[tuple[int, int]]) -> list[Record]:
    """An instance that is begun again and again, whether it has ended or not, attended to at random."""
    world = Attended(scenario(Errand).given(began("1", "2")))
    for number, move in enumerate(moves):
        world.act(*move)
        if number % 3 == 2:
            world.case.when([CLOSED, Noticed(id="1", text="undo")][number % 2])
            world.settle().when(began("1", "2")).when(Noticed(id="1"))
    return list(world.case.records)


def mixed(chance: random.Random, sources: list[list[Record]]) -> list[Record]:
    """Records of several logs as one, each in its own order."""
    turns = [number for number, source in enumerate(sources) for _ in source]
    chance.shuffle(turns)
    left = [iter(source) for source in sources]
    return [next(left[number]) for number in turns]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), moves=actions)
def test_a_rebuilt_projection_equals_the_live_one(
    seed: int, moves: list[tuple[int, int]], orders: MemoryStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The log grows piece by piece; runners with batches of any size follow it or rebuild while others follow, die at any statement
    and are started again."""
    chance, folder, log = random.Random(seed), tmp_path_factory.mktemp("live"), MemoryStore()
    records = mixed(chance, [list(orders.read_all(limit=1000)), *lives(moves), reopened(moves)])

    def grow(_position: int = 0) -> None:
        piece = chance.randint(1, 300)
        append(log, records[:piece])
        del records[:piece]

    def grow_and_follow(_position: int) -> None:
        if records:
            grow()
            with closing(Views(f"sqlite:///{folder}/live.db")) as others:
                Runner(log, others, SHIPPED, batch=chance.randint(20, 300)).run(until_idle=True)

    while records:
        grow()
        with closing(Views(f"sqlite:///{folder}/live.db")) as views:
            with suppress(Killed), killed_at(views.engine, chance.choice([0, chance.randint(1, 60), chance.randint(1, 600)])):
                if views.places() and chance.random() < 0.4:
                    Runner(log, views, SHIPPED, batch=chance.randint(20, 300), progress=grow_and_follow).rebuild(SHIPPED)
                Runner(log, views, SHIPPED, batch=chance.randint(1, 300)).run(until_idle=True)
            places = views.places()
            alive = all(each.name in places and places[each.name].position == log.last_position() for each in SHIPPED)
            if alive and chance.random() < 0.3:
                assert contents(views, SHIPPED) == rebuilt(log, folder / f"rebuilt{len(records)}.db")
    with closing(Views(f"sqlite:///{folder}/live.db")) as views:
        Runner(log, views, SHIPPED).run(until_idle=True)
        assert contents(views, SHIPPED) == rebuilt(log, folder / "whole.db")
        assert {views.places()[each.name].position for each in SHIPPED} == {log.last_position()}


def test_what_is_projected_is_not_nothing(orders: MemoryStore, views: Views) -> None:
    Runner(orders, views, SHIPPED).run(until_idle=True)
    counts = {name: len(rows) for name, rows in contents(views, SHIPPED).items()}
    assert counts["instances"] == 60
    assert min(counts["steps"], counts["commands"], counts["events"]) > 200
    assert counts["decisions"] > 0
    assert counts["failures"] > 5


def test_readers_see_the_old_tables_until_the_new_ones_are_whole(orders: MemoryStore, views: Views) -> None:
    Runner(orders, views, [Instances()]).run(until_idle=True)
    before = contents(views, [Instances()])
    seen = []
    Runner(orders, views, [Instances()], batch=100, progress=lambda _: seen.append(contents(views, [Instances()]))).rebuild([Instances()])
    assert len(seen) > 3
    assert all(each == before for each in seen)
    assert contents(views, [Instances()]) == before


def test_a_rebuild_that_another_process_overtakes_is_done_when_that_one_is_through(
    orders: MemoryStore, views: Views, caplog: pytest.LogCaptureFixture
) -> None:
    others = iter([Runner(orders, views, [Instances()])])

    def overtake(_position: int) -> None:
        for other in others:
            other.rebuild([Instances()])

    Runner(orders, views, [Instances()], batch=100, progress=overtake).rebuild([Instances()])
    assert "another process builds instances" in caplog.text
    assert len(contents(views, [Instances()])["instances"]) == 60
    assert views.places()["instances"].position == orders.last_position()
    assert set(views.places()) == {"instances"}


def test_a_rebuild_that_was_killed_leaves_the_live_tables_and_can_be_repeated(orders: MemoryStore, views: Views) -> None:
    Runner(orders, views, SHIPPED).run(until_idle=True)
    before = contents(views, SHIPPED)
    with pytest.raises(Killed), killed_at(views.engine, 60):
        Runner(orders, views, SHIPPED, batch=100).rebuild(SHIPPED)
    assert contents(views, SHIPPED) == before
    Runner(orders, views, SHIPPED).rebuild(SHIPPED)
    assert contents(views, SHIPPED) == before
    assert set(views.places()) == {each.name for each in SHIPPED}


def test_a_rebuild_while_another_process_follows_never_takes_readers_back(orders: MemoryStore, views: Views) -> None:
    """The live tables move on after the rebuild has read everything: it catches up before it takes their place."""
    records, log = list(orders.read_all()), MemoryStore()
    append(log, records[:500])
    Runner(log, views, [Instances()]).run(until_idle=True)

    def grow(_position: int) -> None:
        if records[500:] and log.last_position() < len(records) - 1:
            append(log, records[500:])
            live.run(until_idle=True)

    live = Runner(log, views, [Instances()])
    Runner(log, views, [Instances()], progress=grow).rebuild([Instances()])
    assert views.places()["instances"].position == log.last_position()
    live.run(until_idle=True)
    assert len(contents(views, [Instances()])["instances"]) == 60


def test_two_runners_write_every_batch_once(orders: MemoryStore, views: Views) -> None:
    first, second = (Runner(orders, views, [Decisions()], batch=50) for _ in range(2))
    with views.begin() as connection:
        database.create(connection, Decisions(), "", -1)
    busy = [True, True]
    while any(busy):
        busy = [first.step(), second.step()]
    expected = sum(1 for record in orders.read_all() if record.type == "pm.decided")
    assert len(contents(views, [Decisions()])["decisions"]) == expected > 0


def test_of_two_that_build_at_once_one_waits_for_the_other(orders: MemoryStore, views: Views) -> None:
    second = Runner(orders, views, SHIPPED, batch=500)
    begun: list[int] = []

    def begin(position: int) -> None:
        if not begun:
            begun.append(position)
            second.run(until_idle=True)

    Runner(orders, views, SHIPPED, batch=300, progress=begin).run(until_idle=True)
    assert begun
    assert set(views.places()) == {each.name for each in SHIPPED}
    assert {place.position for place in views.places().values()} == {orders.last_position()}


def test_who_waits_builds_itself_when_the_other_has_died(orders: MemoryStore, views: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.runner.STANDS_STILL", 0.0)
    monkeypatch.setattr("projections.runner.IDLE", 0.0)
    second = Runner(orders, views, SHIPPED, batch=500)
    begun: list[int] = []

    def begin_and_die(position: int) -> None:
        if not begun:
            begun.append(position)
            with suppress(Killed), killed_at(views.engine, 60):
                second.run(until_idle=True)

    Runner(orders, views, SHIPPED, batch=300, progress=begin_and_die).run(until_idle=True)
    assert begun
    assert {place.position for place in views.places().values()} == {orders.last_position()}


def test_a_rebuild_from_a_log_that_was_put_back_takes_the_place_of_the_live_tables(orders: MemoryStore, views: Views) -> None:
    """As from a backup: it begins as before, and the live tables hold what it does not have."""
    Runner(orders, views, [Instances()]).run(until_idle=True)
    earlier = MemoryStore()
    for record in islice(orders.read_all(), 200):
        new = NewRecord(record.id, record.type, record.data, record.metadata)
        earlier.append(Block(record.stream, [new], StreamState.ANY))
    Runner(earlier, views, [Instances()]).rebuild([Instances()])
    assert views.places()["instances"].position == earlier.last_position() < orders.last_position()


def test_slow_builders_do_not_begin_in_turn_for_ever(orders: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes the other one, whose batches take longer than it waits, for dead."""
    monkeypatch.setattr("projections.runner.STANDS_STILL", 0.01)
    monkeypatch.setattr("projections.runner.IDLE", 0.005)

    begun = count(1)

    class Builder(Runner):
        def _build(self, projections: Sequence[Projection]) -> None:
            assert next(begun) < 100, "they begin in turn for ever"
            super()._build(projections)

    def build(views: Views) -> None:
        Builder(orders, views, SHIPPED, batch=100, progress=lambda _: time.sleep(0.05)).run(until_idle=True)

    with closing(Views(f"sqlite:///{tmp_path}/views.db")) as one, closing(Views(f"sqlite:///{tmp_path}/views.db")) as other:
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(build, (one, other)))
        assert {place.position for place in one.places().values()} == {orders.last_position()}


def test_a_batch_that_another_process_has_written_is_refused_whole(orders: MemoryStore, views: Views) -> None:
    with views.begin() as connection:
        database.create(connection, Decisions(), "", -1)
    first, second = (Follower(orders, views, [Decisions()], -1) for _ in range(2))
    first.step(1000)
    before = contents(views, [Decisions()])
    with pytest.raises(Overtaken):
        second.step(1000)
    assert contents(views, [Decisions()]) == before


def test_a_new_projection_catches_up_beside_those_that_are_further_on(orders: MemoryStore, views: Views) -> None:
    Runner(orders, views, [Instances()]).run(until_idle=True)
    Runner(orders, views, [Instances(), Decisions()]).run(until_idle=True)
    assert {place.position for place in views.places().values()} == {orders.last_position()}


def test_projections_at_different_places_join_each_other(orders: MemoryStore, views: Views) -> None:
    both = [Instances(), Decisions()]
    with views.begin() as connection:
        for each in both:
            database.create(connection, each, "", -1)
    Follower(orders, views, [Instances()], -1).step(321)
    Runner(orders, views, both, batch=100).run(until_idle=True)
    with closing(Views("sqlite://")) as whole:
        Runner(orders, whole, both).rebuild(both)
        assert contents(views, both) == contents(whole, both)


STARTS = Table("starts", MetaData(), Column("instance", String, primary_key=True))


class Starts(Projection, name="starts", tables=[STARTS]):
    @reads(Started)
    def started(self, message: Message, rows: Rows) -> None:
        rows.insert(STARTS, instance=f"{message.process}-{message.data['key']}")


class Fails(Projection, name="starts", tables=[STARTS]):
    @reads(Started)
    def started(self, message: Message, rows: Rows) -> None:
        rows.insert(STARTS, instance=message.data["nonsense"])


class Newer(Projection, name="starts", tables=[STARTS], version=2):
    started = Starts.started


LIVES = Table("starts", MetaData(), Column("instance", String, primary_key=True), Column("life", Integer))


class Lives(Projection, name="starts", tables=[LIVES]):
    """A column more; nobody has counted the version up."""

    @reads(Started)
    def started(self, message: Message, rows: Rows) -> None:
        rows.insert(LIVES, instance=message.instance, life=message.data["life"])


def test_a_projection_that_raises_is_named_with_the_record(orders: MemoryStore, views: Views) -> None:
    record = r"Fails cannot take pm.started at position \d+ \(stream order_fulfilment-\S+\)"
    with pytest.raises(ProjectionError, match=record + r": KeyError: 'nonsense' \(.*test_rebuild.py:\d+\)"):
        Runner(orders, views, [Fails()]).run(until_idle=True)


LATE = Table("late", MetaData(), Column("instance", String, primary_key=True))


class FailsLate(Projection, name="late", tables=[LATE]):
    """Takes every instance that ends for the same one, which the database finds out."""

    @reads(Ended)
    def ended(self, message: Message, rows: Rows) -> None:
        rows.insert(LATE, instance=f"{message.record.position // 400}")


@pytest.mark.parametrize("batch", [10, 20_000])
def test_the_others_go_on_without_one_that_raises(orders: MemoryStore, views: Views, batch: int) -> None:
    both = [*SHIPPED, Fails(), FailsLate()]
    with pytest.raises(ProjectionFailed) as raised:
        Runner(orders, views, both, batch=batch).run(until_idle=True)
    told = [str(raised.value), *raised.value.__notes__]
    assert {each.split()[0] for each in told} == {"Fails", "FailsLate"}
    assert {name: place.position for name, place in views.places().items()} == {each.name: orders.last_position() for each in SHIPPED}
    with closing(Views("sqlite://")) as alone:
        Runner(orders, alone, SHIPPED).run(until_idle=True)
        assert contents(views, SHIPPED) == contents(alone, SHIPPED)


def test_one_that_raises_later_stays_where_it_is_and_the_others_go_on(orders: MemoryStore, views: Views) -> None:
    log, records = MemoryStore(), list(orders.read_all())
    Runner(log, views, [Instances(), Fails()]).run(until_idle=True)  # of an empty log
    append(log, records)
    with pytest.raises(ProjectionFailed, match="Fails cannot take"):
        Runner(log, views, [Instances(), Fails()], batch=100).run(until_idle=True)
    assert views.places()["instances"].position == log.last_position()
    assert views.places()["starts"].position < log.last_position()
    Runner(log, views, [Instances(), Starts()]).run(until_idle=True)
    assert views.places()["starts"].position == log.last_position()


@pytest.mark.parametrize(
    ("later", "why"), [(Newer(), "is at version 1, the code at 2"), (Lives(), "has tables of another definition of version 1")]
)
def test_tables_of_an_older_definition_are_told_and_built_anew(orders: MemoryStore, views: Views, later: Projection, why: str) -> None:
    records, log = list(orders.read_all()), MemoryStore()
    append(log, records[:500])
    earlier = Runner(log, views, [Starts()])
    earlier.run(until_idle=True)
    with pytest.raises(ProjectionError, match=f"the projection starts {why}: pm projections run builds it anew"):
        check(log, views, [later])
    append(log, records[500:])
    Runner(log, views, [later]).run(until_idle=True)
    assert [len(row) for row in contents(views, [later])["starts"]] == 60 * [len(later.tables[0].columns)]
    assert earlier.step()  # what still follows by older code notices, and writes nothing
    with pytest.raises(ProjectionError, match="the projection starts "):
        earlier.step()


def test_tables_of_newer_code_are_not_built_back(orders: MemoryStore, views: Views) -> None:
    Runner(orders, views, [Newer()]).run(until_idle=True)
    with pytest.raises(ProjectionError, match="is at version 2, the code at 1: pm projections rebuild starts"):
        Runner(orders, views, [Starts()]).run(until_idle=True)
    assert views.places()["starts"].version == 2


def test_views_of_a_release_that_kept_no_fingerprint_are_built_anew(orders: MemoryStore, views: Views) -> None:
    Runner(orders, views, [Starts()]).run(until_idle=True)
    with views.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE projections DROP COLUMN shape")
    with pytest.raises(ProjectionError, match="has tables of another definition of version 1: pm projections run builds it anew"):
        check(orders, views, [Starts()])
    Runner(orders, views, [Starts()]).run(until_idle=True)
    assert len(contents(views, [Starts()])["starts"]) == 60
    check(orders, views, [Starts()])


def test_views_of_another_log_are_refused(orders: MemoryStore, views: Views) -> None:
    Runner(orders, views, [Starts()]).run(until_idle=True)
    other = MemoryStore()
    append(other, list(orders.read_all())[3:9])
    with pytest.raises(ProjectionError, match=r"was made from another log, .*: .*pm projections rebuild starts"):
        check(other, views, [Starts()])


def test_views_of_a_file_are_not_those_of_a_server_on_it(orders: MemoryStore, views: Views) -> None:
    """The same records, at positions of another scale: what stands between two of them would be passed over, or taken twice."""
    Runner(orders, views, [Starts()]).run(until_idle=True)
    shifted = MemoryStore()
    shifted.read_all = lambda **_: iter([next(orders.read_all(limit=1))._replace(position=4200)])  # type: ignore[method-assign]
    with pytest.raises(ProjectionError, match="from this one through a server"):
        check(shifted, views, [Starts()])


def test_what_cannot_be_decoded_is_passed_over(orders: MemoryStore, views: Views) -> None:
    log = MemoryStore()
    (first, *_rest) = [each for each in orders.read_all() if each.type == "pm.started"]
    append(log, [_with(first, data=b"nonsense"), _with(first, stream="order_fulfilment-2", metadata=b"[]"), _with(first, stream="order-3")])
    Runner(log, views, [Starts()]).run(until_idle=True)
    assert contents(views, [Starts()]) == {"starts": [(f"order-{first.stream.partition('-')[2]}",)]}


def _with(record: Record, **changes: object) -> Record:
    return record._replace(**changes)  # type: ignore[arg-type]
