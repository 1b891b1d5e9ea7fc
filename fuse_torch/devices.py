"""What the settings `device` and `precision` are in torch."""

from __future__ import annotations

import torch

from fuse_ref.config import Precision
from fuse_ref.mistakes import mistake

__all__ = ["torch_device", "torch_precision"]


def torch_device(name: str) -> torch.device | None:
    """The device that a configuration names; None for "auto": wherever the inputs, or torch's default, are.

    Raises:
        DeviceError: no such device, or not here.
    """
    if name == "auto":
        return None
    try:
        device = torch.device(name)
    except RuntimeError as error:
        reason = str(error).split("\n", 1)[0]
        raise mistake("FUSE203", None, engine="torch", device=name, reason=reason) from error
    if device.type in ("cpu", "meta"):
        return device
    backend = getattr(torch, device.type, None)
    available = getattr(backend, "is_available", None)
    if available is None or not available():
        raise mistake("FUSE203", None, engine="torch", device=name, reason=f"torch finds no {device.type} device here")
    count = getattr(backend, "device_count", None)
    if device.index is not None and count is not None and device.index >= count():
        reason = f"torch finds {count()} {device.type} devices here"
        raise mistake("FUSE203", None, engine="torch", device=name, reason=reason)
    return device


def torch_precision(precision: Precision) -> torch.dtype:
    """The float type of new tensors. "auto" has no inputs to follow here and means float32."""
    return {"float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}.get(
        precision, torch.float32
    )
