"""The "fuse" back end: found, options checked, right on ordinary models, and what its report says."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import torch
from torch import nn
from torch.fx import GraphModule
from torch.testing import assert_close

import fuse_torch
from fuse_torch import ConfigError, FuseModule, report
from fuse_torch.backend import PASSES, Pass, PassResult, fuse, passes
from fuse_torch.backend.options import Options, read_options
from tests.torch.programs import DENSE

EAGER = {"fuse.inner": "eager"}
AOT = {"fuse.inner": "aot_eager"}


@pytest.fixture(autouse=True)
def _fresh_dynamo() -> None:
    torch.compiler.reset()


# Found and configured --------------------------------------------------------------------------


def test_it_is_found_with_only_torch_imported() -> None:
    code = """
import sys, torch
assert not any(name.startswith("fuse") for name in sys.modules)
assert "fuse" in torch.compiler.list_backends()
f = torch.compile(lambda x: torch.relu(x) + 1, backend="fuse", options={"fuse.inner": "eager"})
assert f(torch.tensor([-1.0, 2.0])).tolist() == [1.0, 3.0]
assert "fuse_torch" in sys.modules
assert "torch._inductor.compile_fx" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_fuse_torch_does_not_load_the_compilers() -> None:
    code = "import sys, fuse_torch; assert not {'torch._dynamo', 'torch._inductor'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fuse.iner": "eager"}, "there is no option fuse.iner of the fuse back end"),
        ({"fuse.iner": "eager"}, "did you mean 'fuse.inner'?"),
        ({"fuse.inner": "inductr"}, "did you mean 'inductor'?"),
        ({"fuse.replan": 1, **EAGER}, "option fuse.replan must be True or False, but 1 was given"),
        ({"max_autotune": True, **AOT}, "fuse.inner=aot_eager takes no options: max_autotune"),
    ],
)
def test_wrong_options_are_our_error_under_torch_compile(options: dict, words: str) -> None:
    compiled = torch.compile(lambda x: x + 1, backend="fuse", options=options)
    for _ in range(2):
        with pytest.raises(ConfigError) as caught:
            compiled(torch.ones(2))
        assert words in str(caught.value)


def test_options_and_mode_are_told_apart() -> None:
    read = read_options({"fuse.replan": False, "max_autotune": True}, "default")
    assert read == Options("inductor", replan=False, attention=True, others={"max_autotune": True}, mode=None)
    assert read_options(None, "max-autotune").mode == "max-autotune"
    with pytest.raises(ConfigError, match="takes no mode: max-autotune"):
        read_options(EAGER, "max-autotune")


def test_the_inner_compiler_may_be_a_callable_and_gets_the_graph_as_it_came() -> None:
    seen: list[GraphModule] = []
    direct: list[GraphModule] = []

    def keep(into: list[GraphModule]):
        def inner(gm: GraphModule, example_inputs: list) -> object:
            into.append(gm)
            return gm.forward

        return inner

    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    x = torch.randn(5, 3)
    assert_close(torch.compile(model, backend="fuse", options={"fuse.inner": keep(seen)})(x), model(x))
    torch.compiler.reset()
    assert_close(torch.compile(model, backend=keep(direct))(x), model(x))
    nodes = [[(node.op, str(node.target)) for node in found[0].graph.nodes] for found in (seen, direct)]
    assert nodes[0] == nodes[1]


# Right on any model ----------------------------------------------------------------------------


class WithBreaks(nn.Module):
    """A model whose graphs break, with data-dependent Python in it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        if x.sum() > 1e9:
            return x
        return self.second(x)


def convnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 3 * 3, 4)
    )


def transformer() -> nn.Module:
    return nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)


ORDINARY = {
    "convnet": (convnet, (1, 8, 8)),
    "transformer": (transformer, (5, 8)),
    "breaks": (WithBreaks, (4,)),
    "with Fuse inside": (lambda: nn.Sequential(nn.Linear(4, 4), FuseModule(DENSE), nn.Linear(3, 1)), (4,)),
}


# Dynamo itself looks at .grad of the tensors that cross a graph break.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_models_compute_and_train_as_in_eager_mode(name: str) -> None:
    torch.manual_seed(0)
    make, shape = ORDINARY[name]
    model, twin = make(), make()
    twin.load_state_dict(model.state_dict())
    compiled = torch.compile(model, backend="fuse", options=AOT)
    for batch in (3, 4):
        x = torch.randn(batch, *shape)
        y, expected = compiled(x), twin(x)
        assert_close(y, expected)
        y.square().sum().backward()
        expected.square().sum().backward()
        for mine, theirs in zip(model.parameters(), twin.parameters(), strict=True):
            assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-5)
        model.zero_grad()
        twin.zero_grad()


# Passes ----------------------------------------------------------------------------------------


def test_passes_run_in_order_and_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def doubled_relu(gm: GraphModule) -> PassResult:
        order.append("first")
        found = [node for node in gm.graph.nodes if node.target is torch.relu]
        for node in found:
            node.target = torch.neg
        return PassResult("turn relu into neg", len(found), f"{len(found)} kinks")

    def nothing(gm: GraphModule) -> PassResult:
        order.append("second")
        return PassResult("nothing", 0)

    def never(gm: GraphModule) -> PassResult:
        raise AssertionError("switched off")

    mine = (
        Pass("turn relu into neg", lambda options: options.replan, doubled_relu),
        Pass("nothing", lambda options: True, nothing),
        Pass("never", lambda options: options.attention, never),
    )
    monkeypatch.setattr(passes, "PASSES", mine)
    compiled = torch.compile(lambda x: torch.relu(x) + 1, backend="fuse", options={**EAGER, "fuse.attention": False})
    assert compiled(torch.tensor([2.0])).tolist() == [-1.0]
    assert order == ["first", "second"]
    found = report()
    assert [(item.name, item.fired) for item in found.passes] == [("turn relu into neg", 1), ("nothing", 0)]
    assert "turn relu into neg 1×" in str(found)
    assert "saved 1 kinks" in str(found)


def test_the_passes_in_their_order() -> None:
    assert [item.name for item in PASSES] == ["attention", "replan"]


# The report ------------------------------------------------------------------------------------


@torch.compiler.disable(reason="read in another way")
def outside(x: torch.Tensor) -> torch.Tensor:
    return x + 1


class Broken(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return outside(2 * x) * 3


def test_nothing_compiled_yet() -> None:
    assert report() == fuse_torch.backend.Report()
    assert str(report()) == "nothing was compiled yet"


def test_the_report_has_graphs_and_breaks_of_the_last_compilation() -> None:
    compiled = torch.compile(Broken(), backend="fuse", options=EAGER)
    assert_close(compiled(torch.ones(3)), torch.full((3,), 9.0))
    found = report()
    assert len(found.graphs) == 2
    (broken,) = found.breaks
    assert "read in another way" in broken.reason
    assert __file__ in broken.place
    assert found.skipped == ()
    assert "2 graphs" in str(found)
    assert "read in another way" in str(found)
    compiled(torch.ones(4))  # the same two graphs once more, now for any size: a compilation of its own
    assert len(report().graphs) == 2
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    torch.compile(model, backend="fuse", options=EAGER)(torch.ones(2, 3))
    found = report()
    assert (len(found.graphs), found.breaks) == (1, ())
    assert dict(found.graphs[0].calls) == {"linear": 1, "relu": 1}


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_a_break_inside_a_loop_leaves_the_caller_uncompiled_and_the_report_says_so() -> None:
    model = nn.Sequential(nn.Linear(3, 3), Broken(), nn.Linear(3, 3))
    torch.compile(model, backend="fuse", options=EAGER)(torch.ones(2, 3))
    found = report()
    assert "Sequential.forward" in found.skipped
    assert "Sequential.forward" in str(found)


class BrokenAtOnce(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return outside(x) * 3


def test_a_break_before_the_first_graph_is_told_too() -> None:
    compiled = torch.compile(BrokenAtOnce(), backend="fuse", options=EAGER)
    for size in (3, 4):
        compiled(torch.ones(size))
        found = report()
        assert len(found.graphs) == 1
        assert [item.reason for item in found.breaks] == ["read in another way"]
        assert found.skipped == ()


class Loop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Broken(), Broken()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def test_a_caller_in_the_same_file_is_told_apart() -> None:
    torch.compile(Loop(), backend="fuse", options=EAGER)(torch.ones(3))
    assert report().skipped == ("Loop.forward",)


def test_breaks_of_ours_name_the_equation() -> None:
    module = FuseModule("input X[i]\nY[i] = exp(X[i])", config=fuse_torch.ExecutionConfig(checked=True))
    torch.compile(module, backend="fuse", options=EAGER)(torch.ones(2))
    (broken,) = report().breaks
    assert broken.equation == "Y[i] = exp(X[i])"
    assert broken.reason.startswith("checked=True looks at Y")


def test_reset_forgets_and_other_threads_see_the_report() -> None:
    torch.compile(lambda x: x + 1, backend="fuse", options=EAGER)(torch.ones(2))
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(len(report().graphs)))
    thread.start()
    thread.join()
    assert seen == [1]
    torch.compiler.reset()
    assert report().graphs == ()


def test_it_may_be_called_as_a_function() -> None:
    graph = torch.fx.symbolic_trace(lambda x: torch.relu(x))
    assert fuse(graph, [torch.ones(2)], options=EAGER)(torch.tensor([-1.0, 1.0])).tolist() == [0.0, 1.0]
