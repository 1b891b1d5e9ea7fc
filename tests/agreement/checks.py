"""What every engine must show for every program: values at two sizes, a size of 1, mistakes in sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from fuse_ref import AxisError
from tests.agreement.case import Case, values
from tests.agreement.catalogue import CASES
from tests.agreement.engines import Precision, engine, judged, program_of

__all__ = ["check_size_one", "check_values", "check_wrong_size", "compare", "every_case"]

TOLERANCE: dict[Precision, float] = {"float32": 1e-5, "float64": 1e-10}

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def compare(
    got: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], precision: Precision, case: Case
) -> None:
    assert list(got) == list(expected)  # exports in text order
    for name, right in expected.items():
        value = got[name]
        assert value.shape == right.shape, f"{name} has shape {value.shape}, expected {right.shape}"
        if right.dtype == bool:
            assert value.dtype == bool
            np.testing.assert_array_equal(value, right, err_msg=name)
            continue
        if value.dtype.kind == "f":
            assert value.dtype == precision, f"{name} is {value.dtype}"
        tolerance = TOLERANCE[precision] * (case.relaxed if precision == "float32" else 1.0)
        # Relative to the tensor: an element that is a small difference of large ones has no digits of its own.
        finite = np.abs(right[np.isfinite(right)])
        scale = float(finite.max()) if finite.size else 1.0
        np.testing.assert_allclose(value, right, rtol=tolerance, atol=tolerance * max(scale, 1e-3), err_msg=name)


def check_values(case: Case, name: str, precision: Precision, at: Sequence[Mapping[str, int]] | None = None) -> None:
    """Twice with new values, at both sizes of the case or at those given."""
    run = engine(name, case, precision)
    for sizes in case.sizes if at is None else at:
        for seed in (1, 2):
            compare(run(values(case, sizes, seed)), judged(case, sizes, seed), precision, case)


def check_size_one(case: Case, name: str) -> None:
    sizes = case.size_one()
    if sizes is not None:  # None: the text fixes every size, or a size of 1 is a mistake there
        compare(engine(name, case, "float32")(values(case, sizes, 3)), judged(case, sizes, 3), "float32", case)


def check_wrong_size(case: Case, name: str) -> None:
    """Never a broadcast: one position more, and one position only where others have more."""
    given = values(case, case.sizes[1], 4)
    if not given:
        return
    run = engine(name, case, "float32")
    shared = case.shared(program_of(case).params)
    if shared is None:
        first = case.given[0].name
        with pytest.raises(AxisError, match=first):
            run({**given, first: given[first][..., None]})
        return
    tensor, place = shared
    axis = program_of(case).tensors[tensor].axes[place].partition("#")[0]  # the letter; "i#2" is a second axis i
    longer = np.concatenate([given[tensor], given[tensor].take([0], place)], place)
    wrong = [longer] if given[tensor].shape[place] == 1 else [longer, given[tensor].take([0], place)]
    for array in wrong:
        with pytest.raises(AxisError) as caught:
            run({**given, tensor: array})
        text = str(caught.value)
        assert f"axis {axis}" in text
        assert tensor in text
        assert str(array.shape[place]) in text
    # The mistake leaves nothing behind.
    compare(run(given), judged(case, case.sizes[1], 4), "float32", case)
