"""`generate_gradient_program`: a program whose equations compute the gradients of another's results."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from fuse_ref.analysis.check import check_program
from fuse_ref.errors import FuseError
from fuse_ref.gradients.active import active_tensors
from fuse_ref.gradients.adjoint import differentiate
from fuse_ref.gradients.cycles import one_more_round
from fuse_ref.gradients.projections import differentiate_aggregates
from fuse_ref.gradients.ranges import equations_of, loose, misfits
from fuse_ref.gradients.splitting import Aggregate, Linear, split
from fuse_ref.gradients.work import Made, Work, anchor, equation, every_letter, read_of
from fuse_ref.ir.index import Affine
from fuse_ref.ir.nodes import Call, Equation, Number
from fuse_ref.ir.text import equation_text, explicit_text
from fuse_ref.language import syntax_tree as tree
from fuse_ref.language.parser import parse
from fuse_ref.language.printer import print_expression
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.program import Program, as_program
from fuse_ref.source import Source

__all__ = ["generate_gradient_program"]


def generate_gradient_program(program: Program | str, seeds: Mapping[str, str], export_grads: Sequence[str]) -> Program:
    """A program with the equations of `program` and equations `Grad_W[...] = ...` of its gradients.

    Reverse accumulation over equations (Griewank and Walther, Evaluating Derivatives, 2008, section 3.2): every
    tensor between the seeds and the wanted tensors has a gradient, to which each equation that reads it adds. That of a
    recurrence runs backwards; that of a numeric fixpoint is the linear fixpoint of the implicit function theorem, at
    the values that the program has found, and as exact as these (`ExecutionConfig(tol=...)`).

    Args:
        program: what to differentiate.
        seeds: for each result, the gradient that reaches it, as an expression: {"Loss": "1.0"}. A result with
            axes may name its letters: {"Y[i, j]": "S[i, j]"}.
        export_grads: the tensors whose gradients the new program exports, in this order, as `Grad_<name>`, with `_`
            behind where the program has that name.

    Raises:
        GradientError: a name that is no tensor of numbers, or a part of the program that has no gradient.
        FuseError: a seed that is no expression of the program.
    """
    source = as_program(program)
    return _Generator(source, seeds, export_grads).program()


class _Generator:
    def __init__(self, source: Program, seeds: Mapping[str, str], wanted: Sequence[str]) -> None:
        self.source = source
        self.ir = source.ir
        checked = check_program(self.ir)
        self.seeds = {name: (letters, text) for name, letters, text in map(_seed, seeds.items())}
        self.wanted = tuple(dict.fromkeys(wanted))
        for name in (*self.seeds, *self.wanted):
            self._check(name, checked.dtypes)
        taken = every_letter(self.ir)
        active = active_tensors(self.ir, checked, self.seeds, self.wanted)
        self.work = Work(self.ir, checked, set(), {}, taken, {})
        for name in dict.fromkeys((*self.wanted, *self.seeds, *(t.name for t in self.ir.tensors if t.name in active))):
            self.work.gradient[name] = self.work.like(self.work.name(f"Grad_{name}"), name)
        self.work.active.update(active)

    def _check(self, name: str, dtypes: Mapping[str, str]) -> None:
        if name not in dtypes:
            raise mistake(
                "FUSE273", None, cure=did_you_mean(name, dtypes) or None, name=name, what="is no tensor of the program"
            )
        if dtypes[name] != "float":
            what = "holds truth values" if dtypes[name] == "bool" else "holds whole numbers"
            raise mistake("FUSE273", self.ir.tensor(name).span, name=name, what=what)

    def program(self) -> Program:
        self._differentiate()
        work = self.work
        forward: list[Made] = []
        for number, found in enumerate(self.ir.equations):
            forward.extend(work.forward.get(number, [Made(found, number)]))
        backward = [replace(made, anchored=True) if loose(made) else made for made in work.backward]
        # A gradient to which nothing is added is 0.
        written = {work.gradient[name] for name in self.seeds} | {made.equation.target.tensor for made in backward}
        axes = {name: None for name in work.gradient.values() if name not in written}
        everything = False
        for _ in range(4):
            text, order = self._text(forward, backward, axes)
            try:
                result = Program(text, path=self.source.path)
            except FuseError:
                if everything:
                    raise
                wrong, others = set(range(len(order))), dict.fromkeys(work.shapes)
                everything = True
            else:
                assert len(result.ir.equations) == len(order)
                wrong, others = misfits(work, result.ir, order)
                others = {name: None for name in others if name not in axes}
                if not wrong and not others:
                    return self._seeded(forward, backward, axes)
            changed = bool(others)
            for place, made in enumerate(order):
                if place in wrong and made is not None and not made.anchored:
                    changed = True
                    for items in (forward, backward):
                        items[:] = [replace(item, anchored=True) if item is made else item for item in items]
            axes.update(others)
            if not changed and not everything:
                break
        raise mistake("FUSE274", self.ir.equations[0].span, name=self.wanted[0])

    def _differentiate(self) -> None:
        work = self.work
        pieces: list[Linear | Aggregate] = []
        cyclic = {name for names, cycle in work.checked.cycles.items() if cycle.kind == "numeric" for name in names}
        for number, found in enumerate(self.ir.equations):
            if found.target.tensor in work.active:
                made = split(work, number)
                pieces.extend(one_more_round(work, number, made) if found.target.tensor in cyclic else made)
        together: dict[str, list[Aggregate]] = {}
        for piece in pieces:
            if isinstance(piece, Aggregate):
                together.setdefault(piece.target.tensor, []).append(piece)
        for piece in reversed(pieces):
            if isinstance(piece, Linear):
                differentiate(work, piece)
            elif piece.target.tensor in together:
                differentiate_aggregates(work, piece.target.tensor, together.pop(piece.target.tensor))

    def _text(
        self, forward: Sequence[Made], backward: Sequence[Made], axes: Iterable[str], seeded: bool = False
    ) -> tuple[str, list[Made | None]]:
        """The program's text and where its equations come from; without seeds, these are 1 everywhere."""
        work = self.work
        order: list[Made | None] = list(forward)
        written = tuple(equations_of(work, made, forward=True) for made in forward)
        lines = [explicit_text(replace(self.ir, equations=written, sinks=(), queries=(), exports=()))]
        lines.append("\n# Gradients.\n")
        for name in self.seeds:
            letters, text = self.seeds[name]
            letters = letters or self._letters(name)
            beside = f" + where(0, {_reference(name, letters)}, 0)" if letters else ""
            lines.append(f"{_reference(work.gradient[name], letters)} += {text if seeded else '1'}{beside}\n")
            order.append(None)
        for name in axes:
            letters = self._letters(work.shapes[name])
            lines.append(equation_text(self._on_axes(name, letters, backward)) + "\n")
            order.append(None)
        for made in backward:
            lines.append(equation_text(equations_of(work, made, forward=False)) + "\n")
            order.append(made)
        lines.append("\nexport " + ", ".join(work.gradient[name] for name in self.wanted) + "\n")
        return "".join(lines), order

    def _on_axes(self, name: str, letters: Sequence[str], backward: Sequence[Made]) -> Equation:
        """An equation that puts a new tensor on the axes it should have, and changes none of its elements."""
        target = read_of(name, letters)
        product = any(made.equation.target.tensor == name and made.equation.operator == "prod=" for made in backward)
        body = anchor((read_of(self.work.shapes[name], letters),), target)
        assert isinstance(body, Call)
        if product:
            body = replace(body, arguments=(*body.arguments[:2], Number(1)))
        return equation(target, body, self.ir.equations[0].span, "prod=" if product else "=")

    def _seeded(self, forward: Sequence[Made], backward: Sequence[Made], axes: Iterable[str]) -> Program:
        return Program(self._text(forward, backward, axes, seeded=True)[0], path=self.source.path)

    def _letters(self, name: str) -> tuple[str, ...]:
        """Letters for the axes of a tensor, those that its definition has where it has any."""
        count = 0
        for made in (*self.ir.equations, *(m.equation for items in self.work.forward.values() for m in items)):
            if made.target.tensor == name:
                count = len(made.target.indices)
                found = [i.variable for i in made.target.indices if isinstance(i, Affine) and i.variable is not None]
                if len(set(found)) == count:
                    return tuple(found)
        tensor = next((t for t in self.ir.tensors if t.name == name), None)
        if tensor is not None and tensor.letters:
            return tensor.letters
        known = {letter for axis in self.ir.axes for letter in axis.letters}
        count = count if tensor is None else len(tensor.axes)
        free = (letter for letter in (f"u{place}" for place in itertools.count()) if letter not in known)
        return tuple(itertools.islice(free, count))


def _seed(item: tuple[str, str]) -> tuple[str, tuple[str, ...], str]:
    key, text = item
    statement = parse(Source(f"{key} += {text}", "<seed>")).statements[0]
    assert isinstance(statement, tree.Equation)
    target = statement.target
    letters = tuple(print_expression(index) for index in target.indices) if isinstance(target, tree.Reference) else ()
    assert isinstance(target, tree.Reference | tree.Name)
    loose = not isinstance(statement.body, tree.Sum | tree.Product | tree.Reference | tree.Name | tree.Number)
    return target.name, letters, f"({text})" if loose else text


def _reference(name: str, letters: Sequence[str]) -> str:
    return f"{name}[{', '.join(letters)}]" if letters else name
