"""gnn.fuse on 800 handwritten digits joined to their nearest ones: 40 labels are known, the rest is inferred."""

from __future__ import annotations

from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import kneighbors_graph

from fuse_ref import Program
from fuse_torch import FuseModule


def main(steps: int = 150) -> float:
    """The share of right answers among the digits whose label is not known."""
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    images, labels = images[:800] / 16, torch.from_numpy(labels[:800])
    near = kneighbors_graph(images, 8, include_self=True).toarray()
    near = torch.tensor(near + near.T > 0, dtype=torch.float32)
    known = torch.zeros(800)
    for digit in range(10):
        known[(labels == digit).nonzero()[:4]] = 1  # four of each
    x = torch.tensor(images, dtype=torch.float32)
    model = FuseModule(Program.from_file(Path(__file__).with_suffix(".fuse")), sizes={"d": 64})
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=1e-3)
    for _ in range(steps):
        loss = model(near, x, labels, known)["Loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float(model(near, x, labels, known)["Right"][known == 0].mean())


if __name__ == "__main__":
    print(f"right on {100 * main():.1f} % of 760 digits, with 40 labels known")
