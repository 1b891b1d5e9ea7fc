"""First look at a program: what each name is, every reference with its indices understood."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fuse_ref.language import syntax_tree as tree
from tests.support.oracle.errors import OracleError
from tests.support.oracle.functions import FUNCTION_NAMES, LEAVES, number_of
from tests.support.oracle.references import (
    Affine,
    FromEnd,
    Gather,
    Index,
    Quotient,
    Read,
    SliceIndex,
    Symbol,
)

__all__ = ["Definition", "Loaded", "children", "free_variables", "is_variable", "walk", "whole_number"]


@dataclass
class Definition:
    """One equation, fact, literal, source or sink; `number` is its place in the text."""

    number: int
    target: Read
    operator: str
    body: tree.Expression
    kind: str  # equation | fact | literal | source | sink
    normalised: str | None = None


@dataclass
class Loaded:
    """Everything that the later stages ask about the text."""

    constants: dict[str, int | float] = field(default_factory=dict)
    definitions: list[Definition] = field(default_factory=list)
    sinks: list[tuple[str, Definition]] = field(default_factory=list)
    declared: list[tuple[int, Read, bool]] = field(default_factory=list)  # (statement, reference, is param)
    axis_sizes: dict[str, int] = field(default_factory=dict)
    axis_symbols: list[tuple[int, str, tuple[str, ...]]] = field(default_factory=list)
    queries: list[Read] = field(default_factory=list)
    exports: list[str] = field(default_factory=list)
    ranks: dict[str, int] = field(default_factory=dict)
    boolean: dict[str, bool] = field(default_factory=dict)
    operators: dict[str, str] = field(default_factory=dict)
    virtual: dict[str, int] = field(default_factory=dict)  # tensor -> position of its stream index

    def computed(self) -> list[str]:
        return list(dict.fromkeys(item.target.tensor for item in self.definitions))

    def is_tensor(self, name: str) -> bool:
        return name in self.ranks

    def number(self, expression: tree.Expression) -> int | float | None:
        """The value of a scalar of numbers and constants, else None."""
        try:
            return number_of(expression, self.constants)
        except OracleError:
            return None

    def compared_symbol(self, expression: tree.Expression) -> tuple[str, str] | None:
        """(bare index, symbol) of a comparison such as `x == Alice`."""
        match expression:
            case tree.Compare(_, tree.Name(variable), tree.String(symbol)):
                return variable, symbol
            case tree.Compare(_, tree.String(symbol), tree.Name(variable)):
                return variable, symbol
            case _:
                return None

    # References ---------------------------------------------------------------------------------

    def target(self, target: tree.Target) -> Read:
        match target:
            case tree.Name(name):
                return Read(name, (), False)
            case tree.Reference(name, indices):
                return self._read(name, indices, boolean=False)
            case tree.Application(name, arguments):
                return self._read(name, arguments, boolean=True)

    def read(self, expression: tree.Expression) -> Read | None:
        """The tensor element that an expression reads, or None when it is something else."""
        match expression:
            case tree.Reference(name, indices):
                return self._read(name, indices, boolean=False)
            case tree.Application(name, arguments, ()) if self.is_relation(name):
                return self._read(name, arguments, boolean=True)
            case tree.Name(name) if name not in self.constants and self._is_scalar(name):
                return Read(name, (), False)
            case _:
                return None

    def is_relation(self, name: str) -> bool:
        return name not in FUNCTION_NAMES

    def _is_scalar(self, name: str) -> bool:
        return self.is_tensor(name) or not is_variable(name)

    def _read(self, name: str, indices: tuple[tree.Expression, ...], *, boolean: bool) -> Read:
        slices = 0
        converted: list[Index] = []
        virtual: int | None = None
        for place, index in enumerate(indices):
            if isinstance(index, tree.Slice):
                converted.append(self._slice(index, f":{slices}"))
                slices += 1
            else:
                if _has_virtual(index):
                    virtual = place
                converted.append(self.index(index))
        return Read(name, tuple(converted), boolean, virtual)

    def _slice(self, item: tree.Slice, variable: str) -> SliceIndex:
        def bound(part: tree.Expression | None) -> int | None:
            return None if part is None else whole_number(number_of(part, self.constants))

        step = bound(item.step)
        return SliceIndex(variable, bound(item.start), bound(item.stop), 1 if step is None else step)

    def index(self, expression: tree.Expression) -> Index:
        match expression:
            case tree.Negate(tree.Number(value)):
                return FromEnd(whole_number(value))
            case tree.String(text):
                return Symbol(text)
            case tree.Name(name) if name not in self.constants and not is_variable(name):
                return Symbol(name)
            case tree.Normalised(name):
                return Affine(((name, 1),), 0)
            case tree.Product(factors) if factors[-1][0] == "/" and self._index_number(expression) is None:
                left = factors[:-1]
                numerator = left[0][1] if len(left) == 1 else tree.Product(left, expression.span)
                divisor = self._index_number(factors[-1][1])
                if divisor is None:
                    raise OracleError(f"divisor of an index is not a constant: {expression}")
                return Quotient(self._affine(numerator), whole_number(divisor))
            case _:
                gather = self._gather(expression)
                return gather if gather is not None else self._affine(expression)

    def _gather(self, expression: tree.Expression) -> Gather | None:
        match expression:
            case tree.Reference() | tree.Application():
                read = self.read(expression)
                return None if read is None else Gather(read, 0)
            case tree.Sum(terms):
                reads = [(sign, self.read(term)) for sign, term in terms if isinstance(term, tree.Reference)]
                if not reads:
                    return None
                offset = 0
                for sign, term in terms:
                    if not isinstance(term, tree.Reference):
                        value = whole_number(number_of(term, self.constants))
                        offset += value if sign == "+" else -value
                if len(reads) != 1 or reads[0][0] != "+" or reads[0][1] is None:
                    raise OracleError(f"gather that is not a tensor plus a constant: {expression}")
                return Gather(reads[0][1], offset)
            case _:
                return None

    def _index_number(self, expression: tree.Expression) -> int | float | None:
        # In an index a lower-case name is a variable even when a constant has its name.
        capitalised = {name: value for name, value in self.constants.items() if not is_variable(name)}
        try:
            return number_of(expression, capitalised)
        except OracleError:
            return None

    def _affine(self, expression: tree.Expression) -> Affine:
        terms, offset = self._combination(expression)
        return Affine(tuple((name, factor) for name, factor in terms.items() if factor), offset)

    def _combination(self, expression: tree.Expression) -> tuple[dict[str, int], int]:
        number = self._index_number(expression)
        if number is not None:
            return {}, whole_number(number)
        match expression:
            case tree.Name(name) if is_variable(name):
                return {name: 1}, 0
            case tree.Virtual(name):
                return {name: 1}, 0
            case tree.Negate(operand):
                terms, offset = self._combination(operand)
                return {name: -factor for name, factor in terms.items()}, -offset
            case tree.Sum(parts):
                total: dict[str, int] = {}
                constant = 0
                for sign, part in parts:
                    factor = 1 if sign == "+" else -1
                    terms, offset = self._combination(part)
                    constant += factor * offset
                    for name, coefficient in terms.items():
                        total[name] = total.get(name, 0) + factor * coefficient
                return total, constant
            case tree.Product(factors) if all(operator == "*" for operator, _ in factors):
                scale = 1
                inner: tuple[dict[str, int], int] | None = None
                for _, factor in factors:
                    value = self._index_number(factor)
                    if value is not None:
                        scale *= whole_number(value)
                    elif inner is None:
                        inner = self._combination(factor)
                    else:
                        raise OracleError(f"product of two variables in an index: {expression}")
                assert inner is not None
                return {name: scale * factor for name, factor in inner[0].items()}, scale * inner[1]
            case _:
                raise OracleError(f"index that the oracle does not know: {expression}")

    def reads_in(self, expression: tree.Expression) -> Iterator[Read]:
        """Every read of an expression, those inside gathers included, in text order."""
        read = self.read(expression)
        if read is not None:
            yield from read.all_reads()
            return
        for child in children(expression):
            yield from self.reads_in(child)


# Helpers ----------------------------------------------------------------------------------------


def is_variable(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last[0] == "_" or last[0].islower()


def whole_number(value: int | float) -> int:
    if int(value) != value:
        raise OracleError(f"{value} is not an integer")
    return int(value)


def _has_virtual(expression: tree.Expression) -> bool:
    return isinstance(expression, tree.Virtual) or any(_has_virtual(child) for child in children(expression))


def children(expression: tree.Expression) -> tuple[tree.Expression, ...]:
    """The expressions directly inside one, in text order; indices of references are not among them."""
    match expression:
        case tree.Application(_, arguments, keywords):
            return (*arguments, *(value for _, value in keywords))
        case tree.Projection(_, _, body):
            return (body,)
        case tree.Case(branches, default):
            parts = [part for branch in branches for part in branch]
            return tuple(parts) if default is None else (*parts, default)
        case tree.Array(items):
            return items
        case tree.Sum(terms):
            return tuple(term for _, term in terms)
        case tree.Product(factors):
            return tuple(factor for _, factor in factors)
        case tree.Negate(operand) | tree.Not(operand):
            return (operand,)
        case tree.Power(base, exponent):
            return (base, exponent)
        case tree.Compare(_, left, right):
            return (left, right)
        case tree.And(operands) | tree.Or(operands):
            return operands
        case _:
            return ()


def walk(expression: tree.Expression) -> Iterator[tree.Expression]:
    """An expression and all below it, in text order; a symbol beside a comparison is left to its Compare."""
    yield expression
    for child in children(expression):
        yield from walk(child)


def free_variables(loaded: Loaded, expression: tree.Expression, bound: frozenset[str] = frozenset()) -> Iterator[str]:
    """Variables that the expression needs from outside, in order of appearance, repeats included."""
    read = loaded.read(expression)
    if read is not None:
        yield from (name for name in read.variables() if name not in bound)
        return
    match expression:
        case tree.Name(name) if is_variable(name) and name not in loaded.constants:
            if name not in bound:
                yield name
        case tree.Projection(_, variables, body):
            yield from free_variables(loaded, body, bound | frozenset(variables))
        case tree.Application(name, arguments, keywords):
            named = {key: value.name for key, value in keywords if isinstance(value, tree.Name)}
            made = [named[key] for key in ("rows", "axis") if key in named]
            if name in LEAVES or name == "cross_entropy":
                bound, made = bound | frozenset(made), []
            for argument in [*arguments, *(value for key, value in keywords if key not in ("rows", "axis"))]:
                # Indices that concat flattens are renamed with "@" (resolve.py) and stay inside.
                yield from (v for v in free_variables(loaded, argument, bound) if name != "concat" or "@" not in v)
            yield from (name for name in made if name not in bound)
        case _:
            for child in children(expression):
                yield from free_variables(loaded, child, bound)
