"""Plans: steps, their routes and order, what is left out, what is refused."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

from fuse_ref.analysis.lengths import Extent, Fixed
from fuse_ref.errors import AxisError, ConfigError, SafetyError
from fuse_ref.plan.document import plan_document
from fuse_ref.plan.key import plan_key
from fuse_ref.plan.schedule import schedule
from fuse_ref.plan.steps import Step
from fuse_ref.plan.text import amount
from tests.plan.running import plan_of


def _steps(text: str, **keywords: object) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(step.kind, step.route, step.writes) for step in plan_of(text, **keywords).steps]


def test_neighbouring_dense_equations_share_a_step() -> None:
    (step,) = plan_of("H[b] = relu(X[b])\nY[b] = H[b] + X[b]").steps
    assert (step.kind, step.route, step.reads, step.writes) == ("Dense", "dense", ("X",), ("H", "Y"))
    assert step.equations == (0, 1)
    assert step.reason == "acyclic, numeric head"


def test_the_order_of_the_text_does_not_matter() -> None:
    assert _steps("Y[b] = H[b] + X[b]\nH[b] = relu(X[b])") == [("Dense", "dense", ("H", "Y"))]


def test_every_kind_of_step() -> None:
    text = (
        'W[i, j] = "w.npy"\n'
        "P(A, B)\n"
        "G(x, z) <- P(x, y), P(y, z)\n"
        "R(x, z) <- P(x, z)\n"
        "R(x, z) <- R(x, y), P(y, z)\n"
        "Y[i] = W[i, j] X[j]\n"
        "Z[t+1] = 0.5 Z[t] + U[t]\n"
        "S[*t+1] = 0.5 S[*t] + U[t]\n"
        "Q[i] = 0.85 W[i, j] Q[j] + 1\n"
        "R(A, x)?\n"
        "G(A, x)?\n"
        "Y?\n"
        '"out.npy" = Y[i]\n'
        "export Y, Z, S, Q"
    )
    # What is made before and after the steps of a recurrence stands in dense steps around it.
    shown = [(kind, route, tuple(name for name in names if "~" not in name)) for kind, route, names in _steps(text)]
    found = [item for item in shown if item != ("Dense", "dense", ())]
    assert found[0] == ("Load", "host", ("W",))
    assert sorted(found[1:]) == sorted(
        [
            ("Relation", "logical", ("P",)),
            ("Relation", "logical", ("G",)),
            ("Fixpoint", "logical", ("R",)),
            ("Dense", "dense", ("Y",)),
            ("Recurrence", "dense", ("Z",)),
            ("Recurrence", "streaming", ("S",)),
            ("Fixpoint", "numeric", ("Q",)),
            ("Answer", "host", ()),
            ("Answer", "host", ()),
            ("Answer", "host", ()),
            ("Store", "host", ()),
        ]
    )
    kinds = [kind for kind, _, _ in found]
    assert kinds[-4:] == ["Answer", "Answer", "Answer", "Store"]


def test_what_has_no_engine_says_why() -> None:
    text = "P(A)\nG(x) <- P(x)\nZ[*t+1] = dropout(Z[*t], 0.5) + U[t]\nQ[i] = W[i, j] Q[j] + 1\nG(x)?\nexport Z, Q"
    reasons = {step.kind: step.unsupported for step in plan_of(text).steps if step.unsupported}
    assert reasons == {"Recurrence": "dropout of what a recurrence makes does not run yet"}


def test_numeric_queries_run() -> None:
    answer = plan_of("Y[i] = 2 X[i]\nY?\nexport Y").steps[-1]
    assert (answer.kind, answer.reads, answer.reason, answer.unsupported) == ("Answer", ("Y",), "Y?", "")


def test_routes_change_as_seldom_as_possible() -> None:
    text = (
        "A[i] = X[i]\nP(x) <- E(x, y)\nB[i] = A[i]\nQ(x) <- P(x), E(x, y)\nC[i] = B[i] Z[i]\n"
        "D[x] = Q(x) W[x]\nexport C, D"
    )
    assert [step.route for step in plan_of(text).steps] == ["logical", "logical", "dense"]


def test_a_schedule_keeps_reads_behind_writes() -> None:
    def step(kind: str, route: str, reads: str, writes: str) -> Step:
        return Step(kind, (), tuple(reads), tuple(writes), route, "")  # type: ignore[arg-type]

    steps = [
        step("Store", "host", "d", ""),
        step("Dense", "dense", "b", "d"),
        step("Relation", "logical", "c", "b"),
        step("Dense", "dense", "a", "c"),
        step("Relation", "logical", "x", "y"),
        step("Dense", "dense", "y", "z"),
    ]
    order = schedule(steps)
    seen: set[str] = set()
    for item in order:
        assert all(name in seen or name in "ax" for name in item.reads)
        seen.update(item.writes)
    changes = sum(a.route != b.route for a, b in itertools.pairwise(order))
    assert changes == 3


def test_a_step_that_cannot_run_stands_alone() -> None:
    text = "A[p] = X[p]\nG[*p+1] = dropout(G[*p], 0.5) + A[p]\nY[p] = 2 A[p]\nexport G, Y"
    found = [(step.writes, bool(step.unsupported)) for step in plan_of(text).steps]
    assert sorted(found) == sorted([(("A", "Y"), False), (("G",), True)])


def test_what_nothing_observes_is_left_out_but_checked() -> None:
    plan = plan_of("Y[i] = X[i]\nDead[i] = X[i] + U[i]\nexport Y")
    assert [step.writes for step in plan.steps] == [("Y",)]
    assert "not computed, since nothing observes them: Dead" in str(plan)
    assert [check.tensor for check in plan.size_checks] == ["U"]
    with pytest.raises(SafetyError):
        plan_of("Y[i] = X[i]\nDead(x, y) <- P(x)\nexport Y")


def test_constants_are_no_tensors_of_a_plan() -> None:
    plan = plan_of("L = 4\nY[i] = L X[i]")
    assert [step.writes for step in plan.steps] == [("Y",)]
    assert "not computed" not in str(plan)


def test_names_that_a_call_gives() -> None:
    text = 'input X[b, d]\nparam W[o, d]\naxis o = 3\nS[d] = "s.npy"\nY[b, o] = W[o, d] X[b, d] S[d] + B[o] + C[o]'
    plan = plan_of(text, given={"C": (3,)})
    assert plan.givens == ("X", "B")
    assert plan.parameters == ("W",)
    assert plan.sources == ("S",)
    assert plan.weights == ("C",)
    assert plan.shape("Y") == (Extent("X", 0), Fixed(3))


def test_modes() -> None:
    text = "R[i] = 0.5 M[i, j] R[j] + 1"
    with pytest.raises(ConfigError, match="and R need each other"):
        plan_of(text, mode="single")
    assert _steps(text, mode="fixpoint")[-1] == ("Fixpoint", "numeric", ("R",))
    recurrence = "Z[t+1] = 0.5 Z[t] + U[t]"
    assert _steps(recurrence, mode="single") == [("Recurrence", "dense", ("Z",))]
    assert _steps(recurrence, mode="fixpoint")[-1] == ("Fixpoint", "numeric", ("Z",))


def test_hints_name_axes() -> None:
    with pytest.raises(AxisError, match="no index 'dim' is read alone in the program, so hints="):
        plan_of("Y = X[din] X[din]", hints={"dim": 3})
    assert plan_of("Y = X[d] X[d]", hints={"d": 3}).hints == (("d", 3),)


def test_all_errors_come_at_once() -> None:
    with pytest.raises(AxisError) as caught:
        plan_of("W = [1, 2]\nY = W[5]\nZ = W[7]")
    assert len(caught.value.others) == 1


# Sinks --------------------------------------------------------------------------------------------


def test_a_sink_of_a_tensor_writes_it_as_it_is() -> None:
    store = plan_of('Y[i, j] = X[i, j]\n"y.npy" = Y[i, j]').steps[-1]
    assert (store.kind, store.reads, store.writes, store.operations) == ("Store", ("Y",), (), ())


def test_a_sink_of_an_expression_computes_it() -> None:
    store = plan_of('Y[i, j] = X[i, j]\n"y.npy" = 2 Y[i, j] + B[j]').steps[-1]
    assert (store.kind, store.reads, store.writes) == ("Store", ("Y", "B"), ("sink~0",))
    assert store.operations[-1].output.out == "sink~0"
    assert store.operations[-1].output.labels == ("i", "j")
    sliced = plan_of('"y.npy" = Y[i, 0]').steps[-1]
    assert sliced.writes == ("sink~0",)


# What is printed and kept -------------------------------------------------------------------------


def test_the_table() -> None:
    text = "Y[q, k.] = softmax(Q[q, d] K[k, d])\nR[i] = M[i, j] R[j]\nexport Y, R"
    lines = str(plan_of(text, hints={"q": 512, "k": 512, "d": 64})).splitlines()
    assert lines[0].split() == ["#", "step", "route", "computes", "reads", "FLOPs", "largest", "because"]
    assert lines[1].split()[:6] == ["1", "Dense", "dense", "Y", "Q,", "K"]
    assert "34.9M" in lines[1]
    assert "262k" in lines[1]
    assert "  1: Y = qd,kd->qk, pairs (0,1), 33.6M FLOPs" in lines
    assert "  2: R = ij,j->i, pairs (0,1), 32.8k FLOPs" in lines
    assert "open sizes taken to be q = 512, k = 512, d = 64, i = 128" in lines
    starts = [line.index(word) for line, word in zip(lines[:3], ("route", "dense", "numeric"), strict=True)]
    assert len(set(starts)) == 1


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (1000, "1k"), (1234567, "1.23M"), (10**10, "10G")]
)
def test_amounts(number: int, text: str) -> None:
    assert amount(number) == text


def test_the_document() -> None:
    document = plan_document(plan_of("axis d = 4\nY[b] = X[b, d] W[d]", sizes={"b": 2}))
    assert document["sizes"] == {"b": 2}
    assert document["shapes"] == {"Y": ["2"], "X": ["2", "4"], "W": ["4"]}
    (step,) = document["steps"]  # type: ignore[misc]
    assert step["line"] == 2
    assert step["contractions"] == [
        {
            "tensor": "Y",
            "expression": "bd,d->b",
            "path": [[0, 1]],
            "flops": 16,
            "largest": 2,
            "assumed": [],
        }
    ]


_TEXT = "Y[a, d] = A[a, b] B[b, c] C[c, d]"


def test_keys_follow_the_meaning_not_the_layout() -> None:
    key = plan_key(plan_of(_TEXT))
    assert key == plan_key(plan_of(f"# a comment\n\n{_TEXT.replace(' ', '  ')}"))
    assert key != plan_key(plan_of(_TEXT.replace("A[a, b]", "A[b, a]")))
    assert key != plan_key(plan_of(_TEXT, sizes={"a": 3}))
    assert key != plan_key(plan_of(_TEXT, hints={"a": 1000, "d": 1}))


def test_keys_are_the_same_in_every_process() -> None:
    code = (
        "from tests.plan.running import plan_of\nfrom fuse_ref.plan.key import plan_key\n"
        f"print(plan_key(plan_of({_TEXT!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == plan_key(plan_of(_TEXT))
