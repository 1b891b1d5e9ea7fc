"""The syntax tree: what was written, before it is known what it means.

Frozen data. A span never takes part in equality, so `parse(print(tree)) == tree`.
A chain that was written without parentheses is one n-ary node (`a b / c`, `a + b - c`, `a, b`);
a parenthesised chain inside another is a nested node. That keeps exactly the parentheses that
the projection rules of the language (docs/language.md, section 4) look at.
"""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias

from fuse_ref.records import dataclass
from fuse_ref.source import Span

__all__ = [
    "And",
    "Application",
    "Array",
    "AxisDeclaration",
    "AxisItem",
    "Case",
    "Compare",
    "Equation",
    "Export",
    "Expression",
    "Fact",
    "Function",
    "Import",
    "Inlined",
    "Input",
    "Module",
    "Name",
    "Negate",
    "Normalised",
    "Not",
    "Number",
    "Or",
    "Param",
    "Power",
    "Product",
    "Projection",
    "Query",
    "Reference",
    "Sink",
    "Slice",
    "Statement",
    "String",
    "Sum",
    "Target",
    "Virtual",
]

# Expressions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number:
    value: int | float  # an int exactly when it was written without point and exponent
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class String:
    value: str  # escapes resolved
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A bare name: an index variable, a tensor, a constant or a symbol. May be qualified (`nn.head`)."""

    name: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Virtual:
    """`*t`, only as an index or inside one (`*t+1`)."""

    name: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Normalised:
    """`p'.`, only as a whole index on a left-hand side."""

    name: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Slice:
    """`start:stop:step`, only as a whole index; a missing part is None."""

    start: Expression | None
    stop: Expression | None
    step: Expression | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Reference:
    """`T[i, j]`."""

    name: str
    indices: tuple[Expression, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Application:
    """`name(…)`: a relation's atom or a function's call; which one is known from the whole program."""

    name: str
    arguments: tuple[Expression, ...]
    keywords: tuple[tuple[str, Expression], ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Projection:
    """`sum(i, j: body)` and its kin."""

    operator: Literal["sum", "max", "min", "avg", "prod"]
    variables: tuple[str, ...]
    body: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Case:
    branches: tuple[tuple[Expression, Expression], ...]  # (condition, value) in text order
    default: Expression | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Array:
    """`[a, [b, c]]` as written: items are arrays, or signed numbers, or constants' names."""

    items: tuple[Expression, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Sum:
    """`a + b - c` as one chain; at least two terms. A lone `-a` is Negate."""

    terms: tuple[tuple[Literal["+", "-"], Expression], ...]  # the first sign is always "+"
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Product:
    """`a b * c / d` as one chain, left to right; juxtaposition and `*` are the same; at least two."""

    factors: tuple[tuple[Literal["*", "/"], Expression], ...]  # the first is always "*"
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Negate:
    operand: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Power:
    base: Expression
    exponent: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Compare:
    operator: Literal["<", "<=", ">", ">=", "==", "!="]
    left: Expression
    right: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Not:
    operand: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class And:
    """`a and b`, in rule bodies also `a, b`; at least two."""

    operands: tuple[Expression, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Or:
    operands: tuple[Expression, ...]  # at least two
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Inlined:
    """A call of one of the program's own functions with its body put in; no text is read as this."""

    own: tuple[str, ...]  # variables of the body alone: summed inside it; not empty
    body: Expression
    span: Span = field(compare=False, repr=False)


Expression: TypeAlias = (
    Number
    | String
    | Name
    | Virtual
    | Normalised
    | Slice
    | Reference
    | Application
    | Projection
    | Case
    | Array
    | Sum
    | Product
    | Negate
    | Power
    | Compare
    | Not
    | And
    | Or
    | Inlined
)

# A left-hand side is `Y` (Name), `Y[i]` (Reference) or `Y(x)` (Application without keywords).
Target: TypeAlias = Name | Reference | Application

# Statements -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Equation:
    """`Y[i] = …`, `Y[i] max= …`, `Aunt(x, z) <- …`, `W = [1, 2]`, `L = 4`, `W[i, j] = "w.npy"`.

    What kind it is (rule, fact, literal, source, constant) is decided from target and body later.
    """

    target: Target
    operator: Literal["=", "+=", "max=", "min=", "avg=", "prod="]  # "<-" and ":-" are "="
    body: Expression
    arrow: bool  # written with "<-" or ":-": printed with "<-"
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Fact:
    """`Parent(Alice, Bob)` or `X(1)` as a whole statement."""

    target: Application
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Sink:
    """`"runs/out.npz" = Y[i]`."""

    path: str
    body: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Query:
    """`Ancestor(Alice, x)?` or `Y?`."""

    target: Target
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Export:
    names: tuple[str, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class AxisItem:
    """`d = 64`, `d = 2 * L` or `x = {Ann, "New York"}`; exactly one of size and symbols is given."""

    name: str
    size: Expression | None
    symbols: tuple[str, ...] | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class AxisDeclaration:
    items: tuple[AxisItem, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Input:
    """`input X[b, p]: int64`, `input Edge(x, y)`."""

    target: Target
    dtype: str | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Param:
    """`param W[o, d] ~ xavier()`; without an initialiser `initialiser` is None."""

    target: Name | Reference
    initialiser: Application | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Function:
    """`fn head(Q[p, k], K[q, k]) = …`."""

    name: str
    parameters: tuple[Name | Reference | Application, ...]
    body: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Import:
    path: str
    alias: str | None
    span: Span = field(compare=False, repr=False)


Statement: TypeAlias = Equation | Fact | Sink | Query | Export | AxisDeclaration | Input | Param | Function | Import


@dataclass(frozen=True, slots=True)
class Module:
    """A whole file, statements in text order."""

    statements: tuple[Statement, ...]
