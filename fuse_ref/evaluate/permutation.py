"""Which combinations a sample holds: a keyed permutation of all of them, in integer arithmetic that every engine has.

The swap-or-not network of Hoang, Morris and Rogaway ("An Enciphering Scheme Based on a Card Shuffle", CRYPTO 2012,
section 2) permutes any finite abelian group: in each round, x changes places with key - x where a keyed bit of the
pair says so. The group is that of the positions of all variables, Z_m × Z_n × …, so that a combination is permuted
position by position: no number exceeds 32 bits however many combinations there are, every number of them is
permuted exactly, without a walk along cycles, and the code has no loop whose length depends on data. A sample is
what the first `count` combinations become.

Uniformity: one round sends a combination anywhere with probability 1/2, so after all rounds the distribution of a
term differs from the uniform one by at most 2**-ROUNDS, and that of a pair by little more. That is for estimates;
it is no cipher.

Whole numbers are of 64 bits with a sign (torch) or of 32 bits without (NumPy, JAX): products are made so that the
low 32 bits are right in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from fuse_ref.plan.sampling import ROUNDS
from fuse_ref.records import dataclass

__all__ = ["Integers", "combinations", "keys_needed", "round_keys"]

# Odd, and of 31 bits: times 32 bits they stay within 63.
_COUNT: Final = 0x1E3779B1
_MIX: Final = 0x045D9F3B
_DIGIT: Final = 0x2545F491
_BIT: Final = 0x2C1B3C6D


@dataclass(frozen=True, slots=True)
class Integers:
    """What an engine says of its arrays of whole numbers, beside operators."""

    low: Callable[[Any], Any]  # the low 32 bits
    larger: Callable[[Any, Any], Any]  # elementwise
    choose: Callable[[Any, Any, Any], Any]  # the second where the first holds, else the third


def keys_needed(variables: int) -> int:
    """How many numbers `round_keys` mixes."""
    return ROUNDS * (variables + 2)


def round_keys(integers: Integers, counter: Any, words: tuple[Any, Any], stream: int, variables: int) -> Any:
    """The keys of all rounds, (ROUNDS, variables + 2), each of 32 bits.

    Args:
        counter: 0, 1, … as an array of `keys_needed` numbers.
        words: of the seed, 31 bits each; numbers or arrays without dimensions.
    """
    mixed = _mixed(integers, integers.low(counter * _COUNT + stream))
    for word in words:
        mixed = _mixed(integers, integers.low(mixed + word))
    return mixed.reshape(ROUNDS, variables + 2)


def _mixed(integers: Integers, number: Any) -> Any:
    for _ in range(2):
        number = integers.low((number ^ (number >> 16)) * _MIX)
    return number ^ (number >> 16)


def combinations(
    integers: Integers,
    first: Any,
    sizes: Sequence[Any],
    keys: Any,
    repeat: Callable[[Callable[[Any, tuple[Any, ...]], tuple[Any, ...]], Any, tuple[Any, ...]], tuple[Any, ...]],
) -> tuple[Any, ...]:
    """The positions of each variable in the combinations that take the places `first`.

    Args:
        first: whole numbers below the number of combinations, and below 2**31.
        sizes: of the variables; numbers from 1 to 2**31 - 1.
        keys: of `round_keys`.
        repeat: `repeat(turn, keys, positions)` gives what `turn(key, positions)` makes for all keys in turn.
    """
    start = []
    for size in sizes[:-1]:
        start.append(first % size)
        first = first // size
    start.append(first)

    def turn(key: Any, positions: tuple[Any, ...]) -> tuple[Any, ...]:
        others = []
        for number, (position, size) in enumerate(zip(positions, sizes, strict=True)):
            centre = key[number] % size
            # Without a sign the difference wraps, and adding the size wraps back.
            other = centre - position
            others.append(integers.choose(centre < position, other + size, other))
        count = len(positions)
        # Equal for both of a pair: the keyed bit is of the larger of two fingerprints.
        found = integers.larger(_fingerprint(integers, positions), _fingerprint(integers, others))
        found = integers.low(found * ((key[count] >> 1) | 1) + key[count + 1])
        found = integers.low((found ^ (found >> 15)) * _BIT)
        swap = (found >> 31) == 1
        return tuple(integers.choose(swap, other, position) for other, position in zip(others, positions, strict=True))

    return repeat(turn, keys, tuple(start))


def _fingerprint(integers: Integers, positions: Sequence[Any]) -> Any:
    mark = positions[0]
    for position in positions[1:]:
        mark = integers.low(mark * _DIGIT + position)
    return mark
