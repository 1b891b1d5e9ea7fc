"""`register_function`: what is taken, what is refused, and its runs on NumPy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from fuse_ref import ConfigError, ExecutionConfig, OperatorError, Program, UnknownFunctionError, register_function
from tests.support.registered import PROGRAM, expected, register_all

register_all()


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_values(precision: str) -> None:
    runner = Program(PROGRAM).compile("numpy", config=ExecutionConfig(precision=precision))
    rng = np.random.default_rng(0)
    for shape in ((2, 3), (4, 3), (1, 1), (0, 2)):
        x, b = rng.normal(size=shape).astype(precision), rng.normal(size=shape[1]).astype(precision)
        result = runner(X=x, B=b)["Y"]
        assert result.dtype == precision
        np.testing.assert_allclose(result, expected(x, b), rtol=1e-5)


def test_numbers_and_defaults() -> None:
    assert Program("Y = test_steps(1.3)").compile("numpy")()["Y"] == 2.0
    assert Program("Y[i] = test_steps(X[i], width=10)").compile("numpy")(X=[0.25])["Y"].tolist() == [2.0]
    with pytest.raises(OperatorError, match=r"test_length takes \(x1, x2\), not 1 argument"):
        Program("Y[i] = test_length(X[i])")


def test_the_explicit_form_and_json_keep_the_meaning() -> None:
    program = Program(PROGRAM)
    assert Program(program.explicit()).ir == program.ir
    assert Program.from_json(program.to_json()).digest == program.digest


def test_digests_tell_functions_apart() -> None:
    """One name with other code is another program, in whichever process; the same code the same one."""
    code = (
        "import sys, numpy as np; from fuse_ref import Program, register_function\n"
        "register_function('f', numpy=lambda x: {body})\n"
        "print(Program('Y[i] = f(X[i])').digest)"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code.format(body=body)], capture_output=True, text=True, check=True
        ).stdout
        for body in ("x + 1", "x + 2", "x + 1")
    ]
    assert found[0] == found[2]
    assert found[0] != found[1]


def test_the_same_function_again_changes_nothing_and_another_is_refused() -> None:
    register_all()
    with pytest.raises(ConfigError, match="another function is registered under that name"):
        register_function("test_length", numpy=np.hypot)


@pytest.mark.parametrize("name", ["relu", "mse", "const", "max", "case", "layernorm", "a b", "nn.f", "", "3x"])
def test_names_that_are_taken_or_cannot_be_written(name: str) -> None:
    with pytest.raises(ConfigError):
        register_function(name, numpy=np.tanh)


def test_a_tensor_cannot_have_the_name() -> None:
    with pytest.raises(OperatorError, match="test_cube"):
        Program("test_cube[i] = X[i]")


@pytest.mark.parametrize(
    ("function", "words"),
    [(lambda x: x.sum(), r"gave the shape \(\)"), (lambda x: x.astype(complex), "gave an array of complex128")],
)
def test_wrong_results(function: object, words: str) -> None:
    name = f"test_wrong_{len(words)}"
    register_function(name, numpy=function)  # type: ignore[arg-type]
    with pytest.raises(OperatorError, match=words):
        Program(f"Y[i] = {name}(X[i])").compile("numpy")(X=[1.0, 2.0])


@pytest.mark.parametrize("function", [lambda x: x, lambda x: x[::-1][::-1]])
def test_a_function_that_gives_its_argument_leaves_inputs_alone(function: object) -> None:
    name = f"test_same_{id(function)}"
    register_function(name, numpy=function)  # type: ignore[arg-type]
    runner = Program(f"Y[i] = exp({name}(X[i]))\nZ[i] = {name}(X[i])\nexport Y, Z").compile("numpy")
    for x in (np.array([1.0, 2.0], np.float32), np.array([3.0], np.float32)):
        given = x.copy()
        results = runner(X=given)
        np.testing.assert_allclose(results["Y"], np.exp(x), rtol=1e-6)
        results["Z"][...] = 0
        np.testing.assert_array_equal(given, x)


def test_derivatives_by_name_are_of_one_argument() -> None:
    with pytest.raises(ConfigError, match="names the derivative of one argument, and it has 2"):
        register_function("test_two", numpy=np.hypot, gradient="test_cube")


def test_a_function_of_another_process_is_missed() -> None:
    data = Program("Y[i] = test_cube(X[i])").to_json()
    lost = eval(repr(data).replace("test_cube", "test_nobody"))
    with pytest.raises(UnknownFunctionError, match="calls test_nobody"):
        Program.from_json(lost).plan()


def test_inside_fn() -> None:
    program = Program("fn twice(A[i]) = 2 test_cube(A[i])\nY[b, i] = twice(X[b, i])")
    assert program.explicit() == Program("Y[b, i] = 2 test_cube(X[b, i])").explicit()
