"""Judges recorded histories in a log by a candidate's definitions: it reads, counts and groups; `core.drift` judges one history."""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from process_manager.core.consequences import NOBODY
from process_manager.core.definition import Definition
from process_manager.core.drift import Difference, Judge
from process_manager.core.facts import Input
from process_manager.core.records import Record
from process_manager.errors import MessageError, StreamNotFound
from process_manager.interfaces.compatibility.newly_handled import NewlyHandled
from process_manager.interfaces.reading.histories import imported, instances, read_facts
from process_manager.ports import MAX_APPEND, EventStore

EXAMPLES = 3
"""Instances that a group names."""

COLUMNS = ("process", "kind", "subject", "change", "instances", "examples")
EACH = ("instance", "time", "revision", "input", "kind", "subject", "recorded", "candidate")

_WORDED = frozenset({"suspension", "input", "decision", "join", "ending"})
"""Kinds whose values are few, so that a group can show them."""


@dataclass(slots=True)
class NotCovered:
    """Something that could not be judged, and why. A report with one of these does not count as free of differences."""

    process: str
    subject: str
    why: str


@dataclass
class Drift:
    """Judges the instances of one process. Its counts are final when `differences` has been read to its end."""

    store: EventStore
    definition: Definition
    since: datetime | None = None
    progress: Callable[["Drift"], None] = lambda _: None
    instances: int = 0
    turns: int = 0
    differing: int = 0
    not_covered: list[NotCovered] = field(default_factory=list)
    _told: dict[str, set[tuple[str, str, bool]]] = field(default_factory=dict, init=False)  # kinds and subjects by instance

    def differences(self) -> Iterator[Difference]:
        """The first difference of each kind and subject of each instance. An instance with newly handled events is read a second time."""
        newly = NewlyHandled(self.store, self.definition)
        for stream in instances(self.store, self.definition.name):
            self.instances += 1
            self.progress(self)
            yield from self._firsts(self._judge(stream, newly))
        yield from self._firsts(self._newly_handled(newly))

    def _firsts(self, differences: Iterable[Difference]) -> Iterator[Difference]:
        for each in differences:
            told = self._told.setdefault(each.instance, set())
            self.differing = len(self._told)
            what = (each.kind, each.subject, each.name_only)  # a name hides no other answer
            if what not in told:
                told.add(what)
                yield each

    def _newly_handled(self, newly: NewlyHandled) -> Iterator[Difference]:
        self.not_covered += [NotCovered(self.definition.name, type_, "its events were not brought along") for type_ in newly.hidden()]
        for stream, inputs in newly.inputs().items():
            if not stream:
                types = {taken.type for taken in inputs}
                self.not_covered += [NotCovered(self.definition.name, each, "it is routed by $correlationId") for each in sorted(types)]
            else:
                yield from self._judge(stream, None, inputs)

    def _judge(self, stream: str, newly: NewlyHandled | None, inputs: Sequence[Input] = ()) -> Iterator[Difference]:
        judge = Judge(self.definition, stream.partition("-")[2], MAX_APPEND, self.since)
        recorded = read_facts(self._records(stream))
        try:
            yield from judge.differences(newly.watched(recorded) if newly else recorded, inputs)
        except MessageError as error:
            why = NotCovered(self.definition.name, stream, str(error))
            self.not_covered += [why] if why not in self.not_covered else []
        finally:
            self.turns += judge.turns if newly else 0

    def _records(self, stream: str) -> Iterator[Record]:
        with suppress(StreamNotFound):
            yield from self.store.read_stream(stream)


def unknown(store: EventStore, known: Container[str]) -> list[NotCovered]:
    """In imported histories: the processes that the candidate does not have. Empty for any other log, which other apps may share."""
    if imported(store) is None:
        return []
    processes = dict.fromkeys(stream.partition("-")[0] for stream in instances(store))
    return [NotCovered(name, "the process", "the app does not have it") for name in processes if name not in known]


class Groups:
    """Differences counted by what differs, with examples."""

    def __init__(self, differences: Iterable[Difference]) -> None:
        self._count: Counter[tuple[str, ...]] = Counter()
        self._examples: dict[tuple[str, ...], list[str]] = {}
        for each in differences:
            self._add(each)

    def _add(self, difference: Difference) -> None:
        group = (difference.instance.partition("-")[0], difference.kind, difference.subject, _change(difference))
        self._count[group] += 1
        examples = self._examples.setdefault(group, [])
        if len(examples) < EXAMPLES:
            examples.append(difference.instance)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The largest group first."""
        for group, count in self._count.most_common():
            yield dict(zip(COLUMNS, (*group, count, self._examples[group]), strict=True))


def not_covered_row(each: NotCovered) -> dict[str, Any]:
    """What could not be judged, as a row beside the groups."""
    return dict(zip(COLUMNS, (each.process, "not covered", each.subject, each.why, None, []), strict=True))


def _change(difference: Difference) -> str:
    recorded, candidate = difference.recorded, difference.candidate
    if difference.kind == "routing":
        return candidate if candidate.startswith(f"{NOBODY}: ") else "another instance"
    if difference.kind in _WORDED:
        return f"{recorded or 'nothing'} -> {candidate or 'nothing'}"
    return _another(recorded, candidate) if recorded and candidate else "no longer" if recorded else "new"


def _another(recorded: str, candidate: str) -> str:
    """What is another one: of two messages, the fields that differ."""
    try:
        before, after = orjson.loads(recorded), orjson.loads(candidate)
    except ValueError:
        return "another one"
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return "another one"
    return f"another {', '.join(sorted(name for name in {*before, *after} if before.get(name) != after.get(name))) or 'one'}"
