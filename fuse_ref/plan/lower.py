"""Dense equations as operations: what one tensor's definitions compute, and where they write it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fuse_ref.analysis.lengths import Fixed, Length, linear
from fuse_ref.analysis.shapes import ScopeShapes
from fuse_ref.analysis.words import index_text
from fuse_ref.ir.index import Affine, FromEnd, Gather, Index, Quotient, SliceIndex, Symbol, Virtual
from fuse_ref.ir.nodes import ArrayLiteral, Dtype, Equation, Expr, Sink
from fuse_ref.ir.operations import NEUTRAL
from fuse_ref.ir.variables import index_variables
from fuse_ref.plan.aggregates import Combination, average, combination
from fuse_ref.plan.expressions import Expressions
from fuse_ref.plan.facts import lower_facts
from fuse_ref.plan.references import Tensors, position_of, read_tensor, slice_start
from fuse_ref.plan.sampling import sums_of
from fuse_ref.plan.steps import LiteralArray, Output, Write, WriteIndex
from fuse_ref.plan.values import COMBINE, WRITE, Builder, Lowered, Unsupported, Value
from fuse_ref.records import dataclass

__all__ = ["Definition", "lower_sink", "lower_table", "lower_tensor"]


@dataclass(frozen=True, slots=True)
class Definition:
    """One equation of a tensor with the ranges of its variables."""

    equation: Equation
    shapes: ScopeShapes


def lower_tensor(
    name: str,
    definitions: Sequence[Definition],
    tensors: Tensors,
    estimate: Callable[[Length], int],
    *,
    called: str = "",
) -> Builder:
    """The operations that compute the tensor `name` from `definitions`, all of them or some.

    Args:
        called: the name of the result where it is not the tensor's own.

    Raises:
        Unsupported: an engine cannot run it yet.
    """
    builder = Builder(called or name)
    return _Tensor(name, tensors, estimate, builder).lower(definitions)


def lower_sink(
    name: str, sink: Sink, shapes: ScopeShapes, tensors: Tensors, estimate: Callable[[Length], int]
) -> Builder:
    """The operations that compute the array a sink writes, under `name`, axes as `sink.variables`."""
    builder = Builder(name)
    builder.begin(shapes.ranges, sink.variables)
    lowered = builder.number(Expressions(builder, tensors, shapes, estimate).lower(sink.body))
    value = lowered if isinstance(lowered, Value) else builder.literal(lowered, "float")
    value = builder.expand(value, sink.variables)
    builder.finish(value, sink.variables, tuple(shapes.ranges[v] for v in sink.variables), name)
    return builder


def lower_table(
    name: str,
    body: Expr,
    variables: tuple[str, ...],
    shapes: ScopeShapes,
    tensors: Tensors,
    estimate: Callable[[Length], int],
) -> Builder:
    """The operations that compute the truth of `body` for all positions of `variables`, under `name`."""
    builder = Builder(name)
    builder.begin(shapes.ranges, variables)
    truth = builder.truth(Expressions(builder, tensors, shapes, estimate).lower(body))
    value = truth if isinstance(truth, Value) else builder.literal(truth, "bool")
    value = builder.expand(value, variables)
    builder.finish(value, variables, tuple(shapes.ranges[v] for v in variables), name)
    return builder


class _Tensor:
    def __init__(self, name: str, tensors: Tensors, estimate: Callable[[Length], int], builder: Builder) -> None:
        self.name = name
        self.tensors = tensors
        self.estimate = estimate
        self.builder = builder
        self.lengths = tensors.shapes[name]
        self.spec = tensors.specs[name]
        self.dtype: Dtype = tensors.dtypes[name]
        self.labels: tuple[str, ...] = ()  # of the tensor's dimensions, once all equations are combined

    def lower(self, definitions: Sequence[Definition]) -> Builder:
        facts = [d for d in definitions if d.equation.kind == "fact"]
        others = [d for d in definitions if d.equation.kind != "fact"]
        operator = self.spec.operator
        self.labels = self._labels(others)
        if operator == "avg=" and (len(definitions) > 1 or not self._direct(definitions[0])):
            pieces = [self._placed(self._combination(d, count=True), d) for d in others]
            if facts:
                pieces.insert(0, lower_facts(self, facts))
            self._begin_whole()
            return self._finish(average(self.builder, pieces))
        parts = [self._place(self._combination(d).value, d) for d in others]
        if facts:
            parts.insert(0, lower_facts(self, facts)[0])
        self._begin_whole()
        # `Y[n, d] += 0` beside other equations only names axes.
        kept = [part for part in parts if isinstance(part, Value) or part != NEUTRAL[operator]]
        result, *rest = kept or parts[:1] or [NEUTRAL[operator]]
        for part in rest:
            result = self.builder.arithmetic(COMBINE[operator], (result, part))
        return self._finish(result)

    def _begin_whole(self) -> None:
        """From here on labels are those of the tensor's own dimensions."""
        self.builder.begin(dict(zip(self.labels, self.lengths, strict=True)), self.labels)

    def _labels(self, definitions: Sequence[Definition]) -> tuple[str, ...]:
        """The variables of the first equation; made-up ones where some equation writes computed positions.

        Then they must not be taken for the equation's own, which run over other lengths.
        """
        if definitions and all(self._direct(definition) for definition in definitions):
            for definition in definitions:
                labels = _plain(definition.equation.target.indices)
                if len(labels) == len(self.lengths):
                    return labels
        return tuple(f"{position}" for position in range(len(self.lengths)))

    def _direct(self, definition: Definition) -> bool:
        """Whether the left-hand side is distinct variables that run over the whole axes."""
        equation = definition.equation
        if equation.kind == "literal":
            return self._literal_lengths(equation) == self.lengths
        labels = _plain(equation.target.indices)
        return (
            len(labels) == len(self.lengths)
            and len(set(labels)) == len(labels)
            and tuple(definition.shapes.ranges[v] for v in labels) == self.lengths
        )

    @staticmethod
    def _literal_lengths(equation: Equation) -> tuple[Length, ...]:
        assert isinstance(equation.body, ArrayLiteral)
        return tuple(Fixed(size) for size in equation.body.shape)

    # One equation ---------------------------------------------------------------------------------

    def _combination(self, definition: Definition, *, count: bool = False) -> Combination:
        equation, shapes = definition.equation, definition.shapes
        self.builder.begin(shapes.ranges, target_variables(equation.target.indices))
        if equation.kind == "literal":
            return Combination(self._literal(equation), 1)
        whole = self.dtype == "int64"
        samples = sums_of(
            self.tensors.sampling, self.name, self.spec.operator, self.dtype, equation.body, self.tensors.sparse
        )
        expressions = Expressions(self.builder, self.tensors, shapes, self.estimate, whole=whole, samples=samples)
        target = target_variables(equation.target.indices)
        return combination(expressions, equation, self.spec.operator, target, count=count)

    def _literal(self, equation: Equation) -> Value:
        body = equation.body
        assert isinstance(body, ArrayLiteral)
        lengths = self._literal_lengths(equation)
        labels = self.labels if self._direct_literal(lengths) else tuple(f"{k}" for k in range(len(lengths)))
        values = tuple(int(v > 0) for v in body.values) if self.dtype == "bool" else body.values
        return self.builder.add(LiteralArray(Output("", labels, lengths, self.dtype), values))

    def _direct_literal(self, lengths: tuple[Length, ...]) -> bool:
        return lengths == self.lengths

    def _placed(self, found: Combination, definition: Definition) -> tuple[Lowered, Lowered]:
        """A combination's value (and count) where the left-hand side puts it, under the tensor's labels."""
        return self._place(found.value, definition), self._place(found.count, definition)

    def _place(self, lowered: Lowered, definition: Definition) -> Lowered:
        equation = definition.equation
        if self._direct(definition):
            if equation.kind == "literal" or not isinstance(lowered, Value):
                return lowered
            own = dict(zip(_plain(equation.target.indices), self.labels, strict=True))
            return replace(lowered, labels=tuple(own[label] for label in lowered.labels))
        lowered = self.builder.number(lowered)
        value = lowered if isinstance(lowered, Value) else self.builder.literal(lowered, self._number_type())
        if equation.kind == "literal":
            indices = tuple(WriteIndex(((label, 1),), Fixed(0), 1) for label in value.labels)
            self.builder.ranges = dict(zip(value.labels, self._literal_lengths(equation), strict=True))
        else:
            value = self.builder.expand(value, target_variables(equation.target.indices))
            targets = enumerate(equation.target.indices)
            indices = tuple(self._write_index(k, index, definition.shapes) for k, index in targets)
        output = Output("", self.labels, self.lengths, value.dtype)
        return self.builder.add(Write(output, WRITE[self.spec.operator], value.operand, indices))

    def _number_type(self) -> Dtype:
        return "float" if self.dtype == "bool" else self.dtype

    def _write_index(self, position: int, index: Index, shapes: ScopeShapes) -> WriteIndex:
        length = self.lengths[position]
        match index:
            case Affine(terms, offset):
                return WriteIndex(terms, Fixed(offset), 1)
            case Quotient(Affine(terms, offset), divisor):
                return WriteIndex(terms, Fixed(offset), divisor)
            case FromEnd(distance):
                return WriteIndex((), linear([(length, 1)], -distance), 1)
            case Symbol(name):
                axis = self.tensors.axes[self.spec.axes[position]]
                return WriteIndex((), Fixed(position_of(name, axis)), 1)
            case SliceIndex(variable, start, _, step):
                return WriteIndex(((variable, step),), slice_start(start, length), 1)
            case Gather(read, offset):
                positions = read_tensor(self.builder, self.tensors, shapes, read).operand
                return WriteIndex((), Fixed(offset), 1, positions, (self.name, index_text(index)))
            case Virtual(variable, _):
                raise Unsupported(f"{self.name} is a stream along *{variable}, and streams do not run yet")

    def _finish(self, lowered: Lowered) -> Builder:
        builder = self.builder
        if not isinstance(lowered, Value):
            value = builder.literal(lowered, self.dtype)
        elif self.dtype == "bool":
            truth = builder.truth(lowered)
            assert isinstance(truth, Value)
            value = truth
        elif self.dtype == "int64" and lowered.dtype == "float":
            # Of an index that `cast` makes: whole numbers already.
            value = builder.map("cast", (lowered,), "int64", (("dtype", "int64"),))
        elif self.dtype == "float" and lowered.dtype != "float":
            value = builder.map("to_number", (lowered,), "float")
        else:
            value = lowered
        value = builder.expand(value, self.labels)
        builder.finish(value, self.labels, self.lengths, builder.name)
        return builder


def _plain(indices: tuple[Index, ...]) -> tuple[str, ...]:
    return tuple(i.variable for i in indices if isinstance(i, Affine) and i.variable is not None)


def target_variables(indices: tuple[Index, ...]) -> tuple[str, ...]:
    """The distinct variables of a left-hand side, those inside gathers included."""
    stored = (index for index in indices if not isinstance(index, Virtual))
    return tuple(dict.fromkeys(variable for index in stored for variable in index_variables(index)))
