"""Functions that make an index: how long it is, and which element of which argument stands where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fuse_ref.language import syntax_tree as tree
from tests.support.oracle.errors import OracleError
from tests.support.oracle.program import Definition, Loaded, free_variables, walk

__all__ = ["block_variables", "made_sizes"]


def block_variables(loaded: Loaded, argument: tree.Expression) -> list[str]:
    """The indices of one concatenated argument that are flattened, first one slowest."""
    return [name for name in dict.fromkeys(free_variables(loaded, argument)) if "@" in name]


def _block_size(loaded: Loaded, argument: tree.Expression, known: Mapping[str, float]) -> float:
    size = 1.0
    for name in block_variables(loaded, argument):
        size *= known.get(name, float("inf"))
    return size


def made_sizes(loaded: Loaded, item: Definition, name: str, known: Mapping[str, float]) -> Iterator[float]:
    """Lengths that functions in the body of `item` give the variable `name`, which they make."""
    for part in walk(item.body):
        if not isinstance(part, tree.Application) or part.name not in ("concat", "one_hot", "causal_mask"):
            continue
        made = [value.name for key, value in part.keywords if key in ("axis", "rows") and isinstance(value, tree.Name)]
        if name not in made:
            continue
        if part.name == "concat":
            yield sum(_block_size(loaded, argument, known) for argument in part.arguments)
        elif len(part.arguments) == (2 if part.name == "one_hot" else 1):
            size = loaded.number(part.arguments[-1])
            if size is None:
                raise OracleError(f"{part.name} needs a number of positions")
            yield size
