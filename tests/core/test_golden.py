"""What older versions recorded, today's code folds to the same state."""

from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from process_manager.core.block import read_fact
from process_manager.core.deadlines import command_deadline, set_by
from process_manager.core.definition import Definition
from process_manager.core.facts import StepStarted
from process_manager.core.fold import fold
from process_manager.core.instance import Instance
from process_manager.core.metadata import read_metadata
from process_manager.core.story import story
from tests.core.histories import GOLDEN, HISTORIES, read, state_of

PATHS = sorted(GOLDEN.glob("*.jsonl"))
DEFINITIONS: Mapping[str, Definition] = {(definition := play().definition).name: definition for play in HISTORIES.values()}


def test_every_history_is_kept() -> None:
    assert {path.stem for path in PATHS} == set(HISTORIES)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_an_old_history_folds_to_the_state_it_had(path: Path) -> None:
    records = read(path)
    process, _, key = records[0].stream.partition("-")
    facts = ((read_fact(record), record.revision) for record in records)
    folded = fold(Instance(process, key), facts, DEFINITIONS[process].evolve)
    assert orjson.loads(orjson.dumps(state_of(folded))) == orjson.loads(path.with_suffix(".json").read_bytes())


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_an_old_history_is_told(path: Path) -> None:
    lines = story(read(path))
    assert lines
    assert "unknown" not in {line.kind for line in lines}


def test_a_command_sets_the_deadline_that_its_metadata_alone_tell() -> None:
    commands = [(record, fact) for path in PATHS for record in read(path) if isinstance(fact := read_fact(record), StepStarted)]
    assert {(fact.attempt > 1, bool(fact.operation)) for _, fact in commands} == {(False, False), (True, False), (True, True)}
    for record, fact in commands:
        assert command_deadline(read_metadata(record.type, record.metadata), record.id) == set_by(fact)
