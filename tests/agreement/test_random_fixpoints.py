"""Random cycles of numbers and truth values, by the oracle's plain loops and by every engine."""

from __future__ import annotations

import random

import jax
import numpy as np
import pytest

from fuse_ref import DivergenceError, ExecutionConfig, Program
from fuse_ref.evaluate.runner import BackendChoice
from tests.support.oracle import OracleError
from tests.support.oracle import run as run_oracle

CONFIG = ExecutionConfig(precision="float64", tol=1e-12, max_iters=300)
# What an equation may read of the group: X[i], Y[i, j] with i and j of one axis, P[i], and the relation T(i).
_READS = (
    "X[i]",
    "X[j]",
    "X[0]",
    "X[N[i]]",
    "Y[i, j]",
    "Y[j, i]",
    "Y[i, i]",
    "Y[i, 0]",
    "P[i]",
    "P[j]",
    "T[i]",
    "max(j: Y[i, j])",
    "sum(j: W[i, j] X[j])",
    "sum(k: V[i, k] tanh(X[i]))",
    "softmax(X[i], axis=i)",
)
_GIVEN = ("A[i]", "W[i, j]", "V[i, 0]", "B[j]", "0.3")
_JOINED = ("{} + {}", "{} - {}", "({}) ({})", "({}) * sig({})", "max({}, {})", "where({} > 0, {}, 0.1)")


def program(seed: int) -> str:
    """Each tensor is a tenth of what is bounded by 1, so that rounds come together."""
    draw = random.Random(seed)

    def term(reads: tuple[str, ...]) -> str:
        parts = [draw.choice(reads), draw.choice(_GIVEN)]
        draw.shuffle(parts)
        return draw.choice(_JOINED).format(*parts)

    inner = tuple(read for read in _READS if "j" not in read or ":" in read)
    lines = [
        "input A[i]; input W[i, j]; input V[i, k]; input B[i]; input N[i]: int64; input Edge(i, j)",
        f"X[i] = 0.1 tanh({term(inner)}) + 0.1 sum(j: W[i, j] tanh({term(_READS)})) / 3",
        f"Y[i, j] = 0.1 tanh({term(_READS)}) + {draw.choice(('W[i, j]', 'A[i] W[j, i]', 'W[i, j] B[j]'))}",
        f"P[i] {draw.choice(('avg=', '='))} 0.1 tanh({term(inner)}) {draw.choice(('A[i]', 'Edge(i, j)', 'Edge(j, i)'))}",
        f"T(i) <- X[i] > {draw.choice((-0.05, 0.0, 0.05))}, Y[i, 0] < {draw.choice((0.4, 0.9))}",
        "export X, Y, P, T",
    ]
    return "\n".join(lines)


def values(seed: int, n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"A": (n,), "W": (n, n), "V": (n, 2), "B": (n,)}
    found: dict[str, np.ndarray] = {name: rng.uniform(-1, 1, shape) for name, shape in shapes.items()}
    return found | {"N": rng.integers(0, n, n), "Edge": rng.random((n, n)) < 0.5}


@pytest.mark.parametrize("seed", range(24))
def test_random_cycles(seed: int) -> None:
    made = Program(program(seed))
    backends: tuple[BackendChoice, ...] = ("numpy", "torch", "jax") if seed < 4 else ("numpy", "torch")
    with jax.enable_x64(True):
        runners = {backend: made.compile(backend, config=CONFIG) for backend in backends}
        for n in (3, 1):
            given = values(seed, n)
            try:
                expected = run_oracle(made.explicit(), given, tolerance=1e-12, max_iterations=300).exports
            except OracleError:  # truth values that go to and fro
                for runner in runners.values():
                    with pytest.raises(DivergenceError):
                        runner(given)
                continue
            for backend, runner in runners.items():
                found = runner(given)
                for name, array in expected.items():
                    words = f"{backend} {name}\n{made.source}"
                    np.testing.assert_allclose(np.asarray(found[name]), array, rtol=1e-10, atol=1e-10, err_msg=words)
