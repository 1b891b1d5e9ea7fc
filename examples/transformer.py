"""Train transformer.fuse on Python's own documentation, a text in the standard library: guess hidden characters."""

from __future__ import annotations

from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import torch

from fuse_ref import Program
from fuse_torch import FuseModule


def main(steps: int = 400) -> tuple[float, float]:
    """The loss on text that was held out, in nats for each hidden character, before and after training."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    text = " ".join("\n".join(topics.values()).split()).encode("ascii", "replace")
    codes = torch.from_numpy(np.clip(np.frombuffer(text, np.uint8).astype(np.int64) - 32, 0, 94))
    lines = codes[: len(codes) // 32 * 32].view(-1, 32)
    held_out, lines = lines[::20], lines[torch.arange(len(lines)) % 20 != 0]
    model = FuseModule(Program.from_file(Path(__file__).with_suffix(".fuse")))
    compiled = torch.compile(model, backend="fuse", options={"fuse.inner": "aot_eager"})
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    draw, hidden = torch.Generator().manual_seed(0), (torch.rand(held_out.shape) < 0.15).float()
    judged = (held_out.where(hidden == 0, 95), held_out, hidden)
    before = model(*judged)["Loss"].item()
    for _ in range(steps):
        batch = lines[torch.randint(len(lines), (64,), generator=draw)]
        mask = (torch.rand(batch.shape, generator=draw) < 0.15).float()
        loss = compiled(batch.where(mask == 0, 95), batch, mask)["Loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return before, model(*judged)["Loss"].item()


if __name__ == "__main__":
    print("nats for each hidden character, before and after: {:.2f} {:.2f}".format(*main()))
