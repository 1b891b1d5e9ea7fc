"""Runs in bfloat16 and float16: every operation reads 16 bits, computes in float32 and rounds its result once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import numpy as np

from fuse_ref.analysis.lengths import Length
from fuse_ref.evaluate.dense import write_operation
from fuse_ref.evaluate.registers import Emitter
from fuse_ref.plan.dataflow import reads
from fuse_ref.plan.steps import Concat, DenseOperation, Expand, Index, LiteralArray, Permute

__all__ = ["write_in_precision"]

_WIDE: Final = np.dtype(np.float32)


def write_in_precision(
    emitter: Emitter, operation: DenseOperation, sizes: Callable[[Length], int], tensors: Collection[str]
) -> None:
    """Write one operation; where `emitter.float_type` has 16 bits, so that it computes in float32.

    What only moves numbers moves 16 bits. Everything else sees its operands in float32: NumPy would add up
    float16 in float16, where 2048 + 1 is 2048, and has no matrix product of bfloat16. Positions, and what is
    computed of positions alone, stay in float32 until they meet a tensor: 300 and 301 are one number in bfloat16.

    Args:
        sizes: as of `write_operation`.
        tensors: of the program; every other value lies between two of its equations' operations.
    """
    narrow = emitter.float_type
    if narrow.itemsize != 2:
        write_operation(emitter, operation, sizes)
        return
    read = {name: emitter.names[name] for name in reads(operation) if name in emitter.names}
    rounds = any(emitter.infos[register].dtype == narrow for register in read.values())
    rounds = rounds or operation.output.out in tensors
    if isinstance(operation, LiteralArray) or (rounds and isinstance(operation, Index | Permute | Expand | Concat)):
        write_operation(emitter, operation, sizes)
        return
    for name, register in read.items():
        if emitter.infos[register].dtype == narrow:
            emitter.names[name] = emitter.cast(register, _WIDE)
    emitter.float_type = _WIDE
    write_operation(emitter, operation, sizes)
    emitter.float_type = narrow
    emitter.names.update(read)
    out = operation.output.out
    register = emitter.names[out]
    if rounds and emitter.infos[register].dtype == _WIDE:
        emitter.bind(out, emitter.cast(register, narrow))
