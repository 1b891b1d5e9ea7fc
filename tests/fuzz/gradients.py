"""Gradients of random programs: torch against JAX element by element, both against differences along directions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeAlias

import jax
import numpy as np
import torch

import fuse_jax
from fuse_ref import ExecutionConfig, FuseError, FuseWarning, Program
from fuse_torch import FuseModule
from tests.agreement.engines import x64
from tests.fuzz.judge import Problem
from tests.fuzz.sketch import Sketch

__all__ = ["Gradient", "difference_problem", "gradient_problems", "jax_gradient", "torch_gradient"]

Arrays: TypeAlias = dict[str, np.ndarray]
Gradient: TypeAlias = Callable[[Program, Arrays, Arrays], Arrays]  # program, all values, weights of the exports

_DOUBLE = ExecutionConfig(precision="float64")
_STEP = 1e-5
_AGREE = 1e-8  # of torch and JAX, relative to the largest
_CLOSE = 2e-5  # of differences


def torch_gradient(program: Program, values: Arrays, weights: Arrays, *, compiled: bool = False) -> Arrays:
    """Of the weighted sum of the exports, with respect to everything that is float."""
    module = FuseModule(program, config=_DOUBLE).eval()
    run = torch.compile(module, backend="fuse", options={"fuse.inner": "aot_eager"}) if compiled else module
    given = {name: torch.from_numpy(array.copy()) for name, array in values.items()}
    leaves = {name: tensor.requires_grad_() for name, tensor in given.items() if tensor.is_floating_point()}
    result = run(given)
    exports = {next(iter(program.exports)): result} if isinstance(result, torch.Tensor) else result
    loss = sum((exports[name] * torch.from_numpy(weight)).sum() for name, weight in weights.items())
    if isinstance(loss, torch.Tensor) and loss.requires_grad:
        loss.backward()
    return {name: np.zeros(t.shape) if t.grad is None else t.grad.numpy() for name, t in leaves.items()}


def jax_gradient(program: Program, values: Arrays, weights: Arrays) -> Arrays:
    with x64("float64"):
        function = fuse_jax.compile(program, config=_DOUBLE)
        fixed = {name: array for name, array in values.items() if array.dtype.kind != "f"}
        varied = {name: jax.numpy.asarray(array) for name, array in values.items() if array.dtype.kind == "f"}

        def loss(varied: dict[str, jax.Array]) -> jax.Array:
            exports = function({}, {**varied, **fixed})
            return sum(((exports[name] * weight).sum() for name, weight in weights.items()), jax.numpy.zeros(()))

        found = jax.jit(jax.grad(loss))(varied)
        return {name: np.asarray(array) for name, array in found.items()}


def _weights(exports: Arrays, seed: int) -> Arrays:
    """What makes one number of all exports; {} where an element is no number."""
    rng = np.random.default_rng(seed)
    floats = {name: array for name, array in exports.items() if array.dtype.kind == "f"}
    if not all(np.isfinite(array).all() for array in floats.values()):
        return {}
    return {name: rng.uniform(0.5, 1.5, array.shape) for name, array in floats.items()}


def difference_problem(program: Program, values: Arrays, weights: Arrays, gradient: Arrays, seed: int) -> str:
    """Central differences of the NumPy engine along two random directions; "" where they fit or say nothing."""
    runner = program.compile("numpy", config=_DOUBLE)
    rng = np.random.default_rng(seed)

    def loss(changed: Arrays) -> float:
        exports = runner(changed)
        return float(sum((np.asarray(exports[name]) * weight).sum() for name, weight in weights.items()))

    for _ in range(2):
        way = {name: rng.uniform(-1, 1, array.shape) for name, array in values.items() if array.dtype.kind == "f"}

        def at(step: float, way: Arrays = way) -> float:
            return loss({name: array + step * way[name] if name in way else array for name, array in values.items()})

        middle, ends = at(0.0), [at(_STEP), at(-_STEP)]
        wider = (at(10 * _STEP) - at(-10 * _STEP)) / (20 * _STEP)
        ahead, behind = (ends[0] - middle) / _STEP, (middle - ends[1]) / _STEP
        expected = (ahead + behind) / 2
        got = float(sum((gradient[name] * way[name]).sum() for name in way))
        scale = max(1.0, abs(expected), abs(middle))
        if not np.isfinite(expected) or abs(ahead - behind) > 1e-2 * scale:
            continue  # a corner or a jump lies between
        # The sides differ by the second derivative; another step shows where values are rounded on the way.
        if abs(got - expected) > _CLOSE * scale + abs(ahead - behind) + 2 * abs(wider - expected):
            return f"differences give {expected}, the gradient {got}, one side {ahead}, the other {behind}"
    return ""


def gradient_problems(
    sketch: Sketch,
    torch_way: Gradient = torch_gradient,
    jax_way: Gradient | None = jax_gradient,
    call: int = 0,
) -> list[Problem]:
    """Problems of the gradients of a program that the oracle accepts; [] where they cannot be judged."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", FuseWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        try:
            program = Program(sketch.text())
            values = {name: array for name, array in sketch.values(call).items() if name in program.tensors}
            exports = {
                name: np.asarray(array) for name, array in program.compile("numpy", config=_DOUBLE)(values).items()
            }
        except FuseError:
            return []
        weights = _weights(exports, sketch.seed)
        if not weights:
            return []
        problems = []
        with np.errstate(all="ignore"):
            try:
                found = torch_way(program, values, weights)
            except Exception as error:  # noqa: BLE001 - whatever it is, values could be computed
                return [Problem("torch", "gradient", f"{type(error).__name__}: {error}")]
            # A cast to a narrow type passes gradients on, though its values move in steps.
            rounds = "cast(" in sketch.text()
            words = "" if rounds else difference_problem(program, values, weights, found, sketch.seed)
            if words:
                problems.append(Problem("torch", "gradient", words))
            if jax_way is not None:
                try:
                    other = jax_way(program, values, weights)
                except Exception as error:  # noqa: BLE001 - as above
                    return [*problems, Problem("jax", "gradient", f"{type(error).__name__}: {error}")]
                for name, array in found.items():
                    scale = max(1.0, float(np.abs(array[np.isfinite(array)]).max(initial=0.0)))
                    if not np.allclose(array, other[name], rtol=0.0, atol=_AGREE * scale, equal_nan=True):
                        words = f"of {name}: torch {array.tolist()}\n  jax {other[name].tolist()}"
                        problems.append(Problem("jax", "gradient", words))
                        break
        return problems
