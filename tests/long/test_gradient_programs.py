"""Gradient programs of the agreement catalogue against autograd: those that `make test` leaves out."""

from __future__ import annotations

import pytest

from tests.agreement.case import Case
from tests.gradients.programs import CASES, check_numpy


@pytest.mark.parametrize("case", [case for k, case in enumerate(CASES) if k % 4], ids=lambda case: case.name)
def test_numpy_gives_what_autograd_gives(case: Case) -> None:
    check_numpy(case)
