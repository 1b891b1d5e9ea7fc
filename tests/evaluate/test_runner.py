"""Runners: answers, settings, explanations, threads."""

from __future__ import annotations

import copy
import json
import pickle
import threading

import numpy as np
import pytest

from fuse_ref import (
    AxisError,
    DeviceError,
    ExecutionConfig,
    InMemoryWeightStore,
    InputError,
    LimitError,
    NonFiniteError,
    Program,
    RouteError,
    Runner,
    RuntimePolicies,
    SyntaxFuseError,
    UnboundTensorError,
)

LAYER = "input X[b, j]\nY[b, i] = relu(W[i, j] X[b, j] + B[i])\nexport Y"


def stored(**weights: object) -> RuntimePolicies:
    return RuntimePolicies(weight_store=InMemoryWeightStore(weights))


# Answers ----------------------------------------------------------------------------------------


def test_queries_of_the_program() -> None:
    runner = Program("Y[i] = 2 X[i]; Z[i, j] = X[i] X[j]; Y?; Z[1, j]?; Z[k, k]?; Y[-1]?; Y[0:2]?").compile()
    for x in (np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0])):
        runner(X=x)
        whole, row, diagonal, last, part = runner.answers
        assert whole.text == "Y?"
        assert whole.rows == tuple((i, 2 * v) for i, v in enumerate(x))
        assert row.values.tolist() == (x[1] * x).tolist()
        assert row.variables == ("j",)
        assert row.rows == tuple((i, x[1] * v) for i, v in enumerate(x))
        assert diagonal.values.tolist() == (x * x).tolist()
        assert last.rows == ((2 * x[-1],),)
        assert part.values.tolist() == (2 * x[:2]).tolist()
        assert (len(whole), bool(whole), len(last)) == (len(x), True, 1)
    assert str(last) == "Y[-1]?\n  10.0"


def test_queries_asked_later() -> None:
    runner = Program("H[i] = exp(X[i]); Y = sum(i: H[i])").compile()
    runner(X=[0.0, 1.0])
    assert runner.query("H[0]?").rows == ((1.0,),)
    runner(X=[2.0])
    answer = runner.query("H[0]")
    assert answer.values.item() == pytest.approx(np.exp(2.0), rel=1e-6)
    assert runner.query("X[i]?").values.tolist() == [2]
    with pytest.raises(AxisError, match=r"5 in H\[5\]\? is not on axis i"):
        runner.query("H[5]?")
    with pytest.raises(UnboundTensorError, match="G is neither defined nor used"):
        runner.query("G?")
    for text in ("H[0]?; H[1]?", "G[i] = 2"):
        with pytest.raises(SyntaxFuseError):
            runner.query(text)
    with pytest.raises(RouteError, match=r"the query H\[i\+1\]\? cannot be answered yet"):
        runner.query("H[i+1]?")


def test_answers_without_a_call() -> None:
    assert Program("Y = [1, 2]; Y?").compile().answers[0].values.tolist() == [1, 2]
    assert Program("Y = [1, 2]").compile().query("Y[1]?").rows == ((2.0,),)
    assert Program("Y = [1, 2]").compile().answers == ()
    with pytest.raises(UnboundTensorError):
        _ = Program("Y[i] = X[i]; Y?").compile().answers


def test_parameters_are_the_same_in_a_later_query() -> None:
    runner = Program("axis i = 3; param W[i] ~ normal(); Y[i] = W[i] X[i]").compile()
    result = runner(X=np.ones(3))
    np.testing.assert_array_equal(runner.query("W?").values, result["Y"])


# Settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"time_limit": 10}, "time_limit=10.0 cannot be used yet"),
    ],
)
def test_settings_without_an_engine(settings: dict[str, object], words: str) -> None:
    runner = Program("Y[i] = W[i, j] X[j]").compile(config=ExecutionConfig(**settings))  # type: ignore[arg-type]
    with pytest.raises(RouteError) as caught:
        runner(W=np.ones((1, 1)), X=[1.0])
    assert words in str(caught.value)
    assert caught.value.code == "FUSE202"


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "demand"},
        {"mode": "single"},
        {"mode": "fixpoint"},
        {"route": "native"},
        {"route": "reference"},
        {"breaks": "opaque"},
        {"logic": "dense"},
        {"capacity": 10},
        {"projection_samples": 3},
        {"device": "cpu"},
        {"checked": True},
    ],
)
def test_settings_that_make_no_difference_to_dense_steps(settings: dict[str, object]) -> None:
    runner = Program("Y[i] = W[i, j] X[j]").compile(config=ExecutionConfig(**settings))  # type: ignore[arg-type]
    assert runner(W=np.ones((2, 1)), X=[3.0])["Y"].tolist() == [3, 3]


def test_devices() -> None:
    with pytest.raises(DeviceError, match="the numpy engine cannot run on device 'cuda:0': NumPy computes on the CPU"):
        Program("Y[i] = 2 X[i]").compile("numpy", device="cuda:0")(X=[1.0])
    assert Program("Y[i] = 2 X[i]").compile("numpy", device="cpu")(X=[1.0])["Y"].tolist() == [2]


def test_steps_that_cannot_run_are_named_before_inputs_are_asked_for() -> None:
    runner = Program("H[i, *t+1] = tanh(dropout(H[i, *t], 0.1) + U[i, t])").compile()
    assert "dropout of what a recurrence makes does not run yet" in str(runner.explain())
    with pytest.raises(RouteError, match=r"step 1 \(Recurrence of H\) cannot run on the numpy engine") as caught:
        runner()
    assert caught.value.code == "FUSE201"
    assert caught.value.span is not None


def test_policies_without_an_engine() -> None:
    from fuse_ref import LoRAPolicy

    runner = Program("Y[i] = 2 X[i]").compile(policies=RuntimePolicies(lora=LoRAPolicy({"head": "a"})))
    with pytest.raises(RouteError, match="cannot be used yet: weights are used whole and as they are so far"):
        runner(X=[1.0])


def test_checked() -> None:
    text = "A[i] = log(X[i])\nY[i] = relu(A[i])\nM[p] max= X[i] Keep[i, p]"
    checked = Program(text).compile(config=ExecutionConfig(checked=True))
    inputs = {"X": [1.0, 0.0, 2.0], "Keep": np.ones((3, 1))}
    with pytest.raises(NonFiniteError, match=r"A holds -inf at \[1\]") as caught:
        checked(inputs)
    assert caught.value.span is not None
    assert caught.value.span.line == 1
    with pytest.raises(NonFiniteError, match=r"X holds NaN at \[0\]"):
        checked({**inputs, "X": [np.nan, 1.0, 1.0]})
    assert checked({**inputs, "X": [1.0, 1.0, 1.0]})["Y"].tolist() == [0, 0, 0]
    assert Program(text).compile()(inputs)["Y"].tolist() == pytest.approx([0, 0, np.log(2)], rel=1e-6)


def test_checked_classes() -> None:
    text = "input T[e]: int64\nLoss[e] = cross_entropy(X[e, c], T[e], axis=c)"
    checked = Program(text).compile(config=ExecutionConfig(checked=True))
    assert checked(X=np.zeros((2, 4)), T=[0, 3])["Loss"].tolist() == pytest.approx([np.log(4)] * 2)
    with pytest.raises(AxisError, match="a class of T is 4, but axis c has the positions 0 to 3") as caught:
        checked(X=np.zeros((2, 4)), T=[0, 4])
    assert caught.value.code == "FUSE210"


# What there is to know --------------------------------------------------------------------------


def test_orders_are_planned_again_with_real_sizes() -> None:
    text = "Y[a, e] = A[a, b] B[b, c] C[c, d] D[d, e]"
    runner = Program(text).compile()
    random = np.random.default_rng(0)
    shapes = [(40, 2), (2, 50), (50, 3), (3, 60)]
    for _ in range(2):
        arrays = [random.normal(size=shape) for shape in shapes]
        result = runner(dict(zip("ABCD", arrays, strict=True)))
        np.testing.assert_allclose(result["Y"], np.linalg.multi_dot(arrays), rtol=1e-4, atol=1e-4)
    before, after = Program(text).plan(), runner.explain().plan
    assert before.steps[0].contractions[0].path != after.steps[0].contractions[0].path
    assert "planned again with the sizes of the first call: a = 40, b = 2, c = 50, d = 3, e = 60" in str(
        runner.explain()
    )
    hinted = Program(text).compile(hints={"a": 40, "b": 2, "c": 50, "d": 3, "e": 60})
    hinted(dict(zip("ABCD", arrays, strict=True)))
    assert hinted.explain().notes == ()
    assert hinted.explain().plan.steps[0].contractions[0].path == after.steps[0].contractions[0].path


def test_explanation() -> None:
    runner = Program("H[i] = relu(W[i, j] X[j])\nY = sum(i: H[i])").compile()
    before = runner.explain()
    assert before.backend == "auto"
    assert "the inputs of the first call decide" in str(before)
    assert (before.seconds, before.shapes, before.step_seconds) == (None, {}, ())
    runner(W=np.ones((3, 2)), X=[1.0, 2.0])
    after = runner.explain()
    assert after.backend == "numpy"
    assert dict(after.shapes) == {"W": (3, 2), "X": (2,)}
    assert after.seconds is not None
    assert 0 < sum(after.step_seconds) < after.seconds
    text = str(after)
    for words in ("engine: numpy", "Dense", "acyclic", "last call: W 3 × 2, X 2", "time: ", "step 1 (Dense): "):
        assert words in text
    document = json.loads(json.dumps(after.to_dict()))
    assert document["backend"] == "numpy"
    assert document["last_shapes"] == {"W": [3, 2], "X": [2]}
    assert [step["kind"] for step in document["steps"]] == ["Dense"]
    dot = after.to_dot()
    assert dot.startswith("digraph plan {")
    assert '[label="W  i × j"' in dot
    assert "<table>" in after._repr_html_()
    assert repr(runner) == "<Runner of Y on numpy>"


def test_state_of_programs_without_streams() -> None:
    runner = Program("Y[i] = 2 X[i]").compile()
    assert runner.state == {}
    runner.reset_state()
    runner.load_state({})
    with pytest.raises(InputError, match="the state names H, but the program has no stream of that name"):
        runner.load_state({"H": np.zeros(2)})


def test_facts_are_explained_and_numbers_are_not() -> None:
    runner = Program(
        "Parent(Ann, Bob)\nParent(Bob, Cid)\nOld(x) <- Parent(x, y), Parent(y, z)\nN[x] = Parent(x, y)"
    ).compile()
    assert str(runner.why("Old(Ann)")).splitlines() == [
        "Old(Ann)   by Old(x) <- Parent(x, y), Parent(y, z)",
        "├─ Parent(Ann, Bob)   fact",
        "└─ Parent(Bob, Cid)   fact",
    ]
    assert not runner.why("Old(Bob)")
    assert str(runner.why_not("Old(Zed)")) == "Old(Zed) does not hold\n└─ axis x has no symbol 'Zed'"
    for call in (runner.why, runner.why_not):
        with pytest.raises(InputError, match=r"N\(Ann\) cannot be explained: N holds numbers"):
            call("N(Ann)")


def test_counts_and_conditions_are_explained_by_what_they_are_made_of() -> None:
    text = (
        "Parent(Ann, Bob)\nParent(Ann, Cid)\nN[x] = Parent(x, y)\nMany(x) <- N[x] > 1\nClose(x, y) <- Sim[x, y] > 0.5"
    )
    runner = Program(f"{text}\nexport Many, Close").compile()
    runner(Sim=np.eye(3))
    assert str(runner.why("Many(Ann)")).splitlines() == [
        "Many(Ann)   by Many(x) <- N[x] > 1",
        "└─ N[Ann] > 1   2 > 1",
        "   └─ N[Ann] = 2   counts 2",
        "      ├─ Parent(Ann, Bob)",
        "      └─ Parent(Ann, Cid)",
    ]
    assert "Sim[1, 1] > 0.5" in str(runner.why("Close(1, 1)"))


def _derived(runner: Runner, relation: str) -> int:
    return sum(run.tuples for run in runner.explain().rules if run.rule.text.startswith(relation))


def test_what_each_rule_did_is_told() -> None:
    text = "Edge(0, 1); Edge(1, 2); Edge(2, 3)\nPath(x, y) <- Edge(x, y)\nPath(x, z) <- Path(x, y), Edge(y, z)"
    runner = Program(f"{text}\nPath(2, x)?").compile(config=ExecutionConfig(mode="demand"))
    assert runner() == {}  # without an export line only the answer is asked for
    assert [answer.rows for answer in runner.answers] == [((3,),)]
    assert _derived(runner, "Path") <= 3
    whole = Program(f"{text}\nexport Path").compile()
    assert len(whole()["Path"]) == 6
    assert "rule Path(x, z) <- Path(x, y), Edge(y, z): " in str(whole.explain())
    assert _derived(whole, "Path") == 6


def test_messages_go_to_logging(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level("INFO", logger="fuse"):
        Program("Y[i] = 2 X[i]").compile()(X=[1.0])
    assert any(record.name == "fuse.runner" and "prepared Y for numpy" in record.message for record in caplog.records)
    assert capsys.readouterr().out == ""


# Threads ----------------------------------------------------------------------------------------


def test_threads_share_a_runner() -> None:
    """Eight threads, their first call among them, with sizes and values of their own, and their own answers."""
    text = "axis i = 4\nparam W[i, j] ~ normal()\nH[b, i] = tanh(W[i, j] X[b, j])\nY[b] = sum(i: exp(H[b, i]))\nY?\nexport Y, W"
    runner = Program(text).compile()
    start = threading.Barrier(8)
    failures: list[str] = []
    weights: list[np.ndarray] = []

    def work(number: int) -> None:
        random = np.random.default_rng(number)
        start.wait()
        for repeat in range(30):
            x = random.normal(size=(1 + (number + repeat) % 5, 3))
            result = runner(X=x)
            expected = np.exp(np.tanh(x @ result["W"].T)).sum(axis=1)
            if not np.allclose(result["Y"], expected, rtol=1e-4):
                failures.append(f"thread {number}: {result['Y']} for {expected}")
            (answer,) = runner.answers
            if answer.values.tolist() != result["Y"].tolist():
                failures.append(f"thread {number} got another's answer")
            if runner.explain().shapes["X"] != x.shape:
                failures.append(f"thread {number} got another's explanation")
        weights.append(result["W"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(weights) == 8
    assert all((w == weights[0]).all() for w in weights)


def test_each_thread_sees_its_own_last_call() -> None:
    runner = Program("Y[i] = 2 X[i]; Y?").compile()
    called, other_called = threading.Event(), threading.Event()
    seen: list[object] = []

    def work() -> None:
        runner(X=[1.0])
        called.set()
        assert other_called.wait(10)
        seen.extend(
            (runner.answers[0].values.tolist(), runner.query("X?").values.tolist(), runner.explain().shapes["X"])
        )

    thread = threading.Thread(target=work)
    thread.start()
    assert called.wait(10)
    runner(X=[5.0, 6.0])
    other_called.set()
    thread.join()
    assert seen == [[2], [1], (1,)]
    assert runner.answers[0].values.tolist() == [10, 12]


@pytest.mark.parametrize("length", [3, 4, 9, 17])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_nothing_is_computed_in_place_in_steps(precision: str, length: int) -> None:
    """NumPy 2.4.6 gives wrong values for `np.negative(x, out=x)` where float32 lie 16 bytes apart."""
    config = ExecutionConfig(precision=precision)  # type: ignore[arg-type]
    runner = Program("Y[j] = -(M[j/2, j]) + 1").compile("numpy", config=config)
    for seed in (0, 1):
        matrix = np.random.default_rng(seed).uniform(-1, 1, (length, length)).astype(precision)
        expected = [1 - matrix[j // 2, j] for j in range(length)]
        np.testing.assert_allclose(runner(M=matrix)["Y"], expected, rtol=1e-5)


@pytest.mark.parametrize("backend", ["auto", "numpy", "torch", "jax"])
def test_programs_are_pickled_and_not_runners(backend: str) -> None:
    program = Program("Y[i] = 2 X[i]")
    runner = program.compile(backend)  # type: ignore[arg-type]
    for called in range(2):
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=r"Runner cannot be pickled or copied: .* Pickle its Program"):
                attempt(runner)
        assert runner(X=[float(called)])["Y"].tolist() == [2.0 * called]
    again = pickle.loads(pickle.dumps(program)).compile(backend)
    assert again(X=[3.0, 4.0])["Y"].tolist() == [6, 8]
    assert again(X=[5.0])["Y"].tolist() == [10]


def test_a_question_on_demand_runs_nothing_else() -> None:
    ring = "; ".join(f"Edge({k}, {(k + 1) % 60})" for k in range(60))
    text = f"{ring}\nPath(x, y) <- Edge(x, y)\nPath(x, z) <- Path(x, y), Edge(y, z)\nexport Path"
    runner = Program(text).compile(config=ExecutionConfig(mode="demand", memory_limit=10_000))
    assert len(runner.query("Path(0, x)?")) == 60  # all 3,600 pairs would not fit
    with pytest.raises(LimitError):
        runner()


def test_an_equation_that_only_names_axes_with_letters_of_its_own() -> None:
    program = Program("Y[u, v] = 0\nY[n, d] = 2 X[n, d]\nexport Y")
    for shape in ((2, 3), (1, 4), (0, 2)):
        np.testing.assert_array_equal(program.compile("numpy")(X=np.ones(shape))["Y"], np.full(shape, 2.0))
