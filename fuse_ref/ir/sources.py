"""Sources that are one definition of several, or fill a part of their tensor, as tensors of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import replace

from fuse_ref.ir.index import Affine, plain
from fuse_ref.ir.nodes import Equation, FileContent, Operator, Query, Read, Sink
from fuse_ref.ir.variables import target_variables

__all__ = ["split_sources"]

Statement = Equation | Sink | Query


def split_sources(
    equations: Sequence[Equation], statements: Sequence[Statement], taken: Container[str]
) -> tuple[list[Equation], list[Statement]]:
    """Equations and statements in which each source defines the whole of a tensor, alone.

    `P(x, y) = "p.csv"` beside the fact `P(Ann, Bob)` becomes `P_file(x, y) = "p.csv"` and
    `P(x, y) = P_file(x, y)`; `W[0, j] = "w.npy"` likewise. So a file is a base case like any other.

    Args:
        taken: names that the program uses.
    """
    count = Counter(equation.target.tensor for equation in equations)
    operators: dict[str, Operator] = {}
    for equation in equations:
        if equation.kind == "equation":
            operators.setdefault(equation.target.tensor, equation.operator)
    made: set[str] = set()
    parts: dict[int, tuple[Equation, Equation]] = {}
    for equation in equations:
        target = equation.target
        if isinstance(equation.body, FileContent) and (count[target.tensor] > 1 or not _whole(target)):
            name = f"{target.tensor}_file"
            while name in taken or name in made or name in count:
                name += "_"
            made.add(name)
            read = replace(target, tensor=name, indices=tuple(plain(v) for v in target_variables(target)))
            source = replace(equation, target=read)
            operator = operators.get(target.tensor, equation.operator)
            parts[id(equation)] = (source, replace(equation, body=read, kind="equation", operator=operator))
    if not parts:
        return list(equations), list(statements)
    return (
        [part for equation in equations for part in parts.get(id(equation), (equation,))],
        [part for item in statements for part in parts.get(id(item), (item,))],
    )


def _whole(target: Read) -> bool:
    """Whether a left-hand side names every axis once, by a plain variable."""
    variables = [index.variable if isinstance(index, Affine) else None for index in target.indices]
    return None not in variables and len(set(variables)) == len(variables)
