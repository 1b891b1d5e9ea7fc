"""What `checked=True` looks at while a program runs: NaN, infinity, and classes and positions that do not exist."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from fuse_jax.failures import remember
from fuse_jax.hostcall import host_look
from fuse_ref.analysis.lengths import Length
from fuse_ref.errors import FuseError
from fuse_ref.evaluate.checked import check_finite, check_positions, spread
from fuse_ref.mistakes import mistake
from fuse_ref.plan.finiteness import FiniteCheck, FiniteChecks, finite_checks
from fuse_ref.plan.steps import Along, DenseOperation, Index, Operand, Plan, ReadIndex, Write, WriteIndex
from fuse_ref.source import Span

__all__ = ["Watch"]


@dataclass(frozen=True, slots=True)
class Watch:
    """What `checked=True` looks at: every tensor that is computed, and the class numbers of cross_entropy.

    Values that are known are checked at once, traced ones when the compiled code runs.
    """

    spans: Mapping[str, Span | None]  # of every tensor
    finite: FiniteChecks  # which values, before and after which operation

    @classmethod
    def of(cls, plan: Plan) -> Watch:
        """What a checked run of `plan` looks at."""
        return cls({tensor.name: tensor.span for tensor in plan.program.tensors}, finite_checks(plan))

    def before(
        self,
        operation: DenseOperation,
        values: Mapping[str, jax.Array],
        shape: tuple[int, ...],
        measure: Callable[[Length], int],
    ) -> None:
        """Checks what `operation`, whose result has `shape`, is about to read."""
        for check in self.finite.before.get(operation.output.out, ()):
            self._finite(check, values)
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

    def after(self, operation: DenseOperation, values: Mapping[str, jax.Array]) -> None:
        """Checks what `operation` made."""
        check = self.finite.after.get(operation.output.out)
        if check is not None:
            self._finite(check, values)

    def result(self, name: str, allowed: float, values: Mapping[str, jax.Array]) -> None:
        """Checks a tensor that a fixpoint made; `allowed` is an infinity that is right, or 0."""
        self._finite(FiniteCheck(name, name, allowed), values)

    def _finite(self, check: FiniteCheck, values: Mapping[str, jax.Array]) -> None:
        value, holds, span = values[check.value], check.holds, self.spans.get(check.tensor)
        if not jnp.issubdtype(value.dtype, jnp.floating):
            return
        if holds is None:
            _on_host(value, _check_finite, check.words, span, allowed=check.allowed)
            return
        where = values[holds.value]
        look = functools.partial(_check_given, check=check, span=span)
        if isinstance(value, jax.core.Tracer) or isinstance(where, jax.core.Tracer):
            host_look(functools.partial(_remembering, look), value, where)
        else:
            look(np.asarray(value), np.asarray(where))


def _on_host(value: jax.Array, check: Callable[..., None], tensor: str, span: Span | None, **more: object) -> None:
    if isinstance(value, jax.core.Tracer):
        host_look(functools.partial(_remembering, check, tensor=tensor, span=span, **more), value)
    else:
        check(np.asarray(value), tensor=tensor, span=span, **more)


def _remembering(check: Callable[..., None], *values: np.ndarray, **more: object) -> None:
    try:
        check(*values, **more)
    except FuseError as error:
        remember(error)
        raise


def _check_finite(value: np.ndarray, *, tensor: str, span: Span | None, allowed: float) -> None:
    check_finite(tensor, value, span, allowed)


def _check_given(value: np.ndarray, holds: np.ndarray, *, check: FiniteCheck, span: Span | None) -> None:
    assert check.holds is not None
    check_finite(check.words, value, span, check.allowed, spread(holds, check.holds.labels, check.labels))


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
