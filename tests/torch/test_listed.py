"""Relations that only equations for numbers read: by their tuples where a call lists them, else as truth values."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.func import functional_call, grad, vmap
from torch.testing import assert_close

from fuse_ref import AxisError, DtypeError, ExecutionConfig, InputError, LimitError
from fuse_torch import Facts, FuseModule, report
from tests.torch.logic_programs import edges

pytestmark = [
    # Dynamo makes an instance of every autograd.Function that it traces, which torch itself calls deprecated,
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    # and looks at the gradient of every tensor that comes into a graph after a break.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]

SUM = "input Neig(n, m)\ninput Z[m, d]\nAgg[n, d] = Neig(n, m) Z[m, d]"
NET = """\
axis d = 3, h = 2
input Neig(n, m)
input Z[n, d]
param W[h, d] ~ normal(0, 1)
H[n, h] = tanh(W[h, d] Z[n, d])
Mean[n, h] avg= Neig(n, m) H[m, h]
Top[n] max= Neig(n, m) H[m, 0]
Out[n, h] = Mean[n, h] + relu(Top[n]) H[n, h] + 1
export Out
"""
WIDE = 200_000


@pytest.fixture(autouse=True)
def _fresh_dynamo() -> None:
    torch.compiler.reset()


def table(positions: np.ndarray, *shape: int) -> torch.Tensor:
    found = torch.zeros(shape, dtype=torch.bool)
    found[tuple(torch.from_numpy(positions).unbind(1))] = True
    return found


def summed(positions: np.ndarray, values: np.ndarray, rows: int) -> np.ndarray:
    """The rows of `values` at the second position of each tuple, added at the first."""
    found = np.zeros((rows, values.shape[1]), values.dtype)
    distinct = np.unique(positions, axis=0)
    np.add.at(found, distinct[:, 0], values[distinct[:, 1]])
    return found


def counted(model: nn.Module, inner: str = "eager", **settings: object) -> tuple[nn.Module, CompileCounterWithBackend]:
    counter = CompileCounterWithBackend(inner)
    return torch.compile(model, backend="fuse", options={"fuse.inner": counter}, **settings), counter


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_wide_domain_costs_what_its_tuples_cost(dtype: torch.dtype, compiled: bool) -> None:
    module = FuseModule(SUM).to(dtype)
    run = counted(module, "aot_eager")[0] if compiled else module
    for count, seed in ((1000, 0), (7, 1)):
        positions = edges(count, WIDE, seed)
        z = torch.randn(WIDE, 2, dtype=dtype, requires_grad=True)
        tracemalloc.start()
        found = run(Facts(torch.from_numpy(positions), (WIDE, WIDE)), z)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 400e6  # NumPy's share; 40e9 truth values would not fit in any machine of ours
        expected = summed(positions, z.detach().numpy(), WIDE)
        assert_close(found.detach(), torch.from_numpy(expected))
        weight = torch.randn_like(found)
        (slope,) = torch.autograd.grad(found, z, weight)
        assert_close(slope, torch.from_numpy(summed(np.unique(positions, axis=0)[:, ::-1], weight.numpy(), WIDE)))


@pytest.mark.parametrize("breaks", ["graph", "opaque"])
def test_a_hundred_calls_of_both_kinds_compile_each_once(breaks: str) -> None:
    module = FuseModule(NET, config=ExecutionConfig(breaks=breaks))  # type: ignore[arg-type]
    compiled, counter = counted(module, fullgraph=breaks == "opaque")
    z = torch.randn(9, 3)
    for k in range(100):
        positions = edges((3, 0, 1, 2, 40)[k] if k < 5 else k % 23, 9, k)
        with torch.no_grad():
            expected = module(table(positions, 9, 9), z)
            assert_close(compiled(Facts(torch.from_numpy(positions)), z), expected)
            if k > 20 and k % 9 == 0:
                assert_close(compiled(table(positions, 9, 9), z), expected)
        assert counter.frame_count == (1 if k <= 20 or k < 27 else 2)


def test_what_broke_names_the_relation() -> None:
    compiled, _ = counted(FuseModule(SUM))
    compiled(Facts([(0, 1)]), torch.randn(3, 2))
    assert [(item.equation, item.reason) for item in report().breaks] == [
        ("Neig", "given relations are opened in NumPy")
    ]


@pytest.mark.parametrize("nodes", [5, 1, 0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_kinds_agree_in_values_and_gradients(nodes: int, dtype: torch.dtype) -> None:
    module = FuseModule(NET).to(dtype)
    for seed, count in enumerate((6, 0, 1)):
        positions = edges(count if nodes else 0, max(nodes, 1), seed)
        z = torch.randn(nodes, 3, dtype=dtype, requires_grad=True)
        results, slopes = [], []
        for given in (Facts(torch.from_numpy(positions)), table(positions, nodes, nodes)):
            found = module(given, z)
            results.append(found)
            slopes.append(torch.autograd.grad(found.square().sum(), (z, module.W)))
        assert results[0].shape == (nodes, 2)
        assert_close(results[0], results[1])
        assert_close(slopes[0], slopes[1])


@pytest.mark.parametrize("compiled", [False, True])
def test_training_with_both_kinds_keeps_the_parameters(compiled: bool) -> None:
    torch.manual_seed(0)
    module = FuseModule(NET)
    twin = copy.deepcopy(module)
    run = counted(module, "aot_eager")[0] if compiled else module
    held = dict(module.named_parameters())
    buffers = dict(module.named_buffers())
    both = [torch.optim.Adam(item.parameters(), 0.1) for item in (module, twin)]
    for k in range(6):
        positions, z = edges(k + 1, 6, k), torch.randn(6, 3)
        truth = table(positions, 6, 6)
        for model, given in ((run, Facts(torch.from_numpy(positions)) if k % 2 else truth), (twin, truth)):
            model(given, z).square().sum().backward()
        for optimiser in both:
            optimiser.step()
            optimiser.zero_grad()
    assert dict(module.named_parameters()).keys() == held.keys() == module.state_dict().keys()
    assert all(module.get_parameter(name) is tensor for name, tensor in held.items())
    assert dict(module.named_buffers()) == buffers
    assert_close(module.W, twin.W)


def test_each_of_two_relations_may_be_listed() -> None:
    text = "input A(x, y)\ninput B(y, z)\ninput Z[z, d]\nT[x, d] = A(x, y) B(y, z) Z[z, d]"
    module = FuseModule(text)
    for seed in (0, 1):
        a, b, z = edges(6, 4, seed), edges(5, 4, seed + 9), torch.randn(4, 2)
        dense = table(a, 4, 4), table(b, 4, 4)
        expected = dense[0].float() @ dense[1].float() @ z
        listed = tuple(Facts(torch.from_numpy(item), (4, 4)) for item in (a, b))
        for first in (dense[0], listed[0], torch.from_numpy(a), [tuple(row) for row in a.tolist()]):
            for second in (dense[1], listed[1], dense[1].to_sparse(), dense[1].numpy()):
                assert_close(module(first, second, z), expected)
                assert_close(module({"Z": z, "A": first, "B": second}), expected)


def test_what_is_given_as_truth_values_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    module = FuseModule(SUM)

    def planned_for(*given: object) -> str:
        raise AssertionError("nothing lists tuples")

    monkeypatch.setattr(FuseModule, "_planned_for", planned_for)
    truth, z = table(edges(5, 4, 0), 4, 4), torch.randn(4, 2)
    for given in (truth, truth.numpy(), truth.t().contiguous().t()):
        assert_close(module(given, z), truth.float() @ z)
    native = FuseModule(SUM, config=ExecutionConfig(logic="dense"))
    assert_close(native(Facts([(0, 1)], (2, 4)), z), torch.stack([z[1], torch.zeros(2)]))


def test_a_memory_limit_counts_truth_values() -> None:
    module, z = FuseModule(SUM, config=ExecutionConfig(memory_limit=200)), torch.randn(4, 2)
    for given in (Facts([(0, 1), (2, 3)], (3, 4)), table(np.array([(0, 1), (2, 3)]), 3, 4)):
        assert_close(module(given, z), torch.stack([z[1], torch.zeros(2), z[3]]))
    with pytest.raises(LimitError, match="memory_limit=200"):
        module(Facts([(0, 1)], (100, 4)), z)


def test_masks_that_no_product_takes_may_be_listed() -> None:
    text = "input M(q, k)\ninput X[q]\nY[q] = sum(k: where(not M(q, k), X[k], 10 X[q]))"
    module = FuseModule(text)
    for seed in (0, 1):
        positions, x = edges(4, 3, seed), torch.randn(3)
        truth = table(positions, 3, 3)
        expected = torch.where(~truth, x[None, :], 10 * x[:, None]).sum(1)
        assert_close(module(truth, x), expected)
        assert_close(module(Facts(torch.from_numpy(positions)), x), expected)


def test_copies_pickles_layers_and_subclasses() -> None:
    class Shifted(FuseModule):
        def forward(self, *given: object, **named: object) -> torch.Tensor:
            return super().forward(*given, **named) + 1

    module = Shifted(NET, state="buffer")
    z, given = torch.randn(4, 3), Facts([(0, 1), (3, 2)])
    before = pickle.loads(pickle.dumps(FuseModule(NET).state_dict()))
    module.load_state_dict(before)
    plain = FuseModule(NET)
    plain.load_state_dict(before)
    early = copy.deepcopy(plain)
    expected = plain(given, z)
    assert_close(module(given, z), expected + 1)
    for other in (early, copy.deepcopy(plain), pickle.loads(pickle.dumps(plain))):
        assert_close(other(Neig=given, Z=z), expected)
    assert_close(plain.double()(given, z.double()), expected.double())
    carried, state = FuseModule(SUM, state="carry")(given, z, state={})
    assert_close(carried[3], z[2])
    assert state == {}


def test_layers_share_what_is_compiled() -> None:
    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            config = ExecutionConfig(breaks="opaque")
            self.layers = nn.ModuleList(FuseModule(SUM, config=config) for _ in range(3))

        def forward(self, given: Facts, z: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                z = torch.tanh(layer(given, z))
            return z

    stack = Stack()
    compiled, counter = counted(stack, fullgraph=True)
    for count in (3, 0, 1, 8):
        given, z = Facts(torch.from_numpy(edges(count, 5, count)), (5, 5)), torch.randn(5, 2)
        assert_close(compiled(given, z), stack(given, z))
    assert counter.frame_count == 1


def test_transformations_of_torch_func() -> None:
    module = FuseModule(NET)
    z, given = torch.randn(4, 3), Facts([(0, 1), (3, 2)])
    truth = table(np.array([(0, 1), (3, 2)]), 4, 4)
    params = dict(module.named_parameters())

    def loss(params: dict[str, torch.Tensor], kind: object, z: torch.Tensor) -> torch.Tensor:
        return functional_call(module, params, (kind, z)).square().sum()

    assert_close(grad(loss)(params, given, z), grad(loss)(params, truth, z))
    batch = torch.randn(3, 4, 3)
    assert_close(vmap(lambda z: module(given, z))(batch), vmap(lambda z: module(truth, z))(batch))


def test_first_call_in_inference_mode_leaves_a_module_that_trains() -> None:
    module, z = FuseModule(NET), torch.randn(4, 3)
    with torch.inference_mode():
        module(Facts([(0, 1)]), z)
    module(Facts([(0, 1)]), z).sum().backward()
    assert module.W.grad is not None


def test_exported_programs_take_positions() -> None:
    module = FuseModule(NET, config=ExecutionConfig(breaks="opaque"))
    positions, z = torch.tensor([[0, 1], [3, 2], [1, 1]]), torch.randn(4, 3)
    exported = torch.export.export(module, (positions, z)).module()
    for count in (3,):
        new = torch.from_numpy(edges(count, 4, 5))
        assert_close(exported(new, z), module(new, z))


def test_files_that_list_tuples(tmp_path: Path) -> None:
    positions = edges(50, WIDE, 0)
    np.savetxt(tmp_path / "neig.tsv", positions, "%d", delimiter="\t")
    text = f'axis n = {WIDE}, m = {WIDE}\nNeig(n, m) = "neig.tsv"\ninput Z[m, d]\nAgg[n, d] = Neig(n, m) Z[m, d]'
    program = tmp_path / "p.fuse"
    program.write_text(text)
    from fuse_ref import Program

    module = FuseModule(Program.from_file(program))
    compiled, counter = counted(module, fullgraph=True)
    for seed in (0, 1):
        z = torch.randn(WIDE, 2, generator=torch.Generator().manual_seed(seed))
        expected = torch.from_numpy(summed(positions, z.numpy(), WIDE))
        assert_close(module(z), expected)
        assert_close(compiled(z), expected)
    assert counter.frame_count == 1
    assert module.state_dict() == {}


def test_a_file_in_both_forms(tmp_path: Path) -> None:
    (tmp_path / "known.tsv").write_text("0\t1\n1\t1\n2\t0\n")
    program = tmp_path / "p.fuse"
    program.write_text(
        'axis n = 3, m = 3\nKnown(n, m) = "known.tsv"\ninput A(n, m)\ninput Z[m]\n'
        "T[n] = A(n, m) Z[m] (not Known(n, m))\nexport T"
    )
    from fuse_ref import Program

    module = FuseModule(Program.from_file(program))
    twin = copy.deepcopy(module)
    known = table(np.array([(0, 1), (1, 1), (2, 0)]), 3, 3)
    for seed in (0, 1):
        positions, z = edges(5, 3, seed), torch.randn(3)
        truth = table(positions, 3, 3)
        expected = (truth & ~known).float() @ z
        for item in (module, twin):
            assert_close(item(truth, z), expected)
            assert_close(item(Facts(torch.from_numpy(positions), (3, 3)), z), expected)


@pytest.mark.parametrize("compiled", [False, True])
def test_what_does_not_fit_is_said(compiled: bool) -> None:
    module = FuseModule("axis n = 4\n" + SUM)
    run = counted(module)[0] if compiled else module
    z = torch.randn(3, 2)
    run(Facts([(0, 1)]), z)
    wrong: list[tuple[object, object, type[Exception], str]] = [
        (torch.rand(4, 3), z, DtypeError, "Neig"),
        (torch.tensor([[0, 1, 2]]), z, AxisError, "Neig"),
        (Facts([(0, 5)]), z, AxisError, "axis m is 3 in Z (line 3) but 6 in Neig"),
        (Facts([(9, 0)]), z, AxisError, "Neig"),
        (Facts([(0, 1)]), z.double(), DtypeError, "Z must be float32"),
        (Facts([(0, 1)]), z[0], AxisError, "Z has 2 axes"),
    ]
    for relation, values, error, words in wrong:
        with pytest.raises(error) as caught:
            run(relation, values)
        assert words in str(caught.value)
    for call in (lambda: module(Z=z), lambda: module(Neig=[(0, 1)])):
        with pytest.raises(InputError, match="FUSE300"):
            call()
