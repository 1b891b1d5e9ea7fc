"""Programs of the catalogue by torch.compile(module, backend="fuse"): the second share."""

from __future__ import annotations

from tests.agreement.case import Case
from tests.agreement.compiled_checks import (
    check_double,
    check_other_sizes,
    check_single,
    never_eager_in_silence,
    share,
    third_share,
)

__all__ = ["never_eager_in_silence"]  # a fixture for every test here


@share(1)
def test_float32(case: Case) -> None:
    check_single(case)


@share(1)
def test_float64(case: Case) -> None:
    check_double(case)


@third_share(1)
def test_a_size_of_one_and_a_wrong_size(case: Case) -> None:
    check_other_sizes(case)
