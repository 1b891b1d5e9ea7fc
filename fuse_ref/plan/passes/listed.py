"""The passes over dense steps, in the order in which they run; their names are `fuse_ref.plan.passes.NAMES`."""

from __future__ import annotations

from fuse_ref.plan.passes.attention import ATTENTION
from fuse_ref.plan.passes.convolution import CONVOLUTION
from fuse_ref.plan.passes.framework import PlanPass
from fuse_ref.plan.passes.logsumexp import LOGSUMEXP
from fuse_ref.plan.passes.lookup import LOOKUP
from fuse_ref.plan.passes.replan import REPLAN
from fuse_ref.plan.passes.sharing import SHARING
from fuse_ref.plan.passes.squared_distance import SQUARED_DISTANCE

__all__ = ["PASSES"]

PASSES: tuple[PlanPass, ...] = (SHARING, LOGSUMEXP, LOOKUP, SQUARED_DISTANCE, CONVOLUTION, ATTENTION, REPLAN)
