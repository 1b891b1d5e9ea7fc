"""Each engine as one function from values by name to exports by name, all in NumPy arrays."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import jax
import numpy as np
import torch

import fuse_jax
from fuse_ref import ExecutionConfig, InMemoryWeightStore, Program, RuntimePolicies
from fuse_torch import FuseModule
from tests.agreement.case import Case, values
from tests.support.oracle import run as run_oracle
from tests.support.xla import fully_optimised

__all__ = [
    "ENGINES",
    "Precision",
    "Run",
    "Values",
    "engine",
    "folder_of",
    "judged",
    "program_of",
    "sized_values",
    "x64",
]

Precision: TypeAlias = Literal["float32", "float64"]
Values: TypeAlias = Mapping[str, np.ndarray]
Run: TypeAlias = Callable[[Values], dict[str, np.ndarray]]


# Programs and what they should give --------------------------------------------------------------


@functools.cache
def _folders() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fuse-agreement-")


@functools.cache
def folder_of(case: Case) -> Path:
    """The folder of a case's program, with the files that it reads; none of them depends on a size that changes."""
    folder = Path(_folders().name) / case.name
    folder.mkdir()
    for place, (file, letters) in enumerate(case.files.items()):
        shape = tuple(case.sizes[0][letter] for letter in letters)
        np.save(folder / file, np.random.default_rng(place).uniform(-2, 2, shape).astype(np.float32))
    return folder


@functools.cache
def program_of(case: Case) -> Program:
    return Program(case.text, path=folder_of(case) / "program.fuse")


def sized_values(case: Case, sizes: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    return values(case, sizes, seed)


_judged: dict[tuple[str, tuple[tuple[str, int], ...], int], dict[str, np.ndarray]] = {}


def judged(case: Case, sizes: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    """What the oracle says, computed once."""
    key = (case.name, tuple(sizes.items()), seed)
    if key not in _judged:
        result = run_oracle(program_of(case).explicit(), values(case, sizes, seed), folder=folder_of(case))
        _judged[key] = result.exports
    return _judged[key]


# Engines -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def x64(precision: Precision) -> Iterator[None]:
    """64-bit numbers in JAX exactly while float64 is asked for."""
    with jax.enable_x64(precision == "float64"):
        yield


def cast(given: Values, precision: Precision) -> dict[str, np.ndarray]:
    return {name: array.astype(precision) if array.dtype.kind == "f" else array for name, array in given.items()}


def _split(case: Case, given: Values) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(parameters, the rest)."""
    params = program_of(case).params
    return (
        {name: array for name, array in given.items() if name in params},
        {name: array for name, array in given.items() if name not in params},
    )


def _numpy(case: Case, precision: Precision) -> Run:
    config = ExecutionConfig(precision=precision)
    without_params = None if program_of(case).params else program_of(case).compile("numpy", config=config)

    def call(given: Values) -> dict[str, np.ndarray]:
        params, inputs = _split(case, cast(given, precision))
        if without_params is not None:
            return {name: np.asarray(array) for name, array in without_params(inputs).items()}
        policies = RuntimePolicies(weight_store=InMemoryWeightStore(params))
        runner = program_of(case).compile("numpy", config=config, policies=policies)
        return {name: np.asarray(array) for name, array in runner(inputs).items()}

    return call


def torch_module(case: Case, precision: Precision) -> FuseModule:
    # An evaluation, as the other engines' runs are: nothing is dropped.
    return FuseModule(program_of(case), config=ExecutionConfig(precision=precision)).eval()


def set_parameters(module: torch.nn.Module, case: Case, given: Values) -> None:
    """Write the values of parameters into a module, under the names that it gives them."""
    params, _ = _split(case, given)
    with torch.no_grad():
        for name, array in params.items():
            parameter = module.get_parameter(module.names[name])  # type: ignore[index]
            parameter.copy_(torch.from_numpy(array))


def _torch(case: Case, precision: Precision, options: Mapping[str, Any] | None) -> Run:
    module = torch_module(case, precision)
    compiled = module if options is None else torch.compile(module, backend="fuse", options=dict(options))
    exports = tuple(program_of(case).exports)

    def call(given: Values) -> dict[str, np.ndarray]:
        given = cast(given, precision)
        set_parameters(module, case, given)
        _, inputs = _split(case, given)
        result = compiled({name: torch.from_numpy(array) for name, array in inputs.items()})
        found = {exports[0]: result} if isinstance(result, torch.Tensor) else result
        return {name: tensor.detach().numpy() for name, tensor in found.items()}

    return call


def _jax(case: Case, precision: Precision) -> Run:
    with x64(precision):
        function = fuse_jax.compile(program_of(case), config=ExecutionConfig(precision=precision))
        jitted = jax.jit(function)

    def call(given: Values) -> dict[str, np.ndarray]:
        params, inputs = _split(case, cast(given, precision))
        # In float32, where rounding shows, as users have it.
        with x64(precision), fully_optimised() if precision == "float32" else contextlib.nullcontext():
            found = jitted(params, inputs)
        exports = program_of(case).exports
        assert found.keys() == exports.keys()
        # What leaves jax.jit is a dict in the order of its sorted keys, whatever it was inside.
        return {name: np.asarray(found[name]) for name in exports}

    return call


_AOT = {"fuse.inner": "aot_eager"}
_CAPTURED = {"fuse.inner": "eager"}
_INDUCTOR = {"fuse.inner": "inductor"}

# Name in tests -> how to make the engine ready for one program.
ENGINES: dict[str, Callable[[Case, Precision], Run]] = {
    "numpy": _numpy,
    "torch": functools.partial(_torch, options=None),
    "torch compiled": functools.partial(_torch, options=_AOT),
    "torch captured": functools.partial(_torch, options=_CAPTURED),
    "torch inductor": functools.partial(_torch, options=_INDUCTOR),
    "jax": _jax,
}


@functools.cache
def engine(name: str, case: Case, precision: Precision) -> Run:
    """The engine made ready for a program, once."""
    return ENGINES[name](case, precision)
