"""Gathers, scatters and quotients as operations: as few as can be, views where they are."""

from __future__ import annotations

import pytest

from fuse_ref.plan.steps import Index, Write
from tests.plan.running import operations_of, plan_of


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("Y[p, d] = E[X[p], d]", [("E", "p d")]),
        ("Y[p] = E[X[p], 0]", [("E", "0"), ("Y~1", "p")]),  # what is affine first, a view
        ("Y[p, t] = E[X[p], t-1] B[t]", [("E", "p 1"), ("Y~1", "p t")]),  # but not a table with zeros around it
        ("Y[p] = E[X[p], p]", [("E", "p")]),  # one label: the position is not affine in itself
        ("Y[p] = A[B[C[p]]]", [("B", "p"), ("A", "p")]),
        ("Y[x, y] = P[x/2, (y+1)/3]", [("P", "x y")]),
    ],
)
def test_gathers_and_quotients_are_at_most_two_reads(text: str, made: list[tuple[str, str]]) -> None:
    found = [(o.source, " ".join(o.output.labels)) for o in operations_of(plan_of(text)) if isinstance(o, Index)]
    assert found == made


def test_an_equation_that_adds_nothing_costs_nothing() -> None:
    text = "axis n = 5\nY[X[p], d] = Z[p, d]\nY[n, d] += 0"
    assert [type(o) for o in operations_of(plan_of(text))] == [Write]
