"""memory_limit: what a run would hold is known before it runs, and a run that is too large is split or refused."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, LimitError, Program
from fuse_ref.analysis.lengths import evaluate
from fuse_ref.evaluate.blocks import Split, splits_of
from fuse_ref.evaluate.memory import moments, peak_of
from fuse_ref.plan.build import build_plan

ENGINES = ["numpy", "torch", "jax"]
ATTENTION = "S[p, q] = exp(Q[p, d] K[q, d])\nY[p, v] = S[p, q] V[q, v]\nexport Y"
DISTANCES = "F[i] = sum(k, j: abs(X[i, j] - Z[k, j]))\nexport F"
LOSS = "P[b, o] = relu(X[b, d] W[d, o])\nL = P[b, o] P[b, o]\nexport L"
SHAPES = {"Q": (60, 4), "K": (50, 4), "V": (50, 3)}


def arrays(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(np.float32) * 0.5 for name, shape in shapes.items()}


def limited(limit: int | None, **more: object) -> ExecutionConfig:
    return ExecutionConfig(memory_limit=limit, disabled_passes=("replan",), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize(
    ("text", "shapes", "limit"),
    [
        (ATTENTION, SHAPES, 8_000),  # 12,000 bytes for S alone
        (DISTANCES, {"X": (40, 8), "Z": (30, 8)}, 16_000),  # 38,400 for the differences
        (LOSS, {"X": (64, 8), "W": (8, 32)}, 8_000),  # 8,192 for P; a sum over blocks of b
    ],
)
def test_a_run_is_split_where_positions_do_not_need_each_other(
    backend: str, text: str, shapes: dict[str, tuple[int, ...]], limit: int
) -> None:
    program = Program(text)
    plain = program.compile(backend, config=limited(None))  # type: ignore[arg-type]
    split = program.compile(backend, config=limited(limit))  # type: ignore[arg-type]
    for seed in (0, 1):
        given = arrays(shapes, seed)
        expected, found = plain(given), split(given)
        for name, array in expected.items():
            np.testing.assert_allclose(np.asarray(found[name]), np.asarray(array), rtol=2e-5, atol=2e-5)
    with pytest.raises(LimitError, match="memory_limit=2000"):
        program.compile(backend, config=limited(2000))(arrays(shapes))  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ENGINES)
def test_what_cannot_be_split_is_refused_with_the_numbers(backend: str) -> None:
    text = "G[i, k] = A[i, j] A[j, k]\nH[i, k] = exp(G[i, j] G[j, k])\nexport H"
    runner = Program(text).compile(backend, config=limited(50_000))  # type: ignore[arg-type]
    np.testing.assert_allclose(np.asarray(runner(A=np.zeros((40, 40)))["H"]), np.ones((40, 40)))
    with pytest.raises(LimitError) as caught:
        runner(A=np.zeros((100, 100)))
    error = caught.value
    assert error.code == "FUSE228"
    assert "120000 bytes" in str(error)
    assert "memory_limit=50000" in str(error)
    assert "shape (100, 100)" in str(error)
    assert error.span is not None
    assert error.span.line in (1, 2)
    np.testing.assert_allclose(np.asarray(runner(A=np.zeros((40, 40)))["H"]), np.ones((40, 40)))


def test_measured_memory_stays_under_the_limit() -> None:
    given = arrays({"Q": (800, 4), "K": (700, 4), "V": (700, 3)})  # 2,240,000 bytes for the scores
    inputs = sum(array.nbytes for array in given.values())
    most = {}
    for limit in (None, 700_000):
        runner = Program(ATTENTION).compile("numpy", config=limited(limit))
        runner(given)
        tracemalloc.start()
        runner(given)
        most[limit] = tracemalloc.get_traced_memory()[1] + inputs
        tracemalloc.stop()
    assert most[700_000] <= 700_000
    assert most[None] > 2_240_000


def test_moments_are_what_the_run_holds() -> None:
    program = Program("A[j, i] = X[i, j] X[i, j]\nB[i] = exp(A[j, i])\nD[i] = X[i, j] Z[k]\nexport B")
    plan = build_plan(program.ir)
    found = [[output.out.partition("~")[0] for output in live] for live in moments(plan, ("B",))]
    assert all("D" not in live for live in found)  # no output needs it
    assert found[-1][-1] == "B"
    shapes = {"X": (30, 20), "Z": (5,)}
    held = max(
        sum(math.prod(evaluate(n, lambda tensor, k: shapes[tensor][k]) for n in output.lengths) for output in live)
        for live in moments(plan, ("B",))
    )
    assert peak_of(plan, shapes, ("B",), ExecutionConfig()).bytes == 4 * (held + 605)


def test_peaks_are_those_of_live_values() -> None:
    config = ExecutionConfig()
    plan = build_plan(Program("A[i] = exp(X[i])\nB[i] = exp(A[i])\nC[i] = exp(B[i])\nexport C").ir)
    peak = peak_of(plan, {"X": (100,)}, ("C",), config)
    assert (peak.bytes, peak.given, peak.results) == (1200, 400, 400)  # X and two of A, B, C
    both = peak_of(plan, {"X": (100,)}, ("A", "C"), config)
    assert both.bytes == 1600
    assert peak_of(plan, {"X": (0,)}, ("C",), config).bytes == 0
    assert peak_of(plan, {"X": (100,)}, ("C",), ExecutionConfig(precision="float64")).bytes == 2400


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        (ATTENTION, {"Q", "V", "V K"}),  # by p, by v, or as a sum over q
        (LOSS, {"X", "W"}),  # by b, or by o
        ("Y[b, i] = X[b, j] W[i, j] + B[i]", {"X", "W B"}),
        ("Y[i, k] = A[i, j] A[j, k]", set()),
        ("Y[i.] = softmax(X[i])", set()),
        ("Y[b, i.] = softmax(X[b, i])", {"X"}),
        ("Y[i] = X[i+1] - X[i]", set()),
        ("Y[i] avg= X[i, j]", {"X"}),
        ("Y[i] = X[i] + Z[i]\nL = Y[i]\nM[i] = Y[i] L\nexport M", set()),
        ("Y[i, j] = X[i] Z[j] + i", {"Z"}),
        ("Y[i, j] = X[i] Z[j]\nL = W[i]\nexport Y, L", {"X", "W", "Z"}),
    ],
)
def test_which_inputs_can_be_cut(text: str, cut: set[str]) -> None:
    found = splits_of(build_plan(Program(text).ir, disabled_passes=("replan",)), tuple(Program(text).exports))
    names = {" ".join(sorted((name for name, _ in split.cut), reverse=True)) for split in found}
    assert names == cut
    assert all(isinstance(split, Split) for split in found)
