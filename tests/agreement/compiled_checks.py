"""Every program of the catalogue by the oracle and by torch.compile(module, backend="fuse"), in three shares.

A compilation costs some tenths of a second, so each one is used for several checks: in float32 a program is compiled
for its first size and again, for all sizes, at its second; in float64 once. Every third is also run at a size of 1 and
with a wrong size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from tests.agreement.case import Case
from tests.agreement.catalogue import CASES
from tests.agreement.checks import check_size_one, check_values, check_wrong_size
from tests.agreement.engines import program_of

__all__ = [
    "SHARES",
    "check_double",
    "check_other_sizes",
    "check_single",
    "never_eager_in_silence",
    "share",
    "third_share",
]

SHARES = 3  # one test file each, so that workers get equal work
_COMPILED: set[tuple[str, str]] = set()

Mark = Callable[[Callable[..., Any]], Callable[..., Any]]


def share(number: int) -> Mark:
    return pytest.mark.parametrize("case", CASES[number::SHARES], ids=lambda case: case.name)


def third_share(number: int) -> Mark:
    """Every third program of a share: for what the module itself does about sizes, which torch runs eagerly on all."""
    return pytest.mark.parametrize("case", CASES[number::SHARES][::3], ids=lambda case: case.name)


@pytest.fixture(autouse=True)
def never_eager_in_silence() -> Iterator[None]:
    """Past its limit of recompilations Dynamo runs a function eagerly and only logs it."""
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        yield


def _compiles(case: Case, key: str, check: Callable[[], None]) -> None:
    """Makes a check that must compile at least one graph, and break none that can be whole."""
    counters.clear()
    check()
    # A program without inputs is one constant result; one that means the same as another shares its graphs.
    meaning = (program_of(case).digest, key)
    if case.given and meaning not in _COMPILED:
        assert counters["stats"]["unique_graphs"] >= 1
    _COMPILED.add(meaning)
    assert case.breaks or not counters["graph_break"]


def check_single(case: Case) -> None:
    """Two sizes, with new values at each."""
    _compiles(case, "float32", lambda: check_values(case, "torch compiled", "float32"))


def check_double(case: Case) -> None:
    _compiles(case, "float64", lambda: check_values(case, "torch captured", "float64", case.sizes[:1]))


def check_other_sizes(case: Case) -> None:
    check_size_one(case, "torch compiled")
    check_wrong_size(case, "torch compiled")
