"""Letters that stand at no tensor by themselves: `dx` of `X[2*x+dx]`, whose range a line `axis dx = 3` gives."""

from __future__ import annotations

from collections.abc import Sequence

from fuse_ref.analysis.lengths import Fixed
from fuse_ref.analysis.limits import Limit, ScopeTable
from fuse_ref.analysis.sizes import Known
from fuse_ref.ir.index import Virtual
from fuse_ref.ir.variables import index_variables

__all__ = ["declared_alone", "declared_size", "stream_axis"]


def declared_alone(table: ScopeTable, limits: Sequence[Limit], known: Known, variable: str) -> Fixed | None:
    """The declared size of such a letter, which is its range whatever reads would allow; None where there is none.

    Along stepped axes, read or written, reads stay inside, and a declaration speaks of what is computed there.

    Args:
        table: of the equation.
        limits: the slots that have the variable; without one it is used as a number alone.
    """
    if {variable} & {*table.axis, *table.slices, *table.produced}:
        return None
    slots = (*(limit.slot for limit in limits), *(w for w in table.writes if variable in index_variables(w.index)))
    for slot in slots:
        tensor, position = slot.tensor, slot.position
        if tensor is not None and known.axes[known.tensors[tensor].axes[position]].stepped:
            return None
    return declared_size(table, known, variable)


def declared_size(table: ScopeTable, known: Known, variable: str) -> Fixed | None:
    """The size that a line gives a letter which stands at no tensor by itself, or a letter compared with it."""
    letters = (v.rstrip("'") for v in (variable, *table.compared.get(variable, ())))
    size = next((known.loose[letter] for letter in letters if letter in known.loose), None)
    return None if size is None else Fixed(size)


def stream_axis(table: ScopeTable, known: Known, variable: str) -> str:
    """The axis of a stream that `variable` moves along."""
    for slot in (*table.writes, *table.reads):
        if isinstance(slot.index, Virtual) and slot.index.variable == variable and slot.tensor is not None:
            return known.tensors[slot.tensor].axes[slot.position]
    raise AssertionError(variable)
