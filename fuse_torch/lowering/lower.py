"""A plan as one straight-line FX graph of torch operations: inputs and parameters come in, outputs go out."""

from __future__ import annotations

from typing import assert_never

import torch
from torch.fx import Graph, GraphModule, Node

from fuse_ref.analysis.lengths import Length
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.densely import runs_densely
from fuse_ref.evaluate.logic import LogicCall, relations_of
from fuse_ref.ir.nodes import Dtype
from fuse_ref.plan.finiteness import finite_checks
from fuse_ref.plan.steps import (
    Aggregate,
    Along,
    Attention,
    Concat,
    Contract,
    Convolve,
    DenseOperation,
    Expand,
    Index,
    Iota,
    LiteralArray,
    Map,
    Permute,
    Plan,
    Ratio,
    Reduce,
    Sample,
    Step,
    Whole,
    Write,
)
from fuse_torch.logic.crossing import Form
from fuse_torch.logic.view import view_of
from fuse_torch.lowering.aggregate import lower_aggregate
from fuse_torch.lowering.along import lower_along
from fuse_torch.lowering.attention import lower_attention
from fuse_torch.lowering.concatenation import lower_concat
from fuse_torch.lowering.contract import Bias, biases, lower_contract
from fuse_torch.lowering.convolution import lower_convolution
from fuse_torch.lowering.emitter import Emitter, Value, identifier
from fuse_torch.lowering.fixpoint import lower_fixpoint
from fuse_torch.lowering.indexing import lower_index
from fuse_torch.lowering.logical import Logic
from fuse_torch.lowering.loop import lower_limits, lower_loop
from fuse_torch.lowering.lowered import PRECISION, Lowered, Slot, carried_slots
from fuse_torch.lowering.marks import Marks
from fuse_torch.lowering.needed import extents, needed_for, restricted
from fuse_torch.lowering.operations import lower_map
from fuse_torch.lowering.outputs import independent_outputs
from fuse_torch.lowering.recurrent import lower_recurrence
from fuse_torch.lowering.reduce import lower_expand, lower_permute, lower_reduce
from fuse_torch.lowering.routed import lower_stream, why_native
from fuse_torch.lowering.sampling import lower_ratio, lower_sample
from fuse_torch.lowering.whole import lower_whole
from fuse_torch.lowering.writing import lower_write

__all__ = ["PRECISION", "Lowered", "Slot", "graph_module", "literal_tensor", "lower", "lower_one"]


def lower(
    plan: Plan,
    outputs: tuple[str, ...],
    taken: frozenset[str] = frozenset(),
    config: ExecutionConfig | None = None,
    *,
    form: Form = "dense",
    inline: bool = False,
) -> Lowered:
    """The graph that computes `outputs`, tensors or values of `plan`, in that order.

    Attributes of the graph get names that are not in `taken`.

    Args:
        config: what limits relations; the defaults where there is none.
        form: of relations among the outputs.
        inline: numbers of the program stand in the graph, which then needs no attributes but arrays for them.

    Every node is a call into torch, so the graph runs where Fuse is not installed. Nodes are named
    after the tensors they compute; their meta has `fuse_tensor`, `fuse_lengths` (formulas of the sizes)
    and `fuse_span` (where it stands in the program); `fuse_result` marks the node that is the tensor itself.
    """
    return _Lowering(plan, outputs, taken, config or ExecutionConfig(), form, inline).run()


def lower_one(emit: Emitter, operation: DenseOperation) -> Value:
    """Writes one operation that is no literal: those are attributes of the graph."""
    value = _lower_one(emit, operation)
    output = operation.output
    if isinstance(operation, Index | Permute | Expand):
        source = operation.source if isinstance(operation, Index) else operation.operand.value
        value = Value(value.node, value.lengths, emit.values[source].dtype)
        if source in emit.positions:
            emit.positions.add(output.out)
    if output.out in emit.positions and "~" not in output.out:
        emit.positions.discard(output.out)
        return Value(emit.floating(value.node, value.dtype), value.lengths, output.dtype)
    return value


def _lower_one(emit: Emitter, operation: DenseOperation) -> Value:
    match operation:
        case LiteralArray():
            raise AssertionError("a literal is an attribute")
        case Iota():
            # Whole numbers until they meet a tensor: in bfloat16, 300 and 301 are one number.
            emit.positions.add(operation.output.out)
            node = emit.arange(emit.size(operation.output.lengths[0]), "int64")
            return Value(node, operation.output.lengths, "int64")
        case Index():
            return lower_index(emit, operation)
        case Map():
            return lower_map(emit, operation)
        case Along():
            return lower_along(emit, operation)
        case Concat():
            return lower_concat(emit, operation)
        case Whole():
            return lower_whole(emit, operation)
        case Contract():
            return lower_contract(emit, operation)
        case Reduce():
            return lower_reduce(emit, operation)
        case Permute():
            return lower_permute(emit, operation)
        case Expand():
            return lower_expand(emit, operation)
        case Write():
            return lower_write(emit, operation)
        case Convolve():
            return lower_convolution(emit, operation)
        case Attention():
            return lower_attention(emit, operation)
        case Aggregate():
            return lower_aggregate(emit, operation)
        case Sample():
            return lower_sample(emit, operation)
        case Ratio():
            return lower_ratio(emit, operation)
        case _:
            assert_never(operation)


class _Lowering:
    def __init__(
        self,
        plan: Plan,
        outputs: tuple[str, ...],
        taken: frozenset[str],
        config: ExecutionConfig,
        form: Form,
        inline: bool,
    ) -> None:
        self.view = view_of(plan)
        self.plan = self.view.plan
        self.config = config
        self.form = form
        self.inline = inline
        self.taken = set(taken)
        self.outputs = outputs
        self.graph = Graph()
        self.emit = Emitter(self.graph)
        self.tensors = {tensor.name: tensor for tensor in plan.program.tensors}
        self.marks = Marks(plan)
        self.finite = finite_checks(plan)
        self.literals: dict[str, LiteralArray] = {}
        self.sources: dict[str, str] = {}
        self.listed: set[str] = set()
        self.fresh: list[Node] = []  # made since the last tensor was finished

    def run(self) -> Lowered:
        plan = self.plan
        givens = tuple(self._placeholder(name) for name in plan.givens)
        states = tuple(self._placeholder(name) for name in (*plan.parameters, *plan.weights))
        carried = tuple(slot for stream in plan.streams for slot in carried_slots(self.emit, plan, stream))
        relations = relations_of(plan)
        for name in plan.sources:
            wanted = f"_source_{identifier(name)}"
            self.sources[self._attribute(name, wanted, plan.shape(name), self.tensors[name].dtype)] = name
            if name in relations:
                self._listed(name)
        needs_precision = self._set_reference([*states, *givens])
        needed = needed_for(plan, self.outputs)
        for operation in (item for _, operations in needed.operations for item in operations):
            if isinstance(operation, LiteralArray) and not self._inlined(operation):
                output = operation.output
                wanted = f"_literal_{identifier(output.out)}"
                self.literals[self._attribute(output.out, wanted, output.lengths, output.dtype)] = operation
        self.emit.anchor = list(self.graph.nodes)[-1]
        if runs_densely(self.config):
            made = {name for position in needed.steps for name in plan.steps[position].writes}
            truths = [tensor.name for tensor in plan.program.tensors if tensor.boolean and tensor.name in made]
            lower_limits(self.emit, plan, truths, self.config.dense_limit)
        logic = Logic(self.emit, self.view, needed, self.outputs, self.form, self.config)
        for part in logic.parts():
            if isinstance(part, LogicCall):
                logic.call(part)
            elif isinstance(part, Step) and part.recurrence is not None:
                stream = why_native(plan, part, self.config)
                if isinstance(stream, str):
                    lower_recurrence(self.emit, plan, part, lower_one)
                else:
                    lower_stream(self.emit, plan, part, stream, _alone)
            elif isinstance(part, Step) and part.route == "numeric":
                lower_fixpoint(self.emit, plan, part, lower_one, self.config)
            elif isinstance(part, Step):
                lower_loop(self.emit, plan, part, lower_one)
            else:
                self._step(part[1])
        results = independent_outputs(self.emit, [self._output(name) for name in self.outputs])
        single = len(results) == 1
        self.graph.output(results[0] if single else dict(zip(self.outputs, results, strict=True)))
        self.graph.eliminate_dead_code()
        used = {slot.tensor.name for slot in givens if slot.node.users}
        shapes = {item.tensor: item.lengths for item in plan.shapes}
        for name in self.outputs:
            lengths = shapes[name] if name in shapes else self.emit.values[name].lengths
            used.update(*(extents(length) for length in lengths))
        used.update(name for s in plan.streams for length in s.lengths for name in extents(length))
        plan = restricted(plan, used)
        for slot in givens:
            if slot.tensor.name not in plan.givens:
                self.graph.erase_node(slot.node)
        givens = tuple(slot for slot in givens if slot.tensor.name in plan.givens)
        self.graph.lint()
        used = {str(node.target) for node in self.graph.nodes if node.op == "get_attr"}
        return Lowered(
            plan=plan,
            graph=self.graph,
            givens=givens,
            states=states,
            literals=tuple((name, item) for name, item in self.literals.items() if name in used),
            sources=tuple((name, tensor) for name, tensor in self.sources.items() if name in used),
            outputs=self.outputs,
            needs_precision=needs_precision and PRECISION in used,
            checked=self.view.checked(plan),
            handles=tuple(name for name in self.view.handles if name in plan.givens),
            listed=frozenset(name for name in self.listed if name in used),
            carried=carried,
        )

    def _output(self, name: str) -> Node:
        tuples = self.emit.tuples.get(name) if self.form == "tuples" else None
        return self.emit.values[name].node if tuples is None else tuples

    # What comes in -----------------------------------------------------------------------------

    def _placeholder(self, name: str) -> Slot:
        tensor = self.tensors[name]
        wanted = identifier(name)
        node = self.graph.create_node("placeholder", wanted, name=wanted)
        node.target = node.name  # a name that Python has a meaning for was changed
        self.marks.put(node, name)
        if name in self.view.handles:
            self.emit.handles[name] = node
        else:
            self.emit.define(name, Value(node, self.plan.shape(name), tensor.dtype))
        return Slot(tensor, node.name, node)

    def _attribute(self, name: str, wanted: str, lengths: tuple[Length, ...], dtype: Dtype) -> str:
        """A tensor that the graph's owner holds, as value `name`."""
        attribute = self._unused(wanted)
        node = self.graph.get_attr(attribute)
        node._rename(identifier(name))
        self.marks.put(node, name)
        self.emit.define(name, Value(node, lengths, dtype))
        return attribute

    def _unused(self, wanted: str) -> str:
        attribute, count = wanted, 1
        while attribute in self.taken:
            count += 1
            attribute = f"{wanted}_{count}"
        self.taken.add(attribute)
        return attribute

    def _listed(self, name: str) -> None:
        """The tuples of a relation of a file, beside its truth values: the graph keeps what it uses."""
        attribute = self._unused(f"_tuples_{identifier(name)}")
        node = self.graph.get_attr(attribute)
        self.marks.put(node, name)
        self.emit.tuples[name] = node
        self.sources[attribute] = name
        self.listed.add(attribute)

    def _set_reference(self, slots: list[Slot]) -> bool:
        """Choose the tensor that tells precision and device; whether it had to be an attribute of its own."""
        for slot in slots:
            if slot.tensor.dtype == "float":
                self.emit.reference = slot.node
                return False
        self.emit.reference = self.graph.get_attr(PRECISION)
        return True

    # Operations --------------------------------------------------------------------------------

    def _step(self, operations: tuple[DenseOperation, ...]) -> None:
        joined = biases(operations, frozenset({*self.outputs, *self.tensors}))
        for operation in operations:
            before = len(self.emit.created)
            value = self._value(operation, joined)
            if value is None:
                continue
            out = operation.output.out
            self.emit.define(out, value)
            self._note_checks(out)
            made = self.emit.created[before:]
            self.fresh.extend(made)
            if made and value.node is made[-1]:
                value.node._rename(identifier(out))
            if out in self.tensors:
                self._finish(out)
                value.node.meta["fuse_result"] = True

    def _note_checks(self, out: str) -> None:
        """What a checked run looks at, as meta of the nodes: positions of what makes `allowed` wrong come with them."""
        checks = [*self.finite.before.get(out, ())]
        if out in self.finite.after:
            checks.append(self.finite.after[out])
        for check in checks:
            node = self.emit.values[check.value].node
            holds = None if check.holds is None else self.emit.values[check.holds.value].node
            labels = () if check.holds is None else check.holds.labels
            entry = (check.tensor, check.words, check.allowed, holds, labels, check.labels)
            node.meta["fuse_finite"] = (*node.meta.get("fuse_finite", ()), entry)

    def _value(self, operation: DenseOperation, joined: dict[str, Bias]) -> Value | None:
        if isinstance(operation, LiteralArray):
            if self._inlined(operation):
                output = operation.output
                return Value(self.emit.full((), operation.values[0], output.dtype), (), output.dtype)
            return None  # an attribute of the graph since the start
        if isinstance(operation, Map):
            bias = next((item for item in joined.values() if item.addition is operation), None)
            if bias is not None:
                return self._with_bias(operation, bias)
        if isinstance(operation, Contract) and operation.output.out in joined:
            return None
        return lower_one(self.emit, operation)

    def _inlined(self, operation: LiteralArray) -> bool:
        return self.inline and not operation.output.lengths and operation.output.out not in self.tensors

    def _with_bias(self, operation: Map, bias: Bias) -> Value:
        value = lower_contract(self.emit, bias.contract, bias)
        return Value(value.node, operation.output.lengths, operation.output.dtype)

    # Where nodes come from ---------------------------------------------------------------------

    def _finish(self, tensor: str) -> None:
        for node in self.fresh:
            self.marks.put(node, tensor)
        self.fresh.clear()


def _alone(plan: Plan, outputs: tuple[str, ...]) -> Graph:
    """The graph of a part of a program, as torch's own."""
    return _Lowering(plan, outputs, frozenset(), ExecutionConfig(route="native"), "dense", True).run().graph


def literal_tensor(operation: LiteralArray, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """The array of a literal; `dtype` is the run's precision."""
    output = operation.output
    kinds = {"float": dtype, "int64": torch.int64, "bool": torch.bool}
    return torch.tensor(operation.values, dtype=kinds[output.dtype]).reshape(shape)


def graph_module(lowered: Lowered, buffers: dict[str, torch.Tensor]) -> GraphModule:
    """The graph as a module of its own, with `buffers` (literals, sources, precision) in it."""
    owner = torch.nn.Module().eval()  # a graph of its own is an evaluation until its owner says .train()
    for name, tensor in buffers.items():
        owner.register_buffer(name, tensor)
    module = GraphModule(owner, lowered.graph, class_name="FuseGraph")
    # GraphModule copies only what the graph reads; meta of nodes stays with the graph.
    return module
