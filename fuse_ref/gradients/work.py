"""A gradient program while it is made: its equations so far, and names that are still free."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace

from fuse_ref.analysis.check import Checked
from fuse_ref.gradients.active import smooth_reads
from fuse_ref.ir.index import Index, SliceIndex, plain
from fuse_ref.ir.names import is_variable
from fuse_ref.ir.nodes import Call, Equation, Expr, Negate, Number, Operator, Product, ProgramIR, Project, Read, Sum
from fuse_ref.ir.variables import children, free_variables, index_variables, target_variables
from fuse_ref.records import dataclass
from fuse_ref.source import Span

__all__ = ["Made", "Work", "anchor", "equation", "every_letter", "read_of", "summed", "times"]


@dataclass(frozen=True, slots=True)
class Made:
    """An equation of the new program.

    Attributes:
        origin: the equation of the old program whose variables it has: they must run as far as there. -1: of none.
        anchored: it names what the origin reads, for the ranges alone.
    """

    equation: Equation
    origin: int
    anchored: bool = False


@dataclass(slots=True)
class Work:
    """What the parts of this room share while one program is made.

    Attributes:
        active: tensors that the seeds depend on and that depend on what gradients are wanted of.
        gradient: the name of each active tensor's gradient.
        taken: every name of a tensor, constant or letter.
        forward: equations that replace the old program's, by the number of the old one.
        backward: equations of gradients, in the order in which they were found.
    """

    program: ProgramIR
    checked: Checked
    active: set[str]
    gradient: dict[str, str]
    taken: set[str]
    forward: dict[int, list[Made]]
    backward: list[Made] = field(default_factory=list)
    ones: dict[str, str] = field(default_factory=dict)  # letter -> a tensor of ones along it
    positions: dict[str, str] = field(default_factory=dict)  # axis -> a tensor that holds its positions
    rounds: dict[str, str] = field(default_factory=dict)  # tensor of a cycle -> the same after one more round
    shapes: dict[str, str] = field(default_factory=dict)  # new tensor -> the tensor whose axes it has

    def name(self, wanted: str) -> str:
        """`wanted`, with as many `_` behind as make it new."""
        while wanted in self.taken:
            wanted += "_"
        self.taken.add(wanted)
        return wanted

    def part(self, tensor: str, what: str) -> str:
        """A name for a part of `tensor`'s equations."""
        stem, primes = tensor.rstrip("'"), tensor[len(tensor.rstrip("'")) :]
        return self.name(f"{stem}_{what}{primes}")

    def numbered(self, tensor: str) -> str:
        stem, primes = tensor.rstrip("'"), tensor[len(tensor.rstrip("'")) :]
        count = 1
        while f"{stem}_{count}{primes}" in self.taken:
            count += 1
        return self.name(f"{stem}_{count}{primes}")

    def letter(self, wanted: str) -> str:
        """A letter that no equation and no `axis` line has."""
        if wanted not in self.taken:
            self.taken.add(wanted)
            return wanted
        return next(self.letter(name) for name in _letters() if name not in self.taken)

    def activate(self, tensor: str) -> None:
        """A tensor of the new program that has a gradient."""
        self.active.add(tensor)
        self.gradient[tensor] = self.like(self.name(f"Grad_{tensor}"), tensor)

    def again(self, tensor: str) -> str:
        """The tensor of a cycle as one more round makes it; its gradient is that of the tensor."""
        if tensor not in self.rounds:
            self.rounds[tensor] = self.like(self.part(tensor, "again"), tensor)
            self.gradient[self.rounds[tensor]] = self.gradient[tensor]
        return self.rounds[tensor]

    def like(self, name: str, tensor: str) -> str:
        """`name`, of a tensor that has the axes of another."""
        self.shapes[name] = tensor
        return name

    def add(self, made: Made) -> None:
        """One more equation of a gradient."""
        self.backward.append(made)

    def is_active(self, expr: Expr) -> bool:
        """Whether a gradient flows into `expr`."""
        return any(read.tensor in self.active for read in smooth_reads(expr))


def _letters() -> Iterable[str]:
    for primes in range(1000):
        for letter in "uvwzrsmnkpqxy":
            yield letter + "'" * primes


def _index_of(variable: str) -> Index:
    """The index that is a variable alone; a slice's nameless one is read by a whole slice."""
    return SliceIndex(variable, None, None, 1) if variable.startswith(":") else plain(variable)


def read_of(tensor: str, variables: Iterable[str]) -> Read:
    return Read(tensor, tuple(_index_of(variable) for variable in variables), False)


def every_letter(program: ProgramIR) -> set[str]:
    """All names that could clash with a new one: of tensors, constants, letters, functions' own letters."""
    found = {name for name, _ in program.constants}
    found.update(tensor.name for tensor in program.tensors)
    found.update(letter for axis in program.axes for letter in axis.letters)
    found.update(item.letter for item in program.declared)
    for equation in program.equations:
        stack: list[Expr] = [equation.target, equation.body]
        while stack:
            node = stack.pop()
            stack.extend(children(node))
            if isinstance(node, Read):
                found.update(v for index in node.indices for v in index_variables(index))
            elif isinstance(node, Project):
                found.update(node.variables)
            elif isinstance(node, Call) and node.axis is not None:
                found.add(node.axis)
            found.update(free_variables(node))
    bare = {name.rstrip("'") for name in found}
    return found | {name for name in bare if is_variable(name)}


def times(factors: Iterable[Expr], divisors: Iterable[Expr] = ()) -> Expr:
    """A product without ones and with its numbers put together."""
    scale: int | float = 1
    kept: list[Expr] = []
    below = list(divisors)
    pending = list(factors)[::-1]
    while pending:
        factor = pending.pop()
        if isinstance(factor, Number):
            scale *= factor.value
        elif isinstance(factor, Negate):
            scale = -scale
            pending.append(factor.operand)
        elif isinstance(factor, Product):
            pending.extend(reversed(factor.factors))
            below.extend(factor.divisors)
        else:
            kept.append(factor)
    below = [divisor for divisor in below if divisor != Number(1)]
    if scale == 0:
        return Number(0)
    size = abs(scale)
    if size != 1 or not kept:
        kept.insert(0, Number(size))
    result = kept[0] if len(kept) == 1 and not below else Product(tuple(kept), tuple(below))
    return Negate(result) if scale < 0 else result


def summed(body: Expr, variables: Iterable[str]) -> Expr:
    """`body` summed over `variables`; a slice's nameless ones by a projection of their own."""
    named = tuple(dict.fromkeys(v for v in variables if not v.startswith(":")))
    result = Project("sum", named, body) if named else body
    for variable in dict.fromkeys(v for v in variables if v.startswith(":")):
        result = Project("sum", (variable,), result)
    return result


def anchor(found: Iterable[Read], target: Read) -> Expr:
    """0, with `found` beside it for their indices alone: no engine computes them."""
    parts = tuple(dict.fromkeys(replace(read, boolean=False) for read in found))
    together: Expr = Sum(parts) if len(parts) > 1 else parts[0]
    own = target_variables(target)
    loose = summed(together, (v for v in free_variables(together) if v not in own))
    return Call("where", (Number(0), loose, Number(0)), None, ())


def equation(target: Read, body: Expr, span: Span, operator: Operator = "=") -> Equation:
    return Equation(target, operator, body, "equation", span)
