"""What each equation asks of its variables: reads that must stay inside, positions it writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from fuse_ref.analysis.lengths import Fixed, Length, linear
from fuse_ref.analysis.produced import Produced, find_produced
from fuse_ref.analysis.scopes import Access, Scope, accesses, compared_variables, every_variable
from fuse_ref.analysis.sizes import Known
from fuse_ref.analysis.words import reference_text
from fuse_ref.errors import FuseError
from fuse_ref.ir.index import Affine, Gather, Index, Quotient, SliceIndex, Virtual
from fuse_ref.ir.nodes import Expr, FileContent, Position, Read
from fuse_ref.ir.variables import children, target_variables
from fuse_ref.mistakes import mistake
from fuse_ref.records import dataclass

__all__ = [
    "Limit",
    "ScopeTable",
    "Slot",
    "affine_part",
    "highest",
    "likely_cure",
    "limits",
    "lowest",
    "tabulate",
    "unsized",
]


@dataclass(frozen=True, slots=True)
class Slot:
    """One dimension of something that an equation reads or writes."""

    tensor: str | None  # None: an array written in the equation
    size: int  # of that array; 0 for a tensor
    position: int
    index: Index
    text: str  # "Image[x+dx, y+dy, c]"

    @property
    def key(self) -> tuple[str | None, int, int, Index]:
        return (self.tensor, self.size, self.position, self.index)


@dataclass(frozen=True, slots=True)
class Limit:
    """A slot that must stay inside, as one of its variables sees it."""

    slot: Slot
    form: Affine
    divisor: int  # of a quotient, else 1
    coefficient: int  # of the variable
    others: tuple[tuple[str, int], ...]  # the variables of the same sign, with their coefficients
    written: bool  # a write below a declared length, not a read

    @property
    def sides(self) -> tuple[str, ...]:
        """Which ends of the axis the slot stays within when the variable keeps to this limit."""
        if self.coefficient > 0:
            return ("above",)
        # Without a positive coefficient the highest position is at 0, where a check of its own looks.
        falling = all(coefficient < 0 for _, coefficient in self.form.terms)
        return ("below", "above") if falling else ("below",)


@dataclass
class ScopeTable:
    """One scope's variables and slots."""

    scope: Scope
    variables: tuple[str, ...]
    axis: dict[str, str] = field(default_factory=dict)  # variable -> the axis it reads or writes alone
    alone: set[str] = field(default_factory=set)  # variables that a tensor of known or computed length reads alone
    reads: list[Slot] = field(default_factory=list)
    writes: list[Slot] = field(default_factory=list)
    slices: dict[str, list[Slot]] = field(default_factory=dict)  # slice variable -> its slots, reads first
    virtual: set[str] = field(default_factory=set)
    produced: dict[str, Produced] = field(default_factory=dict)  # variables that functions make
    compared: dict[str, tuple[str, ...]] = field(default_factory=dict)  # bare variable -> those compared with it


def affine_part(index: Index) -> tuple[Affine, int] | None:
    """`index` as an affine form and a divisor; None for indices without a variable's formula."""
    match index:
        case Affine():
            return index, 1
        case Quotient(numerator, divisor):
            return numerator, divisor
        case Virtual(variable, offset):
            return Affine(((variable, 1),), offset), 1
        case _:
            return None


def tabulate(scope: Scope, known: Known) -> ScopeTable:
    """All variables and slots of `scope`."""
    found = () if isinstance(scope.body, FileContent) else tuple(accesses(scope.body))
    target = () if scope.target is None else tuple(accesses(scope.target))
    inner = tuple(access for access in target if access.read is not scope.target)
    table = ScopeTable(scope, every_variable(scope.target, scope.body, (*inner, *found)))
    table.produced.update(find_produced(scope.body))
    for access in (*inner, *found):
        _note(table, known, access, table.reads)
    if scope.target is not None:
        _note(table, known, target[0], table.writes)
    _join_compared(table)
    return table


def _join_compared(table: ScopeTable) -> None:
    """`i <= j` puts both on one axis, also where one of them stands at no tensor."""
    for group in compared_variables(table.scope.body):
        axes = [table.axis[variable] for variable in group if variable in table.axis]
        for variable in group:
            table.compared[variable] = group
            if axes:
                table.axis.setdefault(variable, axes[0])


def _note(table: ScopeTable, known: Known, access: Access, slots: list[Slot]) -> None:
    text = reference_text("const" if access.tensor is None else access.tensor, access.indices)
    read = slots is table.reads
    for position, index in enumerate(access.indices):
        size = access.shape[position] if access.tensor is None else 0
        slot = Slot(access.tensor, size, position, index, text)
        if isinstance(index, Gather):
            continue
        slots.append(slot)
        if isinstance(index, SliceIndex):
            table.slices.setdefault(index.variable, []).append(slot)
        if isinstance(index, Virtual):
            table.virtual.add(index.variable)
        variable = index.variable if isinstance(index, Affine) else None
        if variable is None:
            continue
        if access.tensor is None:
            if read:
                table.alone.add(variable)
            continue
        tensor = known.tensors[access.tensor]
        axis = tensor.axes[position]
        table.axis.setdefault(variable, axis)
        # A parameter of unknown size takes its size from the others: it fixes nothing.
        waits = tensor.role == "param" and (tensor.name, position) not in known.lengths
        if read and not (waits and axis not in known.declared):
            table.alone.add(variable)


def limits(table: ScopeTable, known: Known, variable: str) -> list[Limit]:
    """Every slot that keeps `variable` inside: reads, and writes on stepped axes of declared length."""
    found: list[Limit] = []
    for slot in table.reads:
        if slot.tensor is not None and _unsized(known, slot.tensor, slot.position):
            continue
        found.extend(_limit(slot, variable, written=False))
    for slot in table.writes:
        assert slot.tensor is not None
        axis = known.axes[known.tensors[slot.tensor].axes[slot.position]]
        if axis.stepped and axis.name in known.declared:
            found.extend(_limit(slot, variable, written=True))
    return found


def _unsized(known: Known, tensor: str, position: int) -> bool:
    """A parameter whose length is whatever its reads need."""
    spec = known.tensors[tensor]
    return (
        spec.role == "param"
        and known.axes[spec.axes[position]].stepped
        and (tensor, position) not in known.lengths
        and spec.axes[position] not in known.declared
    )


def _limit(slot: Slot, variable: str, *, written: bool) -> list[Limit]:
    parts = affine_part(slot.index)
    if parts is None:
        return []
    form, divisor = parts
    coefficient = dict(form.terms).get(variable)
    if coefficient is None:
        return []
    others = tuple((v, c) for v, c in form.terms if v != variable and (c > 0) == (coefficient > 0))
    return [Limit(slot, form, divisor, coefficient, others, written)]


def highest(form: Affine, ranges: Mapping[str, Length]) -> Length:
    """The highest position of an affine form over the variables' ranges."""
    terms = [(linear([(ranges[v], 1)], -1), c) for v, c in form.terms if c > 0]
    return linear([*terms, (Fixed(form.offset), 1)])


def lowest(form: Affine, ranges: Mapping[str, Length]) -> Length:
    """The lowest position of an affine form over the variables' ranges."""
    terms = [(linear([(ranges[v], 1)], -1), c) for v, c in form.terms if c < 0]
    return linear([*terms, (Fixed(form.offset), 1)])


def unsized(table: ScopeTable, variable: str) -> FuseError:
    """The error for a variable that nothing gives a size, with what was perhaps meant."""
    letter = variable.rstrip("'")
    shown = "slice" if variable.startswith(":") else variable
    target = table.scope.target
    cure = None
    if target is not None and variable in target_variables(target):
        cure = _slice_cure((table,), target.tensor, table.axis.get(variable))
    elif any(node == Position(variable) for node in _nodes(table.scope.body)):
        cure = (
            f"if {variable} is meant as a number, define it: `{variable} = ...`; "
            f"if as an index, add a line `axis {letter} = ...`"
        )
    return mistake("FUSE152", table.scope.span, cure=cure, variable=shown, letter=letter)


def likely_cure(tables: Sequence[ScopeTable], tensor: str, axis: str | None) -> str | None:
    """What was perhaps meant by equations that leave an axis of `tensor` without a size; None: the row's own cure."""
    for table in tables:
        target = table.scope.target
        if (
            target is not None
            and target.tensor == tensor
            and any(
                isinstance(node, Read) and (node.tensor, node.indices) == (tensor, target.indices)
                for node in _nodes(table.scope.body)
            )
        ):
            return (
                f"an equation defines {tensor}, it does not change a value that is there: give the result another name"
            )
    return _slice_cure(tables, tensor, axis)


def _slice_cure(tables: Sequence[ScopeTable], tensor: str, axis: str | None) -> str | None:
    """For `Y[k] = A[2:4]`, where a size for k would repeat the sum of the slice; None: the row's own cure."""
    for table in tables:
        target = table.scope.target
        if target is None or target.tensor != tensor or not table.slices:
            continue
        letters = [v for v in target_variables(target) if v in table.axis and table.axis[v] == axis]
        if letters and not table.slices.keys() & set(target_variables(target)):
            return (
                f"a slice pairs with a slice: write ':' instead of {letters[0]} in {tensor}[…] to keep what is sliced"
            )
    return None


def _nodes(expr: Expr) -> Iterator[Expr]:
    yield expr
    for child in children(expr):
        yield from _nodes(child)
