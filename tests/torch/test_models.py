"""Library models through the back end: graphs that no pass changes go on node for node, and all is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch._dynamo
from torch import nn
from torch._dynamo import lookup_backend
from torch.fx import GraphModule
from torch.testing import assert_close

from fuse_torch import report
from tests.support.models import MODELS, Model

# A graph break inside a module makes Dynamo look at .grad of tensors that are no leaves.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")


@pytest.fixture(autouse=True)
def _recurrent_layers_in_graphs() -> Iterator[None]:
    """Dynamo leaves nn.LSTM and nn.GRU outside of graphs unless it is told to take them."""
    with torch._dynamo.config.patch(allow_rnn=True):
        yield


def _nodes(gm: GraphModule) -> list[tuple[str, ...]]:
    """Every node with its kind, name, target, arguments and the size and type that Dynamo saw."""
    return [
        (node.op, node.name, str(node.target), str(node.args), str(node.kwargs), str(node.meta.get("example_value")))
        for node in gm.graph.nodes
    ]


def _graphs(model: nn.Module, inputs: tuple[torch.Tensor, ...], **how: Any) -> list[list[tuple[str, ...]]]:
    """The graphs of one call, as an inner compiler gets them."""
    seen: list[list[tuple[str, ...]]] = []

    def inner(gm: GraphModule, example_inputs: list[Any], **rest: Any) -> Callable[..., Any]:
        seen.append(_nodes(gm))
        return gm.forward

    torch.compiler.reset()
    backend = how.pop("backend", inner)
    options = {"fuse.inner": inner} if backend == "fuse" else None
    torch.compile(model, backend=backend, options=options, **how)(*inputs)
    return seen


@pytest.mark.parametrize("name", MODELS)
def test_graphs_that_no_pass_changes_go_on_node_for_node(name: str) -> None:
    torch.manual_seed(0)
    found = MODELS[name]
    model, inputs = found.make(), found.inputs(3)
    direct = _graphs(model, inputs, dynamic=True)  # what backend="inductor" is called with
    ours = _graphs(model, inputs, dynamic=True, backend="fuse")
    assert direct
    fired = {item.name: item.fired for item in report().passes}
    assert fired == {"attention": int(found.attends), "replan": 0}
    assert (ours == direct) == (not found.attends)


def _trained(
    model: nn.Module, call: Callable[..., torch.Tensor], inputs: tuple[torch.Tensor, ...]
) -> list[torch.Tensor]:
    """The result and the gradients of one step."""
    model.zero_grad()
    made = call(*inputs)
    made.float().square().mean().backward()
    return [made.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


def compare_training(found: Model, inner: str, *, cast: bool) -> None:
    """Results and gradients of a compiled model and of an eager twin, for two batch sizes."""
    torch.manual_seed(0)
    torch.compiler.reset()
    model = found.make()
    twin = found.make()
    twin.load_state_dict(model.state_dict())
    compiled = torch.compile(model, backend="fuse", options={"fuse.inner": inner}, dynamic=True)
    for batch in (3, 5):
        inputs = found.inputs(batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=cast):
            mine, theirs = _trained(model, compiled, inputs), _trained(twin, twin, inputs)
        assert len(mine) == len(theirs)
        for one, two in zip(mine, theirs, strict=True):
            assert_close(one, two, rtol=5e-2 if cast else 1e-4, atol=5e-2 if cast else 1e-5)


@pytest.mark.parametrize("cast", [False, True], ids=["float32", "autocast"])
@pytest.mark.parametrize("name", MODELS)
def test_forward_and_backward_are_right_for_open_sizes(name: str, cast: bool) -> None:
    compare_training(MODELS[name], "eager", cast=cast)


def test_inductor_itself_gets_the_same_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """`backend="inductor"` and ours call the compiler with equal graphs."""
    import torch._inductor.compile_fx

    seen: list[list[tuple[str, ...]]] = []

    def keep(gm: GraphModule, example_inputs: list[Any], *rest: Any, **more: Any) -> Callable[..., Any]:
        seen.append(_nodes(gm))
        return gm.forward

    monkeypatch.setattr(torch._inductor.compile_fx, "compile_fx", keep)
    found = MODELS["mixer"]
    model, inputs = found.make(), found.inputs(3)
    for backend in ("inductor", "fuse"):
        torch.compiler.reset()
        torch.compile(model, backend=backend)(*inputs)
    assert lookup_backend("inductor") is not None
    assert len(seen) == 2
    assert seen[0] == seen[1]
