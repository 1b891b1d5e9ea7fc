"""What a step of a recurrence need not compute: it is made for all positions at once before, and a step reads its own.

The right-hand side of an equation is rewritten for one step. A read of the group becomes a read of what this step or
one before has made. The largest parts that read nothing of the group become tensors of their own, with the step's
variable as first dimension where they depend on it, else read whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field, replace

from fuse_ref.analysis.lengths import Fixed, Length, linear
from fuse_ref.analysis.shapes import ScopeShapes
from fuse_ref.ir.index import Affine, FromEnd, Gather, Index, Quotient, Symbol, plain
from fuse_ref.ir.nodes import (
    ArrayLiteral,
    Axis,
    Call,
    Dtype,
    Expr,
    Number,
    Operator,
    Position,
    Project,
    Read,
    Sum,
    SymbolValue,
    Tensor,
)
from fuse_ref.ir.rebuilding import with_parts
from fuse_ref.ir.variables import children, free_variables, index_variables, reads
from fuse_ref.plan.bounds import within
from fuse_ref.plan.expressions import Expressions
from fuse_ref.plan.references import Tensors
from fuse_ref.plan.steps import Index as IndexOperation
from fuse_ref.plan.steps import ReadIndex, Slice
from fuse_ref.plan.values import Builder, Unsupported, Value
from fuse_ref.records import dataclass

__all__ = ["Moving", "Names", "Rewriter"]

_NAMELESS = "~"  # the axis of dimensions that no text has


@dataclass
class Names:
    """The tensors of a program, and those that planning a recurrence makes beside them."""

    known: Tensors
    builders: list[Builder] = field(default_factory=list)  # of what is made before the steps
    _count: list[int] = field(default_factory=lambda: [0])  # shared with the recurrences inside

    @classmethod
    def of(cls, tensors: Tensors) -> Names:
        axes = {**tensors.axes, _NAMELESS: Axis(_NAMELESS, None, 0, None, (), False, ())}
        known = replace(
            tensors,
            specs=dict(tensors.specs),
            axes=axes,
            shapes=dict(tensors.shapes),
            dtypes=dict(tensors.dtypes),
            sampling=None,  # steps one after another are computed exactly
        )
        return cls(known)

    def inner(self) -> Names:
        """The same tensors, for a recurrence inside a step: what is made before it is made in that step."""
        return Names(self.known, [], self._count)

    def add(
        self,
        name: str,
        lengths: tuple[Length, ...],
        dtype: Dtype,
        *,
        axes: tuple[str, ...] | None = None,
        operator: Operator = "=",
    ) -> str:
        found = (_NAMELESS,) * len(lengths) if axes is None else axes
        spec = Tensor(name, found, dtype == "bool", dtype, "computed", operator, None, None, ())
        for table, item in ((self.known.specs, spec), (self.known.shapes, lengths), (self.known.dtypes, dtype)):
            assert isinstance(table, dict)
            table[name] = item
        return name

    def fresh(self, prefix: str) -> str:
        self._count[0] += 1
        return f"{prefix}{self._count[0]}"


@dataclass(frozen=True, slots=True)
class Moving:
    """How an equation's variable moves along with the steps."""

    variable: str | None  # None: the equation writes one position
    start: Length  # where it stands in the first step
    always: bool  # it stands in its range in every step


@dataclass
class Rewriter:
    """Rewrites the expressions of one equation.

    Args:
        own: the read that stands for one of the group, with its other indices; None for a tensor outside.
        counted: reads that fall outside leave a combination out, as under `max=`.
        prefix: what names made here begin with.
    """

    names: Names
    shapes: ScopeShapes
    moving: Moving
    own: Callable[[Read], Read | None]
    number: Callable[[Length], int]
    counted: bool
    whole: bool
    prefix: str
    slices: list[Slice] = field(default_factory=list)
    _made: dict[Expr, Expr] = field(default_factory=dict)

    def expr(self, expr: Expr) -> Expr:
        """`expr` as one step computes it."""
        if not self._in_group(expr):
            return self._outside(expr)
        match expr:
            case Read():
                return self._read(expr)
            case Sum(terms, span):
                return Sum(self._terms(terms), span)
            case Call(function="dropout"):
                raise Unsupported("dropout of what a recurrence makes does not run yet")
            case _:
                return with_parts(expr, self.expr)

    def index(self, index: Index) -> Index:
        """An index as one step has it: what it gathers by is rewritten."""
        if isinstance(index, Gather):
            read = self.expr(index.read)
            assert isinstance(read, Read)
            return Gather(read, index.offset)
        if self.moving.variable is not None and self.moving.variable in index_variables(index):
            raise Unsupported(f"the index {self.moving.variable} of a recurrence stands twice in one reference")
        return index

    def _in_group(self, expr: Expr) -> bool:
        return any(self.own(read) is not None for read in reads(expr))

    def _read(self, read: Read) -> Read:
        found = self.own(read)
        if found is not None:
            return Read(found.tensor, tuple(map(self.index, found.indices)), found.boolean, found.span)
        # A tensor outside, at an index that the group gives: it is read whole there.
        variable = self.moving.variable
        if variable is not None and any(variable in index_variables(index) for index in read.indices):
            letters = {k: f"{variable}~{k}" for k, index in enumerate(read.indices) if isinstance(index, Gather)}
            lengths = self.names.known.shapes[read.tensor]
            ranges = {**self.shapes.ranges, **{letter: lengths[k] for k, letter in letters.items()}}
            opened = Read(
                read.tensor,
                tuple(plain(letters[k]) if k in letters else index for k, index in enumerate(read.indices)),
                read.boolean,
                read.span,
            )
            made = self._hoisted(opened, ScopeShapes(self.shapes.scope, ranges, self.shapes.axis_of, self.shapes.kept))
            assert isinstance(made, Read)
            by_letter = {letter: self.index(read.indices[k]) for k, letter in letters.items()}
            indices = tuple(by_letter.get(index_variables(index)[0], index) for index in made.indices)
            return Read(made.tensor, indices, made.boolean, read.span)
        return Read(read.tensor, tuple(map(self.index, read.indices)), read.boolean, read.span)

    def _terms(self, terms: tuple[Expr, ...]) -> tuple[Expr, ...]:
        """Terms of a sum: those from outside are added up before where that takes no larger array."""
        outside = [term for term in terms if not self._in_group(term)]
        variables = [set(free_variables(term)) for term in outside]
        largest = max(variables, key=len, default=set())
        if len(outside) < 2 or self.moving.variable not in largest or any(not v <= largest for v in variables):
            return tuple(map(self.expr, terms))
        together = self._outside(Sum(tuple(outside)))
        return (*(self.expr(term) for term in terms if self._in_group(term)), together)

    # What reads nothing of the group ----------------------------------------------------------------

    def _outside(self, expr: Expr) -> Expr:
        variable = self.moving.variable
        match expr:
            case Number() | SymbolValue():
                return expr
            case Position(name) if name != variable:
                return expr
            case ArrayLiteral() if variable not in free_variables(expr):
                return expr
            case Read() if variable not in free_variables(expr) and (self._plain(expr) or self.counted):
                return expr
            case _:
                pass
        if expr in self._made:
            return self._made[expr]
        if not self._may_hoist(expr):
            if isinstance(expr, Read):
                raise Unsupported(f"{expr.tensor} is read beside its ends in a recurrence of max= or min=")
            return with_parts(expr, self.expr)
        found: Expr | None = self._direct(expr) if isinstance(expr, Read) else None
        if found is None:
            found = self._hoisted(expr, self.shapes)
        self._made[expr] = found
        return found

    def _plain(self, read: Read) -> bool:
        labels = [index.variable for index in read.indices if isinstance(index, Affine) and index.variable is not None]
        lengths = self.names.known.shapes[read.tensor]
        return (
            len(set(labels)) == len(labels) == len(read.indices)
            and all(self.shapes.ranges[v] == length for v, length in zip(labels, lengths, strict=True))
        )  # fmt: skip

    def _may_hoist(self, expr: Expr) -> bool:
        """Whether it means the same by itself, and takes no larger an array than its parts."""
        parts = children(expr)
        free = set(free_variables(expr))
        if self.moving.variable in free and parts and not isinstance(expr, Project):
            own = {expr.axis} if isinstance(expr, Call) and expr.axis is not None else set()
            if not any(free - own <= set(free_variables(part)) for part in parts):
                return False
        return not self.counted or all(self._counts(part, read) for part, read in _unprojected(expr))

    def _counts(self, index: Index, read: Read) -> bool:
        """Whether an index is known to lie inside, wherever the equation counts."""
        variable = self.moving.variable
        match index:
            case Affine(((name, 1),), _) if name == variable:
                return True  # the steps begin where it lies inside
            case Affine(()) | FromEnd() | Symbol():
                return True
            case Gather():
                place = read.indices.index(index)
                return within(self.names.known.bounds, index, self.names.known.shapes[read.tensor][place])
            case Affine() | Quotient():
                place = read.indices.index(index)
                length = self.names.known.shapes[read.tensor][place]
                if isinstance(index, Affine) and index.variable is not None:
                    return self.shapes.ranges[index.variable] == length
                return self.shapes.inside(read.tensor, 0, place, index, length)
            case _:
                return True

    def _direct(self, read: Read) -> Read | None:
        """A read whose one moving index is the step's variable, all others plain: a slice of the tensor itself."""
        variable = self.moving.variable
        known = self.names.known
        if variable is None or read.tensor in known.sparse:
            return None
        lengths = known.shapes[read.tensor]
        places = [k for k, index in enumerate(read.indices) if variable in index_variables(index)]
        if len(places) != 1:
            return None
        (place,) = places
        index = read.indices[place]
        match index:
            case Affine(((_, 1),), offset) if self.shapes.inside(read.tensor, 0, place, index, lengths[place]):
                pass
            case _:
                return None
        others = (*read.indices[:place], *read.indices[place + 1 :])
        rest = (*lengths[:place], *lengths[place + 1 :])
        labels = [i.variable for i in others if isinstance(i, Affine) and i.variable is not None]
        if len(set(labels)) != len(others) or any(
            self.shapes.ranges[v] != length for v, length in zip(labels, rest, strict=True)
        ):
            return None
        axes = known.specs[read.tensor].axes
        name = self.names.fresh(f"{self.prefix}~s")
        self.names.add(name, rest, known.dtypes[read.tensor], axes=(*axes[:place], *axes[place + 1 :]))
        self._slice(name, read.tensor, place, offset)
        return Read(name, others, read.boolean, read.span)

    def _slice(self, name: str, value: str, dimension: int, offset: int) -> None:
        start = linear([(self.moving.start, 1)], offset)
        self.slices.append(Slice(name, value, dimension, start, self.moving.always))

    def _hoisted(self, expr: Expr, shapes: ScopeShapes) -> Expr:
        """`expr` as a tensor of its own."""
        variable = self.moving.variable
        free = free_variables(expr)
        variables = (*(v for v in free if v == variable), *(v for v in free if v != variable))
        name = self.names.fresh(f"{self.prefix}~h")
        builder = Builder(name)
        builder.begin(shapes.ranges, variables)
        expressions = Expressions(builder, self.names.known, shapes, self.number, whole=self.whole)
        lowered = expressions.lower(expr)
        if not isinstance(lowered, Value):
            if not isinstance(lowered, bool):
                return Number(lowered)
            lowered = builder.literal(lowered, "bool")
        value = builder.expand(lowered, variables)
        lengths = tuple(shapes.ranges[v] for v in variables)
        builder.finish(value, variables, lengths, name)
        self.names.builders.append(builder)
        self.names.add(name, lengths, value.dtype)
        boolean = value.dtype == "bool"
        if variable not in variables:
            return Read(name, tuple(map(plain, variables)), boolean)
        own = self.names.fresh(f"{self.prefix}~s")
        self.names.add(own, lengths[1:], value.dtype)
        self._slice(own, name, 0, 0)
        return Read(own, tuple(map(plain, variables[1:])), boolean)

    def active(self, first: int, length: Length, steps: Length, *, forward: bool) -> Read:
        """Truth per step: whether the equation is in its range.

        Args:
            first: how far above the lowest position of all steps its range begins.
            length: of the range.
            steps: how many there are.
        """
        name = self.names.fresh(f"{self.prefix}~h")
        builder = Builder(name)
        builder.begin({"0": length, "1": steps})
        ones = builder.expand(builder.literal(1, "float"), ("0",))
        place = ReadIndex((("1", 1),), Fixed(-first), False)  # 0 where it lies outside
        truth = builder.truth(builder.add(IndexOperation(builder.output(("1",), "float"), ones.name, (place,))))
        assert isinstance(truth, Value)
        builder.finish(truth, ("1",), (steps,), name)
        self.names.builders.append(builder)
        self.names.add(name, (steps,), "bool")
        own = self.names.add(self.names.fresh(f"{self.prefix}~s"), (), "bool")
        self.slices.append(Slice(own, name, 0, Fixed(0) if forward else linear([(steps, 1)], -1), True))
        return Read(own, (), True)


def _unprojected(expr: Expr) -> Iterator[tuple[Index, Read]]:
    """The indices of all reads but those under a projection of their own, each with its read."""
    if isinstance(expr, Project):
        return
    if isinstance(expr, Read):
        for index in expr.indices:
            yield index, expr
            if isinstance(index, Gather):
                yield from _unprojected(index.read)
    for child in children(expr):
        yield from _unprojected(child)
