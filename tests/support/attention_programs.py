"""Random spellings of attention, with masks of all kinds that drop whole rows now and then."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import torch

__all__ = ["Attentions", "attention"]


@dataclass(frozen=True, slots=True)
class Attentions:
    """A function of queries, keys, values and masks, and the text that it was made from."""

    text: str
    function: Callable[..., torch.Tensor]
    labels: tuple[str, str, str]
    masks: tuple[tuple[str, str], ...]  # kind and labels; "." is a dimension of size 1

    def inputs(self, sizes: dict[str, int], dtype: torch.dtype, seed: int) -> list[torch.Tensor]:
        """Values for one call; queries, keys and values take part in training."""
        made = torch.Generator().manual_seed(seed)

        def drawn(labels: str) -> torch.Tensor:
            return torch.randn([sizes.get(label, 1) for label in labels], generator=made, dtype=torch.float64)

        found = [drawn(labels).to(dtype).requires_grad_() for labels in self.labels]
        for kind, labels in self.masks:
            mask = drawn(labels)
            dropped = mask > 0.3
            dropped[..., 0, :] = True
            if kind == "bool":
                found.append(dropped)
            else:
                found.append(mask.masked_fill(dropped, float("-inf") if kind == "-inf" else -3.0).to(dtype))
        return found


def attention(seed: int) -> Attentions:
    """One spelling: dimensions, products, factors, masks, softmax, dropout and a product with the values."""
    pick = random.Random(seed)
    batch = pick.choice(["", "b", "bh", "bh"])
    query, key, value = batch + "pd", batch + "qd", batch + "qv"
    if batch == "bh" and pick.random() < 0.3:
        key, value = "bqd", "bqv"
    lines, masks = [], []
    scores = batch + "pq"
    if pick.random() < 0.2:
        lines.append(f"q = q * {pick.choice([0.25, 3])}")
    if key[:-2] != batch or pick.random() < 0.4:
        lines.append(f"s = torch.einsum('{query},{key}->{scores}', q, k)")
    else:
        turned = pick.choice(["k.mT", "k.transpose(-1, -2)", "torch.swapaxes(k, -2, -1)", "k.transpose(-2, -1)"])
        lines.append(f"s = {pick.choice(['q @ {}', 'torch.matmul(q, {})', 'q.matmul({})']).format(turned)}")
    if pick.random() < 0.7:
        scalings = ["s / math.sqrt(8)", "s * 0.5", "0.125 * s", "s.div(2.0)", "s * q.size(-1) ** -0.5"]
        lines.append(f"s = {pick.choice(scalings)}")
    for _ in range(pick.choice([0, 1, 1, 2])):
        name = f"m{len(masks)}"
        labels = "".join(label if pick.random() < 0.7 else "." for label in scores)
        if "." not in labels and pick.random() < 0.5:
            labels = scores[-2:]
        kind = pick.choice(["bool", "bool", "finite", "-inf", "causal"])
        match kind:
            case "bool":
                fills = ["float('-inf')", "float('-inf')", "-1e9", "torch.finfo(s.dtype).min", "-100.0"]
                fill = pick.choice(fills)
                written = [f"s.masked_fill({name}, {fill})", f"torch.where({name}, {fill}, s)"]
                written += [f"torch.where(~{name}, s, {fill})", f"torch.masked_fill(s, {name}, {fill})"]
                masks.append((kind, labels))
            case "causal":
                ones = "torch.ones(s.size(-2), s.size(-1), dtype=torch.bool)"
                full = "torch.full((s.size(-2), s.size(-1)), float('-inf'), dtype=s.dtype)"
                written = [
                    f"s.masked_fill(torch.tril({ones}) == 0, float('-inf'))",
                    f"torch.where({ones}.tril({pick.randint(-1, 2)}), s, float('-inf'))",
                    f"s + torch.triu({full}, {pick.randint(0, 2)})",
                ]
            case _:
                written = [f"s + {name}", f"{name} + s"]
                masks.append((kind, labels))
        lines.append(f"s = {pick.choice(written)}")
    if pick.random() < 0.15:
        lines.append("s = s * 0.5")
    lines.append(f"w = {pick.choice(['s.softmax(-1)', 'torch.softmax(s, dim=-1)', 'F.softmax(s, dim=-1)'])}")
    if pick.random() < 0.3:
        lines.append("w = F.dropout(w, 0.1, training=False)")
    output = batch + "pv"
    if value[:-2] != batch or pick.random() < 0.4:
        turned = pick.choice([output, output[:-3] + output[-2] + output[-3] + "v" if batch else output])
        lines.append(f"return torch.einsum('{scores},{value}->{turned}', w, v)")
    else:
        lines.append(pick.choice(["return w @ v", "return torch.matmul(w, v)"]))
    names = ["q", "k", "v", *(f"m{number}" for number in range(len(masks)))]
    text = "\n    ".join([f"def f({', '.join(names)}):", *lines])
    space: dict[str, object] = {"torch": torch, "F": torch.nn.functional, "math": math}
    exec(compile(text, f"<attention {seed}>", "exec"), space)
    function = space["f"]
    assert callable(function)
    return Attentions(text, function, (query, key, value), tuple(masks))
