"""Rules under torch.compile: two graphs and no more for any number of tuples; operators in stacks and exports."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.func import functional_call, grad
from torch.testing import assert_close

from fuse_ref import ExecutionConfig, FuseWarning, RouteError
from fuse_torch import Facts, FuseModule, report
from fuse_torch.logic import crossing
from fuse_torch.logic.portable import key_of
from tests.torch.logic_programs import LAYER, MIXED, PAIRS, facts

pytestmark = [
    # Dynamo makes an instance of every autograd.Function that it traces, which torch itself calls deprecated,
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    # and looks at the gradient of every tensor that comes into a graph after a break.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]

OPAQUE = ExecutionConfig(breaks="opaque")


@pytest.fixture(autouse=True)
def _fresh_dynamo() -> None:
    torch.compiler.reset()


def counted(model: nn.Module, inner: str = "eager", **settings: object) -> tuple[nn.Module, CompileCounterWithBackend]:
    counter = CompileCounterWithBackend(inner)
    return torch.compile(model, backend="fuse", options={"fuse.inner": counter}, **settings), counter


@pytest.mark.parametrize("breaks", ["graph", "opaque"])
def test_a_hundred_calls_with_facts_of_every_size_compile_once(breaks: str) -> None:
    module = FuseModule(MIXED, config=ExecutionConfig(breaks=breaks))  # type: ignore[arg-type]
    compiled, counter = counted(module, fullgraph=breaks == "opaque")
    graphs = 1 if breaks == "opaque" else 2
    x = torch.randn(9, 3)
    for k in range(100):
        given = facts((3, 0, 1, 2, 40)[k] if k < 5 else k % 23, 9, k)
        with torch.no_grad():
            assert_close(compiled(x, given), module(x, given))
        assert counter.frame_count == graphs


@pytest.mark.parametrize("breaks", ["graph", "opaque"])
def test_gradients_on_both_sides_of_compiled_rules(breaks: str) -> None:
    module = FuseModule(MIXED, config=ExecutionConfig(breaks=breaks))  # type: ignore[arg-type]
    compiled, counter = counted(module, "aot_eager", fullgraph=breaks == "opaque")
    for count in (5, 0, 1, 30):
        x, given = torch.randn(9, 3, requires_grad=True), facts(count, 9)
        expected = torch.autograd.grad(module(x, given).sum(), (x, module.W))
        assert_close(torch.autograd.grad(compiled(x, given).sum(), (x, module.W)), expected)
    assert counter.frame_count == (1 if breaks == "opaque" else 2)


def test_what_broke_names_the_equations() -> None:
    module = FuseModule(MIXED)
    compiled, _ = counted(module)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FuseWarning)  # nothing around it was given up
        compiled(torch.randn(5, 3), Facts(PAIRS))
    found = report()
    assert len(found.graphs) == 2
    (broken,) = found.breaks
    for equation in (
        "Good(n) <- S[n] > 0.5",
        "Path(x, z) <- Path(x, y), Edge(y, z)",
        "Both(x, y) <- Path(x, y), Good(x)",
    ):
        assert equation in broken.equation
    assert broken.reason == "rules run in the NumPy engine"
    assert found.skipped == ()


def test_index_tensors_cost_at_most_four_compilations() -> None:
    module = FuseModule(MIXED)
    compiled, counter = counted(module)
    x = torch.randn(9, 3)
    for k, count in enumerate((3, 4, 7, 0, 1, 12, 2, 0, 30)):
        given = facts(count, 9, k).positions.clone()
        assert_close(compiled(x, given), module(x, given))
    assert counter.frame_count <= 8  # of two graphs each


def test_tuples_and_truth_values_may_be_given_to_compiled_modules() -> None:
    for config in (ExecutionConfig(), OPAQUE):
        module = FuseModule(MIXED, config=config)
        compiled, _ = counted(module)
        x = torch.randn(5, 3)
        table = torch.zeros(5, 5, dtype=torch.bool)
        table[0, 1] = True
        assert_close(compiled(x, table), module(x, table))
        assert_close(compiled(x, [(0, 1)]), module(x, table))
        assert_close(compiled({"X": x, "Edge": Facts([(0, 1)])}), module(x, table))


def test_new_numbers_of_nodes_cost_one_compilation_more() -> None:
    module = FuseModule(MIXED)
    compiled, counter = counted(module)
    counts = []
    for nodes in (5, 7, 9, 11):
        x, given = torch.randn(nodes, 3), facts(6, nodes)
        assert_close(compiled(x, given), module(x, given))
        counts.append(counter.frame_count)
    assert counts == [2, 4, 4, 4]


# Stacks ------------------------------------------------------------------------------------------


class Stack(nn.Module):
    def __init__(self, config: ExecutionConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList([FuseModule(LAYER, config=config) for _ in range(3)])

    def forward(self, x: torch.Tensor, given: Facts) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x, given)
        return x


class Bound(nn.Module):
    def __init__(self, config: ExecutionConfig) -> None:
        super().__init__()
        self.module = FuseModule(LAYER, config=config)
        self.given = Facts(PAIRS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x, self.given)


def test_a_break_inside_a_stack_warns_once_and_the_report_names_the_frame() -> None:
    for model, given, name in (
        (Stack(ExecutionConfig()), (Facts(PAIRS),), "Stack.forward"),
        (nn.Sequential(nn.Linear(3, 3), Bound(ExecutionConfig()), nn.Linear(3, 3)), (), "Sequential.forward"),
    ):
        torch.compiler.reset()
        compiled, _ = counted(model)
        x = torch.randn(5, 3)
        with pytest.warns(FuseWarning, match=name):
            compiled(x, *given)
        assert name in report().skipped
        with warnings.catch_warnings():
            warnings.simplefilter("error", FuseWarning)
            for nodes in (5, 8):
                x = torch.randn(nodes, 3)
                assert_close(compiled(x, *given), model(x, *given))


def test_operators_make_stacks_one_graph() -> None:
    for model, given in (
        (Stack(OPAQUE), (Facts(PAIRS),)),
        (nn.Sequential(nn.Linear(3, 3), Bound(OPAQUE), nn.Linear(3, 3)), ()),
    ):
        torch.compiler.reset()
        compiled, counter = counted(model, "aot_eager")
        x = torch.randn(5, 3)
        expected = torch.autograd.grad(model(x, *given).sum(), list(model.parameters()))
        found = torch.autograd.grad(compiled(x, *given).sum(), list(model.parameters()))
        assert_close(found, expected)
        assert counter.frame_count == 1
        assert report().skipped == ()


def test_export() -> None:
    module = FuseModule(LAYER, config=OPAQUE)
    x, pairs = torch.randn(5, 3), torch.tensor(PAIRS)
    count = torch.export.Dim("count", min=2, max=1000)
    nodes = torch.export.Dim("nodes", min=2, max=1000)
    exported = torch.export.export(module, (x, pairs), dynamic_shapes={"X": {0: nodes}, "Edge": {0: count}})
    for size, number in ((5, 3), (9, 12), (4, 2)):
        x, given = torch.randn(size, 3), facts(number, size)
        assert_close(exported.module()(x, given.positions), module(x, given))


def test_exported_programs_hold_their_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = FuseModule(LAYER, config=ExecutionConfig(breaks="opaque", dense_limit=1000))
    x, pairs = torch.randn(5, 3), torch.tensor(PAIRS)
    expected = module(x, pairs)
    torch.export.save(torch.export.export(module, (x, pairs)), tmp_path / "layer.pt2")
    monkeypatch.setattr(crossing, "_CROSSINGS", {})  # as in another process
    loaded = torch.export.load(tmp_path / "layer.pt2")
    assert_close(loaded.module()(x, pairs), expected)
    with pytest.raises(RouteError, match="another version"):
        key_of("unknown\n[]")


def test_gradient_transformations_of_compiled_rules() -> None:
    for config in (ExecutionConfig(), OPAQUE):
        module = FuseModule(MIXED, config=config)
        x, given = torch.randn(5, 3), Facts(PAIRS)

        def loss(
            w: torch.Tensor, module: FuseModule = module, x: torch.Tensor = x, given: Facts = given
        ) -> torch.Tensor:
            return functional_call(module, {"W": w}, (x, given)).sum()

        (expected,) = torch.autograd.grad(module(x, given).sum(), module.W)
        assert_close(torch.compile(lambda w: grad(loss)(w), backend="aot_eager")(module.W.detach()), expected)


# Dense -------------------------------------------------------------------------------------------


def test_dense_logic_is_one_graph_of_torch() -> None:
    module = FuseModule(MIXED, config=ExecutionConfig(logic="dense"))
    compiled, counter = counted(module, "aot_eager", fullgraph=True)
    counts = []
    for nodes in (5, 7, 9):
        x, table = torch.randn(nodes, 3), torch.rand(nodes, nodes) > 0.7
        expected = torch.autograd.grad(module(x, table).sum(), module.W)
        assert_close(torch.autograd.grad(compiled(x, table).sum(), module.W), expected)
        counts.append(counter.frame_count)
    assert counts == [1, 2, 2]
    exported = torch.export.export(module, (x, table))
    assert_close(exported.module()(x, table), module(x, table))
