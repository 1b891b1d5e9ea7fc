"""Convolutions as functional.conv1d, conv2d and conv3d."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.fx import Node
from torch.nn import functional

from fuse_ref.analysis.lengths import Fixed, Length
from fuse_ref.plan.roles import convolution_roles
from fuse_ref.plan.steps import Convolve, Window
from fuse_torch.lowering.emitter import Emitter, Size, Value

__all__ = ["lower_convolution"]

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The size of every label. Those that may be 0 are taken for at least 1: torch refuses images and filters
    without elements, and forgets the filters where there is no channel. What is too much is zeros, or is cut off."""

    emit: Emitter
    lengths: dict[str, Length]

    def open(self, label: str) -> bool:
        length = self.lengths[label]
        return not isinstance(length, Fixed) or length.value == 0

    def exact(self, label: str) -> Size:
        return self.emit.size(self.lengths[label])

    def __getitem__(self, label: str) -> Size:
        return self.emit.maximum(self.exact(label), 1) if self.open(label) else self.exact(label)

    def more(self, label: str) -> Size:
        """How many zeros the label's dimension needs."""
        return self.emit.subtract(self[label], self.exact(label)) if self.open(label) else 0


def lower_convolution(emit: Emitter, operation: Convolve) -> Value:
    roles, output, windows = convolution_roles(operation), operation.output, operation.windows
    lengths = emit.lengths(operation.image) | emit.lengths(operation.filter)
    sizes = _Sizes(emit, lengths | dict(zip(output.labels, output.lengths, strict=True)))
    image = emit.floating(emit.operand(operation.image), emit.dtype(operation.image))
    weights = emit.floating(emit.operand(operation.filter), emit.dtype(operation.filter))
    image = emit.permuted(image, operation.image.labels, roles.image)
    weights = emit.permuted(weights, operation.filter.labels, roles.filter)

    pads = [_pads(emit, sizes, window) for window in windows]
    room = {roles.image.index(label): (0, sizes.more(label)) for label in (*roles.groups, *roles.channels)}
    padding: tuple[Size, ...] = (0,) * len(windows)
    if all(isinstance(before, int) and before == after >= 0 for before, after in pads):
        padding = tuple(before for before, _ in pads)
    else:
        room |= {roles.image.index(label): pad for label, pad in zip(roles.sources, pads, strict=True)}
    image = emit.padded(image, len(roles.image), room, 0, shared=True)
    room = {position: (0, sizes.more(label)) for position, label in enumerate(roles.filter)}
    weights = emit.padded(weights, len(roles.filter), room, 0, shared=True)
    backwards = tuple(roles.filter.index(window.tap) for window in windows if window.dilation < 0)
    if backwards:
        weights = emit.call(torch.flip, weights, backwards)

    groups: Size = 1
    for label in roles.groups:
        groups = emit.multiply(groups, sizes[label])
    weights = _merged(emit, weights, ((*roles.groups, *roles.filters), roles.channels))
    node = emit.call(
        _CONVOLUTIONS[len(windows)],
        _merged(emit, image, (roles.batch, (*roles.groups, *roles.channels))),
        # In float64 torch has no gradient of filters that lie otherwise in memory.
        emit.method("contiguous", weights),
        None,
        tuple(window.stride for window in windows),
        padding,
        tuple(abs(window.dilation) for window in windows),
        groups,
    )
    node = _split(emit, node, sizes, roles.batch, (*roles.groups, *roles.filters))
    for position, label in enumerate(roles.made):
        if label not in roles.batch and sizes.open(label):
            node = emit.sliced(node, position, 0, sizes.exact(label))
    return Value(emit.permuted(node, roles.made, output.labels), output.lengths, output.dtype)


def _pads(emit: Emitter, sizes: _Sizes, window: Window) -> tuple[Size, Size]:
    """Zeros before and after the image with which the windows lie as planned; negative ones crop."""
    distance = emit.multiply(emit.subtract(sizes[window.tap], 1), abs(window.dilation))
    low = emit.size(window.offset)
    if window.dilation < 0:
        low = emit.subtract(low, distance)
    steps = emit.multiply(emit.subtract(sizes[window.place], 1), window.stride)
    end = emit.add(emit.add(low, steps), emit.add(distance, 1))
    return emit.subtract(0, low), emit.subtract(end, sizes.exact(window.source))


def _merged(emit: Emitter, node: Node, groups: Sequence[Sequence[str]]) -> Node:
    """The first dimensions merged into one for each group."""
    for position, group in enumerate(groups):
        if not group:
            node = emit.call(torch.unsqueeze, node, position)
        elif len(group) > 1:
            node = emit.call(torch.flatten, node, position, position + len(group) - 1)
    return node


def _split(emit: Emitter, node: Node, sizes: _Sizes, batch: Sequence[str], filters: Sequence[str]) -> Node:
    """The first dimension as `batch`, the second as `filters`."""
    for position, group in ((1, filters), (0, batch)):
        if not group:
            node = emit.call(torch.squeeze, node, position)
        elif len(group) > 1:
            shape = tuple(sizes.exact(label) if group is batch else sizes[label] for label in group)
            node = emit.method("unflatten", node, position, shape)
    return node
