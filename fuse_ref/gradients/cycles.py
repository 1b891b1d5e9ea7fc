"""Gradients through numeric fixpoints: the cycle stays as it is, and one more round of it is differentiated.

At a fixpoint x = f(x, a) another round changes nothing, so that its gradient is that of the fixpoint: the equations
`Grad_x` need each other as those of x do, and are a fixpoint themselves (implicit differentiation, Christianson 1994).
What the split names stays outside of the cycle. Inside, it would begin at 0 where the tensor that it is a part of
begins at its operator's neutral element, and rounds would go another way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fuse_ref.gradients.splitting import Aggregate, Linear
from fuse_ref.gradients.work import Made, Work
from fuse_ref.ir.nodes import Compare, Negate, Number, Sum

__all__ = ["one_more_round"]


def one_more_round(work: Work, number: int, pieces: Sequence[Linear | Aggregate]) -> list[Linear | Aggregate]:
    """The pieces of one equation of a cycle, with the equation itself put back before what is made of it."""
    equation = work.program.equations[number]
    name = equation.target.tensor
    made = work.forward.get(number, [])
    parts = [item for item in made if item.equation.target.tensor != name]
    own = [item for item in made if item.equation.target.tensor == name] or [Made(equation, number)]
    work.forward[number] = [Made(equation, number), *parts]
    if work.program.tensor(name).operator not in ("max=", "min=") and not any(map(_compares, pieces)):
        return list(pieces)
    # A round ends within the tolerance: what is compared with the largest combination is their own largest.
    again = work.again(name)
    renamed = [replace(item.equation, target=replace(item.equation.target, tensor=again)) for item in own]
    work.forward[number] += [replace(item, equation=found) for item, found in zip(own, renamed, strict=True)]
    return [_of(piece, name, again) for piece in pieces]


def _compares(piece: Linear | Aggregate) -> bool:
    return isinstance(piece, Aggregate) and piece.operator in ("max=", "min=")


def _of(piece: Linear | Aggregate, name: str, again: str) -> Linear | Aggregate:
    if not isinstance(piece, Aggregate) or piece.target.tensor != name:
        return piece
    target = replace(piece.target, tensor=again)
    # An infinite element has no slope.
    finite = Compare("==", Sum((target, Negate(target))), Number(0))
    return replace(piece, target=target, conditions=(*piece.conditions, finite), near=True)
