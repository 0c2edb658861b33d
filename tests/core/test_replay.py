"""A history replayed: the state at each revision is the fold of the facts up to it, and each turn says what it changed."""

import orjson
from hypothesis import given, settings, strategies as st

from process_manager.core.fold import fold
from process_manager.core.instance import Instance
from process_manager.core.replay import Replay, as_json, settlement
from process_manager.examples.order_fulfilment.process import OrderFulfilment
from process_manager.testing.scenario import scenario
from tests.core.processes import Purchase
from tests.core.random_lives import actions, facts, lines, played
from tests.core.samples import DECLINED, Stuck, began, given_back, taken


@settings(deadline=None, max_examples=100)
@given(lines, st.sampled_from([50, 5000]), actions, st.data())
def test_the_state_at_a_revision_is_the_fold_of_the_facts_up_to_it(
    skus: tuple[str, ...], total: int, moves: list[tuple[int, int]], data: st.DataObject
) -> None:
    recorded = facts(played(skus, total, moves))
    count = data.draw(st.integers(0, len(recorded)))
    definition = OrderFulfilment.definition
    replay = Replay(definition.name, "1", definition.evolve)
    replayed = list(replay.take(recorded[:count]))
    assert replay.instance == fold(Instance(definition.name, "1"), recorded[:count], definition.evolve)
    assert [fact for each in replayed for fact in each.turn.facts] == recorded[:count]


def test_the_changes_of_all_turns_lead_from_nothing_to_the_end() -> None:
    recorded = facts(scenario(Purchase).given(began("a"), taken("a"), DECLINED, given_back("a")))
    changed = [each.changes for each in Replay("purchase", "1").take(recorded)]
    assert changed == [
        {"status": ("not_started", "running"), "step taking [a]": (None, "open")},
        {"step taking [a]": ("open", "done"), "step paying": (None, "open"), "join all of taking": (None, "reached")},
        {
            "status": ("running", "compensating"), "outcome": (None, "declined"), "step taking [a]": ("done", "done, being undone"),
            "step paying": ("open", "failed"), "step giving_back [a]": (None, "open"),
        },
        {
            "status": ("compensating", "compensated"), "step taking [a]": ("done, being undone", "done, undone"),
            "step giving_back [a]": ("open", "done"),
        },
    ]  # fmt: skip


def test_an_undo_that_was_skipped_is_a_change_that_can_be_told() -> None:
    case = scenario(Purchase).given(began("a"), taken("a"), DECLINED, Stuck(id="1", item="a")).operator("skip")
    *_, last = Replay("purchase", "1").take(facts(case))
    assert last.changes["step taking [a]"] == ("done, undo failed", "done, left undone by hand")


def test_a_history_in_pieces_is_told_like_one_in_a_whole() -> None:
    recorded = facts(scenario(Purchase).given(began("a"), taken("a"), DECLINED, given_back("a")))
    whole, pieces = Replay("purchase", "1"), Replay("purchase", "1")
    expected = list(whole.take(recorded))
    cut = expected[1].turn.facts[-1][1] + 1
    assert [*pieces.take(recorded[:cut]), *pieces.take(recorded[cut:])] == expected


def test_a_turn_as_data_has_its_input_and_its_commands() -> None:
    case = scenario(Purchase).given(began("a"), taken("a"), DECLINED)
    turn = as_json(list(Replay("purchase", "1").take(facts(case)))[1])
    assert (turn["turn"], turn["input"]["type"], turn["input"]["data"]) == (2, "t.taken", {"id": "1", "item": "a"})
    assert [(each["type"], each["step"], each["data"]) for each in turn["commands"]] == [("t.pay", "paying", {"id": "1"})]
    assert orjson.dumps(turn)


def test_the_turn_that_settled_a_command_is_found() -> None:
    case = scenario(Purchase).given(began("a"), taken("a"))
    first, second = (each.id for each in case.records if each.type in {"t.take", "t.pay"})
    turns = list(Replay("purchase", "1").take(facts(case)))
    assert settlement(turns, first) == turns[1]
    assert settlement(turns, second) is None
