"""Plans of one module by the relations whose tuples a call lists.

A relation that only equations for numbers read may be given as truth values or by its tuples. The first takes a
product over all positions, the second one over the tuples, so that each is a plan with a function of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.densely import runs_densely
from fuse_ref.evaluate.logic import relations_of
from fuse_ref.plan.steps import Plan

__all__ = ["NOTHING", "Listing", "Listings", "choices_of"]


@dataclass(frozen=True, slots=True)
class Listing:
    """How a function takes relations that may come in either form.

    Attributes:
        choices: those that its plan takes as truth values, and other plans as tuples.
        listed: those that its plan takes as tuples.
        takes: what the function that leads to this one is called with: tensors, with their names in Python.
        settings: what the other plans are made from.
    """

    choices: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    takes: tuple[tuple[str, str], ...] = ()
    settings: Hashable = None


NOTHING: Final = Listing()


class Listings:
    """The functions of a module's other plans, as attributes: Dynamo can follow those."""

    def __init__(self) -> None:
        self.made: dict[tuple[str, ...], Any] = {}  # by the relations that are listed

    def put(self, listed: tuple[str, ...], function: Callable[..., Any], made: Any) -> None:
        """Keeps the function for calls that list the tuples of `listed`."""
        setattr(self, attribute_of(listed), function)
        self.made[listed] = made


def attribute_of(listed: tuple[str, ...]) -> str:
    """The attribute of `Listings` that the function for `listed` is."""
    return f"for {', '.join(listed)}"


def choices_of(plan: Plan, config: ExecutionConfig) -> tuple[str, ...]:
    """The given relations that `plan` takes as truth values and another plan may take as tuples.

    Under a `memory_limit` there are none: what a call holds is told by sizes before it runs, and no size tells tuples.
    """
    if runs_densely(config) or config.memory_limit is not None:
        return ()
    relations = relations_of(plan)
    tensors = {tensor.name: tensor for tensor in plan.program.tensors}
    return tuple(name for name in plan.givens if tensors[name].boolean and tensors[name].axes and name not in relations)
