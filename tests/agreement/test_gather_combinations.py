"""Gathers beside every other index form, on both sides: the oracle and the engines as they come, uncompiled."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, InMemoryWeightStore, Program, RuntimePolicies
from tests.support.oracle import run as run_oracle

# Program and what it is given: sizes of floats, "<n" before sizes of positions around 0..n-1, "?" of truth values.
PROGRAMS: tuple[tuple[str, dict[str, str]], ...] = (
    ("axis w = {Ann, Bob, Cy}\nB[w, d] = 2 E[w, d]\nY[d] = B[Bob, d] - E[Cy, d]", {"E": "3 2"}),
    ("Y[d] = E[Bob, d] - E[Al, d]", {"E": "3 2"}),
    ("axis w = {Ann, Bob, Cy}\nY[Bob, d] = X[d]\nY[w, d] += Z[w, d] (w != Cy)", {"X": "2", "Z": "3 2"}),
    ('axis w = {Ann, "New York"}\nY[w] = E[w] (w == "New York")\nZ = E["New York"]', {"E": "2"}),
    ("Y[1:4:2, i] = X[0:2, i]\nY[-1, i] += B[i]\naxis n = 5\nO[n, i] = Y[n, i]\nexport O", {"X": "3 2", "B": "2"}),
    ("Y[i] = X[i] (i != 2) + X[-1] (i >= 1)", {"X": "4"}),
    ("axis w = {Ann, Bob, Cy}\nK[Ann] = 1\nK[Bob] = 0\nK[Cy] = 1\nY[w] = E[K[w]]", {"E": "3"}),
    ("X[0] = 2\nX[1] = 0\nY[p] = E[X[p]]", {"E": "3"}),
    ("Y[p] max= (X[p] >= 0) E[X[p]]", {"E": "3", "X": "<3 7"}),
    ("Y[p] avg= R(p, q), (q != p) E[X[q]]", {"R": "? 4 4", "E": "3", "X": "<3 4"}),
    ("Y[p] = R[X[p], j] W[j]", {"R": "4 3", "X": "<4 5", "W": "3"}),
    ("N = 2\nY[p] = E[X[p]-N, 0] + E[X[-1], p]", {"E": "4 5", "X": "<4 5"}),
    ("Y[i] = E[X[2*i+1], 0] - E[X[i/2], 1]", {"E": "4 2", "X": "<4 7"}),
    ("Y[t] = E[X[t-1]] + Z[t]", {"E": "4", "X": "<4 5", "Z": "5"}),
    ("Y[t] max= E[X[t-1]] Z[t]", {"E": "4", "X": "<4 5", "Z": "5"}),
    ("Y[i, j] = E[X[i], Z[j], i/2]", {"E": "4 3 2", "X": "<4 4", "Z": "<3 2"}),
    ("Y[x] = P[x/2, x/3, (x+1)/2]", {"P": "3 2 4"}),
    ("Y[a] = D[x/2, a] D[x/2, b] F[x]", {"D": "3 2", "F": "6"}),
    ("Y[p, j] = concat(E[X[p], j], E[X[p]+1, j], axis=j)", {"E": "4 2", "X": "<4 5"}),
    ("Y[i] = case { X[i] >= 0 -> E[X[i]]; default -> -1 }", {"E": "3", "X": "<3 6"}),
    ("fn pick(T[v, d], J[p]) = T[J[p], d]\nY[p, d] = pick(E[v, d], X[p])", {"E": "3 2", "X": "<3 6"}),
    ("param E[v, d]\naxis v = 4, d = 2\nY[p, d] = E[X[p], d]", {"E": "4 2", "X": "<4 5"}),
    ("Y[p] = W[X[p], j] V[X[p], j]\nZ = W[X[p], _] V[X[p], 0]\nexport Y, Z", {"W": "4 3", "V": "4 3", "X": "<4 5"}),
    ("axis n = 4\nY[X[p], 0] = Z[p]\nY[X[p], 2] = 2 Z[p]\nO[n, m] = Y[n, m]\nexport O", {"X": "<4 6", "Z": "6"}),
    ("axis n = 4, m = 3\nY[X[p], 1:3] = Z[p, 0:2]\nO[n, m] = Y[n, m]\nexport O", {"X": "<4 6", "Z": "6 2"}),
    ("axis n = 4, m = 2\nY[-1, X[p]] = Z[p]\nO[m, n] = Y[m, n]\nexport O", {"X": "<4 6", "Z": "6"}),
    ("axis n = 4\nY[X[p], x/2] max= Z[p, x]\nO[n, m] = Y[n, m]\nexport O", {"X": "<4 6", "Z": "6 5"}),
    ("axis n = 4\nY[X[p], p+1] = Z[p]\nO[n, p] = Y[n, p]\nexport O", {"X": "<4 6", "Z": "6"}),
    ("axis n = 4, m = 4\nY[X[p], X[p]] = Z[p]\nO[n, m] = Y[n, m]\nexport O", {"X": "<4 6", "Z": "6"}),
    ("axis n = 4\nY[X[p], p+q] min= Z[p, q]\nO[n, m] = Y[n, m]\nexport O", {"X": "<4 6", "Z": "6 3"}),
    ("axis n = 4\nY[X[p]] = 1\nY[2*n] += 1\nY[n] += B[n]\nexport Y", {"X": "<4 6", "B": "4"}),
    ("Y[X[p], d] = Z[p, d]\nO[n, d] = Y[n, d] H[n, d]\nexport O", {"X": "<4 5", "Z": "5 2", "H": "4 2"}),
    ("X = const([0, 2])\naxis n = 3\nY[X[p], d] = Z[p, d]\nO[n, d] = Y[n, d]\nexport O", {"Z": "2 2"}),
)


def values(given: Mapping[str, str], seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    drawn: dict[str, np.ndarray] = {}
    for name, words in given.items():
        first, *rest = words.split()
        if first.startswith("<"):
            drawn[name] = rng.integers(-1, int(first[1:]) + 1, [int(size) for size in rest])
        elif first == "?":
            drawn[name] = rng.uniform(size=[int(size) for size in rest]) < 0.6
        else:
            drawn[name] = rng.normal(size=[int(size) for size in words.split()]).astype(np.float32)
    return drawn


@pytest.mark.parametrize(("text", "given"), PROGRAMS, ids=[text.splitlines()[-1] for text, _ in PROGRAMS])
def test_engines_agree_with_the_oracle(text: str, given: Mapping[str, str]) -> None:
    program = Program(text)
    config = ExecutionConfig(precision="float32")
    for seed in (1, 2):
        drawn = values(given, seed)
        expected = run_oracle(program.explicit(), drawn).exports
        params = {name: array for name, array in drawn.items() if name in program.params}
        policies = RuntimePolicies(weight_store=InMemoryWeightStore(params))
        inputs = {name: array for name, array in drawn.items() if name not in params}
        for engine in ("numpy", "torch", "jax"):
            found = program.compile(engine, config=config, policies=policies)(inputs)
            for name, right in expected.items():
                got = np.asarray(found[name])
                assert got.shape == right.shape, (engine, name)
                np.testing.assert_allclose(got, right, rtol=1e-5, atol=1e-5, err_msg=f"{name} by {engine}")
