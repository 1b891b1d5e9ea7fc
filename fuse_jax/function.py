"""A program as a pure JAX function of its parameters and inputs."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from fuse_jax.binding import InputBinder, check_parameters
from fuse_jax.checked import Watch
from fuse_jax.dense import run
from fuse_jax.dtypes import Numbers, numbers_of, resolved
from fuse_jax.failures import on_one_device
from fuse_jax.initialisers import initialise
from fuse_jax.native import asks_host, native_schedule, opened, small_enough
from fuse_jax.noise import Noise, noise_of
from fuse_jax.relations import Held, arrays_of, dense, limit_dense, positions
from fuse_jax.schedule import Schedule, schedule
from fuse_jax.sizes import Sizes, with_open_parameters
from fuse_jax.splitting import run_in_blocks
from fuse_ref.analysis.lengths import Length, evaluate
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.binding import gather_inputs
from fuse_ref.evaluate.blocks import Blocks, blocks_for, splits_of
from fuse_ref.evaluate.densely import runs_densely
from fuse_ref.evaluate.logic import as_dense, as_tuples
from fuse_ref.evaluate.support import check_supported
from fuse_ref.files.paths import Folders
from fuse_ref.files.sources import read_sources
from fuse_ref.ir.nodes import FileContent, ProgramIR, Tensor
from fuse_ref.mistakes import mistake
from fuse_ref.plan.build import build_plan
from fuse_ref.plan.checks import check_shapes
from fuse_ref.plan.key import plan_key
from fuse_ref.plan.steps import Plan
from fuse_ref.policies import RuntimePolicies
from fuse_ref.program import Program
from fuse_ref.relations.tuples import Tuples
from fuse_ref.weights.arrays import numpy_array
from fuse_ref.weights.manifest_store import ManifestWeightStore
from fuse_ref.weights.store import WeightStore

__all__ = ["FuseFunction"]


class FuseFunction:
    """A program as a pure function: for `jax.jit`, `grad`, `vmap`, `scan` and Flax.

    Functions of equal program, config, sizes, policies and plan are equal and have one hash, so that
    `jax.jit` compiles them once. `fuse_jax.compile` makes them.

    Attributes:
        program: the program.
        plan: the steps that run, in order; `str(plan)` is a table.
        config: how to execute.
    """

    def __init__(
        self,
        program: Program,
        *,
        sizes: Mapping[str, int] | None = None,
        hints: Mapping[str, int] | None = None,
        config: ExecutionConfig | None = None,
        policies: RuntimePolicies | None = None,
    ) -> None:
        self.program = program
        self.config = ExecutionConfig() if config is None else config
        self._policies = RuntimePolicies() if policies is None else policies
        numbers_of(self.config)  # float64 without 64-bit numbers is refused before anything is read
        self._store = self._policies.store
        self._tensors = {tensor.name: tensor for tensor in program.ir.tensors}
        self._parameters = tuple(tensor for tensor in program.ir.tensors if tensor.role == "param")
        stored: dict[str, np.ndarray | Tuples] = {**_read_weights(program.ir, self._store)}
        sources = read_sources(
            program.ir,
            Folders.of(program.path, self._policies.roots),
            shapes={name: array.shape for name, array in stored.items()},
            sizes=sizes,
            limit=self.config.dense_limit,
            strict=self._policies.strict_mmap,
            tuples=True,
        )
        self._sources = sources
        stored |= sources.arrays
        self.plan: Plan = build_plan(
            with_open_parameters(sources.program, sizes=sizes or {}, given=stored),
            sizes=sizes,
            hints=hints,
            given={name: array.shape for name, array in stored.items()},
            mode=self.config.mode,
            disabled_passes=self.config.left_out_passes,
            dense_logic=runs_densely(self.config),
        )
        names = {tensor.name for tensor in self._parameters}
        # What a call binds: a parameter of open size counts as given in the plan, but params hold it.
        givens = tuple(name for name in self.plan.givens if name not in names)
        self._calls = dataclasses.replace(self.plan, program=sources.program, givens=givens, parameters=tuple(names))
        self._binder = InputBinder(self._calls)
        self._first_values = {
            name: array for name, array in stored.items() if name in names and not isinstance(array, Tuples)
        }
        self._schedule = schedule(self.plan, program.ir.exports, natively=runs_densely(self.config))
        self._facts = {name: as_tuples(array) for name, array in stored.items() if name in self._schedule.relations}
        self._constants = {
            name: as_dense(array, name, self.config)
            for name, array in stored.items()
            if name not in names and name not in self._facts
        }
        self._arrays: dict[Numbers, dict[str, jax.Array]] = {}
        self._supported = self._without_unneeded()
        check_supported(self._supported, self.config, "jax", self._policies)
        self._splits = () if self.config.memory_limit is None else splits_of(self._supported, program.ir.exports)
        if self._policies.strict_mmap:  # said now, not by the first call
            for name, array in stored.items():
                if not isinstance(array, Tuples):
                    self._held(name, array, numbers_of(self.config))
        self._watch = Watch.of(self.plan) if self.config.checked else None
        self._key = (program.digest, self.config, self._policies, plan_key(self.plan), _stamp(program, self._policies))
        self._hash = hash(self._key)

    def __call__(
        self,
        params: Mapping[str, object],
        inputs: Mapping[str, object] | None = None,
        /,
        *,
        key: jax.Array | None = None,
        training: bool | jax.Array = False,
        **named: object,
    ) -> dict[str, jax.Array]:
        """The exports by name, in text order.

        Args:
            params: parameter -> array, as `init` makes them. May hold some of `constants` too: those are
                then arguments of a surrounding `jit` instead of constants in its code.
            inputs, named: given tensor -> array. Arrays of floats or integers are cast to the run's precision
                for float inputs; integers stay what they are.
            key: `jax.random.key(...)`, from which a training step draws; an evaluation needs none.
            training: whether dropout is on. It may be an argument of a surrounding `jit`.

        Raises:
            AxisError: shapes that do not fit; under `jit` it is raised while tracing.
            DtypeError: a value of a type that its tensor does not take.
            InputError, UnboundTensorError: a name that is missing or cannot be given, or a training step without a key.
            LimitError: the call would hold more than `memory_limit`, also in blocks.
        """
        noise = noise_of(key, training, random=self.random)
        given = gather_inputs(inputs, named)
        params = check_parameters(params, [t.name for t in self._parameters], (*self._constants, *self._facts))
        config = resolved(self.config, self._calls, given)
        numbers = numbers_of(config)
        values = self._binder.bind(given, config, numbers)
        for name, facts in self._facts.items():
            values[name] = facts if name not in params else self._binder.constant(name, params[name], facts.shape)
        for tensor in self._parameters:
            values[tensor.name] = numbers.parameter(params[tensor.name], tensor.name)
        for name, array in self._converted(numbers).items():
            given_array = params.get(name)
            dtype = self._tensors[name].dtype
            values[name] = array if given_array is None else numbers.array(given_array, dtype, name)
        blocks = self._checked_blocks(values, config)
        with on_one_device(values):
            made = self._run(blocks, values, config, noise)
        return {name: self._exported(name, made[name]) for name in self.program.ir.exports}

    def init(self, key: jax.Array, inputs: Mapping[str, object] | None = None, **sizes: int) -> dict[str, jax.Array]:
        """First values of the parameters, by name: from the weight store, else from their initialisers.

        Args:
            key: `jax.random.key(…)`. Each parameter's values depend on the key and its own name and shape.
            inputs: given tensor -> array, of which only the shape counts (`jax.ShapeDtypeStruct` will do).
                Needed where a parameter's size comes from an input.
            sizes: axis letter -> size, for axes that the program leaves open.

        Raises:
            AxisError: a size that is not known, or does not fit.
        """
        known = self._sizes(inputs, sizes)
        return {tensor.name: self._first_value(tensor, key, known) for tensor in self._parameters}

    def init_parameter(
        self, name: str, key: jax.Array, inputs: Mapping[str, object] | None = None, **sizes: int
    ) -> jax.Array:
        """The first value of one parameter, as `init` makes it."""
        tensor = next(tensor for tensor in self._parameters if tensor.name == name)
        return self._first_value(tensor, key, self._sizes(inputs, sizes))

    def _sizes(self, inputs: Mapping[str, object] | None, sizes: Mapping[str, int]) -> Sizes:
        given = gather_inputs(inputs, {})
        # Tuples of a relation have no shape that tells sizes.
        shapes = {name: _shape(value) for name, value in given.items() if not self._lists_tuples(name, value)}
        return Sizes(self.plan, self.program.ir, shapes, sizes)

    def _lists_tuples(self, name: str, value: object) -> bool:
        tensor = self._tensors.get(name)
        return tensor is not None and tensor.boolean and str(getattr(value, "dtype", "")) != "bool"

    def _first_value(self, tensor: Tensor, key: jax.Array, known: Sizes) -> jax.Array:
        numbers = numbers_of(self.config)
        shape = known.shape(tensor)
        if tensor.name not in self._first_values:
            return numbers.placed(initialise(key, tensor.name, shape, tensor.initialiser, numbers.precision))
        stored = self._first_values[tensor.name]
        assert stored.shape == shape  # the plan was made with the stored shapes, and sizes were checked against it
        return self._held(tensor.name, stored, numbers)

    @property
    def random(self) -> bool:
        """Whether a training step draws random numbers, and so needs a key."""
        return self._schedule.random

    @property
    def constants(self) -> dict[str, jax.Array]:
        """Sources and stored weights by name, which calls use by themselves; relations as (count, arity) positions."""
        return {
            **self._converted(numbers_of(self.config)),
            **{name: jnp.asarray(positions(facts)) for name, facts in self._facts.items()},
        }

    def _converted(self, numbers: Numbers) -> Mapping[str, jax.Array]:
        """The constants as JAX arrays, converted once for each kind of numbers."""
        if numbers not in self._arrays:
            # Concrete arrays also where the caller is being traced: they outlive the trace.
            with jax.ensure_compile_time_eval():
                self._arrays[numbers] = {
                    name: self._held(name, array, numbers) for name, array in self._constants.items()
                }
        return self._arrays[numbers]

    def _held(self, name: str, stored: np.ndarray, numbers: Numbers) -> jax.Array:
        """A source or stored weight as a JAX array: of a memory map the map itself, where JAX takes it.

        Raises:
            ManifestError: it takes a copy, and `strict_mmap` forbids that.
        """
        made = numbers.array(stored, self._tensors[name].dtype, name)
        if self._policies.strict_mmap and not isinstance(made, jax.core.Tracer):
            seen = made.dtype.name, np.asarray(made).ctypes.data, "JAX keeps this array in memory of its own"
            if name in self._sources.arrays:
                self._sources.check_kept(name, *seen)
            elif isinstance(self._store, ManifestWeightStore):
                self._store.check_kept(name, stored, *seen)
        return made

    def initial_state(self) -> dict[str, jax.Array]:
        """The state before the first position of every stream: {} for a program without streams."""
        return {}

    def step(
        self,
        params: Mapping[str, object],
        state: Mapping[str, object],
        inputs: Mapping[str, object] | None = None,
        /,
        *,
        key: jax.Array | None = None,
        training: bool | jax.Array = False,
    ) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        """Outputs and the next state; as a call, with the streams' state given and taken."""
        for name in state:
            raise mistake("FUSE283", name=name)
        return self(params, inputs, key=key, training=training), {}

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, FuseFunction) and self._key == other._key)

    def __hash__(self) -> int:
        return self._hash

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_arrays": {}}  # made again where they are needed

    def __copy__(self) -> FuseFunction:
        return self  # nothing in it changes

    def __deepcopy__(self, memo: object) -> FuseFunction:
        return self

    def __repr__(self) -> str:
        names = [tensor.name for tensor in self._parameters]
        takes = ", ".join([f"params {{{', '.join(names)}}}", *self._calls.givens])
        return f"<FuseFunction ({takes}) -> {', '.join(self.program.ir.exports)}>"

    @functools.cached_property
    def _native(self) -> tuple[Schedule] | None:
        """The schedule that derives relations in compiled code; None where the settings leave no choice."""
        found = native_schedule(self.plan, self.program.ir.exports, self.config)
        return None if found is None else (found,)

    def _chosen(self, values: Mapping[str, Held]) -> tuple[Schedule, Mapping[str, Held]]:
        """What runs, and on which form of the values."""
        plan = self._schedule
        if not asks_host(plan, values) or self._native is None:
            return plan, values
        (native,) = self._native
        shapes = {name: tuple(value.shape) for name, value in values.items()}
        if any(math.prod(shapes[name]) > self.config.dense_limit for name in plan.relations if name in shapes):
            return plan, values

        def measure(length: Length) -> int:
            return evaluate(length, lambda tensor, position: shapes[tensor][position])

        return (
            (native, opened(values, self.config.dense_limit))
            if small_enough(native, plan, shapes, measure)
            else (plan, values)
        )

    def _run(
        self, blocks: Blocks | None, values: Mapping[str, Held], config: ExecutionConfig, noise: Noise | None
    ) -> Mapping[str, Held]:
        if blocks is None:
            plan, values = self._chosen(values)
            return run(plan, values, config, self._watch, noise)
        return run_in_blocks(
            blocks,
            lambda part, noise: arrays_of(run(self._schedule, part, config, self._watch, noise)),
            arrays_of(values),
            noise,
            self.program.ir.exports,
            watched=self._watch is not None,
        )

    def _checked_blocks(self, values: Mapping[str, Held], config: ExecutionConfig) -> Blocks | None:
        """Whether the call must be split; refuses shapes that do not fit."""
        shapes = {name: tuple(value.shape) for name, value in values.items()}
        for name, array in self._constants.items():
            if shapes[name] != array.shape:
                span = self._tensors[name].span
                raise mistake("FUSE279", span, name=name, got=shapes[name], expected=array.shape)
        check_shapes(self.plan, shapes)
        if config.memory_limit is None or self._schedule.logical or self._schedule.relations:
            return None
        return blocks_for(self._supported, self._splits, shapes, self.plan.program.exports, config)

    def _exported(self, name: str, value: Held) -> jax.Array:
        if self._tensors[name].boolean:
            limit_dense(name, tuple(value.shape), self.config.dense_limit, self._tensors[name].span)
        return dense(value)

    def _without_unneeded(self) -> Plan:
        # Steps that no export needs, such as queries, do not run here; the others keep their numbers.
        needed = [
            step if step in self._schedule.routed else dataclasses.replace(step, unsupported="", relaxations=())
            for step in self.plan.steps
        ]
        return dataclasses.replace(self.plan, steps=tuple(needed))


def _shape(value: object) -> tuple[int, ...]:
    # Arrays of any kind, and jax.ShapeDtypeStruct, say their own; lists are read.
    return tuple(value.shape) if hasattr(value, "shape") else numpy_array(value).shape


def _read_weights(program: ProgramIR, store: WeightStore) -> dict[str, np.ndarray]:
    names = [t.name for t in program.tensors if t.role in ("param", "free") and t.name in store]
    return {name: store.load(name) for name in names}


def _stamp(program: Program, policies: RuntimePolicies) -> tuple[tuple[str, int, int], ...]:
    """Which files were read and when they were last changed: functions over other contents are not equal."""
    folders = Folders.of(program.path, policies.roots)
    stamps = []
    for equation in program.ir.equations:
        if isinstance(equation.body, FileContent):
            path = folders.place(equation.body.path, equation.body.key, "read").path
            state = path.stat()
            stamps.append((str(path), state.st_mtime_ns, state.st_size))
    return tuple(stamps)
