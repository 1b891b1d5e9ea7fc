"""Streams in modules: state in buffers or carried, against NumPy; compiled, saved, batched."""

from __future__ import annotations

import copy
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils.checkpoint import checkpoint

from fuse_ref import ExecutionConfig, InMemoryWeightStore, Program, RuntimePolicies
from fuse_ref.errors import GradientError, InputError
from fuse_torch import FuseModule
from tests.evaluate.test_streams import PROGRAMS, _sequence
from tests.support.recurrence_programs import numbers

DOUBLE = ExecutionConfig(precision="float64")
RNN = "param W[i, j]\nparam V[i, k]\nH[i, *t+1] = tanh(W[i, j] H[j, *t] + V[i, k] U[k, t])\nY[o, t] = R[o, i] H[i, *t+1]\nexport Y"
SIZES = {"i": 3, "j": 3, "k": 2}


def _rnn(state: Literal["buffer", "carry"] = "buffer") -> FuseModule:
    torch.manual_seed(0)
    return FuseModule(RNN, sizes=SIZES, config=DOUBLE, state=state)


def _given(length: int, seed: int = 0) -> dict[str, torch.Tensor]:
    made = torch.Generator().manual_seed(seed)
    return {
        "U": torch.randn(2, length, dtype=torch.float64, generator=made),
        "R": torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(9)),
    }


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_ways_to_keep_state(name: str) -> None:
    text, fixed, shapes = PROGRAMS[name]
    draw = numbers(0)
    same = dict(fixed(draw))
    runner, torch_runner = (Program(text).compile(engine, config=DOUBLE) for engine in ("numpy", "torch"))
    kept, carried, state = FuseModule(text, config=DOUBLE), FuseModule(text, config=DOUBLE, state="carry"), None
    for length in (5, 3, 1, 4):
        given = {**same, **_sequence(draw, shapes, length)}
        expected, beside = runner(given), torch_runner(given)
        tensors = {key: torch.from_numpy(value) for key, value in given.items()}
        one = kept(tensors)
        other, state = carried(tensors, state=state)
        for key, value in expected.items():
            for found in (one, other):
                own = found if len(expected) == 1 else found[key]
                np.testing.assert_allclose(own.numpy(), value, 1e-11, 1e-11)
            np.testing.assert_allclose(beside[key].numpy(), value, 1e-11, 1e-11)


def test_parts_equal_one_long_call() -> None:
    whole = _rnn()
    parts = copy.deepcopy(whole)
    given = _given(12)
    expected = whole(**given)
    found = torch.cat([parts(U=given["U"][:, a:b], R=given["R"]) for a, b in ((0, 5), (5, 6), (6, 12))], 1)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(parts._state_H, whole._state_H)
    parts.reset_state()
    torch.testing.assert_close(parts(**given), expected)


def test_state_is_saved_with_the_module() -> None:
    module, other = _rnn(), _rnn()
    module(**_given(4))
    other.load_state_dict(module.state_dict())
    torch.testing.assert_close(other(**_given(3, 1)), module(**_given(3, 1)))
    # A state whose size comes from an input.
    batched = [FuseModule("H[b, *t+1] = 0.5 H[b, *t] + U[b, t]\nexport H") for _ in range(2)]
    assert "_state_H" not in batched[0].state_dict()
    batched[0](U=torch.ones(3, 2))
    batched[1].load_state_dict(batched[0].state_dict())
    assert batched[1](U=torch.ones(3, 1)).tolist() == batched[0](U=torch.ones(3, 1)).tolist()
    with pytest.raises(InputError, match="shape"):
        batched[0](U=torch.ones(4, 1))


def test_a_start_that_the_call_gives() -> None:
    module, carried = _rnn(), _rnn(state="carry")
    given = _given(3)
    start = torch.ones(3, dtype=torch.float64)
    weights = InMemoryWeightStore({name: value.detach().numpy() for name, value in module.named_parameters()})
    runner = Program(RNN).compile("numpy", config=DOUBLE, policies=RuntimePolicies(weight_store=weights))
    expected = runner({key: value.numpy() for key, value in (given | {"H": start}).items()})["Y"]
    module(**given)
    for found in (module(**given, H=start), module({**given, "H": start}), carried(**given, H=start)[0]):
        np.testing.assert_allclose(found.detach().numpy(), expected, 1e-12)
    assert module.initial_state()["H"].shape == carried.initial_state()["H"].shape == (1, 3)
    with pytest.raises(InputError, match="no stream"):
        carried(**given, state={"G": start})


def test_truncated_backpropagation() -> None:
    """A carried state has a gradient, one in a buffer has none."""
    carried, kept = _rnn(state="carry"), _rnn()
    first, second = _given(3), _given(4, 1)
    _, state = carried(**first)
    result, _ = carried(**second, state=state)
    result.sum().backward()
    through = carried.W.grad.clone()
    kept(**first)
    kept(**second).sum().backward()
    assert not torch.allclose(through, kept.W.grad)
    carried.zero_grad()
    result, _ = carried(**second, state={"H": state["H"].detach()})
    result.sum().backward()
    torch.testing.assert_close(carried.W.grad, kept.W.grad)


def test_no_gradient_is_wrong_in_silence() -> None:
    module, carried = _rnn(), _rnn(state="carry")
    given = _given(3)
    with pytest.raises(GradientError, match=r"torch\.func"):
        torch.func.grad(lambda u: module(U=u, R=given["R"]).sum())(given["U"])
    u = given["U"].clone().requires_grad_()
    made = checkpoint(lambda u: module(U=u, R=given["R"]).sum(), u, use_reentrant=False)
    with pytest.raises(GradientError, match="checkpoint"):
        made.backward()
    found = torch.func.grad(lambda u: carried(U=u, R=given["R"])[0].sum())(given["U"])
    other = given["U"].clone().requires_grad_()
    carried(U=other, R=given["R"])[0].sum().backward()
    torch.testing.assert_close(found, other.grad)


def test_after_inference() -> None:
    module = _rnn()
    with torch.inference_mode():
        module(**_given(3))
    module(**_given(3)).sum().backward()
    assert module.W.grad is not None


# Where streams run ------------------------------------------------------------------------------

BETWEEN = """
param A[j, k]
param W[i, i2]
param B[o, i]
D[j, t] = relu(A[j, k] U[k, t])
H[i, *t+1] = tanh(W[i, i2] H[i2, *t] + D[i, t])
Y[o, t] = B[o, i] H[i, *t+1]
export Y
"""


def _between(state: Literal["buffer", "carry"] = "buffer", **settings: Any) -> FuseModule:
    torch.manual_seed(1)
    sizes = {"i": 4, "j": 4, "k": 2, "o": 3}
    return FuseModule(BETWEEN, sizes=sizes, state=state, config=ExecutionConfig(precision="float64", **settings))


def _gradients(module: FuseModule, result: torch.Tensor) -> list[torch.Tensor]:
    made = torch.autograd.grad((result * result).sum(), list(module.parameters()))
    return [value.clone() for value in made]


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "best path"])
def test_both_routes_have_the_same_values_and_gradients(name: str) -> None:
    text, fixed, shapes = PROGRAMS[name]
    draw = numbers(5)
    given = {**dict(fixed(draw)), **_sequence(draw, shapes, 6)}
    found: list[list[torch.Tensor]] = []
    for route in ("auto", "native"):
        module = FuseModule(text, config=ExecutionConfig(precision="float64", route=route))
        tensors = {key: torch.from_numpy(value).requires_grad_() for key, value in given.items()}
        made = module(tensors)
        values = list(made.values()) if isinstance(made, dict) else [made]
        sum((value * value).sum() for value in values).backward()
        zeros = [torch.zeros_like(t) if t.grad is None else t.grad for t in tensors.values()]
        found.append([*(value.detach() for value in values), *zeros])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


# Torch's own, where Dynamo looks at a tensor behind a break.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize(("dynamic", "most"), [(True, 2), (None, 4)])  # by itself, Dynamo fixes the first length
def test_a_stream_between_dense_layers_is_two_graphs(dynamic: bool | None, most: int) -> None:
    torch._dynamo.reset()
    module, native = _between(), _between(route="native")
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(module, backend=counter, dynamic=dynamic)
    generator = torch.Generator().manual_seed(0)
    for call, length in enumerate((5, 7, 3, 12, 30) * 10):
        given = torch.randn(2, length, dtype=torch.float64, generator=generator)
        result, expected = compiled(U=given), native(U=given)
        torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-12)
        if call < 10:
            for one, other in zip(_gradients(module, result), _gradients(native, expected), strict=True):
                torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
        if call == 0:
            assert counter.frame_count == 2
    assert counter.frame_count == most
    (route,) = (str(item) for item in module.routes() if "H" in item.tensors and item.kind == "Recurrence")
    assert "NumPy" in route
    assert "breaks" in route


def test_opaque_streams_stand_in_one_graph() -> None:
    torch._dynamo.reset()
    module, native = _between(breaks="opaque"), _between(route="native")
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(module, backend=counter, fullgraph=True)
    for seed, length in enumerate((5, 7, 3, 12)):
        given = torch.randn(2, length, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        result, expected = compiled(U=given), native(U=given)
        torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-12)
        for one, other in zip(_gradients(module, result), _gradients(native, expected), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    assert counter.frame_count <= 2


def test_the_routed_gradient_is_of_first_order_and_says_so() -> None:
    module = _between()
    result = module(U=torch.ones(2, 3, dtype=torch.float64))
    (slope,) = torch.autograd.grad((result * result).sum(), [module.W], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()
