"""Every function of the catalogue on NumPy, against the math module, in float32 and float64."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest

from fuse_ref import ExecutionConfig, Program
from fuse_ref.evaluate.operations import ALONG, ELEMENTWISE
from fuse_ref.ir.operations import ALONG as ALONG_ROWS
from fuse_ref.ir.operations import CATALOGUE, OPERATORS
from fuse_ref.plan.steps import Along, Map, Operand
from tests.evaluate.by_loops import FUNCTIONS, run_by_loops
from tests.evaluate.plans import lengths_of, out, prepare, run

TOLERANCE = {"float32": 2e-6, "float64": 4e-15}
ARGUMENTS = {"slope": [0.1, 1.5, -0.2], "T": [1.0, 0.5, 0.0], "lo": [-0.5], "hi": [0.75], "eps": [1e-5, 0.1]}
PRECISIONS = ["float32", "float64"]
BOOLEAN = ["less", "less_equal", "greater", "greater_equal", "equal", "not_equal"]
ARITHMETIC = ["add", "subtract", "multiply", "divide", "max", "min", *BOOLEAN]


def test_tables_have_every_row_and_no_other() -> None:
    elementwise = {name for name, row in CATALOGUE.items() if row.kind == "elementwise"}
    assert set(ELEMENTWISE) == elementwise | set(OPERATORS)
    assert set(ALONG) == set(ALONG_ROWS)


def test_loops_know_no_function_that_is_gone() -> None:
    """New rows are held against the oracle by tests/agreement; here they may be added, and need not."""
    assert set(FUNCTIONS) <= set(ELEMENTWISE)


def drawn(shape: tuple[int, ...], precision: str, domain: tuple[float, float] = (-2, 2), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(*domain, shape).astype(precision)


def check(operation, values: dict[str, np.ndarray], precision: str) -> None:
    result = run(operation, values, precision)
    expected = run_by_loops(operation, values, lengths_of(values))
    np.testing.assert_allclose(result, expected, rtol=TOLERANCE[precision], atol=TOLERANCE[precision])
    assert result.dtype == (expected.dtype if operation.output.dtype == "bool" else np.dtype(precision))


def one_argument() -> list[tuple[str, tuple[float, ...], tuple[tuple[str, str], ...]]]:
    cases = []
    for name, row in CATALOGUE.items():
        if row.kind == "elementwise" and name in FUNCTIONS and name not in ("max", "min", "where"):
            choices = [ARGUMENTS[argument.name] for argument in row.arguments[1:]]
            words = [[(option.name, word) for word in option.allowed] for option in row.options]
            for numbers in itertools.product(*choices):
                cases += [(name, numbers, options) for options in itertools.product(*words)]
    return cases


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("name", "numbers", "options"), one_argument())
def test_elementwise(name: str, numbers: tuple[float, ...], options, precision: str) -> None:
    domain = CATALOGUE[name].domain
    for seed in range(2):
        values = {"X": drawn((3, 5), precision, domain, seed)}
        if name in ("even", "odd"):
            values["X"] = np.floor(values["X"])
        operation = Map(out("Y", "ij", (3, 5)), name, (Operand("X", ("i", "j")), *numbers), options)
        check(operation, values, precision)
        # The same with a transposed result and one element.
        check(Map(out("Y", "ji", (5, 3)), name, operation.operands, options), values, precision)
        scalar = {"X": values["X"][0, 0].reshape(())}
        check(Map(out("Y", "", ()), name, (Operand("X", ()), *numbers), options), scalar, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["leaky_relu", "sig", "clip"])
def test_arguments_that_are_arrays(name: str, precision: str) -> None:
    extra = {"leaky_relu": [(-1, 2)], "sig": [(0, 2)], "clip": [(-1, 0), (0, 1)]}[name]
    values = {"X": drawn((3, 4), precision)}
    operands = [Operand("X", ("i", "j"))]
    for number, domain in enumerate(extra):
        values[f"P{number}"] = np.floor(drawn((3,), precision, domain, number) * 2) / 2
        operands.append(Operand(f"P{number}", ("i",)))
    check(Map(out("Y", "ij", (3, 4)), name, tuple(operands)), values, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", [*ARITHMETIC, "power"])
@pytest.mark.parametrize("labels", [("ij", "ij"), ("ij", "ji"), ("i", "ij"), ("j", "i"), ("", "ij"), ("jk", "ik")])
def test_two_operands(name: str, labels: tuple[str, str], precision: str) -> None:
    sizes = {"i": 3, "j": 4, "k": 2}
    union = sorted({*labels[0], *labels[1]})
    dtype = "bool" if name in BOOLEAN else "float"
    domain = (0.1, 2.0) if name in ("divide", "power") else (-2, 2)
    operation = Map(
        out("Y", union, [sizes[k] for k in union], dtype),  # type: ignore[arg-type]
        name,
        (Operand("A", tuple(labels[0])), Operand("B", tuple(labels[1]))),
    )
    for seed in range(2):
        a = drawn(tuple(sizes[k] for k in labels[0]), precision, domain, seed)
        b = drawn(tuple(sizes[k] for k in labels[1]), precision, domain, seed + 5)
        check(operation, {"A": a, "B": b}, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", [*ARITHMETIC, "power"])
def test_a_number_beside_an_array(name: str, precision: str) -> None:
    dtype = "bool" if name in BOOLEAN else "float"
    values = {"A": drawn((4,), precision, (0.5, 2))}
    for number in (2, 3, 0.5, -1, 1.0, -2.5):
        check(Map(out("Y", "i", (4,), dtype), name, (Operand("A", ("i",)), number)), values, precision)  # type: ignore[arg-type]
        if number > 0:
            check(Map(out("Y", "i", (4,), dtype), name, (number, Operand("A", ("i",)))), values, precision)  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_numbers_alone_have_the_precision_of_the_run(precision: str) -> None:
    check(Map(out("Y", "", ()), "add", (2, 0.5)), {}, precision)
    values = {"C": np.array([True, False])}
    check(Map(out("Y", "i", (2,)), "where", (Operand("C", ("i",)), 1, 0.1)), values, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_where_logic_and_conversions(precision: str) -> None:
    random = np.random.default_rng(0)
    c, d = random.random((3, 4)) > 0.5, random.random(4) > 0.5
    a, b = drawn((4,), precision), drawn((3,), precision)
    where = Map(out("Y", "ij", (3, 4)), "where", (Operand("C", ("i", "j")), Operand("A", ("j",)), Operand("B", ("i",))))
    check(where, {"C": c, "A": a, "B": b}, precision)
    for name in ("and", "or"):
        operation = Map(out("Y", "ij", (3, 4), "bool"), name, (Operand("C", ("i", "j")), Operand("D", ("j",))))
        check(operation, {"C": c, "D": d}, precision)
    check(Map(out("Y", "ij", (3, 4), "bool"), "not", (Operand("C", ("i", "j")),)), {"C": c}, precision)
    check(Map(out("Y", "ij", (3, 4)), "to_number", (Operand("C", ("i", "j")),)), {"C": c}, precision)
    check(Map(out("Y", "j", (4,)), "to_number", (Operand("N", ("j",)),)), {"N": np.arange(-2, 2)}, precision)
    for values in (a, np.arange(-2, 2), d):
        check(Map(out("Y", "j", (4,), "bool"), "to_boolean", (Operand("A", ("j",)),)), {"A": values}, precision)


def test_whole_numbers_stay_whole() -> None:
    values = {"A": np.array([2**53 + 1, -3]), "B": np.array([4, 5])}
    for name, expected in (("add", [2**53 + 5, 2]), ("multiply", [(2**53 + 1) * 4, -15]), ("min", [4, -3])):
        operation = Map(out("Y", "i", (2,), "int64"), name, (Operand("A", ("i",)), Operand("B", ("i",))))
        result = run(operation, values)
        assert result.dtype == np.int64
        assert result.tolist() == expected
    result = run(Map(out("Y", "i", (2,), "int64"), "negate", (Operand("A", ("i",)),)), values)
    assert result.tolist() == [-(2**53) - 1, 3]


@pytest.mark.parametrize(
    ("dtype", "given", "expected"),
    [
        ("int64", [1.7, -1.7, 0.2], [1, -1, 0]),
        ("bool", [1.7, 0.0, -0.1], [1, 0, 1]),
        ("float16", [1.0001, 65504.0, 0.1], [1.0, 65504.0, 0.0999755859375]),
        # 1 + 2^-8 is halfway between two bfloat16 numbers and goes to the even one; 1 + 3 * 2^-8 goes up.
        ("bfloat16", [1.00390625, 1.01171875, 3.141592], [1.0, 1.015625, 3.140625]),
        ("float32", [0.1, 16777217.0, 1.0], [0.10000000149011612, 16777216.0, 1.0]),
        ("float64", [0.5, -2.0, 3.0], [0.5, -2.0, 3.0]),
    ],
)
def test_cast(dtype: str, given: list[float], expected: list[float]) -> None:
    operation = Map(out("Y", "i", (3,)), "cast", (Operand("X", ("i",)),), (("dtype", dtype),))
    result = run(operation, {"X": np.array(given)})
    assert result.dtype == np.float64
    assert result.tolist() == expected
    infinite = run(operation, {"X": np.array([np.nan, np.inf, -np.inf])})
    if dtype not in ("int64", "bool"):
        np.testing.assert_array_equal(infinite, [np.nan, np.inf, -np.inf])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_stable_far_out(precision: str) -> None:
    """No warning, no NaN, and the limits where exp overflows."""
    values = {"X": np.array([-1e4, -200.0, 200.0, 1e4], precision)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, numbers, expected in [
            ("sig", (1.0,), [0, math.exp(-200) if precision == "float64" else 0, 1, 1]),
            ("sig", (0.0,), [0, 0, 1, 1]),
            ("silu", (), [0, -200 * math.exp(-200) if precision == "float64" else 0, 200, 1e4]),
            ("gelu", (), [0, 0, 200, 1e4]),
            ("exp", (), [0, math.exp(-200) if precision == "float64" else 0, None, math.inf]),
            ("log", (), [math.nan, math.nan, math.log(200), math.log(1e4)]),
        ]:
            result = run(Map(out("Y", "i", (4,)), name, (Operand("X", ("i",)), *numbers)), values, precision)
            for got, wanted in zip(result.tolist(), expected, strict=True):
                if wanted is not None:
                    assert got == pytest.approx(wanted, rel=1e-5, abs=0, nan_ok=True)


def test_nan_and_infinity_go_through() -> None:
    values = {"X": np.array([np.nan, np.inf, -np.inf])}

    def of(name: str, *numbers: float) -> list[float]:
        return run(Map(out("Y", "i", (3,)), name, (Operand("X", ("i",)), *numbers)), values).tolist()

    assert of("relu") == pytest.approx([math.nan, math.inf, 0], nan_ok=True)
    assert of("tanh") == pytest.approx([math.nan, 1, -1], nan_ok=True)
    assert of("sig", 1.0) == pytest.approx([math.nan, 1, 0], nan_ok=True)
    assert of("clip", -1, 1) == pytest.approx([math.nan, 1, -1], nan_ok=True)
    assert of("max", 0) == pytest.approx([math.nan, math.inf, 0], nan_ok=True)


# Along an axis ---------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "lnorm"])
@pytest.mark.parametrize("axis", ["i", "j", "k"])
@pytest.mark.parametrize("order", ["ijk", "kij"])
def test_along(name: str, axis: str, order: str, precision: str) -> None:
    sizes = {"i": 2, "j": 3, "k": 4}
    for seed in range(2):
        values = {"X": drawn((2, 3, 4), precision, (-5, 5), seed)}
        for eps in ARGUMENTS["eps"] if name == "lnorm" else [None]:
            more = () if eps is None else (eps,)
            output = out("Y", order, [sizes[k] for k in order])
            operation = Along(output, name, (Operand("X", ("i", "j", "k")), *more), axis)
            check_loosely(operation, values, precision)


def check_loosely(operation: Along, values: dict[str, np.ndarray], precision: str) -> None:
    result = run(operation, values, precision)
    expected = run_by_loops(operation, values, lengths_of(values))
    tolerance = 10 * TOLERANCE[precision]
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)
    assert result.dtype == np.dtype(precision)


def test_lnorm_with_eps_per_row() -> None:
    values = {"X": drawn((3, 4), "float64"), "E": np.array([0.1, 1.0, 10.0]), "Z": drawn((4,), "float64")}
    operands = (Operand("X", ("i", "j")), Operand("E", ("i",)))
    check_loosely(Along(out("Y", "ij", (3, 4)), "lnorm", operands, "j"), values, "float64")
    # The result has the indices of all arguments, also those that only eps has.
    operands = (Operand("Z", ("j",)), Operand("E", ("i",)))
    check_loosely(Along(out("Y", "ij", (3, 4)), "lnorm", operands, "j"), values, "float64")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("logits", "target", "result"),
    [
        ("ec", "e", "e"),
        ("ce", "e", "e"),
        ("ecf", "ef", "ef"),
        ("ecf", "fe", "fe"),
        ("ec", "ef", "fe"),
        ("ecf", "e", "ef"),
    ],
)
def test_cross_entropy(logits: str, target: str, result: str, precision: str) -> None:
    sizes = {"e": 3, "c": 4, "f": 2}
    operands = (Operand("X", tuple(logits)), Operand("T", tuple(target)))
    operation = Along(out("Y", result, [sizes[k] for k in result]), "cross_entropy", operands, "c")
    weights = (operands[0], Operand("P", (*target, "c")))
    weighted = Along(operation.output, "cross_entropy", weights, "c")
    for seed in range(2):
        random = np.random.default_rng(seed)
        x = drawn(tuple(sizes[k] for k in logits), precision, (-5, 5), seed)
        shape = tuple(sizes[k] for k in target)
        check_loosely(operation, {"X": x, "T": random.integers(0, 4, shape)}, precision)
        check_loosely(weighted, {"X": x, "P": random.random((*shape, 4)).astype(precision)}, precision)


def test_classes_that_do_not_exist_give_nan() -> None:
    operands = (Operand("X", ("e", "c")), Operand("T", ("e",)))
    operation = Along(out("Y", "e", (4,)), "cross_entropy", operands, "c")
    values = {"X": np.zeros((4, 2)), "T": np.array([0, 2, -1, 1])}
    assert run(operation, values).tolist() == pytest.approx([math.log(2), math.nan, math.nan, math.log(2)], nan_ok=True)


def test_softmax_of_large_and_of_masked_scores() -> None:
    x = np.array([[1e4, 1e4 - 1.0], [-np.inf, 0.0], [-np.inf, -np.inf]])
    result = run(Along(out("Y", "ij", (3, 2)), "softmax", (Operand("X", ("i", "j")),), "j"), {"X": x})
    e = 1 / (1 + math.exp(-1))
    np.testing.assert_allclose(result, [[e, 1 - e], [0, 1], [math.nan, math.nan]])
    logs = run(Along(out("Y", "ij", (3, 2)), "log_softmax", (Operand("X", ("i", "j")),), "j"), {"X": x})
    np.testing.assert_allclose(logs, [[math.log(e), math.log(1 - e)], [-math.inf, 0], [math.nan, math.nan]])


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "lnorm"])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_along_axes_without_positions(name: str, shape: tuple[int, int]) -> None:
    more = (1e-5,) if name == "lnorm" else ()
    operation = Along(out("Y", "ij", shape), name, (Operand("X", ("i", "j")), *more), "j")
    assert run(operation, {"X": np.zeros(shape)}).shape == shape


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_cross_entropy_of_nothing(shape: tuple[int, int]) -> None:
    operands = (Operand("X", ("e", "c")), Operand("P", ("e", "c")))
    operation = Along(out("Y", "e", shape[:1]), "cross_entropy", operands, "c")
    assert run(operation, {"X": np.zeros(shape), "P": np.zeros(shape)}).tolist() == [0.0] * shape[0]


# Buffers ---------------------------------------------------------------------------------------


def test_chains_write_over_dead_buffers_only() -> None:
    """B is read twice and exported; A and C are temporaries. Nothing that is still needed may change."""
    size = 20_000  # large enough for buffers to be let go
    operations = [
        Map(out("A", "i", [size]), "multiply", (Operand("X", ("i",)), 2.0)),
        Map(out("B", "i", [size]), "exp", (Operand("A", ("i",)),)),
        Map(out("C", "i", [size]), "add", (Operand("B", ("i",)), Operand("X", ("i",)))),
        Map(out("D", "i", [size]), "sig", (Operand("C", ("i",)), 1.0)),
        Map(out("E", "i", [size]), "multiply", (Operand("D", ("i",)), Operand("B", ("i",)))),
        Map(out("F", "i", [size]), "subtract", (Operand("E", ("i",)), Operand("E", ("i",)))),
        Along(out("G", "i", [size]), "softmax", (Operand("F", ("i",)),), "i"),
    ]
    executable = prepare(operations, {"X": (1, "float")}, ["B", "E", "G"])
    for seed in range(3):
        x = np.random.default_rng(seed).uniform(-1, 1, size)
        results = executable({"X": x})
        b = np.exp(2 * x)
        np.testing.assert_allclose(results["B"], b)
        np.testing.assert_allclose(results["E"], b / (1 + np.exp(-(b + x))))
        np.testing.assert_allclose(results["G"], np.full(size, 1 / size))
        assert not np.shares_memory(results["B"], results["E"])


def test_results_do_not_share_memory() -> None:
    operations = [
        Map(out("A", "ij", (2, 3)), "exp", (Operand("X", ("i", "j")),)),
        Map(out("B", "ij", (2, 3)), "to_number", (Operand("A", ("i", "j")),)),
        Map(out("C", "ji", (3, 2)), "to_number", (Operand("A", ("i", "j")),)),
        Map(out("D", "ij", (2, 3)), "to_number", (Operand("X", ("i", "j")),)),
    ]
    executable = prepare(operations, {"X": (2, "float")}, ["A", "B", "C", "D", "X"])
    x = np.ones((2, 3))
    results = executable({"X": x})
    for one, other in itertools.combinations([*results.values(), x], 2):
        assert not np.shares_memory(one, other)
    results["A"][...] = 7
    np.testing.assert_array_equal(results["C"], np.full((3, 2), math.e))
    assert executable({"X": x})["A"].tolist() == np.full((2, 3), math.e).tolist()


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("exponent", [-1.0, 0.5, 2.0, 3.0])
def test_powers_of_whole_numbers_are_floats_whatever_the_exponent_comes_to(exponent: float, precision: str) -> None:
    runner = Program("Y = 2**X").compile("numpy", config=ExecutionConfig(precision=precision))  # type: ignore[arg-type]
    found = runner(X=exponent)["Y"]
    assert found.dtype == precision
    np.testing.assert_allclose(found, 2**exponent, rtol=1e-6)
