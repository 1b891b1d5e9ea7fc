"""Rules in torch, without compiling: Runners agree with NumPy, modules take relations in every form."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.func import functional_call, grad, jacfwd, vmap
from torch.testing import assert_close

import fuse_torch
from fuse_ref import CapacityError, ExecutionConfig, Program, Relation, RouteError
from fuse_torch import AxisError, DtypeError, Facts, FuseModule
from tests.torch.logic_programs import MIXED, PAIRS, edges, facts

FAMILY = """\
Parent(Ann, Bob); Parent(Bob, Cid); Parent(Cid, Dan)
Ancestor(x, y) <- Parent(x, y)
Ancestor(x, z) <- Ancestor(x, y), Parent(y, z)
Children[x] = Parent(x, y)
export Ancestor, Children
Ancestor(Ann, x)?
"""
PROGRAMS = {
    "mixed": MIXED.replace("param W[d] ~ normal(0, 1)", "W = [0.5, -0.25, 1]").replace("Out\n", "Out, Both, Path\n"),
    "mutual": """\
input Edge(x, y)
input X[n, d]
Start(n) <- X[n, 0] > 0
Odd(x, y) <- Edge(x, y), Start(x)
Odd(x, y) <- Even(x, z), Edge(z, y)
Even(x, y) <- Odd(x, z), Edge(z, y), not Start(y)
Alone(x) <- Edge(x, _), not Odd(x, x), x != 1
Far[n, d] = Even(n, m) X[m, d]
export Odd, Even, Alone, Far
""",
    "alternating": """\
input Edge(x, y)
input X[n, d]
Two(x, z) <- Edge(x, y), Edge(y, z)
A[n, d] = Two(n, m) X[m, d]
Big(n, m) <- A[n, 0] > X[m, 0], Two(n, m)
B[n, d] max= Big(n, m), A[m, d]
export B, Big
""",
    "numbers as relations": """\
input Edge(x, y)
input X[n, d]
input N[x, y]: int64
Pos[x, y] = X[x, 0] X[y, 0]
Near(x, y) <- Pos(x, y), Edge(x, _)
Near(x, z) <- Near(x, y), N(y, z), N[x, z] < 1
Y[x] = Near(x, y)
export Near, Y
""",
    "truth values": """\
input Edge(x, y)
input X[n, d]
Two(x, z) <- Edge(x, y), Edge(y, z)
Y[n, m] = case { Two(n, m) -> X[n, 0]; default -> X[m, 1] }
export Y
""",
}


def both(text: str, precision: str, engine: ExecutionConfig | None = None) -> tuple[object, object]:
    config = ExecutionConfig(precision=precision)  # type: ignore[arg-type]
    return Program(text).compile(backend="numpy", config=config), fuse_torch.compile(text, config=engine or config)


def agree(one: dict[str, object], other: dict[str, object], tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        found = other[name]
        if isinstance(value, Relation):
            assert isinstance(found, Relation)
            assert value.rows == found.rows, name
        else:
            np.testing.assert_allclose(np.asarray(found), value, rtol=tolerance, err_msg=name)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("logic", ["auto", "dense"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_runners_agree_with_numpy(name: str, logic: str, precision: str) -> None:
    config = ExecutionConfig(precision=precision, logic=logic)  # type: ignore[arg-type]
    numpy, torch_ = both(PROGRAMS[name], precision, config)
    for seed, (nodes, count) in enumerate([(6, 9), (4, 3), (5, 0), (2, 1), (7, 20)]):
        x = np.random.default_rng(seed).standard_normal((nodes, 3)).astype(precision)
        given = {"X": x, "Edge": edges(count, nodes, seed)}
        if "N" in numpy.plan.givens:  # type: ignore[attr-defined]
            given["N"] = np.random.default_rng(seed).integers(0, 2, (nodes, nodes))
        agree(numpy(**given), torch_(**given), 1e-5 if precision == "float32" else 1e-10)  # type: ignore[operator]


def test_symbols_queries_and_facts_of_the_text() -> None:
    runner = fuse_torch.compile(FAMILY)
    found = runner()
    assert ("Ann", "Dan") in found["Ancestor"].rows
    assert found["Children"].tolist() == [1, 1, 1, 0]
    assert runner.answers[0].rows == (("Bob",), ("Cid",), ("Dan",))
    assert runner.query("Ancestor(x, Dan)?").rows == (("Ann",), ("Bob",), ("Cid",))


@pytest.mark.parametrize("logic", ["auto", "dense"])
def test_relations_of_files(tmp_path: Path, logic: str) -> None:
    (tmp_path / "parent.tsv").write_text("Ann\tBob\nBob\tCid\n")
    (tmp_path / "p.fuse").write_text(
        'Parent(x, y) = "parent.tsv"\nA(x, y) <- Parent(x, y)\nA(x, z) <- A(x, y), Parent(y, z)\n'
        "N[x] = A(x, y)\nM[x] = Parent(x, y)\nexport A, N, M\n"
    )
    program = Program.from_file(tmp_path / "p.fuse")
    config = ExecutionConfig(logic=logic)  # type: ignore[arg-type]
    module = FuseModule(program, config=config)
    for found in (fuse_torch.compile(program, config=config)(), module(), copy.deepcopy(module)()):
        assert np.asarray(found["N"]).tolist() == [2, 1, 0]
        assert np.asarray(found["M"]).tolist() == [1, 1, 0]
        assert np.asarray(found["A"]).sum() == 3


def test_graphs_of_a_runner_are_the_parts_between_rules() -> None:
    runner = fuse_torch.compile(PROGRAMS["mixed"])
    first, second = runner.fx_graphs
    assert "sigmoid" in first.code
    assert "tanh" in second.code
    assert "cross" not in first.code + second.code
    runner(X=torch.randn(4, 3), Edge=[(0, 1)])
    assert [run.algorithm for run in runner._last.rule_runs]  # what rules did is told as by NumPy
    assert_close(runner.module(torch.ones(4, 3), [])["Out"], torch.zeros(3))


# Modules ----------------------------------------------------------------------------------------


def dense(pairs: list[tuple[int, int]], nodes: int) -> torch.Tensor:
    table = torch.zeros(nodes, nodes, dtype=torch.bool)
    for pair in pairs:
        table[pair] = True
    return table


@pytest.mark.parametrize("logic", ["auto", "dense"])
def test_relations_come_in_every_form(logic: str) -> None:
    module = FuseModule(MIXED, config=ExecutionConfig(logic=logic))  # type: ignore[arg-type]
    x = torch.randn(5, 3)
    expected = module(x, dense(PAIRS, 5))
    forms = [
        Facts(PAIRS),
        Facts(PAIRS, axes=(5, 5)),
        Facts(PAIRS + PAIRS),
        torch.tensor(PAIRS),
        torch.tensor(PAIRS, dtype=torch.int32),
        dense(PAIRS, 5).to_sparse(),
        PAIRS,
        tuple(PAIRS),
    ]
    for form in forms:
        assert_close(module(x, form), expected)
        assert_close(module({"X": x, "Edge": form}), expected)
        assert_close(module(Edge=form, X=x), expected)
    for nothing in (Facts([]), Facts(torch.empty(0, 2, dtype=torch.int64)), [], dense([], 5)):
        assert_close(module(x, nothing), torch.zeros(3))


@pytest.mark.parametrize("count", [0, 1, 7])
def test_gradients_of_both_dense_parts(count: int) -> None:
    module = FuseModule(MIXED, config=ExecutionConfig(precision="float64"))
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    given = facts(count, 5)

    def run(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return functional_call(module, {"W": w}, (x, given))

    w = module.W.detach().clone().requires_grad_()
    torch.autograd.gradcheck(run, (w, x))
    torch.autograd.gradgradcheck(run, (w, x))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # jacfwd uses it
def test_transformations_of_functions() -> None:
    module = FuseModule(MIXED, config=ExecutionConfig(precision="float64"))
    x, given = torch.randn(5, 3, dtype=torch.float64), Facts(PAIRS)
    (expected,) = torch.autograd.grad(module(x, given).sum(), module.W)

    def loss(w: torch.Tensor) -> torch.Tensor:
        return functional_call(module, {"W": w}, (x, given))

    w = module.W.detach()
    assert_close(grad(lambda w: loss(w).sum())(w), expected)
    assert_close(jacfwd(loss)(w).sum(0), expected)
    batch = torch.stack([x, 2 * x])
    with pytest.raises(RouteError, match=r"other tuples of Both.*logic=\"dense\""):
        vmap(lambda x: module(x, given))(batch)
    # What does not depend on the batch is derived once.
    apart = FuseModule("input Edge(x, y)\ninput X[x]\nP(x, z) <- Edge(x, y), Edge(y, z)\nY[x] = P(x, y) X[y]\nexport Y")
    x = torch.randn(2, 5)
    assert_close(vmap(lambda x: apart(given, x))(x), torch.stack([apart(given, item) for item in x]))


def test_dense_logic_takes_batches() -> None:
    module = FuseModule(MIXED, config=ExecutionConfig(logic="dense"))
    batch, table = torch.randn(2, 5, 3), dense(PAIRS, 5)
    assert_close(vmap(lambda x: module(x, table))(batch), torch.stack([module(x, table) for x in batch]))


def test_copies_and_the_meta_device() -> None:
    module = FuseModule(MIXED)
    x, given = torch.randn(5, 3), Facts(PAIRS)
    for copied in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert_close(copied(x, given), module(x, given))
    nowhere = FuseModule(MIXED).to("meta")(x.to("meta"), given)
    assert (nowhere.shape, nowhere.dtype, nowhere.device.type) == ((3,), torch.float32, "meta")


def test_exports_are_truth_values_up_to_a_limit() -> None:
    text = "input Edge(x, y)\nTwo(x, z) <- Edge(x, y), Edge(y, z)\nexport Two"
    found = FuseModule(text)(Facts(PAIRS, axes=(6, 6)))
    assert found.dtype == torch.bool
    assert found.shape == (6, 6)
    assert found.nonzero().tolist() == [[0, 2]]
    with pytest.raises(CapacityError, match="36"):
        FuseModule(text, config=ExecutionConfig(dense_limit=35))(Facts(PAIRS, axes=(6, 6)))
    # A Runner keeps tuples.
    runner = fuse_torch.compile(text, config=ExecutionConfig(dense_limit=4))
    assert runner(Edge=[(0, 1), (1, 100_000)])["Two"].rows == ((0, 100_000),)


def test_sizes_that_only_tuples_tell() -> None:
    module = FuseModule(
        "input Edge(x, y)\nTwo(x, z) <- Edge(x, y), Edge(y, z)\nN[x] = Two(x, y)\nK[x] = 1 + N[x]\nexport Two, K"
    )
    for pairs, size in (([(0, 1), (1, 2)], 3), ([(4, 4)], 5)):
        found = module(Facts(pairs))
        assert found["Two"].shape == (size, size)
        assert found["K"].sum() == size + 1


def test_dense_logic_refuses_large_domains() -> None:
    text = "axis x = 5000\ninput Edge(x, y)\nP(x, y) <- Edge(x, y)\nP(x, z) <- P(x, y), Edge(y, z)\nexport P"
    with pytest.raises(RouteError, match=r"P would have 5000 × 5000 = 25000000 truth values, more than dense_limit"):
        FuseModule(text, config=ExecutionConfig(logic="dense"))
    opened = FuseModule(text.partition("\n")[2], config=ExecutionConfig(route="native", dense_limit=8))
    assert opened(torch.ones(2, 2, dtype=torch.bool)).all()
    with pytest.raises(RouteError, match="P would have 3 × 3 = 9 truth values"):
        opened(torch.ones(3, 3, dtype=torch.bool))


def test_mistakes() -> None:
    module = FuseModule(MIXED)
    x = torch.randn(5, 3)
    with pytest.raises(AxisError, match="n"):
        module(x, Facts([(0, 7)]))
    with pytest.raises(AxisError):
        module(x, torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(AxisError):
        module(x, [(0, "Ann")])
    with pytest.raises(DtypeError):
        module(x, torch.zeros(5, 5))
    with pytest.raises(DtypeError):
        module(x.double(), Facts(PAIRS))
    with pytest.raises(fuse_torch.InputError):
        module(x)


def test_unknown_symbols_are_errors_with_a_suggestion() -> None:
    module = FuseModule(
        "axis x = {Ann, Bob, Cid}\ninput Knows(x, y)\naxis y = {Ann, Bob, Cid}\n"
        "Far(x, z) <- Knows(x, y), Knows(y, z)\nexport Far"
    )
    assert module([("Ann", "Bob"), ("Bob", "Cid")]).nonzero().tolist() == [[0, 2]]
    with pytest.raises(AxisError, match="Bob"):
        module([("Ann", "Bobb")])


def test_routes_name_the_rules() -> None:
    found = {route.tensors: route.route for route in FuseModule(MIXED).routes()}
    assert found[("Path",)] == found[("Both",)] == "logical"
    reasons = {route.tensors: route.reason for route in FuseModule(MIXED).routes()}
    assert "Path(x, z) <- Path(x, y), Edge(y, z)" in reasons[("Path",)]
    assert "breaks" in reasons[("Path",)]
    native = FuseModule(MIXED, config=ExecutionConfig(logic="dense")).routes()
    assert {route.route for route in native} == {"dense"}
