"""The catalogue holds every operation, index form and expression; every engine's tables hold every row."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Iterator

import pytest

import fuse_jax.operations
import fuse_ref.evaluate.operations
import fuse_torch.lowering.along
import fuse_torch.lowering.operations
import fuse_torch.lowering.whole
from fuse_ref import ExecutionConfig, Program
from fuse_ref.ir import index as index_forms
from fuse_ref.ir import nodes
from fuse_ref.ir.index import Affine
from fuse_ref.ir.operations import ALONG, CATALOGUE, OPERATORS
from fuse_ref.plan import steps
from fuse_ref.plan.steps import Along, DenseOperation, Map
from tests.agreement.catalogue import CASES
from tests.agreement.engines import program_of
from tests.evaluate.test_streams import PROGRAMS as STREAMS

ELEMENTWISE = {name for name, row in CATALOGUE.items() if row.kind == "elementwise"} | set(OPERATORS)
WHOLE = {name for name, row in CATALOGUE.items() if row.kind == "whole"}

# Index forms that have programs of their own: calls of streams leave a state, which cases of the catalogue know nothing of.
ELSEWHERE = {"Virtual": STREAMS}

# How an affine index can look: each must occur in the catalogue.
AFFINE_FORMS = {
    "plain": lambda form: form.variable is not None,
    "constant": lambda form: form.is_constant,
    "shifted forward": lambda form: len(form.terms) == 1 and form.terms[0][1] == 1 and form.offset > 0,
    "shifted backward": lambda form: len(form.terms) == 1 and form.terms[0][1] == 1 and form.offset < 0,
    "strided": lambda form: any(factor > 1 for _, factor in form.terms),
    "reversed": lambda form: any(factor < 0 for _, factor in form.terms),
    "of two variables": lambda form: len(form.terms) == 2,
    "of three variables": lambda form: len(form.terms) == 3,
}


def parts(item: object) -> Iterator[object]:
    """Every node below one, itself included."""
    yield item
    if isinstance(item, tuple):
        for inner in item:
            yield from parts(inner)
    elif dataclasses.is_dataclass(item):
        for field in dataclasses.fields(item):
            yield from parts(getattr(item, field.name))


@functools.cache
def meanings() -> tuple[object, ...]:
    """All nodes of all equations and sinks of the catalogue."""
    roots = [(program_of(case).ir.equations, program_of(case).ir.sinks) for case in CASES]
    return tuple(part for root in roots for part in parts(root))


@functools.cache
def operations() -> tuple[DenseOperation, ...]:
    plans = [program_of(case).plan() for case in CASES]
    return tuple(operation for plan in plans for step in plan.steps for operation in step.operations)


def test_there_are_enough_programs_and_each_has_a_name() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
    assert len([case for case in CASES if case.long]) >= 8
    for case in CASES:
        assert len(case.sizes) == 2
        assert program_of(case).exports


@pytest.mark.parametrize("row", sorted(CATALOGUE))
def test_every_operation_is_called(row: str) -> None:
    assert any(isinstance(part, nodes.Call) and part.function == row for part in meanings())


@pytest.mark.parametrize("row", sorted(CATALOGUE))
def test_every_word_of_every_option_is_used(row: str) -> None:
    used = {
        pair for part in meanings() if isinstance(part, nodes.Call) and part.function == row for pair in part.options
    }
    wanted = {(option.name, word) for option in CATALOGUE[row].options for word in option.allowed}
    # A cast to the run's own precision, or a wider one, changes nothing that a comparison could see.
    assert wanted - used <= {("dtype", "float32"), ("dtype", "float64")}


@pytest.mark.parametrize("name", sorted(ELEMENTWISE))
def test_every_elementwise_function_is_planned(name: str) -> None:
    assert any(isinstance(operation, Map) and operation.function == name for operation in operations())


@pytest.mark.parametrize("name", sorted(ALONG))
def test_every_function_along_an_axis_is_planned(name: str) -> None:
    assert any(isinstance(operation, Along) and operation.function == name for operation in operations())


@pytest.mark.parametrize("kind", typing.get_args(steps.DenseOperation), ids=lambda kind: kind.__name__)
def test_every_kind_of_operation_is_planned(kind: type) -> None:
    planned = list(operations())
    if kind is steps.Aggregate:
        # Of relations whose tuples are there: rules make them, and tests/logic has the programs with rules.
        ruled = Program("P(x, y) <- E(x, y)\nN[x] = P(x, y) W[y]\nexport N").plan()
        planned = [operation for step in ruled.steps for operation in step.operations]
    if kind in (steps.Sample, steps.Ratio):
        sampling = ExecutionConfig(projection_strategy="monte_carlo", projection_samples=2)
        estimated = Program("Y[i] = W[i, j] X[j]").compile("numpy", config=sampling).plan
        planned = [operation for step in estimated.steps for operation in step.operations]
    assert any(isinstance(operation, kind) for operation in planned)


@pytest.mark.parametrize("form", typing.get_args(index_forms.Index), ids=lambda form: form.__name__)
def test_every_index_form_occurs(form: type) -> None:
    occurs = any(isinstance(part, form) for part in meanings())
    programs = [text for text, _, _ in ELSEWHERE.get(form.__name__, {}).values()]
    assert occurs or any(isinstance(part, form) for text in programs for part in parts(Program(text).ir))


@pytest.mark.parametrize("name", AFFINE_FORMS)
def test_every_affine_form_occurs(name: str) -> None:
    reads = [part for part in meanings() if isinstance(part, nodes.Read)]
    assert any(isinstance(index, Affine) and AFFINE_FORMS[name](index) for read in reads for index in read.indices)


@pytest.mark.parametrize("kind", typing.get_args(nodes.Expr), ids=lambda kind: kind.__name__)
def test_every_expression_occurs(kind: type) -> None:
    assert any(isinstance(part, kind) for part in meanings())


@pytest.mark.parametrize("operator", typing.get_args(nodes.Operator))
def test_every_operator_of_equations_occurs(operator: str) -> None:
    assert any(isinstance(part, nodes.Equation) and part.operator == operator for part in meanings())


def test_nothing_in_the_catalogue_is_unsupported() -> None:
    for case in CASES:
        for step in program_of(case).plan().steps:
            assert not step.unsupported, f"{case.name}: {step.unsupported}"


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        (fuse_ref.evaluate.operations.ELEMENTWISE, ELEMENTWISE),
        (fuse_torch.lowering.operations.ELEMENTWISE, ELEMENTWISE),
        (fuse_jax.operations.ELEMENTWISE, ELEMENTWISE),
        (fuse_ref.evaluate.operations.ALONG, set(ALONG)),
        (fuse_torch.lowering.along.ALONG, set(ALONG)),
        (fuse_jax.operations.ALONG, set(ALONG)),
        (fuse_ref.evaluate.operations.WHOLE, WHOLE),
        (fuse_torch.lowering.whole.WHOLE, WHOLE),
        (fuse_jax.operations.WHOLE, WHOLE),
    ],
    ids=[
        "numpy elementwise",
        "torch elementwise",
        "jax elementwise",
        "numpy along",
        "torch along",
        "jax along",
        *("whole",) * 3,
    ],
)
def test_every_engine_has_every_row(table: dict[str, object], rows: set[str]) -> None:
    assert set(table) == rows
