"""memory_limit in modules: a call that would hold too much runs block by block, and gives what the whole gives."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.autograd import forward_ad
from torch.profiler import ProfilerActivity, profile

import fuse_torch
from fuse_ref import ExecutionConfig, LimitError, RouteError
from fuse_ref.plan.key import plan_key
from fuse_torch import FuseModule
from tests.torch.compiling import Recorder

ATTENTION = """\
input Q[p, d]
input K[q, d]
input V[q, v]
S[p, q] = exp(Q[p, d] K[q, d])
Y[p, v] = S[p, q] V[q, v]
"""
# A sum over blocks, a result that no block changes, two that are joined, parameters, and a literal.
MANY = """\
axis d = 4, o = 3
input X[b, d]
param W[d, o]
A[o] = [0.1, -0.2, 0.3]
P[b, o] = relu(X[b, d] W[d, o] + A[o])
E[b, o, k] = P[b, o] exp(Z[k])
L = E[b, o, k] E[b, o, k]
M = W[d, o] W[d, o]
R[b] max= E[b, o, k]
export L, M, R
"""
DROPPED = "input X[i, j]\ninput Z[k]\nY[i] = sum(j, k: dropout(exp(X[i, j] Z[k]), 0.5))\nexport Y"


def limited(limit: int | None, **more: Any) -> ExecutionConfig:
    return ExecutionConfig(memory_limit=limit, disabled_passes=("replan",), **more)


def pair(text: str, limit: int, **more: Any) -> tuple[FuseModule, FuseModule]:
    """The module without and with the limit, of equal parameters."""
    whole, split = FuseModule(text, config=limited(None, **more)), FuseModule(text, config=limited(limit, **more))
    split.load_state_dict(whole.state_dict())
    return whole, split


def attention(p: int, q: int, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    return [torch.randn(shape, dtype=dtype) * 0.3 for shape in ((p, 4), (q, 4), (q, 3))]


def many(b: int, k: int, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    return [torch.randn(b, 4, dtype=dtype), torch.randn(k, dtype=dtype)]


def called(call: Callable[..., Any], given: list[torch.Tensor]) -> list[torch.Tensor]:
    made = call(*given) if len(given) == 3 else call(given[0], Z=given[1])
    return list(made.values()) if isinstance(made, dict) else [made]


def outcome(call: Callable[..., Any], module: FuseModule, given: list[torch.Tensor]) -> list[torch.Tensor]:
    """Results and the gradients of a weighted sum of their squares."""
    leaves = [value.detach().clone().requires_grad_() for value in given]
    module.zero_grad()
    results = called(call, leaves)
    torch.stack([(number + 1) * value.square().sum() for number, value in enumerate(results)]).sum().backward()
    grads = [leaf.grad for leaf in (*leaves, *module.parameters())]
    return [value.detach().clone() for value in (*results, *(grad for grad in grads if grad is not None))]


def same(one: list[torch.Tensor], two: list[torch.Tensor]) -> None:
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        tolerance = 1e-4 if a.dtype == torch.float32 else 1e-10
        scale = max(1.0, float(b.abs().max())) if b.numel() else 1.0
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize(("dtype", "factor"), [(torch.float32, 1), (torch.float64, 2)])
@pytest.mark.parametrize(
    ("text", "limit", "values", "sizes"),
    [
        (ATTENTION, 9_000, attention, [(60, 50), (61, 47), (10, 9), (1, 50), (70, 1), (0, 50), (5, 0)]),
        (MANY, 6_000, many, [(40, 30), (41, 29), (3, 4), (1, 30), (40, 1), (3, 1)]),
    ],
)
def test_blocks_give_what_the_whole_gives(
    text: str, limit: int, values: Any, sizes: list[tuple[int, int]], dtype: torch.dtype, factor: int
) -> None:
    whole, split = pair(text, limit * factor, precision=str(dtype).removeprefix("torch."))
    for size in sizes:
        for _ in range(2):
            given = values(*size, dtype)
            same(outcome(split, split, given), outcome(whole, whole, given))


def test_the_number_of_blocks_is_the_runners() -> None:
    _, split = pair(ATTENTION, 9_000)
    splitting = split._blueprint.code().splitting
    assert splitting is not None
    found = splitting.blocks(dict(zip("QKV", attention(60, 50), strict=True)), torch.float32)
    assert found is not None
    assert (found.size, found.count) == (7, 50)
    assert splitting.blocks(dict(zip("QKV", attention(10, 9), strict=True)), torch.float32) is None


@pytest.mark.parametrize(("text", "backend"), [(ATTENTION, "aot_eager"), (MANY, "eager")])
def test_compiled_calls_of_any_size_are_three_graphs(text: str, backend: str) -> None:
    """One for the first size, one for sizes that fit, one for those that do not: whatever their blocks are."""
    torch.compiler.reset()
    whole, split = pair(text, 9_000 if text == ATTENTION else 6_000)
    counter = CompileCounterWithBackend(backend)
    compiled = torch.compile(split, backend=counter, fullgraph=True)
    values: Any = attention if text == ATTENTION else many
    for size in [(60, 50), (10, 9), (61, 47), (40, 57), (8, 7)]:
        given = values(*size)
        same(outcome(compiled, split, given), outcome(whole, whole, given))
    assert counter.frame_count == 3
    with pytest.raises(LimitError, match="memory_limit="):
        called(compiled, [value.requires_grad_() for value in values(5000, 5000)])
    assert counter.frame_count == 3
    with torch.inference_mode():
        given = values(60, 50)
        made = called(compiled, given)
    same(made, outcome(whole, whole, given)[: len(made)])


def test_our_back_end_takes_the_operator() -> None:
    whole, split = pair(ATTENTION, 9_000)
    recorder = Recorder(split)
    for given in (attention(60, 50), attention(55, 48)):
        same(outcome(recorder, split, given), outcome(whole, whole, given))
    (call,) = [node for node in recorder.graphs[0].graph.nodes if "split" in str(node.target)]
    assert call.target is torch.ops.fuse_torch.split.default


def test_refusals_say_the_numbers() -> None:
    text = "input A[i, j]\nG[i, k] = A[i, j] A[j, k]\nH[i, k] = exp(G[i, j] G[j, k])\nexport H"
    module = FuseModule(text, config=limited(50_000))
    torch.compiler.reset()
    for call in (module, torch.compile(module, backend="eager")):
        assert call(torch.zeros(40, 40)).shape == (40, 40)
        with pytest.raises(LimitError, match=r"120000 bytes at once, more than memory_limit=50000.*\(100, 100\)"):
            call(torch.zeros(100, 100))
        assert call(torch.zeros(30, 30)).shape == (30, 30)
    with pytest.raises(LimitError, match="240000 bytes"):
        module.double()(torch.zeros(100, 100, dtype=torch.float64))


@pytest.mark.parametrize(
    ("text", "limit", "words"),
    [
        (
            "axis i = 100\ninput X[i]\nY[i, j] = X[i] X[j]",
            2_000,
            r"40400 bytes .* Y needs an array of shape \(100, 100\)",
        ),
        ("axis i = 100\nparam W[i]\ninput X[b]\nY[b] = X[b] W[i]", 300, "400 bytes .* what is given is that large"),
    ],
)
def test_what_no_call_can_do_is_refused_when_the_module_is_made(text: str, limit: int, words: str) -> None:
    with pytest.raises(LimitError, match=words):
        FuseModule(text, config=limited(limit))
    FuseModule(text, config=limited(100_000))


def test_copies_and_runners_keep_the_limit() -> None:
    whole, split = pair(ATTENTION, 9_000)
    given = attention(60, 50)
    carried = FuseModule(ATTENTION, config=limited(9_000), state="carry")
    for module in (copy.deepcopy(split), pickle.loads(pickle.dumps(split)), carried):
        made = module(*given)
        same([made[0] if module is carried else made], [whole(*given)])
        with pytest.raises(LimitError):
            module(*attention(5000, 5000))
    same([fuse_torch.compile(ATTENTION, config=limited(9_000)).module(*given)], [whole(*given)])


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_see_what_dropout_drew(compiled: bool) -> None:
    torch.compiler.reset()
    module = FuseModule(DROPPED, config=limited(20_000))
    call = torch.compile(module, backend="aot_eager", fullgraph=True) if compiled else module
    x, z = torch.zeros(20, 30), torch.ones(30, requires_grad=True)
    for leaf in (x.clone().requires_grad_(), x.clone().requires_grad_()):
        result = call(leaf, z)
        result.sum().backward()
        assert leaf.grad is not None
        # Of exp(0) each term that is kept gives 2, and as much to the gradient.
        torch.testing.assert_close(leaf.grad.sum(1), result.detach())
        assert 0.45 < float(result.detach().mean()) / (2 * 900) < 0.55
    module.eval()
    torch.testing.assert_close(call(x, z), torch.full((20,), 900.0))


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # torch's own jacfwd uses it
def test_transformations_go_through_blocks() -> None:
    whole, split = pair(ATTENTION, 9_000)
    given = tuple(attention(60, 50))

    def loss(module: FuseModule) -> Callable[..., torch.Tensor]:
        return lambda *values: module(*values).square().sum()

    same([torch.func.grad(loss(split))(*given)], [torch.func.grad(loss(whole))(*given)])
    same(list(torch.func.jvp(split, given, given)), list(torch.func.jvp(whole, given, given)))
    batches = [value.expand(2, *value.shape) for value in given]
    same([torch.func.vmap(split)(*batches)], [torch.func.vmap(whole)(*batches)])
    seconds = []
    for module in (whole, split):
        leaves = [value.clone().requires_grad_() for value in given]
        (first,) = torch.autograd.grad(module(*leaves).square().sum(), leaves[:1], create_graph=True)
        seconds.append(list(torch.autograd.grad(first.square().sum(), leaves)))
    same(*seconds)


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
def test_what_the_operator_cannot_do_is_an_error_and_no_wrong_number() -> None:
    _, split = pair(ATTENTION, 9_000)
    given = attention(60, 50)
    torch.compiler.reset()
    compiled = torch.compile(split, backend="eager")
    leaves = [value.clone().requires_grad_() for value in given]
    (first,) = torch.autograd.grad(compiled(*leaves).square().sum(), leaves[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.square().sum().backward()
    key = f"{plan_key(split.plan)} False 9000"
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(value, value) for value in given]
        with pytest.raises(RuntimeError, match="forward mode AD"):
            torch.ops.fuse_torch.split.default(duals, None, key, torch.float32, None, False)


@pytest.mark.parametrize("compiled", [False, True])
def test_autocast_gives_the_type_that_it_gives_the_whole(compiled: bool) -> None:
    torch.compiler.reset()
    whole, split = pair(ATTENTION, 9_000)
    given = attention(60, 50)
    call = torch.compile(split, backend="aot_eager") if compiled else split
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected, found = whole(*given), call(*given)
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected.float(), rtol=5e-2, atol=1e-1)


def test_exports_hold_blocks_of_fixed_sizes_and_bounds_of_open_ones() -> None:
    whole, split = pair(ATTENTION, 9_000)
    given = tuple(attention(60, 50))
    same([torch.export.export(split, given).module()(*given)], [whole(*given)])
    p, q = torch.export.Dim("p", max=20), torch.export.Dim("q", max=20)
    shapes = {"Q": {0: p}, "K": {0: q}, "V": {0: q}}
    exported = torch.export.export(split, tuple(attention(10, 9)), dynamic_shapes=shapes).module()
    few = attention(20, 19)
    same([exported(*few)], [whole(*few)])
    open_sizes = {"Q": {0: torch.export.Dim("p")}, "K": {0: torch.export.Dim("q")}, "V": {0: torch.export.Dim("q")}}
    with pytest.raises(RouteError, match="FUSE229"):
        torch.export.export(split, given, dynamic_shapes=open_sizes, strict=False)


# What is really held ----------------------------------------------------------------------------


def allocated(call: Callable[[], object]) -> int:
    """The most bytes that `call` held at once."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        call()
    held = most = 0
    for event in recorded.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


@pytest.mark.parametrize("compiled", [False, True])
def test_measured_memory_stays_under_the_limit(compiled: bool) -> None:
    torch.compiler.reset()
    limit = 700_000
    whole, split = pair(ATTENTION, limit)
    given = attention(800, 700)  # 2,240,000 bytes for the scores
    call = torch.compile(split, backend="aot_eager", fullgraph=True) if compiled else split
    inputs = sum(value.nbytes for value in given)

    def forward(module: Callable[..., torch.Tensor]) -> Callable[[], object]:
        return lambda: module(*given)

    def both(module: Callable[..., torch.Tensor]) -> Callable[[], object]:
        leaves = [value.clone().requires_grad_() for value in given]
        return lambda: module(*leaves).sum().backward()

    for measured, least in ((forward, 4_000_000), (both, 6_000_000)):
        measured(call)()
        assert allocated(measured(call)) + inputs <= (limit if measured is forward else 3 * limit)
        assert allocated(measured(whole)) >= least
