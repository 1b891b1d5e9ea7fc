"""Fuse on PyTorch: programs as modules, the `"fuse"` back end of torch.compile, Runners on torch.

All that is public in `fuse_ref` is public here too, as the same objects.
"""

from __future__ import annotations

import fuse_ref
from fuse_ref import *  # noqa: F403  the public names, listed in fuse_ref.__all__
from fuse_torch.backend import report
from fuse_torch.engine import ENGINE
from fuse_torch.facts import Facts
from fuse_torch.module import FuseModule
from fuse_torch.runner import compile

__all__ = [*fuse_ref.__all__, "ENGINE", "Facts", "FuseModule", "compile", "report"]
