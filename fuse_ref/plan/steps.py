"""The plan: what the three engines execute. Ordered steps; dense ones hold straight-line operations.

Operations work on named values, each assigned once. A value is an array; `labels` name its
dimensions, in order, within one equation (they are that equation's variables), and `lengths` are
their sizes. Operands say by which labels they are read, so an engine never needs to know an axis:
an operand's dimensions are aligned to the output by label.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from fuse_ref.analysis.lengths import Length
from fuse_ref.ir.nodes import Dtype, ProgramIR
from fuse_ref.relations.rules import Rule
from fuse_ref.source import Span

__all__ = [
    "Along",
    "Attention",
    "Concat",
    "ConcatPart",
    "Contract",
    "Contraction",
    "Convolve",
    "DenseOperation",
    "Expand",
    "Index",
    "Iota",
    "LiteralArray",
    "Map",
    "Operand",
    "Output",
    "Permute",
    "Plan",
    "RangeCheck",
    "ReadIndex",
    "Reduce",
    "Saving",
    "Shape",
    "SizeCheck",
    "Step",
    "Whole",
    "Window",
    "Write",
    "WriteIndex",
]

StepKind: TypeAlias = Literal["Load", "Store", "Dense", "Recurrence", "Fixpoint", "Relation", "Answer"]
Route: TypeAlias = Literal["host", "dense", "streaming", "logical", "numeric"]


@dataclass(frozen=True, slots=True)
class Operand:
    """A value as one operation reads it: plainly, each dimension by one label, labels distinct."""

    value: str
    labels: tuple[str, ...]  # len == ndim of the value


@dataclass(frozen=True, slots=True)
class Output:
    """What every operation makes."""

    out: str  # name of the value; a tensor's name when it is the tensor itself
    labels: tuple[str, ...]  # one per dimension
    lengths: tuple[Length, ...]  # aligned with labels
    dtype: Dtype


@dataclass(frozen=True, slots=True)
class LiteralArray:
    """An array written in the program."""

    output: Output
    values: tuple[int | float, ...]  # C order


@dataclass(frozen=True, slots=True)
class Iota:
    """0, 1, 2, …: the positions of one variable, in the run's precision."""

    output: Output  # exactly one label


@dataclass(frozen=True, slots=True)
class ReadIndex:
    """Position along one source dimension: (sum of coefficient * label + offset + gathered) // divisor, floored."""

    terms: tuple[tuple[str, int], ...]  # labels of the output; () reads one constant position
    offset: Length
    inside: bool  # proven to lie within the source; else positions outside read 0
    divisor: int = 1
    gather: Operand | None = None  # int64 positions to add; its labels are labels of the output
    words: tuple[str, str] = ("", "")  # of a gather, for errors: the tensor it picks from, the index as written


@dataclass(frozen=True, slots=True)
class Index:
    """A read that is not plain: diagonals, constants, shifts, strides, windows, reversals, gathers.

    Where one index gathers, each of the others shares a label with a gathered one, or reads its whole
    dimension by a label of its own.
    """

    output: Output  # labels: the distinct variables of `indices`, in order of first appearance
    source: str
    indices: tuple[ReadIndex, ...]  # one per source dimension


@dataclass(frozen=True, slots=True)
class Map:
    """An elementwise function of aligned operands; each output label is in some operand.

    `function` is a name of `ir.operations`: an elementwise row of CATALOGUE or one of OPERATORS.
    """

    output: Output
    function: str
    operands: tuple[Operand | int | float, ...]  # in the function's argument order
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Along:
    """A function along one axis: kinds along_axis (keeps it) and reduce_axis (drops it)."""

    output: Output
    function: str
    operands: tuple[Operand | int | float, ...]
    axis: str  # label; in every operand, except class targets
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Whole:
    """A function of an array as a whole: every element of the result depends on all of the operand's."""

    output: Output  # labels: the operand's, in any order
    function: str  # a row of CATALOGUE of this kind
    operand: Operand
    numbers: tuple[int | float, ...]  # its other arguments


@dataclass(frozen=True, slots=True)
class Contract:
    """Product of two operands, summed over the labels that the output lacks."""

    output: Output
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Reduce:
    """Projection of one operand onto the output's labels (in the output's order)."""

    output: Output
    operator: Literal["sum", "max", "min", "avg", "prod", "any"]
    operand: Operand


@dataclass(frozen=True, slots=True)
class Permute:
    """The operand's dimensions in the output's order, nothing else; may share memory."""

    output: Output
    operand: Operand


@dataclass(frozen=True, slots=True)
class Expand:
    """The operand repeated along the output's labels that it lacks."""

    output: Output
    operand: Operand


@dataclass(frozen=True, slots=True)
class WriteIndex:
    """Position along one target dimension: (sum of coefficient * label + offset + gathered) // divisor, floored."""

    terms: tuple[tuple[str, int], ...]  # () writes one constant position
    offset: Length
    divisor: int
    gather: Operand | None = None  # int64 positions to add; its labels are labels of what is written
    words: tuple[str, str] = ("", "")  # as of a ReadIndex


@dataclass(frozen=True, slots=True)
class Write:
    """Values put at computed positions of a new array of `output.lengths`.

    Positions outside are dropped, positions that nothing reaches hold the operator's neutral
    element, positions reached more than once combine by the operator.
    """

    output: Output  # labels are made up, one per target dimension
    operator: Literal["sum", "max", "min", "prod"]
    operand: Operand
    indices: tuple[WriteIndex, ...]  # one per target dimension


@dataclass(frozen=True, slots=True)
class ConcatPart:
    """What stands at some positions of a concatenated axis."""

    operand: Operand  # its labels: the output's but the axis, and `along`
    along: tuple[str, ...]  # labels that become positions of the axis, the first slowest; () is one position


@dataclass(frozen=True, slots=True)
class Concat:
    """Parts one after another along `axis`."""

    output: Output
    parts: tuple[ConcatPart, ...]  # at least one, in order; their positions add up to the axis's length
    axis: str  # label of the output


@dataclass(frozen=True, slots=True)
class Window:
    """One moving dimension of a convolution.

    The output's position `place` and the filter's `tap` meet at the image's position
    stride * place + dilation * tap + offset.
    """

    source: str  # label of the image's dimension, of nothing else
    place: str  # label of the output
    tap: str  # label of the filter; summed
    stride: int  # >= 1
    dilation: int  # != 0; where it is negative, the filter runs backwards
    offset: Length
    inside: bool  # proven to lie within the image; else positions outside read 0


@dataclass(frozen=True, slots=True)
class Convolve:
    """A windowed read times a filter, summed over the taps and whatever else the output lacks.

    Made by a pass, never by lowering. Labels of neither window have the roles that they have in a Contract:
    in image, filter and output they are groups; in image and filter channels that are summed; the output's
    others are the image's batch and the filter's channels.
    """

    output: Output  # float
    image: Operand
    filter: Operand
    windows: tuple[Window, ...]  # one to three


@dataclass(frozen=True, slots=True)
class Attention:
    """The softmax over `axis` of scale * query * key + bias, times value, summed over `axis`.

    Made by a pass, never by lowering. Labels of query and key that neither the output nor another operand
    has are summed in their product; all others but `axis` are the output's.
    """

    output: Output  # float
    query: Operand  # not along `axis`
    key: Operand
    value: Operand
    axis: str  # label of the positions that are attended to
    scale: float
    bias: Operand | None  # float, added to the scaled products
    keep: Operand | None  # bool: positions where it is false get no weight
    causal: str  # without `keep`: the label of rows p of which only `axis` <= p is kept; "" keeps all
    # What comes where `keep` leaves nothing: 0, the plain mean of the values, or NaN.
    empty: Literal["zero", "mean", "nan"]


DenseOperation: TypeAlias = (
    LiteralArray
    | Iota
    | Index
    | Map
    | Along
    | Whole
    | Contract
    | Reduce
    | Permute
    | Expand
    | Write
    | Concat
    | Convolve
    | Attention
)


@dataclass(frozen=True, slots=True)
class Contraction:
    """The chosen pairwise order of one product, for `explain`."""

    tensor: str
    expression: str  # "ij,jk,kl->il"
    path: tuple[tuple[int, int], ...]  # opt_einsum positions
    flops: int
    largest: int  # elements of the largest intermediate
    assumed: tuple[str, ...]  # open variables whose size was a hint


@dataclass(frozen=True, slots=True)
class Step:
    kind: StepKind
    equations: tuple[int, ...]  # positions in program.equations; sinks and queries for Store and Answer
    reads: tuple[str, ...]
    writes: tuple[str, ...]  # of a Store: the name its operations give what is written; () writes reads[0]
    route: Route
    reason: str  # why this route, a clause: "acyclic, numeric head"
    operations: tuple[DenseOperation, ...] = ()  # Dense (and Store of an expression) only
    contractions: tuple[Contraction, ...] = ()
    rules: tuple[Rule, ...] = ()  # Relation, Fixpoint with the route "logical"
    flops: int = 0  # with open sizes at their hints
    largest: int = 0  # elements of the largest value
    unsupported: str = ""  # why no engine can run this step yet; "" when they can
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class SizeCheck:
    """A given tensor's extent must equal (or reach) a length that something else fixes."""

    tensor: str
    position: int
    axis: str
    relation: Literal["==", ">="]
    expected: Length
    reason: str  # where `expected` comes from: "B (line 3)", "axis d = 64 (line 1)"
    span: Span | None = field(default=None, compare=False, repr=False)  # where the tensor is declared, else first used
    code: str = "FUSE150"  # the row of mistakes whose words an error takes
    words: tuple[tuple[str, str], ...] = ()  # fill the row's sentence
    values: tuple[tuple[str, Length], ...] = ()  # likewise, evaluated when the error is raised
    # For ">=": lengths of which the longest sets `expected`, each with the place it comes from.
    candidates: tuple[tuple[str, Length], ...] = ()


@dataclass(frozen=True, slots=True)
class RangeCheck:
    """A length that must not be negative: below 0, a read never fits or two computed lengths differ.

    It is not always the range itself: an empty given tensor makes a range empty, and is no mistake.
    """

    variable: str
    length: Length
    reason: str  # "Image[x+dx, y+dy] fits at no x"
    span: Span | None = field(default=None, compare=False, repr=False)
    code: str = "FUSE153"  # the row of mistakes whose words an error takes
    words: tuple[tuple[str, str], ...] = ()  # fill the row's sentence
    values: tuple[tuple[str, Length], ...] = ()  # likewise, evaluated when the error is raised


@dataclass(frozen=True, slots=True)
class Shape:
    tensor: str
    lengths: tuple[Length, ...]


@dataclass(frozen=True, slots=True)
class Saving:
    """What one pass did at one place, with open sizes at their hints."""

    name: str  # of the pass
    tensor: str  # whose computation changed
    what: str  # "Image * Filter as a convolution over x, y"
    flops: int  # saved; may be 0
    bytes: int  # of intermediates that are no longer made, at 4 bytes an element; may be 0


@dataclass(frozen=True, slots=True)
class Plan:
    program: ProgramIR
    steps: tuple[Step, ...]
    shapes: tuple[Shape, ...]  # of every tensor
    size_checks: tuple[SizeCheck, ...]  # in the order they are to be made, before any step
    range_checks: tuple[RangeCheck, ...]  # after the size checks
    givens: tuple[str, ...]  # declared inputs in text order, then free tensors: values of each call
    parameters: tuple[str, ...]  # `param` tensors in text order
    sources: tuple[str, ...]  # tensors read from files
    weights: tuple[str, ...]  # free tensors that the weight store has: not in givens
    sizes: tuple[tuple[str, int], ...]  # the axis declarations that sizes= added
    hints: tuple[tuple[str, int], ...]  # what open axes were assumed to be
    savings: tuple[Saving, ...] = ()  # what the passes changed, in their order

    def shape(self, tensor: str) -> tuple[Length, ...]:
        """The lengths of `tensor`, one per axis."""
        for item in self.shapes:
            if item.tensor == tensor:
                return item.lengths
        raise KeyError(tensor)

    def __str__(self) -> str:
        # Imported here because the table is made from the classes above.
        from fuse_ref.plan.text import plan_table

        return plan_table(self)
