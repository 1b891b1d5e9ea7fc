"""A call in blocks, where the whole would hold more than `memory_limit`: a loop of the compiled code."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from fuse_jax.noise import Noise
from fuse_ref.evaluate.blocks import Blocks

__all__ = ["run_in_blocks"]

Values = Mapping[str, jax.Array]
Run = Callable[[Values, Noise | None], dict[str, jax.Array]]


def run_in_blocks(
    blocks: Blocks, run: Run, values: Values, noise: Noise | None, outputs: Sequence[str], *, watched: bool
) -> dict[str, jax.Array]:
    """The outputs by name, from a `run` for each block.

    The blocks of full size are one loop, so that the code does not grow with their number; what is left over
    runs after it. Where a gradient is wanted each block keeps only its inputs and is computed again.

    Args:
        noise: each block draws with a key of its own.
        watched: `run` looks at its values: then it runs block by block in Python, and stops at the first fault.
    """

    def run_block(start: int | jax.Array, size: int, values: Values) -> dict[str, jax.Array]:
        cut = dict(values)
        for name, dimension in blocks.split.cut:
            cut[name] = lax.dynamic_slice_in_dim(values[name], start, size, dimension)
        own = None if noise is None else dataclasses.replace(noise, key=jax.random.fold_in(noise.key, start))
        made = run(cut, own)
        return {name: made[name] for name in outputs}

    full, rest = divmod(blocks.count, blocks.size)
    parts: list[dict[str, jax.Array]]
    if watched:
        parts = [run_block(part.start, part.stop - part.start, values) for part in blocks.parts()]
    else:
        parts = [_loop(blocks, run_block, values, outputs, full)]
        if rest:
            parts.append(jax.checkpoint(run_block, static_argnums=1)(full * blocks.size, rest, values))
    if len(parts) == 1:
        return parts[0]
    return {name: blocks.join(name, [part[name] for part in parts], jnp.concatenate) for name in outputs}


def _loop(
    blocks: Blocks,
    run_block: Callable[[int | jax.Array, int, Values], dict[str, jax.Array]],
    values: Values,
    outputs: Sequence[str],
    full: int,
) -> dict[str, jax.Array]:
    """The outputs of the first `full` blocks together."""
    places = dict(blocks.split.joined)
    lined = [name for name in outputs if places[name] >= 0]  # one after another; the others are carried
    # Inside a scan nothing can merge a block with its second computation, so no barrier is needed.
    block = jax.checkpoint(run_block, static_argnums=1, prevent_cse=False)
    shapes = jax.eval_shape(lambda values: run_block(0, blocks.size, values), values)
    first = {name: jnp.zeros(shapes[name].shape, shapes[name].dtype) for name in outputs if places[name] < 0}

    def step(carried: dict[str, jax.Array], number: jax.Array) -> tuple[dict[str, jax.Array], list[jax.Array]]:
        made = block(number * blocks.size, blocks.size, values)
        carry = {name: blocks.gathered(name, total, made[name]) for name, total in carried.items()}
        return carry, [made[name] for name in lined]

    carried, stacked = lax.scan(step, first, jnp.arange(full))
    for name, stack in zip(lined, stacked, strict=True):
        moved = jnp.moveaxis(stack, 0, places[name])
        shape = shapes[name].shape
        carried[name] = moved.reshape(*shape[: places[name]], full * blocks.size, *shape[places[name] + 1 :])
    return carried
