"""Samples: permutations are permutations, and sums from some terms are right on average and as far off as they say."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from fuse_ref import AxisError, ConfigError, ExecutionConfig, Program
from fuse_ref.evaluate.sampling import ratio, sample
from fuse_ref.plan.sampling import seed_words


def monte_carlo(number: int | dict[str, int], seed: int = 0, **more: object) -> ExecutionConfig:
    settings = {"precision": "float64", **more}
    return ExecutionConfig(
        projection_strategy="monte_carlo",
        projection_samples=number,
        projection_seed=seed,
        **settings,  # type: ignore[arg-type]
    )


def draw(seed: int, sizes: Sequence[int], count: int, stream: int = 5) -> np.ndarray:
    return sample(seed_words(seed), stream, sizes, count)


# The permutation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**70 + 3])
def test_every_number_of_combinations_is_permuted(seed: int) -> None:
    for count in range(1, 301):
        assert sorted(draw(seed, [count], count)[0]) == list(range(count))


@pytest.mark.parametrize("sizes", [(7, 11, 3), (1, 5), (2, 2, 2, 2, 2), (64, 64), (1, 1, 1)])
def test_combinations_of_several_variables_are_permuted(sizes: tuple[int, ...]) -> None:
    count = math.prod(sizes)
    drawn = draw(3, sizes, count)
    assert set(map(tuple, drawn.T.tolist())) == set(np.ndindex(*sizes))


@pytest.mark.parametrize("sizes", [(10**8,), (2**31 - 1,), (10**5, 10**5), (2**31 - 1, 2**31 - 1, 2**31 - 1)])
def test_large_spaces_give_different_combinations_inside(sizes: tuple[int, ...]) -> None:
    drawn = draw(3, sizes, 5000)
    assert len(set(map(tuple, drawn.T.tolist()))) == 5000
    for positions, size in zip(drawn, sizes, strict=True):
        assert positions.min() >= 0
        assert positions.max() < size
        # Of 5000 uniform positions, the mean has a standard error of 0.0041.
        assert abs(positions.mean() / size - 0.5) < 5 * 0.0041
        counts = np.bincount((positions / size * 50).astype(int), minlength=50)
        assert ((counts - 100) ** 2 / 100).sum() < 100  # chi-square with 49 degrees of freedom: 1 in 40,000


def test_single_terms_and_pairs_are_equally_frequent_over_seeds() -> None:
    terms, seeds = 5, 2400
    singles, pairs = np.zeros(terms), np.zeros((terms, terms))
    for seed in range(seeds):
        first, second = draw(seed, [terms], 2)[0]
        singles[[first, second]] += 1
        pairs[first, second] += 1
    assert not pairs.diagonal().any()
    expected = 2 * seeds / terms
    assert ((singles - expected) ** 2 / expected).sum() < 25  # 4 degrees of freedom: 1 in 20,000
    off = pairs[~np.eye(terms, dtype=bool)]
    expected = seeds / len(off)
    assert ((off - expected) ** 2 / expected).sum() < 55  # 19 degrees of freedom: 1 in 40,000


def test_seeds_and_streams_draw_differently() -> None:
    drawn = [draw(seed, [10**6], 20, stream).tobytes() for seed in (0, 1, 2**31, 2**62) for stream in (1, 2)]
    assert len(set(drawn)) == 6  # seeds have 62 bits: 2**62 is 0 again
    assert draw(9, [100], 7).tolist() == draw(9, [100], 7).tolist()


def test_lengths_of_zero() -> None:
    assert draw(0, [0], 0).shape == (1, 0)
    assert draw(0, [3, 0], 0).shape == (2, 0)
    assert ratio([0, 4], 0) == 0
    assert ratio([6, 5], 10) == 3


# Estimates ----------------------------------------------------------------------------------------

PROGRAMS = {
    "product": ("Y[i] = W[i, j] X[j]", lambda W, X: W @ X),
    "added": ("Y[i] = 2 W[i, j] X[j] - W[i, 0] / 4", lambda W, X: 2 * W @ X - W[:, 0] / 4),
    "two indices": ("Y = W[i, j] X[j]**2", lambda W, X: (W @ X**2).sum()),
    "function": ("Y[i] = sum(j: exp(W[i, j]))", lambda W, X: np.exp(W).sum(1)),
    "quotient": ("Y[i] = W[i, j] / (2 + X[j]**2)", lambda W, X: (W / (2 + X**2)).sum(1)),
    "window": ("Y[i] = sum(j: W[i, j+1] X[j])", lambda W, X: W[:, 1:] @ X[:-1]),
    "repeated": ("Y[j] += 3 W[i, k]", lambda W, X: np.full(12, 3 * W.sum())),
    "unused index": ("Y[i] = sum(j, k: X[j] W[i, j])", lambda W, X: 12 * W @ X),
    "average": ("Y[i] avg= W[i, j] X[j]", lambda W, X: (W * X).mean(1)),
    "inner average": ("Y[i] = avg(j: W[i, j]**2)", lambda W, X: (W**2).mean(1)),
    "maximum of sums": ("Y = max(i: X[i]) sum(j: X[j])", lambda W, X: X.max() * X.sum()),
}
TEXTS = {"repeated": "axis j = 12\n", "unused index": "axis k = 12\n"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_estimates_are_unbiased_and_exact_where_all_terms_are_drawn(name: str) -> None:
    text, exact = PROGRAMS[name]
    program = Program(TEXTS.get(name, "") + text)
    rng = np.random.default_rng(3)
    W, X = rng.normal(size=(4, 12)) + 0.5, rng.normal(size=12)
    expected = exact(W, X)
    given = {tensor: value for tensor, value in (("W", W), ("X", X)) if f"{tensor}[" in text}
    for number in (12 * 4, 1000):
        np.testing.assert_allclose(program.compile("numpy", config=monte_carlo(number))(given)["Y"], expected)
    found = np.array([program.compile("numpy", config=monte_carlo(5, seed))(given)["Y"] for seed in range(150)])
    assert len(np.unique(found.reshape(150, -1)[:, 0])) > 100
    error = found.std(0, ddof=1) / math.sqrt(150)
    assert (np.abs(found.mean(0) - expected) < 4 * error + 1e-12).all()


def test_the_mean_over_two_thousand_seeds() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=40)
    drawn = np.array([values[draw(seed, [40], 8)[0]].sum() for seed in range(2000)]) * 40 / 8
    assert abs(drawn.mean() - values.sum()) < 4 * drawn.std(ddof=1) / math.sqrt(2000)
    # Without replacement: the finite-population correction is there.
    expected = 40 * math.sqrt((1 - 8 / 40) * values.var(ddof=1) / 8)
    assert abs(drawn.std(ddof=1) / expected - 1) < 0.08


def test_functions_along_a_summed_axis_see_all_of_it() -> None:
    program = Program("Y[i] = sum(j: softmax(W[i, j], axis=j) X[j])")
    rng = np.random.default_rng(1)
    for shape in ((3, 20), (2, 31)):
        W = rng.normal(size=shape)
        # With equal X each of the terms is a share of 1: a sample of them alone would have another sum.
        every = [program.compile("numpy", config=monte_carlo(10, s))(W=W, X=np.ones(shape[1]))["Y"] for s in range(60)]
        assert np.abs(np.mean(every, 0) - 1).max() < 4 * np.std(every, 0, ddof=1).max() / math.sqrt(60)
        assert np.std(every, 0).min() > 0.01


def test_sums_inside_sums() -> None:
    program = Program("Y = sum(i: relu(sum(j: W[i, j] X[j])))\nZ = (W[i, j] X[j])**2")
    rng = np.random.default_rng(2)
    W, X = rng.normal(size=(30, 40)), rng.normal(size=40)
    results = program.compile("numpy", config=monte_carlo({"Z": 35}))(W=W, X=X)
    np.testing.assert_allclose(results["Y"], np.maximum(W @ X, 0).sum())  # not named: exact
    assert abs(results["Z"] / ((W @ X) ** 2).sum() - 1) > 1e-6
    both = program.compile("numpy", config=monte_carlo(40))(W=W, X=X)
    np.testing.assert_allclose(both["Y"], np.maximum(W @ X, 0).sum())
    assert both["Z"].shape == ()


def test_gathers_and_quotients_of_drawn_indices() -> None:
    program = Program("input T[j]: int64\nY[i] = sum(j: W[T[j], i] X[j/2])")
    rng = np.random.default_rng(4)
    for size, number in ((20, 7), (33, 30)):
        W, X, T = rng.normal(size=(5, 3)), rng.normal(size=(size + 1) // 2), rng.integers(0, 5, size)
        terms = W[T] * X[np.arange(size) // 2][:, None]
        found = program.compile("numpy", config=monte_carlo(size))(W=W, X=X, T=T)["Y"]
        np.testing.assert_allclose(found, terms.sum(0))
        every = [program.compile("numpy", config=monte_carlo(number, s))(W=W, X=X, T=T)["Y"] for s in range(100)]
        error = np.std(every, 0, ddof=1) / 10
        assert (np.abs(np.mean(every, 0) - terms.sum(0)) < 4 * error).all()


def test_checked_runs_look_at_the_indices_that_are_drawn() -> None:
    program = Program("input T[j]: int64\nY[i] = sum(j: W[i, j+1] X[T[j]])")
    runner = program.compile("numpy", config=monte_carlo(5, checked=True))
    given = {"W": np.ones((2, 9)), "X": np.ones(3)}
    np.testing.assert_allclose(runner(**given, T=np.zeros(8, int))["Y"], [8, 8])
    with pytest.raises(AxisError, match=r"T\[j\] is 20, but X has 3 positions"):
        runner(**given, T=np.full(8, 20))


def test_averages_over_what_filters_keep() -> None:
    program = Program("Y[i] avg= (W[i, j] > 0) X[j]\nZ avg= X[j]\nZ avg= W[i, j]")
    rng = np.random.default_rng(5)
    W, X = rng.normal(size=(3, 40)) + 0.3, rng.normal(size=40) + 1
    kept = W > 0
    exact = program.compile("numpy", config=monte_carlo(120))(W=W, X=X)
    np.testing.assert_allclose(exact["Y"], (kept * X).sum(1) / kept.sum(1))
    every = [program.compile("numpy", config=monte_carlo(30, seed))(W=W, X=X) for seed in range(100)]
    for name in ("Y", "Z"):
        values = np.array([item[name] for item in every])
        # Ratios are unbiased up to 1/N of their variance.
        assert (np.abs(values.mean(0) - exact[name]) < 5 * values.std(0, ddof=1) / 10).all()


def test_cost_follows_the_sample() -> None:
    program = Program("axis x = 100_000, y = 100_000\nS = sum(x, y: sin(x) cos(y) / (1 + x))")
    # Ten thousand million terms: only a sample of them fits anywhere.
    runner = program.compile("numpy", config=monte_carlo(1000))
    assert np.isfinite(runner()["S"])
    (estimate,) = runner.explain().estimates
    assert (estimate.terms, estimate.samples) == (10**10, 1000)
    assert max(step.largest for step in runner.plan.steps) <= 2000


# What explain says --------------------------------------------------------------------------------


def test_explain_tells_standard_errors() -> None:
    program = Program("Y[i] = W[i, j] X[j]\nZ avg= W[i, j] (X[j] > 0)")
    rng = np.random.default_rng(6)
    W, X = rng.normal(size=(3, 60)), rng.normal(size=60)
    runner = program.compile("numpy", config=monte_carlo(20, precision="float32"))
    assert runner.explain().estimates == ()
    for size in (60, 45):
        runner(W=W[:, :size].astype("f"), X=X[:size].astype("f"))
        first, second = runner.explain().estimates
        positions = sample(seed_words(0), _stream(runner, 0), [size], 20)[0]
        terms = (W * X)[:, positions].astype("f")
        expected = size * np.sqrt((1 - 20 / size) * terms.var(1, ddof=1) / 20)
        assert (first.tensor, first.operator, first.variables, first.terms, first.samples) == (
            "Y",
            "sum",
            ("j",),
            size,
            20,
        )
        assert first.error == pytest.approx(expected.max(), rel=1e-4)
        i, j = sample(seed_words(0), _stream(runner, 1), [3, size], 20)
        kept = X[j] > 0
        residual = kept * (W[i, j] - W[i, j][kept].mean())
        error = np.sqrt((1 - 20 / (3 * size)) * (residual**2).sum() / 19 / 20) / kept.mean()
        assert second.error == pytest.approx(error, rel=1e-4)
    text = str(runner.explain())
    assert "Y: sum over j from 20 of |W.1| terms" in text
    assert f"estimated: sum over j in Y, 20 of 45 terms, standard error {first.error:.3g}" in text
    assert runner.explain().to_dict()["estimates"][0]["standard_error"] == first.error  # type: ignore[index, call-overload]
    runner(W=W[:, :20].astype("f"), X=X[:20].astype("f"))
    assert "exact: sum over j in Y, 20 terms" in str(runner.explain())


def _stream(runner: object, number: int) -> int:
    operations = [item for step in runner.plan.steps for item in step.operations]  # type: ignore[attr-defined]
    return [item.stream for item in operations if type(item).__name__ == "Sample"][number]  # type: ignore[no-any-return]


def test_errors_of_averages_whose_filters_lack_an_index() -> None:
    runner = Program("Y[d, i] avg= (W[i, j] > 0) X[j, d]").compile("numpy", config=monte_carlo(6))
    rng = np.random.default_rng(9)
    W, X = rng.normal(size=(3, 25)), rng.normal(size=(25, 3))
    runner(W=W, X=X)
    (estimate,) = runner.explain().estimates
    j = sample(seed_words(0), _stream(runner, 0), [25], 6)[0]
    kept = W[:, j] > 0  # (i, samples)
    mean = (kept @ X[j]) / kept.sum(1)[:, None]
    residual = kept[:, :, None] * (X[j][None] - mean[:, None])
    errors = np.sqrt((1 - 6 / 25) * (residual**2).sum(1) / 5 / 6) / kept.mean(1)[:, None]
    assert estimate.error == pytest.approx(errors.max(), rel=1e-6)


def test_one_sample_tells_no_error() -> None:
    runner = Program("S = X[i]").compile("numpy", config=monte_carlo(1))
    assert runner(X=[4.0, 4.0, 4.0])["S"] == 12
    assert "1 of 3 terms, standard error unknown" in str(runner.explain())


# Settings -----------------------------------------------------------------------------------------


def test_empty_and_short_sums() -> None:
    program = Program("Y[i] = W[i, j] X[j]\nZ avg= X[j]")
    for size in (0, 1, 2, 7):
        X = np.arange(1.0, size + 1)
        found = program.compile("numpy", config=monte_carlo(3))(W=np.ones((2, size)), X=X)
        if size <= 3:
            np.testing.assert_allclose(found["Y"], [X.sum()] * 2)
            np.testing.assert_allclose(found["Z"], X.mean() if size else Program("Z avg= X[j]").compile()(X=X)["Z"])


def test_what_is_exact_anyway() -> None:
    rng = np.random.default_rng(7)
    W = rng.normal(size=(3, 20))
    program = Program("M[i] max= W[i, j]\nP[i] prod= W[i, j]\nN[i] = max(j: W[i, j])\nS = W[0, 1] + W[2, 3]")
    found = program.compile("numpy", config=monte_carlo(2))(W=W)
    np.testing.assert_allclose(found["M"], W.max(1))
    np.testing.assert_allclose(found["P"], W.prod(1))
    np.testing.assert_allclose(found["N"], W.max(1))
    np.testing.assert_allclose(found["S"], W[0, 1] + W[2, 3])
    # The tuples of a relation are as many as they are.
    rules = "E(A, B)\nE(A, C)\nE(B, C)\nP(x, y) <- E(x, y)\nP(x, z) <- P(x, y), E(y, z)\n"
    counts = Program(f"{rules}N[x] = P(x, y) W[y]\nexport N").compile("numpy", config=monte_carlo(1))
    np.testing.assert_allclose(counts(W=[1.0, 2.0, 3.0])["N"], [5, 3, 0])


def test_plans_of_exact_runs_do_not_change() -> None:
    program = Program("axis j = 8\nY[i] = W[i, j] X[j]\nZ[i] avg= W[i, j]\nexport Y, Z")
    plain = program.compile("numpy")
    few = program.compile("numpy", config=monte_carlo(8, precision="float32"))
    assert plain.plan == few.plan


@pytest.mark.parametrize(
    ("samples", "code"), [(None, "FUSE241"), ({"Q": 3}, "FUSE204"), ({"M": 3}, "FUSE242"), ({"W": 3}, "FUSE204")]
)
def test_settings_that_cannot_be(samples: object, code: str) -> None:
    program = Program("Y[i] = W[i, j] X[j]\nM[i] max= W[i, j]")
    config = ExecutionConfig(projection_strategy="monte_carlo", projection_samples=samples)  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as caught:
        program.compile("numpy", config=config)(W=np.ones((1, 1)), X=[1.0])
    assert caught.value.code == code


def test_cycles_are_exact() -> None:
    text = (
        "R[i] = 0.5 avg(j: M[i, j] R[j]) + 1\nH[i, t+1] = tanh(M[i, j] H[j, t] + 1 + sum(j: M[j, t]))\n"
        "S[i, *t+1] = tanh(M[i, j] S[j, *t] + M[i, t])\nexport R, H, S"
    )
    rng = np.random.default_rng(8)
    M = rng.random(size=(9, 9))
    exact = Program(text).compile("numpy", config=ExecutionConfig(precision="float64"))(M=M)
    found = Program(text).compile("numpy", config=monte_carlo(2))(M=M)
    for name, value in exact.items():
        np.testing.assert_allclose(found[name], value)
    for name in ("R", "H", "S"):
        with pytest.raises(ConfigError, match="which is computed in a cycle"):
            Program(text).compile("numpy", config=monte_carlo({name: 2}))(M=M)


def test_an_index_beyond_what_a_sample_tells_apart() -> None:
    with pytest.raises(ConfigError, match="the index x has 2147483648 positions"):
        Program(f"axis x = {2**31}\nS = sum(x: sin(x))").compile("numpy", config=monte_carlo(3))
