"""Equal operations of different equations: one computation, each export an array of its own."""

from __future__ import annotations

import numpy as np
import pytest

from fuse_ref import Program
from fuse_ref.plan.steps import Contract, LiteralArray, Map, Permute, Reduce
from tests.plan.passes.agreement import agree, draw, operations_of, plans, savings_of

TWICE = "G[i, k] = A[i, j] B[j, k]\nH[c, a] = B[b, c] A[a, b]\nK[x] = exp(A[x, y] B[y, z]) C[z]\nexport G, H, K"

CASES = {
    "renamed, swapped and transposed": (TWICE, "HK", {"A": (3, 4), "B": (4, 5), "C": (5,)}),
    "chains": (
        "F[i] = relu(2 X[i] + 1)\nG[j] = relu(2 X[j] + 1) X[j]\nexport F, G",
        "G",
        {"X": (6,)},
    ),
    "reads, sums and softmax": (
        (
            "F[i.] = softmax(X[i] + X[0])\nG[j.] = softmax(X[j] + X[0])\n"
            "S = max(a: X[a])\nT = max(b: X[b]) + 1\nexport F, G, S, T"
        ),
        "GT",
        {"X": (5,)},
    ),
    "transposed operands": (
        "T[j, i] = A[i, j]\nF[i, k] = A[i, j] B[j, k]\nG[i, k] = T[j, i] B[j, k]\nexport F, G, T",
        "G",
        {"A": (3, 4), "B": (4, 5)},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_values_and_gradients_stay(case: tuple[str, str, dict[str, tuple[int, ...]]]) -> None:
    text, shared, shapes = case
    plan, plain = plans(text, "sharing")
    assert not plain.savings or "sharing" not in {saving.name for saving in plain.savings}
    assert set(savings_of(plan, "sharing")) == set(shared)
    for seed in (0, 1):
        agree(text, "sharing", draw(shapes, seed))


def test_sizes_of_one_and_none() -> None:
    agree(TWICE, "sharing", draw({"A": (1, 1), "B": (1, 5), "C": (5,)}))
    agree(TWICE, "sharing", draw({"A": (0, 4), "B": (4, 5), "C": (5,)}))
    agree(TWICE, "sharing", draw({"A": (3, 0), "B": (0, 5), "C": (5,)}))


def test_a_product_in_two_equations_is_contracted_once() -> None:
    plan, plain = plans(TWICE, "sharing")
    assert len(operations_of(plan, Contract)) == 2
    assert len(operations_of(plain, Contract)) == 4
    (view,) = operations_of(plan, Permute)
    assert view.output.out == "H"
    first, second = [saving for saving in plan.savings if saving.name == "sharing"]
    assert (first.tensor, first.flops, first.bytes) == ("H", 2 * 128**3, 0)
    assert (second.tensor, second.flops, second.bytes) == ("K", 2 * 128**3, 4 * 128**2)
    assert first.what == "the product of B and A is that of G"


def test_equal_exports_share_no_memory() -> None:
    text = "F[i] = exp(X[i])\nG[j] = exp(X[j])\nexport F, G"
    x = np.arange(3.0, dtype=np.float32)
    found = Program(text).compile("numpy")(X=x)
    found["F"][:] = 7
    np.testing.assert_allclose(found["G"], np.exp(x), rtol=1e-6)
    torch_found = Program(text).compile("torch")(X=x)
    torch_found["F"].fill_(7)
    np.testing.assert_allclose(torch_found["G"].numpy(), np.exp(x), rtol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "F[i] = X[i] - Y[i]\nG[i] = Y[i] - X[i]",
        "F[i, k] = A[i, j] A[j, k]\nG[i, k] = A[i, j] A[k, j]",
        "F[i] = A[i, j]\nG[j] = A[i, j]",
        "F[i] max= A[i, j]\nG[i] min= A[i, j]",
        "F[i., j] = softmax(A[i, j])\nG[i, j.] = softmax(A[i, j])",
        "F[i] = X[i] * 0.0\nG[i] = X[i] * -0.0",
        'F[i] = gelu(X[i])\nG[i] = gelu(X[i], approximate="tanh")',
        "F[i, j] = A[i+1, j]\nG[i, j] = A[i, j+1]",
    ],
)
def test_what_differs_is_not_shared(text: str) -> None:
    plan, plain = plans(text + "\nexport F, G", "sharing")
    kinds = (Contract, Map, Reduce)
    for kind in kinds:
        assert len(operations_of(plan, kind)) == len(operations_of(plain, kind))
    shapes = {"X": (4,), "Y": (4,), "A": (4, 4)}
    agree(text + "\nexport F, G", "sharing", draw({name: shapes[name] for name in plan.givens}))


def test_literals_are_compared_with_their_shapes() -> None:
    text = "F[a, b] = [[1, 2, 3, 4]]\nG[c, d] = [[1, 2], [3, 4]]\nH[p, q] = [[1, 2], [3, 4]]\nK[i] = F[0, 1] G[i, j] H[j, i]"
    plan, _ = plans(text, "sharing")
    assert [operation.output.out for operation in operations_of(plan, LiteralArray)] == ["F", "G"]
