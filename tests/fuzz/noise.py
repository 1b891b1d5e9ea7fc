"""How much of a result is rounding: the oracle with every intermediate value off by a little.

A program may stand on an edge (a comparison of two equal sums, a small difference of large values).
Where engines disagree by no more than what such noise does, nobody is wrong. A product of many
factors may leave the range of a precision on its way, in one order and not in another: it comes out
as NaN or infinite too.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from fuse_ref.language import syntax_tree as tree
from tests.support.oracle import elements, solve
from tests.support.oracle import run as run_oracle
from tests.support.oracle.elements import Elements, Env

__all__ = ["spread"]

Value = Callable[[Env], float]

# Reads and what picks among them are exact.
_ROUNDED = (tree.Sum, tree.Product, tree.Power, tree.Projection, tree.Application, tree.Number)


@contextlib.contextmanager
def _noise(size: float, largest: float, seed: int) -> Iterator[None]:
    source = random.Random(seed)
    exact, plainly = Elements.value, elements.combined

    def combined(operator: str, items: Iterator[float]) -> float:
        if operator != "prod":
            return plainly(operator, items)
        factors = list(items)
        result = plainly("prod", iter(factors))
        # No order of the factors has a larger partial product than that of all that make it larger.
        finite = all(math.isfinite(factor) for factor in factors)
        if not finite or math.prod(abs(factor) for factor in factors if abs(factor) > 1.0) <= largest:
            return result
        return source.choice((math.nan, math.copysign(math.inf, result)))

    def value(self: Elements, expression: tree.Expression) -> Value:
        inner = exact(self, expression)
        if not isinstance(expression, _ROUNDED):
            return inner

        def noisy(env: Env) -> float:
            result = inner(env)
            # Small whole numbers are exact everywhere: positions, counts, truth values.
            if not math.isfinite(result) or (result == int(result) and abs(result) < 1024 and source.random() < 0.5):
                return result
            return result + size * max(abs(result), 0.1) * source.choice((-1.0, 1.0)) * source.uniform(0.5, 1.0)

        return noisy

    Elements.value = value  # type: ignore[method-assign]
    elements.combined = solve.combined = combined
    try:
        yield
    finally:
        Elements.value = exact  # type: ignore[method-assign]
        elements.combined = solve.combined = plainly


def spread(
    text: str,
    values: Mapping[str, np.ndarray],
    exact: Mapping[str, np.ndarray],
    size: float,
    largest: float = math.inf,
    repeats: int = 8,
) -> dict[str, np.ndarray]:
    """The largest change of every element of every export under noise; infinite where it comes or goes.

    Args:
        size: of the noise, relative to each intermediate value.
        largest: the largest number that is not infinite.
    """
    found = {name: np.zeros(array.shape) for name, array in exact.items()}
    for seed in range(repeats):
        with _noise(size, largest, seed):
            exports = run_oracle(text, values).exports
        for name, array in exact.items():
            noisy, plain = exports[name].astype(np.float64), array.astype(np.float64)
            with np.errstate(invalid="ignore"):
                change = np.where(
                    np.isfinite(noisy) & np.isfinite(plain),
                    np.abs(noisy - plain),
                    np.where((noisy == plain) | (np.isnan(noisy) & np.isnan(plain)), 0.0, np.inf),
                )
            found[name] = np.maximum(found[name], change)
    return found
