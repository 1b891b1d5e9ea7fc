"""Attention a block of rows at a time: no array of all rows by all positions is made where there are many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from fuse_ref.evaluate.registers import Emitter, Register
from fuse_ref.plan.roles import AttentionRoles, attention_roles
from fuse_ref.plan.steps import Attention, Operand
from fuse_ref.records import dataclass

__all__ = ["attend"]

_BLOCK: Final = 1 << 19  # bytes of scores at a time: fewer make slower products, more are held beside the operands


def attend(emitter: Emitter, operation: Attention, shape: tuple[int, ...], dtype: np.dtype) -> Register:
    """Write the attention of shape `shape` (the output's labels) and type `dtype`."""
    roles = attention_roles(operation)
    lengths = dict(zip(operation.output.labels, shape, strict=True))
    for operand in (operation.query, operation.key, operation.value):
        lengths |= dict(zip(operand.labels, emitter.infos[emitter.names[operand.value]].shape, strict=True))

    def count(labels: Sequence[str]) -> int:
        return math.prod(lengths[label] for label in labels)

    keys = lengths[operation.axis]
    if 0 in shape or keys == 0:
        # A sum over no position is 0.
        return emitter.constant(np.zeros(shape, dtype))
    axis = (operation.axis,)
    batch, rows = count(roles.batch), count(roles.rows)

    def stacked(operand: Operand, middle: Sequence[str], last: Sequence[str]) -> Register:
        """The operand over (batch, middle, last), each one dimension; copied only along batch labels it lacks."""
        register = emitter.cast(emitter.names[operand.value], dtype)
        wanted = (*roles.batch, *middle, *last)
        register = emitter.align(register, operand.labels, wanted, full=True)
        lead = tuple(lengths[label] for label in roles.batch)
        rest = tuple(lengths[label] for label in (*middle, *last))
        final = (batch, count(middle), count(last))
        return emitter.view(lambda x: np.broadcast_to(x, (*lead, *rest)).reshape(final), register, final)

    operands = [
        stacked(operation.query, roles.rows, roles.features),
        stacked(operation.key, roles.features, axis),
        stacked(operation.value, axis, roles.columns),
    ]
    masks: list[int | None] = []
    for mask, kind in ((operation.bias, dtype), (operation.keep, np.dtype(np.bool_))):
        masks.append(None if mask is None else len(operands))
        if mask is not None:
            register = emitter.cast(emitter.names[mask.value], kind)
            operands.append(emitter.align(register, mask.labels, (*roles.batch, *roles.rows, *axis), full=True))
    work = _Attention(
        scores=(*(lengths[label] for label in (*roles.batch, *roles.rows)), keys),
        batch=batch,
        rows=rows,
        scale=operation.scale,
        bias=masks[0],
        keep=masks[1],
        causal=_causes(operation, roles, lengths),
        empty=operation.empty,
        dtype=dtype,
    )
    made = roles.made
    result_shape = tuple(lengths[label] for label in made)
    result = emitter.call(lambda *x: work(*x).reshape(result_shape), operands, result_shape, dtype)
    return emitter.transpose(result, tuple(made.index(label) for label in operation.output.labels))


def _causes(operation: Attention, roles: AttentionRoles, lengths: dict[str, int]) -> np.ndarray | None:
    """For each row, the last position that it may attend to."""
    if not operation.causal:
        return None
    shape = tuple(lengths[label] for label in roles.rows)
    place = roles.rows.index(operation.causal)
    positions: np.ndarray = np.indices(shape)[place].reshape(-1)
    return positions


@dataclass(frozen=True, slots=True)
class _Attention:
    scores: tuple[int, ...]  # batch labels, row labels, positions
    batch: int
    rows: int
    scale: float
    bias: int | None  # which argument it is
    keep: int | None
    causal: np.ndarray | None
    empty: Literal["zero", "mean", "nan"]
    dtype: np.dtype

    def __call__(self, query: np.ndarray, key: np.ndarray, value: np.ndarray, *masks: np.ndarray) -> np.ndarray:
        """Arguments over (batch, rows, features), (batch, features, keys) and (batch, keys, columns)."""
        keys = key.shape[2]
        if self.scale != 1:
            query = query * self.dtype.type(self.scale)
        shape = (self.batch, self.rows, keys)
        bias, keep = (None if k is None else _flat(masks[k - 3], self.scores, shape) for k in (self.bias, self.keep))
        result = np.empty((self.batch, self.rows, value.shape[2]), self.dtype)
        size = self.dtype.itemsize * keys
        if size * self.rows <= _BLOCK:
            step, height = max(1, _BLOCK // (size * self.rows)), self.rows
        else:
            step, height = 1, max(64, _BLOCK // size)
        key = np.ascontiguousarray(key) if height < self.rows else key
        for first in range(0, self.batch, step):
            images = slice(first, first + step)
            for top in range(0, self.rows, height):
                place = (images, slice(top, top + height))
                self._block(
                    (query[place], key[images], value[images]),
                    None if bias is None else bias[place],
                    None if keep is None else keep[place],
                    None if self.causal is None else self.causal[place[1]],
                    result[place],
                )
        return result

    def _block(
        self,
        operands: tuple[np.ndarray, np.ndarray, np.ndarray],
        bias: np.ndarray | None,
        keep: np.ndarray | None,
        causal: np.ndarray | None,
        target: np.ndarray,
    ) -> None:
        query, key, value = operands
        scores = np.matmul(query, key)
        if bias is not None:
            scores += bias
        if keep is not None:
            np.copyto(scores, -np.inf, where=~keep)
        if causal is not None:
            np.copyto(scores, -np.inf, where=np.arange(scores.shape[2]) > causal[:, None])
        highest = scores.max(2, keepdims=True)
        nothing = None
        if keep is not None and self.empty != "nan":
            nothing = ~keep.any(2, keepdims=True)
            if nothing.any():
                np.copyto(scores, 0, where=nothing)
                np.copyto(highest, 0, where=nothing)
        scores -= highest
        np.exp(scores, out=scores)
        total = scores.sum(2, keepdims=True)
        np.matmul(scores, value, out=target)
        target /= total
        if nothing is not None and self.empty == "zero":
            np.copyto(target, 0, where=nothing)


def _flat(mask: np.ndarray, scores: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """A mask over batch and row labels as one over (batch, rows, keys); no copy where it repeats as a whole."""
    return np.broadcast_to(mask, scores).reshape(shape)
