"""Random programs by the oracle and every engine: what `make test` runs of them."""

from __future__ import annotations

import pytest

from tests.fuzz.shares import BLOCK, check_block


@pytest.mark.parametrize("first", range(0, 250, BLOCK))
def test_engines_agree_with_the_oracle(first: int) -> None:
    check_block(first)
