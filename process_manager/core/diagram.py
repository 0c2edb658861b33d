"""A definition drawn, as Mermaid for a README and as DOT; with the path that an instance took."""

from collections.abc import Iterable
from dataclasses import replace

from process_manager.core.definition import Definition
from process_manager.core.graph import Edge, Graph, Node, Path, Shape, graph, path
from process_manager.core.records import Record

_MERMAID: dict[Shape, tuple[str, str]] = {
    "event": ("([", "])"),
    "step": ("[", "]"),
    "undo": ("[", "]"),
    "join": ("{{", "}}"),
    "choice": ("{", "}"),
    "deadline": ("[/", "/]"),
    "end": ("((", "))"),
}
_DOT: dict[Shape, str] = {
    "event": 'shape=box, style="rounded"',
    "step": "shape=box",
    "undo": 'shape=box, style="dashed"',
    "join": "shape=hexagon",
    "choice": "shape=diamond",
    "deadline": "shape=parallelogram",
    "end": "shape=doublecircle",
}
_ENTITIES = str.maketrans({"#": "#35;", "&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;"})
_TAKEN = "#1a7f37"


def mermaid(definition: Definition, taken: Iterable[Record] | None = None) -> str:
    """A Mermaid flowchart; `taken` are the records of an instance whose path is highlighted."""
    drawn, went = _drawn(definition, taken)
    lines = ["flowchart TD", *(f"    {_mermaid_node(node)}" for node in drawn.nodes.values())]
    lines += [f"    {_mermaid_edge(edge)}" for edge in drawn.edges]
    undo = [node.id for node in drawn.nodes.values() if node.shape == "undo"]
    if undo:
        lines += ["    classDef undo stroke-dasharray: 4 3", f"    class {','.join(undo)} undo"]
    if went.nodes:
        lines += [f"    classDef taken stroke:{_TAKEN},stroke-width:3px", f"    class {','.join(sorted(went.nodes))} taken"]
    numbers = [str(number) for number, edge in enumerate(drawn.edges) if edge in went.edges]
    if numbers:
        lines.append(f"    linkStyle {','.join(numbers)} stroke:{_TAKEN},stroke-width:3px")
    return "\n".join(lines) + "\n"


def dot(definition: Definition, taken: Iterable[Record] | None = None) -> str:
    """A Graphviz digraph; `taken` are the records of an instance whose path is highlighted."""
    drawn, went = _drawn(definition, taken)
    lines = [f"digraph {quoted(definition.name)} {{", "    node [fontname=Helvetica];", "    edge [fontname=Helvetica];"]
    lines += [f"    {_dot_node(node, highlighted=node.id in went.nodes)}" for node in drawn.nodes.values()]
    lines += [f"    {_dot_edge(edge, highlighted=edge in went.edges)}" for edge in drawn.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _drawn(definition: Definition, taken: Iterable[Record] | None) -> tuple[Graph, Path]:
    """The graph with one arrow between any two nodes, and the path through it."""
    whole = graph(definition)
    went = path(definition, whole, taken or ())
    drawn = Graph(whole.nodes)
    edges: set[Edge] = set()
    for same in _alike(whole.edges):
        labels = dict.fromkeys(edge.label for edge in same if edge.label)
        drawn.edges.append(replace(same[0], label=" or ".join(labels)))
        edges |= {drawn.edges[-1]} if went.edges.intersection(same) else set()
    return drawn, Path(went.nodes, frozenset(edges))


def _alike(edges: Iterable[Edge]) -> list[list[Edge]]:
    found: dict[tuple[str, str, bool], list[Edge]] = {}
    for edge in edges:
        found.setdefault((edge.source, edge.target, edge.undo), []).append(edge)
    return list(found.values())


def _mermaid_node(node: Node) -> str:
    opening, closing = _MERMAID[node.shape]
    text = "<br/>".join(map(html, node.lines))
    return f'{node.id}{opening}"{text}"{closing}'


def _mermaid_edge(edge: Edge) -> str:
    arrow = "-.->" if edge.undo else "-->"
    label = f'|"{html(edge.label)}"|' if edge.label else ""
    return f"{edge.source} {arrow}{label} {edge.target}"


def html(text: str) -> str:
    """Text with Mermaid's entity codes for what it would read as its own."""
    return text.translate(_ENTITIES)


def _dot_node(node: Node, *, highlighted: bool) -> str:
    return f"{node.id} [label={quoted(*node.lines)}, {_DOT[node.shape]}{_colour(highlighted=highlighted)}];"


def _dot_edge(edge: Edge, *, highlighted: bool) -> str:
    style = ", style=dashed" if edge.undo else ""
    return f"{edge.source} -> {edge.target} [label={quoted(edge.label)}{style}{_colour(highlighted=highlighted)}];"


def _colour(*, highlighted: bool) -> str:
    return f', color="{_TAKEN}", penwidth=3' if highlighted else ""


def quoted(*lines: str) -> str:
    """Lines as one string of DOT."""
    escaped = [line.replace("\\", "\\\\").replace('"', '\\"') for line in lines]
    return '"' + "\\n".join(escaped) + '"'
