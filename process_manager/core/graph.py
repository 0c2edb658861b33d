"""A definition as a graph of what leads to what, and the part of it that an instance went through."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from inspect import isfunction
from typing import Literal

from process_manager.core import facts
from process_manager.core.block import read_fact
from process_manager.core.definition import Definition, join_of
from process_manager.core.effects import Abort, Compensate, Complete
from process_manager.core.facts import Receipt
from process_manager.core.messages import Event
from process_manager.core.reactions import MARK, Reaction
from process_manager.core.records import Record
from process_manager.core.steps import AnyStep

Shape = Literal["event", "step", "undo", "join", "choice", "deadline", "end"]
ENDS: dict[type, str] = {Complete: "completed", Compensate: "compensating", Abort: "aborted"}


@dataclass(frozen=True, slots=True)
class Node:
    """A thing with a name; `lines` is its label."""

    id: str
    shape: Shape
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """One thing leads to another by a reaction, when an event of type `event` came, where there is one."""

    source: str
    target: str
    label: str = ""
    reaction: str = ""
    event: str = ""
    undo: bool = False


@dataclass(slots=True)
class Graph:
    """Nodes by id in the order of the class, and edges."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def node(self, id_: str, shape: Shape, *lines: str) -> str:
        self.nodes.setdefault(id_, Node(id_, shape, lines))
        return id_


def graph(definition: Definition) -> Graph:
    """What the class says, in its own order."""
    found = Graph()
    for step in definition.steps.values():
        found.node(f"step_{step.name}", "undo" if step.name in definition.undo_steps else "step", *_about(definition, step))
    for reaction in definition.reactions:
        for edge in _reaction(definition, found, reaction):
            found.edges.append(edge)
    for step in definition.steps.values():
        found.edges += _defaults(definition, found, step)
    if "end_compensating" in found.nodes:
        found.edges.append(Edge("end_compensating", found.node("end_compensated", "end", "compensated"), "all undone"))
    return found


def _about(definition: Definition, step: AnyStep) -> Iterator[str]:
    yield step.name
    yield step.command.__name__ + (", one run for each" if step.each is not None else "")
    limits = [f"within {_span(step.within)}"] if isinstance(step.within, timedelta) else []
    attempts = definition.retry_of(step).attempts
    limits += [f"{attempts} attempts"] if attempts > 1 else []
    if limits:
        yield ", ".join(limits)


def _span(span: timedelta) -> str:
    for unit, size in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1))):
        if span >= size and not span % size:
            return f"{span // size} {unit}"
    return f"{span.total_seconds():g} s"


def _reaction(definition: Definition, found: Graph, reaction: Reaction) -> Iterator[Edge]:
    """Edges from what sets a reaction off to what it announces; by way of a choice where that is more than one thing."""
    targets = list(_targets(definition, found, reaction))
    if reaction.mark.kind == "undo":
        assert reaction.mark.step is not None
        yield from (Edge(f"step_{reaction.mark.step.name}", target, "undo", reaction.name, undo=True) for target in targets)
        return
    if not targets:
        return
    first = targets[0] if len(targets) == 1 else found.node(f"choice_{reaction.name}", "choice", reaction.name)
    for source, label, event in _sources(definition, found, reaction):
        yield Edge(source, first, label, reaction.name, event)
    if len(targets) > 1:
        yield from (Edge(first, target, "", reaction.name) for target in targets)


def _names_in(definition: Definition, reaction: Reaction) -> set[str]:
    """The names that a reaction's code uses, and those of the class's helpers that it calls: no annotation announces a deadline."""
    names: set[str] = set()
    todo: list[object] = [reaction.function]
    while todo:
        code = getattr(todo.pop(), "__code__", None)
        new = set(code.co_names) - names if code is not None else set()
        names |= new
        members = (getattr(definition.cls, name, None) for name in new)
        todo += [member for member in members if isfunction(member) and not hasattr(member, MARK)]
    return names


def _targets(definition: Definition, found: Graph, reaction: Reaction) -> Iterator[str]:
    for step in definition.steps.values():
        if step.command in reaction.announces:
            yield f"step_{step.name}"
    named = _names_in(definition, reaction)
    for name in definition.deadlines:
        if name in named:
            yield found.node(f"deadline_{name}", "deadline", name)
    for ending in ENDS:
        if ending in reaction.announces:
            yield _end(found, ending)


def _end(found: Graph, ending: type) -> str:
    return found.node(f"end_{ENDS[ending]}", "end", ENDS[ending])


def _sources(definition: Definition, found: Graph, reaction: Reaction) -> Iterator[tuple[str, str, str]]:
    """Where a reaction comes from: node, label of the edge, event type."""
    mark = reaction.mark
    if mark.join is not None:
        join = found.node(f"join_{reaction.name}", "join", mark.join.name)
        for step in mark.join.steps:
            found.edges.append(Edge(f"step_{step.name}", join, _names(step.done)))
        yield join, "", ""
    elif mark.deadline is not None:
        yield found.node(f"deadline_{mark.deadline.name}", "deadline", mark.deadline.name), "due", ""
    elif mark.step is not None:
        yield f"step_{mark.step.name}", "overdue", facts.StepOverdue.fact_type
    for event in reaction.events:
        yield from _from_event(definition, found, reaction, event)


def _from_event(definition: Definition, found: Graph, reaction: Reaction, event: type[Event]) -> Iterator[tuple[str, str, str]]:
    handled = definition.handled[event.message_type]
    for step in (*handled.done, *handled.failed):
        yield f"step_{step.name}", event.__name__, event.message_type
    if not handled.answers or reaction.mark.kind == "starts":
        after = f"after {reaction.mark.after.name}" if reaction.mark.after else ""
        yield found.node(f"event_{event.__name__}", "event", event.__name__), after, event.message_type


def _names(events: Iterable[type[Event]]) -> str:
    return " or ".join(event.__name__ for event in events)


def _defaults(definition: Definition, found: Graph, step: AnyStep) -> Iterator[Edge]:
    """What a step's own `then` and `otherwise` lead to, where no reaction does."""
    source = f"step_{step.name}"
    if type(step.then) in ENDS:
        for event in step.done:
            if definition.handled[event.message_type].reaction is None:
                yield Edge(source, _end(found, type(step.then)), event.__name__, "", event.message_type)
    if type(step.otherwise) in ENDS:
        end = _end(found, type(step.otherwise))
        for event in step.failed:
            if definition.handled[event.message_type].reaction is None:
                yield Edge(source, end, event.__name__, "", event.message_type)
        if isinstance(step.within, timedelta) and step.name not in definition.overdue:
            yield Edge(source, end, "overdue", "", facts.StepOverdue.fact_type)


@dataclass(frozen=True, slots=True)
class Path:
    """The nodes and edges that an instance went through."""

    nodes: frozenset[str]
    edges: frozenset[Edge]


def path(definition: Definition, drawn: Graph, records: Iterable[Record]) -> Path:
    """Where an instance went, from its records."""
    walk = _Walk(definition)
    for record in records:
        walk.add(read_fact(record))
    edges = {edge for edge in drawn.edges if walk.took(edge)}
    nodes = walk.nodes | {end for edge in edges for end in (edge.source, edge.target)}
    return Path(frozenset(nodes & drawn.nodes.keys()), frozenset(edges))


class _Walk:
    """What the facts say about edges: which led where, reaction by reaction."""

    def __init__(self, definition: Definition) -> None:
        self.nodes: set[str] = set()
        self._definition = definition
        self._led: set[tuple[str, str, str]] = set()  # reaction, event type, target
        self._ran: set[tuple[str, str]] = set()  # reaction, event type
        self._receipt: Receipt | None = None

    def add(self, fact: facts.Fact) -> None:
        match fact:
            case Receipt():
                self._receipt = fact
                self._ran |= {(name, self._event) for name in fact.reactions}
            case facts.StepStarted():
                self._lead(f"step_{fact.step}", self._definition.steps[fact.step].command if fact.step in self._definition.steps else None)
            case facts.CompensationStarted():
                self._lead("end_compensating", Compensate)
            case facts.Ended(status=status):
                self._lead(f"end_{status}", {"completed": Complete, "aborted": Abort}.get(status))
            case facts.JoinDecided(join=join, reached=True):
                self.nodes |= {f"join_{each.name}" for each in self._definition.joins if join_of(each).name == join}
            case _:
                pass

    @property
    def _event(self) -> str:
        fact = self._receipt
        return "" if fact is None else fact.fact_type if isinstance(fact, facts.StepOverdue) else fact.input.type

    def _lead(self, target: str, announced: type | None) -> None:
        self.nodes.add(target)
        ran = self._receipt.reactions if self._receipt else []
        by = [each.name for each in self._definition.reactions if each.name in ran and announced in each.announces]
        self._led |= {(name, self._event, target) for name in by or [""]}

    def took(self, edge: Edge) -> bool:
        if edge.target.startswith("join_"):
            return {edge.source, edge.target} <= self.nodes
        if edge.source == "end_compensating":
            return edge.target in self.nodes
        if edge.target.startswith("choice_"):
            return any(name == edge.reaction and edge.event in {"", event} for name, event in self._ran)
        return any(name == edge.reaction and target == edge.target and edge.event in {"", event} for name, event, target in self._led)
