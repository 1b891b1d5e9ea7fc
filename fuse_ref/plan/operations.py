"""Dense operations: what a plan's dense steps hold, in straight lines. Engines have a line for each.

Operations work on named values, each assigned once. A value is an array; `labels` name its
dimensions, in order, within one equation (they are that equation's variables), and `lengths` are
their sizes. Operands say by which labels they are read, so an engine never needs to know an axis:
an operand's dimensions are aligned to the output by label.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from fuse_ref.analysis.lengths import Length
from fuse_ref.ir.nodes import Dtype
from fuse_ref.records import dataclass

__all__ = [
    "Aggregate",
    "Along",
    "Attention",
    "Concat",
    "ConcatPart",
    "Contract",
    "Convolve",
    "DenseOperation",
    "Expand",
    "Index",
    "InnerMap",
    "InnerValue",
    "Iota",
    "LiteralArray",
    "Map",
    "Operand",
    "Output",
    "Permute",
    "Ratio",
    "ReadIndex",
    "Reduce",
    "Sample",
    "Whole",
    "Window",
    "Write",
    "WriteIndex",
]


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


@dataclass(frozen=True, slots=True)
class InnerValue:
    """A value that there is one of for each tuple: operand `number`, or after these inner operation `number`."""

    number: int


@dataclass(frozen=True, slots=True)
class InnerMap:
    """An elementwise function of values of each tuple."""

    function: str  # as in Map
    arguments: tuple[InnerValue | int | float, ...]
    dtype: Dtype
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Values of the tuples of a relation, combined: what each tuple gives comes to where its own positions say.

    An operand's labels among `columns` are looked up at the positions of each tuple; its others are dense. A
    tuple's value is the product of all operands (1 without any), or the last of `inner` where there are some.
    Labels that the output lacks are combined by the operator; where no tuple comes to, it has the operator's
    neutral element. The cost follows the number of tuples: no array has two of `columns` but operands and the output.
    """

    output: Output  # float
    operator: Literal["sum", "max", "min", "prod"]
    relation: str  # a tensor, or a relation that a step before makes
    columns: tuple[str, ...]  # the label of each argument of the relation, distinct
    operands: tuple[Operand, ...]
    inner: tuple[InnerMap, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """Combinations of positions drawn without replacement from all those of some variables.

    Which ones is decided by integers alone, `fuse_ref.evaluate.permutation`: equal on every engine.
    """

    output: Output  # int64, (variables, samples); at most as many samples as there are combinations
    seed: Operand  # two whole numbers of 31 bits; its one label stands nowhere else
    ranges: tuple[Length, ...]  # how many positions each variable has, one per row of the output
    stream: int  # 31 bits: samples of other streams are independent


@dataclass(frozen=True, slots=True)
class Ratio:
    """One number: a product of lengths, divided by another length; 0 where both are 0."""

    output: Output  # float, without labels
    numerator: tuple[Length, ...]
    denominator: Length


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
    | Aggregate
    | Sample
    | Ratio
)
