"""The whole program: equations in an order that their dependencies allow, cycles by plain iteration."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fuse_ref.language import syntax_tree as tree
from tests.support.oracle.axes import find_axes, statement_reads
from tests.support.oracle.elements import Elements, Env, Values, combined, is_truth, truth_of
from tests.support.oracle.errors import OracleError
from tests.support.oracle.functions import LEAVES, divide
from tests.support.oracle.lengths import Lengths, find_lengths
from tests.support.oracle.load import load
from tests.support.oracle.needed import needed_part
from tests.support.oracle.program import Definition, Loaded, children, free_variables
from tests.support.oracle.references import Affine, Gather, Quotient, Read, index_variables

__all__ = ["OracleResult", "run"]

NEUTRAL = {"=": 0.0, "avg=": 0.0, "max=": -math.inf, "min=": math.inf, "prod=": 1.0}
PROJECTOR = {"=": "sum", "avg=": "avg", "max=": "max", "min=": "min", "prod=": "prod"}


@dataclass(frozen=True)
class OracleResult:
    exports: dict[str, np.ndarray]  # in text order; float64 or bool
    tensors: dict[str, np.ndarray]  # every tensor, streams with all their positions
    sinks: dict[str, np.ndarray]  # path -> what would be written
    answers: tuple[list[tuple[Any, ...]], ...]  # rows of every query; of a numeric one the value comes last


# One equation -----------------------------------------------------------------------------------


def _filters(
    loaded: Loaded, expression: tree.Expression
) -> tuple[list[tree.Expression], list[tuple[str, tree.Expression]]]:
    """Filters and the other factors of a right-hand side that is projected once, last."""
    match expression:
        case tree.And(operands):
            parts = [_filters(loaded, operand) for operand in operands]
        case tree.Product(factors):
            parts = [_filters(loaded, f) if op == "*" else ([], [(op, f)]) for op, f in factors]
        case _:
            if is_truth(loaded, expression) and not isinstance(expression, tree.Projection):
                return [expression], []
            return [], [("*", expression)]
    return [f for filters, _ in parts for f in filters], [r for _, rest in parts for r in rest]


def _combination_reads(
    loaded: Loaded, expression: tree.Expression, own: frozenset[str] = frozenset()
) -> Iterator[tuple[Read, frozenset[str]]]:
    """Reads of a combination, each with the axes of the functions around it that leave.

    Not those under an inner explicit projection.
    """
    match expression:
        case tree.Projection():
            return
        case tree.Application(name, _, keywords) if name in LEAVES or name == "cross_entropy":
            own |= {value.name for key, value in keywords if key == "axis" and isinstance(value, tree.Name)}
    read = loaded.read(expression)
    if read is not None:
        yield from ((each, own) for each in read.all_reads())
        return
    for child in children(expression):
        yield from _combination_reads(loaded, child, own)


class _Equation:
    """One definition, ready to say what it contributes to which position."""

    def __init__(self, loaded: Loaded, lengths: Lengths, values: Values, item: Definition, folder: Path) -> None:
        self.item = item
        self.loaded = loaded
        self.shape = lengths.shapes.get(item.target.tensor, ())
        self.boolean = loaded.boolean.get(item.target.tensor, False)
        self.elements = Elements(loaded, lengths, values, item)
        self.folder = folder
        self.places = [self.elements.position(item.target, place) for place in range(len(item.target.indices))]
        if item.kind in ("equation", "fact", "sink"):
            self._prepare()

    def _prepare(self) -> None:
        body, loaded = self.item.body, self.loaded
        free = list(dict.fromkeys(free_variables(loaded, body)))
        self.variables = list(self.item.target.variables())
        missing = [name for name in free if name not in self.variables]
        self.inside: list[Callable[[Env], bool]] = []
        if self.item.operator == "=":
            if self.boolean:
                self.variables += missing  # a rule is true where any combination makes its body true
            elif missing:
                raise OracleError(f"{missing} in statement {self.item.number} are projected by nothing that is written")
            if self.boolean:
                truth = self.elements.truth(body)
                self.value = lambda env: float(truth(env))
            elif isinstance(body, tree.And):
                # In an equation for numbers a conjunction counts: truth values times numbers.
                parts = [("*", self.elements.value(operand)) for operand in body.operands]
                self.value = self.elements._product(parts)
            else:
                self.value = self.elements.value(body)
            return
        self.variables += missing
        filters, rest = _filters(loaded, body)
        self.inside += [self.elements.truth(item) for item in filters]
        for read, own in _combination_reads(loaded, body):
            for place, index in enumerate(read.indices):
                computed = isinstance(index, (Quotient, Gather))
                offset_read = computed or (isinstance(index, Affine) and index.plain is None)
                # An axis that a function works along and that leaves is none of the combination's, whatever
                # the left-hand side calls its own.
                if offset_read and set(index_variables(index)) <= set(self.variables) - own:
                    self.inside.append(self._within(read, place))
        self.value = self.elements._product([(operator, self.elements.value(factor)) for operator, factor in rest])

    def _within(self, read: Read, place: int) -> Callable[[Env], bool]:
        position = self.elements.position(read, place)
        size = self.elements.lengths.shapes[read.tensor][place]
        return lambda env: 0 <= position(env) < size

    def contributions(self) -> Iterator[tuple[tuple[int, ...], float]]:
        self.elements.forget()
        for position, value in self._all():
            # What is written past the end is dropped.
            if self.item.kind == "sink" or all(0 <= p < n for p, n in zip(position, self.shape, strict=True)):
                yield position, value

    def _all(self) -> Iterator[tuple[tuple[int, ...], float]]:
        item = self.item
        if item.kind == "literal":
            for position, number in _literal_items(self.loaded, item.body):
                env = dict(zip(item.target.variables(), position, strict=True))
                yield tuple(place(env) for place in self.places), number
            return
        if item.kind == "source":
            assert isinstance(item.body, tree.String)
            yield from _items(source_array(self.folder / item.body.value))
            return
        for env in self.elements.environments({}, self.variables):
            if all(holds(env) for holds in self.inside):
                yield tuple(place(env) for place in self.places), self.value(env)


def _literal_items(loaded: Loaded, body: tree.Expression) -> Iterator[tuple[tuple[int, ...], float]]:
    if isinstance(body, tree.Array):
        for place, item in enumerate(body.items):
            for position, number in _literal_items(loaded, item):
                yield (place, *position), number
        return
    number = loaded.number(body)
    if number is None:
        raise OracleError(f"not a number in a literal: {body}")
    yield (), float(number)


def source_array(path: Path) -> np.ndarray:
    """A source's content: an array, or (position, token) truth values of a text, tokens in order of appearance."""
    if path.suffix == ".txt":
        words = path.read_text(encoding="utf-8").split()
        tokens = list(dict.fromkeys(words))
        return np.asarray([[word == token for token in tokens] for word in words], dtype=bool)
    if path.suffix != ".npy":
        raise OracleError(f"the oracle reads .npy and .txt, not {path.name}")
    return np.load(path, allow_pickle=False)


def _items(array: np.ndarray) -> Iterator[tuple[tuple[int, ...], float]]:
    for position in np.ndindex(array.shape):
        yield tuple(position), float(array[position])


# All equations of one tensor, all tensors of one group -------------------------------------------


class _Program:
    def __init__(self, loaded: Loaded, lengths: Lengths, values: Values, folder: Path) -> None:
        self.loaded = loaded
        self.lengths = lengths
        self.values = values
        self.initial: Values = {}  # states that a call gives to streams
        self.equations: dict[str, list[_Equation]] = {name: [] for name in loaded.computed()}
        for item in loaded.definitions:
            operator = loaded.operators[item.target.tensor]
            if item.kind == "equation" and item.operator != operator:
                raise OracleError(f"{item.target.tensor} has two operators")
            self.equations[item.target.tensor].append(_Equation(loaded, lengths, values, item, folder))

    def neutral(self, tensor: str) -> dict[tuple[int, ...], float]:
        value = NEUTRAL[self.loaded.operators[tensor]]
        shape = self.lengths.shapes[tensor]
        return dict.fromkeys(itertools.product(*(range(size) for size in shape)), value)

    def evaluated(self, tensor: str) -> dict[tuple[int, ...], float]:
        operator = self.loaded.operators[tensor]
        gathered: dict[tuple[int, ...], list[float]] = {}
        for position, value in self.initial.get(tensor, {}).items():
            gathered.setdefault(position, []).append(value)
        for equation in self.equations[tensor]:
            for position, value in equation.contributions():
                gathered.setdefault(position, []).append(value)
        result = self.neutral(tensor)
        for position, values in gathered.items():
            if self.loaded.boolean[tensor]:
                result[position] = float(any(truth_of(value) for value in values))
            else:
                result[position] = combined(PROJECTOR[operator], iter(values))
        return result

    def groups(self) -> list[list[str]]:
        """Tensors that need each other, in an order in which what is needed comes first."""
        needs: dict[str, set[str]] = {}
        for tensor, equations in self.equations.items():
            reads = [read for equation in equations for read in statement_reads(self.loaded, equation.item)]
            needs[tensor] = {read.tensor for read in reads if read.tensor in self.equations}
        reach = {tensor: set(direct) for tensor, direct in needs.items()}
        for middle in reach:
            for tensor in reach:
                if middle in reach[tensor]:
                    reach[tensor] |= reach[middle]
        groups: list[list[str]] = []
        # A tensor that is in no cycle reaches as many as the cycle it reads, which reaches itself.
        for tensor in sorted(reach, key=lambda name: len(reach[name] | {name})):
            if not any(tensor in group for group in groups):
                groups.append([tensor, *(o for o in reach[tensor] if o != tensor and tensor in reach[o])])
        self.cyclic = {tensor for tensor in reach if tensor in reach[tensor]}
        return groups

    def run(self, tolerance: float, max_iterations: int) -> None:
        for group in self.groups():
            if not any(tensor in self.cyclic for tensor in group):
                self.values[group[0]] = self.evaluated(group[0])
            else:
                self.iterate(group, tolerance, max_iterations)

    def iterate(self, group: list[str], tolerance: float, max_iterations: int) -> None:
        """Everything at once, again and again, from the neutral element until nothing changes."""
        for tensor in group:
            self.values[tensor] = self.neutral(tensor)
        elements = sum(len(self.values[tensor]) for tensor in group)
        for iteration in range(max_iterations):
            new = {tensor: self.evaluated(tensor) for tensor in group}
            change = max(
                (_change(self.values[tensor][p], value) for tensor in group for p, value in new[tensor].items()),
                default=0.0,
            )
            self.values.update(new)
            # A recurrence stands still exactly; only a numeric fixpoint may end within the tolerance.
            if change == 0.0 or (iteration > elements and change <= tolerance):
                return
        raise OracleError(f"{group} did not converge in {max_iterations} iterations")


def _change(old: float, new: float) -> float:
    if old == new or (math.isnan(old) and math.isnan(new)):
        return 0.0
    if not math.isfinite(old) or not math.isfinite(new):
        return math.inf
    return divide(abs(new - old), max(1.0, abs(new)))


def _array(loaded: Loaded, lengths: Lengths, values: Values, tensor: str) -> np.ndarray:
    array = np.empty(lengths.shapes[tensor], dtype=bool if loaded.boolean[tensor] else np.float64)
    for position, value in values[tensor].items():
        array[position] = value
    return array


def _answer(loaded: Loaded, lengths: Lengths, values: Values, query: Read) -> list[tuple[Any, ...]]:
    """Rows of the query's distinct variables, as symbols where the axis has them; `Y?` asks for all of `Y`."""
    if not query.indices:
        every = tuple(Affine(((f"{place}", 1),), 0) for place in range(loaded.ranks[query.tensor]))
        query = dataclasses.replace(query, indices=every)
    names = query.variables()
    boolean = loaded.boolean[query.tensor]
    rows = []
    for position in sorted(values[query.tensor]):
        value = values[query.tensor][position]
        env: dict[str, int] = {}
        row: dict[str, Any] = {}
        fits = not boolean or truth_of(value)
        for place, (index, at) in enumerate(zip(query.indices, position, strict=True)):
            table = lengths.symbols[query.tensor, place]
            match index:
                case Affine(((name, 1),), 0):
                    fits = fits and env.setdefault(name, at) == at
                    row[name] = next((symbol for symbol, number in table.items() if number == at), at)
                case Affine((), offset):
                    fits = fits and at == offset
                case _:
                    fits = fits and table.get(getattr(index, "name", "")) == at
        if fits:
            rows.append(tuple(row[name] for name in names) + (() if boolean else (value,)))
    return rows


def run(
    text: str,
    values: Mapping[str, Any] | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    folder: Path | str = ".",
    tolerance: float = 1e-13,
    max_iterations: int = 10_000,
    exports_only: bool = False,
) -> OracleResult:
    """Compute every tensor of an explicit program.

    Args:
        text: what `Program.explicit()` prints.
        values: inputs, parameters and free tensors by name; of a stream, its state before the first position.
        sizes: declared sizes by axis letter, like lines `axis d = 64`.
        folder: where relative paths of sources start.
        tolerance: a numeric fixpoint ends when no element changes by more, relative to max(1, |value|).
        exports_only: leave out what no export needs, with all that is wrong there.

    Raises:
        OracleAxisError: sizes do not fit.
        OracleError: a projection is not written, a value is missing, or the text is beyond the oracle.
    """
    loaded = load(text)
    axes = find_axes(loaded)
    literals: dict[str, tuple[int, ...]] = {}
    spare: frozenset[str] = frozenset()
    if exports_only:
        loaded, literals, spare = needed_part(loaded)
    given = {name: np.asarray(value) for name, value in (values or {}).items() if name in loaded.ranks}
    computed = set(loaded.computed())
    shapes = {name: array.shape for name, array in given.items() if name not in computed} | literals
    for item in loaded.definitions:
        if item.kind == "source":
            assert isinstance(item.body, tree.String)
            shapes[item.target.tensor] = source_array(Path(folder) / item.body.value).shape
    loaded.ranks = {name: rank for name, rank in loaded.ranks.items() if name in shapes or name not in spare}
    missing = [name for name in loaded.ranks if name not in shapes and name not in computed]
    if missing:
        raise OracleError(f"no values for {missing}")
    lengths = find_lengths(loaded, shapes, sizes or {}, axes, spare)
    elements: Values = {name: dict(_items(array)) for name, array in given.items() if name not in computed}
    program = _Program(loaded, lengths, elements, Path(folder))
    for name in given.keys() & loaded.virtual.keys():
        place = loaded.virtual[name]
        program.initial[name] = {(*p[:place], 0, *p[place:]): value for p, value in _items(given[name])}
    program.run(tolerance, max_iterations)
    tensors = {name: _array(loaded, lengths, elements, name) for name in loaded.ranks if name not in spare}
    exports: dict[str, np.ndarray] = {}
    for name in loaded.exports:
        if name in loaded.constants:
            exports[name] = np.asarray(float(loaded.constants[name]))
        elif name in loaded.virtual:
            exports[name] = np.take(tensors[name], -1, axis=loaded.virtual[name])
        else:
            exports[name] = tensors[name]
    sinks: dict[str, np.ndarray] = {}
    for path, item in loaded.sinks:
        shape = tuple(lengths.ranges[item.number, name] for name in item.target.variables())
        sinks[path] = np.zeros(shape)
        for position, value in _Equation(loaded, lengths, elements, item, Path(folder)).contributions():
            sinks[path][position] = value
    answers = tuple(_answer(loaded, lengths, elements, query) for query in loaded.queries)
    return OracleResult(exports, tensors, sinks, answers)
