"""Windowed reads times filters: convolutions in one to three dimensions, with every role an index can have."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fuse_ref.plan.estimates import Estimates
from fuse_ref.plan.passes.convolution import why_not
from fuse_ref.plan.passes.framework import Block
from fuse_ref.plan.passes.tracing import Tracer
from fuse_ref.plan.steps import Contract, Convolve, Index, Output
from fuse_torch import FuseModule
from tests.plan.passes.agreement import again, agree, draw, operations_of, plans, savings_of
from tests.plan.running import run

IMAGES = "Y[b, o, x, y] = W[o, c, dx, dy] X[b, c, x+dx, y+dy]\nexport Y"
SAME = "axis x = 6\nY[b, o, x] = W[o, c, dx] X[b, c, x+dx-1] + B[o]\nexport Y"

# text, shapes, and shapes of a second call
CASES = {
    "line": ("Y[x] = W[d] X[x+d]\nexport Y", {"W": (3,), "X": (9,)}, {"W": (4,), "X": (7,)}),
    "images": (IMAGES, {"W": (4, 3, 3, 2), "X": (2, 3, 6, 5)}, {"W": (2, 1, 2, 2), "X": (3, 1, 4, 7)}),
    "channels last": (
        "Y[b, x, y, o] = W[dx, dy, c, o] X[b, x+dx, y+dy, c]\nexport Y",
        {"W": (3, 3, 4, 5), "X": (2, 6, 7, 4)},
        {"W": (2, 3, 2, 1), "X": (1, 5, 5, 2)},
    ),
    "volumes": (
        "Y[o, x, y, z] = W[o, u, v, w] X[x+u, y+v, z+w]\nexport Y",
        {"W": (2, 2, 3, 2), "X": (4, 5, 4)},
        {"W": (3, 1, 2, 3), "X": (3, 4, 5)},
    ),
    "strides and dilations": (
        "Y[o, x, y] = W[o, c, u, v] X[c, 2*x+u, y+3*v]\nexport Y",
        {"W": (2, 3, 3, 2), "X": (3, 9, 8)},
        {"W": (2, 3, 2, 3), "X": (3, 10, 9)},
    ),
    "filter backwards": (
        "axis x = 5\nY[x] = W[c, d] X[c, x-2*d+1]\nexport Y",
        {"W": (2, 3), "X": (2, 5)},
        {"W": (3, 2), "X": (3, 5)},
    ),
    "zeros around": (SAME, {"W": (3, 2, 3), "X": (2, 2, 6), "B": (3,)}, {"W": (2, 4, 5), "X": (1, 4, 6), "B": (2,)}),
    "zeros on both sides of a square": (
        "axis x = 4, y = 5, u = 3, v = 3, c = 2\nY[o, x, y] = W[o, c, u, v] X[c, x+u-1, y+v-1]\nexport Y",
        {"W": (3, 2, 3, 3), "X": (2, 4, 5)},
        {"W": (2, 2, 3, 3), "X": (2, 4, 5)},
    ),
    "each channel by itself": (
        "Y[b, c, x, y] = W[c, u, v] X[b, c, x+u, y+v]\nexport Y",
        {"W": (3, 2, 3), "X": (2, 3, 5, 6)},
        {"W": (5, 3, 3), "X": (1, 5, 4, 4)},
    ),
    "groups": (
        "Y[g, o, x] = W[g, o, c, u] X[g, c, x+u]\nexport Y",
        {"W": (2, 3, 4, 2), "X": (2, 4, 6)},
        {"W": (3, 1, 2, 3), "X": (3, 2, 5)},
    ),
    "several of each role": (
        "Y[a, x, m, b, n, g, h] = W[h, m, c, g, u, n, e] X[e, a, g, x+u, b, h, c]\nexport Y",
        {"W": (2, 2, 3, 2, 2, 3, 2), "X": (2, 2, 2, 4, 3, 2, 3)},
        {"W": (1, 2, 1, 3, 2, 1, 2), "X": (2, 3, 3, 5, 1, 1, 1)},
    ),
    "reads that are not plain": (
        "axis b = 2, k = 4\nY[b, k, x] = W[c, u] X[2*b, c+1, x+u, k-1, 1]\nexport Y",
        {"W": (2, 2), "X": (4, 3, 5, 4, 2)},
        {"W": (1, 3), "X": (5, 2, 6, 4, 3)},
    ),
    "windows of another tensor": (
        "axis x = 4\nV[x, u] = X[x+u]\nY[a, o] = V[a, t] W[o, t]\nexport Y",
        {"W": (2, 3), "X": (6,)},
        {"W": (3, 3), "X": (6,)},
    ),
    "gradient of a filter": (
        "Y[o, c, u] = G[b, o, x] X[b, c, u+x]\nexport Y",
        {"G": (3, 2, 5), "X": (3, 2, 7)},
        {"G": (2, 3, 4), "X": (2, 1, 9)},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_values_and_gradients_stay(case: tuple[str, dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]) -> None:
    text, first, second = case
    plan, plain = plans(text, "convolution")
    assert savings_of(plan, "convolution") == ["Y"]
    assert len(operations_of(plan, Convolve)) == 1
    assert not operations_of(plain, Convolve)
    assert plan.steps[-1].flops == plain.steps[-1].flops
    assert plan.steps[-1].largest <= plain.steps[-1].largest
    agree(text, "convolution", draw(first), tolerance=5)
    again(text, "convolution", [draw(first, 1), draw(second, 2)], tolerance=5)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_plan_says_what_it_means(case: tuple[str, dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]) -> None:
    """By plain loops over the operations of the plan."""
    text, shapes, _ = case
    if text == CASES["several of each role"][0]:
        shapes = {"W": (1, 1, 2, 1, 2, 2, 1), "X": (1, 1, 1, 3, 2, 1, 2)}
    given = {name: array.astype(np.float64) for name, array in draw(shapes).items()}
    plan, plain = plans(text, "convolution")
    np.testing.assert_allclose(run(plan, given)["Y"], run(plain, given)["Y"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("letter", ["b", "o", "c", "x", "dx"])
def test_sizes_of_one_and_none(letter: str, size: int) -> None:
    sizes = {"b": 2, "o": 3, "c": 2, "x": 5, "y": 6, "dx": 1, "dy": 2, letter: size}
    if sizes["x"] == 0:
        sizes["dx"] = 0
    shapes = {"W": tuple(sizes[k] for k in ("o", "c", "dx", "dy")), "X": tuple(sizes[k] for k in "bcxy")}
    again(IMAGES, "convolution", [draw(shapes), draw(shapes, 1)], tolerance=5)
    if (letter, size) in (("o", 0), ("dx", 0)):
        agree(IMAGES, "convolution", draw(shapes), tolerance=5)


def test_an_image_without_positions() -> None:
    agree(IMAGES, "convolution", draw({"W": (3, 2, 3, 3), "X": (2, 2, 0, 5)}), tolerance=5)


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("letter", ["g", "o", "c", "u"])
def test_groups_of_one_and_none(letter: str, size: int) -> None:
    sizes = {"g": 2, "o": 3, "c": 2, "x": 5, "u": 2, letter: size}
    shapes = {"W": tuple(sizes[k] for k in "gocu"), "X": tuple(sizes[k] for k in "gcx")}
    again(CASES["groups"][0], "convolution", [draw(shapes), draw(shapes, 1)], tolerance=5)
    if (letter, size) in (("g", 0), ("c", 0)):
        agree(CASES["groups"][0], "convolution", draw(shapes), tolerance=5)


REASONS = {
    "input X[i]: int64\ninput W[u]: int64\nY[x] = W[u] X[x+u]\nexport Y": "whole numbers stay whole",
    "axis x = 4\nY[x] = W[x, u] X[x+u]\nexport Y": "no variable of the window is the filter's, or none is the result's",
    "axis x = 2, y = 3\nY[x, y] = W[c] X[x+y, c]\nexport Y": (
        "no variable of the window is the filter's, or none is the result's"
    ),
    "axis x = 2\nY[x] = W[u, v] X[x+u+v]\nexport Y": "more than two variables move along one dimension",
    "axis x = 2\nY[x] = W[u] X[x+u, x]\nexport Y": "a variable moves along two dimensions",
    "axis x = 3\nY[x] = W[u] X[u-x+2]\nexport Y": "the read runs backwards",
    "Y[i] = W[i, j] X[j]\nexport Y": "neither operand is a windowed read",
    "Y[a,b,c,d] = W[s,t,u,v] X[a+s,b+t,c+u,d+v]\nexport Y": "it moves along 4 dimensions",
}


@pytest.mark.parametrize("text", REASONS)
def test_what_is_no_convolution_stays(text: str) -> None:
    plan, plain = plans(text, "convolution")
    assert plan.steps == plain.steps
    assert savings_of(plan, "convolution") == []
    (step,) = [step for step in plan.steps if step.operations]
    values = {operation.output.out: operation.output for operation in step.operations}
    for shape in plan.shapes:
        labels = tuple(str(k) for k in range(len(shape.lengths)))
        dtype = plan.program.tensor(shape.tensor).dtype
        values.setdefault(shape.tensor, Output(shape.tensor, labels, shape.lengths, dtype))
    tracer = Tracer(Block(step.operations, frozenset("Y"), values, Estimates({})))
    (product,) = [operation for operation in step.operations if isinstance(operation, Contract)]
    assert why_not(product, tracer) == REASONS[text]


def test_what_the_plan_saves() -> None:
    text = "axis b = 2, c = 4, o = 3, x = 8, y = 8, u = 3, v = 3\n"
    text += "Y[b, o, x, y] = W[o, c, u, v] X[b, c, x+u-1, y+v-1]\nexport Y"
    plan, _ = plans(text, "convolution")
    (saving,) = [item for item in plan.savings if item.name == "convolution"]
    assert (saving.flops, saving.bytes) == (0, 4 * 2 * 4 * 8 * 8 * 3 * 3)
    assert saving.what == "X times W is a convolution over x, y"
    assert not operations_of(plan, Index)


def test_the_network_of_the_paper_convolves() -> None:
    text = "S = 2\nBoth[x/S, y/S] = relu(Filter[dx, dy, ch] Image[x+dx, y+dy, ch])\nexport Both"
    plan, _ = plans(text, "convolution")
    assert savings_of(plan, "convolution") == ["Both"]
    again(text, "convolution", [draw({"Filter": (3, 3, 2), "Image": (8, 7, 2)})], tolerance=5)


def test_open_sizes_compiled_exported_and_mapped() -> None:
    module = FuseModule(IMAGES)
    compiled = torch.compile(module, backend="aot_eager", dynamic=True, fullgraph=True)
    W, X = torch.randn(4, 3, 3, 2), torch.randn(2, 3, 8, 7)
    dims = {0: torch.export.Dim("b", min=1, max=64), 2: torch.export.Dim("x", min=4, max=64)}
    exported = torch.export.export(module, (), {"W": W, "X": X}, dynamic_shapes={"W": None, "X": dims}).module()
    for b, x in ((2, 8), (5, 9)):
        X = torch.randn(b, 3, x, 7)
        expected = torch.nn.functional.conv2d(X, W)
        for call in (compiled, exported):
            torch.testing.assert_close(call(W=W, X=X), expected, rtol=1e-4, atol=1e-5)
    expected = torch.stack([torch.nn.functional.conv2d(X, item) for item in (W, 2 * W)])
    found = torch.vmap(lambda weights: module(W=weights, X=X))(torch.stack([W, 2 * W]))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    gradient = torch.func.grad(lambda weights: module(W=weights, X=X).sum())(W)
    torch.testing.assert_close(gradient[0, 0, 0, 0], X[:, 0, :-2, :-1].sum(), rtol=1e-4, atol=1e-4)
