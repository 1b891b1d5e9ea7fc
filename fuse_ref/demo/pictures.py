"""Learning curve and confusion matrix as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fuse_ref.demo.training import Epoch

__all__ = ["confusion", "draw_confusion", "draw_curve"]


def draw_curve(epochs: tuple[Epoch, ...], path: Path) -> None:
    """Loss and accuracies over the epochs."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    loss, share = figure.subplots(1, 2)
    numbers = range(1, len(epochs) + 1)
    loss.semilogy(numbers, [epoch.loss for epoch in epochs], color="tab:blue")
    loss.set(xlabel="epoch", ylabel="cross-entropy (nats)", title="training loss")
    share.plot(numbers, [100 * epoch.train_accuracy for epoch in epochs], label="training", color="tab:blue")
    share.plot(numbers, [100 * epoch.test_accuracy for epoch in epochs], label="held out", color="tab:orange")
    share.axhline(97, color="grey", linewidth=0.8, linestyle="--", label="97 %")
    share.set(xlabel="epoch", ylabel="right (%)", title="accuracy", ylim=(80, 100.5))
    share.legend(loc="lower right")
    _save(figure, path)


def confusion(log_prob: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts (true class, predicted class)."""
    classes = log_prob.shape[1]
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, log_prob.argmax(axis=1)), 1)
    return counts


def draw_confusion(counts: NDArray[np.int64], path: Path) -> None:
    """The counts as a matrix with its numbers written in."""
    figure = Figure(figsize=(5.4, 5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(counts, cmap="Blues")
    dark = counts.max() / 2
    for (row, column), count in np.ndenumerate(counts):
        if count:
            axes.text(column, row, str(count), ha="center", va="center", color="white" if count > dark else "black")
    right = 100 * np.trace(counts) / counts.sum()
    axes.set(xlabel="predicted digit", ylabel="true digit", title=f"held-out digits: {right:.1f} % right")
    axes.set_xticks(range(len(counts)))
    axes.set_yticks(range(len(counts)))
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    # Agg by name: no window system, whatever the user's matplotlib is set to.
    FigureCanvasAgg(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
