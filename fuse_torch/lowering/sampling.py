"""Samples in torch: which terms of a sum are computed, and what their sum counts for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch

from fuse_ref.evaluate.permutation import Integers, combinations, keys_needed, round_keys
from fuse_ref.evaluate.sampling import sample as sample_by_numpy
from fuse_ref.plan.steps import Ratio, Sample
from fuse_torch.lowering.emitter import Emitter, Value

__all__ = ["by_torch", "lower_ratio", "lower_sample", "ratio", "sample"]


def _low(number: Any) -> Any:
    return number & 0xFFFFFFFF


_KEPT_ELEMENTS: Final = 1 << 17  # of samples that are kept, a megabyte each
_INTEGERS: Final = Integers(_low, torch.maximum, torch.where)


def sample(words: torch.Tensor, stream: int, sizes: tuple[int, ...], count: int) -> torch.Tensor:
    """Positions (variables, count) of `count` different combinations of `sizes` positions.

    An operator: its hundreds of small steps would take a compiler seconds for each sample. The seed is an input, so
    another seed compiles nothing.

    Args:
        words: (2,) int64, of the seed.
        stream: which of the samples with that seed.
    """
    drawn: torch.Tensor = torch.ops.fuse_torch.sample(words, stream, sizes, count)
    return drawn


def _drawn(words: torch.Tensor, stream: int, sizes: Sequence[int], count: int) -> torch.Tensor:
    if words.device.type != "cpu":
        return by_torch(words, stream, sizes, count)
    low, high = words.tolist()
    draw = _by_numpy if count * len(sizes) > _KEPT_ELEMENTS else _kept_by_numpy
    return torch.from_numpy(draw((low, high), stream, tuple(sizes), count).copy())


def _by_numpy(words: tuple[int, int], stream: int, sizes: tuple[int, ...], count: int) -> np.ndarray:
    return sample_by_numpy(words, stream, sizes, count)


# A seed that stays draws the same in every call.
_kept_by_numpy: Final = functools.lru_cache(maxsize=32)(_by_numpy)


def by_torch(words: torch.Tensor, stream: int, sizes: Sequence[int], count: int) -> torch.Tensor:
    """`sample` in torch's own arithmetic, wherever `words` is. On the CPU NumPy's takes a third of the time."""
    sizes = [_at_least_one(size) for size in sizes]
    counter = torch.arange(keys_needed(len(sizes)), device=words.device)
    keys = round_keys(_INTEGERS, counter, (words[0], words[1]), stream, len(sizes))
    first = torch.arange(count, device=words.device)
    return torch.stack(combinations(_INTEGERS, first, sizes, keys, _repeat))


def _repeat(
    turn: Callable[[Any, tuple[Any, ...]], tuple[Any, ...]], keys: torch.Tensor, positions: tuple[Any, ...]
) -> tuple[Any, ...]:
    for key in keys:
        positions = turn(key, positions)
    return positions


def _shaped(words: torch.Tensor, stream: int, sizes: Sequence[int], count: int) -> torch.Tensor:
    return words.new_empty((len(sizes), count))


_LIBRARY = torch.library.Library("fuse_torch", "FRAGMENT")
_LIBRARY.define("sample(Tensor words, int stream, SymInt[] sizes, SymInt count) -> Tensor")
torch.library.impl("fuse_torch::sample", "CompositeExplicitAutograd", _drawn, lib=_LIBRARY)
_LIBRARY.impl("sample", torch.library.fallthrough_kernel, "Autograd")
torch.library.register_fake("fuse_torch::sample", _shaped, lib=_LIBRARY)


def ratio(numerator: tuple[int, ...], denominator: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """A product of lengths, divided by another length; 0 where both are 0."""
    product: Any = 1
    for length in numerator:
        product = product * length
    return torch.full((), product / _at_least_one(denominator), dtype=dtype, device=device)


def _at_least_one(size: int) -> int:
    return max(1, size) if isinstance(size, int) else torch.sym_max(1, size)


def lower_sample(emit: Emitter, operation: Sample) -> Value:
    sizes = tuple(emit.size(length) for length in operation.ranges)
    count = emit.size(operation.output.lengths[1])
    node = emit.call(sample, emit.operand(operation.seed), operation.stream, sizes, count)
    return Value(node, operation.output.lengths, "int64")


def lower_ratio(emit: Emitter, operation: Ratio) -> Value:
    numerator = tuple(emit.size(length) for length in operation.numerator)
    node = emit.call(ratio, numerator, emit.size(operation.denominator), emit.precision(), emit.device())
    return Value(node, (), "float")
