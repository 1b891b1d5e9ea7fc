"""Values of a relation's tuples, combined: sparse products, and segments of tuples that come to one place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from fuse_ref.evaluate.operations import ELEMENTWISE, Elementwise
from fuse_ref.plan.operations import Aggregate, InnerMap, InnerValue
from fuse_ref.records import dataclass
from fuse_ref.relations.tuples import Tuples

__all__ = ["Combine"]

_CHUNK: Final = 1 << 20  # elements of the values of tuples that are held at once
_NEUTRAL: Final[dict[str, float]] = {"sum": 0.0, "max": -math.inf, "min": math.inf, "prod": 1.0}
_WAYS: Final[dict[str, np.ufunc]] = {
    "sum": np.add,
    "max": np.maximum,
    "min": np.minimum,
    "prod": np.multiply,
}


@dataclass(frozen=True, slots=True)
class Combine:
    """One Aggregate for one set of sizes: a function of tuples and arrays."""

    operation: Aggregate
    sizes: Mapping[str, int]  # label -> size, of the output and of the operands
    dtype: np.dtype
    registered: Callable[[str], Elementwise]

    def __call__(self, tuples: Tuples | np.ndarray, *arrays: np.ndarray) -> np.ndarray:
        """The output.

        Args:
            tuples: of the relation; or how many there are, where they were counted and not kept, by what they have
                in the columns whose labels the output has.
            arrays: the operands, truth values as they are.
        """
        operation = self.operation
        if isinstance(tuples, np.ndarray):
            stays = [label for label in operation.columns if label in operation.output.labels]
            found = tuples.transpose([stays.index(label) for label in operation.output.labels])
            return np.asarray(found.astype(self.dtype), order="C")
        if operation.operator == "sum" and not operation.inner and len(operation.operands) == 1:
            product = self._sparse_product(tuples, arrays[0])
            if product is not None:
                return product
        return self._in_chunks(tuples, arrays)

    @property
    def _dense(self) -> tuple[str, ...]:
        """Labels of the operands that are no arguments of the relation."""
        labels = (label for operand in self.operation.operands for label in operand.labels)
        return tuple(dict.fromkeys(label for label in labels if label not in self.operation.columns))

    # Relation times matrix ------------------------------------------------------------------------

    def _sparse_product(self, tuples: Tuples, array: np.ndarray) -> np.ndarray | None:
        """The product with a matrix of ones where the relation holds, when one argument stays and one is summed."""
        operation = self.operation
        (operand,) = operation.operands
        looked_up = [label for label in operand.labels if label in operation.columns]
        stays = [label for label in operation.output.labels if label in operation.columns]
        if len(operation.columns) != 2 or len(looked_up) != 1 or len(stays) != 1 or looked_up == stays:
            return None
        summed = tuple(
            k for k, label in enumerate(operand.labels) if label not in (*operation.output.labels, *looked_up)
        )
        values = array.astype(self.dtype, copy=False)
        labels = [label for k, label in enumerate(operand.labels) if k not in summed]
        if summed:
            values = values.sum(summed)
        values = np.moveaxis(values, labels.index(looked_up[0]), 0)
        labels.remove(looked_up[0])
        row, column = operation.columns.index(stays[0]), operation.columns.index(looked_up[0])
        matrix = _matrix(tuples, row, column, (self.sizes[stays[0]], len(values)), self.dtype)
        sizes = [self.sizes[label] for label in labels]
        found = np.asarray(matrix @ values.reshape(len(values), math.prod(sizes)))
        found = found.reshape(self.sizes[stays[0]], *sizes)
        order = [stays[0], *labels]
        return np.ascontiguousarray(found.transpose([order.index(label) for label in operation.output.labels]))

    # Any operator, any number of operands ---------------------------------------------------------

    def _in_chunks(self, tuples: Tuples, arrays: Sequence[np.ndarray]) -> np.ndarray:
        operation, dense = self.operation, self._dense
        way = _WAYS[operation.operator]
        stays = [label for label in operation.columns if label in operation.output.labels]
        left = [label for label in dense if label in operation.output.labels]
        rows = math.prod(self.sizes[label] for label in stays)
        shape = (rows, *(self.sizes[label] for label in left))
        found = np.full(shape, _NEUTRAL[operation.operator], self.dtype)
        summed = tuple(1 + k for k, label in enumerate(dense) if label not in left)
        width = max(1, math.prod(self.sizes[label] for label in dense))
        keys = self._keys(tuples, stays)
        order = None if keys is None or bool((keys[1:] >= keys[:-1]).all()) else np.argsort(keys, kind="stable")
        for chunk in _chunks(len(tuples), max(1, _CHUNK // width)):
            places: Any = chunk if order is None else order[chunk]
            columns = {label: column[places] for label, column in zip(operation.columns, tuples.columns, strict=True)}
            count = chunk.stop - chunk.start
            values = self._values(columns, arrays, dense, count)
            values = np.broadcast_to(values, (count, *(self.sizes[label] for label in dense)))
            if summed:
                values = way.reduce(values, axis=summed)
            if keys is None:
                found[0] = way(found[0], way.reduce(values, axis=0))
                continue
            own = keys[places]
            starts = np.flatnonzero(np.concatenate(([True], own[1:] != own[:-1])))
            at = own[starts]
            found[at] = way(found[at], way.reduceat(values, starts, axis=0))
        names = [*stays, *left]
        whole = found.reshape([self.sizes[label] for label in names])
        # NumPy makes a number an array of one element when asked for contiguous memory.
        return np.asarray(whole.transpose([names.index(label) for label in operation.output.labels]), order="C")

    def _keys(self, tuples: Tuples, stays: Sequence[str]) -> np.ndarray | None:
        """Where each tuple's value goes; None when all go to one place."""
        if not stays:
            return None
        keys: np.ndarray | None = None
        for label in stays:
            column = tuples.columns[self.operation.columns.index(label)].astype(np.int64)
            keys = column if keys is None else keys * self.sizes[label] + column
        return keys

    def _values(
        self, columns: Mapping[str, np.ndarray], arrays: Sequence[np.ndarray], dense: Sequence[str], count: int
    ) -> np.ndarray:
        """What each tuple gives: (count, dense labels), of length 1 along those that it does not depend on."""
        values = self._all_values(columns, arrays, dense, count)
        if self.operation.inner:
            return values[-1]
        if not values:
            return np.ones((count, *(1 for _ in dense)), self.dtype)
        result = values[0].astype(self.dtype, copy=False)
        for value in values[1:]:
            result = result * value
        return result

    def _all_values(
        self, columns: Mapping[str, np.ndarray], arrays: Sequence[np.ndarray], dense: Sequence[str], count: int
    ) -> list[np.ndarray]:
        """The operands at each tuple, then what inner operations make of them."""
        values: list[np.ndarray] = []
        for operand, array in zip(self.operation.operands, arrays, strict=True):
            looked_up = [label for label in operand.labels if label in columns]
            rest = [label for label in dense if label in operand.labels]
            aligned = array.transpose([operand.labels.index(label) for label in (*looked_up, *rest)])
            picked = aligned[tuple(columns[label] for label in looked_up)] if looked_up else aligned[None]
            shape = [self.sizes[label] if label in rest else 1 for label in dense]
            values.append(picked.reshape(len(picked), *shape))
        for item in self.operation.inner:
            values.append(self._inner(item, values))
        return values

    def values_at(
        self, rows: np.ndarray, tuples: Tuples, arrays: Sequence[np.ndarray], wanted: InnerValue
    ) -> np.ndarray:
        """The value `wanted` of the tuples in `rows`, where no operand has dense labels: (rows,)."""
        columns = {label: column[rows] for label, column in zip(self.operation.columns, tuples.columns, strict=True)}
        values = self._all_values(columns, arrays, (), len(rows))
        return np.broadcast_to(values[wanted.number], (len(rows),)).astype(self.dtype, copy=False)

    def _inner(self, item: InnerMap, values: Sequence[np.ndarray]) -> np.ndarray:
        row = ELEMENTWISE.get(item.function) or self.registered(item.function)
        arguments: list[Any] = []
        for k, argument in enumerate(item.arguments):
            value: Any = values[argument.number] if isinstance(argument, InnerValue) else self.dtype.type(argument)
            condition = item.function == "where" and k == 0
            if row.takes == "float" and not condition and isinstance(argument, InnerValue):
                value = value.astype(self.dtype, copy=False)
            arguments.append(value)
        if item.function == "to_number":
            return np.asarray(arguments[0]).astype(self.dtype)
        return np.asarray(row.function(*arguments, **dict(item.options)))


def _chunks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _matrix(tuples: Tuples, row: int, column: int, shape: tuple[int, int], dtype: np.dtype) -> Any:
    """Ones where the relation holds, kept with the tuples: a relation is often multiplied more than once."""
    # SciPy is imported where a relation is multiplied: dense programs do not wait for it.
    from scipy.sparse import csr_array

    def make() -> Any:
        places = (tuples.columns[row], tuples.columns[column])
        return csr_array((np.ones(len(tuples), dtype), places), shape=shape)

    return tuples.kept((row, column, shape, dtype.str), make)
