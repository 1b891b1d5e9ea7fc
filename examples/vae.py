"""Train vae.fuse on scikit-learn's digits: two numbers for an image of 64, and back."""

from __future__ import annotations

from pathlib import Path

import torch
from sklearn.datasets import load_digits

from fuse_ref import Program
from fuse_torch import FuseModule


def main(steps: int = 1000) -> tuple[float, float, torch.Tensor]:
    """Nats for each held-out image before and after, and what comes back of those images, (297, 64)."""
    torch.manual_seed(0)
    images = torch.from_numpy(load_digits().images).float().view(-1, 64) / 16
    train, test = images[:1500], images[1500:]
    model = FuseModule(Program.from_file(Path(__file__).with_suffix(".fuse")))
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    noise = torch.randn(len(test), 2)
    before = model(test, noise)["Loss"].item()
    for _ in range(steps):
        batch = train[torch.randint(len(train), (128,))]
        loss = model(batch, torch.randn(128, 2))["Loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return before, model(test, noise)["Loss"].item(), model(test, 0 * noise)["Image"].detach()


if __name__ == "__main__":
    before, after, back = main()
    print(f"nats for each image held out, before and after training: {before:.1f} {after:.1f}\nthe first of them:")
    for row in back[0].view(8, 8):
        print("".join(" .:-=+*%#@"[int(9.99 * ink)] * 2 for ink in row))
