"""What the Flax modules share: names of attributes, inputs by position, one export as a tensor."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import jax

from fuse_jax.function import FuseFunction
from fuse_ref.evaluate.binding import gather_inputs
from fuse_ref.mistakes import mistake

__all__ = ["Names", "inputs_by_name", "module_names", "result_of"]


class Names(Mapping[str, str]):
    """Parameter -> name in a module; looking up a name in the module gives the parameter's.

    Iteration goes over the parameters, in text order.
    """

    def __init__(self, to_module: Mapping[str, str]) -> None:
        self._to_module = dict(to_module)
        self._to_program = {attribute: name for name, attribute in self._to_module.items()}

    def __getitem__(self, name: str) -> str:
        return self._to_module[name] if name in self._to_module else self._to_program[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._to_module)

    def __len__(self) -> int:
        return len(self._to_module)

    def __repr__(self) -> str:
        return f"<Names: {self._to_module}>"


def module_names(function: FuseFunction, reserved: Collection[str]) -> Names:
    """The parameters' names in a module: dots become `__`, names that the module itself uses end in `_`.

    Raises:
        ConfigError: two parameters that would be one attribute.
    """
    attributes: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name in function.program.params:
        attribute = name.replace(".", "__")
        if attribute in reserved:
            attribute += "_"
        if attribute in owners:
            raise mistake("FUSE286", first=owners[attribute], second=name, attribute=attribute)
        owners[attribute] = name
        attributes[name] = attribute
    return Names(attributes)


def inputs_by_name(function: FuseFunction, args: Sequence[object], named: Mapping[str, object]) -> dict[str, object]:
    """Inputs of a module's call by name: positional ones are in the order of the `input` lines.

    Raises:
        InputError: too many, or one given twice.
    """
    if len(args) == 1 and isinstance(args[0], Mapping):
        return gather_inputs(args[0], named)
    order = list(function.program.inputs)
    if len(args) > len(order):
        known = f"{len(order)}: {', '.join(order)}" if order else "no `input` line"
        raise mistake("FUSE285", got=len(args), known=known)
    return gather_inputs(dict(zip(order, args, strict=False)), named)


def result_of(function: FuseFunction, exports: Mapping[str, jax.Array]) -> jax.Array | dict[str, jax.Array]:
    """The tensor when the program has one export, else all by name."""
    if len(function.program.exports) == 1:
        (value,) = exports.values()
        return value
    return dict(exports)
