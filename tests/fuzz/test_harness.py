"""The random programs reach the whole language, and a planted fault is found and made small."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from fuse_ref import FuseError, Program
from fuse_ref.ir import index as forms
from fuse_ref.ir import nodes
from fuse_ref.ir.operations import CATALOGUE
from tests.agreement.engines import Precision
from tests.fuzz import functions
from tests.fuzz.campaign import shrink_finding
from tests.fuzz.draw import draw
from tests.fuzz.judge import ENGINES, Engine, Exports, Values, judge
from tests.fuzz.sketch import Given, Sketch, Statement
from tests.support.oracle import OracleError
from tests.support.oracle import run as run_oracle

SEEDS = range(500)


@functools.cache
def _programs() -> dict[int, Program]:
    """Of the programs that `make test` runs: those that are not refused when they are read."""
    found = {}
    for seed in SEEDS:
        try:
            found[seed] = Program(draw(seed).text())
        except FuseError:
            continue
    return found


def _parts(item: object) -> Iterator[object]:
    yield item
    if isinstance(item, tuple):
        for inner in item:
            yield from _parts(inner)
    elif dataclasses.is_dataclass(item):
        for field in dataclasses.fields(item):
            yield from _parts(getattr(item, field.name))


@functools.cache
def _occurring() -> Counter[str]:
    """How often every kind of node, function, operator and index form occurs."""
    counts: Counter[str] = Counter()
    for program in _programs().values():
        for part in _parts(program.ir.equations):
            counts[type(part).__name__] += 1
            match part:
                case nodes.Call(function=name):
                    counts[f"call of {name}"] += 1
                case nodes.Equation(operator=operator, target=target):
                    counts[f"operator {operator}"] += 1
                    counts.update(f"written {type(index).__name__}" for index in target.indices)
                case nodes.Project(operator=operator):
                    counts[f"projection {operator}"] += 1
                case nodes.Compare(operator=operator):
                    counts[f"comparison {operator}"] += 1
                case nodes.Read(indices=indices):
                    counts.update(f"read {type(index).__name__}" for index in indices)
    return counts


def test_the_same_seed_gives_the_same_program() -> None:
    assert [draw(seed).text() for seed in range(20)] == [draw(seed).text() for seed in range(20)]
    assert len({draw(seed).text() for seed in SEEDS}) == len(SEEDS)
    for name, array in draw(3).values(0).items():
        np.testing.assert_array_equal(array, draw(3).values(0)[name])


def test_most_programs_have_a_meaning() -> None:
    """Otherwise agreement would say little."""
    judged = 0
    for seed in range(150):
        if seed in _programs():
            program = _programs()[seed]
            values = {name: array for name, array in draw(seed).values(0).items() if name in program.tensors}
            try:
                run_oracle(program.explicit(), values)
            except OracleError:
                continue
            judged += 1
    assert judged > 0.6 * 150


def test_every_function_is_called() -> None:
    assert not functions.unknown()
    missing = [name for name in CATALOGUE if not _occurring()[f"call of {name}"]]
    assert not missing


@pytest.mark.parametrize("operator", typing.get_args(nodes.Operator))
def test_every_operator_defines_tensors(operator: str) -> None:
    assert _occurring()[f"operator {operator}"] >= 10


@pytest.mark.parametrize("operator", ["sum", "max", "min", "avg", "prod"])
def test_every_projection_occurs(operator: str) -> None:
    assert _occurring()[f"projection {operator}"] >= 10


@pytest.mark.parametrize("operator", typing.get_args(nodes.Comparator))
def test_every_comparison_occurs(operator: str) -> None:
    assert _occurring()[f"comparison {operator}"] >= 5


@pytest.mark.parametrize(
    "form", [f.__name__ for f in typing.get_args(forms.Index) if f is not forms.Virtual], ids=lambda form: form
)
def test_every_index_form_is_read(form: str) -> None:
    assert _occurring()[f"read {form}"] >= 10


@pytest.mark.parametrize("form", ["Affine", "Quotient", "SliceIndex", "Gather"])
def test_every_index_form_is_written(form: str) -> None:
    assert _occurring()[f"written {form}"] >= 3


@pytest.mark.parametrize("kind", sorted(t.__name__ for t in typing.get_args(nodes.Expr) if t is not nodes.FileContent))
def test_every_expression_occurs(kind: str) -> None:
    assert _occurring()[kind] >= 3


# Planted faults ---------------------------------------------------------------------------------


def _with(change: Callable[[str], str]) -> Engine:
    """The NumPy engine, run on another text than it was given."""

    def make(program: Program, precision: Precision):  # type: ignore[no-untyped-def]
        return ENGINES["numpy"](Program(change(program.explicit())), precision)

    return make


def _max_is_sum_when_it_pools(text: str) -> str:
    return re.sub(r"^(\w+\[[^\]=]*/[^\]=]*\]) max=", r"\1 =", text, flags=re.MULTILINE)


def _tanh_is_sin(text: str) -> str:
    return text.replace("tanh(", "sin(")


@pytest.mark.parametrize(
    ("change", "needed", "length"),
    [(_max_is_sum_when_it_pools, "max=", 60), (_tanh_is_sin, "tanh(", 60)],
    ids=["max as a sum where it pools", "another function"],
)
def test_a_planted_fault_is_found_and_made_small(change: Callable[[str], str], needed: str, length: int) -> None:
    engines = {"planted": _with(change)}
    for seed, program in _programs().items():
        if change(program.explicit()) == program.explicit():
            continue  # as right as without the fault
        sketch = draw(seed)
        verdict = judge(sketch, (("planted", "float64"),), engines, calls=1)
        wrong = [problem for problem in verdict.problems if problem.kind == "values"]
        if wrong:
            break
    else:
        pytest.fail("no program found it")
    shown = shrink_finding(sketch, wrong[0], engines)
    text = shown.partition("\nvalues ")[0]
    assert needed in text
    assert len(text) < length, text
    assert "oracle: " in shown
    assert '": [' in shown or '": -' in shown or '": 0' in shown  # with its values


# What the judge excuses -------------------------------------------------------------------------


def _sketch(text: str, given: dict[str, Given], sizes: dict[str, int], *exports: str) -> Sketch:
    return Sketch(1, tuple(Statement(line) for line in text.splitlines()), exports, given, sizes)


def _answers(change: Callable[[Exports], None]) -> dict[str, Engine]:
    """torch, its answers changed."""

    def make(program: Program, precision: Precision) -> Callable[[Values], Exports]:
        run = ENGINES["torch"](program, precision)

        def call(values: Values) -> Exports:
            exports = run(values)
            change(exports)
            return exports

        return call

    return {"planted": make}


def _problems(sketch: Sketch, precision: Precision, change: Callable[[Exports], None]) -> list[str]:
    verdict = judge(sketch, (("planted", precision),), _answers(change), calls=1)
    return [problem.kind for problem in verdict.problems]


def _untouched(exports: Exports) -> None:
    pass


def _into(name: str, *place: int, number: float) -> Callable[[Exports], None]:
    def change(exports: Exports) -> None:
        exports[name] = exports[name].copy()
        exports[name][place] = number

    return change


# 20 factors between 100 and 200 go beyond float32, and all 40 not beyond float64; the other product is 0.
_OVERFLOW = """input N[j]: int64
U[i] prod= V[k] + i
U[i] prod= N[j]
X[i] = (U[i] < 1) C[i]
Z[i] = prod(j: D[j]) C[i]"""
_LARGE = {
    "V": Given("k", low=100.0, high=200.0),
    "C": Given("i"),
    "D": Given("j"),
    "N": Given("j", "classes", classes=1),
}


def test_a_product_that_overflows_on_its_way_is_excused() -> None:
    sketch = _sketch(_OVERFLOW, _LARGE, {"i": 2, "j": 3, "k": 40}, "U", "X")
    verdict = judge(sketch, (("torch", "float32"), ("numpy", "float32")), calls=1)
    assert not verdict.problems
    assert verdict.on_edge == 2


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e30])
def test_what_does_not_overflow_is_not_excused(number: float) -> None:
    """Neither beside a product that does, nor a product within the range of its precision."""
    wrong = _into("Z", 0, number=number)
    beside = _sketch(_OVERFLOW, _LARGE, {"i": 2, "j": 3, "k": 40}, "U", "Z")
    assert _problems(beside, "float32", wrong) == ["values"]
    within = _sketch(_OVERFLOW, _LARGE, {"i": 2, "j": 3, "k": 15}, "U", "Z")
    assert _problems(within, "float32", _untouched) == []
    assert _problems(within, "float32", _into("U", 0, number=number)) == ["values"]
    assert _problems(beside, "float64", _untouched) == []
    assert _problems(beside, "float64", _into("U", 0, number=number)) == ["values"]


# `U` pairs slices of different lengths, and reads at k-1: so k is stepped for `X` too.
_FAULT = """axis k = 4
U[k] = C[k-1] + F[::2] G[:]
X[k] = C[k] F[k+2*j+1] D[j]"""
_VECTORS = {"C": Given("k"), "D": Given("j"), "F": Given("w"), "G": Given("j")}


def test_torch_may_leave_a_fault_in_what_no_export_needs() -> None:
    sizes = {"j": 2, "k": 4, "w": 6}
    assert _problems(_sketch(_FAULT, _VECTORS, sizes, "X"), "float64", _untouched) == []
    # Not another answer: what would be right if k were not stepped.
    assert _problems(_sketch(_FAULT, _VECTORS, sizes, "X"), "float64", _into("X", 3, number=0.5)) == ["accepts"]
    # Nor a fault in what they need.
    engines: dict[str, Engine] = {"planted": lambda program, precision: lambda values: {"U": np.zeros(4)}}
    verdict = judge(_sketch(_FAULT, _VECTORS, sizes, "U"), (("planted", "float64"),), engines, calls=1)
    assert [problem.kind for problem in verdict.problems] == ["accepts"]
    short = _sketch(_FAULT, _VECTORS, {**sizes, "w": 3}, "X")
    engines["planted"] = lambda program, precision: lambda values: {"X": np.zeros(4)}
    assert [p.kind for p in judge(short, (("planted", "float64"),), engines, calls=1).problems] == ["accepts"]
