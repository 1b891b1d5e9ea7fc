"""`memory_limit` in generated code: conditions on the sizes of a call, and the call in blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from fuse_ref.analysis.lengths import Extent, Fixed, Length
from fuse_ref.evaluate.memory import item_size, moments
from fuse_ref.ir.nodes import Dtype
from fuse_torch.lowering.lower import Lowered
from fuse_torch.splitting import Splitting

__all__ = ["over_limit", "split_call"]

# A sum of products of sizes with their coefficients, apart for floats, whose bytes depend on the precision.
_Sum = Counter[tuple[bool, tuple[str, ...]]]


def over_limit(lowered: Lowered, limit: int, size: Callable[[Length], str], itemsize: str) -> str:
    """The condition in Python that `peak_of` gives more than `limit`.

    It has a part for each moment that may be the worst, which bounds a sum of products of sizes. `|` makes one
    condition of them: in compiled code one guard, and one more graph for all calls that are too large.

    Args:
        size: a length as Python text.
        itemsize: Python text for the bytes of a float.
    """
    plan = lowered.plan
    tensors = {tensor.name: tensor for tensor in plan.program.tensors}
    names = [slot.tensor.name for slot in (*lowered.givens, *lowered.states)]
    names += [name for _, name in lowered.sources]
    given: _Sum = Counter()
    for name in names:
        _add(given, plan.shape(name), tensors[name].dtype, size)
    sums: dict[frozenset[tuple[tuple[bool, tuple[str, ...]], int]], _Sum] = {frozenset(given.items()): given}
    for live in moments(plan, lowered.outputs):
        held = Counter(given)
        for output in live:
            _add(held, output.lengths, output.dtype, size)
        sums[frozenset(held.items())] = held
    return " | ".join(f"({_text(item, itemsize)} > {limit})" for item in _largest(sums.values()))


def split_call(
    splitting: Splitting, key: str, values: Sequence[str], local: Sequence[str], helper: Mapping[str, str]
) -> tuple[list[str], str]:
    """The lines, inside an `if`, that run a call in blocks, and the text of its result.

    Args:
        values: variables of givens and states.
        local: what the generated function calls the module, its precision, and the results of the blocks.
        helper: names in its scope.
    """
    owner, precision, parts = local
    every = [*values, *(f"{owner}.{name}" for name in splitting.buffers)]
    training = f"{owner}.training" if splitting.random else "False"
    seed = f"{helper['seed_for']}({training})"
    cast = f"{helper['cast_of']}({every[0]})" if every else "None"
    compiled = f"{helper['split']}([{', '.join(every)}], {seed}, {key!r}, {precision}, {cast}, {training})"
    eager = f"{helper['run_in_blocks']}({key!r}, {owner}, [{', '.join(values)}], {precision})"
    lines = [f"    if {helper['tracing']}(): {parts} = {compiled}", f"    else: {parts} = {eager}"]
    made = ", ".join(f"{name!r}: {parts}[{number}]" for number, name in enumerate(splitting.outputs))
    return lines, f"{parts}[0]" if len(splitting.outputs) == 1 else f"{{{made}}}"


def _add(held: _Sum, lengths: Iterable[Length], dtype: Dtype, size: Callable[[Length], str]) -> None:
    number = 1 if dtype == "float" else item_size(dtype, "float32")
    factors: list[str] = []
    for length in lengths:
        match length:
            case Fixed(value):
                number *= max(0, value)
            case Extent():
                factors.append(size(length))
            case _:
                factors.append(f"max(0, {size(length)})")
    if number:
        held[dtype == "float", tuple(sorted(factors))] += number


def _largest(sums: Iterable[_Sum]) -> list[_Sum]:
    """Those that no other is at least as large as, whatever the sizes."""
    kept: list[_Sum] = []
    for item in sums:
        if not any(item <= other for other in kept):
            kept = [other for other in kept if not other <= item]
            kept.append(item)
    return kept


def _text(item: _Sum, itemsize: str) -> str:
    parts = []
    for floats in (True, False):
        terms = [
            " * ".join([*([str(number)] if number != 1 or not factors else []), *factors])
            for (is_float, factors), number in sorted(item.items())
            if is_float == floats
        ]
        if terms:
            parts.append(f"{itemsize} * ({' + '.join(terms)})" if floats else " + ".join(terms))
    return " + ".join(parts) or "0"
