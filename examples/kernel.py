"""Train kernel.fuse on scikit-learn's breast cancer data and judge patients that it has not seen."""

from __future__ import annotations

from pathlib import Path

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fuse_ref import Program
from fuse_torch import FuseModule


def main(steps: int = 100) -> float:
    """The share of right answers on a quarter of the patients that was held out."""
    data = load_breast_cancer()
    parts = train_test_split(data.data, 2 * data.target - 1, test_size=0.25, stratify=data.target, random_state=0)
    scale = StandardScaler().fit(parts[0])
    train, test = (torch.tensor(scale.transform(part), dtype=torch.float32) for part in parts[:2])
    train_sign, test_sign = (torch.tensor(part, dtype=torch.float32) for part in parts[2:])
    model = FuseModule(Program.from_file(Path(__file__).with_suffix(".fuse")), sizes={"i": len(train)})
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(steps):
        loss = model(train, train, train_sign)["Loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float((model(train, test, test_sign)["Judged"] == test_sign).float().mean())


if __name__ == "__main__":
    print(f"right on {100 * main():.1f} % of the patients held out")
