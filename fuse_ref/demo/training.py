"""Training a Fuse program in PyTorch: `torch.compile(model, backend="fuse")` and Adam."""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from fuse_ref.demo.data import Digits
from fuse_ref.program import Program
from fuse_ref.records import dataclass
from fuse_torch import FuseModule

__all__ = ["Epoch", "Trained", "train"]

BATCH = 64
LEARNING_RATE = 1e-2  # the highest of a one-cycle schedule
WEIGHT_DECAY = 1e-4


@dataclass(frozen=True, slots=True)
class Epoch:
    loss: float  # mean over the epoch's batches
    train_accuracy: float
    test_accuracy: float


@dataclass(frozen=True, slots=True)
class Trained:
    seed: int
    weights: dict[str, NDArray[np.float32]]  # by parameter name
    log_prob: NDArray[np.float32]  # (test images, 10), of the compiled module
    accuracy: float  # on the held-out images
    epochs: tuple[Epoch, ...]
    compile_seconds: float  # until the first training step was done
    seconds: float  # all of it


def accuracy(log_prob: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Share of images whose most probable class is the right one."""
    return float((log_prob.argmax(axis=1) == labels).mean())


def train(program: Program, digits: Digits, *, seed: int, epochs: int, inner: str) -> Trained:
    """Train the program's parameters on the digits.

    Args:
        program: has inputs Image and Label, exports LogProb (b, k) and Loss.
        seed: of the first weights and of the order of the images.
        inner: the compiler behind the "fuse" back end: "inductor", "aot_eager" or "eager".
    """
    started = time.perf_counter()
    # Matrices this small are faster on one thread than on several that wait for each other.
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    shuffle = np.random.default_rng(seed)
    model = FuseModule(program)
    compiled = torch.compile(model, backend="fuse", options={"fuse.inner": inner})
    steps = len(digits.train_labels) // BATCH
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=epochs * steps)
    images, labels = torch.from_numpy(digits.train_images), torch.from_numpy(digits.train_labels)

    def evaluate(x: NDArray[np.float32], y: NDArray[np.int64]) -> float:
        # Without the compiler: one pass an epoch is not worth a compilation for its batch size.
        with torch.no_grad():
            return accuracy(model(torch.from_numpy(x), torch.from_numpy(y))["LogProb"].numpy(), y)

    compile_seconds = 0.0
    curve: list[Epoch] = []
    with tqdm(total=epochs * steps, desc=f"seed {seed}", unit="step", disable=None) as progress:
        for _ in range(epochs):
            order = torch.from_numpy(shuffle.permutation(len(labels)))
            losses = []
            for batch in order[: steps * BATCH].split(BATCH):
                loss = compiled(images[batch], labels[batch])["Loss"]
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                losses.append(loss.item())
                compile_seconds = compile_seconds or time.perf_counter() - started
                progress.update()
            curve.append(
                Epoch(
                    float(np.mean(losses)),
                    evaluate(digits.train_images, digits.train_labels),
                    evaluate(digits.test_images, digits.test_labels),
                )
            )
            progress.set_postfix(loss=f"{curve[-1].loss:.3f}", held_out=f"{100 * curve[-1].test_accuracy:.1f} %")
    with torch.no_grad():
        log_prob = compiled(torch.from_numpy(digits.test_images), torch.from_numpy(digits.test_labels))[
            "LogProb"
        ].numpy()
    return Trained(
        seed,
        {name: value.numpy().copy() for name, value in model.state_dict().items()},
        log_prob,
        accuracy(log_prob, digits.test_labels),
        tuple(curve),
        compile_seconds,
        time.perf_counter() - started,
    )
