"""Whether the rounding error of squared distances by a matrix product does harm where they are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from fuse_ref.plan.passes.framework import Block
from fuse_ref.plan.steps import Contract, DenseOperation, Expand, Index, Map, Operand, Permute, Reduce

__all__ = ["harmless"]

_AMPLIFY: Final = frozenset({"sqrt", "log", "power", "sign", "step", "floor", "even", "odd", "cast", "to_boolean"})
_COMPARE: Final = frozenset({"less", "less_equal", "greater", "greater_equal", "equal", "not_equal"})


def harmless(
    block: Block,
    name: str,
    pairs: tuple[frozenset[str], frozenset[str]] | None,
    uses: Mapping[str, tuple[DenseOperation, ...]],
) -> bool:
    """Whether an error of ε times the squared spread does no harm to what is made of `name`.

    `pairs` are the labels of the two rows; None once a sum over one of them was taken.
    """
    if name in block.kept and pairs is not None:
        return False
    return all(_harmless_in(block, name, user, pairs, uses) for user in uses.get(name, ()))


def _harmless_in(
    block: Block,
    name: str,
    user: DenseOperation,
    pairs: tuple[frozenset[str], frozenset[str]] | None,
    uses: Mapping[str, tuple[DenseOperation, ...]],
) -> bool:
    read = block.values[name].labels if not isinstance(user, Index) else ()

    def inside(operand: Operand) -> tuple[frozenset[str], frozenset[str]] | None:
        if pairs is None:
            return None
        names = dict(zip(read, operand.labels, strict=True))
        rows, columns = (frozenset(names[label] for label in group if label in names) for group in pairs)
        return rows, columns

    out = user.output.out
    match user:
        case Map(_, "exp", _):
            return True
        case Map(_, "add" | "subtract" | "multiply" | "negate" | "divide", operands):
            if user.function == "divide" and isinstance(operands[1], Operand) and operands[1].value == name:
                return False
            mine = next(item for item in operands if isinstance(item, Operand) and item.value == name)
            return harmless(block, out, inside(mine), uses)
        case Map(_, function, _):
            # Past a sum over rows, what is harmless to any number is harmless here.
            return pairs is None and function not in _AMPLIFY and function not in _COMPARE
        case Permute(_, operand) | Expand(_, operand):
            return harmless(block, out, inside(operand), uses)
        case Reduce(_, "sum" | "avg", operand):
            return harmless(block, out, _left(inside(operand), user.output.labels), uses)
        case Contract(_, left, right):
            mine, other = (left, right) if left.value == name else (right, left)
            here = inside(mine)
            if here is not None and all(group & set(other.labels) for group in here):
                return False  # a weight for each pair may pick small distances
            return harmless(block, out, _left(here, user.output.labels), uses)
        case _:
            return False


def _left(
    pairs: tuple[frozenset[str], frozenset[str]] | None, labels: Sequence[str]
) -> tuple[frozenset[str], frozenset[str]] | None:
    if pairs is None or any(not group <= set(labels) for group in pairs):
        return None
    return pairs
