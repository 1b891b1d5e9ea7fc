"""What people who come from NumPy and torch write first, and the cure that each of these errors offers."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref import FuseError, InMemoryWeightStore, Program, RuntimePolicies

MATRIX = np.ones((5, 6), np.float32)


@pytest.mark.parametrize(
    ("text", "inputs", "sentence", "cure"),
    [
        ("Y = A B", {"A": MATRIX, "B": MATRIX}, "A has 0 axes here", "where it is read: A[i, j]"),
        ("Y[i, j] = A(i, j)", {"A": MATRIX}, "float32 was given", "square brackets: A[i, j]"),
        ("Y[k] = A[2:4]", {"A": MATRIX[0]}, "the size of index 'k'", "write ':' instead of k in Y[…]"),
        ("H[b, k] = A[b, 2:4]; Y[b] = H[b, k]", {"A": MATRIX}, "index 'k'", "write ':' instead of k in H[…]"),
        ("Y[i] = pi A[i]", {"A": MATRIX[0]}, "the size of index 'pi'", "define it: `pi = ...`"),
        ("Y[i, j] = A[i]", {"A": MATRIX[0]}, "the size of index 'j'", "add a line `axis j = ...`"),
        ('Y = einsum("ij,jk->ik", A, B)', {}, "no function 'einsum'", "side by side, with its indices"),
        ("Y = matmul(A, B)", {}, "no function 'matmul'", "A[i, j] B[j, k]"),
        ("Y[i] = np.mean(A[i, j])", {}, "no function 'np.mean'", "avg(j: X[i, j])"),
        ("Y[i] = pow(A[i], 2)", {}, "no function 'pow'", "x ** y"),
        ("Y[i] = sigmoid(A[i])", {}, "no function 'sigmoid'", "did you mean 'sig'?"),
        ("models/attention.fuse", {}, "'=' is missing", "Program.from_file reads it"),
    ],
)
def test_the_cure_is_what_was_meant(text: str, inputs: dict[str, np.ndarray], sentence: str, cure: str) -> None:
    with pytest.raises(FuseError) as caught:
        Program(text).compile("numpy")(inputs)
    assert sentence in str(caught.value)
    assert cure in str(caught.value.cure)


def test_what_the_cures_say_runs() -> None:
    got = Program("Y[:] = A[2:4]; pi = 3; Z[i] = pi A[i]; export Y, Z").compile("numpy")(A=np.arange(5.0))
    assert got["Y"].tolist() == [2, 3]
    assert got["Z"].tolist() == [0, 3, 6, 9, 12]


@pytest.mark.parametrize("text", ["Y[i, j] = A[i, j] (i <= j)", "Y[i] = A[i, i]"])
def test_two_sizes_of_one_tensor_name_its_indices(text: str) -> None:
    with pytest.raises(FuseError) as caught:
        Program(text).compile("numpy")(A=MATRIX)
    assert "axis i is 6 in index 2 of A (line 1) but 5 in index 1 of A (line 1)" in str(caught.value)


@pytest.mark.parametrize(("rows", "cured"), [(3, False), (1, True)])
def test_only_a_size_of_1_is_told_not_to_stretch(rows: int, cured: bool) -> None:
    """For sizes that are known before any call, too."""
    policies = RuntimePolicies(weight_store=InMemoryWeightStore({"W": MATRIX[:rows]}))
    with pytest.raises(FuseError) as caught:
        Program("axis i = 5; param W[i, j]; Y[i] = W[i, j]").compile("numpy", policies=policies)()
    assert f"axis i is {rows} in W" in str(caught.value)
    assert bool(caught.value.cure) == cured
