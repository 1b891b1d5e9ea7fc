"""What a FuseModule holds: parameters under their names, first values, copies, moves, subclasses."""

from __future__ import annotations

import copy
import io
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch.testing import assert_close

from fuse_torch import (
    AxisError,
    ConfigError,
    DtypeError,
    ExecutionConfig,
    FuseModule,
    InMemoryWeightStore,
    InputError,
    Program,
    RuntimePolicies,
)
from fuse_torch.names import RESERVED
from tests.torch.programs import DENSE, by_hand


def dense() -> tuple[FuseModule, torch.Tensor]:
    return FuseModule(DENSE), torch.randn(5, 4)


# Names and parameters --------------------------------------------------------------------------


def test_state_dict_has_the_names_of_the_param_lines() -> None:
    module = FuseModule(
        "axis d = 2\ninput X[d]\nparam W'[d]\nparam type[d]\nparam n.head[d]\nparam forward[d]\n"
        "Y[d] = X[d] W'[d] type[d] n.head[d] forward[d]"
    )
    assert list(module.state_dict()) == ["W'", "type_", "n__head", "forward_"]
    assert dict(module.names) == {"W'": "W'", "type": "type_", "n.head": "n__head", "forward": "forward_"}
    assert module.names["type"] == "type_"
    assert module.names["type_"] == "type"
    assert module.names["n__head"] == "n.head"
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(2.0)
    assert module(torch.ones(2)).tolist() == [16.0, 16.0]


def test_names_that_collide_are_an_error_at_construction() -> None:
    with pytest.raises(ConfigError, match="type and type_ would both be called type_"):
        FuseModule("axis d = 2\nparam type[d]\nparam type_[d]\nY[d] = type[d] type_[d]")
    with pytest.raises(ConfigError, match=r"a.b and a__b would both be called a__b"):
        FuseModule("axis d = 2\nparam a.b[d]\nparam a__b[d]\nY[d] = a.b[d] a__b[d]")


def test_every_name_that_the_class_uses_is_reserved() -> None:
    module = FuseModule("Y[i] = 2 X[i]")
    used = {*dir(FuseModule), *vars(module), *dict(module.named_buffers())}
    assert {name for name in used if not name.startswith("___")} <= RESERVED  # Dynamo marks classes with such names


def test_literals_sources_and_the_program_are_no_state(tmp_path) -> None:
    np.save(tmp_path / "w.npy", np.arange(3))
    program = Program('W[i] = "w.npy"\nL[i] = [1, 2, 3]\nY[i] = W[i] X[i] + L[i]', path=tmp_path / "p.fuse")
    module = FuseModule(program)
    assert module.state_dict() == {}
    assert list(module.children()) == []
    (tmp_path / "w.npy").unlink()  # read once, when the module was made
    assert module(X=torch.ones(3)).tolist() == [1.0, 3.0, 5.0]
    assert module.double()(X=torch.ones(3, dtype=torch.float64)).dtype == torch.float64


def test_weights_of_the_store() -> None:
    store = InMemoryWeightStore({"W": np.full((3, 4), 2.0), "F": np.arange(3)})
    program = (
        "axis d = 4, o = 3\ninput X[b, d]\nparam W[o, d]\nparam V[o] ~ ones()\nY[b, o] = W[o, d] X[b, d] F[o] V[o]"
    )
    module = FuseModule(program, policies=RuntimePolicies(weight_store=store))
    assert list(module.state_dict()) == ["W", "V", "F"]
    assert [name for name, _ in module.named_parameters()] == ["W", "V"]
    assert not module.F.requires_grad
    x = torch.randn(2, 4)
    assert_close(module(x), x.sum(1, keepdim=True) * 2 * torch.arange(3.0))
    module.reset_parameters()
    assert torch.equal(module.W, torch.full((3, 4), 2.0))
    with torch.no_grad():
        module.W.fill_(0.0)
    assert store.load("W")[0, 0] == 2.0
    with pytest.raises(InputError, match="the weight store has it"):
        module(x, F=torch.ones(3))


def test_a_parameter_of_unknown_size() -> None:
    text = "input X[b, d]\naxis o = 3\nparam W[o, d]\nY[b, o] = W[o, d] X[b, d]"
    with pytest.raises(AxisError, match="size of axis d of parameter W is not known"):
        FuseModule(text)
    assert FuseModule(text, sizes={"d": 5}).W.shape == (3, 5)


INITIALISERS = {
    "zeros()": lambda w: bool((w == 0).all()),
    "ones()": lambda w: bool((w == 1).all()),
    "normal(3, 0.5)": lambda w: abs(w.mean() - 3) < 0.1 and abs(w.std() - 0.5) < 0.1,
    "uniform(2, 4)": lambda w: 2 <= w.min() < 2.2 and 3.8 < w.max() <= 4,
    # fan_out is the first axis (20), fan_in the others together (6 · 5)
    "xavier()": lambda w: 0.9 * math.sqrt(6 / 50) < w.abs().max() <= math.sqrt(6 / 50),
    "kaiming()": lambda w: 0.9 * math.sqrt(6 / 30) < w.abs().max() <= math.sqrt(6 / 30),
    "orthogonal()": lambda w: torch.allclose(w.view(20, 30) @ w.view(20, 30).T, torch.eye(20), atol=1e-5),
    "": lambda w: 0.9 * math.sqrt(6 / 50) < w.abs().max() <= math.sqrt(6 / 50),
}


@pytest.mark.parametrize("written", INITIALISERS)
def test_initialisers(written: str) -> None:
    line = f"param W[o, i, j]{' ~ ' if written else ''}{written}"
    torch.manual_seed(3)
    module = FuseModule(f"axis o = 20, i = 6, j = 5\n{line}\nY[o] = W[o, i, j]")
    assert INITIALISERS[written](module.W.detach())
    first = module.W.detach().clone()
    torch.manual_seed(3)
    module.reset_parameters()
    assert torch.equal(module.W, first)  # torch's default generator
    module.reset_parameters()
    assert torch.equal(module.W, first) == (written in ("zeros()", "ones()"))


def test_without_an_initialiser_a_vector_starts_at_zero() -> None:
    assert FuseModule("axis d = 3\nparam B[d]\nY[d] = B[d]").B.tolist() == [0.0] * 3


# Copies, moves, subclasses ---------------------------------------------------------------------


def test_equal_modules_share_one_function_and_copies_are_their_own() -> None:
    module, x = dense()
    same_but_for_layout = FuseModule("# a comment\n" + DENSE.replace(", ", ",  "))
    assert module.forward.__func__ is same_but_for_layout.forward.__func__
    assert module.forward.__func__ is not FuseModule(DENSE.replace("relu", "tanh")).forward.__func__
    twin = copy.deepcopy(module)
    with torch.no_grad():
        twin.W.add_(1)
    assert twin.forward.__func__ is module.forward.__func__
    assert_close(twin(x), by_hand(twin, x))
    assert_close(module(x), by_hand(module, x))
    assert not torch.equal(twin(x), module(x))


def test_an_error_shows_the_text_of_the_module_that_was_called() -> None:
    first, _ = dense()
    second = FuseModule("\n\n" + DENSE)
    assert first.forward.__func__ is second.forward.__func__
    with pytest.raises(AxisError) as caught:
        second(torch.ones(5, 3))
    assert caught.value.span is not None
    assert caught.value.span.line == 4


def test_saving_whole_modules_and_state_dicts() -> None:
    module, x = dense()
    assert module.program.tensors  # a property that caches
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    assert_close(loaded(x), module(x))
    assert loaded.forward.__func__ is module.forward.__func__
    assert loaded.program.digest == module.program.digest
    other = FuseModule(DENSE)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file))
    assert_close(other(x), module(x))


def test_moves_between_types_and_devices() -> None:
    module, x = dense()
    assert module.double()(x.double()).dtype == torch.float64
    with pytest.raises(DtypeError, match="X must be float64 here, but float32 was given"):
        module(x)
    assert_close(module.float()(x), by_hand(module, x))
    assert module.half()(x.half()).dtype == torch.float16
    meta = module.float().to("meta")(x.to("meta"))
    assert (meta.shape, meta.dtype, meta.device.type) == ((5, 3), torch.float32, "meta")


def test_values_that_only_know_the_precision_of_the_module_follow_it() -> None:
    module = FuseModule("input T[i]: int64\nY[i] = T[i] / 2 + i + const(0.1)")
    t = torch.tensor([1, 2, 3])
    assert module(t).dtype == torch.float32
    result = module.double()(t)
    assert result.dtype == torch.float64
    assert_close(result, torch.tensor([0.6, 2.1, 3.6], dtype=torch.float64), rtol=0, atol=1e-15)
    assert FuseModule("Y[i] = 2 X[i]", config=ExecutionConfig(precision="float64"))(X=t.double()).dtype == torch.float64


def test_made_on_the_meta_device_and_filled_later() -> None:
    with torch.device("meta"):
        module = FuseModule(DENSE + "C[o] = [1, 2, 3]\nZ[b, o] = Y[b, o] C[o]\nexport Z")
    assert all(parameter.is_meta for parameter in module.parameters())
    assert module(torch.empty(5, 4, device="meta")).shape == (5, 3)
    module.to_empty(device="cpu")
    module.reset_parameters()
    x = torch.randn(5, 4)
    assert_close(module(x), by_hand(module, x) * torch.tensor([1.0, 2.0, 3.0]))
    assert FuseModule(DENSE, config=ExecutionConfig(device="meta")).W.is_meta


class Scaled(FuseModule):
    """A subclass with a forward of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


def test_a_subclass_may_have_its_own_forward() -> None:
    module = Scaled(DENSE)
    x = torch.randn(5, 4)
    assert_close(module(x), 2 * by_hand(module, x))
    twin = copy.deepcopy(module)
    assert_close(twin(x), 2 * by_hand(module, x))
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    assert_close(torch.load(file, weights_only=False)(x), 2 * by_hand(module, x))
    with pytest.raises(AxisError):
        module(x[:, :2])


def test_inside_other_modules_with_hooks() -> None:
    module, x = dense()
    shapes: list[tuple[int, ...]] = []
    handle = module.register_forward_hook(lambda m, inputs, output: shapes.append(tuple(output.shape)))
    model = nn.Sequential(nn.Linear(4, 4), module, nn.Linear(3, 2))
    model(x).sum().backward()
    handle.remove()
    model(x)
    assert shapes == [(5, 3)]
    assert module.W.grad is not None
    assert "1.W" in model.state_dict()


def test_parametrised_and_pruned_parameters() -> None:
    module, x = dense()
    nn.utils.parametrizations.weight_norm(module, "W")
    assert_close(module(x), by_hand(module, x))
    pruned, _ = dense()
    prune.l1_unstructured(pruned, "W", amount=0.5)
    assert (pruned.W == 0).sum() == 6
    assert_close(pruned(x), by_hand(pruned, x))
