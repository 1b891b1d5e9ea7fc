"""Names of a program's tensors as names in an nn.Module, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from torch import nn

from fuse_ref.ir.nodes import Tensor
from fuse_ref.mistakes import mistake

__all__ = ["RESERVED", "Names", "module_names"]

# What an nn.Module and a FuseModule use themselves; a test compares this with the class.
RESERVED: frozenset[str] = frozenset(
    {
        *dir(nn.Module),
        *vars(nn.Module()),
        "_attach",
        "_blueprint",
        "_complete",
        "_create",
        "_function",
        "_iteration",
        "_place",
        "_planned_for",
        "_precision",
        "_projection_seed",
        "_seeds",
        "_shape",
        "_streams",
        "initial_state",
        "iteration",
        "names",
        "plan",
        "program",
        "projection_seed",
        "reset_parameters",
        "reset_state",
        "routes",
    }
)


class Names(Mapping[str, str]):
    """Program name -> module name; looking up a module name gives the program's.

    Iteration goes over the program's names, in the plan's order.
    """

    def __init__(self, to_module: Mapping[str, str]) -> None:
        self._to_module = dict(to_module)
        self._to_program = {module: name for name, module in self._to_module.items()}

    def __getitem__(self, name: str) -> str:
        if name in self._to_module:
            return self._to_module[name]
        return self._to_program[name]

    def __iter__(self) -> Iterator[str]:
        # What no program can name, such as the temperature of a schedule, is found and not told.
        return (name for name in self._to_module if "~" not in name)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        changed = {name: module for name, module in self._to_module.items() if name != module}
        return f"<Names: {len(self)} tensors, renamed {changed}>"


def module_names(tensors: Iterable[Tensor]) -> Names:
    """A name for every tensor: dots become `__`, names that torch reserves get a trailing `_`.

    Raises:
        ConfigError: two tensors that come to the same name.
    """
    found: dict[str, Tensor] = {}
    names: dict[str, str] = {}
    for tensor in tensors:
        name = tensor.name.replace(".", "__")
        if name in RESERVED:
            name += "_"
        if name in found:
            other = found[name].name
            raise mistake("FUSE250", tensor.span, first=other, second=tensor.name, name=name)
        found[name] = tensor
        names[tensor.name] = name
    return Names(names)
