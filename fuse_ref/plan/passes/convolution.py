"""Products of a windowed read and a filter become convolutions: no array of windows is made."""

from __future__ import annotations

from fuse_ref.analysis.lengths import Fixed, Length
from fuse_ref.plan.passes.framework import Block, PlanPass
from fuse_ref.plan.passes.tracing import Tracer
from fuse_ref.plan.steps import (
    Contract,
    Convolve,
    DenseOperation,
    Index,
    Operand,
    Output,
    ReadIndex,
    Saving,
    Window,
)
from fuse_ref.records import dataclass

__all__ = ["CONVOLUTION", "Found", "why_not"]

_MOST_WINDOWS = 3  # dimensions that the engines' convolutions have


@dataclass(frozen=True, slots=True)
class Found:
    """A product that is a convolution."""

    index: Index  # the windowed read, its labels as the product calls them
    weights: Operand
    windows: tuple[Window, ...]


def why_not(product: Contract, tracer: Tracer) -> Found | str:
    """`product` as a convolution, or why it is none."""
    reason = "neither operand is a windowed read"
    for read, weights in ((product.left, product.right), (product.right, product.left)):
        maker, operand = tracer.source(read)
        if not isinstance(maker, Index) or all(len(item.terms) < 2 for item in maker.indices):
            continue
        found = _roles(product, _called(maker, operand), weights, tracer.block)
        if isinstance(found, Found):
            return found
        reason = found
    return reason


def _called(index: Index, operand: Operand) -> Index:
    """`index` with its labels as `operand` calls them."""
    names = dict(zip(index.output.labels, operand.labels, strict=True))
    output = Output(index.output.out, operand.labels, index.output.lengths, index.output.dtype)
    moved = tuple(
        ReadIndex(tuple((names[label], c) for label, c in item.terms), item.offset, item.inside, item.divisor, gather)
        for item in index.indices
        for gather in (None if item.gather is None else _renamed(item.gather, names),)
    )
    return Index(output, index.source, moved)


def _renamed(operand: Operand, names: dict[str, str]) -> Operand:
    return Operand(operand.value, tuple(names[label] for label in operand.labels))


def _roles(product: Contract, index: Index, weights: Operand, block: Block) -> Found | str:
    output = set(product.output.labels)
    if product.output.dtype != "float":
        return "whole numbers stay whole"
    labels = [label for item in index.indices for label, _ in item.terms]
    if len(set(labels)) != len(labels):
        return "a variable moves along two dimensions"
    windows: list[Window] = []
    for position, item in enumerate(index.indices):
        if item.gather is not None or item.divisor != 1:
            return "positions come from a tensor or a division"
        if len(item.terms) > 2:
            return "more than two variables move along one dimension"
        if len(item.terms) == 2:
            window = _window(item, weights, output, position, {*labels, *weights.labels, *output})
            if isinstance(window, str):
                return window
            windows.append(window)
        elif any(label not in output and label not in weights.labels for label, _ in item.terms):
            return "a variable of the read alone is summed"
    if len(windows) > _MOST_WINDOWS:
        return f"it moves along {len(windows)} dimensions"
    if any(label not in output and label not in index.output.labels for label in weights.labels):
        return "a variable of the filter alone is summed"
    if block.values[index.source].dtype == "bool":
        return "truth values are read"
    return Found(index, weights, tuple(windows))


def _window(item: ReadIndex, weights: Operand, output: set[str], position: int, taken: set[str]) -> Window | str:
    for (place, stride), (tap, dilation) in (item.terms, item.terms[::-1]):
        if place in output and place not in weights.labels and tap in weights.labels and tap not in output:
            if stride < 1:
                return "the read runs backwards"
            source = f"{place}+{tap}"
            while source in taken:
                source += f"+{position}"
            return Window(source, place, tap, stride, dilation, item.offset, item.inside)
    return "no variable of the window is the filter's, or none is the result's"


def _rewrite(block: Block) -> tuple[tuple[DenseOperation, ...], tuple[Saving, ...]]:
    tracer = Tracer(block)
    operations: list[DenseOperation] = []
    savings: list[Saving] = []
    for operation in block.operations:
        found = why_not(operation, tracer) if isinstance(operation, Contract) else ""
        if isinstance(found, Found):
            operations.extend(_made(operation.output, found, tracer))
            savings.append(_saving(operation.output, found, block))
        else:
            operations.append(operation)
    return tuple(operations), tuple(savings)


def _made(output: Output, found: Found, tracer: Tracer) -> list[DenseOperation]:
    """The convolution, after a read of what is no window where that is not plain."""
    index, block = found.index, tracer.block
    source = block.values[index.source]
    by_window = {window.tap: window for window in found.windows}
    labels: list[str] = []
    lengths: list[Length] = []
    reads: list[ReadIndex] = []
    plain = True
    ranges = dict(zip(index.output.labels, index.output.lengths, strict=True))
    for item, length in zip(index.indices, source.lengths, strict=True):
        window = next((by_window[label] for label, _ in item.terms if label in by_window), None)
        if window is not None:
            labels.append(window.source)
            lengths.append(length)
            reads.append(ReadIndex(((window.source, 1),), Fixed(0), True))
            continue
        for label, coefficient in item.terms:
            labels.append(label)
            lengths.append(ranges[label])
            plain = plain and coefficient == 1 and item.offset == Fixed(0) and ranges[label] == length
        plain = plain and bool(item.terms)
        reads.append(item)
    if plain:
        return [Convolve(output, Operand(index.source, tuple(labels)), found.weights, found.windows)]
    name = tracer.fresh(f"{output.out.partition('~')[0]}~image", ())
    read = Index(Output(name, tuple(labels), tuple(lengths), source.dtype), index.source, tuple(reads))
    return [read, Convolve(output, Operand(name, tuple(labels)), found.weights, found.windows)]


def _saving(output: Output, found: Found, block: Block) -> Saving:
    over = ", ".join(window.place for window in found.windows)
    what = f"{found.index.source} times {found.weights.value} is a convolution over {over}"
    size = 4 * block.estimates.elements(found.index.output)
    return Saving("convolution", output.out.partition("~")[0], what, 0, size)


CONVOLUTION = PlanPass("convolution", "a windowed read times a filter is the engine's convolution", _rewrite)
