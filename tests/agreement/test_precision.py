"""bfloat16 and float16: kept in 16 bits, computed in float32, the same on every engine as float64 says within rounding."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest
import torch

import fuse_jax
from fuse_ref import ExecutionConfig, InMemoryWeightStore, Program, RuntimePolicies
from fuse_torch import FuseModule

PRECISIONS = ("bfloat16", "float16")
TYPES = {"bfloat16": np.dtype(ml_dtypes.bfloat16), "float16": np.dtype(np.float16)}
STEP = {"bfloat16": 2.0**-8, "float16": 2.0**-11}  # half the distance of two numbers beside 1
Values = Mapping[str, np.ndarray]


def _softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def _mlp(v: Values) -> np.ndarray:
    return np.tanh(v["X"] @ v["V"].T + v["b"]) @ v["W"].T


def _attention(v: Values) -> np.ndarray:
    queries, keys = v["X"] @ v["Q"].T, v["X"] @ v["K"].T
    allowed = np.tril(np.ones((len(v["X"]),) * 2, bool))
    return _softmax(np.where(allowed, queries @ keys.T / 2, -np.inf)) @ v["X"]


def _convolution(v: Values) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(v["X"], v["F"].shape[2], axis=2)
    return np.einsum("bcxk,ock->box", windows, v["F"])


def _neighbours(v: Values) -> np.ndarray:
    return v["E"].astype(float) @ v["Z"] @ v["W"].T


def _looked_up(v: Values) -> np.ndarray:
    return v["T"][v["P"]].sum(0)


def _normalised(v: Values) -> np.ndarray:
    x = v["X"] - v["X"].mean(1, keepdims=True)
    return x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-5) * v["G"]


def _recurrent(v: Values) -> np.ndarray:
    states = [v["X"]]
    for given in v["U"]:
        states.append(np.tanh(states[-1] @ v["W"] + given))
    return np.stack(states)


def _settled(v: Values) -> np.ndarray:
    return np.linalg.solve(np.eye(len(v["B"])) - v["W"] / 8, v["B"])


@dataclass(frozen=True, slots=True)
class Example:
    text: str
    shapes: Mapping[str, str]  # given and parameters -> letters
    sizes: tuple[Mapping[str, int], ...]
    answer: Callable[[Values], np.ndarray]
    parameters: tuple[str, ...]
    factor: float = 4.0  # on STEP, for several roundings one after another


EXAMPLES = {
    "mlp": Example(
        "param V[h, d]\nparam b[h]\nparam W[o, h]\naxis d = 16\naxis h = 24\naxis o = 3\n"
        "H[n, h] = tanh(V[h, d] X[n, d] + b[h])\nY[n, o] = W[o, h] H[n, h]",
        {"X": "nd", "V": "hd", "b": "h", "W": "oh"},
        tuple({"n": n, "d": 16, "h": 24, "o": 3} for n in (5, 9, 1, 0)),
        _mlp,
        ("V", "b", "W"),
    ),
    "attention": Example(
        "param Q[e, d]\nparam K[e, d]\naxis d = 8\naxis e = 4\n"
        "A[p, e] = Q[e, d] X[p, d]\nB[p, e] = K[e, d] X[p, d]\n"
        "S[p, q.] = masked_softmax(A[p, e] B[q, e] / 2, q <= p)\nY[p, d] = S[p, q] X[q, d]",
        {"X": "pd", "Q": "ed", "K": "ed"},
        tuple({"p": p, "d": 8, "e": 4} for p in (6, 11, 1)),
        _attention,
        ("Q", "K"),
        8.0,
    ),
    "convolution": Example(
        "param F[o, c, k]\naxis c = 2\naxis k = 3\naxis o = 4\nY[b, o, x] = F[o, c, k] X[b, c, x+k]",
        {"X": "bcx", "F": "ock"},
        tuple({"b": b, "c": 2, "x": x, "o": 4, "k": 3} for b, x in ((2, 9), (3, 7), (1, 3), (0, 4))),
        _convolution,
        ("F",),
    ),
    "relation": Example(
        "input E(x, y)\nparam W[e, d]\naxis d = 4\naxis e = 2\nM[x, d] = E(x, y) Z[y, d]\nY[x, e] = W[e, d] M[x, d]",
        {"E": "xy", "Z": "yd", "W": "ed"},
        tuple({"x": x, "y": y, "d": 4, "e": 2} for x, y in ((3, 700), (5, 300), (1, 1))),
        _neighbours,
        ("W",),
    ),
    "gather": Example(
        "input P[i]: int64\nparam T[v, d]\naxis v = 3\naxis d = 2\nY[d] = T[P[i], d]",
        {"P": "i", "T": "vd"},
        tuple({"i": i, "v": 3, "d": 2} for i in (2000, 900, 1, 0)),
        _looked_up,
        ("T",),
    ),
    "norm": Example(
        "param G[d]\naxis d = 32\nN[n, d] = lnorm(X[n, d], axis=d)\nY[n, d] = N[n, d] G[d]",
        {"X": "nd", "G": "d"},
        tuple({"n": n, "d": 32} for n in (4, 6, 1, 0)),
        _normalised,
        ("G",),
    ),
    "recurrence": Example(
        "param W[j, i]\naxis i = 3, j = 3\nH[0, i] = X[i]\nH[t+1, i] = tanh(H[t, j] W[j, i] + U[t, i])\nY[t, i] = H[t, i]",
        {"X": "i", "U": "ti", "W": "ii"},
        tuple({"t": t, "i": 3} for t in (5, 3, 1)),
        _recurrent,
        ("W",),
        8.0,
    ),
    "fixpoint": Example(
        "param W[i, j]\naxis i = 3, j = 3\nY[i] = W[i, j] Y[j] / 8 + B[i]",
        {"W": "ii", "B": "i"},
        tuple({"i": 3} for _ in range(2)),
        _settled,
        ("W",),
        8.0,
    ),
}


def values(example: Example, sizes: Mapping[str, int], precision: str, seed: int) -> dict[str, np.ndarray]:
    """Numbers that the type has exactly, as float32."""
    rng, found = np.random.default_rng(seed), {}
    for name, letters in example.shapes.items():
        shape = tuple(sizes[letter] for letter in letters)
        match name:
            case "E":
                found[name] = rng.random(shape) < 0.5
            case "P":
                found[name] = rng.integers(0, sizes["v"], shape)
            case _:
                found[name] = rng.uniform(-1, 1, shape).astype(TYPES[precision]).astype(np.float32)
    return found


def wide(given: Values) -> dict[str, np.ndarray]:
    return {name: array.astype(float) if array.dtype == np.float32 else array for name, array in given.items()}


def close(got: np.ndarray, wanted: np.ndarray, precision: str, factor: float) -> None:
    assert got.shape == wanted.shape
    largest = np.abs(wanted).max(initial=1e-30)
    np.testing.assert_allclose(got.astype(float), wanted, rtol=0, atol=factor * STEP[precision] * largest)


# Engines: (program, precision) -> (parameters, inputs) -> Y, in the type that the engine gave -----------


def _numpy(program: Program, precision: str) -> Callable[[Values, Values], np.ndarray]:
    def call(parameters: Values, inputs: Values) -> np.ndarray:
        policies = RuntimePolicies(weight_store=InMemoryWeightStore(dict(parameters)))
        found = program.compile("numpy", config=ExecutionConfig(precision=precision), policies=policies)(inputs)["Y"]
        assert found.dtype == TYPES[precision]
        return np.asarray(found)

    return call


def module(program: Program, precision: str) -> FuseModule:
    return FuseModule(program, config=ExecutionConfig(precision=precision))


def tensors(inputs: Values, precision: str) -> dict[str, torch.Tensor]:
    kind = getattr(torch, precision)
    found = {name: torch.from_numpy(array) for name, array in inputs.items()}
    return {name: item.to(kind) if item.is_floating_point() else item for name, item in found.items()}


def _torch(program: Program, precision: str, *, compiled: bool) -> Callable[[Values, Values], np.ndarray]:
    made = module(program, precision)
    run = torch.compile(made, backend="fuse", options={"fuse.inner": "aot_eager"}) if compiled else made

    def call(parameters: Values, inputs: Values) -> np.ndarray:
        made.load_state_dict({name: torch.from_numpy(array) for name, array in parameters.items()})
        with torch.no_grad():
            found = run(tensors(inputs, precision))
        assert found.dtype == getattr(torch, precision)
        return found.float().numpy()

    return call


def _jax(program: Program, precision: str) -> Callable[[Values, Values], np.ndarray]:
    function = jax.jit(fuse_jax.compile(program, config=ExecutionConfig(precision=precision)))

    def call(parameters: Values, inputs: Values) -> np.ndarray:
        found = function(parameters, inputs)["Y"]
        assert found.dtype == TYPES[precision]
        return np.asarray(found)

    return call


ENGINES: dict[str, Callable[[Program, str], Callable[[Values, Values], np.ndarray]]] = {
    "numpy": _numpy,
    "torch": functools.partial(_torch, compiled=False),
    "torch compiled": functools.partial(_torch, compiled=True),
    "jax": _jax,
}
every_engine = pytest.mark.parametrize("engine", ENGINES)
every_precision = pytest.mark.parametrize("precision", PRECISIONS)


@every_engine
@every_precision
@pytest.mark.parametrize("name", EXAMPLES)
def test_values(name: str, precision: str, engine: str) -> None:
    example = EXAMPLES[name]
    run = ENGINES[engine](Program(example.text), precision)
    for seed, sizes in enumerate(example.sizes):
        given = values(example, sizes, precision, seed)
        parameters = {key: given[key] for key in example.parameters}
        got = run(parameters, {key: item for key, item in given.items() if key not in parameters})
        close(got, example.answer(wide(given)), precision, example.factor)


SUMS = {
    "S = X[i]": 10_000.0,
    "Y[j] = X[i] W[i, j]": 10_000.0,
    "Y[j] avg= X[i] W[i, j]": 1.0,
    "Y[i/10000] += X[i]": 10_000.0,
    "input P[i]: int64\naxis m = 2\nY[m] = X[i] (P[i] == m)": 10_000.0,
    "input P[i]: int64\naxis m = 2\nY[m] += 0\nY[P[i]] += X[i]\nexport Y": 10_000.0,
    "input E(x, i)\nY[x] = E(x, i) X[i]": 10_000.0,
    "C[i] = cumsum(X[i], axis=i)\nY = C[9999]": 10_000.0,
}


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
@every_precision
@pytest.mark.parametrize("text", SUMS)
def test_ten_thousand_ones(text: str, precision: str, backend: Any) -> None:
    given = {
        "X": np.ones(10_000, np.float32),
        "W": np.ones((10_000, 2), np.float32),
        "P": np.zeros(10_000, np.int64),
        "E": np.ones((1, 10_000), bool),
    }
    program = Program(text)
    runner = program.compile(backend, config=ExecutionConfig(precision=precision))
    inputs = {name: array for name, array in given.items() if name in program.tensors}
    for factor in (1, 2):
        inputs["X"] = given["X"] * factor
        ((_, found),) = runner(inputs).items()
        got = float(np.asarray(found.float() if isinstance(found, torch.Tensor) else found).ravel()[0])
        assert got == float(np.asarray(SUMS[text] * factor).astype(TYPES[precision]))  # 256 or 2048 added in 16 bits


@every_precision
@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_positions_are_exact(backend: Any, precision: str) -> None:
    """300 and 301 are one number in bfloat16, 2100 and 2101 in float16; positions are told apart all the same."""
    program = Program("Y[p] = sum(q: X[q] (q <= p)) + 0 X[p]\nZ[p] = sum(q: X[q] (q == p + 1)) + 0 X[p]")
    runner = program.compile(backend, config=ExecutionConfig(precision=precision))
    for size in (2120, 310):
        given = np.zeros(size, np.float32)
        given[[size - 3, size - 1]] = 1
        found = {name: np.asarray(runner.query(f"{name}[p]?").values) for name in runner(X=given)}
        np.testing.assert_array_equal(found["Y"].astype(np.float32), given.cumsum())
        np.testing.assert_array_equal(found["Z"].astype(np.float32), [*given[1:], 0])


@every_precision
@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_angles_are_those_of_float32(backend: Any, precision: str) -> None:
    runner = Program("Y[p, d] = rope(X[p, d], p, axis=d)").compile(backend, config=ExecutionConfig(precision=precision))
    for size in (900, 40):
        found = runner(X=np.ones((size, 2), np.float32))["Y"]
        got = np.asarray(found.float() if isinstance(found, torch.Tensor) else found)
        angle = np.arange(size, dtype=float)[:, None]
        wanted = np.hstack([np.cos(angle) - np.sin(angle), np.cos(angle) + np.sin(angle)])
        close(got, wanted, precision, 2.0)


# Gradients --------------------------------------------------------------------------------------------


def slopes(example: Example, given: Values, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Of sum(w Y) for fixed weights w, by central differences of the float64 answer."""
    weights, point, found = weights_of(shape), wide(given), {}
    for name in example.parameters:
        slope = np.zeros_like(point[name])
        for place in np.ndindex(slope.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = {**point, name: point[name].copy()}
                moved[name][place] += step
                ends.append((weights * example.answer(moved)).sum())
            slope[place] = (ends[0] - ends[1]) / 2e-5
        found[name] = slope
    return found


def weights_of(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(7).choice([-0.5, 0.5, 1.0], shape)


@every_precision
@pytest.mark.parametrize("engine", ["torch", "torch compiled", "jax"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_gradients(name: str, precision: str, engine: str) -> None:
    example, program = EXAMPLES[name], Program(EXAMPLES[name].text)
    made = module(program, precision)
    run = torch.compile(made, backend="fuse", options={"fuse.inner": "aot_eager"}) if "compiled" in engine else made
    function = fuse_jax.compile(program, config=ExecutionConfig(precision=precision))
    for seed, sizes in enumerate(example.sizes[:2]):
        given = values(example, sizes, precision, seed + 10)
        weights = weights_of(example.answer(wide(given)).shape)
        parameters = {key: given[key] for key in example.parameters}
        inputs = {key: item for key, item in given.items() if key not in parameters}
        if engine == "jax":

            def loss(held: Values, inputs: Values = inputs, weights: np.ndarray = weights) -> jax.Array:
                return (function(held, inputs)["Y"].astype(np.float32) * weights.astype(np.float32)).sum()

            held = {key: jax.numpy.asarray(array.astype(TYPES[precision])) for key, array in parameters.items()}
            got = {key: np.asarray(slope) for key, slope in jax.jit(jax.grad(loss))(held).items()}
            assert {slope.dtype for slope in got.values()} == {TYPES[precision]}
        else:
            made.load_state_dict({key: torch.from_numpy(array) for key, array in parameters.items()})
            made.zero_grad()
            (run(tensors(inputs, precision)).float() * torch.from_numpy(weights).float()).sum().backward()
            got = {key: made.get_parameter(key).grad.float().numpy() for key in parameters}  # type: ignore[union-attr]
        for key, wanted in slopes(example, given, weights.shape).items():
            close(got[key], wanted, precision, 16.0)
