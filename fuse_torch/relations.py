"""Boolean inputs of a module as dense truth tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch

from fuse_ref.evaluate.truth import SymbolTables, dense_relations
from fuse_ref.ir.nodes import Tensor
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.plan.steps import Plan
from fuse_ref.relations.symbols import SymbolTable
from fuse_torch.facts import Facts

__all__ = ["FrozenTables", "dense_tables", "is_dense"]


_SHOWN: Final = 20  # symbols that an error lists
_COMPARED: Final = 10_000  # symbols among which it looks for one that was meant


class FrozenTables(SymbolTables):
    """The program's symbols: a module learns no new ones, since its axes stay as they were compiled."""

    def position(self, symbol: str, tensor: Tensor, axis: str) -> int:
        table = self.tables.get(axis, SymbolTable())
        found = table.position(symbol)
        if found is not None:
            return found
        names = table.names
        has = "has " + (", ".join(map(repr, names[:_SHOWN])) + ", …" * (len(names) > _SHOWN) if names else "no symbols")
        cure = did_you_mean(symbol, names[:_COMPARED])
        raise mistake("FUSE306", tensor.span, cure=cure, value=repr(symbol), name=tensor.name, axis=axis, has=has)


def is_dense(value: Any) -> bool:
    """Whether `value` is a truth table as the graph reads it."""
    return isinstance(value, torch.Tensor) and value.dtype == torch.bool and value.layout == torch.strided


def dense_tables(plan: Plan, values: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The Boolean givens of a call as bool tensors with one dimension per argument.

    Args:
        values: every given of the plan: tensors, and for Boolean ones also `Facts`, tuples of symbols or
            positions, (count, arity) integer tensors and sparse tensors.

    Raises:
        DtypeError: values of another type.
        AxisError: another number of arguments, or a position or symbol that the axis does not have.
    """
    tensors = {tensor.name: tensor for tensor in plan.program.tensors}
    relations = [tensors[name] for name in plan.givens if tensors[name].dtype == "bool"]
    names = {tensor.name for tensor in relations}
    extents: dict[str, int] = {}
    devices: list[torch.device] = []
    for name in plan.givens:
        value = values[name]
        if isinstance(value, torch.Tensor):
            devices.append(value.device)
        sizes = value.axes if isinstance(value, Facts) else () if name in names else value.shape
        for axis, size in zip(tensors[name].axes, sizes or (), strict=False):
            extents[axis] = max(extents.get(axis, 0), size)
    tables = FrozenTables.of(plan.program)
    arrays = dense_relations(values, relations, tables, extents)
    device = devices[0] if devices else None
    return {
        name: values[name] if is_dense(values[name]) else torch.from_numpy(array).to(device)
        for name, array in arrays.items()
    }
