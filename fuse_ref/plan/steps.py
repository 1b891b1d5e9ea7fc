"""The plan: what the three engines execute. Ordered steps; dense ones hold the operations of `operations`."""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias

from fuse_ref.analysis.lengths import Length
from fuse_ref.ir.nodes import Dtype, ProgramIR
from fuse_ref.plan.operations import (
    Aggregate,
    Along,
    Attention,
    Concat,
    ConcatPart,
    Contract,
    Convolve,
    DenseOperation,
    Expand,
    Index,
    InnerMap,
    InnerValue,
    Iota,
    LiteralArray,
    Map,
    Operand,
    Output,
    Permute,
    Ratio,
    ReadIndex,
    Reduce,
    Sample,
    Whole,
    Window,
    Write,
    WriteIndex,
)
from fuse_ref.records import dataclass
from fuse_ref.relations.rules import Literal as RuleLiteral
from fuse_ref.relations.rules import Rule
from fuse_ref.relations.rules import Value as RuleValue
from fuse_ref.source import Span

__all__ = [
    "Aggregate",
    "Along",
    "Attention",
    "Carry",
    "Concat",
    "ConcatPart",
    "Condition",
    "Contract",
    "Contraction",
    "Contribution",
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
    "Plan",
    "RangeCheck",
    "Ratio",
    "ReadIndex",
    "Recurrence",
    "Reduce",
    "Route",
    "Sample",
    "SampledSum",
    "Saving",
    "Shape",
    "SizeCheck",
    "Slice",
    "Step",
    "Stream",
    "Whole",
    "Window",
    "Write",
    "WriteIndex",
]

StepKind: TypeAlias = Literal["Load", "Store", "Dense", "Recurrence", "Fixpoint", "Relation", "Answer"]
Route: TypeAlias = Literal["host", "dense", "streaming", "logical", "numeric"]


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
class Shape:
    tensor: str
    lengths: tuple[Length, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """A truth table that a dense step makes for rules, as explanations write it."""

    name: str
    variables: tuple[str, ...]  # its dimensions
    text: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """What an equation for numbers makes of relations, as explanations tell it: a sum, a count, a largest value."""

    tensor: str
    operator: str  # as written: "=", "max=", …
    terms: tuple[RuleValue, ...]  # of the element
    value: RuleValue | None  # that each combination contributes; None: 1
    body: tuple[RuleLiteral, ...]


@dataclass(frozen=True, slots=True)
class SampledSum:
    """A sum or an average that is estimated from some of its terms."""

    tensor: str  # in whose equation it stands
    operator: Literal["sum", "avg"]
    variables: tuple[str, ...]
    ranges: tuple[Length, ...]  # of the variables: their product is the number of terms
    number: int  # terms that are drawn, where there are more
    # Values of a plan that is made to tell errors, "" otherwise: over the drawn terms the sums of what they are,
    # of their squares, and of whether they count ("": all do).
    total: str = ""
    squares: str = ""
    counted: str = ""


@dataclass(frozen=True, slots=True)
class Slice:
    """What one step of a recurrence sees of a value outside: one position along one of its dimensions."""

    name: str  # in the body; the dimensions of `value` without this one, in their order
    value: str
    dimension: int
    start: Length  # the position that the first step sees; the next ones follow in the recurrence's direction
    inside: bool  # every step's position is one of the value; else what lies outside is not used: any number will do


@dataclass(frozen=True, slots=True)
class Carry:
    """One tensor of a recurrence."""

    output: Output  # the tensor as a whole, under the name that it has outside
    dimension: int  # along which it is made
    own: str  # what the body calls this step's value; the dimensions of the tensor without that one
    backs: tuple[str, ...]  # what the body calls the values of 1, 2, ... steps before; "" where it reads none of them
    start: Length  # the position that the first step makes
    base: str  # a value of the tensor's shape that holds the positions that no step makes; "" where there is none
    neutral: float  # what they hold then. Steps before the first see it too, but 0 outside of the tensor
    kept: bool  # something outside reads the tensor; else no more is needed of it than the steps read


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Steps one after another along an axis: each computes one position of every tensor of the group.

    The body is steps of a plan, dense ones and recurrences along further axes. They read, each under its name: slices,
    what the steps before have made, and whole values from outside, which are the same in every step.
    """

    steps: Length  # how many; none where it is negative
    direction: Literal[1, -1]
    carries: tuple[Carry, ...]
    slices: tuple[Slice, ...]
    body: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream and the names of what a run takes and gives besides: its state, and what an export of it is.

    In the plan the value of a stream has its virtual index as a dimension like any other. It begins with the positions
    of the state, those before the first position first.

    A stream whose positions stand in an equation as numbers has another one beside it, `X~position`, that counts them:
    it is no tensor of the program.
    """

    tensor: str
    state: str  # given by each run: (positions, the other dimensions); "" where nothing of the past is ever read
    kept: str  # of the same shape, made by each run: the state that the next one goes on from
    fresh: str  # given: true where a run does not go on from another, so that fixed positions count; "" without such
    last: str  # made by each run where it is exported: the last position, without the virtual index; else ""
    lengths: tuple[Length, ...]  # of the state
    neutral: float  # what it holds where nothing was before
    dtype: Dtype


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
    sampled: tuple[SampledSum, ...] = ()
    rules: tuple[Rule, ...] = ()  # Relation, Fixpoint with the route "logical"
    tables: tuple[Condition, ...] = ()  # that the rules read
    contributions: tuple[Contribution, ...] = ()  # of dense steps that read relations
    relaxations: tuple[Aggregate, ...] = ()  # Fixpoint of max= or min= over relations: what each new value gives
    shapes: tuple[Shape, ...] = ()  # of relations that the planner made, which are no tensors of the program
    # Fixpoint with the route "dense" or "numeric": one round, `X~next` from `X`. Where there are relaxations, an
    # engine runs one or the other.
    loop: tuple[DenseOperation, ...] = ()
    recurrence: Recurrence | None = None  # of a Recurrence: how it moves, and what one of its steps computes
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
    streams: tuple[Stream, ...] = ()  # those that are computed

    def result(self, tensor: str) -> str:
        """The name of the value that an export of `tensor` is."""
        return next((stream.last or tensor for stream in self.streams if stream.tensor == tensor), tensor)

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
