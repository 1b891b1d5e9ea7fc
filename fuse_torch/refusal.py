"""What happens to a call whose tensors do not fit: the program's own error, in eager and in compiled code.

While Dynamo traces a module there is no value to complain about and no way to raise an error of ours.
The trace then takes a call of the operator `fuse_torch::refuse` in place of the whole module: it has
the outputs' shapes, so tracing goes on, and it raises the error when the compiled code runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch._subclasses.fake_tensor import FakeTensor

from fuse_ref.mistakes import mistake
from fuse_ref.plan.checks import check_shapes
from fuse_ref.plan.steps import Plan

__all__ = ["refuse", "register", "tracing", "unfit"]

_PLANS: dict[str, Plan] = {}  # by the key that compiled code carries


def register(key: str, plan: Plan) -> None:
    """Let compiled code that carries `key` explain itself."""
    _PLANS.setdefault(key, plan)


def tracing() -> bool:
    """Whether an error would be lost in a trace. Under torch.export it is not: it rises to the caller."""
    return torch.compiler.is_compiling() and not torch.compiler.is_exporting()


def unfit(
    plan: Plan,
    values: Mapping[str, torch.Tensor],
    precision: torch.dtype,
    constants: Sequence[torch.Tensor] = (),
) -> None:
    """Raise what is wrong with `values`, if anything is.

    Args:
        values: every given, parameter and weight of the plan.
        precision: of the module.
        constants: literals and sources of the module.

    Raises:
        AxisError: a rank or a size.
        DtypeError: a type.
        DeviceError: tensors on two devices.
    """
    tensors = {tensor.name: tensor for tensor in plan.program.tensors}
    kinds = {"float": precision, "int64": torch.int64, "bool": torch.bool}
    for name in plan.givens:
        expected, got = kinds[tensors[name].dtype], values[name].dtype
        if got != expected:
            cure = ""
            if expected.is_floating_point and got.is_floating_point:
                cure = f"cast the input, or move the module: module.to({got})"
            elif expected.is_floating_point:
                cure = f"{name}.to({expected})"
            raise mistake(
                "FUSE252", tensors[name].span, cure=cure, name=name, expected=_short(expected), got=_short(got)
            )
    check_shapes(plan, {name: tuple(values[name].shape) for name in plan.givens})
    for name in (*plan.parameters, *plan.weights):
        fixed = tuple(getattr(length, "value", None) for length in plan.shape(name))
        shape = tuple(values[name].shape)
        if shape != fixed:
            raise mistake("FUSE261", tensors[name].span, name=name, got=shape, expected=fixed)
    _one_device(plan, values, constants)


def _one_device(plan: Plan, values: Mapping[str, torch.Tensor], constants: Sequence[torch.Tensor]) -> None:
    """Scalars may lie on the CPU, as everywhere in torch."""
    placed = [(name, values[name].device) for name in (*plan.parameters, *plan.weights) if values[name].dim()]
    placed += [("a constant of the module", constant.device) for constant in constants if constant.dim()]
    states = len(placed)
    placed += [(name, values[name].device) for name in plan.givens if values[name].dim()]
    for number, (name, device) in enumerate(placed):
        other, expected = placed[0]
        if device == expected:
            continue
        cure = f"module.to({str(expected)!r}) moves all that a module holds"
        if number >= states:
            cure = f"{name}.to({str(expected)!r})" + (f", or module.to({str(device)!r})" if states else "")
        span = plan.program.tensor(name).span if name in values else None
        reason = f"{name} is there, and {other} on {expected}"
        raise mistake("FUSE203", span, cure=cure, engine="torch", device=str(device), reason=reason)


def refuse(plan: Plan, values: Sequence[torch.Tensor], precision: torch.dtype) -> None:
    """`unfit` with the values in the plan's order; returns when nothing is wrong after all."""
    names = (*plan.givens, *plan.parameters, *plan.weights)
    count = len(names)
    unfit(plan, dict(zip(names, values[:count], strict=True)), precision, values[count:])


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


# The operator ----------------------------------------------------------------------------------

_LIBRARY = torch.library.Library("fuse_torch", "FRAGMENT")
_LIBRARY.define(
    "refuse(Tensor[] values, str key, ScalarType precision, SymInt[] size, ScalarType dtype) -> Tensor",
)


def _refuse_when_run(
    values: list[torch.Tensor], key: str, precision: torch.dtype, size: Sequence[int], dtype: torch.dtype
) -> torch.Tensor:
    refuse(_PLANS[key], values, precision)
    raise AssertionError(f"values that fit were refused: {[tuple(value.shape) for value in values]}")


def _shape_of_refusal(
    values: list[torch.Tensor], key: str, precision: torch.dtype, size: Sequence[int], dtype: torch.dtype
) -> torch.Tensor:
    if not any(isinstance(value, FakeTensor) for value in values):
        return _refuse_when_run(values, key, precision, size, dtype)  # no trace: a run on the meta device
    return values[0].new_empty(size, dtype=dtype)


torch.library.impl("fuse_torch::refuse", "CompositeExplicitAutograd", _refuse_when_run, lib=_LIBRARY)
# It has no gradient to give: without this line torch would warn of that while compiling for training.
_LIBRARY.impl("refuse", torch.library.fallthrough_kernel, "Autograd")
torch.library.register_fake("fuse_torch::refuse", _shape_of_refusal, lib=_LIBRARY)
