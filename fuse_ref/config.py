"""How a program is to be run: one frozen, checked bundle of settings."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, Literal, TypeAlias, TypeVar, get_args

from fuse_ref.errors import FuseError
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.plan.passes import NAMES
from fuse_ref.plan.sampling import Sampling
from fuse_ref.records import dataclass

__all__ = ["Breaks", "ExecutionConfig", "FrozenMapping", "Logic", "Mode", "Precision", "RoutePreference", "Temperature"]

Mode: TypeAlias = Literal["auto", "single", "fixpoint", "demand"]
RoutePreference: TypeAlias = Literal["auto", "native", "reference"]
Breaks: TypeAlias = Literal["graph", "opaque"]
Logic: TypeAlias = Literal["auto", "sparse", "dense"]
OnDivergence: TypeAlias = Literal["error", "last"]
ProjectionStrategy: TypeAlias = Literal["exact", "monte_carlo"]
Precision: TypeAlias = Literal["float32", "float64", "bfloat16", "float16", "auto"]
Temperature: TypeAlias = float | Callable[[int], float]  # a number, or iteration -> number

Value = TypeVar("Value", covariant=True)


class FrozenMapping(Mapping[str, Value], Generic[Value]):
    """A mapping that can be hashed, compared, copied and pickled: settings become cache keys."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Value]) -> None:
        self._items: dict[str, Value] = dict(sorted(items.items()))

    def __getitem__(self, name: str) -> Value:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(tuple(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)


@dataclass(frozen=True, slots=True)
class ExecutionConfig:
    """Settings of a run; every engine reads the same ones.

    Args:
        mode: `"single"` refuses cycles other than recurrences, `"fixpoint"` iterates every cyclic group
            to convergence, `"demand"` computes only what exports and queries need, `"auto"` chooses.
        route: where streaming and logical steps run: `"native"` on the engine itself, `"reference"` in
            NumPy, `"auto"` as the engine's page says. Dense steps always run on the engine.
        breaks: how torch crosses into a routed step: by a graph break, or by an opaque operator.
        logic, dense_limit: representation of relations; at most `dense_limit` elements are held densely.
        max_iters, tol, on_divergence: of numeric fixpoints.
        projection_strategy, projection_samples, projection_seed: `"monte_carlo"` estimates sums and averages,
            in equations with `=`, `+=` and `avg=`, from that many of their terms (or tensor -> number) where
            they have more. Equal seeds draw equal terms on every engine.
        temperatures: tensor defined -> temperature of every `sig` in its equations, or a schedule of it: a callable
            iteration -> temperature, such as `make_schedule` gives. Iterations are the rounds of a numeric fixpoint,
            and elsewhere the calls of a Runner, a module's `iteration`, the argument `iteration` in JAX.
        precision: of every float in the run. `"bfloat16"` and `"float16"` are how values are kept: each operation
            computes in float32 and rounds its result once. `"auto"`: the type that every float input has, else
            float32; NumPy follows its inputs to float64 alone.
        device: `"auto"`, `"cpu"`, or a name that the engine's framework knows, such as `"cuda:0"`.
        seed: of the initial values of parameters.
        capacity: most tuples of a derived relation in JAX, or tensor -> most tuples.
        memory_limit: bytes that a run may hold at once: inputs, results, and values until their last use, at
            their full sizes. One beyond it is split along an index whose positions do not need each other, or
            refused by a LimitError; an index with a declared size is not split. The same for Runners, modules
            and functions. What a gradient keeps does not count: a split call of a module or function keeps
            inputs and results alone and computes each block again on the way back, one that fits keeps values.
        time_limit: seconds.
        checked: stop at the first NaN or infinity, naming tensor and equation, and check class numbers. The
            plan is then the program as written: no pass changes it.
        disabled_passes: passes over the plan that do not run; `fuse_ref.plan.passes.NAMES` has them all.

    Raises:
        ConfigError: a value that its field does not take.
    """

    mode: Mode = "auto"
    route: RoutePreference = "auto"
    breaks: Breaks = "graph"
    logic: Logic = "auto"
    dense_limit: int = 2**24
    max_iters: int = 1000
    tol: float = 1e-6
    on_divergence: OnDivergence = "error"
    projection_strategy: ProjectionStrategy = "exact"
    projection_samples: int | Mapping[str, int] | None = None
    projection_seed: int = 0
    temperatures: Mapping[str, Temperature] | None = None
    precision: Precision = "float32"
    device: str = "auto"
    seed: int = 0
    capacity: int | Mapping[str, int] | None = None
    memory_limit: int | None = None
    time_limit: float | None = None
    checked: bool = False
    disabled_passes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _choice("mode", self.mode, get_args(Mode))
        _choice("route", self.route, get_args(RoutePreference))
        _choice("breaks", self.breaks, get_args(Breaks))
        _choice("logic", self.logic, get_args(Logic))
        _choice("on_divergence", self.on_divergence, get_args(OnDivergence))
        _choice("projection_strategy", self.projection_strategy, get_args(ProjectionStrategy))
        _choice("precision", self.precision, get_args(Precision))
        self._set("dense_limit", _whole("dense_limit", self.dense_limit, least=1))
        self._set("max_iters", _whole("max_iters", self.max_iters, least=1))
        self._set("tol", _real("tol", self.tol, zero_allowed=True))
        self._set("projection_samples", _per_tensor("projection_samples", self.projection_samples))
        self._set("projection_seed", _whole("projection_seed", self.projection_seed, least=0))
        self._set("temperatures", _temperatures(self.temperatures))
        self._set("seed", _whole("seed", self.seed, least=0))
        self._set("capacity", _per_tensor("capacity", self.capacity))
        if self.memory_limit is not None:
            self._set("memory_limit", _whole("memory_limit", self.memory_limit, least=1))
        if self.time_limit is not None:
            self._set("time_limit", _real("time_limit", self.time_limit, zero_allowed=False))
        if not isinstance(self.device, str) or not self.device:
            raise _refused("device", 'a name such as "auto", "cpu" or "cuda:0"', self.device)
        if not isinstance(self.checked, bool):
            raise _refused("checked", "True or False", self.checked)
        self._set("disabled_passes", _passes(self.disabled_passes))

    @property
    def left_out_passes(self) -> tuple[str, ...]:
        """The passes that do not run: all of them under `checked`; in 16 bits those that lose digits."""
        if self.checked:
            return NAMES
        if self.precision in ("bfloat16", "float16"):
            # Its products are rounded before they are taken from each other, which 8 or 11 bits do not survive.
            return tuple(sorted({*self.disabled_passes, "squared_distance"}))
        return self.disabled_passes

    @property
    def sampling(self) -> Sampling | None:
        """How sums are estimated; None where they are computed."""
        if self.projection_strategy == "exact" or self.projection_samples is None:
            return None
        return Sampling(self.projection_samples, self.projection_seed)

    def _set(self, field: str, value: object) -> None:
        object.__setattr__(self, field, value)


def _refused(field: str, expected: str, value: object, cure: str = "") -> FuseError:
    return mistake("FUSE200", None, cure=cure, field=field, expected=expected, value=repr(value))


def _choice(field: str, value: object, allowed: tuple[str, ...]) -> None:
    if isinstance(value, str) and value in allowed:
        return
    cure = did_you_mean(str(value), allowed)
    raise _refused(field, "one of " + ", ".join(repr(item) for item in allowed), value, cure)


def _whole(field: str, value: object, *, least: int) -> int:
    expected = f"a whole number, at least {least}"
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise _refused(field, expected, value)
    number = operator.index(value)  # type: ignore[arg-type]
    if number < least:
        raise _refused(field, expected, value)
    return number


def _real(field: str, value: object, *, zero_allowed: bool) -> float:
    expected = "a finite number, " + ("0 or more" if zero_allowed else "more than 0")
    if isinstance(value, bool) or not hasattr(type(value), "__float__"):
        raise _refused(field, expected, value)
    number = float(value)  # type: ignore[arg-type]
    if not math.isfinite(number) or number < 0 or (number == 0 and not zero_allowed):
        raise _refused(field, expected, value)
    return number


def _per_tensor(field: str, value: object) -> int | FrozenMapping[int] | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return FrozenMapping({_name(field, name): _whole(field, item, least=1) for name, item in value.items()})
    return _whole(field, value, least=1)


def _passes(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise _refused("disabled_passes", "a tuple of names of passes", value)
    names = tuple(value)
    for name in names:
        _choice("disabled_passes", name, NAMES)
    return tuple(sorted(set(names)))


def _temperatures(value: object) -> FrozenMapping[Temperature] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise _refused("temperatures", "a mapping from tensors to temperatures or schedules", value)
    checked: dict[str, Temperature] = {}
    for name, item in value.items():
        name = _name("temperatures", name)
        checked[name] = item if callable(item) else _real(f"temperatures[{name!r}]", item, zero_allowed=True)
    return FrozenMapping(checked)


def _name(field: str, name: object) -> str:
    if not isinstance(name, str):
        raise _refused(field, "keyed by names of tensors", name)
    return name
