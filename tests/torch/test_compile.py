"""FuseModules under torch.compile: how often it compiles, what it computes, what a mistake looks like."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.func import functional_call, grad, vmap
from torch.testing import assert_close

from fuse_torch import AxisError, DtypeError, FuseModule, InputError
from tests.torch.programs import DENSE, LOSS, SQUARE, by_hand

POOLED = """\
axis d = 6, o = 4
input Image[b, x, d]
param F[o, w, d] ~ normal(0, 1)
axis w = 3
C[b, x, o] = relu(F[o, w, d] Image[b, x+w, d])
P[b, x/2, o] max= C[b, x, o]
Y[b, o] avg= P[b, x, o]
export Y
"""


@pytest.fixture(autouse=True)
def _fresh_dynamo() -> None:
    torch.compiler.reset()


def counted(model: nn.Module, **settings: object) -> tuple[nn.Module, CompileCounterWithBackend]:
    counter = CompileCounterWithBackend("aot_eager")
    return torch.compile(model, backend="fuse", options={"fuse.inner": counter}, **settings), counter


# How often it compiles -------------------------------------------------------------------------


def test_new_batch_sizes_cost_one_compilation_each_for_first_dynamic_and_one() -> None:
    module = FuseModule(DENSE)
    compiled, counter = counted(module, fullgraph=True)
    counts = []
    for batch in (2, 3, 7, 1, 5, 1, 2):
        x = torch.randn(batch, 4)
        assert_close(compiled(x), by_hand(module, x))
        counts.append(counter.frame_count)
    assert counts == [1, 2, 2, 3, 3, 3, 3]
    with torch.compiler.set_stance("fail_on_recompile"):
        compiled(torch.randn(11, 4))


@pytest.mark.parametrize("program", [LOSS, POOLED], ids=["classes", "pooling"])
def test_open_sizes_stay_open_in_every_operation(program: str) -> None:
    module = FuseModule(program)
    compiled, counter = counted(module, fullgraph=True)
    counts = []
    for batch in (2, 3, 7, 1, 5):
        inputs = {"X": torch.randn(batch, 4), "T": torch.randint(0, 3, (batch,)), "Image": torch.randn(batch, 9, 6)}
        inputs = {name: inputs[name] for name in module.program.inputs}
        assert_close(compiled(**inputs), module(**inputs))
        counts.append(counter.frame_count)
    assert counts == [1, 2, 2, 3, 3]


def test_twelve_programs_in_one_process_all_stay_compiled() -> None:
    counter = CompileCounterWithBackend("eager")
    modules = [FuseModule(f"axis d = 4\ninput X[b, d]\nparam W[d]\nY[b] = W[d] X[b, d] + {k}") for k in range(12)]
    compiled = [torch.compile(m, backend="fuse", options={"fuse.inner": counter}) for m in modules]
    x = torch.randn(3, 4)
    for _ in range(2):
        for k, call in enumerate(compiled):
            assert_close(call(x), x @ modules[k].W + k)
    assert counter.frame_count == 12


def test_twelve_equal_layers_share_one_graph() -> None:
    counter = CompileCounterWithBackend("eager")
    modules = [FuseModule(SQUARE) for _ in range(12)]
    compiled = [torch.compile(m, backend="fuse", options={"fuse.inner": counter}) for m in modules]
    x = torch.randn(3, 4)
    for _ in range(2):
        for module, call in zip(modules, compiled, strict=True):
            assert_close(call(x), torch.tanh(x @ module.W.T))
    assert counter.frame_count == 1


def test_a_stack_is_one_graph() -> None:
    model = nn.Sequential(FuseModule(SQUARE), nn.LayerNorm(4), FuseModule(SQUARE), FuseModule(DENSE))
    compiled, counter = counted(model, fullgraph=True)
    for batch in (3, 5):
        x = torch.randn(batch, 4)
        assert_close(compiled(x), model(x))
    assert counter.frame_count == 2


def test_a_mapping_and_keywords_compile_without_breaks() -> None:
    module = FuseModule(DENSE)
    compiled, _ = counted(module, fullgraph=True)
    x = torch.randn(3, 4)
    assert_close(compiled({"X": x}), by_hand(module, x))
    assert_close(compiled(X=x), by_hand(module, x))


class Doubled(FuseModule):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(2 * x)


def test_a_subclass_compiles_whole() -> None:
    module = Doubled(DENSE)
    compiled, counter = counted(module, fullgraph=True)
    x = torch.randn(3, 4)
    assert_close(compiled(x), by_hand(module, 2 * x))
    assert counter.frame_count == 1


# What it computes ------------------------------------------------------------------------------


def test_training_gives_the_gradients_of_eager_code() -> None:
    torch.manual_seed(0)
    module = FuseModule(LOSS)
    compiled, counter = counted(module)
    x, classes = torch.randn(32, 4), torch.randint(0, 3, (32,))
    eager = torch.autograd.grad(module(x, classes), list(module.parameters()))
    assert_close(torch.autograd.grad(compiled(x, classes), list(module.parameters())), eager)
    optimiser = torch.optim.Adam(module.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        loss = compiled(x, classes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    assert counter.frame_count == 1


def test_per_sample_gradients_compile_whole() -> None:
    module = FuseModule(DENSE)
    parameters = dict(module.named_parameters())

    def loss(parameters: dict, x: torch.Tensor) -> torch.Tensor:
        return functional_call(module, parameters, (x[None],)).square().sum()

    per_sample = vmap(grad(loss), in_dims=(None, 0))
    compiled = torch.compile(per_sample, backend="fuse", options={"fuse.inner": "aot_eager"}, fullgraph=True)
    for batch in (3, 4):
        x = torch.randn(batch, 4)
        assert_close(compiled(parameters, x), per_sample(parameters, x))


def test_the_precision_of_the_module_is_followed() -> None:
    module = FuseModule("input T[i]: int64\nY[i] = T[i] / 2 + i")
    compiled, _ = counted(module, fullgraph=True)
    t = torch.tensor([1, 2, 3])
    assert compiled(t).dtype == torch.float32
    module.double()
    assert_close(compiled(t), torch.tensor([0.5, 2.0, 3.5], dtype=torch.float64))


# Dynamo makes an instance of every autograd.Function that it traces, which torch itself calls deprecated.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_boolean_inputs_that_are_no_tables_break_the_graph_and_are_right() -> None:
    module = FuseModule("axis x = 3, y = 3\ninput E(x, y)\nN[x] = E(x, y)")
    compiled, _ = counted(module)
    assert_close(compiled(torch.tensor([[0, 1], [2, 2], [2, 1]])), torch.tensor([1.0, 0.0, 2.0]))
    assert_close(compiled(torch.eye(3, dtype=torch.bool)), torch.ones(3))


# What a mistake looks like ---------------------------------------------------------------------


@pytest.mark.parametrize("fullgraph", [False, True])
@pytest.mark.parametrize("nested", [False, True], ids=["alone", "before another layer"])
def test_inputs_that_do_not_fit_raise_our_errors(fullgraph: bool, nested: bool) -> None:
    module = FuseModule(DENSE)
    model: nn.Module = nn.Sequential(module, nn.Linear(3, 2)) if nested else module
    compiled, _ = counted(model, fullgraph=fullgraph)
    x = torch.randn(5, 4)
    compiled(x)
    compiled(torch.randn(6, 4))
    wrong = [
        (torch.randn(5, 3), AxisError, "FUSE150: axis d is 3 in X"),
        (torch.randn(5, 1), AxisError, "axis d is 1 in X"),
        (torch.randn(4), AxisError, "X has 2 axes"),
        (x.double(), DtypeError, "FUSE252: X must be float32 here, but float64 was given"),
        (x.long(), DtypeError, "X must be float32 here, but int64 was given"),
    ]
    for value, error, words in wrong:
        for _ in range(2):
            with pytest.raises(error) as caught:
                compiled(value)
            assert words in str(caught.value)
            assert "^" in str(caught.value)  # the place in the program
    # Right calls still run compiled, in the same graphs.
    with torch.compiler.set_stance("fail_on_recompile"):
        assert_close(compiled(x), model(x))
        compiled(torch.randn(9, 4))


def test_a_mistake_in_the_first_call() -> None:
    module = FuseModule(DENSE)
    compiled, counter = counted(module)
    with pytest.raises(AxisError):
        compiled(torch.randn(5, 3))
    for batch in (2, 3, 4):
        x = torch.randn(batch, 4)
        assert_close(compiled(x), by_hand(module, x))
    assert counter.frame_count <= 3


def test_a_window_that_never_fits() -> None:
    compiled, _ = counted(FuseModule("input X[i]\ninput F[d]\nY[x] = X[x+d] F[d]"), fullgraph=True)
    assert_close(compiled(torch.ones(6), torch.ones(3)), torch.full((4,), 3.0))
    with pytest.raises(AxisError, match="fits at no position"):
        compiled(torch.ones(2), torch.ones(3))
    assert_close(compiled(torch.ones(8), torch.ones(5)), torch.full((4,), 5.0))


def test_missing_inputs_raise_our_error() -> None:
    module = FuseModule(DENSE)
    compiled, _ = counted(module)
    x = torch.randn(5, 4)
    compiled(x)
    with pytest.raises(InputError, match="input X is declared"):
        compiled()
    with torch.compiler.set_stance("fail_on_recompile"):
        assert_close(compiled(x), by_hand(module, x))


# Threads ---------------------------------------------------------------------------------------


def test_one_module_called_from_several_threads() -> None:
    module = FuseModule(DENSE)
    compiled, _ = counted(module)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        try:
            for call in (module, compiled):
                for batch in (2, 3, 4):
                    x = torch.randn(batch, 4, generator=random)
                    with torch.no_grad():
                        assert_close(call(x), by_hand(module, x))
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
