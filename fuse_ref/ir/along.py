"""Which variable a function along an axis works on, and which index a function makes."""

from __future__ import annotations

from collections.abc import Sequence

from fuse_ref.ir.index import Index
from fuse_ref.ir.names import is_variable
from fuse_ref.ir.nodes import Expr, Product, Read
from fuse_ref.ir.operations import Operation
from fuse_ref.ir.variables import free_variables, index_variables
from fuse_ref.language import syntax_tree as tree
from fuse_ref.language.printer import print_expression
from fuse_ref.mistakes import mistake
from fuse_ref.records import dataclass

__all__ = ["LeftSide", "axis_of", "row_variable"]


@dataclass(frozen=True, slots=True)
class LeftSide:
    """The left-hand side of the equation that a call stands in."""

    indices: tuple[Index, ...] = ()  # () in a sink
    normalised: str | None = None  # the variable that is marked with a dot

    def plain(self) -> list[str | None]:
        """Per index its one variable, or None."""
        found = [index_variables(index) for index in self.indices]
        return [v[0] if len(v) == 1 else None for v in found]

    def variables(self) -> set[str]:
        return {v for index in self.indices for v in index_variables(index)}


def axis_of(
    row: Operation,
    item: tree.Application,
    written: tree.Expression | None,
    arguments: Sequence[Expr],
    side: LeftSide,
) -> str:
    """The variable that a function works along.

    Args:
        item: the call.
        written: what `axis=` says, if it is there.
        arguments: of the call, as read.

    Raises:
        AxisError: it is not clear which.
    """
    own = tuple(dict.fromkeys(v for argument in arguments for v in free_variables(argument)))
    left = side.plain()
    match written:
        case tree.Name(name) | tree.String(name):
            if name not in own and name not in left and not (row.kind == "new_axis" and is_variable(name)):
                raise _unclear(row, item, f"{name!r} is not an index of the left-hand side, nor of its argument")
            return name
        case tree.Number(int(position)):
            if position >= len(left) or left[position] is None:
                raise _unclear(row, item, f"the left-hand side has no plain index number {position}")
            return left[position] or ""
        case None:
            pass
        case _:
            raise _unclear(row, item, f"{print_expression(written)!r} is no index")
    if row.kind == "reduce_axis" and row.name != "cross_entropy":
        return _leaving(row, item, arguments, side)
    if row.kind == "new_axis":
        return _made(row, item, own, side)
    if side.normalised is not None:
        return side.normalised
    if row.name == "cross_entropy":
        return _class_axis(row, item, arguments)
    if row.kind == "concat":
        new = [v for v in left if v is not None and v not in own]
        if len(new) == 1:
            return new[-1]
    if not left or left[-1] is None:
        what = "has no index" if not left else "does not end in a plain index"
        raise _unclear(row, item, f"the left-hand side {what}")
    return left[-1]


def row_variable(row: Operation, item: tree.Application, column: str, side: LeftSide) -> str:
    """The index before `column` on the left-hand side: the rows of a mask."""
    left = side.plain()
    before = left[left.index(column) - 1] if column in left[1:] else None
    if before is None:
        raise _unclear(row, item, f"the left-hand side has no plain index before {column!r}")
    return before


def _unclear(row: Operation, item: tree.Application, reason: str) -> Exception:
    return mistake("FUSE110", item.span, name=row.name, reason=reason)


def _leaving(row: Operation, item: tree.Application, arguments: Sequence[Expr], side: LeftSide) -> str:
    """The one index of the argument that the left-hand side lacks and that no product contracts."""
    found = list(free_variables(arguments[0]))
    gone = side.variables() | _contracted(arguments[0], found)
    lacking = [v for v in found if v not in gone]
    if len(lacking) != 1:
        which = f"{' and '.join(lacking)} could leave" if lacking else "no index of its argument leaves"
        raise _unclear(row, item, which)
    return lacking[0]


def _made(row: Operation, item: tree.Application, own: Sequence[str], side: LeftSide) -> str:
    """The index of the left-hand side that the arguments lack; of a mask's two, the last."""
    new = [v for v in side.plain() if v is not None and v not in own]
    if row.name == "causal_mask":
        if len(new) < 2:
            raise _unclear(row, item, "a mask has two indices, and the left-hand side has fewer")
        return new[-1]
    if len(new) != 1:
        which = f"{' and '.join(new)} are" if new else "none is"
        raise _unclear(row, item, f"it makes an index that its argument lacks, and on the left-hand side {which} new")
    return new[0]


def _contracted(expr: Expr, found: Sequence[str]) -> set[str]:
    """Indices that the factors of a product share."""
    if not isinstance(expr, Product):
        return set()
    sets = [set(free_variables(factor)) for factor in expr.factors]
    return {v for v in found if sum(v in inside for inside in sets) >= 2}


def _class_axis(row: Operation, item: tree.Application, arguments: Sequence[Expr]) -> str:
    """cross_entropy without a marked index: the last of the logits.

    In an expression such as `W[c, d] X[e, d]` the contracted index and those of an integer
    target cannot be the classes.
    """
    logits, target = arguments
    found = list(free_variables(logits))
    contracted = set() if isinstance(logits, Read) else _contracted(logits, found)
    of_target = set() if isinstance(logits, Read) else set(free_variables(target))
    free = [v for v in found if v not in contracted and v not in of_target]
    remaining = free or [v for v in found if v not in contracted]
    if not remaining:
        raise _unclear(row, item, "the logits have no index")
    return remaining[-1]
