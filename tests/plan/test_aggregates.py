"""Filters and last projections of `max=` and its kin, computed by the steps of the plan."""

from __future__ import annotations

import numpy as np

from tests.plan.running import plan_of, run


def test_a_filter_may_stand_in_the_parenthesis_of_a_product() -> None:
    plan = plan_of("L[i] max= 2 ((i != j) A[i, j])\nM[i] avg= ((i != j) A[i, j] / 2) ((i < j) * 3)\nexport L, M")
    given = {"A": -np.array([[1.0, 5, 2], [7, 3, 4], [6, 9, 8]])}
    values = run(plan, given)
    assert values["L"].tolist() == [-4, -8, -12]
    assert values["M"].tolist() == [-(5 + 2) / 2 * 1.5, -4 * 1.5, 0]


def test_offset_reads_inside_functions_belong_to_the_combination() -> None:
    plan = plan_of("L avg= cross_entropy(X[t-1, c], P[t, c])\nM[c] prod= softmax(X[t-1, 0], axis=c) C[c]\nexport L, M")
    given = {"X": np.log([[0.25, 0.75], [0.5, 0.5], [0.1, 0.9]]), "P": np.eye(2)[[0, 1, 0]], "C": np.array([2.0, 4.0])}
    values = run(plan, given)
    np.testing.assert_allclose(values["L"], -np.log([0.75, 0.5]).mean())
    np.testing.assert_allclose(values["M"], [1, 8], err_msg="three combinations, not four")
