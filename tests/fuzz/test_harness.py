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
from tests.fuzz.judge import ENGINES, Engine, judge
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
