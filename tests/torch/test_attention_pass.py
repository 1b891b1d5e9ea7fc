"""Attention written out becomes one call: in every spelling, with exact masks, and not where it may not."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from fuse_torch import FuseModule, report
from tests.support.attention_programs import attention
from tests.torch.compiling import Recorder, agree, calls

Made = torch.Tensor
Function = Callable[..., Made]

INF = math.inf
SDPA = "scaled_dot_product_attention"


def tensors(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32, grad: bool = True) -> list[Made]:
    return [torch.randn(shape, dtype=torch.float64).to(dtype).requires_grad_(grad) for shape in shapes]


def fired() -> int:
    return {item.name: item.fired for item in report().passes}["attention"]


def refused() -> str:
    return "\n".join({item.name: item.refused for item in report().passes}["attention"])


def shapes_of(p: int, q: int) -> tuple[tuple[int, ...], ...]:
    return (2, 3, p, 8), (2, 3, q, 8), (2, 3, q, 4)


# Spellings -------------------------------------------------------------------------------------


def _arange(q: Made, k: Made, v: Made) -> Made:
    rows, columns = torch.arange(q.size(-2)), torch.arange(k.size(-2))
    return torch.where(columns <= rows[:, None], q @ k.mT, -INF).softmax(-1) @ v


SPELLINGS: dict[str, tuple[Function, tuple[tuple[int, ...], ...]]] = {
    "two dimensions": (lambda q, k, v: torch.softmax(q @ k.T / math.sqrt(8), 1) @ v, ((5, 8), (6, 8), (6, 4))),
    "bmm": (
        lambda q, k, v: torch.bmm(F.softmax(q.bmm(k.transpose(1, 2)), dim=2), v),
        ((2, 5, 8), (2, 6, 8), (2, 6, 8)),
    ),
    "scaled queries": (lambda q, k, v: ((q * 8**-0.5) @ k.mT).softmax(-1) @ v, shapes_of(5, 6)),
    "scaled scores": (lambda q, k, v: (0.3 * (q @ k.transpose(-2, -1))).softmax(dim=-1) @ v, shapes_of(5, 6)),
    "negative": (lambda q, k, v: (-(q @ k.mT)).softmax(-1) @ v, shapes_of(5, 6)),
    "a tensor's scale": (lambda q, k, v, t: (q @ k.mT * t).softmax(-1) @ v, (*shapes_of(5, 6), ())),
    "einsum": (
        lambda q, k, v: torch.einsum("bhqk,bkhd->bqhd", torch.einsum("bqhd,bkhd->bhqk", q, k).softmax(-1), v),
        ((2, 5, 3, 8), (2, 6, 3, 8), (2, 6, 3, 8)),
    ),
    "rows last": (
        lambda q, k, v: torch.einsum("kq,kd->qd", torch.einsum("qd,kd->kq", q, k).softmax(0), v),
        ((5, 8), (6, 8), (6, 8)),
    ),
    "keys of all heads": (
        lambda q, k, v: torch.einsum("bhqk,bkd->bhqd", torch.einsum("bhqd,bkd->bhqk", q, k).softmax(-1), v),
        ((2, 3, 5, 8), (2, 6, 8), (2, 6, 8)),
    ),
    "broadcast": (lambda q, k, v: (q @ k.mT).softmax(-1) @ v, ((2, 3, 5, 8), (3, 6, 8), (1, 3, 6, 4))),
    "five dimensions": (
        lambda q, k, v: (q @ k.mT).softmax(-1) @ v,
        ((2, 3, 2, 5, 8), (2, 3, 2, 6, 8), (2, 3, 2, 6, 8)),
    ),
    "one query": (lambda q, k, v: (q @ k.mT).softmax(-1) @ v, shapes_of(1, 6)),
    "one key": (lambda q, k, v: (q @ k.mT).softmax(-1) @ v, shapes_of(5, 1)),
    "dropout that drops nothing": (lambda q, k, v: F.dropout((q @ k.mT).softmax(-1), 0.0) @ v, shapes_of(5, 6)),
    "dropout in evaluation": (lambda q, k, v: F.dropout((q @ k.mT).softmax(-1), 0.5, False) @ v, shapes_of(5, 6)),
    "heads joined": (
        lambda q, k, v: ((q @ k.mT).softmax(-1) @ v).transpose(1, 2).contiguous().view(2, 5, -1),
        shapes_of(5, 6),
    ),
    "a view of the result": (lambda q, k, v: ((q @ k.mT).softmax(-1) @ v).view(6, 5, 4), shapes_of(5, 6)),
    "a type it has already": (
        lambda q, k, v: F.softmax(q @ k.mT, dim=-1).to(q.dtype) @ v,
        shapes_of(5, 6),
    ),
    "causal, tril": (
        lambda q, k, v: (q @ k.mT / 2).masked_fill(torch.tril(torch.ones(5, 6)) == 0, -INF).softmax(-1) @ v,
        shapes_of(5, 6),
    ),
    "causal, triu": (
        lambda q, k, v: (q @ k.mT).masked_fill(torch.ones(5, 6, dtype=torch.bool).triu(1), -1e9).softmax(-1) @ v,
        shapes_of(5, 6),
    ),
    "causal, added": (
        lambda q, k, v: (q @ k.mT + torch.triu(torch.full((5, 6), -INF), diagonal=1)).softmax(-1) @ v,
        shapes_of(5, 6),
    ),
    "an added triangle without a row": (
        lambda q, k, v: (q @ k.mT + torch.triu(torch.full((5, 6), -INF, dtype=q.dtype))).softmax(-1) @ v,
        shapes_of(5, 6),
    ),
    "causal, positions": (_arange, shapes_of(5, 6)),
    "causal, numbers": (
        lambda q, k, v: (
            torch.where(torch.tril(torch.ones(5, 6)).bool(), q @ k.mT, torch.finfo(q.dtype).min).softmax(-1) @ v
        ),
        shapes_of(5, 6),
    ),
}

SPELLINGS |= {
    "one tensor": (lambda x: (x @ x.mT).softmax(-1) @ x, ((2, 3, 5, 8),)),
    "one tensor, masked": (
        lambda x: (x @ x.T).masked_fill(torch.ones(5, 5).triu(1) == 1, -INF).softmax(-1).matmul(x),
        ((5, 8),),
    ),
    "a triangle of one row": (
        lambda q, k, v: (q @ k.mT).masked_fill(torch.ones(1, 6).tril() == 0, -INF).softmax(-1) @ v,
        shapes_of(5, 6),
    ),
    "a triangle that is turned": (
        lambda q, k, v: torch.einsum(
            "kq,kd->qd", torch.einsum("qd,kd->kq", q, k).masked_fill(torch.ones(6, 5).tril() == 0, -INF).softmax(0), v
        ),
        ((5, 8), (6, 8), (6, 8)),
    ),
}

CAUSAL = [name for name in SPELLINGS if name.startswith("causal")] + ["one tensor, masked"]


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_becomes_one_call(name: str) -> None:
    function, shapes = SPELLINGS[name]
    recorder = Recorder(function)
    dtypes = (torch.float32, torch.float64) if name not in CAUSAL else (torch.float32,)
    for dtype in dtypes:
        agree(recorder, function, tensors(*shapes, dtype=dtype))
        assert fired() == 1, refused()
    for gm in recorder.graphs:
        assert SDPA in calls(gm)
        assert "softmax" not in calls(gm)
        (call,) = (node for node in gm.graph.nodes if getattr(node.target, "__name__", "") == SDPA)
        assert call.kwargs.get("is_causal", False) == (name in CAUSAL)


def test_what_was_saved_is_told() -> None:
    function, shapes = SPELLINGS["scaled scores"]
    Recorder(function)(*tensors(*shapes))
    (found,) = (item for item in report().passes if item.name == "attention")
    assert found.bytes == 2 * 4 * (2 * 3 * 5 * 6)
    assert found.saved == "1.44 kB of scores and weights"


def test_a_program_of_equations() -> None:
    text = (
        "input Q[b, h, p, d]; input K[b, h, q, d]; input V[b, h, q, v]\n"
        "S[b, h, p, q.] = softmax(Q[b, h, p, d] K[b, h, q, d] / 4)\n"
        "Y[b, h, p, v] = S[b, h, p, q] V[b, h, q, v]\nexport Y"
    )
    module = FuseModule(text)
    for shapes in (shapes_of(5, 6), shapes_of(9, 4)):
        q, k, v = tensors(*shapes)
        recorder = Recorder(module)
        torch.testing.assert_close(recorder(q, k, v), (q @ k.mT / 4).softmax(-1) @ v)
        assert SDPA in calls(recorder.graphs[0])


# What it leaves --------------------------------------------------------------------------------


def _weights_too(q: Made, k: Made, v: Made) -> Made:
    weights = (q @ k.mT).softmax(-1)
    return weights @ v + weights.sum()


def _scores_too(q: Made, k: Made, v: Made) -> Made:
    scores = q @ k.mT
    return scores.softmax(-1) @ v + scores.sum()


def _full(*shape: int) -> Made:
    return torch.full(shape, -INF)


LEFT: dict[str, tuple[Function, tuple[tuple[int, ...], ...], str]] = {
    "weights used": (_weights_too, shapes_of(5, 6), "the weights (weights) are used 2 times"),
    "scores used": (_scores_too, shapes_of(5, 6), "scores is used 2 times"),
    "a mask that learns": (
        lambda q, k, v, m: (q @ k.mT + m).softmax(-1) @ v,
        (*shapes_of(5, 6), (5, 6)),
        "mask l_m_ takes part in training",
    ),
    "a weak fill": (
        lambda q, k, v: (q @ k.mT).masked_fill(q.sum() > 0, -1e4).softmax(-1) @ v,
        shapes_of(5, 6),
        "scores that are masked become -10000",
    ),
    "a number, then a mask": (
        lambda q, k, v: ((q @ k.mT).masked_fill(q.sum() > 0, -1e9) + q.detach()[..., :6]).softmax(-1) @ v,
        ((2, 3, 5, 8), (2, 3, 6, 8), (2, 3, 6, 8)),
        "one mask is added and another sets scores",
    ),
    "added and set": (
        lambda q, k, v: (q @ k.mT + q.detach()[..., :6]).masked_fill(q.detach()[..., :6] > 0, -INF).softmax(-1) @ v,
        ((2, 3, 5, 8), (2, 3, 6, 8), (2, 3, 6, 8)),
        "one mask is added and another sets scores",
    ),
    "two masks of two kinds": (
        lambda q, k, v: ((q @ k.mT).masked_fill(q.detach()[..., :6] > 0, -INF) + _full(5, 6).triu(2)).softmax(-1) @ v,
        ((2, 3, 5, 8), (2, 3, 6, 8), (2, 3, 6, 8)),
        "one mask is added and another sets scores",
    ),
    "an added triangle that is turned": (
        lambda q, k, v: torch.einsum(
            "kq,kd->qd", (torch.einsum("qd,kd->kq", q, k) + _full(4, 5).triu(1)).softmax(0), v
        ),
        ((5, 8), (4, 8), (4, 8)),
        "not over the queries and keys",
    ),
    "another precision": (
        lambda q, k, v: (F.softmax(q @ k.mT, dim=-1, dtype=torch.float64) @ v.double()).float(),
        shapes_of(5, 6),
        "scores are torch.float32",
    ),
    "softmax over queries": (
        lambda q, k, v: (q @ k.mT).softmax(-2) @ v,
        shapes_of(5, 6),
        "sums along other dimensions than the softmax",
    ),
    "a sum over heads": (
        lambda q, k, v: torch.einsum("bhqk,bhkd->bqd", (q @ k.mT).softmax(-1), v),
        shapes_of(5, 6),
        "sums along other dimensions",
    ),
    "values without a dimension": (
        lambda q, k, v: torch.einsum("qk,k->q", (q @ k.mT).softmax(-1), v),
        ((5, 8), (6, 8), (6,)),
        "the values have 0 dimensions of their own",
    ),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_it_may_not_touch_stays_and_the_report_says_why(name: str) -> None:
    function, shapes, reason = LEFT[name]
    recorder = Recorder(function)
    agree(recorder, function, tensors(*shapes))
    assert fired() == 0
    assert reason in refused()
    untouched = Recorder(function, attention=False, replan=False)
    untouched(*tensors(*shapes))
    assert str(recorder.graphs[0].graph) == str(untouched.graphs[0].graph)


@pytest.mark.parametrize("scale", [INF, -INF, math.nan])
def test_a_scale_without_end_stays(scale: float) -> None:
    def function(q: Made, k: Made, v: Made) -> Made:
        return (q @ k.mT * scale).softmax(-1) @ v  # the fast kernel has 0 where all scores of a row are -inf

    given = [torch.ones(2, 3, 4), -torch.ones(2, 5, 4), torch.ones(2, 5, 4)]
    assert bool(Recorder(function)(*given).isnan().all())
    assert (fired(), "no finite number" in refused()) == (0, True)


def test_active_dropout_stays() -> None:
    function = SPELLINGS["dropout in evaluation"][0]
    recorder = Recorder(lambda q, k, v: F.dropout((q @ k.mT).softmax(-1), 0.5) @ v)
    recorder(*tensors(*shapes_of(5, 6)))
    assert "dropout is active" in refused()
    assert SDPA not in calls(recorder.graphs[0])
    Recorder(function, attention=False)(*tensors(*shapes_of(5, 6)))
    assert "attention" not in [item.name for item in report().passes]


# Sizes, autocast, random spellings -------------------------------------------------------------


def test_open_sizes_compile_once() -> None:
    def function(q: Made, k: Made, v: Made, m: Made) -> Made:
        return ((q @ k.mT) * q.size(-1) ** -0.5).masked_fill(m, -INF).softmax(-1) @ v

    recorder = Recorder(function, dynamic=True)
    for b, p, q, d, v in ((2, 5, 6, 8, 4), (3, 9, 7, 6, 5), (4, 2, 3, 5, 8)):
        mask = torch.rand(p, q) > 0.5
        agree(
            lambda *given: recorder(*given, mask),  # noqa: B023
            lambda *given: function(*given, mask),  # noqa: B023
            tensors((b, 3, p, d), (b, 3, q, d), (b, 3, q, v)),
        )
        assert fired() == 1
    assert len(recorder.graphs) == 1


@pytest.mark.parametrize("ambient", [True, False])
def test_autocast(ambient: bool) -> None:
    def function(q: Made, k: Made, v: Made) -> Made:
        with torch.autocast("cpu", torch.bfloat16, enabled=not ambient):
            return ((q @ k.mT) / 2).softmax(-1) @ v

    recorder = Recorder(function)
    with torch.autocast("cpu", torch.bfloat16, enabled=ambient):
        agree(recorder, function, tensors(*shapes_of(5, 6)), 6e-2)
    assert fired() == 1, refused()


def test_transformed_functions_stay() -> None:
    def function(q: Made, k: Made, v: Made) -> Made:
        return (q @ k.T).softmax(-1) @ v

    given = tensors((2, 5, 8), (2, 6, 8), (2, 6, 8))
    for transformed in (torch.vmap(function), torch.vmap(torch.func.grad(lambda *t: function(*t).sum()))):
        agree(Recorder(transformed), transformed, given)
        assert fired() == 0


def random_attention(seed: int) -> int:
    """Compare one random spelling with eager mode at two sizes; how often the pass fired."""
    program = attention(seed)
    dtype = (torch.float32, torch.float64, torch.float32, torch.bfloat16)[seed % 4]
    recorder = Recorder(program.function, dynamic=(None, True)[seed % 2])
    count = 0
    for sizes in ({"b": 2, "h": 3, "p": 5, "q": 6, "d": 8, "v": 4}, {"b": 3, "h": 2, "p": 4, "q": 7, "d": 5, "v": 5}):
        given = program.inputs(sizes, dtype, seed)
        agree(
            lambda *some: recorder(*some, *given[3:]),  # noqa: B023
            lambda *some: program.function(*some, *given[3:]),  # noqa: B023
            given[:3],
        )
        count += fired()
    assert len(recorder.graphs) <= 2, program.text
    return count


@pytest.mark.parametrize("block", range(2))
def test_random_spellings_agree(block: int) -> None:
    found = [random_attention(seed) for seed in range(7 * block, 7 * block + 7)]
    assert sum(map(bool, found)) >= 4
