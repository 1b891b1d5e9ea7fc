"""Draws random programs: every operator, index form, function and nesting, with bounded values."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from tests.fuzz.functions import ALONG, ELEMENTWISE, LEAVING, SHAPED
from tests.fuzz.sketch import Given, Node, Sketch, Statement, leaf, value

__all__ = ["draw"]

_Item = TypeVar("_Item")

OPERATORS = ("=", "=", "=", "=", "+=", "max=", "min=", "avg=", "prod=")
PROJECTORS = ("sum", "sum", "max", "min", "avg", "prod")
COMPARATORS = ("<", "<=", ">", ">=", "==", "!=")

# What programs read. Letters are axes; W, V and G are read at computed positions.
GIVEN = {
    "A": Given("ij"),
    "B": Given("jk"),
    "C": Given("i"),
    "D": Given("k"),
    "E": Given("ki"),
    "M": Given("jj"),
    "T": Given("ijk"),
    "S": Given(""),
    "W": Given("w"),
    "V": Given("v"),
    "G": Given("vu"),
    "R": Given("jk", "relation"),
    "N": Given("j", "classes"),
    "Q": Given("s"),
}
_POSITIONS = (
    "{a}+{b}",
    "2*{a}",
    "{a}-{b}",
    "{a}+1",
    "{a}-1",
    "4-{a}",
    "2*{a}+{b}",
    "3-{a}+{b}",
    "2",
    "{a}+2*{b}+1",
    "{a}/2",
    "({a}+1)/2",
    "({a}+{b})/2",
    "{a}+{b}+{c}",
    "N[j]",
    "N[j]+1",
    "2*{a}-1",
    "-1",
    "K0",
    "K0-1+{a}",
    "0:2",
    "1:3",
    "::2",
    "-2:",
)
_TARGETS = (
    "{l}/2",
    "{l}/2",
    "{l}/2",
    "{l}+1",
    "2*{l}",
    "1",
    "3-{l}",
    "2*{l}+1",
    "({l}+1)/2",
    "{l}/3",
    "0:2",
    "{l}+{m}",
    "0",
    "N[j]",
)


class _Writer:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        sizes = {"i": self.pick((1, 2, 2, 3)), "j": self.pick((1, 2, 3, 3)), "k": self.pick((1, 2, 4, 4))}
        self.sizes = sizes | {"w": 9, "v": 5, "u": 4, "s": 3}
        self.defined: dict[str, str] = {}  # computed tensors that later equations may read: letters of their axes
        self.pool: list[str] = ["i", "j", "k"]
        self.target: list[str] = []

    def pick(self, items: Sequence[_Item]) -> _Item:
        return self.random.choice(items)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def letter(self) -> str:
        if self.target and self.chance(0.4):
            return self.pick(self.target)
        return self.pick(self.pool)

    # References ---------------------------------------------------------------------------------

    def index(self, letter: str) -> Node:
        if self.chance(0.86):
            primed = f"{letter}'"
            usual = primed if primed in self.target and self.chance(0.5) else letter
            return leaf("index", usual)
        forms = [
            f"{letter}'",
            "0",
            "-1",
            f"{letter}-1",
            f"{letter}+1",
            "0:1",
            f"{letter}/2",
            ":",
            f"{letter}+{self.letter()}",
        ]
        return leaf("index", self.pick(forms))

    def position(self) -> Node:
        a, b, c = (self.random.sample(self.pool, 3) + self.pool)[:3]
        if self.target and self.chance(0.6):
            a = self.pick(self.target)
        return leaf("index", self.pick(_POSITIONS).format(a=a, b=b, c=c))

    def reference(self) -> Node:
        draw = self.random.random()
        if draw < 0.14:
            return value(f"{self.pick(['W', 'V'])}[{{}}]", self.position())
        if draw < 0.18:
            return value("G[{}, {}]", self.position(), self.position())
        if draw < 0.24:
            return leaf("value", self.pick(["R(j, k)", "R(j', k)", "R[j, k']", "R(j, 0)", "R[j, k]"]))
        if draw < 0.28:
            return leaf("value", self.letter())  # a position as a value
        if draw < 0.30:
            return leaf("value", self.pick(["Q[Ann]", "Q[Bob]", "Q[s]", "(s != Bob) Q[s]", "Q[s] (s == Cid)"]))
        if draw < 0.33:
            return leaf(
                "value", self.pick(["N[j]", "A[i, N[j]]", "B[N[j], k]", "L[j]", "L[i]", "K1", "F[s]", "F[Ann]"])
            )
        tensors = [(name, item.axes) for name, item in GIVEN.items() if name in "ABCDEMTS"]
        computed = list(self.defined.items())
        name, axes = self.pick(computed if computed and self.chance(0.4) else tensors)
        if not axes:
            return leaf("value", name)
        indices = [self.index(letter) for letter in axes]
        return value(f"{name}[{', '.join(['{}'] * len(indices))}]", *indices)

    def relation(self) -> Node:
        return leaf("truth", self.pick(["R(j, k)", "not R(j, k)", "A(i, j)", "R(j, 0)", "D(k)"]))

    # Expressions --------------------------------------------------------------------------------

    def truth(self, depth: int) -> Node:
        draw = self.random.random()
        if draw < 0.2:
            return self.relation()
        if draw < 0.4:
            # Two bare letters would join their axes; one beside a sum does not.
            other = self.pick([f"{self.letter()} + 0", f"{self.letter()} + 1", "1", "0"])
            return leaf("truth", f"{self.letter()} {self.pick(COMPARATORS)} {other}")
        if draw < 0.55 and depth > 0:
            joined = self.pick(["({} and {})", "({} or {})"])
            return Node("truth", joined, (self.truth(depth - 1), self.truth(depth - 1)))
        if draw < 0.62:
            return Node("truth", "not ({})", (self.truth(0),))
        operator = self.pick(COMPARATORS[:4])
        return Node("truth", f"({{}}) {operator} ({{}})", (self.expression(max(depth - 1, 0)), self.reference()))

    def call(self, depth: int) -> Node:
        template = self.pick(ELEMENTWISE[self.pick(list(ELEMENTWISE))])
        return self.filled(template, depth)

    def filled(self, template: str, depth: int, axis: str = "") -> Node:
        """A call whose holes are drawn: {} a value, {t} a condition, {l} a letter, {a} the axis."""
        template = template.replace("{l}", self.letter()).replace("{a}", axis)
        parts: list[Node] = []
        text = ""
        rest = template
        while rest:
            at = min((rest.find(hole) for hole in ("{}", "{t}") if hole in rest), default=-1)
            if at < 0:
                text += rest
                break
            truth = rest.startswith("{t}", at)
            text += rest[:at] + ("{}" if truth else "({})")
            parts.append(self.truth(0) if truth else self.expression(depth - 1))
            rest = rest[at + (3 if truth else 2) :]
        return value(text, *parts)

    def along(self, depth: int) -> Node:
        leaving = self.chance(0.25)
        table = LEAVING if leaving else ALONG
        kept = [letter for letter in self.target if "'" not in letter]
        if leaving or not kept or self.chance(0.4):
            axis = self.pick(self.pool)
            call = self.filled(self.pick(table[self.pick(list(table))]), depth, axis)
            return call if leaving else value(f"{self.pick(['sum', 'max'])}({axis}: {{}} {axis})", call)
        return self.filled(self.pick(table[self.pick(list(table))]), depth, self.pick(kept))

    def expression(self, depth: int) -> Node:
        if depth <= 0:
            return self.reference() if self.chance(0.92) else leaf("value", self.pick(["2", "0.5", "3", "K1"]))
        inner = self.expression
        match self.random.randrange(15):
            case 0 | 1 | 2:
                return value(f"{{}} {self.pick('+-')} {{}}", inner(depth - 1), inner(depth - 1))
            case 3 | 4 | 5:
                factors = [inner(self.pick([0, 0, depth - 1])) for _ in range(self.pick([2, 2, 2, 3, 3, 4, 5]))]
                return value(" ".join(["({})"] * len(factors)), *factors)
            case 6:
                return value("({}) / (1 + abs({}))", inner(depth - 1), inner(depth - 1))
            case 7:
                powers = ["({})**2", "({})**3", "(0.5 + abs({}))**0.5", "(1 + abs({}))**-1", "2**tanh({})"]
                return value(self.pick(powers), inner(depth - 1))
            case 8 | 9:
                return self.call(depth)
            case 10:
                letters = self.random.sample(self.pool, self.pick([1, 1, 2]))
                return value(f"{self.pick(PROJECTORS)}({', '.join(letters)}: {{}})", inner(depth - 1))
            case 11:
                return self.along(depth)
            case 12:
                if self.chance(0.5):
                    template = "case {{ {} -> {}; default -> {} }}"
                    return Node("value", template, (self.truth(1), inner(depth - 1), self.reference()))
                template = "case {{ {} -> {}; {} -> {} }}"
                return Node("value", template, (self.truth(1), inner(depth - 1), self.truth(0), self.reference()))
            case 13:
                return value(self.pick(["-{}", "-({}) + 1", "({}) S", "2 ({}) / 4", "(({}) > 0.1)"]), inner(depth - 1))
            case _:
                return Node("value", "({}) ({})", (inner(depth - 1), self.truth(0)))

    # Programs -----------------------------------------------------------------------------------

    def body(self, operator: str) -> Node:
        # Mostly flat: what nests deeply is rarely well-typed, and a fault needs few nodes.
        body = self.expression(self.pick([1, 1, 2, 2, 2, 3, 4]))
        if operator not in ("=", "+=") and self.chance(0.35):
            return Node(
                "value", self.pick(["({}) ({})", "{1}, {0}"]).replace("{1}, {0}", "({}) * ({})"), (body, self.truth(0))
            )
        if not self.target or operator not in ("=", "+=") or self.chance(0.45):
            return body
        # A term that has the indices of the left-hand side gives them sizes.
        axes = [letter.rstrip("'") for letter in self.target]
        carrier = {("i",): "C", ("k",): "D", ("i", "j"): "A", ("j", "k"): "B", ("k", "i"): "E", ("j",): "M"}.get(
            tuple(axes)
        )
        if carrier is None:
            return body
        letters = [*self.target, "0"] if carrier == "M" else self.target
        return value(f"{{}} {self.pick('+-')} {carrier}[{', '.join(letters)}]", body)

    def equations(self, name: str) -> list[Statement]:
        shaped = [pair for calls in SHAPED.values() for pair in calls]
        if shaped and self.chance(0.06):
            left, text = self.pick(shaped)
            return [Statement(f"{name}[{left}]", name, "=", leaf("value", text))]
        extra = self.random.sample(["i'", "j'", "k'"], self.pick([0, 0, 1]))
        self.pool = ["i", "j", "k", *extra]
        self.target = self.random.sample(self.pool, self.pick([0, 1, 1, 2, 2, 2, 3]))
        indices = [
            letter if self.chance(0.8) else self.pick(_TARGETS).format(l=letter, m=self.letter())
            for letter in self.target
        ]
        target = f"{name}[{', '.join(indices)}]" if indices else name
        operator = self.pick(OPERATORS)
        made = [Statement(target, name, operator, self.body(operator))]
        if self.chance(0.22):
            made.append(Statement(target, name, operator, self.expression(1)))
        if self.chance(0.1):
            places = [self.pick(["0", "1"]) if self.chance(0.6) else letter for letter in self.target]
            head = f"{name}[{', '.join(places)}]" if places else name
            number = leaf("value", self.pick(["0.7", "-1", "2"]))
            made.append(Statement(head, name, "=" if not set(places) & set(self.target) else operator, number))
        if indices == self.target and not any("'" in letter for letter in self.target):
            self.defined[name] = "".join(self.target)
        return made


def draw(seed: int) -> Sketch:
    """The program of a seed. Some have no meaning (a variable without a size): those must be refused alike."""
    writer = _Writer(seed)
    lines = [Statement("input R(j, k)"), Statement("input N[j]: int64"), Statement("axis s = {Ann, Bob, Cid}")]
    # Without these lines a tensor that is only read in round brackets would take truth values.
    lines += [Statement("input A[i, j]"), Statement("input D[k]")]
    lines.append(Statement("K0 = 2"))
    lines.append(Statement("K1 = 0.75"))
    lines += [Statement("F[Ann] = 0.8", "F"), Statement("F[Cid] = -0.3", "F")]
    lines.append(Statement(f"L[j] = [{', '.join(['0.5', '-1', '2'][: writer.sizes['j']])}]", "L"))
    shown = {letter: writer.sizes[letter] for letter in "ijk"}
    if writer.chance(0.85):
        if writer.chance(0.06):
            shown[writer.pick("ijk")] += writer.pick([-1, 1])  # cuts what is computed, or refuses what is given
        lines.append(Statement("axis " + ", ".join(f"{letter} = {size}" for letter, size in shown.items() if size > 0)))
    names = ["Y", "Z", "U", "X"][: writer.pick([1, 2, 2, 3, 4])]
    for name in names:
        lines += writer.equations(name)
    kept = tuple(name for name in names[:-1] if writer.chance(0.5))
    # Classes beyond their axis are an error in torch and NaN elsewhere: on an axis of one position all are 0.
    single = 1 in shown.values() and any("cross_entropy" in line.text() for line in lines)
    classes = replace(GIVEN["N"], classes=1 if single else 2)
    return Sketch(seed, tuple(lines), (*kept, names[-1]), GIVEN | {"N": classes}, writer.sizes)
