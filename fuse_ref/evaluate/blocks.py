"""A run in blocks: the program on one part of an index after the other, where a whole run would not fit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from fuse_ref.analysis.lengths import Extent, Length, evaluate
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.engine import Array
from fuse_ref.evaluate.memory import check_memory, needed_operations, peak_of
from fuse_ref.ir.operations import CATALOGUE
from fuse_ref.plan.steps import (
    Along,
    Contract,
    DenseOperation,
    Expand,
    Index,
    Map,
    Permute,
    Plan,
    Reduce,
    Write,
)
from fuse_ref.plan.substitution import operands
from fuse_ref.records import dataclass

__all__ = ["Blocks", "Split", "blocks_for", "splits_of"]

# In place of a dimension:
_SUM = -1  # the value is a sum over the index, so blocks are added
_SAME = -2  # it does not depend on the index


@dataclass(frozen=True, slots=True)
class Split:
    """An index whose positions do not need each other."""

    cut: tuple[tuple[str, int], ...]  # given tensors with the dimension that the index has in them
    joined: tuple[tuple[str, int], ...]  # outputs likewise, or what stands for it


@dataclass(frozen=True, slots=True)
class Blocks:
    """How a run is split."""

    split: Split
    size: int  # positions in a block
    count: int  # positions in all

    def parts(self) -> Iterator[slice]:
        for start in range(0, self.count, self.size):
            yield slice(start, min(start + self.size, self.count))

    def of(self, values: Mapping[str, Array], part: slice) -> dict[str, Array]:
        """`values`, those that have the index cut to `part`."""
        dimensions = dict(self.split.cut)
        return {
            name: value[(*(slice(None),) * dimensions[name], part)] if name in dimensions else value
            for name, value in values.items()
        }

    def join(self, name: str, parts: Sequence[Array], concatenate: Callable[[Sequence[Array], int], Array]) -> Array:
        """The output `name` of the whole run from those of its blocks."""
        place = dict(self.split.joined)[name]
        if place >= 0:
            return concatenate(parts, place)
        if place == _SAME:
            return parts[0]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def gathered(self, name: str, total: Array, part: Array) -> Array:
        """`total` with one more block of an output that has not the index; it begins as zeros."""
        return total + part if dict(self.split.joined)[name] == _SUM else part

    def share(self, name: str, whole: Array, part: slice, number: int) -> Array | None:
        """Of the gradient of the output `name` what falls to block `number`; None where nothing does."""
        place = dict(self.split.joined)[name]
        if place >= 0:
            return whole[(*(slice(None),) * place, part)]
        return whole if place == _SUM or number == 0 else None


def splits_of(plan: Plan, outputs: Sequence[str]) -> tuple[Split, ...]:
    """Every index by which the whole plan can be run in parts: batches, rows of queries, terms of a last sum."""
    if plan.streams or any(step.unsupported or step.loop or step.recurrence for step in plan.steps):
        return ()  # a fixpoint settles as a whole, and positions of a recurrence need each other
    starts: dict[tuple[str, int], None] = {}
    for shape in plan.shapes:
        if shape.tensor in plan.givens:
            starts.update(((shape.tensor, k), None) for k, _ in enumerate(shape.lengths))
    found: dict[Split, None] = {}
    for start in starts:
        split = _split(plan, start, outputs)
        if split is not None:
            found[split] = None
    return tuple(found)


def blocks_for(
    plan: Plan,
    splits: Sequence[Split],
    shapes: Mapping[str, tuple[int, ...]],
    outputs: Collection[str],
    config: ExecutionConfig,
) -> Blocks | None:
    """The fewest blocks with which a run stays within `config.memory_limit`; None when it does so whole.

    Raises:
        LimitError: no split is small enough.
    """
    limit = config.memory_limit
    assert limit is not None
    if peak_of(plan, shapes, outputs, config).bytes <= limit:
        return None
    best: Blocks | None = None
    for split in splits:
        name, dimension = split.cut[0]
        count = shapes[name][dimension]
        size = count
        while size > 1:
            size = (size + 1) // 2
            if _fits(plan, split, size, shapes, outputs, config, limit):
                blocks = Blocks(split, size, count)
                if best is None or count * best.size < best.count * size:
                    best = blocks
                break
    if best is None:
        check_memory(plan, shapes, outputs, config)
    return best


def _fits(
    plan: Plan,
    split: Split,
    size: int,
    shapes: Mapping[str, tuple[int, ...]],
    outputs: Collection[str],
    config: ExecutionConfig,
    limit: int,
) -> bool:
    cut = dict(split.cut)
    part = {
        name: tuple(size if k == cut.get(name) else extent for k, extent in enumerate(shape))
        for name, shape in shapes.items()
    }
    whole, block = (peak_of(plan, item, outputs, config) for item in (shapes, part))
    # Beside a block there are all inputs and, while they are put together, all results twice.
    return block.bytes - block.given + whole.given + 2 * whole.results <= limit


# Which index --------------------------------------------------------------------------------------


def _split(plan: Plan, start: tuple[str, int], outputs: Sequence[str]) -> Split | None:
    """The split that cuts `start`, with whatever else must be cut along."""
    cut: dict[str, int] = {start[0]: start[1]}
    while True:
        walked = _walk(plan, cut, outputs)
        if walked is None:
            return None
        places, more = walked
        if not more:
            break
        for name, dimension in more.items():
            if cut.setdefault(name, dimension) != dimension:
                return None
    joined = tuple((name, places.get(name, _SAME)) for name in outputs)
    return None if all(place == _SAME for _, place in joined) else Split(tuple(sorted(cut.items())), joined)


def _depends(length: Length, cut: Mapping[str, int]) -> bool:
    """Whether a length changes with the number of positions."""
    few, many = (
        evaluate(length, lambda tensor, k, n=n: n if cut.get(tensor) == k else 5)  # type: ignore[misc]
        for n in (10_007, 20_011)
    )
    return few != many


def _walk(plan: Plan, cut: Mapping[str, int], outputs: Sequence[str]) -> tuple[dict[str, int], dict[str, int]] | None:
    """Where each value has the index, and givens that must be cut too; None where positions need each other."""
    places = dict(cut)
    more: dict[str, int] = {}
    for operation in needed_operations(plan, outputs):
        found = _place(plan, operation, places, more)
        if found is None:
            return None
        place = found[0] if found else _SAME
        for k, length in enumerate(operation.output.lengths):
            if k == place and isinstance(length, Extent):
                if cut.get(length.tensor) != length.position:
                    more[length.tensor] = length.position
            elif k == place or _depends(length, cut):
                return None
        indices = operation.indices if isinstance(operation, (Index, Write)) else ()
        if any(_depends(index.offset, cut) for index in indices):
            return None
        if found:
            places[operation.output.out] = place
    return places, more


def _place(
    plan: Plan, operation: DenseOperation, places: Mapping[str, int], more: dict[str, int]
) -> tuple[int, ...] | None:
    """The dimension of the output that has the index, () where none has; None where it cannot be cut."""
    read = operands(operation)
    touched = {item.value for item in read if item.value in places}
    source = getattr(operation, "source", None)
    if source in places or any(places[name] == _SUM for name in touched):
        return None
    labels = {item.labels[places[item.value]] for item in read if item.value in places}
    if not labels:
        return ()
    if len(labels) > 1:
        return None
    (label,) = labels
    for item in read:
        if label in item.labels and places.get(item.value) != item.labels.index(label):
            if item.value in places or item.value not in plan.givens:
                return None
            more[item.value] = item.labels.index(label)
    output = operation.output.labels
    match operation:
        case Map() | Permute() | Contract() | Reduce() | Expand() if label in output:
            return (output.index(label),)
        case Along() if label in output and label != operation.axis:
            return (
                (output.index(label),) if CATALOGUE[operation.function].kind in ("along_axis", "reduce_axis") else None
            )
        case Contract():
            return (_SUM,)
        case Reduce(_, "sum", _):
            return (_SUM,)
        case _:
            return None
