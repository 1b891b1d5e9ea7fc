"""Random functions of torch that multiply and sum, spelled in many ways and in no good order."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch

__all__ = ["Contractions", "contractions"]


@dataclass(frozen=True, slots=True)
class Contractions:
    """A function of several tensors, the text that it was made from, and the shapes that it takes."""

    text: str
    function: Callable[..., torch.Tensor]
    labels: tuple[str, ...]  # of each argument
    ones: tuple[frozenset[str], ...]  # where an argument has size 1 against others

    def shapes(self, sizes: dict[str, int]) -> list[tuple[int, ...]]:
        return [
            tuple(1 if label in ones else sizes[label] for label in labels)
            for labels, ones in zip(self.labels, self.ones, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class _Value:
    name: str
    labels: str
    ones: frozenset[str]  # labels of size 1 here


class _Writer:
    """Writes one function, line by line."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []

    def line(self, text: str, labels: str, ones: frozenset[str]) -> _Value:
        name = f"t{len(self.lines)}"
        self.lines.append(f"    {name} = {text}")
        return _Value(name, labels, ones & frozenset(labels))

    def ordered(self, value: _Value, labels: str) -> _Value:
        """The value with its dimensions in another order, in one of the spellings."""
        if value.labels == labels:
            return value
        dims = tuple(value.labels.index(label) for label in labels)
        spellings = [f"{value.name}.permute{dims}", f"torch.permute({value.name}, {dims})"]
        if len(dims) == 2:
            spellings += [f"{value.name}.{how}" for how in ("T", "mT", "t()", "transpose(0, 1)", "swapaxes(-1, -2)")]
        return self.line(self.random.choice(spellings), labels, value.ones)

    def shuffled(self, value: _Value) -> _Value:
        """Something that changes little: another order of dimensions, a number, a copy."""
        match self.random.randrange(8):
            case 0:
                return self.ordered(value, "".join(self.random.sample(value.labels, len(value.labels))))
            case 1:
                text = self.random.choice(["{} * 0.5", "{} / 2.0", "-{}", "2 * {}", "torch.div({}, 4)"])
                return self.line(text.format(value.name), value.labels, value.ones)
            case 2:
                return self.line(f"{value.name}.contiguous()", value.labels, value.ones)
        return value

    def product(self, left: _Value, right: _Value, kept: str) -> _Value:
        """The product of two values, summed over what is not kept."""
        labels = [label for label in dict.fromkeys(left.labels + right.labels) if label in kept]
        self.random.shuffle(labels)
        output = "".join(labels)
        ones = frozenset(
            label for label in output if all(label in value.ones for value in (left, right) if label in value.labels)
        )
        for spelling in self.random.sample(["einsum", "matmul", "linear", "sum"], 4):
            made = getattr(self, f"_{spelling}")(left, right, output, ones)
            if made is not None:
                return made
        raise AssertionError("einsum always fits")

    def _einsum(self, left: _Value, right: _Value, output: str, ones: frozenset[str]) -> _Value:
        return self.line(
            f"torch.einsum('{left.labels},{right.labels}->{output}', {left.name}, {right.name})", output, ones
        )

    def _roles(self, left: _Value, right: _Value, output: str) -> tuple[str, str, str, str]:
        shared = [label for label in left.labels if label in right.labels]
        batch = "".join(label for label in shared if label in output)
        summed = "".join(label for label in shared if label not in output)
        rows = "".join(label for label in left.labels if label not in shared)
        columns = "".join(label for label in right.labels if label not in shared)
        return batch, summed, rows, columns

    def _fits(self, left: _Value, right: _Value, output: str) -> bool:
        _, summed, rows, columns = self._roles(left, right, output)
        equal = (summed in left.ones) == (summed in right.ones)
        return len(summed) == 1 and equal and all(label in output for label in rows + columns)

    def _matmul(self, left: _Value, right: _Value, output: str, ones: frozenset[str]) -> _Value | None:
        batch, summed, rows, columns = self._roles(left, right, output)
        if not self._fits(left, right, output):
            return None
        if len(rows) > 1 or len(columns) > 1 or (batch and not (rows and columns)):
            return None
        first, second = self.ordered(left, batch + rows + summed), self.ordered(right, batch + summed + columns)
        spellings = ["{} @ {}", "torch.matmul({}, {})", "{}.matmul({})"]
        if len(first.labels) == len(second.labels) == 2:
            spellings += ["torch.mm({}, {})", "{}.mm({})"]
        elif len(first.labels) == len(second.labels) == 3 and not (first.ones | second.ones) & set(batch):
            spellings += ["torch.bmm({}, {})", "{}.bmm({})"]
        elif len(first.labels) == 2 and len(second.labels) == 1:
            spellings += ["torch.mv({}, {})"]
        elif len(first.labels) == len(second.labels) == 1:
            spellings += ["torch.dot({}, {})"]
        text = self.random.choice(spellings).format(first.name, second.name)
        return self.line(text, batch + rows + columns, ones)

    def _linear(self, left: _Value, right: _Value, output: str, ones: frozenset[str]) -> _Value | None:
        batch, summed, rows, columns = self._roles(left, right, output)
        if not self._fits(left, right, output) or batch or not rows or len(columns) != 1:
            return None
        first, second = self.ordered(left, rows + summed), self.ordered(right, columns + summed)
        return self.line(f"F.linear({first.name}, {second.name})", rows + columns, ones)

    def _sum(self, left: _Value, right: _Value, output: str, ones: frozenset[str]) -> _Value:
        both = "".join(dict.fromkeys(left.labels + right.labels))
        parts = []
        for value in (left, right):
            mine = self.ordered(value, "".join(label for label in both if label in value.labels))
            index = ", ".join(":" if label in value.labels else "None" for label in both)
            parts.append(mine if "None" not in index else self.line(f"{mine.name}[{index}]", "", frozenset()))
        made = self.line(f"{parts[0].name} * {parts[1].name}", both, ones | (left.ones & right.ones))
        summed = tuple(dim for dim, label in enumerate(both) if label not in output)
        if not summed:
            return made
        text = self.random.choice(["{}.sum({})", "torch.sum({}, dim={})"]).format(made.name, summed)
        return self.line(text, "".join(label for label in both if label in output), ones)


def contractions(seed: int) -> Contractions:
    """A random product of three to six tensors, each with up to three dimensions."""
    write = _Writer(seed)
    pick = write.random
    count = pick.randint(3, 6)
    letters = "abcdef"[: pick.randint(3, 6)]
    values: list[_Value] = []
    for number in range(count):
        labels = "".join(pick.sample(letters, pick.choice([1, 2, 2, 2, 3])))
        ones = frozenset(label for label in labels if pick.random() < 0.07)
        values.append(_Value(f"x{number}", labels, ones))
    arguments = list(values)
    known = sorted({label for value in values for label in value.labels})
    output = "".join(pick.sample(known, min(len(known), pick.randint(0, 3))))
    again = ""
    while len(values) > 1:
        right = values.pop(pick.randrange(len(values)))
        left = values.pop(pick.randrange(len(values)))
        kept = output + "".join(value.labels for value in values)
        values.append(write.shuffled(write.product(left, right, kept)))
        if pick.random() < 0.15:  # used twice: where one tree ends and another begins
            again = f" + {values[-1].name}.sum()"
    (last,) = values
    text = "\n".join(
        [f"def f({', '.join(value.name for value in arguments)}):", *write.lines, f"    return {last.name}{again}"]
    )
    space: dict[str, object] = {"torch": torch, "F": torch.nn.functional}
    exec(compile(text, f"<contractions {seed}>", "exec"), space)
    function = space["f"]
    assert callable(function)
    return Contractions(
        text, function, tuple(value.labels for value in arguments), tuple(value.ones for value in arguments)
    )
