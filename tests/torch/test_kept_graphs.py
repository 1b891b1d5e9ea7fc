"""compile(cache_dir=…) on torch: a kept graph is the one that lowering gives, and lowering is left out."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.fx import Graph, Node

import fuse_torch
from fuse_ref.config import ExecutionConfig
from fuse_ref.program import Program
from fuse_torch import kept as module
from fuse_torch.lowering.document import NotAGraph, graph_from_json, graph_to_json
from fuse_torch.lowering.lower import Lowered, lower
from tests.agreement.catalogue import CASES

TEXT = """input X[b, j]
axis j = 3, h = 4
param W[h, j] ~ normal(0, 1)
Mask = [1, 0, 1, 1]
H[b, h] = gelu(W[h, j] X[b, j]) Mask[h]
P[b, h.] = softmax(H[b, h])
S[b, h] = cumsum(P[b, h], axis=h)
D[h] max= P[b, h]
export P, S, D
"""


def described(value: Any) -> Any:
    """A value of a node with other nodes by name, so that graphs can be compared."""
    match value:
        case Node():
            return ("node", value.name)
        case tuple() | list():
            return (type(value).__name__, [described(item) for item in value])
        case dict():
            return ("dict", sorted((name, described(item)) for name, item in value.items()))
        case _:
            return repr(value)


def nodes_of(graph: Graph) -> list[object]:
    return [
        (node.op, node.name, node.target, described(node.args), described(node.kwargs), described(node.meta))
        for node in graph.nodes
    ]


def again(lowered: Lowered, program: Program) -> Lowered:
    plan = program.plan()
    return graph_from_json(json.loads(json.dumps(graph_to_json(lowered))), plan, plan.program.exports)


def test_graphs_there_and_back() -> None:
    count = 0
    for case in CASES[::3]:
        program = Program(case.text)
        plan = program.plan()
        if plan.sources:
            continue  # sizes come from files that are not there
        lowered = lower(plan, plan.program.exports)
        found = again(lowered, program)
        assert nodes_of(found.graph) == nodes_of(lowered.graph), case.text
        assert found.graph.python_code("self").src == lowered.graph.python_code("self").src
        for field in ("plan", "literals", "sources", "outputs", "needs_precision"):
            assert getattr(found, field) == getattr(lowered, field), (field, case.text)
        slots = [(slot.tensor, slot.variable, slot.node.name) for slot in (*lowered.givens, *lowered.states)]
        assert [(slot.tensor, slot.variable, slot.node.name) for slot in (*found.givens, *found.states)] == slots
        count += 1
    assert count > 90


@pytest.fixture
def lowerings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One item for each lowering that really happens."""
    found: list[str] = []

    def counted(plan: Any, outputs: tuple[str, ...], *rest: Any) -> Lowered:
        found.append(" ".join(outputs))
        return lower(plan, outputs, *rest)

    monkeypatch.setattr(module, "lower", counted)
    return found


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_second_time_nothing_is_lowered(tmp_path: Path, lowerings: list[str], precision: Any) -> None:
    runners = [
        fuse_torch.compile(TEXT, config=ExecutionConfig(precision=precision), cache_dir=folder)
        for folder in (None, tmp_path, tmp_path)
    ]
    for seed, size in enumerate((3, 5, 1, 0)):
        values = np.random.default_rng(seed).normal(size=(size, 3)).astype(precision)
        plain, first, second = (runner(X=values) for runner in runners)
        for name, value in plain.items():
            torch.testing.assert_close(first[name], value, rtol=0, atol=0, equal_nan=True)
            torch.testing.assert_close(second[name], value, rtol=0, atol=0, equal_nan=True)
            assert second[name].dtype == value.dtype
    assert len(lowerings) == 2  # without a folder, and with an empty one
    graphs = [runner.fx_graphs[0] for runner in runners]
    assert len(lowerings) == 3  # fx_graphs lowers once more where nothing is kept
    assert graphs[2].code == graphs[0].code


def test_gradients_and_compiled_code(tmp_path: Path, lowerings: list[str]) -> None:
    torch.manual_seed(0)
    x, w = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    found = []
    for _ in range(2):
        runner = fuse_torch.compile(TEXT, config=ExecutionConfig(precision="float64"), cache_dir=tmp_path)
        (graph,) = runner.fx_graphs
        weight = w.clone().requires_grad_()
        results = graph(x, weight)
        (results["P"][:, 0].sum() + (results["S"] ** 2).sum()).backward()
        torch._dynamo.reset()
        compiled = torch.compile(graph, backend="aot_eager", fullgraph=True)(x, w)
        for name, value in compiled.items():
            torch.testing.assert_close(value, results[name].detach())
        found.append((weight.grad, nodes_of(graph.graph)))
    assert len(lowerings) == 1
    torch.testing.assert_close(found[1][0], found[0][0], rtol=0, atol=0)
    assert found[1][1] == found[0][1]


def test_checked_runs_say_where(tmp_path: Path, lowerings: list[str]) -> None:
    messages = []
    for _ in range(2):
        config = ExecutionConfig(precision="float32", checked=True)
        runner = fuse_torch.compile("input X[i]\nY[i] = log(X[i])\nexport Y\n", config=config, cache_dir=tmp_path)
        with pytest.raises(Exception, match="FUSE207") as caught:
            runner(X=[1.0, 0.0])
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert len(lowerings) == 1


def test_queries_have_graphs_of_their_own(tmp_path: Path, lowerings: list[str]) -> None:
    for _ in range(2):
        runner = Program(TEXT).compile("torch", cache_dir=tmp_path)
        runner(X=np.ones((2, 3), np.float32))
        assert runner.query("H[0, h]?") is not None
    assert lowerings == ["P S D", "H"]


def test_another_version_lowers_anew(tmp_path: Path, lowerings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("1", "1", "2"):
        monkeypatch.setattr(module, "_software", lambda version=version: [version])
        fuse_torch.compile(TEXT, cache_dir=tmp_path)(X=np.ones((2, 3), np.float32))
    assert len(lowerings) == 2


Change = Callable[[dict[str, Any]], None]


def first(data: dict[str, Any], op: str) -> list[Any]:
    node: list[Any] = next(node for node in data["nodes"] if node[0] == op)
    return node


CHANGES: dict[str, Change] = {
    "no nodes": lambda data: data["nodes"].clear(),
    "no output": lambda data: data["nodes"].pop(),
    "part missing": lambda data: data.pop("givens"),
    "other outputs": lambda data: data["outputs"].reverse(),
    "unknown given": lambda data: data["givens"].append("Q"),
    "fewer givens": lambda data: data["givens"].clear(),
    "other states": lambda data: data["states"].clear(),
    "unknown literal": lambda data: data["literals"].append(["a", "Q"]),
    "literal under code": lambda data: data["literals"][0].__setitem__(0, "x; import os"),
    "unknown function": lambda data: first(data, "call_function").__setitem__(2, "torch.load"),
    "unknown method": lambda data: data["nodes"].insert(
        -1, ["call_method", "a", "share_memory_", [{"node": 0}], {}, None, False, {}]
    ),
    "getattr of anything": lambda data: data["nodes"].insert(
        -1, ["call_function", "a", "getattr", [{"node": 0}, "__class__"], {}, None, False, {}]
    ),
    "attribute of anything": lambda data: data["nodes"].insert(
        -1, ["get_attr", "a", "__class__", [], {}, None, False, {}]
    ),
    "module": lambda data: data["nodes"].insert(-1, ["call_module", "a", "b", [], {}, None, False, {}]),
    "name under code": lambda data: first(data, "call_function").__setitem__(1, "a\nimport os"),
    "keyword": lambda data: first(data, "call_function").__setitem__(1, "lambda"),
    "name twice": lambda data: first(data, "call_function").__setitem__(1, first(data, "placeholder")[1]),
    "argument under code": lambda data: first(data, "call_function")[4].update({"a=1, b": 1}),
    "placeholder under code": lambda data: first(data, "placeholder").__setitem__(2, "X=print"),
    "later node": lambda data: first(data, "call_function").__setitem__(3, [{"node": 99}]),
    "unknown dtype": lambda data: first(data, "call_function").__setitem__(3, [{"dtype": "torch.complex64"}]),
    "unknown value": lambda data: first(data, "call_function").__setitem__(3, [{"object": "x"}]),
    "unknown meta": lambda data: first(data, "call_function").__setitem__(7, {"val": 1}),
    "number as name": lambda data: first(data, "call_function").__setitem__(1, 3),
    "node of another form": lambda data: data["nodes"].insert(0, "node"),
    "code after the output": lambda data: data["nodes"].append(data["nodes"][0]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_no_lowering_gives_is_refused(name: str) -> None:
    plan = Program(TEXT).plan()
    data: Any = json.loads(json.dumps(graph_to_json(lower(plan, plan.program.exports))))
    graph_from_json(data, plan, plan.program.exports)
    CHANGES[name](data)
    with pytest.raises(NotAGraph):
        graph_from_json(data, plan, plan.program.exports)


def test_a_refused_entry_is_made_anew(
    tmp_path: Path, lowerings: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {"X": np.ones((2, 3), np.float32)}
    with monkeypatch.context() as changed:
        changed.setattr(module, "graph_to_json", lambda lowered: {"nodes": []})
        expected = fuse_torch.compile(TEXT, cache_dir=tmp_path)(inputs)
    (path,) = (tmp_path / "graphs").iterdir()
    with caplog.at_level(logging.WARNING, "fuse.cache"):
        found = fuse_torch.compile(TEXT, cache_dir=tmp_path)(inputs)
    assert "is made anew: it has other parts than a graph" in caplog.text
    torch.testing.assert_close(found, expected)
    fuse_torch.compile(TEXT, cache_dir=tmp_path)(inputs)
    path.write_bytes(path.read_bytes()[:-10])
    fuse_torch.compile(TEXT, cache_dir=tmp_path)(inputs)
    assert len(lowerings) == 3


def test_a_call_that_is_not_known_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from fuse_torch.lowering import document

    monkeypatch.delitem(document._NAMES, torch.nn.functional.gelu)
    with caplog.at_level(logging.WARNING, "fuse.cache"):
        fuse_torch.compile(TEXT, cache_dir=tmp_path)(X=np.ones((2, 3), np.float32))
    assert "is not kept" in caplog.text
    assert not (tmp_path / "graphs").exists()


def test_another_process_does_not_lower(tmp_path: Path) -> None:
    (tmp_path / "p.fuse").write_text(TEXT)
    code = (
        "import numpy as np, fuse_torch, fuse_torch.kept as kept; from fuse_ref import Program\n"
        "calls, lower = [], kept.lower\n"
        "kept.lower = lambda *a: (calls.append(a), lower(*a))[1]\n"
        "runner = fuse_torch.compile(Program.from_file('p.fuse'), cache_dir='cache')\n"
        "print(len(calls), end=' ')\n"
        "print(runner(X=np.ones((2, 3), np.float32))['P'].sum().item(), len(calls))"
    )
    outputs = [
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert outputs[0].split()[::2] == ["0", "1"]
    assert outputs[1].split()[::2] == ["0", "0"]
