"""Cycles of `max=` and `min=` over relations: only what changed is looked at again (semi-naive).

A single cycle `D[y] min= Edge(x, y), D[x] + W` whose steps are never negative is Dijkstra's algorithm instead
(E. W. Dijkstra: A note on two problems in connexion with graphs, 1959), as `scipy.sparse.csgraph` has it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import numpy as np

from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import DivergenceError, LimitError
from fuse_ref.evaluate.aggregate import Combine
from fuse_ref.mistakes import mistake
from fuse_ref.plan.operations import Aggregate, InnerValue
from fuse_ref.plan.steps import Step
from fuse_ref.records import dataclass
from fuse_ref.relations.tuples import Tuples

__all__ = ["Relaxing"]


@dataclass(frozen=True, slots=True)
class Relaxing:
    """One step for one set of sizes."""

    step: Step
    combines: tuple[Combine, ...]  # one for each relaxation
    targets: tuple[str, ...]  # the tensor that each changes

    def run(
        self, values: Mapping[str, np.ndarray], relations: Mapping[str, Tuples], config: ExecutionConfig
    ) -> tuple[dict[str, np.ndarray], int, str]:
        """The least (or greatest) values, in how many rounds, and how.

        Args:
            values: what the relaxations read besides the group, and of each tensor of it the elements that
                base cases give, under its own name.

        Raises:
            DivergenceError: elements still change after `max_iters` rounds.
            LimitError: they do so after `time_limit`.
        """
        found = self._shortest_paths(values, relations)
        if found is not None:
            return found, 1, "shortest paths (Dijkstra)"
        state = {name: values[name].copy() for name in self.step.writes}
        group = [_Relation.of(combine, relations[combine.operation.relation], state) for combine in self.combines]
        changed = {name: np.flatnonzero(np.isfinite(array) | np.isnan(array)) for name, array in state.items()}
        history: list[float] = []
        rounds = 0
        start = time.monotonic()
        while any(len(places) for places in changed.values()):
            if rounds >= config.max_iters:
                if config.on_divergence == "last":
                    break
                raise self._diverges(config, history)
            spent = time.monotonic() - start
            if config.time_limit is not None and spent > config.time_limit:
                names = " and ".join(self.step.writes)
                late = mistake("FUSE265", self.step.span, name=names, spent=spent, limit=config.time_limit)
                assert isinstance(late, LimitError)
                late.partial = state
                raise late
            rounds += 1
            touched: dict[str, list[np.ndarray]] = {name: [] for name in state}
            residual = 0.0
            for item, target in zip(group, self.targets, strict=True):
                rows = item.touched(changed)
                if len(rows):
                    places, step = item.improve(rows, {**values, **state}, state[target], config.tol)
                    touched[target].append(places)
                    residual = max(residual, step)
            history.append(residual)
            changed = {name: _union(places) for name, places in touched.items()}
        return state, rounds, "semi-naive over the tuples"

    def _diverges(self, config: ExecutionConfig, history: Sequence[float]) -> Exception:
        names = " and ".join(self.step.writes)
        last = ", ".join(f"{value:.3g}" for value in history[-3:])
        error = mistake("FUSE268", self.step.span, name=names, rounds=config.max_iters, history=last)
        assert isinstance(error, DivergenceError)
        error.residuals = tuple(history)
        return error

    # Shortest paths -------------------------------------------------------------------------------

    def _shortest_paths(
        self, values: Mapping[str, np.ndarray], relations: Mapping[str, Tuples]
    ) -> dict[str, np.ndarray] | None:
        """The result where the step is a single source (or several) shortest path problem without negative steps."""
        if len(self.combines) != 1:
            return None
        (combine,) = self.combines
        operation = combine.operation
        (name,) = self.step.writes
        start = values[name]
        if operation.operator != "min" or len(operation.columns) != 2 or start.ndim != 1 or np.isnan(start).any():
            return None
        if not any(operand.value == name for operand in operation.operands):
            return None
        ahead = [label for label in operation.columns if label not in operation.output.labels]
        own = next(k for k, operand in enumerate(operation.operands) if operand.value == name)
        if operation.operands[own].labels != tuple(ahead) or operation.output.labels == tuple(ahead):
            return None
        lengths = self._step_lengths(combine, own, values, relations[operation.relation])
        if lengths is None or not (lengths >= 0).all() or not np.isfinite(lengths).all():
            return None
        # SciPy is imported where graphs are searched: dense programs do not wait for it.
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import dijkstra

        known = np.flatnonzero(np.isfinite(start))
        if not len(known):
            return {name: start.copy()}
        if np.isneginf(start).any():
            return None
        tuples = relations[operation.relation]
        sources, targets = (
            tuples.columns[operation.columns.index(label)] for label in (ahead[0], *operation.output.labels)
        )
        n = len(start)
        least = start[known].min()
        # One more node leads to where paths begin, as far as each begins behind the least.
        rows = np.concatenate([sources, np.full(len(known), n, np.int64)])
        columns = np.concatenate([targets, known])
        data = np.concatenate([lengths.astype(np.float64), (start[known] - least).astype(np.float64)])
        matrix = csr_array((data, (rows, columns)), shape=(n + 1, n + 1))
        found = dijkstra(matrix, indices=n)[:n] + float(least)
        return {name: np.minimum(found.astype(start.dtype), start)}

    def _step_lengths(
        self, combine: Combine, own: int, values: Mapping[str, np.ndarray], tuples: Tuples
    ) -> np.ndarray | None:
        """What each tuple adds to the element it starts from; None where it does anything else."""
        operation = combine.operation
        if not operation.inner:
            return np.zeros(len(tuples), combine.dtype) if len(operation.operands) == 1 else None
        last = operation.inner[-1]
        others = [a for a in last.arguments if a != InnerValue(own)]
        if last.function != "add" or len(others) != 1:
            return None
        if any(InnerValue(own) in item.arguments for item in operation.inner[:-1]):
            return None
        (other,) = others
        rows = np.arange(len(tuples))
        if not isinstance(other, InnerValue):
            return np.full(len(tuples), other, combine.dtype)
        arrays = [values[operand.value] for operand in operation.operands]
        return combine.values_at(rows, tuples, arrays, other)


def _union(parts: Sequence[np.ndarray]) -> np.ndarray:
    if not parts:
        return np.empty(0, np.int64)
    return parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))


@dataclass(frozen=True, slots=True)
class _Relation:
    """A relaxation with its tuples, found by the elements of the group that they read."""

    combine: Combine
    tuples: Tuples
    # For each operand of the group: its name, which tuples read each element (as in CSR), and these tuples.
    readers: tuple[tuple[str, np.ndarray, np.ndarray], ...]

    @classmethod
    def of(cls, combine: Combine, tuples: Tuples, state: Mapping[str, np.ndarray]) -> _Relation:
        operation = combine.operation
        readers = []
        for operand in operation.operands:
            if operand.value in state:
                keys = _flat(operation, operand.labels, tuples, state[operand.value].shape)
                order = np.argsort(keys, kind="stable")
                starts = np.searchsorted(keys[order], np.arange(state[operand.value].size + 1))
                readers.append((operand.value, starts, order))
        return cls(combine, tuples, tuple(readers))

    def touched(self, changed: Mapping[str, np.ndarray]) -> np.ndarray:
        """The tuples that read an element that changed."""
        parts = []
        for name, starts, order in self.readers:
            places = changed[name]
            counts = starts[places + 1] - starts[places]
            total = int(counts.sum())
            if total:
                first = np.repeat(starts[places] - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
                parts.append(order[first + np.arange(total)])
        return _union(parts)

    def improve(
        self, rows: np.ndarray, values: Mapping[str, np.ndarray], target: np.ndarray, tol: float
    ) -> tuple[np.ndarray, float]:
        """Takes over what is better in place; the elements that changed, and by how much at most."""
        operation = self.combine.operation
        arrays = [values[operand.value] for operand in operation.operands]
        last = InnerValue(len(operation.operands) + len(operation.inner) - 1)
        found = self.combine.values_at(rows, self.tuples, arrays, last)
        keys = _flat(operation, operation.output.labels, self.tuples, target.shape, rows)
        order = np.argsort(keys, kind="stable")
        keys, found = keys[order], found[order]
        starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
        way = np.minimum if operation.operator == "min" else np.maximum
        places, best = keys[starts], way.reduceat(found, starts)
        flat = target.reshape(-1)
        old = flat[places]
        new = way(old, best)
        with np.errstate(invalid="ignore"):
            step = np.abs(new - old)
            changes = (new != old) & ~(np.isnan(new) & np.isnan(old)) & ~(step <= tol * np.maximum(1, np.abs(new)))
        flat[places] = new
        finite = step[changes & np.isfinite(step)]
        return places[changes], float(finite.max()) if len(finite) else math.inf if changes.any() else 0.0


def _flat(
    operation: Aggregate,
    labels: Sequence[str],
    tuples: Tuples,
    shape: tuple[int, ...],
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """Where in an array of `shape` each tuple's element lies, counted in C order."""
    count = len(tuples) if rows is None else len(rows)
    keys = np.zeros(count, np.int64)
    for label, size in zip(labels, shape, strict=True):
        column = tuples.columns[operation.columns.index(label)]
        keys = keys * size + (column if rows is None else column[rows])
    return keys
