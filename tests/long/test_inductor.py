"""Programs of the catalogue that are compiled to machine code by inductor: values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.agreement.case import Case, values
from tests.agreement.catalogue import CASES
from tests.agreement.engines import engine, judged, program_of, set_parameters, torch_module

# Inductor imports modules of torch that still use torch.jit.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning")

LONG = [case for case in CASES if case.long]
every_case = pytest.mark.parametrize("case", LONG, ids=lambda case: case.name)


def test_there_are_at_least_eight() -> None:
    assert len(LONG) >= 8


@every_case
def test_values(case: Case) -> None:
    """Twice with new values, at two sizes, in float32."""
    run = engine("torch inductor", case, "float32")
    for sizes in case.sizes:
        for seed in (1, 2):
            got = run(values(case, sizes, seed))
            for name, right in judged(case, sizes, seed).items():
                scale = float(np.abs(right).max(initial=1e-3))
                tolerance = 1e-5 * case.relaxed
                np.testing.assert_allclose(got[name], right, rtol=tolerance, atol=tolerance * scale, err_msg=name)


@every_case
def test_gradients_equal_those_of_the_eager_module(case: Case) -> None:
    given = values(case, case.sizes[0], 7)
    params = program_of(case).params
    gradients: list[dict[str, torch.Tensor]] = []
    for compiled in (False, True):
        module = torch_module(case, "float64")
        set_parameters(module, case, given)
        inputs = {
            name: torch.from_numpy(array).requires_grad_(array.dtype.kind == "f")
            for name, array in given.items()
            if name not in params
        }
        call = torch.compile(module, backend="fuse", options={"fuse.inner": "inductor"}) if compiled else module
        result = call(inputs)
        tensors = [result] if isinstance(result, torch.Tensor) else list(result.values())
        sum((tensor**2).sum() for tensor in tensors).backward()
        leaves = {**inputs, **dict(module.named_parameters())}
        gradients.append({name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None})
    eager, inductor = gradients
    assert eager.keys() == inductor.keys()
    assert eager
    for name, gradient in eager.items():
        torch.testing.assert_close(inductor[name], gradient, rtol=1e-9, atol=1e-9)
