"""The pages for people who come from elsewhere: what stands side by side is equal, and every equation is read."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, Program
from tests.boundaries.sources import ROOT

EINSUM = (ROOT / "docs" / "from_einsum.md").read_text(encoding="utf-8")
DSL = (ROOT / "docs" / "from_fuse_dsl.md").read_text(encoding="utf-8")
PAIRS = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", EINSUM, flags=re.MULTILINE)


def arrays(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"A": (4, 4), "B": (4, 4), "X": (4, 4, 4), "V": (4,)}
    return {name: rng.uniform(0.5, 2, shape) for name, shape in shapes.items()}


def test_there_are_pairs() -> None:
    assert len(PAIRS) > 20


@pytest.mark.parametrize(("by_numpy", "by_fuse"), PAIRS, ids=[pair[1] for pair in PAIRS])
def test_both_sides_are_equal(by_numpy: str, by_fuse: str) -> None:
    runner = Program(by_fuse).compile("numpy", config=ExecutionConfig(precision="float64"))
    for seed in (0, 1):
        given = arrays(seed)
        expected = eval(by_numpy, {"N": np}, dict(given))
        needed = {name: value for name, value in given.items() if re.search(rf"\b{name}\b", by_fuse)}
        np.testing.assert_allclose(runner(needed)["Y"], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("Y[b, p, m] = concat(X[b, h, p, v])", (2, 4, 15)),
        ("Y[b, p/2, d] max= X[b, h, p, d]", (2, 2, 5)),
        ("axis b = 4; Y[b, h] = X[0, h, 0, 0]", (4, 3)),
    ],
)
def test_einops_patterns(text: str, shape: tuple[int, ...]) -> None:
    assert Program(text).compile("numpy")(X=np.ones((2, 3, 4, 5)))["Y"].shape == shape


@pytest.mark.parametrize(
    "text",
    [
        "S[u, v] = E[u, d] E[v, d]",
        "S[i] = sum(d: X[i, d] X[i, d])",
        "Y[u] = where(C[u], A[u], B[u])",
        "Score[u] = case { Risky[u] -> Hi[u] }",
        "fn dot(A[x], B[x]) = A[x] B[x]\nS[i, j] = dot(E[i, d], E[j, d])",
    ],
)
def test_what_replaces_v2_runs(text: str) -> None:
    assert text.splitlines()[0].partition(" = ")[2] in DSL
    program = Program(text)
    given = {name: np.ones([3] * len(spec.axes)) for name, spec in program.tensors.items() if spec.role == "free"}
    assert program.compile("numpy")(given)


@pytest.mark.parametrize("page", [EINSUM, DSL], ids=["einsum", "dsl"])
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page):
        assert (ROOT / "docs" / target).exists(), target
