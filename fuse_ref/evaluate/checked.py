"""What `checked=True` looks at: NaN and infinity as they appear, classes and positions that do not exist."""

from __future__ import annotations

import numpy as np

from fuse_ref.mistakes import mistake
from fuse_ref.source import Span

__all__ = ["check_classes", "check_finite", "check_positions", "spread"]


def check_finite(
    name: str, value: np.ndarray, span: Span | None, allowed: float = 0.0, holds: np.ndarray | None = None
) -> None:
    """Refuse NaN and infinity in `value`, the tensor `name` that the equation at `span` defines.

    Args:
        allowed: an infinity that is right all the same; 0 where none is.
        holds: where that one is wrong too; its shape goes with the value's.

    Raises:
        NonFiniteError: naming the first position in C order.
    """
    array = np.asarray(value)
    if array.dtype.kind != "f":
        return
    finite = np.isfinite(array)
    if finite.all():
        return
    if allowed:
        right = array == allowed
        finite |= right if holds is None else right & ~holds
        if finite.all():
            return
    position = np.unravel_index(int(np.argmin(finite)), array.shape)
    what = array[position]
    shown = "NaN" if np.isnan(what) else str(float(what))
    place = "[" + ", ".join(str(int(k)) for k in position) + "]"
    raise mistake("FUSE207", span, tensor=name, what=shown, position=place)


def spread(array: np.ndarray, labels: tuple[str, ...], onto: tuple[str, ...]) -> np.ndarray:
    """`array` of `labels`, with its dimensions in the order of `onto` and size 1 where it lacks one."""
    order = [labels.index(label) for label in onto if label in labels]
    new = tuple(position for position, label in enumerate(onto) if label not in labels)
    return np.expand_dims(np.transpose(array, order), new)


def check_classes(name: str, value: np.ndarray, count: int, axis: str, span: Span | None) -> None:
    """Refuse class numbers outside 0..count-1.

    Raises:
        AxisError: naming the first such number.
    """
    array = np.asarray(value)
    outside = (array < 0) | (array >= count)
    if outside.any():
        number = int(array[outside].flat[0])
        raise mistake("FUSE210", span, tensor=name, number=number, axis=axis, last=count - 1)


def check_positions(
    words: tuple[str, str], labels: tuple[str, ...], values: np.ndarray, offset: int, count: int, span: Span | None
) -> None:
    """Refuse an integer tensor as index that points outside.

    Args:
        words: the tensor that is read or written, and the index as the text has it.
        labels: variables of the index tensor's dimensions.
        values: what the index tensor holds.
        offset: what the index adds to it.
        count: positions that there are.

    Raises:
        AxisError: naming the first such index in C order.
    """
    positions = np.asarray(values) + offset
    outside = (positions < 0) | (positions >= count)
    if outside.any():
        at = np.unravel_index(int(np.argmax(outside)), outside.shape)
        # Places in a sample are no positions of a variable.
        named = [(label, int(k)) for label, k in zip(labels, at, strict=True) if not label.startswith("~")]
        place = ", ".join(f"{label} = {k}" for label, k in named)
        tensor, index = words
        where = f" at {place}" if place else ""
        raise mistake(
            "FUSE214", span, tensor=tensor, index=index, position=int(positions[at]), where=where, count=count
        )
