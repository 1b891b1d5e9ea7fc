"""The values of rules, for many bindings of their variables at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, assert_never

import numpy as np

from fuse_ref.analysis.lengths import Length
from fuse_ref.ir.nodes import Comparator
from fuse_ref.records import dataclass
from fuse_ref.relations.rules import Apply, Constant, Element, Value, Variable, value_variables

__all__ = ["Functions", "Numbers", "solvable"]

# A whole or floating number, or one for each binding.
Number: TypeAlias = Any
# What the function of an `Apply` that is no whole-number arithmetic gives: (name, arguments, options).
Functions: TypeAlias = Callable[[str, Sequence[Number], tuple[tuple[str, str], ...]], Number]

_ARITHMETIC: Final[dict[str, Callable[..., Number]]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "floor_divide": np.floor_divide,
    "negate": np.negative,
}
_COMPARE: Final[dict[str, Callable[[Number, Number], Number]]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


@dataclass(frozen=True, slots=True)
class Numbers:
    """What values are made of beside variables, and how.

    Attributes:
        dense: the tensors that `Element` reads.
        length: the number of a length in this call.
        functions: for an `Apply` that is no arithmetic of whole numbers.
    """

    dense: Mapping[str, np.ndarray]
    length: Callable[[Length], int]
    functions: Functions | None

    def constant(self, constant: Constant) -> int | float:
        number = constant.value
        return number if isinstance(number, int | float) else self.length(number)

    def value(self, value: Value, bound: Mapping[str, np.ndarray]) -> Number:
        """(bindings,) or a number; whole numbers in int64.

        Whole numbers beside floating ones are of these's precision, as in the dense engines.
        """
        match value:
            case Variable(name):
                return bound[name].astype(np.int64, copy=False)
            case Constant():
                return self.constant(value)
            case Element(tensor, indices):
                return self._element(self.dense[tensor], [self.value(index, bound) for index in indices])
            case Apply(function, arguments, options):
                parts = _one_kind([self.value(argument, bound) for argument in arguments])
                if function in _ARITHMETIC:
                    with np.errstate(all="ignore"):
                        return _ARITHMETIC[function](*parts)
                if self.functions is None:
                    raise ValueError(f"no function {function}")
                return self.functions(function, parts, options)
            case _:
                assert_never(value)

    def compare(self, operator: Comparator, left: Value, right: Value, bound: Mapping[str, np.ndarray]) -> Number:
        """(bindings,) bool, or one truth value."""
        sides = [self._side(left, bound), self._side(right, bound)]
        return _COMPARE[operator](*_one_kind(sides))

    def _side(self, value: Value, bound: Mapping[str, np.ndarray]) -> Number:
        # Positions are compared as they are stored: there is no overflow.
        return bound[value.name] if isinstance(value, Variable) else self.value(value, bound)

    @staticmethod
    def _element(array: np.ndarray, indices: Sequence[Number]) -> Number:
        if not indices:
            return array[()].item()
        inside: Any = True
        for index, size in zip(indices, array.shape, strict=True):
            inside = inside & (np.asarray(index) >= 0) & (np.asarray(index) < size)
        if np.all(inside):
            return array[tuple(indices)]
        places = tuple(np.where(inside, index, 0) for index in indices)
        found = np.zeros(np.shape(inside), array.dtype)
        if 0 not in array.shape:
            found = np.where(inside, array[places], found)
        return found if found.ndim else found[()]


def _one_kind(parts: list[Number]) -> list[Number]:
    floating = [part.dtype for part in parts if isinstance(part, np.ndarray | np.generic) and part.dtype.kind == "f"]
    if not floating:
        return parts
    kind = np.result_type(*floating)
    return [
        part.astype(kind) if isinstance(part, np.ndarray | np.generic) and part.dtype.kind in "iub" else part
        for part in parts
    ]


def solvable(value: Value, name: str) -> bool:
    """Whether the value is the variable times a number other than 0, plus what does not depend on it."""
    match value:
        case Variable(other):
            return other == name
        case Apply("negate", (part,)):
            return solvable(part, name)
        case Apply("add" | "subtract", (left, right)):
            if name in value_variables(left) and name in value_variables(right):
                return False
            return solvable(left if name in value_variables(left) else right, name)
        case Apply("multiply", (Constant(int() as factor), part) | (part, Constant(int() as factor))):
            return factor != 0 and solvable(part, name)
        case _:
            return False
