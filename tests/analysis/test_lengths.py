"""Length formulas against their meaning, worked out for many extents."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from fuse_ref.analysis.lengths import (
    Extent,
    Fixed,
    Length,
    Maximum,
    evaluate,
    floor_divide,
    linear,
    lower_bound,
    maximum,
    minimum,
    times,
)

_N, _M = Extent("N", 0), Extent("M", 0)


def _random(choose: random.Random, depth: int) -> tuple[Length, object]:
    """A formula and a function (n, m) -> its value, built side by side."""
    if depth == 0:
        number = choose.randint(-3, 4)
        return choose.choice(
            [(Fixed(number), lambda n, m: number), (_N, lambda n, m: n), (_M, lambda n, m: m)],
        )
    a, f = _random(choose, depth - 1)
    b, g = _random(choose, depth - 1)
    c, d, k = choose.randint(-2, 2), choose.randint(-2, 2), choose.randint(-3, 3)
    q = choose.randint(1, 3)
    return choose.choice(
        [
            (linear([(a, c), (b, d)], k), lambda n, m: c * f(n, m) + d * g(n, m) + k),
            (floor_divide(a, q), lambda n, m: f(n, m) // q),
            (minimum([a, b]), lambda n, m: min(f(n, m), g(n, m))),
            (maximum([a, b]), lambda n, m: max(f(n, m), g(n, m))),
            (times([a, b]), lambda n, m: f(n, m) * g(n, m)),
        ]
    )


@pytest.mark.parametrize("seed", range(60))
def test_folding_keeps_the_value(seed: int) -> None:
    formula, meaning = _random(random.Random(seed), 3)
    bound = lower_bound(formula)
    for n, m in itertools.product(range(4), repeat=2):
        value = evaluate(formula, lambda tensor, _, n=n, m=m: n if tensor == "N" else m)
        assert value == meaning(n, m)
        assert bound is None or bound <= value


def test_numbers_fold_to_numbers() -> None:
    assert linear([(Fixed(3), 2), (Fixed(1), -1)], 4) == Fixed(9)
    assert floor_divide(Fixed(7), 2) == Fixed(3)
    assert minimum([Fixed(3), Fixed(2)]) == Fixed(2)
    assert times([Fixed(3), Fixed(2)]) == Fixed(6)
    assert times([]) == Fixed(1)


def test_equal_formulas_compare_equal() -> None:
    assert linear([(_N, 1), (_M, 1), (_N, 1)]) == linear([(_N, 2), (_M, 1)])
    assert linear([(_N, 1), (_M, -1)], 1) == linear([(linear([(_M, -1)], 3), 1), (_N, 1)], -2)
    assert linear([(_N, 1), (_N, -1)], 2) == Fixed(2)
    assert minimum([_N, _N]) == _N


def test_a_length_that_cannot_be_negative_is_not_clamped() -> None:
    assert maximum([_N, Fixed(0)]) == _N
    assert maximum([floor_divide(linear([(_N, 1)], 1), 2), Fixed(0)]) == floor_divide(linear([(_N, 1)], 1), 2)
    assert maximum([linear([(_N, 1)], -1), Fixed(0)]) == Maximum((linear([(_N, 1)], -1), Fixed(0)))


def test_product_of_many() -> None:
    assert evaluate(times([_N, _M, Fixed(5)]), lambda tensor, _: 2 if tensor == "N" else 3) == math.prod((2, 3, 5))


def test_lengths_print_as_formulas() -> None:
    assert str(linear([(_N, 2), (_M, -1)], 1)) == "(-1*|M.0| + 2*|N.0| + 1)"
    assert str(maximum([linear([(_N, 1)], -1), Fixed(0)])) == "max((|N.0| + -1), 0)"
    assert str(floor_divide(_N, 2)) == "|N.0|//2"
    assert str(times([_N, _M])) == "|N.0|*|M.0|"
