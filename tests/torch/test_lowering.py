"""Single operations as torch calls: every row of the tables, the forms of products, empty axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from fuse_ref import ExecutionConfig, Program
from fuse_ref.analysis.lengths import Extent
from fuse_ref.ir.operations import ALONG as ALONG_ROWS
from fuse_ref.ir.operations import CATALOGUE, OPERATORS
from fuse_ref.plan.steps import Contract, Map, Operand, Reduce
from fuse_torch import FuseModule
from fuse_torch.lowering import lower
from fuse_torch.lowering.along import ALONG
from fuse_torch.lowering.lower import graph_module
from fuse_torch.lowering.operations import ELEMENTWISE
from tests.torch.plans import output, plan_of


def test_the_tables_have_exactly_the_rows_of_the_catalogue() -> None:
    elementwise = {name for name, row in CATALOGUE.items() if row.kind == "elementwise"}
    assert set(ELEMENTWISE) == elementwise | set(OPERATORS)
    assert set(ALONG) == set(ALONG_ROWS)


# Elementwise functions, each against Python's math on single numbers ---------------------------


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def gelu(x: float) -> float:
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


def gelu_tanh(x: float) -> float:
    return x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "step(X[i])": lambda x: float(x > 0),
    "relu(X[i])": lambda x: max(x, 0.0),
    "leaky_relu(X[i])": lambda x: x if x > 0 else 0.01 * x,
    "leaky_relu(X[i], 0.3)": lambda x: x if x > 0 else 0.3 * x,
    "leaky_relu(X[i], S)": lambda x: x if x > 0 else 0.5 * x,
    "sig(X[i])": sigmoid,
    "sig(X[i], T=0)": lambda x: float(x > 0),
    "sig(X[i], T=2)": lambda x: sigmoid(x / 2),
    "sig(X[i], T=S)": lambda x: sigmoid(x / 0.5),
    "sig(X[i], T=S-0.5)": lambda x: float(x > 0),
    "tanh(X[i])": math.tanh,
    "gelu(X[i])": gelu,
    'gelu(X[i], approximate="tanh")': gelu_tanh,
    "silu(X[i])": lambda x: x * sigmoid(x),
    "exp(X[i])": math.exp,
    "log(X[i]**2 + 1)": lambda x: math.log(x * x + 1),
    "sqrt(X[i]**2)": abs,
    "abs(X[i])": abs,
    "sign(X[i])": lambda x: float((x > 0) - (x < 0)),
    "sin(X[i])": math.sin,
    "cos(X[i])": math.cos,
    "floor(X[i])": lambda x: float(math.floor(x)),
    "clip(X[i], 0-1, 1)": lambda x: min(max(x, -1.0), 1.0),
    "clip(X[i], 0-S, S)": lambda x: min(max(x, -0.5), 0.5),
    "clip(X[i], 0-S, 1)": lambda x: min(max(x, -0.5), 1.0),
    "max(X[i], 1)": lambda x: max(x, 1.0),
    "min(1, X[i])": lambda x: min(x, 1.0),
    "max(X[i], S)": lambda x: max(x, 0.5),
    "even(i) + 0 X[i]": lambda x: math.nan,
    "cast(X[i], int64)": lambda x: float(math.trunc(x)),
    "cast(X[i], bool)": lambda x: float(x != 0),
    "cast(X[i], float64)": lambda x: x,
    "3 / (X[i] + 10)": lambda x: 3 / (x + 10),
    "2 - X[i]": lambda x: 2 - x,
    "-X[i]": lambda x: -x,
    "X[i]**3": lambda x: x**3,
    "2**X[i]": lambda x: 2**x,
    "(-2)**floor(X[i])": lambda x: (-2.0) ** math.floor(x),
    "(X[i] > 0)": lambda x: float(x > 0),
    "(0 <= X[i])": lambda x: float(x >= 0),
    "(X[i] == 0)": lambda x: float(x == 0),
    "(X[i] != 0 and X[i] < 1)": lambda x: float(x != 0 and x < 1),
    "(X[i] < 0 or not (X[i] < 1))": lambda x: float(x < 0 or x >= 1),
    "case { X[i] > 1 -> 5; X[i] > 0 -> X[i] }": lambda x: 5.0 if x > 1 else x if x > 0 else 0.0,
    "case { X[i] > 1 -> 5; default -> 3 }": lambda x: 5.0 if x > 1 else 3.0,
}
POINTS = [-30.0, -2.5, -1.0, -0.25, 0.0, 0.25, 0.5, 1.0, 1.75, 3.0]


@pytest.mark.parametrize("expression", FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_functions_of_one_number(expression: str, dtype: torch.dtype) -> None:
    module = FuseModule(f"input X[i]\ninput S\nY[i] = {expression}").to(dtype)
    s = torch.tensor(0.5, dtype=dtype)
    for points in (POINTS, POINTS[:3]):
        x = torch.tensor(points, dtype=dtype)
        y = module(x, s)
        expected = [FUNCTIONS[expression](point) for point in points]
        if expression.startswith("even"):
            expected = [float(k % 2 == 0) for k in range(len(points))]
        assert y.dtype == dtype
        assert_close(y, torch.tensor(expected, dtype=dtype))


def test_odd_and_even_of_numbers_that_are_not_whole() -> None:
    module = FuseModule("input X[i]\nE[i] = even(X[i])\nO[i] = odd(X[i])\nexport E, O")
    result = module(torch.tensor([-2.0, -1.0, 0.0, 0.5, 1.0, 2.5]))
    assert result["E"].tolist() == [1.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    assert result["O"].tolist() == [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]


def test_rounding_to_narrow_types() -> None:
    x = torch.tensor([1 / 3, 1000.1])
    module = FuseModule("input X[i]\nA[i] = cast(X[i], bfloat16)\nB[i] = cast(X[i], float16)\nexport A, B")
    result = module(x)
    assert torch.equal(result["A"], x.bfloat16().float())
    assert torch.equal(result["B"], x.half().float())
    assert not torch.equal(result["A"], x)


# Functions along an axis -----------------------------------------------------------------------


def rows(x: torch.Tensor, function: Callable[[list[float]], list[float]]) -> torch.Tensor:
    return torch.tensor([function(row) for row in x.tolist()], dtype=x.dtype)


def softmax(row: list[float]) -> list[float]:
    top = max(row)
    total = sum(math.exp(value - top) for value in row)
    return [math.exp(value - top) / total for value in row]


def lnorm(eps: float) -> Callable[[list[float]], list[float]]:
    def normalised(row: list[float]) -> list[float]:
        mean = sum(row) / len(row)
        variance = sum((value - mean) ** 2 for value in row) / len(row)
        return [(value - mean) / math.sqrt(variance + eps) for value in row]

    return normalised


ALONG_AXIS = {
    "softmax({})": softmax,
    "log_softmax({})": lambda row: [math.log(value) for value in softmax(row)],
    "lnorm({})": lnorm(1e-5),
    "lnorm({}, eps=0.5)": lnorm(0.5),
    "lnorm({}, eps=S)": lnorm(0.25),
}


@pytest.mark.parametrize("written", ALONG_AXIS)
def test_functions_along_the_last_and_another_axis(written: str) -> None:
    last = FuseModule(f"input X[i, j]\ninput S\nY[i, j.] = {written.format('X[i, j]')}").double()
    other = FuseModule(f"input X[j, i]\ninput S\nY[i, j.] = {written.format('X[j, i]')}").double()
    s = torch.tensor(0.25, dtype=torch.float64)
    for shape in ((2, 3), (4, 1), (0, 3), (3, 5)):
        x = torch.randn(shape, dtype=torch.float64)
        expected = rows(x, ALONG_AXIS[written]).reshape(shape)
        assert_close(last(x, s), expected)
        assert_close(other(x.T, s), expected)


@pytest.mark.parametrize("layout", ["Z[b, p, c]", "Z[c, p, b]", "Z[b, c]", "Z[c]"])
@pytest.mark.parametrize("target", ["T[b, p]", "T[p]", "T[b]"])
def test_cross_entropy_of_classes(layout: str, target: str) -> None:
    sizes = {"b": 2, "p": 3, "c": 4}
    letters = [item.strip(" []") for item in layout[1:].split(",")]
    target_letters = [item.strip(" []") for item in target[1:].split(",")]
    kept = [letter for letter in "bp" if letter in letters or letter in target_letters]
    module = FuseModule(
        f"input {layout}\ninput {target}: int64\nL[{', '.join(kept)}] = cross_entropy({layout}, {target}, axis=c)"
    ).double()
    z = torch.randn([sizes[letter] for letter in letters], dtype=torch.float64)
    t = torch.randint(0, 4, [sizes[letter] for letter in target_letters])
    loss = module(z, t)
    for place in itertools.product(*(range(sizes[letter]) for letter in kept)):
        at = dict(zip(kept, place, strict=True))
        row = z[tuple(slice(None) if letter == "c" else at[letter] for letter in letters)]
        picked = int(t[tuple(at[letter] for letter in target_letters)])
        assert math.isclose(float(loss[place]), -math.log(softmax(row.tolist())[picked]), rel_tol=1e-9)


def test_cross_entropy_of_probabilities_and_its_mean() -> None:
    module = FuseModule("input Z[b, c]\ninput P[b, c]\nL = cross_entropy(Z[b, c], P[b, c], axis=c)")
    for batch in (3, 1):
        z, p = torch.randn(batch, 4), torch.softmax(torch.randn(batch, 4), 1)
        assert_close(module(z, p), torch.nn.functional.cross_entropy(z, p))
    assert module(torch.ones(0, 4), torch.ones(0, 4)).item() == 0.0


def test_classes_outside_are_no_silent_wrap() -> None:
    module = FuseModule("input Z[b, c]\ninput T[b]: int64\nL[b] = cross_entropy(Z[b, c], T[b], axis=c)")
    for wrong in (-1, -100, 3):
        with pytest.raises((RuntimeError, IndexError)):
            module(torch.randn(2, 3), torch.tensor([0, wrong]))


# Products --------------------------------------------------------------------------------------

# left, right, output, and the call that does it without copies
PRODUCTS = {
    ("bd", "od", "bo"): "linear",
    ("od", "bd", "bo"): "linear",
    ("bpd", "od", "bpo"): "linear",
    ("bd", "do", "bo"): "matmul",
    ("bd", "do", "ob"): "matmul",
    ("db", "od", "bo"): "matmul",
    ("bpd", "do", "bpo"): "matmul",
    ("ij", "j", "i"): "matmul",
    ("j", "ij", "i"): "matmul",
    ("j", "ji", "i"): "matmul",
    ("j", "j", ""): "matmul",
    ("bhpk", "bhqk", "bhpq"): "matmul",
    ("bhpq", "bhqv", "bhpv"): "matmul",
    ("bqk", "bpk", "bpq"): "matmul",
    ("phk", "qhk", "hpq"): "matmul",
    ("hpq", "qhv", "phv"): "matmul",
    ("bij", "bj", "bi"): "matmul",
    ("bij", "jb", "ib"): "matmul",
    ("ijb", "jb", "ib"): "sum",
    ("bj", "jib", "bi"): "sum",
    ("jb", "jbi", "bi"): "matmul",
    ("bj", "bj", "b"): "linalg_vecdot",
    ("jb", "bj", "b"): "linalg_vecdot",
    ("ijk", "jk", "i"): "einsum",
    ("bxyfgc", "fgco", "bxyo"): "einsum",
    ("i", "j", "ij"): "mul",
    ("ij", "j", "ij"): "mul",
    ("ij", "ij", "ji"): "mul",
    ("i", "j", "ji"): "mul",
    ("ik", "j", "ij"): "mul",
    ("", "ij", "ij"): "mul",
    ("ij", "jk", ""): "matmul",
    ("ijm", "jk", "ik"): "matmul",
    ("ijk", "ir", "rjk"): "matmul",
    ("kr", "ijk", "rij"): "matmul",
}


@pytest.mark.parametrize("form", PRODUCTS, ids=lambda form: f"{form[0]},{form[1]}->{form[2]}")
def test_products(form: tuple[str, str, str]) -> None:
    left, right, out = form
    extents = {label: Extent("A", left.index(label)) for label in left}
    extents = {label: Extent("B", right.index(label)) for label in right} | extents
    made = Contract(
        output("Y", out, *(extents[label] for label in out)), Operand("A", tuple(left)), Operand("B", tuple(right))
    )
    lowered = lower(plan_of([made], {"A": (len(left), "float"), "B": (len(right), "float")}, "Y"), ("Y",))
    names = [getattr(node.target, "__name__", str(node.target)) for node in lowered.graph.nodes]
    assert PRODUCTS[form] in names
    run = graph_module(lowered, {})
    letters = dict.fromkeys(left + right)
    for sizes in ((2, 3, 4, 5, 2, 3, 2), (3, 1, 2, 4, 3, 2, 1), (0, 2, 0, 3, 2, 2, 2)):
        size = dict(zip(letters, sizes, strict=False))
        a, b = (torch.randn([size[label] for label in labels], dtype=torch.float64) for labels in (left, right))
        expected = torch.zeros([size[label] for label in out], dtype=torch.float64)
        for place in itertools.product(*(range(size[label]) for label in letters)):
            at = dict(zip(letters, place, strict=True))
            pick = [tuple(at[label] for label in labels) for labels in (left, right, out)]
            expected[pick[2]] += a[pick[0]] * b[pick[1]]
        assert_close(run(a, b), expected)


def test_whole_numbers_stay_whole_and_truth_values_count() -> None:
    module = FuseModule("input A[i, j]: int64\ninput B[j]: int64\nY[i] = A[i, j] B[j]")
    a, b = torch.tensor([[2**40, 1], [3, 4]]), torch.tensor([2**20, 5])
    assert module(a, b).tolist() == [2**60 + 5, 3 * 2**20 + 20]
    counts = FuseModule("input E(x, y)\nN[x] = E(x, y)")
    assert counts(torch.tensor([[True, True], [False, True]])).tolist() == [2.0, 1.0]


def calls(program: str) -> list[str]:
    graph = FuseModule(program)._blueprint.code().lowered.graph
    return [getattr(node.target, "__name__", str(node.target)) for node in graph.nodes if node.op.startswith("call")]


def test_a_bias_joins_its_product() -> None:
    head = "axis d = 4, o = 3\ninput X[b, d]\nparam W[o, d]\nparam B[o]\n"
    assert calls(head + "Y[b, o] = W[o, d] X[b, d] + B[o]") == ["linear"]
    assert calls(head + "Y[b, o] = B[o] + W[o, d] X[b, d]") == ["linear"]
    # The product is needed by itself, or what is added is no vector along its last dimension.
    assert calls(head + "P[b, o] = W[o, d] X[b, d]\nY[b, o] = P[b, o] + B[o]\nexport P, Y") == ["linear", "add"]
    assert "add" in calls(head + "Y[b, o] = W[o, d] X[b, d] + X[b, 0]")


def test_never_more_than_two_operands_in_an_einsum() -> None:
    program = "Y[a, e] = A[a, b, x] B[b, c, x] C[c, d, x] D[d, e, x]"
    graph = FuseModule(program)._blueprint.code().lowered.graph
    for node in graph.nodes:
        if node.op == "call_function" and node.target is torch.einsum:
            assert len(node.args) == 3


# Projections over nothing ----------------------------------------------------------------------

NEUTRAL = {"sum": 0.0, "prod": 1.0, "max": -math.inf, "min": math.inf, "avg": 0.0}


@pytest.mark.parametrize("operator", NEUTRAL)
def test_projections_over_empty_axes(operator: str) -> None:
    made = Reduce(output("Y", "i", Extent("X", 0)), operator, Operand("X", ("i", "j", "k")))  # type: ignore[arg-type]
    run = graph_module(lower(plan_of([made], {"X": (3, "float")}, "Y"), ("Y",)), {})
    assert run(torch.ones(2, 0, 3)).tolist() == [NEUTRAL[operator]] * 2
    assert run(torch.ones(2, 3, 0)).tolist() == [NEUTRAL[operator]] * 2
    assert run(torch.ones(0, 3, 2)).tolist() == []
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    flat = x.reshape(2, 12)
    expected = {
        "sum": flat.sum(1),
        "prod": flat.prod(1),
        "max": flat.max(1).values,
        "min": flat.min(1).values,
        "avg": flat.mean(1),
    }
    assert_close(run(x), expected[operator])


def test_any_over_an_empty_axis_is_false() -> None:
    made = Reduce(output("Y", "i", Extent("X", 0), dtype="bool"), "any", Operand("X", ("i", "j")))
    run = graph_module(lower(plan_of([made], {"X": (2, "bool")}, "Y"), ("Y",)), {})
    assert run(torch.ones(2, 0, dtype=torch.bool)).tolist() == [False, False]
    assert run(torch.tensor([[False, True], [False, False]])).tolist() == [True, False]


def test_a_map_of_numbers_alone_has_the_precision_of_the_run() -> None:
    made = [
        Map(output("A", ""), "divide", (1, 3)),
        Map(output("Y", "i", Extent("X", 0)), "add", (Operand("X", ("i",)), Operand("A", ()))),
    ]
    run = graph_module(lower(plan_of(made, {"X": (1, "float")}, "Y"), ("Y",)), {})
    assert_close(
        run(torch.zeros(1, dtype=torch.float64)), torch.tensor([1 / 3], dtype=torch.float64), rtol=0, atol=1e-16
    )


def test_signs_keep_nan_and_alternate() -> None:
    module = FuseModule("input X[i]\nS[i] = sign(X[i])\nA[i] = (-1)**i X[i]\nexport S, A")
    for x in ([math.nan, -3.0, 0.0, 2.0], [5.0, math.nan]):
        result = module(torch.tensor(x))
        expected = [v if math.isnan(v) else float((v > 0) - (v < 0)) for v in x]
        torch.testing.assert_close(result["S"], torch.tensor(expected), equal_nan=True)
        turned = torch.tensor([v * (-1) ** i for i, v in enumerate(x)])
        torch.testing.assert_close(result["A"], turned, equal_nan=True)


@pytest.mark.parametrize(
    "scores", ["Q[k, d] K[j, d] + j", "where(j <= 1, Q[k, d] K[j, d], -1/0)", "Q[k, d] K[j, d] + j K[j, 0]"]
)
def test_attention_with_biases_and_without_positions(scores: str) -> None:
    text = f"P[k, j.] = softmax({scores}, axis=j)\nY[k, e] = P[k, j] V[j, e]\nexport Y"
    rng = np.random.default_rng(0)
    for rows, columns in ((3, 4), (1, 1), (2, 0)):
        given = {
            "Q": rng.normal(size=(rows, 5)),
            "K": rng.normal(size=(columns, 5)),
            "V": rng.normal(size=(columns, 2)),
        }
        module = FuseModule(text, config=ExecutionConfig(precision="float64"))
        assert any(step.operations and "Attention" in str(step.operations) for step in module.plan.steps)
        found = module({name: torch.from_numpy(value) for name, value in given.items()})
        expected = Program(text).compile("numpy", config=ExecutionConfig(precision="float64"))(given)["Y"]
        np.testing.assert_allclose(found.numpy(), expected, 1e-12, 1e-12)
