"""Train experts.fuse on scikit-learn's handwritten digits with JAX and optax."""

from __future__ import annotations

from pathlib import Path

import jax
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fuse_jax
from fuse_ref import Program


def main(steps: int = 300) -> tuple[float, list[float]]:
    """The share of held-out digits that are recognised, and the share that each expert sees."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split((images / 16).astype("float32"), labels, test_size=0.2, random_state=0)
    train, test = {"X": parts[0], "Class": parts[2]}, {"X": parts[1], "Class": parts[3]}
    function = fuse_jax.compile(Program.from_file(Path(__file__).with_suffix(".fuse")))
    params = function.init(jax.random.key(0), train)
    optimiser = optax.adam(0.01)
    state = optimiser.init(params)

    @jax.jit
    def update(params, state):
        slopes = jax.grad(lambda p: function(p, train)["Loss"])(params)
        change, state = optimiser.update(slopes, state)
        return optax.apply_updates(params, change), state

    for _ in range(steps):
        params, state = update(params, state)
    found = function(params, test)
    return float(found["Right"]), [round(float(share), 2) for share in found["Load"]]


if __name__ == "__main__":
    print("right on {:.1%} of the digits held out; digits seen by each expert: {}".format(*main()))
