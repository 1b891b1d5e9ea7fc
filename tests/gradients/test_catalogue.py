"""Gradient programs of the agreement catalogue: against autograd, against differences, on every engine."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import fuse_jax
from fuse_ref import Program, generate_gradient_program
from tests.agreement.case import Case
from tests.agreement.engines import x64
from tests.gradients.programs import (
    CASES,
    DOUBLE,
    check_numpy,
    compare,
    given,
    gradient_program,
    plain,
    torch_gradients,
    wanted,
    weights,
)

_STEP = 1e-5
# Some of each kind; tests/long has the others.
fourth = pytest.mark.parametrize("case", CASES[::4], ids=lambda case: case.name)


@fourth
def test_numpy_gives_what_autograd_gives(case: Case) -> None:
    check_numpy(case)


@fourth
def test_the_text_means_the_same(case: Case) -> None:
    program = gradient_program(case)
    again = Program(program.format())
    assert again.digest == program.digest
    assert again.format() == program.format()
    assert list(program.exports) == [f"Grad_{name}" for name in wanted(case)]
    assert Program(program.explicit()).digest == program.digest


@fourth
def test_torch_runs_it(case: Case) -> None:
    runner = gradient_program(case).compile("torch", config=DOUBLE)
    for sizes in case.sizes:
        values = given(case, sizes, 7)
        found = {name: tensor.detach().numpy() for name, tensor in runner(values).items()}
        compare(found, torch_gradients(case, values))


@fourth
def test_jax_runs_it_and_differentiates_alike(case: Case) -> None:
    values = given(case, case.sizes[0], 8)
    with x64("float64"):
        found = gradient_program(case).compile("jax", config=DOUBLE)(values)
        function = fuse_jax.compile(plain(case), config=DOUBLE)
        fixed = {name: array for name, array in values.items() if name not in wanted(case)}
        varied = {name: jax.numpy.asarray(values[name]) for name in wanted(case)}
        exports = {name: np.asarray(array) for name, array in function({}, values).items()}

        def loss(varied: dict[str, jax.Array]) -> jax.Array:
            results = function({}, {**varied, **fixed})
            return sum((results[name] * w)[finite].sum() for name, (w, finite) in weights(exports).items())

        right = jax.jit(jax.grad(loss))(varied)
    compare(
        {name: np.asarray(array) for name, array in found.items()},
        {name: np.asarray(right[name]) for name in wanted(case)},
    )


@fourth
def test_differences(case: Case) -> None:
    """Along two random directions, central differences of the NumPy engine."""
    values = given(case, case.sizes[0], 9)
    gradients = gradient_program(case).compile("numpy", config=DOUBLE)(values)
    runner = plain(case).compile("numpy", config=DOUBLE)
    parts = weights({name: np.asarray(array) for name, array in runner(values).items()})
    rng = np.random.default_rng(3)
    for _ in range(2):
        way = {name: rng.uniform(-1, 1, values[name].shape) for name in wanted(case)}

        def loss(step: float, way: dict[str, np.ndarray] = way) -> float:
            found = runner({name: a + step * way[name] if name in way else a for name, a in values.items()})
            return float(sum((np.asarray(found[name]) * w)[finite].sum() for name, (w, finite) in parts.items()))

        expected = (loss(_STEP) - loss(-_STEP)) / (2 * _STEP)
        got = sum(float((np.asarray(gradients[f"Grad_{name}"]) * way[name]).sum()) for name in way)
        assert got == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_float32_and_sizes_of_one_and_none() -> None:
    program = generate_gradient_program(
        "Y[i, j.] = softmax(W[i, k] X[k, j])\nL = Y[i, j]**2\nexport L", seeds={"L": "1.0"}, export_grads=["W", "X"]
    )
    runner = program.compile("numpy")
    for i, j, k in ((2, 3, 4), (1, 1, 1), (3, 1, 2), (0, 2, 2), (2, 2, 0)):
        found = runner(W=np.full((i, k), 0.5, np.float32), X=np.full((k, j), 0.25, np.float32))
        assert found["Grad_W"].shape == (i, k)
        assert found["Grad_X"].shape == (k, j)
        assert found["Grad_W"].dtype == np.float32
        assert np.isfinite(found["Grad_W"]).all()
