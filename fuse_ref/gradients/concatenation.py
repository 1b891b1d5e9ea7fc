"""The gradient of `concat`: each argument's is read from its own positions of the result's."""

from __future__ import annotations

from dataclasses import replace

from fuse_ref.gradients.giving import give
from fuse_ref.gradients.work import Made, Work, anchor, equation, read_of, summed, times
from fuse_ref.ir.index import Affine, Gather, Index
from fuse_ref.ir.nodes import Call, Expr, Number, Position, Read, Sum
from fuse_ref.ir.variables import free_variables, reads

__all__ = ["give_parts"]


def give_parts(work: Work, call: Call, target: Read, origin: int) -> None:
    """Gives each argument of `target = call`, a concat, its part of the gradient of `target`.

    Where a part begins is known only when sizes are, so that the positions are a tensor of whole numbers.
    """
    flattened = dict(call.options).get("flattened", "").split()
    name = work.gradient[target.tensor]
    before: list[Expr] = []
    for argument in call.arguments:
        along = [variable for variable in free_variables(argument) if variable in flattened]
        if isinstance(argument, Read) and argument.tensor in work.active:
            at = _places(work, argument, along, before, target.tensor, origin)
            indices: list[Index] = [
                Gather(at, 0) if isinstance(index, Affine) and index.variable == call.axis else index
                for index in target.indices
            ]
            others = [v for v in free_variables(target) if v != call.axis]
            gradient = Read(name, tuple(indices), False)
            give(work, argument, gradient, tuple(dict.fromkeys((*others, *along))), origin)
        before.append(times([_count(argument, variable) for variable in along]))


def _count(argument: Expr, variable: str) -> Expr:
    """How many positions `variable` has."""
    found = [read for read in reads(argument) if variable in free_variables(read)]
    own = Read("", (Affine(((variable, 1),)),), False)
    hidden = anchor(found, own)
    assert isinstance(hidden, Call)
    return summed(replace(hidden, arguments=(*hidden.arguments[:2], Number(1))), (variable,))


def _places(work: Work, argument: Read, along: list[str], before: list[Expr], tensor: str, origin: int) -> Read:
    """A tensor over `along` that holds the positions of the result where the argument stands."""
    name = work.part(tensor, "at")
    at = read_of(name, along) if along else Read(name, (Affine((), 0),), False)
    terms: list[Expr] = list(before)
    for place, variable in enumerate(along):
        terms.append(times([Position(variable), *(_count(argument, inner) for inner in along[place + 1 :])]))
    if along:
        terms.append(anchor((argument,), at))
    total: Expr = Sum(tuple(terms)) if len(terms) > 1 else terms[0] if terms else Number(0)
    body = Call("cast", (total,), None, (("dtype", "int64"),))
    work.add(Made(equation(at, body, work.program.equations[origin].span), -1))
    return at
