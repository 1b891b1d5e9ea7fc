"""`parse(print(tree)) == tree`, for random trees and for the programs that must run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from fuse_ref.language import syntax_tree as st
from fuse_ref.language.formatter import format_text
from fuse_ref.language.parser import parse
from fuse_ref.language.printer import print_expression, print_module, print_statement
from fuse_ref.source import Source
from tests.language.trees import NAMES, expression, modules, nodes, statements

PROGRAMS = sorted((Path(__file__).parents[1] / "programs").glob("*.fuse"))

QUICK = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,  # the same trees in every run
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@QUICK
@given(modules)
def test_random_modules(module: st.Module) -> None:
    assert parse(Source(print_module(module))) == module


@QUICK
@given(statements())
def test_random_statements_alone(statement: st.Statement) -> None:
    assert parse(Source(print_statement(statement))).statements == (statement,)


@QUICK
@given(expression)
def test_random_expressions(tree: st.Expression) -> None:
    text = print_expression(tree)
    assert "\n" not in text
    (equation,) = parse(Source(f"Y = {text}")).statements
    assert isinstance(equation, st.Equation)
    assert equation.body == tree


@QUICK
@given(modules)
def test_random_modules_are_formatted_once(module: st.Module) -> None:
    text = print_module(module)
    assert format_text(Source(text)) == text


def test_the_strategies_make_every_node() -> None:
    """Else the tests above would say nothing about the missing ones."""
    seen: set[str] = set()

    @settings(QUICK, max_examples=300)
    @given(modules)
    def collect(module: st.Module) -> None:
        seen.update(type(node).__name__ for node in nodes(module))

    collect()
    kinds = {name for name, value in vars(st).items() if isinstance(value, type) and value.__module__ == st.__name__}
    assert seen == kinds - {"Inlined"}  # made by putting functions in place, never by reading


@QUICK
@given(NAMES)
def test_the_names_of_the_strategies_are_names(word: str) -> None:
    (export,) = parse(Source(f"export {word}")).statements
    assert isinstance(export, st.Export)
    assert export.names == (word,)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_programs(path: Path) -> None:
    source = Source(path.read_text(encoding="utf-8"), path.name)
    module = parse(source)
    assert module.statements
    assert parse(Source(print_module(module))) == module
    formatted = format_text(source)
    assert parse(Source(formatted)) == module
    assert format_text(Source(formatted)) == formatted


def test_all_programs_are_there() -> None:
    assert [path.stem for path in PROGRAMS] == [
        "dialect_block",
        "dialect_logic",
        "paper_cnn",
        "paper_datalog",
        "paper_gnn",
        "paper_graphical",
        "paper_kernels",
        "paper_loss",
        "paper_mlp",
        "paper_perceptron",
        "paper_reasoning",
        "paper_rnn",
        "paper_transformer",
        "paper_tucker",
    ]
