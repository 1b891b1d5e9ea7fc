"""Small random programs: whatever the rules of projection and ranges make of them, all engines agree on it."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

__all__ = ["RandomProgram", "random_program"]

SIZES = {"i": 2, "j": 3, "k": 4}
# What programs read: letters are axes; W and V are read at computed positions, R is a relation.
TENSORS = {"A": "ij", "B": "jk", "C": "i", "D": "k", "E": "ki", "M": "jj", "S": ""}
LONG = {"W": 9, "V": 5}
FUNCTIONS = (
    "tanh({})",
    "relu({})",
    "abs({})",
    "sig({})",
    "exp(-abs({}))",
    "step({})",
    "max({}, 0.3)",
    "min({0}, {0}**2)",
)


@dataclass(frozen=True)
class RandomProgram:
    text: str
    values: dict[str, np.ndarray]


class _Writer:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.defined: dict[str, str] = {}  # computed tensors that later equations may read

    def letters(self, count: int) -> list[str]:
        return self.random.sample(list(SIZES), count)

    def reference(self) -> str:
        pick = self.random.random()
        if pick < 0.16:
            return f"{self.random.choice(list(LONG))}[{self.position()}]"
        if pick < 0.22:
            return self.random.choice(["R(j, k)", "R(j', k)", "R[j, k']", "R(j, 0)"])
        if pick < 0.28:
            return self.random.choice(list(SIZES))  # a position as a value
        name, axes = self.random.choice([*TENSORS.items(), *self.defined.items()])
        if not axes:
            return name
        indices = [
            letter if self.random.random() < 0.85 else self.random.choice([f"{letter}'", "0", "-1", "1", f"{letter}-1"])
            for letter in axes
        ]
        return f"{name}[{', '.join(indices)}]"

    def position(self) -> str:
        a, b = self.letters(2)
        return self.random.choice(
            [
                f"{a}+{b}",
                f"2*{a}",
                f"{a}-{b}",
                f"{a}+1",
                f"{a}-1",
                f"4-{a}",
                f"2*{a}+{b}",
                f"3-{a}+{b}",
                "2",
                a,
                f"{a}+2*{b}+1",
            ]
        )

    def expression(self, depth: int) -> str:
        if depth == 0:
            return self.reference() if self.random.random() < 0.9 else self.random.choice(["2", "0.5", "3"])
        inner = [self.expression(depth - 1) for _ in range(2)]
        match self.random.randrange(11):
            case 0 | 1:
                return f"{inner[0]} {self.random.choice('+-')} {inner[1]}"
            case 2 | 3 | 4:
                return f"({inner[0]}) ({inner[1]})"
            case 5:
                return f"({inner[0]}) / (1 + abs({inner[1]}))"
            case 6:
                return f"({inner[0]})**2"
            case 7:
                return self.random.choice(FUNCTIONS).format(inner[0])
            case 8:
                operator = self.random.choice(["sum", "max", "min", "avg", "prod"])
                return f"{operator}({', '.join(self.letters(self.random.choice([1, 1, 2])))}: {inner[0]})"
            case 9:
                function = self.random.choice(["softmax", "log_softmax", "lnorm"])
                letter = self.letters(1)[0]
                return f"{self.random.choice(['sum', 'max'])}({letter}: {function}({inner[0]} + {letter} / 3, axis={letter}) {letter})"
            case _:
                return f"case {{ {inner[0]} > {self.reference()} -> {inner[1]}; default -> {self.reference()} }}"

    def equation(self, name: str) -> str:
        axes = self.letters(self.random.randrange(3))
        indices = [
            letter
            if self.random.random() < 0.85
            else self.random.choice([f"{letter}/2", f"{letter}+1", f"2*{letter}", "1", f"3-{letter}"])
            for letter in axes
        ]
        operator = self.random.choice(["=", "=", "=", "=", "max=", "min=", "avg=", "prod="])
        target = f"{name}[{', '.join(indices)}]" if indices else name
        lines = [f"{target} {operator} {self.expression(self.random.choice([1, 2, 2, 3]))}"]
        if self.random.random() < 0.2:
            lines.append(f"{target} {operator} {self.expression(1)}")
        if indices == axes:
            self.defined[name] = "".join(axes)
        return "\n".join(lines)


def random_program(seed: int) -> RandomProgram:
    """The program of a seed; some have no meaning (a variable without a size), which is an agreement too."""
    writer = _Writer(seed)
    lines = ["input R(j, k)"]
    if writer.random.random() < 0.7:
        lines.append("axis i = 2, j = 3, k = 4")
    names = ["Y", "Z", "U"][: writer.random.choice([1, 2, 3])]
    lines += [writer.equation(name) for name in names]
    lines.append(f"export {', '.join(names)}")
    rng = np.random.default_rng(seed)
    values = {name: rng.uniform(-1, 1, [SIZES[letter] for letter in axes]) for name, axes in TENSORS.items()}
    values |= {name: rng.uniform(-1, 1, size) for name, size in LONG.items()}
    values["R"] = rng.uniform(size=(SIZES["j"], SIZES["k"])) < 0.5
    return RandomProgram("\n".join(lines), values)
