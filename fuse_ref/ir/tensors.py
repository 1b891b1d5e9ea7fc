"""What declarations, definitions and reads together tell about each tensor."""

from __future__ import annotations

from dataclasses import dataclass, field

from fuse_ref.ir.index import Gather, Virtual
from fuse_ref.ir.nodes import ArrayLiteral, Call, Dtype, Equation, Expr, Operator, Query, Read, Role, Sink, Tensor
from fuse_ref.ir.variables import children, free_variables, reads
from fuse_ref.mistakes import mistake
from fuse_ref.source import Span

__all__ = ["TensorUses", "Uses"]


@dataclass
class Uses:
    """All that is known of one tensor."""

    rank: int
    rank_span: Span | None
    role: Role = "free"
    dtype: Dtype = "float"
    initialiser: tuple[str, tuple[int | float, ...]] | None = None
    letters: tuple[str, ...] = ()
    span: Span | None = None
    definitions_boolean: list[bool] = field(default_factory=list)
    reads_boolean: list[bool] = field(default_factory=list)
    operator: tuple[Operator, Span] | None = None  # of its equations, facts and literals aside
    declared_boolean: bool | None = None
    virtual: int | None = None
    index: bool = False  # it stands as an index of another tensor
    classes: bool = False  # it stands as the target of cross_entropy, without an index of classes


class TensorUses:
    """The tensors of a program, in the order in which they are declared or first used."""

    def __init__(self) -> None:
        self.of: dict[str, Uses] = {}

    def note(self, statement: Equation | Sink | Query) -> None:
        if isinstance(statement, Equation):
            rank = len(statement.target.indices)
            if statement.kind == "literal" and isinstance(statement.body, ArrayLiteral):
                rank = len(statement.body.shape)
            uses = self.use(statement.target, rank)
            uses.definitions_boolean.append(statement.target.boolean)
            uses.role = "source" if statement.kind == "source" else "computed" if uses.role == "free" else uses.role
            self._note_operator(statement, uses)
        body = statement.target if isinstance(statement, Query) else statement.body
        for read in reads(body):
            self._note_read(read)
        self._note_targets(body)
        if isinstance(statement, Equation):
            for read in reads(statement.target):
                if read is not statement.target:
                    self._note_read(read)
            self._note_indices(statement.target)

    def _note_read(self, read: Read) -> None:
        self.use(read, len(read.indices)).reads_boolean.append(read.boolean)
        self._note_indices(read)

    def _note_indices(self, read: Read) -> None:
        for index in read.indices:
            if isinstance(index, Gather):
                self.use(index.read, len(index.read.indices)).index = True

    def _note_targets(self, body: Expr) -> None:
        stack = [body]
        while stack:
            node = stack.pop()
            stack.extend(children(node))
            if isinstance(node, Call) and node.function == "cross_entropy":
                target = node.arguments[1]
                if isinstance(target, Read) and node.axis not in free_variables(target):
                    self.use(target, len(target.indices)).classes = True

    def _note_operator(self, equation: Equation, uses: Uses) -> None:
        if equation.kind != "equation" and equation.operator == "=":
            return  # a base case takes the operator of the others
        name = equation.target.tensor
        if uses.operator is None:
            uses.operator = (equation.operator, equation.span)
        elif uses.operator[0] != equation.operator:
            first, span = uses.operator
            second = equation.operator
            raise mistake("FUSE107", equation.target.span, name=name, first=first, line=span.line, second=second)

    def use(self, read: Read, rank: int) -> Uses:
        uses = self.of.setdefault(read.tensor, Uses(rank, read.span, span=read.span))
        if uses.rank != rank:
            line = "?" if uses.rank_span is None else uses.rank_span.line
            got, expected = _indices(rank), _indices(uses.rank)
            raise mistake("FUSE104", read.span, name=read.tensor, got=got, expected=expected, line=line)
        for position, index in enumerate(read.indices):
            if isinstance(index, Virtual):
                if uses.virtual not in (None, position):
                    text = read.span.text if read.span else read.tensor
                    reason = "a tensor has at most one virtual index"
                    raise mistake("FUSE121", read.span, text=text, reason=reason)
                uses.virtual = position
        return uses

    def tensor(self, name: str, axes: tuple[str, ...]) -> Tensor:
        uses = self.of[name]
        if uses.declared_boolean is not None:
            boolean = uses.declared_boolean
        elif uses.definitions_boolean:
            boolean = all(uses.definitions_boolean)
        else:
            boolean = bool(uses.reads_boolean) and all(uses.reads_boolean)
        operator: Operator = "=" if uses.operator is None else uses.operator[0]
        # Nothing declares a free tensor or a file's: one that stands as an index holds whole numbers.
        # A file of classes does so too; for a free tensor the cure of FUSE163 is an `input` line.
        whole = (uses.index and uses.role in ("free", "source")) or (uses.classes and uses.role == "source")
        dtype: Dtype = "bool" if boolean else "int64" if whole else uses.dtype
        return Tensor(
            name, axes, boolean, dtype, uses.role, operator, uses.virtual, uses.initialiser, uses.letters, uses.span
        )


def _indices(count: int) -> str:
    return "no index" if count == 0 else f"{count} {'index' if count == 1 else 'indices'}"
