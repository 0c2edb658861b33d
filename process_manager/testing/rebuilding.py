"""Checks that an instance can be rebuilt from its records: by folding all of them, and from a snapshot."""

from collections.abc import Iterator

from process_manager.core.block import read_fact
from process_manager.core.definition import Definition
from process_manager.core.facts import SnapshotTaken, decode_fact, encode_fact
from process_manager.core.fold import fold
from process_manager.core.instance import Instance
from process_manager.core.records import Record
from process_manager.core.snapshot import references, restore, snapshot


def rebuilding(definition: Definition, instance: Instance, records: list[Record]) -> Iterator[tuple[str, list[str]]]:
    """Pairs of what is wrong and the fields that differ; none when both ways give this instance."""
    folded = rebuilt(definition, instance, records)
    if folded != instance:
        yield "the recorded facts fold to another instance", _differences(instance, folded)
    restored = _restored(definition, folded, records)
    if restored is not None and restored != folded:
        yield "a snapshot restores another instance: does its state survive JSON?", _differences(folded, restored)


def rebuilt(definition: Definition, instance: Instance, records: list[Record]) -> Instance:
    """The instance as its records fold to it, read by this definition."""
    recorded = [(read_fact(record), record.revision) for record in records]
    return fold(Instance(instance.process, instance.key), recorded, definition.evolve)


def _restored(definition: Definition, instance: Instance, records: list[Record]) -> Instance | None:
    fact = snapshot(instance, definition.fold_version)
    if fact is None:
        return None
    read = decode_fact(fact.fact_type, fact.fact_version, encode_fact(fact))
    assert isinstance(read, SnapshotTaken)
    named = {revision: records[revision] for revision in references(read)}
    restored = restore(read, definition.fold_version, named, instance.process, instance.key)
    assert restored is not None
    restored.revision, restored.records_since_snapshot = instance.revision, instance.records_since_snapshot
    if instance.data is not None:
        restored.data = definition.state.model_validate(restored.data)
    return restored


def _differences(one: Instance, other: Instance) -> list[str]:
    names = [name for name in Instance.__dataclass_fields__ if getattr(one, name) != getattr(other, name)]
    return [f"{name}: {getattr(one, name)!r}, rebuilt: {getattr(other, name)!r}" for name in names]
