"""Devices of modules and of what `torch.compile(backend="fuse")` makes of them: chosen, moved, mixed up."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import fuse_torch
from fuse_torch import AxisError, DeviceError, ExecutionConfig, FuseModule, Program
from tests.torch.programs import DENSE, by_hand


@pytest.fixture(autouse=True)
def _fresh_dynamo() -> None:
    torch.compiler.reset()


def compiled(module: nn.Module) -> nn.Module:
    return torch.compile(module, backend="fuse", options={"fuse.inner": "aot_eager"}, fullgraph=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_compiled_modules_run_where_they_are(dtype: torch.dtype) -> None:
    module = FuseModule(DENSE, config=ExecutionConfig(device="cpu")).to(dtype)
    run = compiled(module)
    for batch in (3, 5, 1, 0):
        x = torch.randn(batch, 4, dtype=dtype)
        assert run(x).device == torch.device("cpu")
        assert_close(run(x), by_hand(module, x))
    # Moved, the same compiled module follows; moved back, it goes on with the same numbers.
    kept = {name: value.clone() for name, value in module.state_dict().items()}
    module.to("meta")
    for batch in (3, 5):
        away = run(torch.empty(batch, 4, dtype=dtype, device="meta"))
        assert (away.device.type, away.shape, away.dtype) == ("meta", (batch, 3), dtype)
    module.to_empty(device="cpu").load_state_dict(kept)
    for batch in (2, 4):
        x = torch.randn(batch, 4, dtype=dtype)
        assert_close(run(x), by_hand(module, x))


def test_compiled_modules_made_on_the_meta_device() -> None:
    module = FuseModule(DENSE, config=ExecutionConfig(device="meta"))
    assert module.W.is_meta
    run = compiled(module)
    for batch in (3, 1):
        assert run(torch.empty(batch, 4, device="meta")).shape == (batch, 3)
    with pytest.raises(AxisError, match="axis d is 5 in X"):
        run(torch.empty(2, 5, device="meta"))


def test_devices_that_are_not_here() -> None:
    for device, reason in (("hpu", "torch finds no hpu device here"), ("cpuu", "Expected one of cpu")):
        with pytest.raises(DeviceError, match=f"the torch engine cannot run on device '{device}': {reason}") as caught:
            FuseModule(DENSE, config=ExecutionConfig(device=device))
        assert caught.value.cure == 'device="auto" takes what the engine has'


# torch itself would go on: nn.functional.linear gives whatever numbers lie in memory.
MIXED = [("cpu", "meta", "X.to('meta'), or module.to('cpu')"), ("meta", "cpu", "X.to('cpu'), or module.to('meta')")]


@pytest.mark.parametrize("how", ["eager", "compiled"])
@pytest.mark.parametrize(("given", "module", "cure"), MIXED)
def test_tensors_on_two_devices(how: str, given: str, module: str, cure: str) -> None:
    model = FuseModule(DENSE, config=ExecutionConfig(device=module))
    run = compiled(model) if how == "compiled" else model
    for batch in (2, 3):
        words = f"cannot run on device '{given}': X is there, and W on {module}"
        with pytest.raises(DeviceError, match=words) as caught:
            run(torch.ones(batch, 4, device=given))
        assert (caught.value.code, caught.value.cure) == ("FUSE203", cure)
        assert caught.value.span is not None
    assert run(torch.ones(2, 4, device=module)).shape == (2, 3)


@pytest.mark.parametrize("how", ["eager", "compiled"])
def test_two_inputs_on_two_devices_and_constants(how: str) -> None:
    def made(text: str) -> tuple[nn.Module, nn.Module]:
        module = FuseModule(text)
        return module, compiled(module) if how == "compiled" else module

    here, away = torch.ones(2), torch.ones(2, device="meta")
    _, product = made("input A[i]\ninput B[i]\ninput s\nY[i] = s A[i] B[i]")
    with pytest.raises(DeviceError, match="'cpu': B is there, and A on meta") as caught:
        product(away, here, torch.tensor(3.0))
    assert caught.value.cure == "B.to('meta')"
    assert product(here, here, torch.tensor(3.0)).tolist() == [3, 3]
    module, literal = made("input A[i]\nL[i] = [1, 2]\nY[i] = A[i] L[i]")
    with pytest.raises(DeviceError, match="'meta': A is there, and a constant of the module on cpu"):
        literal(away)
    assert literal(here).tolist() == [1, 2]
    module.to("meta")
    assert literal(away).is_meta
    with pytest.raises(DeviceError, match="'cpu': A is there, and a constant of the module on meta"):
        literal(here)


def test_a_scalar_may_stay_on_the_cpu() -> None:
    module = FuseModule("axis i = 2\ninput A[i]\ninput s\nparam W[i]\nY[i] = s W[i] A[i]").to("meta")
    assert module(torch.ones(2, device="meta"), torch.tensor(2.0)).is_meta


def test_a_module_that_was_torn_apart() -> None:
    module = FuseModule("axis i = 2\ninput A[i]\nparam V[i]\nparam W[i]\nY[i] = V[i] W[i] A[i]")
    module.W = nn.Parameter(torch.empty(2, device="meta"))
    with pytest.raises(DeviceError, match="'meta': W is there, and V on cpu") as caught:
        module(torch.ones(2))
    assert caught.value.cure == "module.to('cpu') moves all that a module holds"


# Runners ---------------------------------------------------------------------------------------


def test_a_runner_brings_its_inputs_to_its_device() -> None:
    text = "axis i = 2\nparam W[i] ~ ones()\nL[i] = [1, 2]\nY[i] = W[i] A[i] B[i] L[i]"
    chosen = Program(text).compile("torch", device="cpu")
    for factor in (1.0, 2.0):
        assert chosen(A=[factor, 1.0], B=torch.ones(2))["Y"].tolist() == [factor, 2]
    away = Program(text).compile("torch", device="meta")
    assert away(A=[1.0, 1.0], B=torch.ones(2))["Y"].is_meta
    # Where none was chosen, lists and arrays of the CPU go to where the tensors are.
    follows = fuse_torch.compile(text)
    for b in (torch.ones(2, device="meta"), torch.ones(2)):
        assert follows(A=[1.0, 1.0], B=b)["Y"].device == b.device
