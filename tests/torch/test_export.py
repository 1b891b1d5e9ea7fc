"""torch.export of modules: dynamic batches, names of inputs, mistakes."""

from __future__ import annotations

import pytest
import torch
from torch.export import Dim, export
from torch.testing import assert_close

from fuse_torch import AxisError, FuseModule
from tests.torch.programs import DENSE, LOSS, by_hand


@pytest.mark.parametrize("strict", [False, True])
def test_a_dynamic_batch(strict: bool) -> None:
    module, x = FuseModule(DENSE), torch.randn(5, 4)
    exported = export(module, (x,), dynamic_shapes={"X": {0: Dim("b", min=1, max=100)}}, strict=strict)
    for batch in (5, 1, 7):
        x = torch.randn(batch, 4)
        assert_close(exported.module()(x), by_hand(module, x))
    assert set(exported.state_dict) == {"W", "B"}


@pytest.mark.parametrize("strict", [False, True])
def test_inputs_by_name_and_several_of_them(strict: bool) -> None:
    module = FuseModule(LOSS)
    inputs = {"X": torch.randn(6, 4), "T": torch.randint(0, 3, (6,))}
    batch = Dim("batch", min=2, max=64)
    exported = export(module, (), inputs, dynamic_shapes={"X": {0: batch}, "T": {0: batch}}, strict=strict)
    for size in (6, 9):
        inputs = {"X": torch.randn(size, 4), "T": torch.randint(0, 3, (size,))}
        assert_close(exported.module()(**inputs), module(**inputs))


def test_pooling_and_windows_with_a_dynamic_batch() -> None:
    module = FuseModule(
        "axis x = 6, w = 3\ninput X[b, x]\nparam F[w] ~ ones()\nC[b, y] = F[w] X[b, y+w]\nP[b, y/2] max= C[b, y]\nexport P"
    )
    exported = export(module, (torch.randn(3, 6),), dynamic_shapes={"X": {0: Dim.DYNAMIC}})
    for batch in (3, 8):
        x = torch.randn(batch, 6)
        assert_close(exported.module()(x), module(x))


def test_a_mistake_in_the_example_is_our_error() -> None:
    with pytest.raises(AxisError, match="axis d is 3 in X"):
        export(FuseModule(DENSE), (torch.randn(5, 3),))
