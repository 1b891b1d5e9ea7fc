"""Equations of gradients: the adjoint of a read is a write at the same place."""

from __future__ import annotations

from fuse_ref.gradients.work import Made, Work, anchor, equation, read_of, summed, times
from fuse_ref.ir.index import Affine, Gather, Index, Quotient, SliceIndex, plain
from fuse_ref.ir.nodes import Call, Expr, Number, Position, Read, Sum
from fuse_ref.ir.variables import free_variables, index_variables, target_variables
from fuse_ref.mistakes import mistake

__all__ = ["give"]


def give(work: Work, read: Read, value: Expr, variables: tuple[str, ...], origin: int) -> None:
    """Adds `value`, for all positions of `variables`, to the gradient of what `read` reads.

    A read inside a tensor, at `x+dx`, `2*x` or `x/2`, may leave positions out or lie beyond its end, and an
    equation's left-hand side with such an index would say how long the tensor is. So its gradient goes into a
    tensor of its own, one position further on, from which the tensor's own positions are read.
    """
    span = work.program.equations[origin].span
    if read.tensor not in work.active:
        return
    known = {*free_variables(value), *target_variables(read)}
    if any(variable.startswith(":") and variable not in known for variable in variables):
        # How often a slice's nameless letter repeats a term can be written in no way.
        raise mistake("FUSE274", span, name=read.tensor)
    name = work.gradient[read.tensor]
    placed = Read(read.tensor, tuple(_listed(work, read, place, origin) for place in range(len(read.indices))), False)
    target = Read(name, placed.indices, False)
    read = placed
    own = target_variables(target)
    value = times((value, *_sized(work, read, origin)))
    body = summed(value, (v for v in variables if v not in own))
    if not any(_computed(index) for index in read.indices):
        work.add(Made(equation(target, body, span), origin))
        return
    aside = work.numbered(name)
    kept = dict.fromkeys(v for index in read.indices if not _computed(index) for v in index_variables(index))
    written: list[Index] = list(read_of(aside, kept).indices)
    back: list[Index] = list(written)
    final: list[Index] = []
    for index in read.indices:
        if _computed(index):
            letter = work.letter("u")
            written.append(_shifted(index))
            back.append(Affine(((letter, 1),), 1))
            final.append(plain(letter))
        else:
            final.append(index)
    work.add(Made(equation(Read(aside, tuple(written), False), body, span), origin))
    place = Read(name, tuple(final), False)
    beside = anchor((Read(read.tensor, tuple(final), False),), place)
    work.add(Made(equation(place, Sum((Read(aside, tuple(back), False), beside)), span), origin))


def _listed(work: Work, read: Read, place: int, origin: int) -> Index:
    """A slice as positions that a tensor holds: a left-hand side that is a slice would say how long its axis is."""
    index = read.indices[place]
    if not isinstance(index, SliceIndex) or (index.start, index.stop, index.step) == (None, None, 1):
        return index
    if index.variable != ":1":
        raise mistake("FUSE274", work.program.equations[origin].span, name=read.tensor)
    axis = work.program.tensor(read.tensor).axes[place]
    if axis not in work.positions:
        letter = work.letter("u")
        at = read_of(work.part(read.tensor, "at"), (letter,))
        whole: list[Index] = [SliceIndex(f":{k + 1}", None, None, 1) for k in range(len(read.indices))]
        whole[place] = plain(letter)
        beside = anchor((Read(read.tensor, tuple(whole), False),), at)
        body = Call("cast", (Sum((Position(letter), beside)),), None, (("dtype", "int64"),))
        work.add(Made(equation(at, body, work.program.equations[origin].span), -1))
        work.positions[axis] = at.tensor
    return Gather(Read(work.positions[axis], (index,), False), 0)


def _sized(work: Work, read: Read, origin: int) -> list[Read]:
    """Ones along letters that only a line `axis dx = 3` gives a size, and that stand in offsets alone."""
    declared = {item.letter.rstrip("'") for item in work.program.declared}
    known = work.checked.shapes.equations[origin].axis_of
    found = []
    for index in filter(_computed, read.indices):
        for variable in index_variables(index):
            if variable not in known and variable.rstrip("'") in declared:
                if variable not in work.ones:
                    work.ones[variable] = work.name(f"One_{variable}")
                    target = read_of(work.ones[variable], (variable,))
                    work.add(Made(equation(target, Number(1), work.program.equations[origin].span), -1))
                found.append(read_of(work.ones[variable], (variable,)))
    return found


def _computed(index: Index) -> bool:
    """Whether a left-hand side with this index would fix a length of its own."""
    match index:
        case Affine(terms, _):
            return len(terms) > 1 or any(coefficient != 1 for _, coefficient in terms)
        case Quotient():
            return bool(index_variables(index))
        case _:
            return False


def _shifted(index: Index) -> Index:
    match index:
        case Affine(terms, offset):
            return Affine(terms, offset + 1)
        case Quotient(Affine(terms, offset), divisor):
            return Quotient(Affine(terms, offset + divisor), divisor)
        case _:
            raise AssertionError(index)
