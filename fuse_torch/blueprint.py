"""What a module is made from, and the plans that its calls may run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.densely import runs_densely
from fuse_ref.evaluate.support import check_supported
from fuse_ref.files.sources import Sources
from fuse_ref.ir.nodes import ProgramIR
from fuse_ref.plan.build import build_plan
from fuse_ref.plan.steps import Plan
from fuse_ref.program import Program
from fuse_torch.logic.view import view_of
from fuse_torch.lowering.code import Forward, forward_of
from fuse_torch.lowering.listing import Listing, choices_of
from fuse_torch.lowering.needed import restricted, without_unneeded
from fuse_torch.names import Names

__all__ = ["Blueprint", "Planning"]


@dataclass(frozen=True)
class Planning:
    """What decides a module's plans, besides its program."""

    sizes: tuple[tuple[str, int], ...]
    hints: tuple[tuple[str, int], ...]
    given: tuple[tuple[str, tuple[int, ...]], ...]
    mode: Literal["auto", "single", "fixpoint", "demand"]
    disabled_passes: tuple[str, ...]
    dense_logic: bool
    relations: tuple[str, ...]  # sources that are listed in files and taken as tuples

    @staticmethod
    def of(
        sizes: Mapping[str, int] | None,
        hints: Mapping[str, int] | None,
        shapes: Mapping[str, Sequence[int]],
        config: ExecutionConfig,
        sources: Sources,
    ) -> Planning:
        """From what a module is made with.

        Args:
            shapes: of weights and sources.
        """
        return Planning(
            sizes=tuple((sizes or {}).items()),
            hints=tuple((hints or {}).items()),
            given=tuple((name, tuple(shape)) for name, shape in shapes.items()),
            mode=config.mode,
            disabled_passes=tuple(config.left_out_passes),
            dense_logic=runs_densely(config),
            relations=() if config.memory_limit is not None else tuple(sorted(f.tensor.name for f in sources.facts)),
        )

    def plan(self, program: ProgramIR, config: ExecutionConfig, listed: Sequence[str] = ()) -> Plan:
        """The plan for calls that list the tuples of `listed`.

        Raises:
            RouteError: a step that the torch engine cannot run.
        """
        plan = build_plan(
            program,
            sizes=dict(self.sizes),
            hints=dict(self.hints),
            given=dict(self.given),
            mode=self.mode,
            disabled_passes=self.disabled_passes,
            dense_logic=self.dense_logic,
            relations=(*self.relations, *listed),
            sampling=config.sampling,
        )
        check_supported(without_unneeded(plan, program.exports), config, "torch")
        return plan


@dataclass(frozen=True)
class Blueprint:
    """What a module is made from. Copies of a module share it.

    Attributes:
        plan: of calls that give relations as truth values, where nothing but equations for numbers reads them.
    """

    program: Program
    plan: Plan
    planning: Planning
    config: ExecutionConfig
    names: Names
    carry: bool
    stored: frozenset[str]  # parameters and weights that came from the weight store
    listed: Listing | None = None  # of a plan for listed tuples

    def code(self) -> Forward:
        """The generated function and graph; one per plan in the process."""
        listing = self.listed or Listing(choices=choices_of(self.plan, self.config), settings=self.planning)
        return forward_of(self.plan, self.names, self.config, carry=self.carry, listing=listing)

    def listing(self, listed: tuple[str, ...]) -> Blueprint:
        """The same for calls that list the tuples of `listed`."""
        takes = tuple((slot.tensor.name, slot.variable) for slot in self.code().lowered.givens)
        return dataclasses.replace(
            self,
            plan=self.planning.plan(self.plan.program, self.config, listed),
            listed=Listing(listed=listed, takes=takes, settings=self.planning),
        )

    def narrowed(self) -> Plan:
        """The plan with the givens that calls take, and the checks that speak of those."""
        view = view_of(self.plan)
        return view.checked(restricted(view.plan, self.code().lowered.plan.givens))

    def __deepcopy__(self, memo: object) -> Blueprint:
        return self  # nothing in it changes
