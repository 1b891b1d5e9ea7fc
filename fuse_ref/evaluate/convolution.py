"""Convolutions as products of matrices: windows of a few rows at a time, so that they stay in the cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from fuse_ref.evaluate.registers import Emitter, Register
from fuse_ref.plan.roles import convolution_roles
from fuse_ref.plan.steps import Convolve
from fuse_ref.records import dataclass

__all__ = ["Offset", "convolve"]

_BLOCK: Final = 1 << 19  # bytes of windows that are laid out at a time


@dataclass(frozen=True, slots=True)
class Offset:
    """A window for one set of sizes: position of the image = stride * place + dilation * tap + start."""

    stride: int
    dilation: int
    start: int


def convolve(
    emitter: Emitter, operation: Convolve, offsets: Sequence[Offset], shape: tuple[int, ...], dtype: np.dtype
) -> Register:
    """Write the convolution of shape `shape` (the output's labels) and type `dtype`; one offset per window."""
    roles = convolution_roles(operation)
    image = emitter.cast(emitter.names[operation.image.value], dtype)
    weights = emitter.cast(emitter.names[operation.filter.value], dtype)
    lengths = dict(zip(operation.image.labels, emitter.infos[image].shape, strict=True))
    lengths |= dict(zip(operation.filter.labels, emitter.infos[weights].shape, strict=True))
    lengths |= dict(zip(operation.output.labels, shape, strict=True))

    def count(labels: Sequence[str]) -> int:
        return math.prod(lengths[label] for label in labels)

    if 0 in shape or count(roles.channels) == 0 or count(roles.taps) == 0:
        return emitter.constant(np.zeros(shape, dtype))
    channels_last = _ends_in_channels(emitter, image, operation, roles.channels)
    image = emitter.transpose(image, tuple(operation.image.labels.index(label) for label in roles.image))
    order = (*roles.groups, *roles.filters, *roles.channels, *roles.taps)
    weights = emitter.transpose(weights, tuple(operation.filter.labels.index(label) for label in order))
    work = _Convolution(
        batch=count(roles.batch),
        groups=count(roles.groups),
        channels=count(roles.channels),
        filters=count(roles.filters),
        sources=tuple(lengths[label] for label in roles.sources),
        taps=tuple(lengths[label] for label in roles.taps),
        places=tuple(lengths[label] for label in roles.places),
        offsets=tuple(offsets),
        channels_last=channels_last,
        dtype=dtype,
    )
    made = (*roles.batch, *roles.groups, *roles.places, *roles.filters) if channels_last else roles.made
    result_shape = tuple(lengths[label] for label in made)
    result = emitter.call(lambda x, w: work(x, w).reshape(result_shape), (image, weights), result_shape, dtype)
    return emitter.transpose(result, tuple(made.index(label) for label in operation.output.labels))


def _ends_in_channels(emitter: Emitter, image: Register, operation: Convolve, channels: Sequence[str]) -> bool:
    """Whether the channels lie together in memory: then windows are copied channels last."""
    last = operation.image.labels[emitter.infos[image].order[-1]]
    return last in channels


@dataclass(frozen=True, slots=True)
class _Convolution:
    batch: int
    groups: int
    channels: int
    filters: int
    sources: tuple[int, ...]
    taps: tuple[int, ...]
    places: tuple[int, ...]
    offsets: tuple[Offset, ...]
    channels_last: bool
    dtype: np.dtype

    def __call__(self, image: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The result over (batch, groups, filters, places…), or with the filters last."""
        windows = self._windows(image.reshape(self.batch, self.groups, self.channels, *self.sources))
        inner = self.channels * math.prod(self.taps)
        many = math.prod(self.places)
        if self.channels_last:
            axes = (0, 1, *range(3 + len(self.taps), windows.ndim), *range(3, 3 + len(self.taps)), 2)
            windows = windows.transpose(axes)
            taps_first = weights.reshape(self.groups, self.filters, self.channels, -1).transpose(0, 3, 2, 1)
            matrix: np.ndarray = taps_first.reshape(self.groups, inner, self.filters)
        else:
            matrix = weights.reshape(self.groups, self.filters, inner)
        rest = (many, self.filters) if self.channels_last else (self.filters, many)
        result = np.empty((self.batch, self.groups, *rest), self.dtype)
        size = self.groups * inner * self.dtype.itemsize
        if size * many <= _BLOCK:
            self._by_images(windows, matrix, result, max(1, _BLOCK // (size * many)))
        else:
            self._by_rows(windows, matrix, result, max(1, _BLOCK // (size * (many // self.places[0]))))
        return result

    def _by_images(self, windows: np.ndarray, matrix: np.ndarray, result: np.ndarray, step: int) -> None:
        for first in range(0, self.batch, step):
            part = windows[first : first + step]
            self._multiply(part, matrix, result[first : first + step])

    def _by_rows(self, windows: np.ndarray, matrix: np.ndarray, result: np.ndarray, step: int) -> None:
        """One image at a time, `step` positions of the first window."""
        row = math.prod(self.places[1:])
        places = 2 if self.channels_last else 3 + len(self.taps)
        for image in range(self.batch):
            for first in range(0, self.places[0], step):
                last = min(first + step, self.places[0])
                index = (slice(image, image + 1), *([slice(None)] * (places - 1)), slice(first, last))
                part = windows[index]
                span = slice(first * row, last * row)
                target = result[image : image + 1]
                self._multiply(part, matrix, target[:, :, span] if self.channels_last else target[..., span])

    def _multiply(self, windows: np.ndarray, matrix: np.ndarray, target: np.ndarray) -> None:
        inner = matrix.shape[1 if self.channels_last else 2]
        images = windows.shape[0]
        if self.channels_last:
            np.matmul(windows.reshape(images, self.groups, -1, inner), matrix, out=target)
        else:
            np.matmul(matrix, windows.reshape(images, self.groups, inner, -1), out=target)

    def _windows(self, image: np.ndarray) -> np.ndarray:
        """A view over (batch, groups, channels, taps…, places…), of the image with zeros around it where needed."""
        whole = (slice(None),) * 3
        pads: list[tuple[int, int]] = []
        for n, taps, places, offset in zip(self.sources, self.taps, self.places, self.offsets, strict=True):
            reach = offset.dilation * (taps - 1)
            low = offset.start + min(0, reach)
            high = offset.start + offset.stride * (places - 1) + max(0, reach)
            pads.append((max(0, -low), max(0, high - n + 1)))
        if any(before or after for before, after in pads):
            room = [before + n + after for n, (before, after) in zip(self.sources, pads, strict=True)]
            padded = np.zeros((*image.shape[:3], *room), self.dtype)
            inner = [slice(before, before + n) for n, (before, _) in zip(self.sources, pads, strict=True)]
            padded[(*whole, *inner)] = image
            image = padded
        starts = [offset.start + before for offset, (before, _) in zip(self.offsets, pads, strict=True)]
        steps = image.strides[3:]
        strides = (
            *image.strides[:3],
            *(offset.dilation * step for offset, step in zip(self.offsets, steps, strict=True)),
            *(offset.stride * step for offset, step in zip(self.offsets, steps, strict=True)),
        )
        corner = image[(*whole, *(slice(start, None) for start in starts))]
        shape = (*image.shape[:3], *self.taps, *self.places)
        return np.lib.stride_tricks.as_strided(corner, shape, strides, writeable=False)
