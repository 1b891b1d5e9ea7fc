"""What `checked=True` looks at: NaN and infinity as they appear, and classes that do not exist."""

from __future__ import annotations

import numpy as np

from fuse_ref.mistakes import mistake
from fuse_ref.source import Span

__all__ = ["check_classes", "check_finite"]


def check_finite(name: str, value: np.ndarray, span: Span | None) -> None:
    """Refuse NaN and infinity in `value`, the tensor `name` that the equation at `span` defines.

    Raises:
        NonFiniteError: naming the first position in C order.
    """
    array = np.asarray(value)
    if array.dtype.kind != "f":
        return
    finite = np.isfinite(array)
    if finite.all():
        return
    position = np.unravel_index(int(np.argmin(finite)), array.shape)
    what = array[position]
    shown = "NaN" if np.isnan(what) else str(float(what))
    place = "[" + ", ".join(str(int(k)) for k in position) + "]"
    raise mistake("FUSE207", span, tensor=name, what=shown, position=place)


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
