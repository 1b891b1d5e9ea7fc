"""The acyclic programs of the paper and of the public dialect, as they stand, on every engine.

What each should give is worked out here by other means: loops in Python, SciPy, torch.nn.functional.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import special
from scipy.spatial.distance import cdist
from torch.nn import functional as F

from fuse_ref import Program
from tests.agreement.case import Case
from tests.agreement.engines import Precision, engine

FOLDER = Path(__file__).parent
SHARED = FOLDER.parent.parent.parent / "shared" / "programs"

Arrays = dict[str, np.ndarray]
TOLERANCE: dict[Precision, float] = {"float32": 2e-5, "float64": 1e-10}


def _drawn(seed: int, **shapes: tuple[int, ...]) -> Arrays:
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(-1, 1, shape).astype(np.float32).astype(np.float64) for name, shape in shapes.items()}


# Each program: how values are drawn for a seed and a size, and what comes out -------------------


def _perceptron(given: Mapping[str, np.ndarray]) -> Arrays:
    weights, inputs = [0.2, 1.9, -0.7, 3.0], [0, 1, 1, 0]
    return {"Z": np.asarray([float(w * x > 0) for w, x in zip(weights, inputs, strict=True)])}


def _tucker(given: Mapping[str, np.ndarray]) -> Arrays:
    one, two, three, core = given["M"], given["M'"], given["M''"], given["C"]
    shape = (one.shape[0], two.shape[0], three.shape[0])
    whole = np.zeros(shape)
    for i, j, k in np.ndindex(shape):
        for p, q, r in np.ndindex(core.shape):
            whole[i, j, k] += one[i, p] * two[j, q] * three[k, r] * core[p, q, r]
    return {"A": whole, "Loss": np.asarray(math.fsum((given["Data"] - whole).ravel() ** 2))}


def _kernels(given: Mapping[str, np.ndarray]) -> Arrays:
    points = given["X"]
    polynomial = np.asarray(
        [[math.fsum(a * b for a, b in zip(x, y, strict=True)) ** 3 for y in points] for x in points]
    )
    near = np.exp(-cdist(given["Q"], points, "sqeuclidean") / 2)
    scores = [
        math.fsum(a * t * k for a, t, k in zip(given["A"], given["T"], row, strict=True)) + given["Bias"]
        for row in near
    ]
    return {
        "KPoly": polynomial,
        "KGauss": np.exp(-cdist(points, points, "sqeuclidean") / 2),
        "Y": special.expit(np.asarray(scores)),
    }


def _cnn(given: Mapping[str, np.ndarray]) -> Arrays:
    image = torch.from_numpy(given["Image"]).permute(2, 0, 1)[None]
    filters = torch.from_numpy(given["Filter"]).permute(2, 0, 1)[None]
    features = F.relu(F.conv2d(image, filters))
    # A last block that is not full counts too, with what it has.
    pooled = F.avg_pool2d(F.pad(features, (0, features.shape[3] % 2, 0, features.shape[2] % 2)), 2, divisor_override=1)
    largest = F.max_pool2d(features, 2, ceil_mode=True)
    return {"Pooled": pooled[0, 0].numpy(), "MaxPooled": largest[0, 0].numpy(), "Both": pooled[0, 0].numpy()}


def _graphical(given: Mapping[str, np.ndarray]) -> Arrays:
    first, second = [0.3, 0.7], [0.6, 0.4]
    table = [[[0.9, 0.5], [0.4, 0.1]], [[0.1, 0.5], [0.6, 0.9]]]
    both = [[[table[x][a][b] * first[a] * second[b] for b in (0, 1)] for a in (0, 1)] for x in (0, 1)]
    marginal = [sum(both[x][a][b] for a in (0, 1) for b in (0, 1)) for x in (0, 1)]
    posterior = [sum(both[1][a]) / marginal[1] for a in (0, 1)]
    return {"PX": np.asarray(marginal), "Posterior": np.asarray(posterior)}


def _block(given: Mapping[str, np.ndarray]) -> Arrays:
    inputs = torch.tensor([[0.5, 0.1, -0.3], [-0.2, 0.4, 0.6]], dtype=torch.float64)
    weights = torch.tensor([[0.2, -0.1, 0.3], [0.5, 0.2, -0.2]], dtype=torch.float64)
    act = F.gelu(F.linear(inputs, weights, torch.tensor([0.1, -0.1], dtype=torch.float64)))
    mix = F.softmax(act @ act.T * 0.5, dim=1) @ act + act
    return {"Mix": mix.numpy(), "Top": mix.amax(1).numpy(), "Mean": mix.mean(1).numpy()}


def _reasoning(given: Mapping[str, np.ndarray]) -> Arrays:
    # Symbols take positions in the order of the facts: Ann, Bob, Eve, Dan, Cid, Fay.
    ann, bob, eve, dan, cid, fay = given["Emb"]
    sister = np.outer(ann, bob) + np.outer(eve, dan)
    parent = np.outer(bob, cid) + np.outer(dan, fay)
    aunt = sister @ parent
    people = given["Emb"]
    scores = np.asarray([[x @ aunt @ z - 0.5 for z in people] for x in people])
    return {"Aunt": special.expit(scores / 0.1), "Sim": 1 - cdist(people, people, lambda x, y: 1 - float(x @ y))}


def _nothing(seed: int, size: int) -> Arrays:
    return {}


PROGRAMS: dict[str, tuple[Callable[[int, int], Arrays], Callable[[Mapping[str, np.ndarray]], Arrays]]] = {
    "paper_perceptron": (_nothing, _perceptron),
    "paper_tucker": (
        lambda seed, n: _drawn(seed, M=(n, 2), **{"M'": (n + 1, 3), "M''": (2, n)}, C=(2, 3, n), Data=(n, n + 1, 2)),
        _tucker,
    ),
    "paper_kernels": (
        lambda seed, n: _drawn(seed, X=(n, 3), Q=(n + 1, 3), A=(n,), T=(n,), Bias=()),
        _kernels,
    ),
    # An even and an odd number of features, so that the last block is full once and ragged once.
    "paper_cnn": (lambda seed, n: _drawn(seed, Filter=(2, 3, 2), Image=(n + 3, n + 5, 2)), _cnn),
    "paper_graphical": (_nothing, _graphical),
    "dialect_block": (_nothing, _block),
    "paper_reasoning": (lambda seed, n: _drawn(seed, Emb=(6, n)), _reasoning),
}


CASES = {
    name: Case(f"shared {name}", (FOLDER / f"{name}.fuse").read_text(encoding="utf-8"), (), ({}, {}))
    for name in PROGRAMS
}


@pytest.mark.parametrize("file", sorted(file.name for file in FOLDER.glob("*.fuse")))
def test_the_copy_is_the_shared_program(file: str) -> None:
    if SHARED.is_dir():  # beside a checkout of the project alone there is none
        assert (FOLDER / file).read_bytes() == (SHARED / file).read_bytes()


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", ["numpy", "torch", "torch compiled", "jax"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_results(program: str, name: str, precision: Precision) -> None:
    draw, expected = PROGRAMS[program]
    run = engine(name, CASES[program], precision)
    for seed, size in ((1, 3), (2, 4)):
        given = draw(seed, size)
        got, right = run(given), expected(given)
        assert list(got) == list(right)
        for export, array in right.items():
            tolerance = TOLERANCE[precision]
            np.testing.assert_allclose(got[export], array, rtol=tolerance, atol=tolerance, err_msg=export)


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_the_block_writes_its_file(backend: str, tmp_path: Path) -> None:
    text = (FOLDER / "dialect_block.fuse").read_text(encoding="utf-8")
    result = Program(text, path=tmp_path / "block.fuse").compile(backend)()
    with np.load(tmp_path / "runs" / "mix.npz") as file:
        (name,) = file.files
        np.testing.assert_allclose(file[name], _block({})["Mix"], rtol=1e-5)
    assert list(result) == ["Mix", "Top", "Mean"]


def test_the_perceptron_answers_its_query() -> None:
    program = Program.from_file(FOLDER / "paper_perceptron.fuse")
    runner = program.compile("numpy")
    runner()
    assert runner.answers[0].rows == ((1.0,),)  # 1.9 - 0.7 is above 0
