"""fuse_torch.compile: Runners on torch, their graphs without Fuse, their module."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import fuse_ref
import fuse_torch
from fuse_torch import AxisError, DeviceError, ExecutionConfig, InputError, NonFiniteError, Program, RuntimePolicies
from tests.torch.programs import DENSE, LOSS


def test_public_names_are_those_of_fuse_ref_and_the_same_objects() -> None:
    for name in fuse_ref.__all__:
        assert getattr(fuse_torch, name) is getattr(fuse_ref, name)
        assert name in fuse_torch.__all__
    assert {"Facts", "FuseModule", "compile", "report"} <= set(fuse_torch.__all__)
    assert len(fuse_torch.__all__) == len(set(fuse_torch.__all__))


def test_results_are_tensors_for_inputs_of_any_kind() -> None:
    runner = fuse_torch.compile("Y[i] = 2 X[i] + i")
    assert runner.backend == "torch"
    for given in ([1.0, 2.0], np.array([1.0, 2.0]), torch.tensor([1, 2]), np.array([1.0, 2.0])[::-1][::-1]):
        result = runner(X=given)["Y"]
        assert isinstance(result, torch.Tensor)
        assert result.dtype == torch.float32
        assert result.tolist() == [2.0, 5.0]
    locked = np.ones(2, np.float32)
    locked.flags.writeable = False
    assert runner(X=locked)["Y"].tolist() == [2.0, 3.0]
    assert Program("Y[i] = 2 X[i]").compile()(X=torch.ones(2))["Y"].tolist() == [2.0, 2.0]


def test_results_share_no_memory_with_inputs() -> None:
    runner = fuse_torch.compile("Y[i] = X[i]")
    x = torch.ones(3)
    runner(X=x)["Y"].fill_(5.0)
    assert x.tolist() == [1.0] * 3


def test_precision_and_gradients_of_inputs() -> None:
    runner = fuse_torch.compile("Y = X[i]**3", config=ExecutionConfig(precision="float64"))
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    result = runner(X=x)["Y"]
    assert result.dtype == torch.float64
    result.backward()
    assert x.grad.tolist() == [3.0, 12.0]
    auto = fuse_torch.compile("Y = X[i]", config=ExecutionConfig(precision="auto"))
    assert auto(X=torch.ones(2, dtype=torch.float64))["Y"].dtype == torch.float64
    assert auto(X=torch.ones(2))["Y"].dtype == torch.float32


def test_wrong_sizes_and_devices() -> None:
    runner = fuse_torch.compile("Y[i] = W[i, j] X[j]")
    with pytest.raises(AxisError, match="axis j"):
        runner(W=np.ones((2, 3)), X=np.ones(1))
    assert runner(W=np.ones((2, 3)), X=np.ones(3))["Y"].tolist() == [3.0, 3.0]
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="cannot run on device 'cuda:0'"):
            fuse_torch.compile("Y[i] = 2 X[i]", device="cuda:0")(X=[1.0])
    with pytest.raises(DeviceError, match="nowhere"):
        fuse_torch.compile("Y[i] = 2 X[i]", device="nowhere")(X=[1.0])


def test_the_run_follows_the_device_of_its_inputs() -> None:
    runner = fuse_torch.compile("axis i = 2\nparam W[i] ~ ones()\nL[i] = [1, 2]\nY[i] = W[i] X[i] L[i]")
    assert runner(X=torch.ones(2))["Y"].tolist() == [1.0, 2.0]
    away = runner(X=torch.ones(2, device="meta"))["Y"]
    assert (away.device.type, away.shape) == ("meta", (2,))
    assert runner(X=torch.ones(2))["Y"].tolist() == [1.0, 2.0]


def test_checked_runs_name_tensor_and_equation() -> None:
    runner = fuse_torch.compile("Z[i] = log(X[i])\nY[i] = exp(Z[i])", config=ExecutionConfig(checked=True))
    assert_close(runner(X=[1.0, 2.0])["Y"], torch.tensor([1.0, 2.0]))
    with pytest.raises(NonFiniteError, match="Z holds"):
        runner(X=[0.0])


def test_sinks_and_queries_run(tmp_path: Path) -> None:
    program = Program('Y[i] = 2 X[i]\n"out.npy" = Y[i] + 1\nY[1]?', path=tmp_path / "p.fuse")
    runner = fuse_torch.compile(program)
    runner(X=[1.0, 2.0])
    assert np.load(tmp_path / "out.npy").tolist() == [3.0, 5.0]
    assert runner.answers[0].rows == ((4.0,),)
    assert runner.query("Y[0]?").rows == ((2.0,),)


# The graph -------------------------------------------------------------------------------------


def test_the_graph_can_be_called_and_differentiated_without_fuse() -> None:
    runner = fuse_torch.compile(LOSS)
    (graph,) = runner.fx_graphs
    names = [node.target for node in graph.graph.nodes if node.op == "placeholder"]
    assert names == ["X", "T", "W1", "W2"]
    for batch in (3, 5):
        x, classes = torch.randn(batch, 4), torch.randint(0, 3, (batch,))
        w1, w2 = torch.randn(8, 4, requires_grad=True), torch.randn(3, 8)
        loss = graph(X=x, T=classes, W1=w1, W2=w2)
        expected = torch.nn.functional.cross_entropy(torch.tanh(x @ w1.T) @ w2.T, classes)
        assert_close(loss, expected)
        assert_close(torch.autograd.grad(loss, w1), torch.autograd.grad(expected, w1))


def test_every_node_says_where_it_comes_from() -> None:
    (graph,) = fuse_torch.compile(DENSE).fx_graphs
    result = graph.graph.find_nodes(op="call_function", target=torch.relu)[0]
    assert result.name == "Y"
    assert result.meta["fuse_tensor"] == "Y"
    assert result.meta["fuse_lengths"] == ("|X.0|", "3")
    assert result.meta["fuse_span"] == "<program>:5:1: Y[b, o] = relu(W[o, d] X[b, d] + B[o])"
    assert "Y[b, o] = relu" in graph.print_readable(print_output=False)


def test_the_graph_runs_in_a_process_without_fuse(tmp_path: Path) -> None:
    program = (
        "axis d = 4\ninput X[b, d]\nparam W[d]\nL[d] = [1, 2, 3, 4]\nY[b] = relu(W[d] X[b, d] L[d]) + b\nZ[b] = X[b, d]"
    )
    runner = fuse_torch.compile(program)
    (graph,) = runner.fx_graphs
    torch.save(graph, tmp_path / "graph.pt")
    (tmp_path / "graph.py").write_text("import torch\nfrom math import inf\nfrom torch import device\n" + graph.code)
    x, w = torch.randn(3, 4), torch.randn(4)
    torch.save({"x": x, "w": w, "result": graph(x, w)}, tmp_path / "values.pt")
    code = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("fuse_torch", "fuse_ref", "fuse_jax"):
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
import torch
values = torch.load("values.pt")
graph = torch.load("graph.pt", weights_only=False)
x, w = values["x"], values["w"].requires_grad_()
for result in (graph(x, w), graph(X=x, W=w)):
    for name, expected in values["result"].items():
        torch.testing.assert_close(result[name].detach(), expected)
assert torch.autograd.grad(graph(x, w)["Y"].sum(), w)[0].shape == (4,)
import graph as saved  # the code alone, with the literal where the code looks for it
saved._literal_L = torch.tensor([1.0, 2.0, 3.0, 4.0])
torch.testing.assert_close(saved.forward(saved, x, w)["Y"].detach(), values["result"]["Y"])
assert not any(name.startswith("fuse_") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


# The module ------------------------------------------------------------------------------------


@pytest.mark.parametrize("called_first", [False, True])
def test_runner_and_module_have_the_same_parameters(called_first: bool) -> None:
    x = torch.randn(3, 4)
    runner = fuse_torch.compile(DENSE, config=ExecutionConfig(seed=3))
    start = runner(X=x)["Y"] if called_first else None
    module = runner.module
    assert runner.module is module
    if start is not None:
        assert_close(module(x).detach(), start)
    assert_close(runner(X=x)["Y"], module(x).detach())
    assert_close(module.W.detach(), torch.from_numpy(_initial("W")))
    with torch.no_grad():
        module.W.mul_(2)
    assert_close(runner(X=x)["Y"], module(x).detach())
    assert not runner(X=x)["Y"].requires_grad


def _initial(name: str) -> np.ndarray:
    """What the NumPy engine starts with for seed 3, read off a program that exports the parameter."""
    program = DENSE + f"Out[o, d] = {name}[o, d]\nexport Out"
    return np.asarray(Program(program).compile("numpy", config=ExecutionConfig(seed=3))(X=np.ones((1, 4)))["Out"])


def test_weights_of_the_store_reach_runner_and_module() -> None:
    store = {"W": np.full((3, 4), 0.5), "B": np.ones(3)}
    runner = fuse_torch.compile(DENSE, policies=RuntimePolicies(weight_store=store))
    assert runner(X=np.ones((1, 4)))["Y"].tolist() == [[3.0] * 3]
    assert runner.module(torch.ones(1, 4)).tolist() == [[3.0] * 3]


def test_several_threads() -> None:
    runner = fuse_torch.compile("Y[i] = X[i]**2 + i")
    wrong: list[object] = []

    def work(start: int) -> None:
        for size in range(1, 30):
            x = np.arange(start, start + size, dtype=np.float32)
            result = runner(X=x)["Y"].numpy()
            if not np.array_equal(result, x**2 + np.arange(size)):
                wrong.append((start, size))

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_tensor_may_be_called_self() -> None:
    runner = fuse_torch.compile("input self[b]\ninput X[b]\nY[b] = self[b] + 2 X[b]")
    assert runner({"self": torch.ones(2), "X": torch.ones(2)})["Y"].tolist() == [3.0, 3.0]
    assert runner.module(torch.ones(2), X=torch.zeros(2)).tolist() == [1.0, 1.0]


def test_names_that_are_no_text_are_no_inputs() -> None:
    module = fuse_torch.FuseModule("Y[i] = 2 X[i]")
    with pytest.raises(InputError):
        module({1: torch.ones(2)})
