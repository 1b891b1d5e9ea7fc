"""Random programs by the oracle and every engine: as many again as `make test` runs."""

from __future__ import annotations

import pytest

from tests.fuzz.shares import BLOCK, check_block


@pytest.mark.parametrize("first", range(250, 500, BLOCK))
def test_engines_agree_with_the_oracle(first: int) -> None:
    check_block(first)
