"""Programs whose sizes fit nothing: the oracle and the engine refuse them alike."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref import AxisError, Program
from tests.support.oracle import OracleAxisError
from tests.support.oracle import run as run_oracle


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("axis j = 3, k = 4\nY[j] = A[j]\nZ[k] = A[k-1] + A[k]\nexport Y, Z", {"A": 3}),
        ("axis k = 4\nZ[k] = A[k-1] + A[k]", {"A": 7}),
        ("Y[i] = X[i+1]\nZ[i] = X[i+2]\nS = sum(i: Y[i] Z[i])", {"X": 5}),
        ("N = 7\nY[i] = X[N-1-i]", {"X": 5}),
        ("Y[i] = W[i+j]", {"W": 5}),
        ("Y[i] = 3", {}),
    ],
)
def test_sizes_without_a_meaning_are_refused_on_both_sides(text: str, values: dict[str, int]) -> None:
    arrays = {name: np.ones(size) for name, size in values.items()}
    with pytest.raises(OracleAxisError):
        run_oracle(text, arrays)
    with pytest.raises(AxisError):
        Program(text).compile("numpy")(arrays)
