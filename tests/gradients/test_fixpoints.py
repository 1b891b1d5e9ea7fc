"""Gradient programs of numeric fixpoints: the gradients are fixpoints themselves, on every engine."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import numpy as np
import pytest

from fuse_ref import ExecutionConfig, Program, generate_gradient_program
from fuse_ref.evaluate.runner import BackendChoice

CONFIG = ExecutionConfig(precision="float64", tol=1e-13)
BACKENDS: tuple[BackendChoice, ...] = ("numpy", "torch", "jax")


def check(text: str, wanted: Mapping[str, np.ndarray], *, backend: BackendChoice, **given: np.ndarray) -> None:
    """Against central differences, twice with other values."""
    source = Program(text)
    made = generate_gradient_program(source, seeds={"Loss": "1.0"}, export_grads=list(wanted))
    assert Program(made.format()).digest == made.digest
    with jax.enable_x64(backend == "jax"):
        runner, gradients = source.compile("numpy", config=CONFIG), made.compile(backend, config=CONFIG)
        for scale in (1.0, 0.9):
            values = {name: array * scale for name, array in wanted.items()}
            found = gradients({**values, **given})
            for name, array in values.items():
                expected = np.zeros_like(array)
                for place in np.ndindex(array.shape):
                    loss = []
                    for step in (1e-6, -1e-6):
                        moved = array.copy()
                        moved[place] += step
                        loss.append(float(np.asarray(runner({**values, **given, name: moved})["Loss"])))
                    expected[place] = (loss[0] - loss[1]) / 2e-6
                got = np.asarray(found[f"Grad_{name}"])
                np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7, err_msg=f"{name}\n{made.source}")


@pytest.mark.parametrize("backend", BACKENDS)
def test_sums(backend: BackendChoice) -> None:
    rng = np.random.default_rng(0)
    text = "Z[b, i] = tanh(W[i, j] Z[b, j] + U[i, k] X[b, k])\nLoss = Z[b, i]**3\nexport Loss"
    wanted = {"W": rng.normal(size=(3, 3)) * 0.3, "U": rng.normal(size=(3, 2)), "X": rng.normal(size=(2, 2))}
    check(text, wanted, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_paths_along_edges(backend: BackendChoice) -> None:
    """3 and 4 reach each other and nothing reaches them: infinite, without a slope."""
    text = "input Edge(x, y)\nD[0] = 0\nD[y] min= Edge(x, y), D[x] + W[x, y]\nLoss = D[1]**2 + 3 D[2]\nexport Loss"
    edges = np.array([(0, 1), (1, 2), (0, 2), (3, 4), (4, 3)])
    check(text, {"W": np.random.default_rng(1).uniform(0.1, 2, (5, 5))}, backend=backend, Edge=edges)


@pytest.mark.parametrize(
    ("text", "name", "shape"),
    [
        ("D[y] min= D[x] + A[x, y]\nD[0] = 0\nLoss = D[y]**2", "A", (4, 4)),
        ("X[i] = max(j: A[i, j] + 0.5 X[j])\nLoss = X[i]**2", "A", (3, 3)),
        ("Q[i] prod= A[i] sqrt(Q[i])\nLoss = Q[i]", "A", (3,)),
        ("M[i] avg= A[i, k] + 0.5 tanh(M[i])\nLoss = M[i]**2", "A", (3, 4)),
        ("C[y] max= min(C[x], A[x, y])\nC[0] = 9\nLoss = C[y] where(y > 0, 1, 0)", "A", (4, 4)),
    ],
)
def test_other_operators(text: str, name: str, shape: tuple[int, ...]) -> None:
    wanted = {name: np.random.default_rng(2).uniform(0.3, 2, shape)}
    check(f"{text}\nexport Loss", wanted, backend="numpy")


def test_the_cycle_itself_stays_as_it_is() -> None:
    """What the split names would begin at 0 in it, and shortest paths from there are others."""
    source = "D[y] min= D[x] + W[x, y]\nD[0] = 0\nLoss = D[y]\nexport Loss"
    made = generate_gradient_program(source, seeds={"Loss": "1.0"}, export_grads=["W"])
    assert "D[y] min= D[x] + W[x, y]\n" in made.source
    (group,) = (step.writes for step in made.plan().steps if step.kind == "Fixpoint" and "D" in step.writes)
    assert group == ("D",)
