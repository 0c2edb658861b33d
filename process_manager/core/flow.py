"""Which type of message directly follows which in a log, counted and timed; and the drawing of it."""

from dataclasses import dataclass
from datetime import timedelta

from process_manager.core.diagram import html, quoted
from process_manager.core.readable import span

START, END = "(start)", "(end)"
"""Stand before the first message of a case, and behind the last one."""


@dataclass(frozen=True, slots=True)
class Node:
    """A type of messages, and how many there are."""

    type: str
    count: int
    command: bool


@dataclass(frozen=True, slots=True)
class Follows:
    """How often one type came directly after another in a case, and how long after it, in seconds."""

    before: str
    after: str
    count: int
    median: float | None  # None at the start and the end
    p90: float | None


@dataclass(frozen=True, slots=True)
class Flow:
    """The flow of a log. A case is the messages that share a correlation id."""

    cases: int
    nodes: list[Node]
    follows: list[Follows]

    def frequent(self, least: int) -> "Flow":
        """The flow without what came less often than `least`, and without types that then follow nothing and lead to nothing."""
        follows = [each for each in self.follows if each.count >= least]
        named = {type_ for each in follows for type_ in (each.before, each.after)}
        return Flow(self.cases, [node for node in self.nodes if node.type in named], follows)


def mermaid(flow: Flow) -> str:
    """A Mermaid flowchart: events are round, commands are square."""
    ids = _ids(flow)
    lines = ["flowchart TD", *(f"    {ids[name]}(({name.strip('()')}))" for name in _borders(flow))]
    for node in flow.nodes:
        opening, closing = ("[", "]") if node.command else ("([", "])")
        lines.append(f'    {ids[node.type]}{opening}"{html(node.type)}<br/>{node.count:,}"{closing}')
    lines += [f'    {ids[each.before]} -->|"{_label(each)}"| {ids[each.after]}' for each in flow.follows]
    return "\n".join(lines) + "\n"


def dot(flow: Flow) -> str:
    """A Graphviz digraph: events are round, commands are square."""
    ids = _ids(flow)
    lines = ["digraph flow {", "    node [fontname=Helvetica];", "    edge [fontname=Helvetica];"]
    lines += [f"    {ids[name]} [label={name.strip('()')}, shape=circle];" for name in _borders(flow)]
    for node in flow.nodes:
        style = "" if node.command else ', style="rounded"'
        lines.append(f"    {ids[node.type]} [label={quoted(node.type, f'{node.count:,}')}, shape=box{style}];")
    lines += [f"    {ids[each.before]} -> {ids[each.after]} [label={quoted(_label(each))}];" for each in flow.follows]
    return "\n".join([*lines, "}"]) + "\n"


def _ids(flow: Flow) -> dict[str, str]:
    return {START: "start", END: "finish"} | {node.type: f"n{number}" for number, node in enumerate(flow.nodes)}


def _borders(flow: Flow) -> list[str]:
    return [name for name in (START, END) if any(name in {each.before, each.after} for each in flow.follows)]


def _label(follows: Follows) -> str:
    return f"{follows.count:,}" + ("" if follows.median is None else f", {span(timedelta(seconds=follows.median))}")
