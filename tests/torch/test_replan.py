"""Contractions of several calls, ordered anew: when, when not, and that nothing but rounding changes."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from fuse_torch import FuseModule, report
from fuse_torch.backend.passes import replan
from fuse_torch.backend.passes.graph import regions
from tests.support.contraction_programs import contractions
from tests.torch.compiling import Recorder, agree, calls

P, D = 96, 8


def _tensors(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32, grad: bool = True) -> list[torch.Tensor]:
    made = [torch.randn(shape, dtype=torch.float64) / max(1, shape[-1] if shape else 1) ** 0.5 for shape in shapes]
    return [tensor.to(dtype).requires_grad_(grad) for tensor in made]


def _fired() -> int:
    return {item.name: item.fired for item in report().passes}["replan"]


def _refused() -> str:
    return "\n".join({item.name: item.refused for item in report().passes}["replan"])


# When it fires ---------------------------------------------------------------------------------

_QKV = ((P, D), (P, D), (P, D))

SPELLINGS: dict[str, tuple[Callable[..., torch.Tensor], tuple[tuple[int, ...], ...]]] = {
    "matmul": (lambda q, k, v: (q @ k.T) @ v, _QKV),
    "mm": (lambda q, k, v: torch.mm(torch.mm(q, k.t()), v), _QKV),
    "einsum": (lambda q, k, v: torch.einsum("pq,qv->pv", torch.einsum("pd,qd->pq", q, k), v), _QKV),
    "einsum, implicit": (lambda q, k, v: torch.einsum("ij,jk", torch.einsum("id,jd", q, k), v), _QKV),
    "einsum, dots": (lambda q, k, v: torch.einsum("...pq,...qv->...pv", q @ k.mT, v), ((2, P, D),) * 3),
    "bmm": (lambda q, k, v: torch.bmm(q.bmm(k.transpose(1, 2)), v), ((2, P, D),) * 3),
    "broadcast": (lambda q, k, v: (q @ k.mT) @ v, ((2, 3, P, D), (P, D), (3, P, D))),
    "linear": (lambda q, k, v: F.linear(F.linear(q, k), v.T), _QKV),
    "linear with a bias": (lambda q, k, v, b: F.linear(F.linear(q, k), v.T, b), (*_QKV, (D,))),
    "multiply and sum": (lambda q, k, v: (q[:, None] * k).sum(-1) @ v, _QKV),
    "multiply and sum, kept": (lambda q, k, v: (q[:, None] * k).sum(-1, keepdim=True).squeeze(2) @ v, _QKV),
    "a number between": (lambda q, k, v: (q @ k.T / math.sqrt(D) * 3) @ v, _QKV),
    "minus": (lambda q, k, v: -(q @ k.T) @ v, _QKV),
    "a vector": (lambda a, b, c, v: a @ b @ c @ v, ((P, P), (P, P), (P, P), (P,))),
    "a thin matrix": (lambda a, b, c, v: a @ b @ c @ v, ((P, P), (P, P), (P, P), (P, 2))),
    "a diagonal": (lambda a, b, w, v: ((a @ b) * w) @ v, ((P, P), (P, P), (P,), (P,))),
    "a sum": (lambda a, b: (a @ b).sum(-1), ((P, P), (P, P))),
    "everything": (lambda a, b: (a @ b).sum(), ((P, P), (P, P))),
    "three and one": (lambda a, b, c, v: torch.einsum("ab,bc,cd->ad", a, b, c) @ v, ((P, P),) * 3 + ((P,),)),
    "transposed result": (lambda q, k, v: torch.einsum("pq,qv->vp", q @ k.T, v), _QKV),
    "new dimensions": (lambda q, k, v: (q @ k.T)[None] @ v[None], _QKV),
    "one tensor": (lambda x: x @ x.T @ x, ((P, D),)),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_costly_order_is_changed_in_every_spelling(name: str) -> None:
    function, shapes = SPELLINGS[name]
    recorder = Recorder(function)
    for dtype in (torch.float32, torch.float64):
        agree(recorder, function, _tensors(*shapes, dtype=dtype))
        assert _fired() == 1, _refused()
        assert "FLOP" in str(report())
    assert all(len(equation) < 3 for gm in recorder.graphs for equation in _operands(gm))


def _operands(gm: torch.fx.GraphModule) -> list[list[str]]:
    einsums = [node for node in gm.graph.nodes if node.target is torch.einsum]
    return [node.args[0].partition("->")[0].split(",") for node in einsums]


def test_what_was_saved_is_counted() -> None:
    Recorder(lambda q, k, v: (q @ k.T) @ v)(*_tensors(*_QKV))
    (found,) = (item for item in report().passes if item.name == "replan")
    before, after = 2 * 2 * P * P * D, 2 * 2 * P * D * D
    assert found.flops == before - after
    assert found.bytes == 4 * (P * P - D * D)
    assert found.saved == "270 of 295 kFLOP, 36.6 of 36.9 kB of intermediate results"


def test_a_program_of_two_equations() -> None:
    text = "input Q[p, d]; input K[q, d]; input V[q, v]\nS[p, q] = Q[p, d] K[q, d]\nY[p, v] = S[p, q] V[q, v]\nexport Y"
    recorder = Recorder(FuseModule(text))
    for size in (P, 2 * P):
        q, k, v = _tensors((size, D), (size, D), (size, D))
        torch.testing.assert_close(recorder(q, k, v), q @ (k.T @ v), rtol=1e-4, atol=1e-5)
        assert _fired() == 1
    assert len(recorder.graphs) == 2


class _Projection(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(P, P) / P**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight @ x


def test_across_modules() -> None:
    model = torch.nn.Sequential(_Projection(), _Projection())
    readout = torch.randn(P, 1)

    def function(x: torch.Tensor) -> torch.Tensor:
        return model(x) @ readout

    recorder = Recorder(function)
    agree(recorder, function, _tensors((P, P)))
    assert _fired() == 1


# When it does not ------------------------------------------------------------------------------


def _in_place(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    v = v.clone()
    scores = q @ k.T
    v.mul_(2)
    return scores @ v


def _mixed(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        scores = q @ k.T
    return scores @ v


def _used_twice(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    scores = q @ k.T
    return scores @ v + scores.sum()


KEPT: dict[str, tuple[Callable[..., torch.Tensor], tuple[tuple[int, ...], ...], str]] = {
    "best already": (lambda q, k, v: q @ (k.T @ v), _QKV, "no order is cheaper"),
    "small": (lambda q, k, v: (q @ k.T) @ v, ((8, 4), (8, 4), (8, 4)), "FLOPs only"),
    "saves little": (lambda a, b, c: a @ b @ c, ((110, 100), (100, 100), (100, 95)), "FLOPs only"),
    "used twice": (_used_twice, _QKV, ""),
    "a change between": (_in_place, _QKV, ""),
    "gradients end between": (_mixed, _QKV, ""),
    "a bias between": (lambda q, k, v, b: F.linear(q, k, b) @ v, (*_QKV, (P,)), ""),
    "not linear": (lambda q, k, v: torch.relu(q @ k.T) @ v, _QKV, ""),
    "another type between": (lambda q, k, v: ((q @ k.T).double() @ v.double()).float(), _QKV, ""),
    "a view that splits": (lambda q, k, v: (q @ k.T).view(2, P // 2, P) @ v, _QKV, ""),
    "a factor that is lost elsewhere": (lambda q, k, v: (q @ k.T * 1e-30) @ v, _QKV, "must stay where it is"),
    "a diagonal": (lambda q, k: torch.einsum("ii->i", q @ k.T) @ k, _QKV[:2], ""),
}


@pytest.mark.parametrize("name", KEPT)
def test_where_it_may_not_the_graph_stays_as_it_came(name: str) -> None:
    function, shapes, reason = KEPT[name]
    recorder = Recorder(function)
    agree(recorder, function, _tensors(*shapes))
    assert _fired() == 0
    assert reason in _refused()
    (changed,) = recorder.graphs
    untouched = Recorder(function, replan=False, attention=False)
    untouched(*_tensors(*shapes))
    assert str(changed.graph) == str(untouched.graphs[0].graph)


def test_it_can_be_switched_off_and_says_why_it_refuses(caplog: pytest.LogCaptureFixture) -> None:
    function, shapes = SPELLINGS["matmul"]
    recorder = Recorder(function, replan=False)
    agree(recorder, function, _tensors(*shapes))
    assert "replan" not in [item.name for item in report().passes]
    assert calls(recorder.graphs[0]) == ["getattr", "matmul", "matmul"]
    with caplog.at_level(logging.DEBUG, "fuse"):
        Recorder(KEPT["best already"][0])(*_tensors(*_QKV))
    assert "no order is cheaper" in caplog.text


def test_float16_keeps_its_order() -> None:
    function, shapes = SPELLINGS["matmul"]
    agree_half = [tensor.half() for tensor in _tensors(*shapes, grad=False)]
    assert torch.equal(Recorder(function)(*agree_half), function(*agree_half))
    assert "float16" in _refused()


def test_the_largest_intermediate_does_not_grow() -> None:
    # The cheapest order would make the outer product of a and c: 40,000 elements instead of 4,000.
    def function(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return torch.einsum("ij,ijk->ik", torch.einsum("i,j->ij", a, c), b)

    for shapes in (((200,), (200, 200, 3), (200,)), ((64,), (64, 64, 64), (64,))):
        recorder = Recorder(function)
        agree(recorder, function, _tensors(*shapes))
        for node in recorder.graphs[0].graph.nodes:
            value = node.meta.get("example_value")
            if node.op.startswith("call_") and isinstance(value, torch.Tensor):
                assert value.numel() <= max(shapes[0][0] ** 2, shapes[0][0] * shapes[1][-1])


# Numbers, layouts, sizes -----------------------------------------------------------------------


def test_later_views_find_the_layout_that_they_need() -> None:
    def function(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return torch.einsum("hpq,hqv->phv", q @ k.mT, v).view(-1).view(P, -1)

    shapes = ((1, P, D),) * 3
    agree(Recorder(function), function, _tensors(*shapes))
    assert _fired() == 1


def test_complex_numbers() -> None:
    def function(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (q @ k.T) @ v

    given = [torch.randn(shape, dtype=torch.complex64) for shape in _QKV]
    torch.testing.assert_close(Recorder(function)(*given), function(*given), rtol=1e-4, atol=1e-3)
    assert _fired() == 1


@pytest.mark.parametrize("inside", [True, False])
def test_autocast(inside: bool) -> None:
    def function(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=inside):
            return (q @ k.T) @ v

    recorder = Recorder(function)
    agree(recorder, function, _tensors(*_QKV), 6e-2)
    assert _fired() == 1
    with torch.autocast("cpu", torch.bfloat16):
        agree(Recorder(function), function, _tensors(*_QKV), 6e-2)
    assert _fired() == 1


def test_autocast_changed_between_two_products_is_a_border() -> None:
    def function(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            scores = q @ k.T
        return scores @ v.bfloat16()

    agree(Recorder(function), function, _tensors(*_QKV), 6e-2)
    assert _fired() == 0


def test_open_sizes_compile_once_without_guards_of_ours() -> None:
    def function(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (q @ k.T / q.shape[-1]) @ v

    recorder = Recorder(function, dynamic=True)
    agree(recorder, function, _tensors((P, D), (P + 1, D), (P + 1, D + 2)))
    assert _fired() == 1
    guards: list[list[object]] = []
    for switched in (True, False):
        again = Recorder(function, dynamic=True, replan=switched)
        again(*_tensors((P, D), (P + 1, D), (P + 1, D + 2)))
        value = next(n for n in again.graphs[0].graph.nodes if "l_q" in n.name).meta["example_value"]
        guards.append([str(guard.expr) for guard in value.fake_mode.shape_env.guards])
    assert guards[0] == guards[1]
    recorder = Recorder(function, dynamic=True)
    for p, q, d, v in ((P, P + 1, D, D + 2), (50, 70, 9, 4), (7, 5, 3, 2)):
        agree(recorder, function, _tensors((p, d), (q, d), (q, v)))
    assert len(recorder.graphs) == 1


def test_a_tree_whose_factor_is_another_tree() -> None:
    def function(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        first = (q @ k.T) @ v
        return F.linear(F.linear((first @ first.T) @ q, k, first.sum(-1)), v.T, v[0])

    agree(Recorder(function), function, _tensors(*_QKV), 1e-4)
    assert _fired() == 2


def test_long_chains() -> None:
    weight = torch.randn(16, 16) / 4

    def function(x: torch.Tensor, v: torch.Tensor, count: int) -> torch.Tensor:
        for _ in range(count):
            x = x @ weight
        return x @ v

    for count in (9, 200):
        given = _tensors((64, 16), (16,))
        agree(lambda x, v: Recorder(function)(x, v, count), lambda x, v: function(x, v, count), given)  # noqa: B023
        assert _fired() >= 1


def test_sizes_of_one_and_none() -> None:
    function, _ = SPELLINGS["matmul"]
    recorder = Recorder(function)
    for p, q, d, v in ((1, 300, 200, 300), (300, 1, 8, 200), (300, 300, 1, 1), (0, 5, 3, 4), (5, 0, 3, 4)):
        agree(recorder, function, _tensors((p, d), (q, d), (q, v)))


# Random products -------------------------------------------------------------------------------


@pytest.fixture
def eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any saving is enough."""
    monkeypatch.setattr(replan, "LEAST_FLOPS", 1)
    monkeypatch.setattr(replan, "LEAST_SHARE", 0.0)


SIZES = ({"a": 2, "b": 3, "c": 5, "d": 4, "e": 6, "f": 7}, {"a": 4, "b": 2, "c": 3, "d": 7, "e": 5, "f": 2})


def random_product(seed: int) -> int:
    """Compare one random product with eager mode at two sizes; how often the pass fired."""
    program = contractions(seed)
    dtype = (torch.float32, torch.float64, torch.float64, torch.bfloat16)[seed % 4]
    recorder = Recorder(program.function, dynamic=(None, True)[seed % 2])
    fired = 0
    for sizes in SIZES:
        tensors = _tensors(*program.shapes(sizes), dtype=dtype)
        agree(recorder, program.function, tensors)
        fired += _fired()
    assert len(recorder.graphs) <= 2, program.text
    return fired


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("block", range(3))
def test_random_products_agree(block: int) -> None:
    torch.manual_seed(block)
    fired = [random_product(seed) for seed in range(8 * block, 8 * block + 8)]
    assert any(fired)


def test_regions_end_where_something_changes() -> None:
    graphs = Recorder(_in_place, replan=False)
    graphs(*_tensors(*_QKV, grad=False))
    graph = graphs.graphs[0].graph
    found = {node.name: region.number for node, region in regions(graph).items()}
    products = [number for name, number in found.items() if name in ("scores", "matmul_1", "matmul")]
    assert len(set(products)) == 2
