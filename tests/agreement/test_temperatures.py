"""Temperatures of a run: numbers and schedules, on every engine, from call to call and from round to round."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import numpy as np
import pytest
import torch

import fuse_jax
from fuse_ref import ConfigError, ExecutionConfig, Program, make_schedule
from fuse_torch import FuseModule

BACKENDS = ("numpy", "torch", "jax")
every_backend = pytest.mark.parametrize("backend", BACKENDS)
Temperature: TypeAlias = float | Callable[[int], float]

# Two rules with a sig each, one of them with a temperature of its own, and a sig in a tensor between.
TEXT = "S[i] = W[i, j] X[j]\nY[i] = sig(S[i], T=3) + sig(2 S[i])\nZ[i] = sig(S[i])\nexport Y, Z"


def sig(x: np.ndarray, temperature: float) -> np.ndarray:
    if temperature == 0:
        return (x > 0).astype(float)
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x / temperature))


def values(size: int, precision: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(size)
    found = {"W": rng.integers(-3, 4, (size, size)) / 4, "X": rng.integers(-3, 4, size) / 2}
    return {name: array.astype(precision) for name, array in found.items()}


def check(runner: Any, temperature: float, size: int, precision: str) -> None:
    given = values(size, precision)
    found = {name: np.asarray(array) for name, array in runner(**given).items()}
    total = given["W"].astype(float) @ given["X"].astype(float)
    tolerance = 1e-6 if precision == "float32" else 1e-12
    np.testing.assert_allclose(
        found["Y"], sig(total, temperature) + sig(2 * total, temperature), rtol=tolerance, atol=tolerance
    )
    np.testing.assert_allclose(found["Z"], sig(total, 1), rtol=tolerance, atol=tolerance)  # another rule
    assert found["Y"].dtype == precision


@every_backend
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("temperature", [0.0, 0.25, 1.0, 4.0])
def test_a_number(temperature: float, precision: Any, backend: Any) -> None:
    config = ExecutionConfig(temperatures={"Y": temperature}, precision=precision)
    with jax.enable_x64(precision == "float64"):
        runner = Program(TEXT).compile(backend, config=config)
        for size in (4, 7, 1, 0):
            check(runner, temperature, size, precision)


@every_backend
def test_zero_is_the_step(backend: Any) -> None:
    x = np.array([-np.inf, -2.0, -1e-30, -0.0, 0.0, 1e-30, 3.0, np.inf], np.float32)
    ramp = make_schedule("linear", start=0.5, end=0.0, steps=1)
    stepped = np.asarray(Program("Y[i] = step(X[i])").compile(backend)(X=x)["Y"])
    for temperature in (0.0, make_schedule("constant", 0.0), ramp, lambda k: 0):
        runner = Program("Y[i] = sig(X[i])").compile(backend, config=ExecutionConfig(temperatures={"Y": temperature}))
        if temperature is ramp:
            assert 0 < np.asarray(runner(X=x)["Y"])[1] < 0.5
        np.testing.assert_array_equal(np.asarray(runner(X=x)["Y"]), stepped)


SCHEDULES: dict[str, Temperature] = {
    "linear": make_schedule("linear", start=2.0, end=0.0, steps=7),
    "piecewise": make_schedule("piecewise", {0: 1.0, 2: 0.5, 9: 0.0}),
    "own": lambda k: 1 / (1 + k),
}


@every_backend
@pytest.mark.parametrize("name", SCHEDULES)
def test_twenty_calls_compile_once(name: str, backend: Any, caplog: pytest.LogCaptureFixture) -> None:
    schedule = SCHEDULES[name]
    runner = Program(TEXT).compile(backend, config=ExecutionConfig(temperatures={"Y": schedule}))
    with caplog.at_level(logging.INFO, "fuse.jax"):
        for call in range(20):
            check(runner, float(schedule(call)), 5, "float32")  # type: ignore[operator]
    compiled = [record for record in caplog.records if record.message.startswith("compiling")]
    assert len(compiled) == (1 if backend == "jax" else 0)


def test_what_is_asked_of_a_call_has_its_temperature() -> None:
    runner = Program("Y[i] = sig(X[i])").compile("numpy", config=ExecutionConfig(temperatures={"Y": SCHEDULES["own"]}))
    for call in range(3):
        found = runner(X=np.array([1.0, -1.0], np.float32))["Y"]
        np.testing.assert_array_equal(runner.query("Y[i]?").values, found)
        assert found[0] == pytest.approx(1 / (1 + np.exp(-(1 + call))), rel=1e-6)
    assert "temperature" not in str(runner.explain())


def test_a_module_counts_as_it_is_told() -> None:
    schedule = make_schedule("linear", start=1.0, end=0.0, steps=10)
    module = FuseModule("input X[i]\nY[i] = sig(X[i])", config=ExecutionConfig(temperatures={"Y": schedule}))
    counts: list[Any] = []

    def counting(graph: torch.fx.GraphModule, examples: list[torch.Tensor]) -> Any:
        counts.append(graph)
        return graph

    compiled = torch.compile(module, backend="fuse", options={"fuse.inner": counting}, fullgraph=True)
    x = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0])
    for step in range(20):
        module.iteration = step
        wanted = torch.from_numpy(sig(x.numpy().astype(float), schedule(step))).float()
        torch.testing.assert_close(module(x), wanted)
        torch.testing.assert_close(compiled(x), wanted)
    assert len(counts) == 1
    assert module.iteration == 19
    assert module.state_dict() == {}
    assert list(module.names) == []
    assert "temperature" not in repr(module)
    module.double().iteration = 3
    assert module(x.double()).dtype == torch.float64
    with pytest.raises(ConfigError, match="iteration must be a whole number, 0 or more, but -1 was given"):
        module.iteration = -1


def test_a_new_iteration_leaves_the_graph_of_the_last_one_alone() -> None:
    config = ExecutionConfig(temperatures={"Y": make_schedule("linear", start=1.0, end=0.2, steps=4)})
    module = FuseModule("input X[i]\nY[i] = sig(X[i])", config=config)
    x = torch.tensor([0.3, -0.7], requires_grad=True)
    made = module(x)
    module.iteration = 4
    made.sum().backward()
    half = 1 / (1 + np.exp(-x.detach().numpy().astype(float)))
    np.testing.assert_allclose(x.grad.numpy(), half * (1 - half), rtol=1e-6)  # type: ignore[union-attr]


def test_an_iteration_is_an_argument_of_compiled_jax() -> None:
    for name, schedule in SCHEDULES.items():
        function = fuse_jax.compile("Y[i] = sig(X[i])", config=ExecutionConfig(temperatures={"Y": schedule}))
        run = jax.jit(lambda x, k, function=function: function({}, X=x, iteration=k)["Y"])
        for call in range(20):
            for x in (np.array([-1.0, 0.0, 0.75], np.float32), np.array([2.0, -3.0, 1.0], np.float32)):
                wanted = sig(x.astype(float), float(schedule(call)))  # type: ignore[operator]
                np.testing.assert_allclose(run(x, call), wanted, rtol=1e-5, err_msg=name)
                np.testing.assert_allclose(function({}, X=x, iteration=call)["Y"], wanted, rtol=1e-5, err_msg=name)
        assert run._cache_size() == 1


@pytest.mark.parametrize("temperature", [2.0, 0.5, make_schedule("piecewise", {0: 0.8})])
def test_gradients(temperature: Any) -> None:
    config, now = ExecutionConfig(temperatures={"Y": temperature}, precision="float64"), 0.8
    if not callable(temperature):
        now = temperature
    module = FuseModule("input X[i]\nY[i] = sig(X[i] X[i])", config=config)
    for given in (np.array([0.5, -1.5, 0.25]), np.array([1.0, 2.0])):
        ends = [sig((given + step) ** 2, now) for step in (1e-6, -1e-6)]
        wanted = (ends[0] - ends[1]) / 2e-6
        x = torch.tensor(given, requires_grad=True)
        module(x).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-6)  # type: ignore[union-attr]
        with jax.enable_x64(True):
            function = fuse_jax.compile("Y[i] = sig(X[i] X[i])", config=config)
            found = jax.grad(lambda x, function=function: function({}, X=x)["Y"].sum())(given)
            np.testing.assert_allclose(found, wanted, rtol=1e-6)


# Fixpoints: the rounds are the iterations --------------------------------------------------------

CYCLE = "H[i] = sig(W[i, j] H[j] + B[i])\nexport H"


def settled(weights: np.ndarray, bias: np.ndarray, schedule: Callable[[int], float], least: int) -> np.ndarray:
    state = np.zeros(len(bias))
    for k in range(1000):
        new = sig(weights @ state + bias, schedule(k))
        if np.abs(new - state).max(initial=0) < 1e-12 and k >= least:
            return new
        state = new
    raise AssertionError("does not settle")


@every_backend
@pytest.mark.parametrize(
    ("schedule", "least"),
    [
        (make_schedule("linear", start=2.0, end=0.5, steps=30), 30),
        (make_schedule("piecewise", {0: 1.0, 40: 0.3}), 40),  # it holds still long before 40
        (make_schedule("piecewise", {0: 1.0, 40: 0.0}), 40),
        (lambda k: 0.4 + 0.5**k, 0),
    ],
)
def test_rounds_of_a_fixpoint(schedule: Callable[[int], float], least: int, backend: Any) -> None:
    runner = Program(CYCLE).compile(backend, config=ExecutionConfig(temperatures={"H": schedule}, tol=1e-7))
    for seed, size in ((0, 3), (1, 2), (2, 1)):
        rng = np.random.default_rng(seed)
        given = {"W": rng.uniform(-0.5, 0.5, (size, size)), "B": rng.uniform(-0.5, 0.5, size)}
        found = np.asarray(runner(**{name: array.astype(np.float32) for name, array in given.items()})["H"])
        np.testing.assert_allclose(found, settled(given["W"], given["B"], schedule, least), atol=2e-6)


def test_gradients_of_a_fixpoint_are_those_of_its_last_round() -> None:
    schedule = make_schedule("linear", start=1.5, end=0.7, steps=12)
    config = ExecutionConfig(temperatures={"H": schedule}, precision="float64", tol=1e-12)
    rng = np.random.default_rng(4)
    weights, bias = rng.uniform(-0.5, 0.5, (3, 3)), rng.uniform(-0.5, 0.5, 3)
    with jax.enable_x64(True):
        function = fuse_jax.compile(CYCLE, config=config)
        found = jax.jit(jax.grad(lambda b: function({}, W=weights, B=b)["H"].sum()))(bias)
    wanted = [
        (settled(weights, bias + step, schedule, 12).sum() - settled(weights, bias - step, schedule, 12).sum()) / 2e-5
        for step in np.eye(3) * 1e-5
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    for breaks in ("graph", "opaque"):
        module = FuseModule(CYCLE, config=dataclasses.replace(config, breaks=breaks))
        b = torch.tensor(bias, requires_grad=True)
        module(W=torch.tensor(weights), B=b).sum().backward()
        np.testing.assert_allclose(b.grad.numpy(), wanted, rtol=1e-6)  # type: ignore[union-attr]
    torch.compiler.reset()
    opaque = torch.compile(module, backend="fuse", options={"fuse.inner": "aot_eager"}, fullgraph=True)
    b = torch.tensor(bias, requires_grad=True)
    opaque(W=torch.tensor(weights), B=b).sum().backward()
    np.testing.assert_allclose(b.grad.numpy(), wanted, rtol=1e-6)  # type: ignore[union-attr]


def test_mistakes() -> None:
    for text, name, words in (
        ("Y[i] = sig(X[i])", "Z", "temperatures names Z, which the program does not define"),
        ("Y[i] = sig(X[i])", "X", "temperatures names X, which the program does not define"),
        ("Y[i] = tanh(X[i])", "Y", "temperatures names Y, whose equations have no sig"),
    ):
        config = ExecutionConfig(temperatures={name: 0.5})
        for make in (
            lambda text=text, config=config: Program(text).compile("numpy", config=config),
            lambda text=text, config=config: FuseModule(text, config=config),
            lambda text=text, config=config: fuse_jax.compile(text, config=config),
        ):
            with pytest.raises(ConfigError, match=words):
                make()
    for bad in (-1.0, float("nan"), "warm"):
        runner = Program("Y[i] = sig(X[i])").compile(
            "numpy", config=ExecutionConfig(temperatures={"Y": lambda k, bad=bad: bad if k else 1.0})
        )
        runner(X=[1.0])
        with pytest.raises(ConfigError, match=r"the schedule of Y gives .* for iteration 1"):
            runner(X=[1.0])
