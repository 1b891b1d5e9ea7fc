"""Random programs by the oracle and every engine: the first half of what `make test` runs."""

from __future__ import annotations

import pytest

from tests.fuzz.shares import BLOCK, check_block


@pytest.mark.parametrize("first", range(0, 0 + 250, BLOCK))
def test_engines_agree_with_the_oracle(first: int) -> None:
    check_block(first)
