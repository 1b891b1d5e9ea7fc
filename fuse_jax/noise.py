"""Random numbers of a training step, from one key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from fuse_ref.mistakes import mistake

__all__ = ["Noise", "noise_of"]


@dataclass(frozen=True, slots=True)
class Noise:
    """What a call draws from.

    Attributes:
        key: of the call.
        training: whether anything is drawn; an array where the caller's `jit` traces it.
    """

    key: jax.Array
    training: bool | jax.Array

    def drop(self, x: jax.Array, p: float, stream: str) -> jax.Array:
        """Inverted dropout (Srivastava et al. 2014, section 10): each element is 0 with probability `p`, else x / (1 - p).

        Args:
            stream: names the call of dropout; another name draws independently.
        """
        if p == 1:
            dropped = jnp.zeros_like(x)
        else:
            # hash() of a string differs from process to process; this number does not.
            number = int.from_bytes(hashlib.sha256(f"dropout {stream}".encode()).digest()[:4], "little")
            kept = jax.random.bernoulli(jax.random.fold_in(self.key, number), 1 - p, x.shape)
            dropped = jnp.where(kept, x / (1 - p), 0)
        return dropped if self.training is True else jnp.where(self.training, dropped, x)


def noise_of(key: jax.Array | None, training: bool | jax.Array, *, random: bool) -> Noise | None:
    """The noise of a call, or None for an evaluation.

    Args:
        random: whether the program draws anything.

    Raises:
        InputError: a training step of a random program without a key.
    """
    traced = isinstance(training, jax.core.Tracer)
    if not random or not (traced or training):
        return None
    if key is None:
        raise mistake("FUSE217")
    return Noise(key, training if traced else True)
