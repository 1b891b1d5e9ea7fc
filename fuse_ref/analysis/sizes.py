"""What is known of sizes before any range is worked out: declarations, given tensors, literals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from fuse_ref.analysis.lengths import Extent, Fixed, Length
from fuse_ref.analysis.words import index_text
from fuse_ref.errors import FuseError
from fuse_ref.ir.index import Gather
from fuse_ref.ir.nodes import ArrayLiteral, Axis, Expr, Position, ProgramIR, Read, Tensor
from fuse_ref.ir.variables import children, index_variables, reads
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.records import dataclass
from fuse_ref.source import Span

__all__ = [
    "Declared",
    "Known",
    "axes_of_letter",
    "because",
    "find_known",
    "place",
    "unknown_axis",
    "written_by_gathers",
    "wrong_rank",
]


@dataclass(frozen=True, slots=True)
class Declared:
    """A size that the text or `sizes=` sets."""

    size: int
    reason: str  # "axis d = 64 (line 1)"
    span: Span | None


@dataclass
class Known:
    """Lengths that no equation decides."""

    program: ProgramIR
    tensors: dict[str, Tensor]
    axes: dict[str, Axis]
    declared: dict[str, Declared]  # by axis name
    lengths: dict[tuple[str, int], Length]  # of given tensors and literals, per position
    literals: dict[str, tuple[int, ...]]  # tensor -> shape, where a literal defines it
    first_use: dict[str, Span]  # of every tensor that the text reads or writes
    added: tuple[tuple[str, int], ...]  # sizes=, as given
    loose: dict[str, int] = field(default_factory=dict)  # letter -> size, for indices that stand at no tensor
    errors: list[FuseError] = field(default_factory=list)

    def literal_size(self, axis: str) -> tuple[int, str] | None:
        """The size that a literal gives an axis that is not stepped, and where; the IR has compared them."""
        found = self.axes[axis]
        if found.stepped or axis in self.declared or not found.origins:
            return None
        return found.origins[0].size, found.origins[0].reason

    def positions(self, axis: str) -> Iterator[tuple[str, int]]:
        """Every tensor position on `axis`, tensors in text order."""
        for tensor in self.program.tensors:
            for position, name in enumerate(tensor.axes):
                if name == axis:
                    yield tensor.name, position

    def place(self, tensor: str) -> str:
        """ "Key (line 4)"."""
        return place(tensor, self.tensors[tensor].span or self.first_use.get(tensor))

    def span(self, tensor: str) -> Span | None:
        """Where the text declares it, else where it first stands."""
        return self.tensors[tensor].span or self.first_use.get(tensor)


def place(what: str, span: Span | None) -> str:
    """`what` with its line, where there is one."""
    return what if span is None else f"{what} (line {span.line})"


def because(reason: str) -> str:
    """ "by axis d = 64 (line 1)", "in Key (line 4)": what follows a size in a message."""
    return f"{'by' if reason.startswith(('axis ', 'the table ', 'sizes=')) else 'in'} {reason}"


def size_cure(code: str, words: Mapping[str, object]) -> str | None:
    """None for the cure of the row. Of two sizes, only where one is 1 did somebody expect it to be repeated."""
    return None if code != "FUSE150" or 1 in (words.get("actual"), words.get("expected")) else ""


def axes_of_letter(program: ProgramIR, letter: str) -> list[Axis]:
    """The axes that a line `axis letter = ...` speaks of."""
    return [axis for axis in program.axes if letter in axis.letters]


def unknown_axis(program: ProgramIR, letter: str, what: str) -> FuseError:
    """The error for a size or hint of an axis that the program lacks."""
    letters = [known for axis in program.axes for known in axis.letters]
    return mistake("FUSE156", None, name=letter, what=what, cure=did_you_mean(letter, letters))


def find_known(program: ProgramIR, sizes: Mapping[str, int] | None, given: Mapping[str, Sequence[int]] | None) -> Known:
    """Declarations, with `sizes` added to them, and the lengths of given tensors.

    Args:
        program: what is planned.
        sizes: axis letter -> size, as lines `axis letter = size`.
        given: tensor -> shape, for tensors whose shape is known now.

    Raises:
        AxisError: a size contradicts the text, names no axis, or a shape has the wrong rank.
    """
    tensors = {tensor.name: tensor for tensor in program.tensors}
    axes = {axis.name: axis for axis in program.axes}
    declared: dict[str, Declared] = {}
    for axis in program.axes:
        for origin in axis.origins:
            # Literals are origins too, but count as given tensors here.
            if origin.reason.startswith(("axis ", "the table of axis ")):
                declared.setdefault(axis.name, Declared(origin.size, origin.reason, origin.span))
    known = Known(program, tensors, axes, declared, {}, {}, _first_uses(program), tuple((sizes or {}).items()))
    for item in program.declared:
        known.loose[item.letter.rstrip("'")] = len(item.symbols or ()) if item.size is None else item.size
    for letter, size in (sizes or {}).items():
        _declare(known, letter, size)
    _literals(known)
    _given(known, given or {})
    return known


def _declare(known: Known, letter: str, size: int) -> None:
    found = axes_of_letter(known.program, letter)
    if not found and letter in _loose_letters(known.program):
        declared = known.loose.setdefault(letter, size)
        if declared != size:
            other = f"by axis {letter} = {declared}"
            raise mistake("FUSE155", None, name=letter, size=size, axis=letter, expected=declared, other=other)
    elif not found:
        raise unknown_axis(known.program, letter, "sizes")
    known.loose.setdefault(letter, size)
    for axis in found:
        earlier = known.declared.get(axis.name)
        if earlier is None and not axis.stepped and axis.origins:
            earlier = Declared(axis.origins[0].size, axis.origins[0].reason, axis.origins[0].span)
        if earlier is not None and earlier.size != size:
            raise mistake(
                "FUSE155",
                earlier.span,
                name=letter,
                size=size,
                axis=axis.name,
                expected=earlier.size,
                other=because(earlier.reason),
            )
        known.declared.setdefault(axis.name, Declared(size, f"sizes={{{letter!r}: {size}}}", None))


def _loose_letters(program: ProgramIR) -> set[str]:
    """Letters of indices that are used as values, or move an index together with others (`dx` of `X[x+dx]`)."""
    found: set[str] = set()
    stack: list[Expr] = [equation.body for equation in program.equations]
    stack.extend(equation.target for equation in program.equations)
    stack.extend(sink.body for sink in program.sinks)
    while stack:
        node = stack.pop()
        match node:
            case Position(variable):
                found.add(variable.rstrip("'"))
            case Read(indices=indices):
                found.update(variable.rstrip("'") for index in indices for variable in index_variables(index))
            case _:
                pass
        stack.extend(children(node))
    return found


def _literals(known: Known) -> None:
    for equation in known.program.equations:
        if equation.kind == "literal" and isinstance(equation.body, ArrayLiteral):
            known.literals.setdefault(equation.target.tensor, equation.body.shape)
    for name, shape in known.literals.items():
        for position, size in enumerate(shape):
            known.lengths[name, position] = Fixed(size)


def _given(known: Known, given: Mapping[str, Sequence[int]]) -> None:
    for tensor in known.program.tensors:
        shape = given.get(tensor.name)
        if shape is not None:
            if len(shape) != len(tensor.axes):
                raise wrong_rank(tensor, tuple(shape), known.first_use.get(tensor.name))
            for position, size in enumerate(shape):
                known.lengths[tensor.name, position] = Fixed(size)
        elif tensor.role in ("input", "free", "source"):
            for position in range(len(tensor.axes)):
                known.lengths[tensor.name, position] = Extent(tensor.name, position)


def written_by_gathers(known: Known, axis: str) -> FuseError | None:
    """The error of an axis without a letter and a size that equations write at gathered positions."""
    if known.axes[axis].letters:
        return None
    for equation in known.program.equations:
        target = equation.target
        for position, index in enumerate(target.indices):
            if isinstance(index, Gather) and known.tensors[target.tensor].axes[position] == axis:
                others = [getattr(other, "variable", None) or f"i{k}" for k, other in enumerate(target.indices)]
                others[position] = "n"
                letters, text = ", ".join(others), index_text(index)
                span = target.span or equation.span
                return mistake("FUSE166", span, position=position, tensor=target.tensor, index=text, letters=letters)
    return None


def wrong_rank(tensor: Tensor, shape: tuple[int, ...], span: Span | None) -> FuseError:
    """The error for an array with another number of axes than its tensor has."""
    count = len(tensor.axes)
    axes = f" [{', '.join(axis.partition('#')[0] for axis in tensor.axes)}]" if count else ""
    expected = f"{count} {'axis' if count == 1 else 'axes'}{axes}"
    letters = ", ".join("ijklmnpq"[: len(shape)])
    cure = f"give it an index for each axis where it is read: {tensor.name}[{letters}]" if count == 0 else ""
    return mistake("FUSE151", tensor.span or span, cure=cure, tensor=tensor.name, expected=expected, shape=shape)


def _first_uses(program: ProgramIR) -> dict[str, Span]:
    found: dict[str, Span] = {}

    def note(read: Read) -> None:
        if read.span is not None:
            earlier = found.get(read.tensor)
            if earlier is None or read.span.start < earlier.start:
                found[read.tensor] = read.span

    for equation in program.equations:
        note(equation.target)
        for read in reads(equation.body):
            note(read)
    for sink in program.sinks:
        for read in reads(sink.body):
            note(read)
    for query in program.queries:
        note(query.target)
    return found
