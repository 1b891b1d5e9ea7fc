"""What `checked=True` looks at while a program runs: NaN, infinity, and classes and positions that do not exist."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from fuse_jax.failures import remember
from fuse_ref.analysis.lengths import Length
from fuse_ref.errors import FuseError
from fuse_ref.evaluate.checked import check_positions
from fuse_ref.mistakes import mistake
from fuse_ref.plan.steps import Along, DenseOperation, Index, Operand, ReadIndex, Write, WriteIndex
from fuse_ref.source import Span

__all__ = ["Watch"]


@dataclass(frozen=True, slots=True)
class Watch:
    """What `checked=True` looks at: every tensor that is computed, and the class numbers of cross_entropy.

    Values that are known are checked at once, traced ones when the compiled code runs.
    """

    spans: Mapping[str, Span | None]  # of every tensor; values that are no tensor are not looked at

    def before(
        self,
        operation: DenseOperation,
        values: Mapping[str, jax.Array],
        shape: tuple[int, ...],
        measure: Callable[[Length], int],
    ) -> None:
        """Checks what `operation`, whose result has `shape`, is about to read."""
        if isinstance(operation, Index | Write):
            self._positions(operation, values, shape, measure)
        if not isinstance(operation, Along) or operation.function != "cross_entropy":
            return
        logits, target = operation.operands
        if not isinstance(logits, Operand) or not isinstance(target, Operand) or operation.axis in target.labels:
            return
        count = values[logits.value].shape[logits.labels.index(operation.axis)]
        span = self.spans.get(target.value)
        _on_host(values[target.value], _check_classes, target.value, span, axis=operation.axis, count=count)

    def _positions(
        self,
        operation: Index | Write,
        values: Mapping[str, jax.Array],
        shape: tuple[int, ...],
        measure: Callable[[Length], int],
    ) -> None:
        counts = values[operation.source].shape if isinstance(operation, Index) else shape
        span = self.spans.get(operation.output.out.partition("~")[0])
        indices: Sequence[ReadIndex | WriteIndex] = operation.indices
        for index, count in zip(indices, counts, strict=True):
            if index.gather is not None and any(index.words):
                more = {"words": index.words, "labels": index.gather.labels, "offset": measure(index.offset)}
                name = index.gather.value
                _on_host(values[name], _check_positions, name, span, count=count, **more)

    def after(self, operation: DenseOperation, value: jax.Array) -> None:
        """Checks what `operation` made."""
        name = operation.output.out
        if name in self.spans and jnp.issubdtype(value.dtype, jnp.floating):
            _on_host(value, _check_finite, name, self.spans[name])


def _on_host(value: jax.Array, check: Callable[..., None], tensor: str, span: Span | None, **more: object) -> None:
    if isinstance(value, jax.core.Tracer):
        jax.debug.callback(functools.partial(_remembering, check, tensor=tensor, span=span, **more), value)
    else:
        check(np.asarray(value), tensor=tensor, span=span, **more)


def _remembering(check: Callable[..., None], value: jax.Array, **more: object) -> None:
    try:
        check(np.asarray(value), **more)
    except FuseError as error:
        remember(error)
        raise


def _check_finite(value: np.ndarray, *, tensor: str, span: Span | None) -> None:
    finite = np.isfinite(value)
    if finite.all():
        return
    position = tuple(int(index[0]) for index in np.nonzero(np.atleast_1d(~finite)))[: value.ndim]
    found = float(value[position])
    what = "NaN" if math.isnan(found) else str(found)
    raise mistake("FUSE207", span, tensor=tensor, what=what, position=list(position))


def _check_positions(
    value: np.ndarray,
    *,
    tensor: str,
    span: Span | None,
    words: tuple[str, str],
    labels: tuple[str, ...],
    offset: int,
    count: int,
) -> None:
    check_positions(words, labels, value, offset, count, span)


def _check_classes(value: np.ndarray, *, tensor: str, span: Span | None, axis: str, count: int) -> None:
    outside = value[(value < 0) | (value >= count)]
    if outside.size:
        raise mistake("FUSE210", span, tensor=tensor, number=int(outside.flat[0]), axis=axis, last=count - 1)
