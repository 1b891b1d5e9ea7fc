"""A program with and without one pass: the same values and gradients on every engine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import torch

import fuse_jax
from fuse_ref import ExecutionConfig, Program
from fuse_ref.plan.build import build_plan
from fuse_ref.plan.steps import DenseOperation, Plan

__all__ = ["again", "agree", "draw", "operations_of", "plans", "savings_of"]

Arrays: TypeAlias = dict[str, jax.Array]

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def plans(text: str, name: str, **keywords: object) -> tuple[Plan, Plan]:
    """The plan with the pass and without it."""
    program = Program(text).ir
    return (
        build_plan(program, **keywords),  # type: ignore[arg-type]
        build_plan(program, disabled_passes=(name,), **keywords),  # type: ignore[arg-type]
    )


def operations_of(plan: Plan, kind: type[DenseOperation]) -> list[DenseOperation]:
    return [operation for step in plan.steps for operation in step.operations if isinstance(operation, kind)]


def savings_of(plan: Plan, name: str) -> list[str]:
    """What a pass says that it did, by tensor."""
    return [saving.tensor for saving in plan.savings if saving.name == name]


def draw(shapes: Mapping[str, tuple[int, ...]], seed: int = 0, offset: float = 0.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: (rng.normal(size=shape) + offset).astype(np.float32) for name, shape in shapes.items()}


def agree(
    text: str,
    name: str,
    given: Mapping[str, np.ndarray],
    *,
    gradients: bool = True,
    tolerance: float = 1.0,
    hints: Mapping[str, int] | None = None,
) -> None:
    """Values, and gradients of a weighted sum of all exports, in both precisions.

    Args:
        tolerance: factor on what one float32 product may differ.
    """
    for precision in ("float32", "float64"):
        values = {key: array.astype(precision) if array.dtype.kind == "f" else array for key, array in given.items()}
        expected = _torch(text, values, precision, (name,), hints, gradients)
        bound = tolerance * TOLERANCE[precision]
        _close(_torch(text, values, precision, (), hints, gradients), expected, bound)
        _close(_jax(text, values, precision, (), hints, gradients), expected, bound)
        exports = {key: array for key, array in expected.items() if not key.startswith("d ")}
        for disabled in ((), (name,)):
            config = ExecutionConfig(precision=precision, disabled_passes=disabled)  # type: ignore[arg-type]
            runner = Program(text).compile("numpy", config=config, hints=hints)
            _close(runner(values), exports, bound)
            _close(runner(values), exports, bound)


def again(text: str, name: str, calls: Sequence[Mapping[str, np.ndarray]], *, tolerance: float = 1.0) -> None:
    """What was compiled once, called with each of `calls` in turn, on NumPy and torch."""
    plain = Program(text).compile("numpy", config=ExecutionConfig(disabled_passes=(name,)))
    runners = {engine: Program(text).compile(engine) for engine in ("numpy", "torch")}
    for given in calls:
        expected = plain(given)
        _close(runners["numpy"](given), expected, tolerance * TOLERANCE["float32"])
        results = runners["torch"]({key: torch.tensor(array) for key, array in given.items()})
        found = {key: value.detach().numpy() for key, value in results.items()}
        _close(found, expected, tolerance * TOLERANCE["float32"])


def _close(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], bound: float) -> None:
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        assert found[key].shape == array.shape
        assert found[key].dtype == array.dtype
        scale = float(np.abs(array).max(initial=1.0))
        np.testing.assert_allclose(found[key], array, rtol=bound, atol=bound * scale, err_msg=key)


def _weights(shape: tuple[int, ...], dtype: object) -> np.ndarray:
    return np.cos(np.arange(int(np.prod(shape)))).reshape(shape).astype(dtype)  # type: ignore[call-overload]


def _torch(
    text: str,
    given: Mapping[str, np.ndarray],
    precision: str,
    disabled: tuple[str, ...],
    hints: Mapping[str, int] | None,
    gradients: bool,
) -> dict[str, np.ndarray]:
    config = ExecutionConfig(precision=precision, disabled_passes=disabled)  # type: ignore[arg-type]
    runner = Program(text).compile("torch", config=config, hints=hints)
    tensors = {name: torch.tensor(array) for name, array in given.items()}
    floats = [name for name, tensor in tensors.items() if tensor.dtype.is_floating_point]
    for name in floats:
        tensors[name].requires_grad_(gradients)
    results = runner(tensors)
    found = {name: value.detach().numpy() for name, value in results.items()}
    if gradients:
        total = sum((value * torch.tensor(_weights(tuple(value.shape), precision))).sum() for value in results.values())
        total.backward()
        found |= {f"d {name}": _gradient(tensors[name]) for name in floats}
    return found


def _gradient(tensor: torch.Tensor) -> np.ndarray:
    return np.zeros(tensor.shape, tensor.detach().numpy().dtype) if tensor.grad is None else tensor.grad.numpy()


def _jax(
    text: str,
    given: Mapping[str, np.ndarray],
    precision: str,
    disabled: tuple[str, ...],
    hints: Mapping[str, int] | None,
    gradients: bool,
) -> dict[str, np.ndarray]:
    with jax.enable_x64(precision == "float64"):
        whole = {name: jnp.asarray(array) for name, array in given.items() if array.dtype.kind != "f"}
        floats = {name: jnp.asarray(array) for name, array in given.items() if array.dtype.kind == "f"}
        run = _compiled(text, precision, disabled, None if hints is None else tuple(hints.items()), gradients)
        results, derivatives = run(floats, whole)
        found = {name: np.asarray(results[name]) for name in Program(text).exports}
        return found | {f"d {name}": np.asarray(array) for name, array in derivatives.items()}


@functools.cache
def _compiled(
    text: str, precision: str, disabled: tuple[str, ...], hints: tuple[tuple[str, int], ...] | None, gradients: bool
) -> Callable[[Arrays, Arrays], tuple[Arrays, Arrays]]:
    """Results and gradients by name, of floats and whole numbers: new values of known sizes compile nothing."""
    config = ExecutionConfig(precision=precision, disabled_passes=disabled)  # type: ignore[arg-type]
    function = fuse_jax.compile(Program(text), config=config, hints=None if hints is None else dict(hints))

    def loss(floats: Arrays, whole: Arrays) -> tuple[jax.Array, Arrays]:
        results = function({}, {**floats, **whole})
        total = sum(jnp.sum(value * _weights(value.shape, precision)) for value in results.values())
        return jnp.asarray(total), results

    def both(floats: Arrays, whole: Arrays) -> tuple[Arrays, Arrays]:
        if not gradients:
            return function({}, {**floats, **whole}), {}
        (_, results), derivatives = jax.value_and_grad(loss, has_aux=True)(floats, whole)
        return results, derivatives

    # As one compiled function: operation by operation, JAX would compile each by itself.
    return jax.jit(both)
