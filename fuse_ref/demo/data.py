"""Scikit-learn's 1,797 handwritten digits, split by a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fuse_ref.records import dataclass

__all__ = ["Digits", "load"]


@dataclass(frozen=True, slots=True)
class Digits:
    train_images: NDArray[np.float32]  # (n, 8, 8), 0 to 1
    train_labels: NDArray[np.int64]  # (n,), 0 to 9
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]


def load(seed: int) -> Digits:
    """The digits with a fifth of every class held out; another seed holds out another fifth."""
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)
    labels = digits.target.astype(np.int64)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=seed
    )
    return Digits(train_x, train_y, test_x, test_y)
