"""A program as a pure JAX function of its parameters and inputs."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from fuse_jax.binding import check_parameters
from fuse_jax.dtypes import Numbers, numbers_of, resolved
from fuse_jax.failures import on_one_device
from fuse_jax.initialisers import initialise
from fuse_jax.noise import noise_of
from fuse_jax.planned import Planned
from fuse_jax.relations import Held, dense, limit_dense, positions
from fuse_jax.sampling import seeds_from
from fuse_jax.sizes import Sizes, with_open_parameters
from fuse_jax.streaming import begun, check_names, first, left
from fuse_jax.temperatures import temperatures
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.binding import gather_inputs, listed_relations
from fuse_ref.evaluate.densely import runs_densely
from fuse_ref.evaluate.streaming import of_streams
from fuse_ref.evaluate.temperatures import heated
from fuse_ref.files.paths import Folders
from fuse_ref.files.sources import read_sources
from fuse_ref.ir.nodes import FileContent, ProgramIR, Tensor
from fuse_ref.plan.build import build_plan
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
        names = tuple(tensor.name for tensor in self._parameters)
        # Under a memory limit sizes tell what a call holds, and no size tells tuples.
        listed = [item.tensor.name for item in sources.facts] if self.config.memory_limit is None else ()
        self._build = functools.partial(
            build_plan,
            with_open_parameters(heated(sources.program, self.config), sizes=sizes or {}, given=stored),
            sizes=sizes,
            hints=hints,
            given={name: array.shape for name, array in stored.items()},
            mode=self.config.mode,
            disabled_passes=self.config.left_out_passes,
            dense_logic=runs_densely(self.config),
            sampling=self.config.sampling,
        )
        self._prepare = functools.partial(
            Planned,
            program=heated(sources.program, self.config),
            parameters=names,
            stored=stored,
            config=self.config,
            policies=self._policies,
        )
        self._listed = frozenset(listed)
        self._own = self._prepare(self._build(relations=self._listed))
        self._others: dict[frozenset[str], Planned] = {}  # by the relations whose tuples a call lists
        self.plan: Plan = self._own.plan
        self._first_values = {
            name: array for name, array in stored.items() if name in names and not isinstance(array, Tuples)
        }
        self._arrays: dict[tuple[str, Numbers], jax.Array] = {}
        if self._policies.strict_mmap:  # said now, not by the first call
            for name, array in stored.items():
                if not isinstance(array, Tuples):
                    self._held(name, array, numbers_of(self.config))
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
        iteration: int | jax.Array = 0,
        **named: object,
    ) -> dict[str, jax.Array]:
        """The exports by name, in text order.

        Args:
            params: parameter -> array, as `init` makes them. May hold some of `constants` too: those are
                then arguments of a surrounding `jit` instead of constants in its code.
            inputs, named: given tensor -> array. Arrays of floats or integers are cast to the run's precision
                for float inputs; integers stay what they are.
            key: `jax.random.key(...)`, from which a training step draws; an evaluation needs none. Sums that are
                estimated draw with it too, and with `projection_seed` where there is none.
            training: whether dropout is on. It may be an argument of a surrounding `jit`.
            iteration: what schedules of temperatures are asked for; where it is an argument of a surrounding `jit`,
                one's own schedules are called with a traced number.

        Raises:
            AxisError: shapes that do not fit; under `jit` it is raised while tracing.
            DtypeError: a value of a type that its tensor does not take.
            InputError, UnboundTensorError: a name that is missing or cannot be given, or a training step without a key.
            LimitError: the call would hold more than `memory_limit`, also in blocks.
        """
        return self._run(params, {}, gather_inputs(inputs, named), key, training, iteration)[0]

    def _run(
        self,
        params: Mapping[str, object],
        state: Mapping[str, object],
        given: Mapping[str, object],
        key: jax.Array | None,
        training: bool | jax.Array,
        iteration: int | jax.Array,
    ) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        """The exports, and the state of streams for the next call."""
        noise = noise_of(key, training, random=self.random)
        check_names(self.plan, state)
        given, started = of_streams(self.plan, given)
        planned = self._planned(given)
        given = {**given, **temperatures(self.config, iteration)}
        names = [tensor.name for tensor in self._parameters]
        params = check_parameters(params, names, (*planned.constants, *planned.facts))
        config = resolved(self.config, planned.calls, given)
        numbers = numbers_of(config)
        values = planned.binder.bind(given, config, numbers)
        for name, facts in planned.facts.items():
            values[name] = facts if name not in params else planned.binder.constant(name, params[name], facts.shape)
        for name in names:
            values[name] = numbers.parameter(params[name], name)
        for name, array in self._converted(planned, numbers).items():
            given_array = params.get(name)
            dtype = self._tensors[name].dtype
            values[name] = array if given_array is None else numbers.array(given_array, dtype, name)
        planned.check(values)
        values.update(seeds_from(key, planned.seeds))
        if planned.plan.streams:
            shapes = {name: tuple(value.shape) for name, value in values.items()}
            values |= begun(planned.plan, state, started, shapes, numbers)
        with on_one_device(values):
            made = planned.run(values, config, noise)
        result = planned.plan.result
        exports = {name: self._exported(name, made[result(name)]) for name in self.program.ir.exports}
        return exports, left(planned.plan, made)

    def _planned(self, given: Mapping[str, object]) -> Planned:
        """The plan for a call: relations that it lists the tuples of cost what those cost, not what their axes do."""
        if not self._own.choices:
            return self._own
        listed = self._own.choices & listed_relations(self._own.calls, given)
        if not listed:
            return self._own
        if listed not in self._others:
            self._others[listed] = self._prepare(self._build(relations=self._listed | listed))
        return self._others[listed]

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
        return self._own.schedule.random

    @property
    def constants(self) -> dict[str, jax.Array]:
        """Sources and stored weights by name, which calls use by themselves; relations as (count, arity) positions."""
        return {
            **self._converted(self._own, numbers_of(self.config)),
            **{name: jnp.asarray(positions(facts)) for name, facts in self._own.facts.items()},
        }

    def _converted(self, planned: Planned, numbers: Numbers) -> Mapping[str, jax.Array]:
        """The constants as JAX arrays, converted once for each kind of numbers."""
        missing = [name for name in planned.constants if (name, numbers) not in self._arrays]
        if missing:
            # Concrete arrays also where the caller is being traced: they outlive the trace.
            with jax.ensure_compile_time_eval():
                for name in missing:
                    self._arrays[name, numbers] = self._held(name, planned.constants[name], numbers)
        return {name: self._arrays[name, numbers] for name in planned.constants}

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

    def initial_state(self, inputs: Mapping[str, object] | None = None, **sizes: int) -> dict[str, jax.Array]:
        """The state before the first position of every stream, by name: {} for a program without streams.

        Args:
            inputs: given tensor -> array, of which only the shape counts, where a stream's size comes from an input.
            sizes: axis letter -> size, for axes that the program leaves open.

        Raises:
            AxisError: a size that is not known, or does not fit.
        """
        if not self.plan.streams:
            return {}
        known = self._sizes(inputs, sizes)

        def shape_of(name: str) -> tuple[int, ...]:
            return known.shapes[name] if name in known.shapes else known.shape(self._tensors[name])

        return first(self.plan, shape_of, numbers_of(self.config))

    def step(
        self,
        params: Mapping[str, object],
        state: Mapping[str, object],
        inputs: Mapping[str, object] | None = None,
        /,
        *,
        key: jax.Array | None = None,
        training: bool | jax.Array = False,
        iteration: int | jax.Array = 0,
    ) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        """Outputs and the next state; as a call, with the streams' state given and taken.

        Args:
            state: of `initial_state` or of the step before. Streams that it does not name begin anew.

        Raises:
            InputError: `state` names something else than a stream, or has another shape than this call needs.
        """
        return self._run(params, state, gather_inputs(inputs, {}), key, training, iteration)

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
        takes = ", ".join(
            [f"params {{{', '.join(names)}}}", *(name for name in self._own.calls.givens if "~" not in name)]
        )
        return f"<FuseFunction ({takes}) -> {', '.join(self.program.ir.exports)}>"

    def _exported(self, name: str, value: Held) -> jax.Array:
        if self._tensors[name].boolean:
            limit_dense(name, tuple(value.shape), self.config.dense_limit, self._tensors[name].span)
        return dense(value)


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
