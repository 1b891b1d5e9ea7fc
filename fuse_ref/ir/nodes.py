"""The IR: what a program means. Every name is resolved and every projection is written out.

Plain frozen data: hashable and comparable; spans take no part in equality. No engine looks at text.
"""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias

from fuse_ref.ir.index import Index
from fuse_ref.records import dataclass
from fuse_ref.source import Span

__all__ = [
    "And",
    "ArrayLiteral",
    "Axis",
    "Call",
    "Case",
    "Comparator",
    "Compare",
    "DeclaredAxis",
    "Dtype",
    "Equation",
    "Expr",
    "FileContent",
    "Negate",
    "Not",
    "Number",
    "Operator",
    "Or",
    "Position",
    "Power",
    "Product",
    "ProgramIR",
    "Project",
    "Projector",
    "Query",
    "Read",
    "Role",
    "Sink",
    "SizeOrigin",
    "Sum",
    "SymbolValue",
    "Tensor",
]

Dtype: TypeAlias = Literal["float", "int64", "bool"]  # "float" is the precision of the run
Role: TypeAlias = Literal["input", "param", "free", "computed", "source"]
Operator: TypeAlias = Literal["=", "max=", "min=", "avg=", "prod="]  # "+=" is "="
Projector: TypeAlias = Literal["sum", "max", "min", "avg", "prod", "any"]  # "any" is OR
Comparator: TypeAlias = Literal["<", "<=", ">", ">=", "==", "!="]

# Expressions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number:
    value: int | float


@dataclass(frozen=True, slots=True)
class SymbolValue:
    """A symbol beside `==` or `!=`: stands for its position on the axis of the other side."""

    name: str
    variable: str  # the bare index it is compared with
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Position:
    """A bare index used as a value: the position itself."""

    variable: str
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Read:
    """An element of a tensor."""

    tensor: str
    indices: tuple[Index, ...]  # one per axis of the tensor
    boolean: bool  # written with parentheses: a truth value; with brackets: a number
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ArrayLiteral:
    """`const([[…]])` or a literal's right-hand side, flattened in C order."""

    values: tuple[int | float, ...]
    shape: tuple[int, ...]  # () for a scalar
    indices: tuple[Index, ...]  # how it is read; one per axis, () when it is a whole definition


@dataclass(frozen=True, slots=True)
class FileContent:
    """A source's right-hand side."""

    path: str
    key: str | None  # array inside .npz / .safetensors


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the library (a row of `ir.operations`)."""

    function: str
    arguments: tuple[Expr, ...]  # all of the row's arguments, defaults filled in
    axis: str | None  # the variable that a function along an axis works on
    options: tuple[tuple[str, str], ...]  # words, such as ("approximate", "tanh"); sorted by name
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Sum:
    terms: tuple[Expr, ...]  # at least two; a subtracted term is Negate
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Product:
    """All `factors` multiplied, then divided by every one of `divisors`."""

    factors: tuple[Expr, ...]  # may be empty: then the numerator is 1
    divisors: tuple[Expr, ...]
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Negate:
    operand: Expr


@dataclass(frozen=True, slots=True)
class Power:
    base: Expr
    exponent: Expr


@dataclass(frozen=True, slots=True)
class Compare:
    operator: Comparator
    left: Expr
    right: Expr
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Not:
    operand: Expr


@dataclass(frozen=True, slots=True)
class And:
    operands: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Or:
    operands: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Case:
    branches: tuple[tuple[Expr, Expr], ...]  # (condition, value), the first that holds counts
    default: Expr


@dataclass(frozen=True, slots=True)
class Project:
    """An explicit projection: `body` over all positions of `variables`, combined by `operator`."""

    operator: Projector
    variables: tuple[str, ...]  # not empty
    body: Expr
    span: Span | None = field(default=None, compare=False, repr=False)


Expr: TypeAlias = (
    Number
    | SymbolValue
    | Position
    | Read
    | ArrayLiteral
    | FileContent
    | Call
    | Sum
    | Product
    | Negate
    | Power
    | Compare
    | Not
    | And
    | Or
    | Case
    | Project
)

# The program ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SizeOrigin:
    """Why an axis has the size it has: one line of an error message."""

    size: int
    reason: str  # "axis d = 64", "param W", "literal W", "sizes={'d': 64}"
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Axis:
    """A union of positions that plain variables join, over the whole program."""

    name: str  # unique in the program; the letter it is most often read by
    size: int | None  # fixed by a declaration, a literal or a source; None while open
    least: int  # facts and constant indices on left-hand sides need this many positions
    symbols: tuple[str, ...] | None  # in position order; None on an axis of positions
    letters: tuple[str, ...]  # without primes: of the plain variables that read it; what `axis d = 64` matches
    stepped: bool  # some equation reads or writes it at variable +- constant, or virtually
    origins: tuple[SizeOrigin, ...] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    axes: tuple[str, ...]  # names of Axis, one per position; () is a scalar
    boolean: bool
    dtype: Dtype
    role: Role
    operator: Operator  # of its definitions; "=" for inputs, params and free tensors
    virtual: int | None  # the position that is a stream's, or None
    initialiser: tuple[str, tuple[int | float, ...]] | None  # of a param: ("normal", (0.0, 1.0)); None: default
    letters: tuple[str, ...]  # the variables of its `input` or `param` line; () without one
    span: Span | None = field(default=None, compare=False, repr=False)  # declaration or first use


@dataclass(frozen=True, slots=True)
class Equation:
    """One definition of one tensor.

    Under "=" every variable of `body` that is free in it stands in the target, or is bound by a
    Project. Under the other operators the variables that the target lacks are projected once,
    last, by the operator itself.
    """

    target: Read  # boolean as written on the left-hand side
    operator: Operator
    body: Expr
    kind: Literal["equation", "fact", "literal", "source"]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Query:
    target: Read
    text: str  # as printed: the key of an answer
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Sink:
    path: str
    key: str | None
    variables: tuple[str, ...]  # axes of the written array, in order of appearance
    body: Expr
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class DeclaredAxis:
    """One item of an `axis` line; exactly one of size and symbols is given."""

    letter: str
    size: int | None
    symbols: tuple[str, ...] | None  # in position order
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ProgramIR:
    declared: tuple[DeclaredAxis, ...]  # text order
    axes: tuple[Axis, ...]
    tensors: tuple[Tensor, ...]  # inputs and params as declared, then in order of first use in the equations
    constants: tuple[tuple[str, int | float], ...]  # text order; inlined everywhere, and scalar literals too
    equations: tuple[Equation, ...]  # text order
    sinks: tuple[Sink, ...]
    queries: tuple[Query, ...]
    exports: tuple[str, ...]  # text order; the default applied when there is no export line

    def tensor(self, name: str) -> Tensor:
        """The tensor called `name`; KeyError when there is none."""
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        raise KeyError(name)
