"""denoise.fuse on scikit-learn's digits: pixels that were turned over are found by what their neighbours say.

Both parameters are learned through the fixpoint: its gradient needs the messages that came out, not the rounds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from fuse_torch import ExecutionConfig, FuseModule, Program


def main(steps: int = 20, images: int = 64) -> tuple[float, float]:
    """The share of right pixels before and after, on images that were not learned from."""
    rng = np.random.default_rng(0)
    clean = load_digits().images[: 2 * images] > 7
    seen = np.where(rng.random(clean.shape) < 0.15, ~clean, clean)
    both = np.stack([~clean, clean], axis=-1)
    given = {"Seen": torch.from_numpy(seen * 2.0 - 1).float(), "Clean": torch.from_numpy(both).float()}
    model = FuseModule(Program.from_file(Path(__file__).with_suffix(".fuse")), config=ExecutionConfig(tol=1e-4))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.2)
    for _ in range(steps):
        optimiser.zero_grad()
        model({name: value[:images] for name, value in given.items()})["Loss"].backward()
        optimiser.step()
    with torch.no_grad():
        belief = model({name: value[images:] for name, value in given.items()})["Belief"]
    right = float((belief.argmax(-1).bool().numpy() == clean[images:]).mean())
    before = float((seen == clean)[images:].mean())
    learned = ", ".join(f"{name} {value.item():.2f}" for name, value in model.named_parameters())
    print(f"right pixels: {before:.1%} as seen, {right:.1%} as believed, with {learned}")
    return before, right


if __name__ == "__main__":
    main()
