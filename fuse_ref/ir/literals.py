"""Arrays written in the text."""

from __future__ import annotations

from fuse_ref.ir.names import Names
from fuse_ref.language import syntax_tree as tree
from fuse_ref.language.printer import print_expression
from fuse_ref.mistakes import mistake

__all__ = ["array_values"]


def array_values(array: tree.Array, names: Names) -> tuple[tuple[int, ...], tuple[int | float, ...]]:
    """Shape and values (C order) of a nested list of numbers and constants."""
    shapes: list[tuple[int, ...]] = []
    values: list[int | float] = []
    for item in array.items:
        if isinstance(item, tree.Array):
            shape, inner = array_values(item, names)
        else:
            number = names.number(item)
            if number is None:
                reason = f"{print_expression(item)!r} is no number and no constant"
                raise mistake("FUSE125", item.span, name="a literal", reason=reason)
            shape, inner = (), (number,)
        if shapes and shape != shapes[0]:
            first, second = (str(s[0]) if s else "no" for s in (shapes[0], shape))
            raise mistake("FUSE116", item.span, first=first, second=second)
        shapes.append(shape)
        values.extend(inner)
    return (len(array.items), *(shapes[0] if shapes else ())), tuple(values)
