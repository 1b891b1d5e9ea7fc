"""What each name of a program stands for, known before any equation is read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from fuse_ref.errors import FuseError
from fuse_ref.ir.operations import ALIASES, CATALOGUE, REGISTERED, Operation, row_of
from fuse_ref.language import syntax_tree as tree
from fuse_ref.mistakes import mistake
from fuse_ref.source import Span

__all__ = ["Names", "collect_names", "is_variable"]

# Functions whose calls the IR turns into other nodes, so that they are in no catalogue.
_EXPANDED = (
    "const",
    "mse",
    "attention",
    "sum",
    "max",
    "min",
    "avg",
    "prod",
)


def is_variable(name: str) -> bool:
    """Whether a name in an index is a variable: it begins with `_` or a lower-case letter."""
    return name[0] == "_" or name.rpartition(".")[2][:1].islower()


@dataclass
class Names:
    constants: dict[str, int | float] = field(default_factory=dict)
    # Constants whose defining statement is also the tensor's only one: name -> that statement.
    constant_statements: dict[str, tree.Equation] = field(default_factory=dict)
    defined: dict[str, Span] = field(default_factory=dict)  # by an equation or a fact; first place
    declared: dict[str, Span] = field(default_factory=dict)  # by `input` or `param`
    referenced: dict[str, Span] = field(default_factory=dict)  # read with indices somewhere; first place

    def is_tensor(self, name: str) -> bool:
        return name in self.defined or name in self.declared

    def function(self, name: str) -> Operation | None:
        """The library's row for `name`, or None."""
        name = ALIASES.get(name, name)
        return row_of(name)

    def is_function(self, name: str) -> bool:
        return name in _EXPANDED or self.function(name) is not None

    def functions(self) -> list[str]:
        return [*_EXPANDED, *CATALOGUE, *ALIASES, *REGISTERED]

    def number(self, expression: tree.Expression) -> int | float | None:
        """The value of a scalar made of numbers and constants, else None."""
        match expression:
            case tree.Number(value):
                return value
            case tree.Name(name):
                return self.constants.get(name)
            case tree.Negate(operand):
                inner = self.number(operand)
                return None if inner is None else -inner
            case tree.Sum(terms):
                total: int | float = 0
                for sign, term in terms:
                    part = self.number(term)
                    if part is None:
                        return None
                    total = total + part if sign == "+" else total - part
                return _bounded(total)
            case tree.Product(factors):
                return self._product(factors)
            case tree.Power(base, exponent):
                left, right = self.number(base), self.number(exponent)
                if left is None or right is None or (left == 0 and right < 0) or (left < 0 and right != int(right)):
                    return None
                return _power(left, right)
            case tree.Application("const", (argument,), ()):
                return self.number(argument)
            case tree.Application(name, arguments, ()) if name in _FOLDED and len(arguments) == 1:
                inner = self.number(arguments[0])
                return None if inner is None else _FOLDED[name](inner)
            case _:
                return None

    def _product(self, factors: tuple[tuple[str, tree.Expression], ...]) -> int | float | None:
        result: int | float = 1
        for operator, factor in factors:
            value = self.number(factor)
            if value is None or (operator == "/" and value == 0):
                return None
            if operator == "*":
                result = result * value
            elif isinstance(result, int) and isinstance(value, int) and result % value == 0:
                result = result // value  # D / 2 stays usable as a size
            else:
                result = result / value
        return _bounded(result)

    def integer(self, expression: tree.Expression) -> int | None:
        """An integer constant, also when computed as 4.0; None for anything else."""
        value = self.number(expression)
        if value is None or (isinstance(value, float) and not value.is_integer()):
            return None
        return int(value)


def _bounded(value: int | float) -> int | float | None:
    """None for a whole number that no float64 holds: it is no constant, and engines say inf."""
    return None if isinstance(value, int) and value.bit_length() > _MOST_BITS else value


def _power(base: int | float, exponent: int | float) -> int | float | None:
    # Whole numbers have no end in Python: 10**10**10 would be worked out for minutes.
    if isinstance(base, int) and isinstance(exponent, int) and abs(base) > 1 and exponent > _MOST_BITS:
        return None
    try:
        return _bounded(base**exponent)
    except OverflowError:
        return None


def _sqrt(value: int | float) -> int | float | None:
    return math.sqrt(value) if value >= 0 else None


# The largest float64 is just below 2**1024.
_MOST_BITS = 1023

# The functions that a constant may be computed with (`Scale = sqrt(Dk)`).
_FOLDED = {"sqrt": _sqrt}


def collect_names(module: tree.Module, errors: list[FuseError]) -> Names:
    """First look at a program: which names are constants, tensors or declared."""
    names = Names()
    candidates: dict[str, tree.Equation] = {}
    definitions: dict[str, int] = {}
    for statement in module.statements:
        match statement:
            case tree.Equation() | tree.Fact():
                target = statement.target
                name = target.name
                if names.is_function(name):
                    errors.append(mistake("FUSE102", target.span, name=name))
                    continue
                names.defined.setdefault(name, target.span)
                definitions[name] = definitions.get(name, 0) + 1
                if isinstance(statement, tree.Equation) and isinstance(target, tree.Name) and statement.operator == "=":
                    candidates[name] = statement
            case tree.Input() | tree.Param():
                target = statement.target
                name = target.name
                if names.is_function(name):
                    errors.append(mistake("FUSE102", target.span, name=name))
                elif name in names.declared:
                    errors.append(mistake("FUSE118", target.span, name=name, line=names.declared[name].line))
                else:
                    names.declared[name] = target.span
            case _:
                pass
    once = {name: item for name, item in candidates.items() if definitions[name] == 1 and name not in names.declared}
    # Constants may use constants defined further down, so values are found in rounds.
    progress = True
    while progress:
        progress = False
        for name in list(once):
            value = names.number(once[name].body)
            if value is not None:
                names.constants[name] = value
                names.constant_statements[name] = once.pop(name)
                progress = True
    return names
