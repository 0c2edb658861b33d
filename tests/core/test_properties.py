"""What holds for the order process whatever its world does. The scenario itself checks, after every turn, that folding the
records again, and restoring a snapshot, gives an equal instance."""

from decimal import Decimal
from typing import Any

import orjson
from hypothesis import given, settings, strategies as st

from process_manager.core import facts
from process_manager.core.block import read_fact
from process_manager.core.fold import fold
from process_manager.core.instance import Instance
from process_manager.core.snapshot import references, restore, snapshot
from process_manager.examples.order_fulfilment.messages import (
    ChargeCard,
    ReserveStock,
)
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.testing.invariants import broken_promises
from process_manager.testing.scenario import Scenario, scenario
from tests.core.processes import Purchase, Quorum
from tests.core.random_lives import SKUS, Attended, Stubborn, World, actions, lines, order, played, reserved
from tests.core.samples import CLOSED, began

FINAL = {"completed", "compensated", "aborted"}


@settings(deadline=None, max_examples=150)
@given(lines, st.sampled_from([50, 5000]), actions)
def test_every_order_ends_and_what_was_done_is_undone_where_it_was_compensated(
    skus: tuple[str, ...], total: int, moves: list[tuple[int, int]]
) -> None:
    case = played(skus, total, moves)
    assert not case.instance.suspended, case.story
    assert case.instance.status in FINAL, case.story
    done = [run for run in case.instance.runs.values() if run.undoable and run.status == "done"]
    if case.instance.status == "compensated":
        assert all(run.undo == "done" for run in done), case.story
    else:
        assert all(run.undo == "" for run in done), case.story


@settings(deadline=None, max_examples=100)
@given(lines, st.sampled_from([50, 5000]), actions)
def test_no_step_is_started_once_it_compensates_or_has_ended(skus: tuple[str, ...], total: int, moves: list[tuple[int, int]]) -> None:
    ended = False
    for record in played(skus, total, moves).records:
        fact = read_fact(record)
        ended = ended or isinstance(fact, facts.CompensationStarted | facts.Ended)
        if isinstance(fact, facts.StepStarted):
            assert not ended or fact.undoes


@settings(deadline=None, max_examples=100)
@given(lines, st.sampled_from([50, 5000]), actions, st.data())
def test_a_snapshot_and_what_follows_is_as_good_as_all(
    skus: tuple[str, ...], total: int, moves: list[tuple[int, int]], data: st.DataObject
) -> None:
    records = played(skus, total, moves).records
    cut = data.draw(st.integers(1, len(records)))
    definition = OrderFulfilment.definition
    early = [(read_fact(record), record.revision) for record in records[:cut]]
    later = [(read_fact(record), record.revision + 1) for record in records[cut:]]
    whole = fold(Instance(definition.name, "1"), early, definition.evolve)
    taken = snapshot(whole, definition.fold_version)
    assert taken is not None
    restored = restore(taken, definition.fold_version, {r: records[r] for r in references(taken)}, definition.name, "1")
    assert restored is not None
    fold(whole, [(taken, cut), *later], definition.evolve)
    assert fold(restored, later, definition.evolve) == whole


@settings(deadline=None)
@given(st.permutations(SKUS), st.integers(0, 3), st.booleans())
def test_the_order_of_arrival_changes_no_command_where_nothing_fails(skus: list[str], twice: int, doubled: bool) -> None:
    case = scenario(OrderFulfilment)
    if doubled:
        case.deliver_twice()
    case.given(order(SKUS)).when(*map(reserved, skus), *map(reserved, skus[:twice]))
    case.then(ChargeCard(order_id="1", card="4", amount=Decimal(50)))


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_shuffled_answers_lead_to_the_same_commands(seed: int) -> None:
    case = scenario(OrderFulfilment).given(order(SKUS)).then(*[ReserveStock(order_id="1", sku=sku, quantity=1) for sku in SKUS])
    case.deliver_shuffled(seed).deliver_twice().when(*map(reserved, SKUS)).then(ChargeCard(order_id="1", card="4", amount=Decimal(50)))


@settings(deadline=None, max_examples=60)
@given(lines, actions)
def test_delivering_everything_twice_changes_nothing(skus: tuple[str, ...], moves: list[tuple[int, int]]) -> None:
    once, twice = World(scenario(OrderFulfilment).given(order(skus))), World(scenario(OrderFulfilment).given(order(skus)))
    twice.case.deliver_twice()
    for move in moves:
        once.act(*move)
        twice.act(*move)
    assert once.settle().records == twice.settle().records


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 4), st.integers(0, 3), actions)
def test_a_quorum_ends_and_keeps_nothing_that_it_does_not_need(need: int, more: int, moves: list[tuple[int, int]]) -> None:
    items = [str(number) for number in range(need + more)]
    world = World(scenario(Quorum).given(began(*items, need=need)))
    for move in moves:
        world.act(*move)
    case = world.settle()
    assert case.instance.status in {"completed", "compensated"}, case.story
    runs = case.instance.runs_of("taking")
    kept = [run for run in runs if run.status == "done" and run.undo != "done"]
    assert len(kept) == (need if case.instance.status == "completed" else 0), case.story
    assert all(run.undo == "done" for run in runs if run.status == "overdue"), case.story


@settings(deadline=None, max_examples=200)
@given(lines, st.sampled_from([50, 5000]), actions)
def test_whatever_is_done_by_hand_every_order_ends(skus: tuple[str, ...], total: int, moves: list[tuple[int, int]]) -> None:
    world = Attended(scenario(OrderFulfilment).given(order(skus, total)))
    for choice, which in moves:
        world.act(choice, which)
    case = world.settle()
    assert not case.instance.suspended, case.story
    assert case.instance.kept == {}, case.story
    assert case.instance.status in FINAL | {"cancelled"}, case.story
    assert broken_promises(case.definition, "1", case.records) == [], case.story
    if case.instance.status == "compensated":
        done = [run for run in case.instance.runs.values() if run.undoable and run.status == "done"]
        assert all(run.undo in {"done", "skipped"} for run in done), case.story


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 3), actions)
def test_whatever_cannot_be_undone_a_retry_or_a_skip_leads_to_an_end(count: int, moves: list[tuple[int, int]]) -> None:
    world = Stubborn(scenario(Purchase).given(began(*map(str, range(count)))))
    for number, (choice, which) in enumerate(moves):
        if number == len(moves) // 2:
            world.case.operator("compensate")
        world.act(choice, which)
    world.case.when(CLOSED)
    case = world.settle()
    assert not case.instance.suspended, case.story
    assert case.instance.status in FINAL | {"cancelled"}, case.story
    assert broken_promises(case.definition, "1", case.records) == [], case.story


def ids(case: Scenario) -> list[str]:
    return [record.id for record in case.records]


@settings(deadline=None, max_examples=60)
@given(lines, actions)
def test_ids_are_derived_and_never_repeat(skus: tuple[str, ...], moves: list[tuple[int, int]]) -> None:
    first, second = played(skus, 50, moves), played(skus, 50, moves)
    assert ids(first) == ids(second)
    assert len(set(ids(first))) == len(ids(first))


def test_all_messages_of_an_instance_carry_one_correlation_and_their_own_cause() -> None:
    case = played(("a",), 5000, [])
    metadata: list[dict[str, Any]] = [orjson.loads(record.metadata) for record in case.records]
    assert len({each["$correlationId"] for each in metadata}) == 1
    inputs = {orjson.loads(record.data)["input"]["id"] for record in case.records if b'"input"' in record.data}
    assert {each["$causationId"] for each in metadata} <= inputs
