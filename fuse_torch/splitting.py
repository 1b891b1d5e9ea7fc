"""Calls of modules under `memory_limit`: one that would hold too much runs block by block, or is refused.

Eagerly the blocks are plain calls of the plan's graph, so that every transformation of torch's goes through
them. Where a gradient is wanted each block keeps only its inputs and is computed again on the way back.
Compiled code has an operator instead; see `split_operator`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch.utils.checkpoint import checkpoint

from fuse_ref.analysis.lengths import Fixed
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.blocks import Blocks, Split, blocks_for, splits_of
from fuse_ref.evaluate.memory import Peak, item_size, too_large
from fuse_ref.mistakes import mistake
from fuse_ref.plan.steps import Plan
from fuse_torch.lowering.lower import PRECISION, Lowered
from fuse_torch.lowering.needed import without_unneeded

__all__ = ["Splitting", "find_splitting", "register", "run_in_blocks", "splitting_of"]

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


def find_splitting(key: str) -> Splitting:
    """What was registered under `key`."""
    return _SPLITTINGS[key]


def run_in_blocks(
    key: str, owner: torch.nn.Module, values: list[torch.Tensor], precision: torch.dtype
) -> list[torch.Tensor]:
    """The outputs of a call that is too large as a whole, as differentiable as any other."""
    splitting = find_splitting(key)

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
