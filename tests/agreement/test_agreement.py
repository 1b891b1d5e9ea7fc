"""Every program of the catalogue by the oracle, NumPy, torch and JAX."""

from __future__ import annotations

import pytest

from tests.agreement.case import Case
from tests.agreement.checks import check_size_one, check_values, check_wrong_size, every_case
from tests.agreement.engines import Precision

every_engine = pytest.mark.parametrize("name", ["numpy", "torch", "jax"])


@every_case
@every_engine
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_values(case: Case, name: str, precision: Precision) -> None:
    # Every size is one more compilation for JAX: in float64 it makes one.
    check_values(case, name, precision, case.sizes[:1] if (name, precision) == ("jax", "float64") else None)


@every_case
@every_engine
def test_an_axis_of_size_one(case: Case, name: str) -> None:
    check_size_one(case, name)


@every_case
@every_engine
def test_one_wrong_size(case: Case, name: str) -> None:
    check_wrong_size(case, name)
