"""One look at all equations: the range of every variable, and what it makes the lengths of tensors.

`settle` looks again and again until nothing changes; what is not known yet counts as infinite, so that a
recurrence takes its length from whatever bounds it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

from fuse_ref.language import syntax_tree as tree
from tests.support.oracle.axes import Axes, Node, all_definitions, bare_variables, statement_reads
from tests.support.oracle.errors import OracleAxisError
from tests.support.oracle.program import Definition, Loaded, walk
from tests.support.oracle.references import (
    Affine,
    FromEnd,
    Gather,
    Index,
    Quotient,
    Read,
    SliceIndex,
    Symbol,
    index_variables,
)
from tests.support.oracle.shaped import made_sizes

__all__ = ["UNKNOWN", "Solver", "literal_shape", "slice_start"]

UNKNOWN = math.inf


def slice_start(index: SliceIndex, size: float) -> float:
    start = 0 if index.start is None else index.start
    return start + size if start < 0 else start


def _slice_stop(index: SliceIndex, size: float) -> float:
    stop = size if index.stop is None else index.stop
    return stop + size if stop < 0 else stop


def literal_shape(body: tree.Expression) -> tuple[int, ...]:
    if not isinstance(body, tree.Array):
        return ()
    shapes = {literal_shape(item) for item in body.items}
    if len(shapes) > 1:
        raise OracleAxisError("rows of a literal differ in length")
    return (len(body.items), *(shapes.pop() if shapes else ()))


class Solver:
    """Lengths and ranges; of `spare` tensors only that they size axes which nothing else does."""

    def __init__(
        self,
        loaded: Loaded,
        axes: Axes,
        given: Mapping[str, tuple[int, ...]],
        sizes: Mapping[str, int],
        spare: frozenset[str] = frozenset(),
    ):
        self.spare = spare
        self.loaded = loaded
        self.axes = axes
        self.given = given
        self.sizes = sizes
        self.definitions = all_definitions(loaded)
        self.declared: dict[Node, int] = {}
        for root, letters in axes.letters.items():
            known = {sizes[letter] for letter in letters if letter in sizes}
            if len(known) > 1:
                raise OracleAxisError(f"two declared sizes on one axis: {known}")
            if known:
                self.declared[root] = known.pop()
        self.fixed = self._fixed()
        self._equations = Counter(item.target.tensor for item in self.definitions)
        self.lengths: dict[tuple[str, int], float] = {}
        self.ranges: dict[tuple[int, str], float] = {}
        self.least: dict[Node, int] = {}  # what facts and constants on left-hand sides need
        self.proposals: dict[Node, dict[str, float]] = {}  # lengths that computed tensors would give an axis
        self.decided: set[tuple[int, str]] = set()  # variables whose range reads decide
        self.never_fits: set[tuple[int, str]] = set()
        self.step_caps: dict[Node, int] = {}  # steps that nothing else bounds
        self.length_caps: dict[tuple[str, int], int] = {}

    def _fixed(self) -> dict[Node, int]:
        """Lengths of axes that are not stepped and are declared, given or written out."""
        fixed = {r: (size, "its declaration") for r, size in self.declared.items() if r not in self.axes.stepped}

        def fix(tensor: str, shape: tuple[int, ...]) -> None:
            for place, size in enumerate(shape):
                root = self.axes.of(tensor, place)
                if root not in self.axes.stepped:
                    known = fixed.setdefault(root, (size, tensor))
                    if known[0] != size:
                        letters = sorted(self.axes.letters.get(root, ()))
                        raise OracleAxisError(f"axis {letters} is {known[0]} in {known[1]} but {size} in {tensor}")

        for tensor, shape in self.given.items():
            if tensor not in self.spare:
                fix(tensor, shape)
        for item in self.definitions:
            if item.kind == "literal":
                shape = literal_shape(item.body)
                if len(shape) != len(item.target.indices):
                    raise OracleAxisError(f"a literal of {len(shape)} axes for {item.target.tensor}")
                fix(item.target.tensor, shape)
        for tensor in self.spare & self.given.keys():
            for place, size in enumerate(self.given[tensor]):
                root = self.axes.of(tensor, place)
                if root not in self.axes.stepped:
                    fixed.setdefault(root, (size, tensor))
        return {root: size for root, (size, _) in fixed.items()}

    def length(self, tensor: str, place: int) -> float:
        return self.lengths.get((tensor, place), UNKNOWN)

    def settle(self, start: Mapping[tuple[str, int], float]) -> None:
        self.lengths = dict(start)
        for _ in range(5000):
            self.never_fits.clear()
            if not self.sweep():
                return
        raise OracleAxisError("sizes do not settle: a recurrence without a length")

    # One sweep ----------------------------------------------------------------------------------

    def sweep(self) -> bool:
        before, self.proposals = dict(self.lengths), {}
        extents: dict[tuple[str, int], float] = {}
        for item in self.definitions:
            ranges = self.ranges_of(item)
            self.ranges.update({(item.number, name): size for name, size in ranges.items()})
            if item.kind == "sink":
                continue
            for place, index in enumerate(item.target.indices):
                if isinstance(index, Gather):
                    continue  # where it writes says nothing of how long the axis is
                key = (item.target.tensor, place)
                extent = self.extent(index, ranges, key)
                extents[key] = max(extents.get(key, 0), extent)
                root = self.axes.of(*key)
                if not index_variables(index):
                    self.least[root] = max(self.least.get(root, 0), int(extent))
                elif not isinstance(index, Affine) or index.plain is None or (item.number, index.plain) in self.decided:
                    # The equations of one tensor give it the length of the longest.
                    own = self.proposals.setdefault(root, {})
                    own[key[0]] = max(own.get(key[0], 0), extent)
        for tensor, rank in self.loaded.ranks.items():
            for place in range(rank):
                self.lengths[tensor, place] = self._length_now(tensor, place, extents)
        return self.lengths != before

    def _length_now(self, tensor: str, place: int, extents: Mapping[tuple[str, int], float]) -> float:
        root = self.axes.of(tensor, place)
        if tensor in self.given:
            return self.given[tensor][place]
        if root in self.fixed:
            return self.fixed[root]
        if root in self.axes.stepped:
            own = self.declared.get(root, extents.get((tensor, place), UNKNOWN))
            return min(own, self.length_caps.get((tensor, place), UNKNOWN))
        least = max(self.least.get(root, 0), len(self.axes.symbols.get(root, {})))
        proposals = self.proposals.get(root, {}).values()
        return max(least, *proposals) if proposals else least or UNKNOWN

    # Ranges -------------------------------------------------------------------------------------

    def ranges_of(self, item: Definition) -> dict[str, float]:
        if item.kind in ("literal", "source"):
            shape = literal_shape(item.body) if item.kind == "literal" else self.given[item.target.tensor]
            return {item.target.variables()[place]: size for place, size in enumerate(shape)}
        reads = statement_reads(self.loaded, item)
        names = dict.fromkeys([*item.target.variables(), *(name for read in reads for name in read.variables())])
        names |= dict.fromkeys(bare_variables(self.loaded, item.body))
        for part in walk(item.body):
            if isinstance(part, tree.Projection):
                names |= dict.fromkeys(part.variables)
        result: dict[str, float] = {}
        for name in names:
            root = self.axes.find(("variable", item.number, name))
            if name.startswith(":"):
                result[name] = self._slice_length(item, reads, name)
            elif root in self.fixed:
                result[name] = self.fixed[root]
            elif self._declared_alone(reads, item, name, root):
                result[name] = self.sizes[name.rstrip("'")]
            elif root not in self.axes.stepped:
                alone = [self.length(*key) for key in self._read_alone(reads, root)]
                if alone:
                    result[name] = min(alone)
        pending = [name for name in names if name not in result]
        while pending:
            # What concat flattens comes before the index that concat makes.
            flattened = [name for name in pending if "@" in name]
            ready = [name for name in flattened or pending if self._others(reads, name) <= result.keys()]
            if not ready:
                raise OracleAxisError(f"{pending} in statement {item.number} limit each other")
            result |= {name: self._range(item, reads, name, result) for name in ready}
            pending = [name for name in pending if name not in ready]
        return result

    def _declared_alone(self, reads: list[Read], item: Definition, name: str, root: Node) -> bool:
        """A declared letter that is at no place by itself and moves along no stepped axis."""
        if name.rstrip("'") not in self.sizes or "@" in name:
            return False
        for read in (*reads, item.target):
            for place, index in enumerate(read.indices):
                if self.axes.of(read.tensor, place) == root:
                    return False
                if name in index_variables(index) and self.axes.of(read.tensor, place) in self.axes.stepped:
                    return False
        return True

    def _read_alone(self, reads: list[Read], root: Node) -> Iterator[tuple[str, int]]:
        for read in reads:
            for place, index in enumerate(read.indices):
                if isinstance(index, Affine) and index.plain is not None and self.axes.of(read.tensor, place) == root:
                    yield read.tensor, place

    def _limiting(self, reads: list[Read], name: str) -> Iterator[tuple[Affine | Quotient, float]]:
        for read in reads:
            for place, index in enumerate(read.indices):
                if isinstance(index, (Affine, Quotient)) and name in index_variables(index):
                    yield index, self.length(read.tensor, place)

    def _others(self, reads: list[Read], name: str) -> set[str]:
        """Variables whose ranges must be known first: those that move an index the same way as `name` does."""
        needed: set[str] = set()
        for index, _ in self._limiting(reads, name):
            terms = (index.numerator if isinstance(index, Quotient) else index).terms
            needed |= {other for other, factor in terms if factor * dict(terms)[name] > 0}
        return needed - {name}

    def _range(self, item: Definition, reads: list[Read], name: str, known: Mapping[str, float]) -> float:
        limits = list(made_sizes(self.loaded, item, name, known))
        for index, size in self._limiting(reads, name):
            limit = _limit(index, size, name, known)
            if limit <= 0 < size:
                self.never_fits.add((item.number, name))
            limits.append(max(limit, 0))
        root = self.axes.find(("variable", item.number, name))
        written = [
            index.offset for index in item.target.indices if isinstance(index, Affine) and index.terms == ((name, 1),)
        ]
        if root in self.axes.stepped and root in self.declared and 0 in written:
            limits.append(self.declared[root])  # what lies past the declared length would be dropped
        if root in self.step_caps and written and written[0] > 0:
            # An equation that writes at *t+2 takes one step less than there are states after the first.
            limits.append(self.step_caps[root] + (1 - written[0] if item.target.virtual is not None else 0))
        if limits and min(limits) != UNKNOWN:
            if root not in self.axes.stepped:
                self.decided.add((item.number, name))
            return min(limits)
        if root in self.declared:
            return self.declared[root]
        if limits:
            if root not in self.axes.stepped:
                self.decided.add((item.number, name))
            return UNKNOWN
        # Nothing in the equation bounds it. Along a stepped axis the shortest given tensor does: what is computed
        # there may itself take its length from this range.
        given = self._given_on(root)
        if root in self.axes.stepped and given:
            return min(given)
        # Else its axis has a length from elsewhere, or none. A tensor that only this equation writes is no such place.
        alone = {item.target.tensor} if self._equations[item.target.tensor] == 1 else set()
        places = ((t, k) for t, k in self.lengths if self.axes.of(t, k) == root and t not in alone)
        return min((self.length(*key) for key in places), default=self.sizes.get(name.rstrip("'"), UNKNOWN))

    def _given_on(self, root: Node) -> list[int]:
        """Lengths along an axis of given tensors and literals."""
        shapes = [*self.given.items()]
        shapes += [
            (item.target.tensor, literal_shape(item.body)) for item in self.definitions if item.kind == "literal"
        ]
        return [n for tensor, shape in shapes for k, n in enumerate(shape) if self.axes.of(tensor, k) == root]

    def _slice_length(self, item: Definition, reads: list[Read], name: str) -> float:
        sizes = set()
        for read in [*reads, item.target]:
            for place, index in enumerate(read.indices):
                if isinstance(index, SliceIndex) and index.variable == name:
                    size = self.length(read.tensor, place)
                    start, stop = slice_start(index, size), _slice_stop(index, size)
                    if read is not item.target and (stop > size or start < 0):
                        raise OracleAxisError(f"slice {index.start}:{index.stop} reaches beyond {read.tensor}")
                    if stop != UNKNOWN:
                        sizes.add(max(0, math.ceil((stop - start) / index.step)))
        if len(sizes) > 1:
            raise OracleAxisError(f"slices of one equation have the lengths {sorted(sizes)}")
        return sizes.pop() if sizes else UNKNOWN

    def extent(self, index: Index, ranges: Mapping[str, float], key: tuple[str, int]) -> float:
        """Least length that holds every position which this index of a left-hand side writes."""
        match index:
            case Affine(terms, offset):
                if any(ranges[name] <= 0 for name, _ in terms):
                    return 0
                return offset + sum(c * (ranges[name] - 1) for name, c in terms if c > 0) + 1
            case Quotient(numerator, divisor):
                last = self.extent(numerator, ranges, key) - 1
                return last if last == UNKNOWN else last // divisor + 1
            case Symbol(name):
                return self.axes.symbols[self.axes.of(*key)][name] + 1
            case FromEnd(distance):
                return distance
            case SliceIndex(variable, start, stop, step):
                if stop is not None and stop >= 0:
                    return stop
                return (start or 0) + (ranges[variable] - 1) * step + 1
            case _:
                return 0


def _limit(index: Affine | Quotient, size: float, name: str, known: Mapping[str, float]) -> float:
    """How far `name` may run from 0 so that the index stays within `size` positions; may be negative."""
    if isinstance(index, Quotient):
        index, size = index.numerator, size * index.divisor
    factor = dict(index.terms)[name]
    others = [(known.get(other, 1), c) for other, c in index.terms if other != name]
    if UNKNOWN in [size, *(r for r, _ in others)]:
        return UNKNOWN
    highest = index.offset + sum(c * max(r - 1, 0) for r, c in others if c > 0)
    lowest = index.offset + sum(c * max(r - 1, 0) for r, c in others if c < 0)
    if factor > 0:
        return (size - 1 - highest) // factor + 1
    # Position 0 is the limit; other variables may reach past the end, which reads 0. A constant may not.
    return 0 if not others and highest > size - 1 else lowest // -factor + 1
