"""Reads and writes at computed positions against plain loops, with sizes fixed in the plan and open."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pytest
import torch

from fuse_ref.analysis.lengths import Extent, Fixed, Length
from fuse_ref.plan.steps import Index, Operand, ReadIndex, Write, WriteIndex
from fuse_torch.lowering import lower
from fuse_torch.lowering.lower import graph_module
from tests.torch.plans import output, plan_of

# Terms of each source dimension, offset, sizes of the variables, sizes of the source, all reads inside.
Read = tuple[list[tuple[dict[str, int], int]], dict[str, int], tuple[int, ...], bool]

READS: dict[str, Read] = {
    "constant": ([({}, 2), ({"i": 1}, 0)], {"i": 3}, (4, 3), True),
    "last of a scalar result": ([({}, 3)], {}, (4,), True),
    "shift": ([({"i": 1}, 1)], {"i": 3}, (4,), True),
    "shift below zero": ([({"t": 1}, -1)], {"t": 4}, (4,), False),
    "far below zero": ([({"t": 1}, -7)], {"t": 4}, (4,), False),
    "past the end": ([({"t": 1}, 2)], {"t": 5}, (4,), False),
    "constant outside": ([({}, 6), ({"i": 1}, 0)], {"i": 2}, (4, 2), False),
    "constant before": ([({}, -1), ({"i": 1}, 0)], {"i": 2}, (4, 2), False),
    "stride": ([({"i": 2}, 1)], {"i": 3}, (6,), True),
    "stride, ragged": ([({"i": 3}, 0)], {"i": 3}, (8,), True),
    "stride past the end": ([({"i": 3}, 1)], {"i": 4}, (8,), False),
    "reversal": ([({"i": -1}, 4)], {"i": 5}, (5,), True),
    "reversal with stride": ([({"i": -2}, 6)], {"i": 3}, (7,), True),
    "reversal to below zero": ([({"i": -1}, 2)], {"i": 5}, (4,), False),
    "window": ([({"x": 1, "d": 1}, 0)], {"x": 4, "d": 3}, (6,), True),
    "window, letters swapped": ([({"d": 1, "x": 1}, 0)], {"x": 4, "d": 3}, (6,), True),
    "same window": ([({"x": 1, "d": 1}, -1)], {"x": 6, "d": 3}, (6,), False),
    "strided window": ([({"x": 2, "d": 1}, 0)], {"x": 3, "d": 3}, (8,), True),
    "dilated window": ([({"x": 1, "d": 2}, 0)], {"x": 3, "d": 3}, (7,), True),
    "both": ([({"x": 3, "d": 2}, 1)], {"x": 2, "d": 2}, (8,), True),
    "window backwards": ([({"x": 1, "d": -1}, 2)], {"x": 4, "d": 3}, (6,), True),
    "convolution of the textbook": ([({"x": 1, "d": -1}, 0)], {"x": 6, "d": 3}, (6,), False),
    "three variables": ([({"a": 1, "b": 2, "c": 1}, 0)], {"a": 2, "b": 3, "c": 2}, (8,), True),
    "two windows": (
        [({"b": 1}, 0), ({"x": 1, "p": 1}, 0), ({"y": 1, "q": 1}, 0)],
        {"b": 2, "x": 3, "p": 2, "y": 2, "q": 3},
        (2, 4, 4),
        True,
    ),
    "diagonal": ([({"i": 1}, 0), ({"i": 1}, 0)], {"i": 4}, (4, 4), True),
    "diagonal of three": ([({"i": 1}, 0), ({"i": 1}, 0), ({"i": 1}, 0)], {"i": 3}, (3, 3, 3), True),
    "diagonal around a column": ([({"i": 1}, 0), ({"j": 1}, 0), ({"i": 1}, 0)], {"i": 3, "j": 2}, (3, 2, 3), True),
    "off the diagonal": ([({"i": 1}, 0), ({"i": 1}, 1)], {"i": 3}, (3, 4), True),
    "bands": ([({"i": 1}, 0), ({"i": 1, "d": 1}, -1)], {"i": 4, "d": 3}, (4, 4), False),
    "antidiagonal": ([({"i": 1}, 0), ({"i": -1}, 3)], {"i": 4}, (4, 4), True),
    "empty range": ([({"x": 1, "d": 1}, 0)], {"x": 0, "d": 3}, (0,), True),
    "empty shift": ([({"i": 1}, 1)], {"i": 0}, (0,), True),
    "empty stride": ([({"i": 2}, 0)], {"i": 0}, (0,), True),
    "no window": ([({"x": 1, "d": 1}, 0)], {"x": 4, "d": 0}, (4,), True),
}


def positions(sizes: dict[str, int]) -> Iterator[dict[str, int]]:
    for point in itertools.product(*(range(size) for size in sizes.values())):
        yield dict(zip(sizes, point, strict=True))


def place(terms: dict[str, int], offset: int, point: dict[str, int]) -> int:
    return sum(factor * point[label] for label, factor in terms.items()) + offset


def lengths_of(sizes: dict[str, int], open_sizes: bool) -> dict[str, Length]:
    """The length of each variable: a number, or the size of a tensor that is only there for its shape."""
    return {
        label: Extent("N", position) if open_sizes else Fixed(size)
        for position, (label, size) in enumerate(sizes.items())
    }


@pytest.mark.parametrize("open_sizes", [False, True], ids=["fixed", "open"])
@pytest.mark.parametrize("name", READS)
def test_read(name: str, open_sizes: bool) -> None:
    indices, sizes, shape, inside = READS[name]
    order = list(dict.fromkeys(label for terms, _ in indices for label in terms))
    lengths = lengths_of(sizes, open_sizes)
    reads = tuple(ReadIndex(tuple(terms.items()), Fixed(offset), inside) for terms, offset in indices)
    made = Index(output("Y", "".join(order), *(lengths[label] for label in order)), "X", reads)
    plan = plan_of([made], {"X": (len(shape), "float"), "N": (len(sizes), "float")}, "Y")
    run = graph_module(lower(plan, ("Y",)), {})
    for seed in (0, 1):
        torch.manual_seed(seed)
        x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        y = run(x, torch.empty(tuple(sizes.values())))
        expected = torch.zeros(tuple(sizes[label] for label in order), dtype=torch.float64)
        reached = torch.zeros(shape, dtype=torch.float64)
        for point in positions(sizes):
            at = tuple(place(terms, offset, point) for terms, offset in indices)
            if all(0 <= here < size for here, size in zip(at, shape, strict=True)):
                expected[tuple(point[label] for label in order)] = x.detach()[at]
                reached[at] += 1
        assert y.shape == expected.shape
        torch.testing.assert_close(y, expected)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        torch.testing.assert_close(gradient, reached)


def test_a_shape_that_is_open_in_the_plan_serves_every_size() -> None:
    length = Extent("Y", 0)
    made = Index(output("Z", "xd", length, 3), "X", (ReadIndex((("x", 1), ("d", 1)), Fixed(0), True),))
    run = graph_module(lower(plan_of([made], {"X": (1, "float"), "Y": (1, "float")}, "Z"), ("Z",)), {})
    for size in (5, 3, 9, 4):
        x = torch.arange(float(size))
        expected = torch.stack([x[k : k + 3] for k in range(size - 2)])
        torch.testing.assert_close(run(x, torch.empty(size - 2)), expected)


# Index of each target dimension with its divisor, sizes of the written values, sizes of the target.
Written = tuple[list[tuple[dict[str, int], int, int]], dict[str, int], tuple[int, ...]]

WRITES: dict[str, Written] = {
    "plain": ([({"i": 1}, 0, 1)], {"i": 3}, (3,)),
    "row of a matrix": ([({}, 1, 1), ({"i": 1}, 0, 1)], {"i": 3}, (2, 3)),
    "element": ([({}, 1, 1)], {}, (3,)),
    "shift": ([({"i": 1}, 2, 1)], {"i": 3}, (5,)),
    "shift past the end": ([({"i": 1}, 2, 1)], {"i": 3}, (4,)),
    "shift wholly past the end": ([({"i": 1}, 9, 1)], {"i": 3}, (4,)),
    "shift below zero": ([({"i": 1}, -1, 1)], {"i": 3}, (4,)),
    "shift wholly below zero": ([({"i": 1}, -5, 1)], {"i": 3}, (4,)),
    "constant outside": ([({}, 4, 1), ({"i": 1}, 0, 1)], {"i": 3}, (2, 3)),
    "stride": ([({"i": 2}, 0, 1)], {"i": 3}, (5,)),
    "stride, shifted": ([({"i": 3}, 1, 1)], {"i": 2}, (8,)),
    "stride past the end": ([({"i": 2}, 1, 1)], {"i": 4}, (6,)),
    "reversal": ([({"i": -1}, 3, 1)], {"i": 4}, (4,)),
    "reversal with stride": ([({"i": -2}, 5, 1)], {"i": 3}, (6,)),
    "transposed": ([({"j": 1}, 0, 1), ({"i": 1}, 1, 1)], {"i": 2, "j": 3}, (3, 3)),
    "pooling": ([({"x": 1}, 0, 2)], {"x": 6}, (3,)),
    "ragged pooling": ([({"x": 1}, 0, 3)], {"x": 7}, (3,)),
    "pooling in two": ([({"b": 1}, 0, 1), ({"x": 1}, 0, 2), ({"y": 1}, 0, 2)], {"b": 2, "x": 4, "y": 5}, (2, 2, 3)),
    "shifted pooling": ([({"x": 1}, 1, 2)], {"x": 5}, (3,)),
    "pooling from below zero": ([({"x": 1}, -1, 2)], {"x": 6}, (3,)),
    "strided pooling": ([({"x": 2}, 0, 3)], {"x": 5}, (3,)),
    "pooling into a short target": ([({"x": 1}, 0, 2)], {"x": 7}, (2,)),
    "diagonal": ([({"i": 1}, 0, 1), ({"i": 1}, 0, 1)], {"i": 3}, (3, 3)),
    "overlapping windows": ([({"x": 1, "d": 1}, 0, 1)], {"x": 4, "d": 3}, (6,)),
    "overlap leaves the target": ([({"x": 1, "d": 1}, -1, 1)], {"x": 4, "d": 3}, (4,)),
    "blocks of sums": ([({"x": 1, "d": 2}, 0, 2)], {"x": 3, "d": 2}, (3,)),
    "all in one place": ([({}, 0, 1)], {"i": 3}, (2,)),
    "a scalar": ([], {"i": 3}, ()),
    "empty": ([({"i": 1}, 0, 1)], {"i": 0}, (2,)),
    "empty target": ([({"x": 1}, 0, 2)], {"x": 0}, (0,)),
}
START = {"sum": 0.0, "max": -math.inf, "min": math.inf, "prod": 1.0}


@pytest.mark.parametrize("open_sizes", [False, True], ids=["fixed", "open"])
@pytest.mark.parametrize("operator", ["sum", "max", "min", "prod"])
@pytest.mark.parametrize("name", WRITES)
def test_write(name: str, operator: str, open_sizes: bool) -> None:
    indices, sizes, shape = WRITES[name]
    if open_sizes:
        targets: list[Length] = [Extent("M", position) for position in range(len(shape))]
        sources = [Extent("X", position) for position in range(len(sizes))]
    else:
        targets = [Fixed(size) for size in shape]
        sources = [Fixed(size) for size in sizes.values()]
    written = tuple(WriteIndex(tuple(terms.items()), Fixed(offset), divisor) for terms, offset, divisor in indices)
    labels = "PQR"[: len(shape)]
    made = Write(output("Y", labels, *targets), operator, Operand("X", tuple(sizes)), written)  # type: ignore[arg-type]
    plan = plan_of([made], {"X": (len(sizes), "float"), "M": (len(shape), "float")}, "Y")
    shapes = tuple(type(item)(item.tensor, tuple(sources)) if item.tensor == "X" else item for item in plan.shapes)
    object.__setattr__(plan, "shapes", shapes)
    run = graph_module(lower(plan, ("Y",)), {})
    for seed in (0, 1):
        torch.manual_seed(seed)
        x = torch.randn(tuple(sizes.values()), dtype=torch.float64)
        expected = torch.full(shape, START[operator], dtype=torch.float64)
        for point in positions(sizes):
            at = tuple(place(terms, offset, point) // divisor for terms, offset, divisor in indices)
            if not all(0 <= here < size for here, size in zip(at, shape, strict=True)):
                continue
            value = x[tuple(point.values())]
            old = expected[at]
            new = {"sum": old + value, "max": max(old, value), "min": min(old, value), "prod": old * value}
            expected[at] = new[operator]
        result = run(x, torch.empty(shape))
        assert result.shape == expected.shape
        torch.testing.assert_close(result, expected)


def test_pooling_splits_the_gradient_of_ties_over_the_whole_block() -> None:
    indices = (WriteIndex((("x", 1),), Fixed(0), 2), WriteIndex((("y", 1),), Fixed(0), 2))
    made = Write(output("Y", "PQ", 1, 1), "max", Operand("X", ("x", "y")), indices)
    run = graph_module(lower(plan_of([made], {"X": (2, "float")}, "Y"), ("Y",)), {})
    x = torch.tensor([[1.0, 1.0], [0.0, 1.0]], requires_grad=True)
    run(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([[1 / 3, 1 / 3], [0.0, 1 / 3]]))


def test_whole_numbers_are_padded_without_passing_through_floats() -> None:
    indices = (WriteIndex((("x", 1),), Fixed(0), 2),)
    for operator, expected in (("min", [1, 2**62 + 1]), ("max", [3, 2**62 + 1])):
        made = Write(output("Y", "P", 2, dtype="int64"), operator, Operand("X", ("x",)), indices)  # type: ignore[arg-type]
        run = graph_module(lower(plan_of([made], {"X": (1, "int64")}, "Y"), ("Y",)), {})
        assert run(torch.tensor([3, 1, 2**62 + 1])).tolist() == expected
