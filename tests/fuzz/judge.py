"""One random program by the oracle and by the engines: agreement, a refusal on both sides, or a disagreement."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import jax
import numpy as np
import torch

import fuse_jax
from fuse_ref import ExecutionConfig, FuseError, FuseWarning, Program, RouteError
from fuse_torch import FuseModule
from tests.agreement.engines import Precision, x64
from tests.fuzz.noise import spread
from tests.fuzz.sketch import Sketch
from tests.support.oracle import OracleAxisError, OracleError
from tests.support.oracle import run as run_oracle

__all__ = ["ENGINES", "Engine", "Exports", "Problem", "Values", "Verdict", "Way", "compared", "judge"]

Values: TypeAlias = Mapping[str, np.ndarray]
Exports: TypeAlias = dict[str, np.ndarray]
Engine: TypeAlias = Callable[[Program, Precision], Callable[[Values], Exports]]
Way: TypeAlias = tuple[str, Precision]  # which engine in which precision

# What a value may be off by, relative to the largest of its tensor, before rounding is looked at closely.
_TOLERANCE: dict[Precision, float] = {"float64": 1e-9, "float32": 2e-5}
_NOISE: dict[Precision, float] = {"float64": 1e-13, "float32": 3e-7}
# Beyond this float32 overflows where float64 does not.
_LARGEST = 1e15


# Engines ----------------------------------------------------------------------------------------


def _cast(values: Values, precision: Precision) -> Exports:
    return {name: array.astype(precision) if array.dtype.kind == "f" else array for name, array in values.items()}


def _numpy(program: Program, precision: Precision) -> Callable[[Values], Exports]:
    runner = program.compile("numpy", config=ExecutionConfig(precision=precision))
    return lambda values: {name: np.asarray(array) for name, array in runner(_cast(values, precision)).items()}


def _torch(inner: str | None) -> Engine:
    def make(program: Program, precision: Precision) -> Callable[[Values], Exports]:
        module = FuseModule(program, config=ExecutionConfig(precision=precision)).eval()
        run = module if inner is None else torch.compile(module, backend="fuse", options={"fuse.inner": inner})
        first = next(iter(program.exports))

        def call(values: Values) -> Exports:
            given = {name: torch.from_numpy(np.asarray(array)) for name, array in _cast(values, precision).items()}
            result = run(given)
            found = {first: result} if isinstance(result, torch.Tensor) else result
            return {name: tensor.detach().numpy() for name, tensor in found.items()}

        return call

    return make


def _jax(program: Program, precision: Precision) -> Callable[[Values], Exports]:
    with x64(precision):
        function = jax.jit(fuse_jax.compile(program, config=ExecutionConfig(precision=precision)))

    def call(values: Values) -> Exports:
        with x64(precision):
            found = function({}, _cast(values, precision))
            return {name: np.asarray(found[name]) for name in program.exports}

    return call


ENGINES: dict[str, Engine] = {
    "numpy": _numpy,
    "torch": _torch(None),
    "torch compiled": _torch("eager"),
    "torch aot": _torch("aot_eager"),
    "jax": _jax,
}


# Verdicts ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    engine: str
    kind: Literal["values", "shape", "accepts", "refuses", "crash", "gradient", "planned"]
    words: str


@dataclass
class Verdict:
    """`accepted` when the oracle gives values."""

    accepted: bool = False
    not_yet: bool = False  # an engine says that it cannot run a step so far
    refused: str = ""  # why, where both sides refuse
    problems: list[Problem] = field(default_factory=list)
    on_edge: int = 0  # comparisons that noise explains
    explicit: str = ""


def compared(got: Exports, expected: Values, precision: Precision) -> str:
    """What differs, in words; "" where nothing does."""
    if list(got) != list(expected):
        return f"exports {list(got)}, expected {list(expected)}"
    for name, right in expected.items():
        found = got[name]
        if found.shape != right.shape:
            return f"{name} has shape {found.shape}, expected {right.shape}"
        if right.dtype == bool and found.dtype != bool:
            return f"{name} is {found.dtype}, expected bool"
        if found.dtype.kind == "f" and found.dtype != precision:
            return f"{name} is {found.dtype}, expected {precision}"
        if not _far(found, right, precision).any():
            continue
        return f"{name}: {found.tolist()}\n  oracle: {right.tolist()}"
    return ""


def _far(found: np.ndarray, right: np.ndarray, precision: Precision) -> np.ndarray:
    """Where two arrays of one shape differ by more than the tolerance."""
    found, right = found.astype(np.float64), right.astype(np.float64)
    finite = np.abs(right[np.isfinite(right)])
    bound = _TOLERANCE[precision] * max(float(finite.max(initial=0.0)), 1.0)
    return np.asarray(~np.isclose(found, right, rtol=0.0, atol=bound, equal_nan=True))


def _infinite(got: Exports, expected: Values, tensors: Values, precision: Precision) -> bool:
    """Whether only infinities differ that come out of infinite factors: there the order of a product counts."""
    if not any(np.isinf(array).any() for name, array in tensors.items() if array.dtype.kind == "f"):
        return False
    for name, right in expected.items():
        if got[name].shape != right.shape:
            return False
        far = _far(got[name], right, precision)
        if (far & np.isfinite(got[name].astype(float)) & np.isfinite(right.astype(float))).any():
            return False
    return True


def _unordered(text: str, tensors: Values) -> bool:
    """Whether topk may meet NaN, which stands nowhere in an order: language.md, section 13."""
    floats = [array for array in tensors.values() if array.dtype.kind == "f"]
    return "topk(" in text and not all(np.isfinite(array).all() for array in floats)


def _explained(got: Exports, expected: Values, precision: Precision, text: str, values: Values) -> bool:
    """Whether noise of the size of rounding, or a product that overflows on its way, makes differences as large."""
    if any(got[name].shape != right.shape for name, right in expected.items()):
        return False
    changes = spread(text, values, expected, _NOISE[precision], float(np.finfo(precision).max))
    for name, right in expected.items():
        far = _far(got[name], right, precision)
        with np.errstate(invalid="ignore"):
            off = np.abs(got[name].astype(np.float64) - right.astype(np.float64))
        off = np.where(np.isnan(off), np.inf, off)
        if (far & ~(off <= 30 * changes[name])).any():
            return False
    return True


def judge(sketch: Sketch, ways: tuple[Way, ...], engines: Mapping[str, Engine] = ENGINES, calls: int = 2) -> Verdict:
    """Every way against the oracle, with new values at each call; only a FuseError may be raised."""
    verdict = Verdict()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", FuseWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        try:
            program = Program(sketch.text())
            verdict.explicit = program.explicit()
        except FuseError as error:
            verdict.refused = f"{type(error).__name__} {error.code}"
            return verdict
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            verdict.problems.append(Problem("program", "crash", f"{type(error).__name__}: {error}"))
            return verdict
        _judge_calls(sketch, program, ways, engines, calls, verdict)
    return verdict


def _judge_calls(
    sketch: Sketch,
    program: Program,
    ways: tuple[Way, ...],
    engines: Mapping[str, Engine],
    calls: int,
    verdict: Verdict,
) -> None:
    runs: dict[Way, Callable[[Values], Exports]] = {}
    for call in range(calls):
        values = {name: array for name, array in sketch.values(call).items() if name in program.tensors}
        expected: Exports | None = None
        try:
            result = run_oracle(verdict.explicit, values)
            expected, verdict.accepted = result.exports, True
        except OracleAxisError as reason:
            verdict.refused = f"oracle: {reason}"
        except OracleError as reason:
            verdict.refused = f"beyond the oracle: {reason}"
            return
        except Exception as error:  # noqa: BLE001 - the judge itself may be wrong
            verdict.problems.append(Problem("oracle", "crash", f"{type(error).__name__}: {error}"))
            return
        for way in ways:
            if any(problem.engine == way[0] for problem in verdict.problems):
                continue
            try:
                if way not in runs:
                    runs[way] = engines[way[0]](program, way[1])
                got = runs[way](values)
            except RouteError as error:
                verdict.not_yet = True
                verdict.refused = f"RouteError {error.code}"
                return
            except FuseError as error:
                if expected is not None:
                    words = f"{type(error).__name__}: {error}"
                    verdict.problems.append(Problem(way[0], "refuses", words))
                continue
            except Exception as error:  # noqa: BLE001 - an engine may raise nothing but a FuseError
                words = f"{way[1]}: {type(error).__name__}: {error}"
                verdict.problems.append(Problem(way[0], "crash", words[:1500]))
                continue
            if expected is None:
                # torch runs what the exports need, and so finds no fault in the rest.
                words = _without_the_rest(verdict.explicit, values, got, way[1])
                if words:
                    verdict.problems.append(Problem(way[0], "accepts", f"where the oracle says {words}"))
                continue
            words = compared(got, expected, way[1])
            if not words or (way[1] == "float32" and _overflows(result.tensors)):
                continue
            if (
                _infinite(got, expected, result.tensors, way[1])
                or _unordered(verdict.explicit, result.tensors)
                or _explained(got, expected, way[1], verdict.explicit, values)
            ):
                verdict.on_edge += 1
            else:
                verdict.problems.append(Problem(way[0], "values", f"{way[1]}, call {call + 1}, {words}"))
        if expected is None:
            return


def _without_the_rest(text: str, values: Values, got: Exports, precision: Precision) -> str:
    """Why the oracle refuses even the equations that the exports need, or what differs from them; else ""."""
    try:
        exports = run_oracle(text, values, exports_only=True).exports
    except OracleError as reason:
        return str(reason)
    return compared(got, exports, precision)


def _overflows(tensors: Values) -> bool:
    numbers = [np.abs(array[np.isfinite(array)]) for array in tensors.values() if array.dtype.kind == "f"]
    return any(float(array.max(initial=0.0)) > _LARGEST for array in numbers)
