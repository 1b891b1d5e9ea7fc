"""Equal operations of different equations are computed once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias, assert_never

from fuse_ref.plan.passes.framework import Block, PlanPass
from fuse_ref.plan.steps import (
    Aggregate,
    Along,
    Attention,
    Concat,
    Contract,
    Convolve,
    DenseOperation,
    Expand,
    Index,
    Iota,
    LiteralArray,
    Map,
    Operand,
    Permute,
    Ratio,
    ReadIndex,
    Reduce,
    Sample,
    Saving,
    Whole,
    Write,
    WriteIndex,
)
from fuse_ref.plan.substitution import with_values

__all__ = ["SHARING"]

# Two calls of these give different values.
_RANDOM: Final = frozenset({"dropout"})
_SYMMETRIC: Final = frozenset({"add", "multiply", "max", "min", "and", "or", "equal", "not_equal"})

Key: TypeAlias = tuple[object, ...]


def _share(block: Block) -> tuple[tuple[DenseOperation, ...], tuple[Saving, ...]]:
    """Each operation takes the place of all later ones that compute the same array.

    Labels are local to an equation, so operations are compared with their labels numbered in the order
    in which they come; a result whose dimensions only have another order is a Permute of the first.
    """
    names: dict[str, str] = {}  # value -> the equal value that is read in its place
    seen: dict[Key, tuple[DenseOperation, dict[str, int]]] = {}
    views: dict[str, tuple[str, tuple[int, ...]]] = {}  # a Permute -> what it permutes, and how
    found: list[DenseOperation] = []
    savings: list[Saving] = []
    for written in block.operations:
        operation = with_values(written, names)
        output = operation.output
        if isinstance(operation, Permute):
            operand = operation.operand
            views[output.out] = (operand.value, tuple(operand.labels.index(label) for label in output.labels))
        kept = output.out in block.kept
        keyed = None if why_not(operation, kept=kept) else _key(operation, views)
        if keyed is None:
            found.append(operation)
            continue
        key, numbers = keyed
        first = seen.get(key)
        if first is None:
            seen[key] = (operation, numbers)
            found.append(operation)
            continue
        maker, others = first
        by_number = {number: label for label, number in numbers.items()}
        # The first one's dimensions, called as this equation calls them.
        labels = tuple(by_number[others[label]] for label in maker.output.labels)
        if labels == output.labels and not kept:
            names[output.out] = maker.output.out
        else:
            permute = Permute(output, Operand(maker.output.out, labels))
            views[output.out] = (maker.output.out, tuple(labels.index(label) for label in output.labels))
            found.append(permute)
        saving = _saving(block, operation, maker, kept=kept)
        if saving.flops or saving.bytes:
            savings.append(saving)
    return tuple(found), tuple(savings)


def why_not(operation: DenseOperation, *, kept: bool) -> str:
    """Why an operation must not stand for another that looks the same; "" when it may."""
    if isinstance(operation, Permute):
        return "a permutation is a view already"
    if isinstance(operation, (LiteralArray, Iota)) and kept:
        return "what is observed needs an array of its own, and numbers cost nothing else"
    if isinstance(operation, Map) and operation.function in _RANDOM:
        return f"{operation.function} draws anew each time"
    return ""


def _saving(block: Block, operation: DenseOperation, maker: DenseOperation, *, kept: bool) -> Saving:
    estimates, output = block.estimates, operation.output
    size = 0 if kept else 4 * estimates.elements(output)
    if isinstance(operation, (LiteralArray, Iota)):
        size = 0  # made once for all calls
    tensor, first = (name.partition("~")[0] for name in (output.out, maker.output.out))
    what = f"{_words(operation)} is that of {first}" if first != tensor else f"{_words(operation)} is computed once"
    return Saving("sharing", tensor, what, estimates.flops(operation, block.values), size)


def _words(operation: DenseOperation) -> str:
    match operation:
        case Contract(_, left, right):
            return f"the product of {left.value} and {right.value}"
        case Map() | Along() | Whole():
            return operation.function
        case Reduce():
            return f"{operation.operator} of {operation.operand.value}"
        case _:
            return f"the {type(operation).__name__.lower()}"


# Operations by what they compute -----------------------------------------------------------------


def _key(operation: DenseOperation, views: dict[str, tuple[str, tuple[int, ...]]]) -> tuple[Key, dict[str, int]]:
    """Equal for operations that compute one array up to the order of its dimensions; and the numbers of labels."""
    keyed = _written(operation, views, swapped=False)
    if isinstance(operation, Contract) or (isinstance(operation, Map) and operation.function in _SYMMETRIC):
        other = _written(operation, views, swapped=True)
        return min(keyed, other, key=lambda item: repr(item[0]))
    return keyed


def _written(
    operation: DenseOperation, views: dict[str, tuple[str, tuple[int, ...]]], *, swapped: bool
) -> tuple[Key, dict[str, int]]:
    numbers: dict[str, int] = {}

    def number(labels: Iterable[str]) -> tuple[int, ...]:
        return tuple(numbers.setdefault(label, len(numbers)) for label in labels)

    def read(operand: Operand | int | float) -> Key:
        if not isinstance(operand, Operand):
            return (repr(operand),)  # 0.0 and -0.0 are equal, and different
        name, labels = operand.value, operand.labels
        while name in views:
            name, order = views[name]
            labels = tuple(labels[order.index(k)] for k in range(len(order)))
        return (name, number(labels))

    def place(index: ReadIndex | WriteIndex) -> Key:
        terms = tuple((number((label,)), coefficient) for label, coefficient in index.terms)
        gather = None if index.gather is None else read(index.gather)
        return (terms, index.offset, index.divisor, gather)

    output = operation.output
    shape: object = None  # where the operands do not tell it
    parts: Key
    match operation:
        case LiteralArray(_, values):
            parts, shape = (tuple(map(repr, values)), number(output.labels)), output.lengths
        case Iota():
            parts, shape = (number(output.labels),), output.lengths
        case Index(_, source, indices):
            parts = (source, tuple(place(index) for index in indices))
            shape = tuple(sorted(zip(number(output.labels), output.lengths, strict=True)))
        case Map(_, function, items, options):
            parts = (function, tuple(read(item) for item in (reversed(items) if swapped else items)), options)
        case Along(_, function, items, axis, options):
            parts = (function, tuple(read(item) for item in items), number((axis,)), options)
        case Concat(_, pieces, axis):
            parts = (tuple((read(piece.operand), number(piece.along)) for piece in pieces), number((axis,)))
            shape = tuple(sorted(zip(number(output.labels), output.lengths, strict=True)))
        case Whole(_, function, operand, arguments):
            parts = (function, read(operand), tuple(map(repr, arguments)))
        case Contract(_, left, right):
            parts = (read(right), read(left)) if swapped else (read(left), read(right))
        case Reduce(_, operator, operand):
            parts = (operator, read(operand))
        case Permute(_, operand):
            parts = (read(operand),)
        case Expand(_, operand):
            parts = (read(operand),)
            new = [
                (label, length)
                for label, length in zip(output.labels, output.lengths, strict=True)
                if label not in operand.labels
            ]
            shape = tuple((number((label,)), length) for label, length in new)
        case Write(_, operator, operand, indices):
            # What a written array's dimensions are called says nothing of what is written.
            parts = (operator, read(operand), tuple(place(index) for index in indices))
            return (Write, parts, output.lengths, output.dtype), {label: k for k, label in enumerate(output.labels)}
        case Convolve(_, image, weights, windows):
            moves = tuple(
                (number((item.source, item.place, item.tap)), item.stride, item.dilation, item.offset)
                for item in windows
            )
            parts = (read(image), read(weights), moves)
            shape = tuple(sorted(zip(number(output.labels), output.lengths, strict=True)))
        case Attention(_, query, key, value, axis, scale, bias, keep, causal, empty):
            chosen = tuple(None if item is None else read(item) for item in (bias, keep))
            causes = number((causal,)) if causal else ()
            parts = (read(query), read(key), read(value), number((axis,)), repr(scale), chosen, causes, empty)
        case Aggregate(_, operator, relation, columns, items, inner):
            parts = (operator, relation, number(columns), tuple(map(read, items)), repr(inner))
            shape = tuple(sorted(zip(number(output.labels), output.lengths, strict=True)))
        case Sample(_, seed, ranges, stream):
            parts, shape = (read(seed), ranges, stream, number(output.labels)), output.lengths
        case Ratio(_, numerator, denominator):
            parts = (numerator, denominator)
        case _:
            assert_never(operation)
    kept = tuple(sorted(number(output.labels)))
    return (type(operation), parts, shape, kept, output.dtype), numbers


SHARING = PlanPass("sharing", "equal operations of different equations are computed once", _share)
