"""Gradients of `max=`, `min=`, `avg=` and `prod=`, and of the projections of these names."""

from __future__ import annotations

from collections.abc import Sequence

from fuse_ref.gradients.giving import give
from fuse_ref.gradients.splitting import Aggregate
from fuse_ref.gradients.work import Made, Work, equation, summed, times
from fuse_ref.ir.index import Affine
from fuse_ref.ir.nodes import Call, Compare, Expr, Negate, Number, Read, Sum
from fuse_ref.ir.variables import free_variables, target_variables

__all__ = ["differentiate_aggregates"]


def differentiate_aggregates(work: Work, tensor: str, pieces: Sequence[Aggregate]) -> None:
    """Adds the equations of gradients that all definitions of `tensor` give together."""
    match pieces[0].operator:
        case "max=" | "min=":
            _extreme(work, tensor, pieces)
        case "avg=":
            _mean(work, tensor, pieces)
        case "prod=":
            _product(work, tensor, pieces)
        case "=":
            raise AssertionError(f"{tensor} is a sum")


def _variables(piece: Aggregate) -> tuple[str, ...]:
    found = dict.fromkeys(target_variables(piece.target))
    for part in (piece.value, *piece.conditions):
        found.update(dict.fromkeys(free_variables(part)))
    return tuple(found)


def _at(piece: Aggregate, tensor: str) -> Read:
    """Another tensor at the position that the piece writes."""
    return Read(tensor, piece.target.indices, False)


def _total(work: Work, piece: Aggregate, tensor: str, body: Expr) -> None:
    """Adds `body` of every combination into `tensor`."""
    own = target_variables(piece.target)
    total = summed(body, (v for v in _variables(piece) if v not in own))
    span = work.program.equations[piece.origin].span
    work.add(Made(equation(_at(piece, tensor), total, span), piece.origin))


def _counted(piece: Aggregate, tensor: str) -> Expr:
    """A count at the position that the piece writes, as a divisor: not 0 where nothing was counted."""
    count = _at(piece, tensor)
    everywhere = all(isinstance(index, Affine) and index.variable is not None for index in count.indices)
    return count if everywhere and not piece.conditions else Call("max", (count, Number(1)), None, ())


def _give(work: Work, piece: Aggregate, value: Expr) -> None:
    if isinstance(piece.value, Read):
        give(work, piece.value, value, _variables(piece), piece.origin)


def _reaches(piece: Aggregate) -> Compare:
    """Whether a combination is the largest or smallest one; of a fixpoint, up to `tol max(1, |value|)` as it stops."""
    if not piece.near:
        return Compare("==", piece.value, piece.target)
    room = times((Number(1e-6), Call("max", (Call("abs", (piece.target,), None, ()), Number(1)), None, ())))
    if piece.operator == "max=":
        return Compare(">=", piece.value, Sum((piece.target, Negate(room))))
    return Compare("<=", piece.value, Sum((piece.target, room)))


def _extreme(work: Work, tensor: str, pieces: Sequence[Aggregate]) -> None:
    """The gradient goes to the combinations that are the largest, in equal parts."""
    ties = work.like(work.part(tensor, "ties"), tensor)
    for piece in pieces:
        reaches = _reaches(piece)
        _total(work, piece, ties, times((*piece.conditions, reaches)))
    for piece in pieces:
        reaches = _reaches(piece)
        gradient = _at(piece, work.gradient[tensor])
        _give(work, piece, times((gradient, *piece.conditions, reaches), (_counted(piece, ties),)))


def _mean(work: Work, tensor: str, pieces: Sequence[Aggregate]) -> None:
    """Each combination that counts has its share."""
    count: str | None = None
    indices = pieces[0].target.indices
    own = [index.variable for index in indices if isinstance(index, Affine) and index.variable is not None]
    rest = [v for v in _variables(pieces[0]) if v not in own]
    if len(pieces) > 1 or pieces[0].conditions or len(own) < len(indices):
        count = work.like(work.part(tensor, "count"), tensor)
        for piece in pieces:
            _total(work, piece, count, times(piece.conditions))
    for piece in pieces:
        number = summed(Number(1), rest) if count is None else _counted(piece, count)
        _give(work, piece, times((_at(piece, work.gradient[tensor]), *piece.conditions), (number,)))


def _product(work: Work, tensor: str, pieces: Sequence[Aggregate]) -> None:
    """The product of the other combinations: where one alone is 0, it has a gradient and no other has."""
    zeros = work.like(work.part(tensor, "zeros"), tensor)
    rest = work.like(work.part(tensor, "rest"), tensor)
    for piece in pieces:
        zero = Compare("==", piece.value, Number(0))
        _total(work, piece, zeros, times((*piece.conditions, zero)))
        kept = Call("where", (zero, Number(1), piece.value), None, ())
        span = work.program.equations[piece.origin].span
        body = times((kept, *piece.conditions))
        work.add(Made(equation(_at(piece, rest), body, span, "prod="), piece.origin))
    for piece in pieces:
        zero = Compare("==", piece.value, Number(0))
        alone = Compare("==", _at(piece, zeros), zero)
        kept = Call("where", (zero, Number(1), piece.value), None, ())
        gradient = _at(piece, work.gradient[tensor])
        _give(work, piece, times((gradient, *piece.conditions, alone, _at(piece, rest)), (kept,)))
