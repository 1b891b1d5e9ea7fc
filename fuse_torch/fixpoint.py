"""Numeric fixpoints in torch: rounds until no element changes, and their gradients by the implicit function theorem.

At a fixpoint x = f(x, a) the gradient of a loss with respect to a is (df/da)' u, where u = g + J' u with J = df/dx and
g the gradient with respect to x (implicit differentiation: Christianson 1994, "Reverse accumulation and attractive
fixed points"). That is a fixpoint again, of a linear map, and is found in the same way; no round is kept. Being one
of ours it has a gradient too, so that derivatives of any order come out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import torch

from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.fixpoint import History, tolerance
from fuse_ref.evaluate.temperatures import temperature_at
from fuse_ref.mistakes import mistake
from fuse_ref.source import Span

__all__ = ["Iteration", "find_iteration", "gradients_of", "iterate", "precisely", "recorded", "register"]

_Tensors: TypeAlias = tuple[torch.Tensor, ...]


class _Problem(Protocol):
    """Something that is iterated."""

    def round(self, states: _Tensors, given: _Tensors) -> _Tensors:
        """One round, with gradients."""
        ...

    def solve(self, states: _Tensors, given: _Tensors) -> _Tensors:
        """The fixpoint, without gradients."""
        ...

    def wanted(self, given: _Tensors) -> Sequence[int]:
        """Which of the given tensors may have a gradient."""
        ...


@dataclass(frozen=True)
class Iteration:
    """A group of tensors that is iterated.

    Attributes:
        key: the same for equal groups of equal plans under equal settings.
        heads: the tensors.
        body: a round: of what they were, what else it reads, and last a tensor of the run's precision.
        equations: as the program has them.
        heats: tensors whose temperature a schedule says, each with its place among what is given. The number of the
            round is then one more state, the last: gradients are those of the last round.
    """

    key: str
    heads: tuple[str, ...]
    body: Callable[..., _Tensors]
    config: ExecutionConfig
    span: Span | None
    equations: str
    heats: tuple[tuple[str, int], ...] = ()

    @property
    def reason(self) -> str:
        """Why a graph breaks here, in the form that `report()` takes apart."""
        return f"fuse: «{self.equations}» a fixpoint decides itself how many rounds it takes"

    def round(self, states: _Tensors, given: _Tensors) -> _Tensors:
        if not self.heats:
            return self.body(None, *states, *given)
        *states_, number = states
        return (*self._numbered(tuple(states_), given, int(number)), number)

    def _numbered(self, states: _Tensors, given: _Tensors, number: int) -> _Tensors:
        """The round `number`, of the tensors of the group alone."""
        own = list(given)
        for tensor, place in self.heats:
            own[place] = torch.full_like(own[place], temperature_at(self.config, tensor, number))
        return self.body(None, *states, *own)

    def on_meta(self, states: _Tensors, given: _Tensors) -> _Tensors:
        """What has the shapes and types of the fixpoint."""
        count = len(self.heads)
        return (*self.body(None, *states[:count], *given), *states[count:])

    def solve(self, states: _Tensors, given: _Tensors) -> _Tensors:
        """The fixpoint.

        Raises:
            DivergenceError: elements still change after `max_iters` rounds.
            LimitError: they do so after `time_limit`.
        """
        history = History(self.heads, self.span, self.config)
        history.tol = tolerance(self.config.tol, str(given[-1].dtype).removeprefix("torch."))
        rest, states = states[len(self.heads) :], states[: len(self.heads)]
        while True:
            found = self._numbered(states, given, len(history.changes))
            largest = max(_change(new, old) for new, old in zip(found, states, strict=True))
            states = found
            if not history.goes_on(largest):
                break
        if recorded.rounds is not None:
            recorded.rounds[self.heads] = len(history.changes)
        last = len(history.changes) - 1
        # A round may hand on what it was given.
        return (*(state.clone() for state in states), *(torch.full_like(number, last) for number in rest))

    def wanted(self, given: _Tensors) -> Sequence[int]:
        """All floats but the last, which tells the precision."""
        return [k for k, value in enumerate(given[:-1]) if value.dtype.is_floating_point]


def _change(new: torch.Tensor, old: torch.Tensor) -> float:
    """As `change` of the NumPy engine."""
    if new.numel() == 0:
        return 0.0
    if not new.dtype.is_floating_point:
        return float(not torch.equal(new, old))
    step = (new - old).abs() / new.abs().clamp(min=1)
    largest = float(step.max())
    if largest == largest:
        return largest
    # Something is infinite or NaN.
    same = (new == old) | (new.isnan() & old.isnan())
    return float(torch.where(same, 0, step).nan_to_num(nan=torch.inf).max())


# Gradients --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Adjoint:
    """u = g + J' u at a fixpoint of `problem`.

    What is given: g for each float state, every state, and what is given to `problem`.
    """

    problem: _Problem
    count: int  # states of the problem
    floats: tuple[int, ...]  # those that are floats
    names: tuple[str, ...]
    config: ExecutionConfig
    span: Span | None

    def _pull(self, given: _Tensors) -> Callable[[_Tensors], _Tensors]:
        n, count = len(self.floats), self.count
        states, others = given[n : n + count], given[n + count :]
        finite = [states[k].isfinite() for k in self.floats]

        def moved(*values: torch.Tensor) -> _Tensors:
            whole = list(states)
            for k, value in zip(self.floats, values, strict=True):
                whole[k] = value
            new = self.problem.round(tuple(whole), others)
            return tuple(new[k] for k in self.floats)

        _, back = torch.func.vjp(moved, *(states[k] for k in self.floats))

        def pull(u: _Tensors) -> _Tensors:
            found = back(u)
            # What is infinite has no slope.
            return tuple(torch.where(holds, g + own, 0) for g, own, holds in zip(given[:n], found, finite, strict=True))

        return pull

    def round(self, states: _Tensors, given: _Tensors) -> _Tensors:
        return self._pull(given)(states)

    def solve(self, states: _Tensors, given: _Tensors) -> _Tensors:
        """u; its tolerance is of its largest element, since gradients may be small all over.

        Raises:
            GradientError: it does not settle within `max_iters` rounds.
        """
        pull, u = self._pull(given), states
        dtype = u[0].dtype
        tol = max(self.config.tol / 100, (2 if dtype.itemsize == 2 else 16) * torch.finfo(dtype).eps)
        for _ in range(self.config.max_iters):
            found = pull(u)
            step = max(_largest(new - old) for new, old in zip(found, u, strict=True))
            u = found
            if step <= tol * max(map(_largest, u)):
                return tuple(value.clone() for value in u)
        names = " and ".join(self.names)
        raise mistake("FUSE266", self.span, name=names, rounds=self.config.max_iters)

    def wanted(self, given: _Tensors) -> Sequence[int]:
        return [k for k, value in enumerate(given) if value.dtype.is_floating_point]


def _largest(value: torch.Tensor) -> float:
    return float(value.abs().max()) if value.numel() else 0.0


def gradients_of(
    problem: _Problem, origin: Iteration, found: _Tensors, given: _Tensors, gradients: _Tensors, wanted: Sequence[int]
) -> _Tensors:
    """The gradients of the given tensors at the places `wanted`.

    Args:
        found: the fixpoint.
        gradients: one for each float of it, in order.
    """
    floats = tuple(k for k, value in enumerate(found) if value.dtype.is_floating_point)
    adjoint = _Adjoint(problem, len(found), floats, origin.heads, origin.config, origin.span)
    starts = tuple(torch.zeros_like(found[k]) for k in floats)
    u: _Tensors = _Fixpoint.apply(adjoint, origin, len(starts), *starts, *gradients, *found, *given)

    def moved(*values: torch.Tensor) -> _Tensors:
        whole = list(given)
        for k, value in zip(wanted, values, strict=True):
            whole[k] = value
        new = problem.round(found, tuple(whole))
        return tuple(new[k] for k in floats)

    _, back = torch.func.vjp(moved, *(given[k] for k in wanted))
    made: _Tensors = back(u)
    return made


class _Fixpoint(torch.autograd.Function):
    """The fixpoint of a problem: `origin` is the program's own, of which the problem may be an adjoint."""

    @staticmethod
    def forward(problem: _Problem, origin: Iteration, count: int, *tensors: torch.Tensor) -> _Tensors:
        with torch.no_grad(), precisely(tensors[0].device):
            return problem.solve(tensors[:count], tensors[count:])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: _Tensors) -> None:
        ctx.problem, ctx.origin, ctx.count, *tensors = inputs
        ctx.save_for_backward(*output, *tensors[ctx.count :])
        ctx.mark_non_differentiable(*(value for value in output if not value.dtype.is_floating_point))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        count: int = ctx.count
        saved = ctx.saved_tensors
        found, given = saved[:count], saved[count:]
        needed = ctx.needs_input_grad[3 + count :]
        wanted = [k for k in ctx.problem.wanted(given) if needed[k]]
        grads: list[torch.Tensor | None] = [None] * len(given)
        if wanted:
            own = tuple(g for g, value in zip(gradients, found, strict=True) if value.dtype.is_floating_point)
            with precisely(found[0].device):
                made = gradients_of(ctx.problem, ctx.origin, found, given, own, wanted)
            for k, gradient in zip(wanted, made, strict=True):
                grads[k] = gradient
        return (None, None, None, *(None,) * count, *grads)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], problem: _Problem, origin: Iteration, count: int, *tensors: torch.Tensor
    ) -> tuple[_Tensors, tuple[int, ...]]:
        # Each element of a batch takes its own number of rounds.
        calls = []
        for k in range(info.batch_size):
            own = [t if dim is None else t.select(dim, k) for t, dim in zip(tensors, in_dims[3:], strict=True)]
            calls.append(_Fixpoint.apply(problem, origin, count, *own))
        return tuple(map(torch.stack, zip(*calls, strict=True))), (0,) * count


def precisely(device: torch.device) -> AbstractContextManager[object]:
    """Without autocast, whose rounding would not let anything settle."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def iterate(iteration: Iteration, states: _Tensors, given: _Tensors) -> _Tensors:
    """The fixpoint that `states` lead to, with gradients with respect to `given`."""
    precision = given[-1].dtype
    given = tuple(value.to(precision) if value.dtype.is_floating_point else value for value in given)
    if states[0].device.type == "meta":
        return iteration.on_meta(states, given)
    found: _Tensors = _Fixpoint.apply(iteration, iteration, len(states), *states, *given)
    return found


# By name ----------------------------------------------------------------------------------------


class _Recorded(threading.local):
    rounds: dict[tuple[str, ...], int] | None = None


# How many rounds groups took, of this thread: where somebody wants to know.
recorded: Final = _Recorded()

_ITERATIONS: Final[dict[str, Iteration]] = {}


def register(iteration: Iteration) -> None:
    """Lets operators find `iteration` by its key."""
    _ITERATIONS.setdefault(iteration.key, iteration)


def find_iteration(key: str) -> Iteration:
    """What was registered under `key`.

    Raises:
        RouteError: nothing was: the key is another process's.
    """
    if key not in _ITERATIONS:
        reason = "its equations are known in the process that exported them alone; build the module here too"
        raise mistake("FUSE202", None, setting="the operator fuse_torch::fixpoint", reason=reason)
    return _ITERATIONS[key]
