"""Which integer tensors hold positions that are known to lie within bounds, whatever a call gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fuse_ref.analysis.lengths import Fixed, Length, linear
from fuse_ref.analysis.shapes import ScopeShapes
from fuse_ref.ir.index import Affine, Gather
from fuse_ref.ir.nodes import ArrayLiteral, Call, Equation, ProgramIR
from fuse_ref.records import dataclass

__all__ = ["Bounds", "find_bounds", "within"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Every element is at least `low` and less than `end`."""

    low: int
    end: Length


def find_bounds(program: ProgramIR, shapes: Sequence[ScopeShapes]) -> dict[str, Bounds]:
    """The bounds of tensors that a literal of whole numbers or an argmax defines alone.

    Args:
        shapes: of the program's equations.
    """
    definitions: dict[str, list[int]] = {}
    for number, equation in enumerate(program.equations):
        definitions.setdefault(equation.target.tensor, []).append(number)
    found: dict[str, Bounds] = {}
    for name, numbers in definitions.items():
        if len(numbers) == 1:
            bounds = _of(program.equations[numbers[0]], shapes[numbers[0]])
            if bounds is not None:
                found[name] = bounds
    return found


def _of(equation: Equation, shapes: ScopeShapes) -> Bounds | None:
    match equation.body:
        case ArrayLiteral(values, _, ()) if equation.kind == "literal" and values:
            whole = [value for value in values if isinstance(value, int)]
            # Where the array does not fill its axis, the rest is 0.
            return Bounds(min(0, *whole), Fixed(max(0, *whole) + 1)) if len(whole) == len(values) else None
        case Call("argmax", axis=str() as axis):
            plain = all(isinstance(i, Affine) and i.variable is not None for i in equation.target.indices)
            # On a diagonal or at computed positions several results could meet, and equations add.
            names = [i.variable for i in equation.target.indices if isinstance(i, Affine)]
            return Bounds(0, shapes.ranges[axis]) if plain and len(set(names)) == len(names) else None
        case _:
            return None


def within(bounds: Mapping[str, Bounds], index: Gather, length: Length) -> bool:
    """Whether every position of a gathered index lies within `length`.

    A read of the index tensor that falls outside it gives 0, which the bounds contain.
    """
    found = bounds.get(index.read.tensor)
    if found is None or found.low + index.offset < 0:
        return False
    room = linear([(length, 1), (found.end, -1)], -index.offset)
    return isinstance(room, Fixed) and room.value >= 0
