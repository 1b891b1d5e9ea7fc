"""A plan as a graph: tensors, the steps that make them, and what reads what; as text for Graphviz too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeAlias

from fuse_ref.analysis.lengths import Fixed, Length
from fuse_ref.ir.nodes import Equation
from fuse_ref.ir.variables import reads
from fuse_ref.plan.steps import Plan, Route, Step
from fuse_ref.records import dataclass

__all__ = ["ROUTES", "Edge", "Graph", "Node", "graph_of", "to_dot"]

Kind: TypeAlias = Literal["given", "tensor", "export", "step"]

# Fill colours of steps by route, chosen to differ in lightness too.
ROUTES: Final[Mapping[Route, str]] = {
    "dense": "#a6cee3",
    "streaming": "#fdbf6f",
    "logical": "#b2df8a",
    "numeric": "#cab2d6",
    "host": "#e0e0e0",
}
_UNSUPPORTED: Final = "#c62828"  # the border of a step that cannot run


@dataclass(frozen=True, slots=True)
class Node:
    key: str  # unique in its graph: letters, digits and _
    kind: Kind
    label: str  # one line for a step, name and sizes for a tensor
    detail: str  # shown when the pointer rests on it
    route: Route | None = None  # of a step
    runs: bool = True  # False for a step that no engine can run yet


@dataclass(frozen=True, slots=True)
class Edge:
    tail: str  # key of a node
    head: str


@dataclass(frozen=True, slots=True)
class Graph:
    nodes: tuple[Node, ...]  # in the order in which the plan comes to them
    edges: tuple[Edge, ...]  # may hold cycles: recurrences and fixpoints read what they write

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes that occur, in the order of `ROUTES`."""
        found = {node.route for node in self.nodes}
        return tuple(route for route in ROUTES if route in found)


def graph_of(plan: Plan) -> Graph:
    """Every tensor that the plan touches, and a node for each definition in each step.

    A step that computes many tensors has as many nodes, all with its number, so that one sees which
    tensor needs which.
    """
    return _Builder(plan).graph()


class _Builder:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.program = plan.program
        self.nodes: dict[str, Node] = {}
        self.edges: dict[Edge, None] = {}
        self.tensors: dict[str, str] = {}  # name -> key

    def graph(self) -> Graph:
        for number, step in enumerate(self.plan.steps, 1):
            match step.kind:
                case "Store" | "Answer":
                    what = (
                        self.program.sinks[step.equations[0]].path
                        if step.kind == "Store"
                        else self.program.queries[step.equations[0]].text
                    )
                    self._step(number, step, f"{step.kind} {what}", step.reads, (), "")
                case _:
                    self._definitions(number, step)
        return Graph(tuple(self._ordered()), tuple(self.edges))

    def _ordered(self) -> Iterable[Node]:
        """Steps in their order, each after what it alone is given and before what it makes."""
        written = {edge.head for edge in self.edges if edge.tail.startswith("step")}
        before: dict[str, list[str]] = {}
        after: dict[str, list[str]] = {}
        for edge in self.edges:
            before.setdefault(edge.head, []).append(edge.tail)
            after.setdefault(edge.tail, []).append(edge.head)
        found: dict[str, None] = {}
        for key in self.nodes:
            if key.startswith("step"):
                found.update((tail, None) for tail in before.get(key, ()) if tail not in written)
                found[key] = None
                found.update((head, None) for head in after.get(key, ()))
        found.update((key, None) for key in self.nodes)
        return [self.nodes[key] for key in found]

    def _definitions(self, number: int, step: Step) -> None:
        """One node for each tensor that the step writes."""
        equations: dict[str, list[Equation]] = {}
        for position in step.equations:
            equation = self.program.equations[position]
            equations.setdefault(equation.target.tensor, []).append(equation)
        for name, own in equations.items():
            needed = [read.tensor for e in own for read in (*reads(e.body), *reads(e.target)) if read is not e.target]
            lines = "\n".join(e.span.text for e in own[:5]) + ("\n…" if len(own) > 5 else "")
            self._step(number, step, step.kind, dict.fromkeys(needed), (name,), lines)

    def _step(
        self, number: int, step: Step, what: str, needed: Iterable[str], writes: Iterable[str], text: str
    ) -> None:
        key = f"step_{number}_{len(self.nodes)}"
        detail = f"step {number}, {step.kind}, route {step.route}: {step.reason}"
        if step.unsupported:
            detail += f"\ncannot run yet: {step.unsupported}"
        if text:
            detail += f"\n{text}"
        tails = [self._tensor(name) for name in needed]
        self.nodes[key] = Node(key, "step", f"{number} {what}", detail, step.route, not step.unsupported)
        for tail in tails:
            self.edges[Edge(tail, key)] = None
        for name in writes:
            self.edges[Edge(key, self._tensor(name))] = None

    def _tensor(self, name: str) -> str:
        if name not in self.tensors:
            key = self.tensors[name] = f"tensor_{len(self.tensors)}"
            tensor = self.program.tensor(name)
            lengths = self.plan.shape(name)
            sizes = " × ".join(_size(length, axis) for length, axis in zip(lengths, tensor.axes, strict=True))
            given = name in (*self.plan.givens, *self.plan.parameters, *self.plan.weights)
            kind: Kind = "export" if name in self.program.exports else "given" if given else "tensor"
            role = {"param": "parameter", "free": "given or from the weight store", "source": "from a file"}
            detail = f"{name}: {role.get(tensor.role, tensor.role)}, {'bool' if tensor.boolean else tensor.dtype}"
            if tensor.axes:
                detail += f", axes {', '.join(tensor.axes)}"
            self.nodes[key] = Node(key, kind, f"{name}  {sizes}" if sizes else name, detail)
        return self.tensors[name]


def _size(length: Length, axis: str) -> str:
    return str(length.value) if isinstance(length, Fixed) else axis


def to_dot(graph: Graph) -> str:
    """The graph in Graphviz's language: ellipses are tensors, boxes are steps in the colour of their route."""
    lines = ["digraph plan {", "  rankdir=TB;", '  node [fontname="sans-serif", fontsize=11];']
    for node in graph.nodes:
        lines.append(f"  {node.key} [{_attributes(node)}];")
    lines.extend(f"  {edge.tail} -> {edge.head};" for edge in graph.edges)
    if graph.routes:
        lines.append('  subgraph cluster_legend { label="routes";')
        for route in graph.routes:
            lines.append(f'    legend_{route} [shape=box, style=filled, fillcolor="{ROUTES[route]}", label="{route}"];')
        lines.append("  }")
    return "\n".join([*lines, "}"])


def _attributes(node: Node) -> str:
    found = [f"label={_quoted(node.label)}", f"tooltip={_quoted(node.detail)}"]
    if node.route is not None:
        found += ["shape=box", "style=filled", f'fillcolor="{ROUTES[node.route]}"']
        found += [] if node.runs else [f'color="{_UNSUPPORTED}"']
    else:
        found += ["shape=ellipse"]
        found += {"export": ["penwidth=2"], "given": ["style=dashed"]}.get(node.kind, [])
    return ", ".join(found)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
