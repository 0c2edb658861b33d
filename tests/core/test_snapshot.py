"""Snapshots: small, complete, and never trusted where they are from another version."""

import pytest

from process_manager.core.facts import decode_fact, encode_fact
from process_manager.core.instance import WINDOW, Instance
from process_manager.core.snapshot import LIMIT, references, restore, snapshot
from process_manager.errors import UndecodableMessage
from process_manager.testing.scenario import scenario
from tests.core.processes import Flow, Memory
from tests.core.samples import NOTICED, began, taken

VERSION = Flow.definition.fold_version


def test_it_names_messages_by_revision_and_holds_no_content() -> None:
    case = scenario(Flow).given(began("unheard-of", "b")).given(taken("b"), NOTICED)
    fact = snapshot(case.instance, VERSION)
    assert fact is not None
    assert references(fact) == {0, 1, 2, 3, 4}
    without_runs = {key: value for key, value in fact.state.items() if key != "runs"}
    assert "unheard-of" not in str(without_runs)
    assert decode_fact(fact.fact_type, 1, encode_fact(fact)) == fact


def test_another_fold_version_is_not_restored() -> None:
    case = scenario(Flow).given(began())
    fact = snapshot(case.instance, "0.0")
    assert fact is not None
    assert restore(fact, VERSION, {}, "flow", "1") is None


def test_a_missing_record_is_an_error() -> None:
    fact = snapshot(scenario(Flow).given(began()).instance, VERSION)
    assert fact is not None
    with pytest.raises(UndecodableMessage, match="revision 0, which it refers to, is missing"):
        restore(fact, VERSION, {}, "flow", "1")


def test_what_would_be_too_large_is_not_taken() -> None:
    assert snapshot(Instance("flow", "1", data={"x": "y" * LIMIT}), VERSION) is None


def test_the_window_of_known_inputs_and_its_floor_survive() -> None:
    case = scenario(Flow).given(began("a"))
    instance = case.instance.copy()
    for number in range(WINDOW + 10):
        instance.seen[f"id-{number}"] = 5000 + number
    instance.floor = 4711
    fact = snapshot(instance, VERSION)
    assert fact is not None
    restored = restore(fact, VERSION, {r: case.records[r] for r in references(fact)}, "flow", "1")
    assert restored is not None
    assert list(restored.seen.items()) == list(instance.seen.items())
    assert restored.knows("id-3", 5003) is True
    assert restored.knows("unknown", 4000) is None
    assert restored.knows("unknown", 4712) is False


def test_the_definitions_own_state_goes_on_from_its_json() -> None:
    case = scenario(Flow).given(began("a"), taken("a")).given(*[NOTICED.model_copy(update={"text": "quiet"})] * 2)
    fact = snapshot(case.instance, VERSION)
    assert fact is not None
    restored = restore(fact, VERSION, {r: case.records[r] for r in references(fact)}, "flow", "1")
    assert restored is not None
    assert restored.data == {"noticed": 2}
    assert Flow.definition.evolve(restored.data, restored.events["t.noticed"]) == Memory(noticed=3)
