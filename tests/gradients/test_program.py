"""What `generate_gradient_program` takes and gives, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import fuse_jax
import fuse_ref
import fuse_torch
from fuse_ref import ExecutionConfig, FuseError, GradientError, Program, generate_gradient_program, register_function
from fuse_ref.gradients.derivatives import DERIVATIVES
from fuse_ref.gradients.splitting import slopes_of
from fuse_ref.gradients.templates import names_in
from fuse_ref.ir.nodes import Call, Number
from fuse_ref.ir.operations import CATALOGUE
from tests.gradients.programs import CASES, plain, size, wanted

_DOUBLE = ExecutionConfig(precision="float64")
_LAYER = "Y[i] = tanh(W[i, j] X[j])\nL = Y[i]**2\nexport L"


def test_one_function_for_all() -> None:
    assert fuse_torch.generate_gradient_program is generate_gradient_program
    assert fuse_jax.generate_gradient_program is generate_gradient_program
    assert "generate_gradient_program" in fuse_ref.__all__


def test_every_function_has_a_derivative_or_says_why_not() -> None:
    assert DERIVATIVES.keys() == CATALOGUE.keys()
    for name, row in DERIVATIVES.items():
        assert bool(row.slopes) != bool(row.none), name
        names = {argument.name for argument in CATALOGUE[name].arguments}
        for slopes in (row.slopes, *(row.by_option or {}).values()):
            assert slopes.keys() <= names or name == "concat"
            known = names | {"y", "g", "a", "b"}
            known |= {f"{part}_b" for part in known}
            assert all(names_in(slope) <= known for slope in slopes.values())


def test_a_word_chooses_the_slope() -> None:
    x = Number(1)
    assert slopes_of(Call("cast", (x,), None, (("dtype", "int64"),))) == {}
    assert slopes_of(Call("cast", (x,), None, (("dtype", "float16"),))) == {"x": "1"}


def test_the_text() -> None:
    program = generate_gradient_program(_LAYER, seeds={"L": "1.0"}, export_grads=["W"])
    assert program.source == (
        "Y_1[i] = sum(j: W[i, j] X[j])\n"
        "Y[i] = tanh(Y_1[i])\n"
        "L = sum(i: Y[i]**2)\n"
        "\n"
        "# Gradients.\n"
        "Grad_L += 1.0\n"
        "Grad_Y[i] = 2 * Grad_L Y[i]\n"
        "Grad_Y_1[i] = Grad_Y[i] (1 - Y[i]**2)\n"
        "Grad_W[i, j] = Grad_Y_1[i] X[j]\n"
        "\n"
        "export Grad_W\n"
    )


def test_names_that_are_taken() -> None:
    text = "Y[i] = tanh(W[i, j] Grad_W[j])\nL = sum(i: Y[i] + Y_1)\nexport L"
    program = generate_gradient_program(text, seeds={"L": "1.0"}, export_grads=["W", "Grad_W"])
    assert list(program.exports) == ["Grad_W_", "Grad_Grad_W"]
    found = program.compile("numpy", config=_DOUBLE)(W=[[0.5]], Grad_W=[2.0], Y_1=0.0)
    assert found["Grad_W_"][0, 0] == pytest.approx(2 * (1 - np.tanh(1) ** 2))
    assert found["Grad_Grad_W"][0] == pytest.approx(0.5 * (1 - np.tanh(1) ** 2))


def test_primes_and_dots() -> None:
    text = "Y'[i] = nn.W[i, j] X'[j]**2\nexport Y'"
    program = generate_gradient_program(text, seeds={"Y'[i]": "i + 1"}, export_grads=["X'", "nn.W"])
    found = program.compile("numpy")({"nn.W": [[1.0, 2.0], [3.0, 4.0]], "X'": [1.0, 10.0]})
    assert found["Grad_X'"].tolist() == [14.0, 200.0]
    assert found["Grad_nn.W"].tolist() == [[1.0, 100.0], [2.0, 200.0]]


def test_seeds() -> None:
    text = "Y[i, j] = A[i] B[j]\nZ[i] = A[i]**2\nexport Y, Z"
    given = {"A": np.array([1.0, 2.0]), "B": np.array([3.0, 5.0, 7.0])}
    seed = np.arange(6.0).reshape(2, 3)
    program = generate_gradient_program(text, seeds={"Y[p, q]": "S[p, q]", "Z": "2"}, export_grads=["A"])
    found = program.compile("numpy", config=_DOUBLE)(**given, S=seed)["Grad_A"]
    np.testing.assert_allclose(found, seed @ given["B"] + 4 * given["A"])
    either = generate_gradient_program(text, seeds={"Z[k]": "A[k] > 1"}, export_grads=["A", "B"])
    found = either.compile("numpy", config=_DOUBLE)(**given)
    assert found["Grad_A"].tolist() == [0.0, 4.0]
    assert found["Grad_B"].tolist() == [0.0, 0.0, 0.0]  # Z does not depend on it


def test_gradients_of_intermediate_tensors_and_of_the_seed() -> None:
    program = generate_gradient_program(_LAYER, seeds={"L": "3"}, export_grads=["L", "Y"])
    found = program.compile("numpy", config=_DOUBLE)(W=[[1.0]], X=[0.5])
    assert float(found["Grad_L"]) == 3.0
    assert found["Grad_Y"] == pytest.approx([6 * np.tanh(0.5)])


def test_the_gradient_of_a_gradient() -> None:
    first = generate_gradient_program("L = sum(i: X[i]**4)\nexport L", seeds={"L": "1"}, export_grads=["X"])
    second = generate_gradient_program(first, seeds={"Grad_X": "1"}, export_grads=["X"])
    (name,) = second.exports
    assert second.compile("numpy", config=_DOUBLE)(X=[2.0, 3.0])[name].tolist() == [48.0, 108.0]


def test_letters_that_hide_others() -> None:
    text = "Y[i, k] = A[i] sum(i, k: B[i, k]**2)\nZ[i, j] = logsumexp(A[i] C[j], axis=j)\nexport Y, Z"
    program = generate_gradient_program(text, seeds={"Y": "1", "Z": "1"}, export_grads=["A", "B", "C"])
    a, b, c = np.array([1.0, 2.0]), np.arange(6.0).reshape(2, 3), np.array([0.5, -0.5])
    found = program.compile("numpy", config=_DOUBLE)(A=a, B=b, C=c)
    share = np.exp(np.outer(a, c)) / np.exp(np.outer(a, c)).sum(1, keepdims=True)
    np.testing.assert_allclose(found["Grad_A"], 3 * (b**2).sum() + 2 * share @ c)
    np.testing.assert_allclose(found["Grad_B"], 3 * a.sum() * 2 * b)
    np.testing.assert_allclose(found["Grad_C"], 2 * share.T @ a)


def test_relations_stay_conditions() -> None:
    text = "input Neig(n, m)\nAgg[n, d] = Neig(n, m) Z[m, d]\nL = Agg[n, d]**2\nexport L"
    program = generate_gradient_program(text, seeds={"L": "1"}, export_grads=["Z"])
    neighbours, z = np.array([[True, False, True], [False, False, True]]), np.array([[1.0], [2.0], [3.0]])
    for backend in ("numpy", "torch", "jax"):
        found = program.compile(backend)(Neig=neighbours, Z=z.astype(np.float32))["Grad_Z"]
        np.testing.assert_allclose(np.asarray(found), 2 * neighbours.T @ (neighbours @ z), rtol=1e-6)


def test_a_registered_function_with_a_registered_derivative() -> None:
    register_function("grad_cube_slope", numpy=lambda x: 3 * x**2)
    register_function("grad_cube", numpy=lambda x: x**3, gradient="grad_cube_slope")
    program = generate_gradient_program("L = sum(i: grad_cube(X[i]))", seeds={"L": "1"}, export_grads=["X"])
    assert program.compile("numpy", config=_DOUBLE)(X=[1.0, 2.0])["Grad_X"].tolist() == [3.0, 12.0]


def test_shared_parts_do_not_multiply() -> None:
    """Each layer reads the one before three times: written out, the last would hold 3**30 reads of X."""
    layers = ["H0[i] = X[i]"]
    layers += [f"H{k + 1}[i] = tanh(H{k}[i]) + sig(A H{k}[i]) H{k}[i]" for k in range(30)]
    program = Program("\n".join([*layers, "L = H30[i]", "export L"]))
    gradients = generate_gradient_program(program, seeds={"L": "1"}, export_grads=["X", "A"])
    assert size(gradients.ir) <= 6 * size(program.ir)
    nested = "X[i]"
    for _ in range(12):
        nested = f"tanh(0.5 ({nested}) + B[i])"
    program = Program(f"L = sum(i: {nested})\nexport L")
    gradients = generate_gradient_program(program, seeds={"L": "1"}, export_grads=["X", "B"])
    assert size(gradients.ir) <= 6 * size(program.ir)


def test_sizes_of_the_catalogue() -> None:
    """Together less than six times the source; an equation of one gelu or prod= alone has a longer derivative."""
    before, after = 0, 0
    for case in CASES[::3]:
        source = plain(case)
        seeds = {name: "1.0" for name, spec in source.exports.items() if spec.dtype == "float"}
        found = size(generate_gradient_program(source, seeds, wanted(case)).ir)
        assert found <= 6 * size(source.ir) + 60 * len(source.ir.equations), (case.name, found)
        before, after = before + size(source.ir), after + found
    assert after <= 6 * before, (before, after)


@pytest.mark.parametrize(
    ("text", "seeds", "grads", "match"),
    [
        ("L = W[i]", {"L": "1"}, ["V"], "there is no gradient of V"),
        ("L = W[i]", {"M": "1"}, ["W"], "there is no gradient of M"),
        ("input E(x, y)\nR(x) <- E(x, y)\nL = W[x] R(x)", {"R": "1"}, ["W"], "R: it holds truth values"),
        ("H[*t+1] = tanh(W H[*t] + X[t])\nL = H[*t]\nexport L", {"L": "1"}, ["W"], "H, which is a stream"),
    ],
)
def test_what_has_no_gradient(text: str, seeds: dict[str, str], grads: list[str], match: str) -> None:
    with pytest.raises(GradientError, match=match):
        generate_gradient_program(text, seeds=seeds, export_grads=grads)


def test_a_stream_beside_the_way_is_no_hindrance() -> None:
    text = "H[*t+1] = 0.5 H[*t] + X[t]\nM = H[*t]\nL = W[i]**2\nexport L, M"
    assert "Grad_W" in generate_gradient_program(text, seeds={"L": "1"}, export_grads=["W"]).exports


def test_a_seed_that_is_no_expression() -> None:
    with pytest.raises(FuseError):
        generate_gradient_program("L = W[i]", seeds={"L": "1 +"}, export_grads=["W"])
