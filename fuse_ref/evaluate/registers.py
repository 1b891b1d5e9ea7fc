"""A straight-line NumPy program over numbered registers, written for one set of shapes.

Builders (`dense.py`, `contract.py`, `indexing.py`, `scatter.py`) call an `Emitter`; it keeps what is known of
each register's memory, so that a buffer nobody needs any more is written over instead of left to the allocator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from fuse_ref.records import dataclass

__all__ = ["Emitter", "Info", "Instruction", "Register", "Registers"]

Register: TypeAlias = int
Registers: TypeAlias = list[Any]
Instruction: TypeAlias = Callable[[Registers], None]

_WORTH_FREEING = 1 << 16  # bytes; smaller buffers live until the call ends


@dataclass(frozen=True, slots=True)
class Info:
    """What is known of a register's array when the program is written."""

    shape: tuple[int, ...]
    dtype: np.dtype
    root: Register  # the register whose memory this one sees; itself when it has its own
    owned: bool  # the memory was made by this program, not given or constant
    overlapping: bool  # several elements share memory: never written to
    order: tuple[int, ...]  # dimensions from the slowest to the fastest in memory, as far as one can tell

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


class Emitter:
    """Collects instructions.

    `last_use` tells for every value name the position of the last operation that reads it; outputs have one
    beyond every operation.
    """

    def __init__(self, float_type: np.dtype, last_use: dict[str, int]) -> None:
        self.float_type = float_type
        self.instructions: list[Instruction] = []
        self.template: Registers = []  # the registers at the start of a call: constants, else None
        self.infos: list[Info] = []
        self.names: dict[str, Register] = {}
        self.now = 0  # position of the operation that is being written
        self._last_use = last_use
        self._root_names: dict[Register, list[str]] = {}
        self._sharers: dict[Register, list[Register]] = {}  # by root: the registers that see its memory

    # Registers ----------------------------------------------------------------------------------

    def _new(self, info: Info, value: object = None) -> Register:
        self.template.append(value)
        self.infos.append(info)
        register = len(self.infos) - 1
        self._sharers.setdefault(info.root, []).append(register)
        return register

    def _own(self, shape: tuple[int, ...], dtype: np.dtype, owned: bool, value: object = None) -> Register:
        register = len(self.infos)
        return self._new(Info(shape, dtype, register, owned, False, tuple(range(len(shape)))), value)

    def given(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> Register:
        """A register that every call fills from outside."""
        register = self._own(shape, dtype, owned=False)
        self.bind(name, register)
        return register

    def constant(self, value: np.ndarray | np.generic | float) -> Register:
        """A register that holds the same value in every call."""
        array = np.asarray(value)
        return self._own(array.shape, array.dtype, owned=False, value=value)

    def bind(self, name: str, register: Register) -> None:
        """Call the value in `register` by `name`."""
        self.names[name] = register
        self._root_names.setdefault(self.infos[register].root, []).append(name)

    def may_overwrite(self, register: Register) -> bool:
        """Whether its memory belongs to the program and no later operation nor output sees it."""
        info = self.infos[register]
        root = self.infos[info.root]
        if info.overlapping or not root.owned or not info.shape:
            return False
        # A part of a larger array lies in steps there, and NumPy 2.4 negates float32 in place wrongly in steps.
        if info.elements != root.elements:
            return False
        return all(self._last_use[name] <= self.now for name in self._root_names.get(info.root, ()))

    # Instructions -------------------------------------------------------------------------------

    def call(
        self,
        function: Callable[..., Any],
        operands: Sequence[Register],
        shape: tuple[int, ...],
        dtype: np.dtype,
        *,
        into: Register | None = None,
        order: tuple[int, ...] | None = None,
    ) -> Register:
        """`function(*operands)`, a new array of `shape`; written into the memory of operand `into` when given."""
        if into is None:
            register = self._own(shape, dtype, owned=True)
            if order is not None:
                self.infos[register] = Info(shape, dtype, register, True, False, order)
        else:
            of = self.infos[into]
            register = self._new(Info(shape, dtype, of.root, True, False, of.order))
        self.instructions.append(_instruction(function, register, tuple(operands), into))
        return register

    def view(
        self,
        function: Callable[[Any], Any],
        operand: Register,
        shape: tuple[int, ...],
        order: tuple[int, ...] | None = None,
        *,
        overlapping: bool = False,
    ) -> Register:
        """`function(operand)`, which may share the operand's memory."""
        of = self.infos[operand]
        order = tuple(range(len(shape))) if order is None else order
        register = self._new(Info(shape, of.dtype, of.root, of.owned, of.overlapping or overlapping, order))
        self.instructions.append(_instruction(function, register, (operand,), None))
        return register

    def transpose(self, operand: Register, permutation: tuple[int, ...]) -> Register:
        """Dimension k of the result is dimension `permutation[k]` of the operand; a view."""
        if permutation == tuple(range(len(permutation))):
            return operand
        info = self.infos[operand]
        shape = tuple(info.shape[k] for k in permutation)
        order = tuple(permutation.index(k) for k in info.order)
        return self.view(lambda x: x.transpose(permutation), operand, shape, order)

    def reshape(self, operand: Register, shape: tuple[int, ...]) -> Register:
        """A view where the memory allows it, else a copy in C order; seen as a view either way."""
        if shape == self.infos[operand].shape:
            return operand
        return self.view(lambda x: x.reshape(shape), operand, shape)

    def cast(self, operand: Register, dtype: np.dtype) -> Register:
        info = self.infos[operand]
        if info.dtype == dtype:
            return operand
        return self.call(lambda x: x.astype(dtype), (operand,), info.shape, dtype, order=info.order)

    def align(self, operand: Register, labels: Sequence[str], wanted: Sequence[str], *, full: bool = False) -> Register:
        """The operand's dimensions in the order `wanted`, with length 1 where it lacks a label.

        Leading dimensions of length 1 are left out, since NumPy adds them, unless `full`.
        """
        present = [label for label in wanted if label in labels]
        aligned = self.transpose(operand, tuple(labels.index(label) for label in present))
        sizes = dict(zip(present, self.infos[aligned].shape, strict=True))
        shape = [sizes.get(label, 1) for label in wanted]
        if not full:
            while shape and wanted[len(wanted) - len(shape)] not in sizes:
                del shape[0]
        if len(shape) == len(present):
            return aligned
        info = self.infos[aligned]
        kept = [k for k, label in enumerate(wanted[len(wanted) - len(shape) :]) if label in sizes]
        new = [k for k in range(len(shape)) if k not in kept]
        index = tuple(None if k in new else slice(None) for k in range(len(shape)))
        order = (*new, *(kept[k] for k in info.order))
        return self.view(lambda x: x[index], aligned, tuple(shape), order)

    def finish_operation(self, first: Register, dead: Iterable[str]) -> None:
        """Let go of what no later operation sees: nameless arrays made since register `first`, and `dead` names."""
        roots = {self.infos[k].root for k in range(first, len(self.infos))}
        roots.update(self.infos[self.names[name]].root for name in dead)
        gone: list[Register] = []
        for root in sorted(roots):
            info = self.infos[root]
            names = self._root_names.get(root, ())
            large = info.owned and info.dtype.itemsize * info.elements >= _WORTH_FREEING
            if large and all(self._last_use[name] <= self.now for name in names):
                gone.extend(self._sharers.pop(root, ()))
        self._forget(gone)

    def _forget(self, registers: Iterable[Register]) -> None:
        gone = tuple(registers)
        if not gone:
            return

        def forget(r: Registers) -> None:
            for register in gone:
                r[register] = None

        self.instructions.append(forget)


def _instruction(
    function: Callable[..., Any], out: Register, operands: tuple[Register, ...], into: Register | None
) -> Instruction:
    """One call as a closure; the common numbers of operands have their own so that a call costs a tenth of a µs."""
    return _plain(function, out, operands) if into is None else _overwriting(function, out, operands, into)


def _plain(function: Callable[..., Any], out: Register, operands: tuple[Register, ...]) -> Instruction:
    match operands:
        case (a,):

            def run(r: Registers) -> None:
                r[out] = function(r[a])

        case (a, b):

            def run(r: Registers) -> None:
                r[out] = function(r[a], r[b])

        case _:

            def run(r: Registers) -> None:
                r[out] = function(*[r[k] for k in operands])

    return run


def _overwriting(
    function: Callable[..., Any], out: Register, operands: tuple[Register, ...], into: Register
) -> Instruction:
    match operands:
        case (a,):

            def run(r: Registers) -> None:
                r[out] = function(r[a], out=r[into])

        case (a, b):

            def run(r: Registers) -> None:
                r[out] = function(r[a], r[b], out=r[into])

        case _:

            def run(r: Registers) -> None:
                r[out] = function(*[r[k] for k in operands], out=r[into])

    return run
