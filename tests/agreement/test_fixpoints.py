"""Numeric fixpoints on every engine: PageRank, equilibria, beliefs, paths, and cycles that go on."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import numpy as np
import pytest
from scipy.sparse.csgraph import dijkstra

from fuse_ref import ConfigError, DivergenceError, ExecutionConfig, LimitError, NonFiniteError, Program, RouteError
from fuse_ref.evaluate.runner import BackendChoice

BACKENDS: tuple[BackendChoice, ...] = ("numpy", "torch", "jax")
PRECISIONS = ("float32", "float64")

RANK = "R[i] = 0.85 A[i, j] R[j] + 0.15 B[i]\nexport R"
SURFED = "input Link(x, y)\nOut[x] = Link(x, y)\nR[y] = 0.85 Link(x, y) R[x] / Out[x] + 0.15 B[y]\nexport R"
EQUILIBRIUM = "Z[b, i] = tanh(W[i, j] Z[b, j] + U[i, k] X[b, k])\nexport Z"
PATHS = "D[y] min= D[x] + W[x, y]\nD[0] = 0\nexport D"
HOPS = "input Edge(x, y)\nD[0] = 0\nD[y] min= Edge(x, y), D[x] + W[x, y]\nexport D"
WIDEST = "C[y] max= min(C[x], W[x, y])\nC[0] = 9\nexport C"
BELIEFS = """
axis s = 2
M[i, j, t.] = log_softmax(log(sum(s: exp(P[i, s] + J[i, j] (2 s - 1) (2 t - 1) + In[i, j, s]))))
In[i, j, s] = sum(k: Edge[k, i] (k != j) M[k, i, s])
B[i, s.] = softmax(P[i, s] + sum(k: Edge[k, i] M[k, i, s]))
axis t = 2
export B
"""


def run(
    text: str, backend: BackendChoice, values: Mapping[str, object], precision: str = "float64", **settings: object
) -> dict[str, np.ndarray]:
    settings = {"tol": 1e-6 if precision == "float32" else 1e-13, **settings}
    config = ExecutionConfig(precision=precision, **settings)  # type: ignore[arg-type]
    with jax.enable_x64(precision == "float64"):
        runner = Program(text).compile(backend, config=config)
        return {name: np.asarray(value) for name, value in runner(values).items()}


def close(found: np.ndarray, expected: np.ndarray, precision: str) -> None:
    assert found.dtype == precision
    np.testing.assert_allclose(found, expected, rtol=1e-5 if precision == "float32" else 1e-11, atol=1e-5)


def stochastic(rng: np.random.Generator, n: int) -> np.ndarray:
    a = rng.random((n, n)) * (rng.random((n, n)) < 0.6)
    return np.asarray(a / np.maximum(a.sum(0), 1e-9))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n", [5, 1, 0, 9])
def test_page_rank(backend: BackendChoice, precision: str, n: int) -> None:
    rng = np.random.default_rng(n)
    a, b = stochastic(rng, n), rng.random(n)
    expected = np.linalg.solve(np.eye(n) - 0.85 * a, 0.15 * b)
    close(run(RANK, backend, {"A": a, "B": b}, precision)["R"], expected, precision)


@pytest.mark.parametrize("backend", BACKENDS)
def test_page_rank_over_links(backend: BackendChoice) -> None:
    for seed, n in ((0, 6), (1, 9)):
        rng = np.random.default_rng(seed)
        held = rng.random((n, n)) < 0.4
        held[:, 0] = True  # every page links to some
        b = rng.random(n)
        a = held / held.sum(1, keepdims=True)
        expected = np.linalg.solve(np.eye(n) - 0.85 * a.T, 0.15 * b)
        for links in (held, np.argwhere(held)):
            found = run(SURFED, backend, {"Link": links, "B": b})["R"]
            np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("sizes", [(2, 4, 3), (1, 1, 1), (3, 5, 0), (0, 2, 2)])
def test_an_equilibrium_layer(backend: BackendChoice, precision: str, sizes: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(sizes))
    batch, n, k = sizes
    w, u, x = rng.normal(size=(n, n)) * 0.3, rng.normal(size=(n, k)), rng.normal(size=(batch, k))
    z = np.zeros((batch, n))
    for _ in range(300):
        z = np.tanh(z @ w.T + x @ u.T)
    close(run(EQUILIBRIUM, backend, {"W": w, "U": u, "X": x}, precision)["Z"], z, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n", [6, 1, 8])
def test_shortest_and_widest_paths(backend: BackendChoice, precision: str, n: int) -> None:
    w = np.random.default_rng(n).uniform(0.1, 2, (n, n))
    close(run(PATHS, backend, {"W": w}, precision)["D"], dijkstra(w, indices=0), precision)
    widest = np.full(n, -np.inf)
    widest[0] = 9
    for _ in range(n):
        for x in range(n):
            for y in range(n):
                widest[y] = max(widest[y], min(widest[x], w[x, y]))
    close(run(WIDEST, backend, {"W": w}, precision)["C"], widest, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_paths_along_edges(backend: BackendChoice, precision: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 7 + seed
    w = rng.uniform(0.1, 2, (n, n))
    held = rng.random((n, n)) < 0.2
    held[0, 1] = held[1, 0] = True
    held[:, n - 1] = False  # not reached
    expected = dijkstra(np.where(held, w, 0), indices=0)
    assert np.isinf(expected[n - 1])
    for edges in (held, np.argwhere(held)):
        close(run(HOPS, backend, {"Edge": edges, "W": w}, precision)["D"], expected, precision)


def beliefs(edge: np.ndarray, prior: np.ndarray, coupling: np.ndarray) -> np.ndarray:
    """Sum-product messages on an Ising graph, all at once, by plain loops."""
    n = len(edge)
    message = np.full((n, n, 2), 0.5)
    for _ in range(400):
        new = np.full((n, n, 2), 0.5)
        for i in range(n):
            for j in range(n):
                for t in range(2):
                    new[i, j, t] = 0
                    for s in range(2):
                        term = np.exp(prior[i, s] + coupling[i, j] * (2 * s - 1) * (2 * t - 1))
                        for k in range(n):
                            if edge[k, i] and k != j:
                                term *= message[k, i, s]
                        new[i, j, t] += term
                new[i, j] /= new[i, j].sum()
        message = new
    belief = np.exp(prior)
    for i in range(n):
        for k in range(n):
            if edge[k, i]:
                belief[i] *= message[k, i]
    return np.asarray(belief / belief.sum(1, keepdims=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_loopy_belief_propagation(backend: BackendChoice) -> None:
    ring = np.zeros((4, 4))
    for i, j in ((0, 1), (1, 2), (2, 3), (3, 0), (0, 2)):
        ring[i, j] = ring[j, i] = 1
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        prior = rng.normal(size=(4, 2))
        coupling = rng.normal(size=(4, 4)) * 0.4
        coupling = (coupling + coupling.T) * ring
        found = run(BELIEFS, backend, {"Edge": ring, "P": prior, "J": coupling})["B"]
        np.testing.assert_allclose(found, beliefs(ring, prior, coupling), rtol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_truth_and_numbers_in_one_cycle(backend: BackendChoice) -> None:
    """A cascade: who is active gives to those behind."""
    text = "input Edge(x, y)\nOn(x) <- S[x] > 0.5\nS[y] = 0.3 Edge(x, y) On(x) + B[y]\nexport S, On"
    edges = np.array([(0, 1), (1, 2), (0, 2), (2, 3), (4, 3)])
    for b in ([0.6, 0.3, 0.1, 0.1, 0.0], [0.6, 0.1, 0.1, 0.4, 0.9]):
        s = np.array(b)
        for _ in range(9):
            s = np.array(b) + 0.3 * np.array([sum(s[x] > 0.5 for x, y in edges if y == k) for k in range(5)])
        found = run(text, backend, {"Edge": edges, "B": b})
        np.testing.assert_allclose(found["S"], s, rtol=1e-12)
        assert found["On"].tolist() == (s > 0.5).tolist()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_recurrence_as_a_fixpoint(backend: BackendChoice) -> None:
    text = "axis t = 6\nS[0] = U[0]\nS[t+1] = 0.5 S[t] + U[t+1]\nexport S"
    for seed in (0, 1):
        u = np.random.default_rng(seed).normal(size=6)
        expected = [u[0]]
        for value in u[1:]:
            expected.append(0.5 * expected[-1] + value)
        np.testing.assert_allclose(run(text, backend, {"U": u}, mode="fixpoint")["S"], expected, rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_products_and_means_begin_with_their_neutral_elements(backend: BackendChoice) -> None:
    """`prod=` with 1: P = c sqrt(P) has the fixpoints c**2 and 0, and 0 is where nothing else would lead."""
    found = run("P[i] prod= C[i] sqrt(P[i])\nexport P", backend, {"C": [2.0, 3.0]}, tol=1e-14)
    np.testing.assert_allclose(found["P"], [4, 9], rtol=1e-12)
    a = np.random.default_rng(0).random((3, 4))
    found = run("M[i] avg= A[i, k] + 0.5 M[i]\nexport M", backend, {"A": a})
    np.testing.assert_allclose(found["M"], 2 * a.mean(1), rtol=1e-11)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_goes_on_says_how(backend: BackendChoice) -> None:
    text = "R[i] = 2 A[i, j] R[j] + 1\nexport R"
    words = r"R still changes after max_iters=6 rounds; the last largest changes are 0.533, 0.516, 0.508"
    with pytest.raises(DivergenceError, match=words) as caught:
        run(text, backend, {"A": [[1.0]]}, max_iters=6)
    assert (caught.value.code, caught.value.span is not None) == ("FUSE264", True)
    np.testing.assert_allclose(caught.value.residuals, [1, 2 / 3, 4 / 7, 8 / 15, 16 / 31, 32 / 63])
    last = run(text, backend, {"A": [[1.0]]}, max_iters=6, on_divergence="last")["R"]
    assert last.tolist() == [63.0]
    # A tolerance that is met: |63 - 31| / 63 is 0.508.
    assert run(text, backend, {"A": [[1.0]]}, max_iters=6, tol=0.51)["R"].tolist() == [63.0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_infinity_and_nan_stand_still(backend: BackendChoice) -> None:
    found = run("R[i] = A[i] R[i] + 1\nexport R", backend, {"A": [np.nan, np.inf, 0.5]})["R"]
    np.testing.assert_array_equal(found[:2], [np.nan, np.nan])
    np.testing.assert_allclose(found[2], 2)
    grown = run("R[i] = A[i] R[i] + 1\nexport R", backend, {"A": [1e200, 0.5]})["R"]
    np.testing.assert_allclose(grown, [np.inf, 2])
    with pytest.raises(NonFiniteError, match="R"):
        run("R[i] = A[i] R[i] + 1\nexport R", backend, {"A": [1e200, 0.5]}, checked=True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rounds_are_told(backend: BackendChoice) -> None:
    runner = Program("R[i] = 0.5 A[i, j] R[j]\nQ[i] = 0.5 A[i, j] Q[j] + 1\nexport R, Q").compile(backend)
    runner(A=np.eye(2))
    explanation = runner.explain()
    assert sorted(explanation.iterations.values()) == [1, 20]
    assert "20 rounds until nothing changed" in str(explanation)
    runner(A=np.zeros((3, 3)))
    assert sorted(runner.explain().iterations.values()) == [1, 2]


def test_limits_and_modes() -> None:
    with pytest.raises(ConfigError, match="R need each other"):
        Program(RANK).compile("numpy", config=ExecutionConfig(mode="single"))
    with pytest.raises(LimitError, match="time_limit=1e-09") as caught:
        run(RANK, "numpy", {"A": np.eye(2), "B": [1.0, 1.0]}, time_limit=1e-9)
    np.testing.assert_allclose(np.asarray(caught.value.partial["R"], np.float64), 0.15)
    with pytest.raises(RouteError, match="max_iters= bounds its rounds"):
        run(RANK, "jax", {"A": np.eye(2), "B": [1.0, 1.0]}, time_limit=1)
    with pytest.raises(RouteError, match="dropout draws anew in every round"):
        Program("R[i] = dropout(R[i], 0.5) + B[i]\nexport R").compile("numpy")(B=[1.0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_memory_limit_counts_what_a_round_holds(backend: BackendChoice) -> None:
    """Twice 20 × 20 × 20 numbers of 4 bytes, and no index splits a fixpoint."""
    text = "S[i, j] = 0.01 sum(k: tanh(A[i, k] + S[k, j])) + B[i, j]\nexport S"
    values = {"A": np.ones((20, 20)), "B": np.ones((20, 20))}
    whole = run(text, backend, values, "float32", memory_limit=70_000)["S"]
    assert np.isfinite(whole).all()
    with pytest.raises(LimitError, match="memory_limit=60000"):
        run(text, backend, values, "float32", memory_limit=60_000)


def test_what_stays_the_same_is_computed_once() -> None:
    """Inputs of another call, and memory of values that rounds read, stay what they are."""
    text = (
        "H[i, k] = A[i, j] G[j, k] + 1\nR[i] = C (H[i, k] + 1) T[k] + C H[i, k] R[k]\nY[i] = H[i, i] + R[i]\nexport Y"
    )
    rng = np.random.default_rng(0)
    runner = Program(text).compile("numpy", config=ExecutionConfig(precision="float64", tol=1e-13))
    for n in (300, 4, 300):  # the large one lets go of memory while it runs
        a, g, t, c = rng.random((n, n)) / n, rng.random((n, n)), rng.random(n), 0.3 / n
        h = a @ g + 1
        expected = np.diag(h) + np.linalg.solve(np.eye(n) - c * h, c * (h + 1) @ t)
        for _ in range(2):
            np.testing.assert_allclose(runner(A=a, G=g, T=t, C=c)["Y"], expected, rtol=1e-10)
