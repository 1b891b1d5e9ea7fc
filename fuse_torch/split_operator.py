"""The operator `fuse_torch::split`: what a call that is too large for `memory_limit` is in compiled code.

The number of blocks is decided when it runs, from the sizes that it meets: no guard and no length in the graph
depends on it, and no compiler can move parts of several blocks together, which would hold more than the limit.
Its gradient computes block after block again. Transformations of `torch.func` inside compiled code refuse it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch

from fuse_ref.analysis.lengths import evaluate
from fuse_torch.splitting import find_splitting

__all__ = ["cast_of", "seed_for"]


def seed_for(training: bool) -> torch.Tensor | None:
    """What the blocks of a random program draw from, so that a gradient sees what was drawn."""
    return torch.randint(0, 2**62, ()) if training else None


def cast_of(value: torch.Tensor) -> torch.dtype | None:
    """What autocast computes in where `value` is, if it is on."""
    kind = value.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


# The operator -----------------------------------------------------------------------------------

_LIBRARY = torch.library.Library("fuse_torch", "FRAGMENT")
_TAKES = "Tensor[] values, Tensor? seed, str key, ScalarType precision, ScalarType? cast, bool training"
_LIBRARY.define(f"split({_TAKES}) -> Tensor[]")
# The same without derivatives, and the derivatives: what compilers find in the graphs of both directions.
_LIBRARY.define(f"split_forward({_TAKES}) -> Tensor[]")
_LIBRARY.define(f"split_backward(Tensor[] gradients, bool[] wanted, {_TAKES}) -> Tensor[]")


class _Call:
    """One execution of the operator: the plan's graph without a module."""

    def __init__(
        self,
        values: Sequence[torch.Tensor],
        seed: torch.Tensor | None,
        key: str,
        cast: torch.dtype | None,
        training: bool,
    ) -> None:
        self.splitting = find_splitting(key)
        count = len(self.splitting.names)
        self.values = list(values[:count])
        self.owner = SimpleNamespace(
            training=training, **dict(zip(self.splitting.buffers, values[count:], strict=True))
        )
        self.device = values[0].device if values else torch.device("cpu")
        self.seed = seed
        self.cast = cast

    def __call__(self, *block: torch.Tensor) -> Any:
        return self.splitting.body(self.owner, *block)

    def calmly(self, function: Callable[[], list[torch.Tensor]]) -> list[torch.Tensor]:
        """`function` under the caller's autocast, with random numbers from the seed."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.autocast(self.device.type, dtype=self.cast, enabled=self.cast is not None):
            if self.seed is None:
                return function()
            with torch.random.fork_rng(devices):
                torch.manual_seed(int(self.seed))
                return function()


def _run(
    values: Sequence[torch.Tensor],
    seed: torch.Tensor | None,
    key: str,
    precision: torch.dtype,
    cast: torch.dtype | None,
    training: bool,
) -> list[torch.Tensor]:
    call = _Call(values, seed, key, cast, training)
    with torch.no_grad():
        return call.calmly(lambda: call.splitting.run(call, call.values, precision))


def _run_back(
    gradients: Sequence[torch.Tensor],
    wanted: Sequence[bool],
    values: Sequence[torch.Tensor],
    seed: torch.Tensor | None,
    key: str,
    precision: torch.dtype,
    cast: torch.dtype | None,
    training: bool,
) -> list[torch.Tensor]:
    call = _Call(values, seed, key, cast, training)
    with torch.enable_grad():
        return call.calmly(lambda: _gradients(call, gradients, wanted, precision))


def _gradients(
    call: _Call, gradients: Sequence[torch.Tensor], wanted: Sequence[bool], precision: torch.dtype
) -> list[torch.Tensor]:
    """The gradient of each value that is wanted, block after block; `gradients` are those of float outputs."""
    splitting = call.splitting
    named = dict(zip(splitting.names, call.values, strict=True))
    chosen = [name for name, want in zip(splitting.names, wanted, strict=True) if want]
    found = {name: torch.zeros_like(named[name], memory_format=torch.contiguous_format) for name in chosen}
    dtypes = {tensor.name: tensor.dtype for tensor in splitting.plan.program.tensors}
    floats = [name for name in splitting.outputs if dtypes[name] == "float"]
    blocks = splitting.blocks(named, precision)
    for number, part in enumerate([None] if blocks is None else blocks.parts()):
        block = named if blocks is None or part is None else blocks.of(named, part)
        leaves = {name: value.detach().requires_grad_(name in found) for name, value in block.items()}
        made = dict(zip(splitting.outputs, splitting.listed(call(*leaves.values())), strict=True))
        ends: list[torch.Tensor] = []
        weights: list[torch.Tensor] = []
        for name, gradient in zip(floats, gradients, strict=True):
            here = gradient if blocks is None or part is None else blocks.share(name, gradient, part, number)
            if here is not None and made[name].requires_grad:
                ends.append(made[name])
                weights.append(here)
        if not ends:
            continue
        grads = torch.autograd.grad(ends, [leaves[name] for name in chosen], weights, allow_unused=True)
        into = found if blocks is None or part is None else blocks.of(found, part)
        for name, grad in zip(chosen, grads, strict=True):
            if grad is not None:
                into[name].add_(grad)
    return [found[name] for name in chosen]


def _shapes(
    values: Sequence[torch.Tensor],
    seed: torch.Tensor | None,
    key: str,
    precision: torch.dtype,
    cast: torch.dtype | None,
    training: bool,
) -> list[torch.Tensor]:
    splitting = find_splitting(key)
    if cast is not None:  # which results it makes smaller only the operations themselves know
        call = _Call(values, None, key, cast, training)
        made = call.calmly(lambda: splitting.listed(call(*call.values)))
        return [torch.empty_like(item, memory_format=torch.contiguous_format) for item in made]
    plan = splitting.plan
    shapes = {name: value.shape for name, value in zip(splitting.names, values, strict=False)}
    kinds = {"float": precision, "int64": torch.int64, "bool": torch.bool}
    dtypes = {tensor.name: tensor.dtype for tensor in plan.program.tensors}
    device = values[0].device if values else torch.device("cpu")
    made = []
    for name in splitting.outputs:
        size = [max(0, evaluate(length, lambda tensor, k: shapes[tensor][k])) for length in plan.shape(name)]
        made.append(torch.empty(size, dtype=kinds[dtypes[name]], device=device))
    return made


def _shapes_back(
    gradients: Sequence[torch.Tensor],
    wanted: Sequence[bool],
    values: Sequence[torch.Tensor],
    seed: torch.Tensor | None,
    key: str,
    precision: torch.dtype,
    cast: torch.dtype | None,
    training: bool,
) -> list[torch.Tensor]:
    chosen = [value for value, want in zip(values, wanted, strict=False) if want]
    return [torch.empty_like(value, memory_format=torch.contiguous_format) for value in chosen]


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        seed: torch.Tensor | None,
        key: str,
        precision: torch.dtype,
        cast: torch.dtype | None,
        training: bool,
        *values: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        made: list[torch.Tensor] = torch.ops.fuse_torch.split_forward(
            list(values), seed, key, precision, cast, training
        )
        ctx.save_for_backward(*values, *([] if seed is None else [seed]))
        ctx.arguments = (seed is not None, key, precision, cast, training)
        ctx.mark_non_differentiable(*(item for item in made if not item.dtype.is_floating_point))
        return tuple(made)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        seeded, key, precision, cast, training = ctx.arguments
        saved = list(ctx.saved_tensors)
        seed = saved.pop() if seeded else None
        splitting = find_splitting(key)
        wanted = [ctx.needs_input_grad[5 + number] for number in range(len(splitting.names))]
        dtypes = {tensor.name: tensor.dtype for tensor in splitting.plan.program.tensors}
        floats = [
            gradient for name, gradient in zip(splitting.outputs, gradients, strict=True) if dtypes[name] == "float"
        ]
        found = iter(torch.ops.fuse_torch.split_backward(floats, wanted, saved, seed, key, precision, cast, training))
        grads = [next(found) if want else None for want in wanted]
        return (None, None, None, None, None, *grads, *([None] * len(splitting.buffers)))


def _differentiable(
    values: list[torch.Tensor],
    seed: torch.Tensor | None,
    key: str,
    precision: torch.dtype,
    cast: torch.dtype | None,
    training: bool,
) -> list[torch.Tensor]:
    return list(_Differentiable.apply(seed, key, precision, cast, training, *values))


for _name, _kernel, _fake in (
    ("split", _run, _shapes),
    ("split_forward", _run, _shapes),
    ("split_backward", _run_back, _shapes_back),
):
    torch.library.impl(f"fuse_torch::{_name}", "CompositeExplicitAutograd", _kernel, lib=_LIBRARY)
    torch.library.register_fake(f"fuse_torch::{_name}", _fake, lib=_LIBRARY)
_LIBRARY.impl("split", _differentiable, "Autograd")
for _name in ("split_forward", "split_backward"):
    _LIBRARY.impl(_name, torch.library.fallthrough_kernel, "Autograd")
