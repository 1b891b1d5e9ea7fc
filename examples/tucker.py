"""Fit tucker.fuse to a relation of 12 × 12 × 6 elements and read off the predicates that it invents."""

from __future__ import annotations

from pathlib import Path

import torch

from fuse_ref import Program
from fuse_torch import FuseModule


def relation() -> torch.Tensor:
    """Helpers 0-5 know subjects 0-2 and help the others, 6-11; those know subjects 3-5 and help back."""
    helps = torch.zeros(12, 12, 6)
    helps[:6, 6:, :3] = 1
    helps[6:, :6, 3:] = 1
    return helps


def main(steps: int = 400) -> tuple[float, list[int]]:
    """The share of the relation that comes back, and the group of each helper under the first predicate."""
    torch.manual_seed(0)
    helps = relation()
    model = FuseModule(Program.from_file(Path(__file__).with_suffix(".fuse")), sizes={"x": 12, "y": 12, "z": 6})
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(steps):
        loss = model(helps)["Loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = model(helps)
    return float((found["Again"] == helps).float().mean()), found["Group"][:, 0].int().tolist()


if __name__ == "__main__":
    print("{:.1%} of the relation comes back; groups of the helpers: {}".format(*main()))
