"""One thread, so that small tests do not wait for each other's OpenMP barriers."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
