"""Every program of the catalogue by the oracle and by torch.compile(module, backend="fuse")."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch._dynamo.utils import counters

from tests.agreement.case import Case
from tests.agreement.checks import check_size_one, check_values, check_wrong_size, every_case
from tests.agreement.engines import Precision, program_of

_COMPILED: set[tuple[str, Precision]] = set()

_COMPILED: set[tuple[str, Precision]] = set()


@pytest.fixture(autouse=True)
def _never_eager_in_silence() -> Iterator[None]:
    """Past its limit of recompilations Dynamo runs a function eagerly and only logs it."""
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        yield


@every_case
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_values(case: Case, precision: Precision) -> None:
    counters.clear()
    check_values(case, "torch compiled", precision)
    # A program without inputs is one constant result; one that means the same as another shares its graphs.
    meaning = (program_of(case).digest, precision)
    if case.given and meaning not in _COMPILED:
        assert counters["stats"]["unique_graphs"] >= 1
    _COMPILED.add(meaning)
    assert not counters["graph_break"]


@every_case
def test_an_axis_of_size_one(case: Case) -> None:
    check_size_one(case, "torch compiled")


@every_case
def test_one_wrong_size(case: Case) -> None:
    check_wrong_size(case, "torch compiled")
