"""New equations run over what the old ones run over, or name what these read.

An equation's letters run as far as its reads allow. A gradient's equation has other reads than the equation that
it comes from; so analysis tells how far letters run in the new program, and where that differs, the old reads
are put beside, in a choice that is never made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fuse_ref.analysis.check import check_program
from fuse_ref.analysis.lengths import Length, evaluate
from fuse_ref.gradients.work import Made, Work, anchor
from fuse_ref.ir.index import Affine
from fuse_ref.ir.nodes import Equation, Expr, ProgramIR, Sum
from fuse_ref.ir.variables import children, free_variables, reads, target_variables

__all__ = ["equations_of", "loose", "misfits"]


def equations_of(work: Work, made: Made, *, forward: bool) -> Equation:
    """The equation as it is written.

    Args:
        forward: it is a part of its origin, which must not come to need what the origin defines.
    """
    found = made.equation
    if not made.anchored or made.origin < 0 or found.body == work.program.equations[made.origin].body:
        return found
    origin = work.program.equations[made.origin]
    inside = [*reads(origin.target), *reads(origin.body)][1:]
    inside = [read for read in inside if not (forward and read.tensor == origin.target.tensor)]
    if not inside:
        return found
    hidden = anchor(inside, found.target)
    if found.operator == "=":
        terms = found.body.terms if isinstance(found.body, Sum) else (found.body,)
        return replace(found, body=Sum((*terms, hidden)))
    return found


def loose(made: Made) -> bool:
    """Whether a letter of the equation is read nowhere by itself, so that nothing may tell how far it runs."""
    own = set(target_variables(made.equation.target))
    plain: set[str] = set()
    for read in reads(made.equation.body):
        plain.update(i.variable for i in read.indices if isinstance(i, Affine) and i.variable is not None)
        plain.update(v for v in free_variables(read) if v.startswith(":"))
    stack: list[Expr] = [made.equation.body]
    while stack:
        node = stack.pop()
        stack.extend(children(node))
        own.update(getattr(node, "variables", ()))
    return not own <= plain


def misfits(work: Work, program: ProgramIR, made: Sequence[Made | None]) -> tuple[set[int], dict[str, None]]:
    """Which equations of the new program run over other lengths, and which tensors have other axes than they should.

    Args:
        program: the new one, read from its text.
        made: where each of its equations comes from.
    """
    checked = check_program(program)
    old = work.checked.shapes
    same = _Sizes(work.program).same
    wrong: set[int] = set()
    for number, item in enumerate(made):
        if item is None or item.origin < 0:
            continue
        before = old.equations[item.origin].ranges
        now = checked.shapes.equations[number].ranges
        if any(not same(before[v], length) for v, length in now.items() if v in before):
            wrong.add(number)
    axes: Mapping[str, tuple[str, ...]] = {tensor.name: tensor.axes for tensor in program.tensors}
    other: dict[str, None] = {}
    for name, tensor in work.shapes.items():
        if name not in axes:
            continue
        pairs = zip(checked.shapes.tensors[name], checked.shapes.tensors[tensor], strict=True)
        if axes[name] != axes[tensor] or not all(same(one, another) for one, another in pairs):
            other[name] = None
    return wrong, other


class _Sizes:
    """Tells equal lengths.

    Formulas of lengths have no normal form, so two are equal here when they are at sizes of all kinds; given
    tensors on one axis have one length.
    """

    def __init__(self, program: ProgramIR) -> None:
        self._axes = {tensor.name: tensor.axes for tensor in program.tensors}
        self._place = {axis.name: place for place, axis in enumerate(program.axes)}

    def same(self, one: Length, another: Length) -> bool:
        return one == another or all(self._number(one, trial) == self._number(another, trial) for trial in range(12))

    def _number(self, length: Length, trial: int) -> int:
        def extent(tensor: str, position: int) -> int:
            return 5 + (7 * self._place[self._axes[tensor][position]] + 5 * trial) % 13

        return evaluate(length, extent)
