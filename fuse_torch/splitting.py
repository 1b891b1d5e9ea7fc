"""Calls of modules under `memory_limit`: one that would hold too much runs block by block, or is refused.

Eagerly the blocks are plain calls of the plan's graph, so that every transformation of torch's goes through
them. Where a gradient is wanted each block keeps only its inputs and is computed again on the way back.

In compiled code a call that is too large is one operator, `fuse_torch::split`. The number of blocks is decided
when it runs, from the sizes that it meets: no guard and no length in the graph depends on it, and no compiler
can move parts of several blocks together, which would hold more than the limit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

import torch
from torch.utils.checkpoint import checkpoint

from fuse_ref.analysis.lengths import Fixed, evaluate
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.blocks import Blocks, Split, blocks_for, splits_of
from fuse_ref.evaluate.memory import Peak, item_size, too_large
from fuse_ref.mistakes import mistake
from fuse_ref.plan.steps import Plan
from fuse_torch.lowering.lower import PRECISION, Lowered
from fuse_torch.lowering.needed import without_unneeded

__all__ = ["Splitting", "cast_of", "register", "run_in_blocks", "seed_for", "splitting_of"]

Body = Callable[..., Any]  # of the owner of the buffers, then givens and states: an output, or a dict of them

_KEPT_SHAPES: Final = 256  # sets of shapes whose blocks are known
_PRECISIONS: Final[dict[torch.dtype, str]] = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}


@dataclass(frozen=True, slots=True)
class Splitting:
    """How calls of one plan obey a limit.

    Attributes:
        limit: bytes.
        names: the tensors that `body` takes, in order.
        buffers: attributes that it reads of its owner.
        random: whether it draws random numbers while training.
    """

    plan: Plan
    outputs: tuple[str, ...]
    limit: int
    names: tuple[str, ...]
    sources: tuple[str, ...]
    buffers: tuple[str, ...]
    random: bool
    body: Body
    splits: tuple[Split, ...]
    known: dict[tuple[object, ...], Blocks | None] = field(default_factory=dict)

    def check_known(self, precision: str) -> None:
        """Refuse what no call can do: when every size is known, or with what the module itself holds.

        Raises:
            LimitError: with the numbers.
        """
        dtypes = {tensor.name: tensor.dtype for tensor in self.plan.program.tensors}
        shapes: dict[str, tuple[int, ...]] = {}
        for name in (*self.names, *self.sources):
            sizes = [length.value for length in self.plan.shape(name) if isinstance(length, Fixed)]
            if len(sizes) == len(self.plan.shape(name)):
                shapes[name] = tuple(sizes)
        if len(shapes) == len(self.names) + len(self.sources):
            blocks_for(self.plan, self.splits, shapes, self.outputs, self._config(precision))
            return
        held = 0
        for name, shape in shapes.items():
            held += item_size(dtypes[name], precision) * torch.Size(shape).numel()
        if held > self.limit:
            raise too_large(Peak(held, "", (), None, held, 0), self.limit)

    def blocks(self, values: Mapping[str, torch.Tensor], precision: torch.dtype) -> Blocks | None:
        """How a call with `values` is split; None where it fits.

        Raises:
            LimitError: it fits in no way.
            RouteError: an export with open sizes.
        """
        shapes = {name: tuple(value.shape) for name, value in values.items()}
        for name, shape in shapes.items():
            if any(isinstance(size, torch.SymInt) for size in shape):
                raise mistake("FUSE229", self.plan.program.tensor(name).span, name=name, limit=self.limit)
        key = (precision, *shapes.values())
        if key not in self.known:
            for name in self.sources:
                shapes[name] = tuple(item.value for item in self.plan.shape(name) if isinstance(item, Fixed))
            config = self._config(_PRECISIONS[precision])
            found = blocks_for(self.plan, self.splits, shapes, self.outputs, config)
            if len(self.known) >= _KEPT_SHAPES:
                self.known.clear()
            self.known[key] = found
        return self.known[key]

    def _config(self, precision: str) -> ExecutionConfig:
        return dataclasses.replace(ExecutionConfig(), memory_limit=self.limit, precision=precision)  # type: ignore[arg-type]

    def listed(self, result: Any) -> list[torch.Tensor]:
        """The outputs of `body` in order."""
        return [result] if len(self.outputs) == 1 else [result[name] for name in self.outputs]

    def run(self, call: Body, values: Sequence[torch.Tensor], precision: torch.dtype) -> list[torch.Tensor]:
        """The outputs, from a `call` for each block."""
        named = dict(zip(self.names, values, strict=True))
        blocks = self.blocks(named, precision)
        if blocks is None:
            return [item.contiguous() for item in self.listed(call(*values))]
        parts = [self.listed(call(*blocks.of(named, part).values())) for part in blocks.parts()]
        return [
            blocks.join(name, [part[number] for part in parts], _concatenate).contiguous()
            for number, name in enumerate(self.outputs)
        ]


_SPLITTINGS: Final[dict[str, Splitting]] = {}  # by the key that generated code carries


def splitting_of(lowered: Lowered, limit: int) -> Splitting:
    """How calls of `lowered` obey `limit`. Its graph must still have torch's own code generation."""
    plan = without_unneeded(lowered.plan, lowered.outputs)
    code = lowered.graph.python_code("self")
    scope: dict[str, Any] = dict(code.globals)
    # Our own text: a program's names are in it as identifiers only.
    exec(compile(code.src, f"<fuse block of {', '.join(lowered.outputs)}>", "exec"), scope)
    buffers = [name for name, _ in (*lowered.literals, *lowered.sources)]
    return Splitting(
        plan=plan,
        outputs=lowered.outputs,
        limit=limit,
        names=tuple(slot.tensor.name for slot in (*lowered.givens, *lowered.states)),
        sources=tuple(name for _, name in lowered.sources),
        buffers=(*buffers, *([PRECISION] if lowered.needs_precision else [])),
        random=any(node.op == "get_attr" and node.target == "training" for node in lowered.graph.nodes),
        body=scope["forward"],
        splits=splits_of(plan, lowered.outputs),
    )


def register(key: str, splitting: Splitting) -> None:
    """Let code that carries `key` find it."""
    _SPLITTINGS.setdefault(key, splitting)


def seed_for(training: bool) -> torch.Tensor | None:
    """What the blocks of a random program draw from, so that a gradient sees what was drawn."""
    return torch.randint(0, 2**62, ()) if training else None


def cast_of(value: torch.Tensor) -> torch.dtype | None:
    """What autocast computes in where `value` is, if it is on."""
    kind = value.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


def run_in_blocks(
    key: str, owner: torch.nn.Module, values: list[torch.Tensor], precision: torch.dtype
) -> list[torch.Tensor]:
    """The outputs of a call that is too large as a whole, as differentiable as any other."""
    splitting = _SPLITTINGS[key]

    def call(*block: torch.Tensor) -> Any:
        return splitting.body(owner, *block)

    # Transformations of torch.func do not take the hooks with which a checkpoint works.
    transformed = torch._C._functorch.peek_interpreter_stack() is not None or torch.compiler.is_exporting()
    again = torch.is_grad_enabled() and not transformed and any(value.requires_grad for value in values)
    if not again:
        return splitting.run(call, values, precision)

    def call_again(*block: torch.Tensor) -> Any:
        return checkpoint(call, *block, use_reentrant=False, preserve_rng_state=splitting.random)

    return splitting.run(call_again, values, precision)


def _concatenate(parts: Sequence[torch.Tensor], axis: int) -> torch.Tensor:
    return torch.cat(list(parts), axis)


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
        self.splitting = _SPLITTINGS[key]
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
    splitting = _SPLITTINGS[key]
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
        splitting = _SPLITTINGS[key]
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
