"""The Runner: a compiled program that is called with arrays. One class for all engines."""

from __future__ import annotations

import dataclasses
import functools
import logging
import threading
import time
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.answer import Answer
from fuse_ref.evaluate.binding import (
    Binder,
    Bound,
    framework_of_inputs,
    gather_inputs,
    listed_relations,
    resolve_precision,
)
from fuse_ref.evaluate.engine import Array, Engine
from fuse_ref.evaluate.engines import Backend, find_engine
from fuse_ref.evaluate.explaining import explained
from fuse_ref.evaluate.explanation import Explanation
from fuse_ref.evaluate.growing import as_given, growing_sources
from fuse_ref.evaluate.plan_cache import plan_cache
from fuse_ref.evaluate.planning import ask, hints_from, on_demand, sinks_of, with_device
from fuse_ref.evaluate.prepared import Call, Prepared, answered, asked, execute, written
from fuse_ref.evaluate.relation import Relation
from fuse_ref.evaluate.streaming import Stateful, kept_state, of_streams, result_names, state_values
from fuse_ref.evaluate.support import check_supported
from fuse_ref.evaluate.temperatures import Temperatures, heated
from fuse_ref.evaluate.weighing import known_shapes, parameter_values, weight_values
from fuse_ref.files.paths import Folders
from fuse_ref.files.sinks import write_results
from fuse_ref.files.sources import read_sources
from fuse_ref.ir.json import Json
from fuse_ref.ir.nodes import ProgramIR
from fuse_ref.plan.build import build_plan
from fuse_ref.plan.checks import check_shapes
from fuse_ref.plan.steps import Plan
from fuse_ref.policies import RuntimePolicies
from fuse_ref.relations.derivation import Derivation

__all__ = ["BackendChoice", "ProgramLike", "Runner"]

BackendChoice: TypeAlias = Literal["auto", "numpy", "torch", "jax"]
_log = logging.getLogger("fuse.runner")


class ProgramLike(Protocol):
    """What a Runner needs of a Program, which lives in a room to the right."""

    @property
    def ir(self) -> ProgramIR: ...

    @property
    def source(self) -> str: ...

    @property
    def path(self) -> Path | None: ...


class Runner(Stateful):
    """A program made ready to run. Calls from several threads are safe; each sees its own last call.

    `runner(X=…)` and `runner({"X": …})` run the program and return its exports in text order, as arrays
    of the engine; Boolean ones are a `Relation`. Results share no memory with inputs or with each other.

    Raises:
        FuseError: of the kind that fits; see docs/errors.md.
    """

    def __init__(
        self,
        program: ProgramLike,
        *,
        backend: BackendChoice = "auto",
        config: ExecutionConfig | None = None,
        policies: RuntimePolicies | None = None,
        sizes: Mapping[str, int] | None = None,
        hints: Mapping[str, int] | None = None,
        device: str | None = None,
        cache_dir: str | PathLike[str] | None = None,
    ) -> None:
        self._program = program
        self._cache = plan_cache(cache_dir)
        self._config = with_device(config, device)
        self._temperatures = Temperatures(self._config)
        self._policies = RuntimePolicies() if policies is None else policies
        self._folders = Folders.of(program.path, self._policies.roots)
        for sink in program.ir.sinks:
            self._folders.place(sink.path, sink.key, "written", sink.span)  # refused now, not after a long run
        self._sizes = dict(sizes or {})
        self._given = known_shapes(program.ir, self._policies.store)
        ir = on_demand(program.ir, program.source) if self._config.mode == "demand" else program.ir
        self._sources = read_sources(
            ir,
            self._folders,
            shapes=self._given,
            sizes=self._sizes,
            limit=self._config.dense_limit,
            strict=self._policies.strict_mmap,
            tuples=True,
        )
        self._growing = growing_sources(self._sources)
        self._given |= {name: shape for name, shape in self._sources.shapes.items() if name not in self._growing}
        self._hints = dict(hints or {})
        # Relations that come as tuples, of files now and of the first call's inputs then.
        self._relations = {item.tensor.name for item in self._sources.facts}
        self._plan = self._build(self._sources.program)
        self._binder = Binder(self._plan, self._growing)
        exports = [ir.tensor(name) for name in ir.exports]
        self._exports = tuple((tensor.name, tensor.boolean, tensor.axes) for tensor in exports)
        self._notes: tuple[str, ...] = ()
        self._lock = threading.RLock()
        self._engine: Engine | None = None
        self._reason = "the inputs of the first call decide"
        if backend != "auto":
            self._use(backend, f'backend="{backend}"')
        self._prepared: dict[str, Prepared] = {}  # by precision
        self._settled: Prepared | None = None  # the one that every call uses, once there is one
        self._asked: dict[tuple[str, str], Prepared] = {}  # by query and precision
        self._last: Call | None = None
        self._state = {}
        self._local = threading.local()

    # Calls ----------------------------------------------------------------------------------------

    def __call__(self, inputs: Mapping[str, object] | None = None, /, **named: object) -> dict[str, Any]:
        """Run the program.

        Args:
            inputs, named: arrays (or nested lists) by name; both together are one mapping.

        Returns:
            Each export by name, in text order.
        """
        call, results = self._run(named if inputs is None else gather_inputs(inputs, named))
        result = call.prepared.plan.result
        return {
            name: self._relation(results[name], axes, call) if boolean else results[result(name)]
            for name, boolean, axes in self._exports
        }

    run = __call__

    def _run(self, values: Mapping[str, object]) -> tuple[Call, dict[str, Array]]:
        start = time.perf_counter()
        values = self._temperatures.given(values)
        prepared = self._settled
        values, started = of_streams(self._plan, values)
        if prepared is None:
            prepared, bound = self._settle(values)
        else:
            bound = self._binder.bind(values, _engine(self._engine), prepared.config)
        if self._plan.streams:
            bound = self._begun(prepared, bound, started)
        results = execute(prepared, bound)
        if self._plan.streams:
            self._state = {**self._state, **kept_state(prepared.plan, results)}
        answers = self._after(prepared, results, bound) if prepared.sinks or prepared.queries else ()
        step_seconds = getattr(prepared.executable, "step_seconds", ())
        runs = getattr(prepared.executable, "rule_runs", ())
        iterations = getattr(prepared.executable, "iterations", {})
        call = Call(prepared, bound, time.perf_counter() - start, step_seconds, runs, answers, iterations)
        self._last = self._local.call = call
        return call, results

    def _begun(self, prepared: Prepared, bound: Bound, started: Mapping[str, object]) -> Bound:
        """What a call gives, with the states that its streams go on from."""
        shapes = {name: tuple(value.shape) for name, value in {**prepared.fixed, **bound.values}.items()}
        engine = _engine(self._engine)
        states = state_values(prepared.plan, self._state, started, shapes, engine, prepared.config)
        return dataclasses.replace(bound, values={**bound.values, **states})

    def _settle(self, values: Mapping[str, object]) -> tuple[Prepared, Bound]:
        """What the first call decides, and every call when the precision follows the inputs."""
        engine = self._engine or self._choose(values)
        self._take_relations(values)
        precision = resolve_precision(self._config, self._plan, values, engine.name)
        prepared = self._prepared.get(precision)
        config = dataclasses.replace(self._config, precision=precision) if prepared is None else prepared.config
        if prepared is None:
            # What cannot run is said before anybody is asked for inputs.
            check_supported(self._plan, config, engine.name, self._policies)
        bound = self._binder.bind(values, engine, config)
        if prepared is None:
            prepared = self._prepare(engine, config, bound)
        if self._config.precision != "auto":
            self._settled = prepared
        return prepared, bound

    def _relation(self, value: Array, axes: tuple[str, ...], call: Call) -> Relation:
        symbols, found = tuple(map(call.bound.symbols.get, axes)), _engine(self._engine).to_numpy(value)
        letters = axes if len(set(axes)) == len(axes) else ()  # columns are told by number where one stands twice
        return Relation(found, symbols, letters=letters, limit=self._config.dense_limit)

    # Preparation ----------------------------------------------------------------------------------

    def _build(self, program: ProgramIR, hints: Mapping[str, int] | None = None) -> Plan:
        settings: dict[str, Json] = {
            "sizes": self._sizes,
            "hints": self._hints if hints is None else dict(hints),
            "given": self._given,
            "mode": self._config.mode,
            "disabled_passes": self._config.left_out_passes,
            "relations": sorted(self._relations),
        }
        program = heated(as_given(program, self._growing), self._config)
        build = functools.partial(build_plan, program, sampling=self._config.sampling, **settings)  # type: ignore[arg-type]
        return self._cache.plan(program, settings | {"sampling": repr(self._config.sampling)}, build)

    def _use(self, backend: Backend, reason: str) -> Engine:
        engine = find_engine(backend)
        if engine.name != backend:
            reason = f'backend="{backend}" is not there'
        self._engine, self._reason = engine, reason
        return engine

    def _choose(self, values: Mapping[str, object]) -> Engine:
        with self._lock:
            if self._engine is None:
                framework = framework_of_inputs(values)
                self._use(framework, f"the inputs of the first call are arrays of {framework}")
            return _engine(self._engine)

    def _prepare(self, engine: Engine, config: ExecutionConfig, bound: Bound) -> Prepared:
        with self._lock:
            prepared = self._prepared.get(config.precision)
            if prepared is not None:
                return prepared
            shapes = {name: value.shape for name, value in bound.values.items()}
            check_shapes(self._plan, {**self._given, **shapes})
            if not self._prepared:
                self._plan_again(shapes)
            prepared = self._ready(self._plan, engine, config, shapes)
            self._prepared[config.precision] = prepared
            return prepared

    def _take_relations(self, values: Mapping[str, object]) -> None:
        """Plan again where the first call lists the tuples of a relation: products go over them, not over the domain."""
        with self._lock:
            new = listed_relations(self._plan, values) - self._relations
            if self._prepared or not new:
                return
            self._relations |= new
            self._plan = self._build(self._sources.program)
            self._binder = Binder(self._plan, self._growing)

    def _plan_again(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Choose contraction orders once more with the sizes of the first call."""
        found = hints_from(self._plan, shapes, self._hints)
        if not found:
            return
        self._plan = self._build(self._sources.program, {**self._hints, **found})
        sizes = ", ".join(f"{axis} = {size}" for axis, size in found.items())
        self._notes = (f"contraction orders were planned again with the sizes of the first call: {sizes}",)
        _log.info("planned again with %s", sizes)

    def _ready(
        self, plan: Plan, engine: Engine, config: ExecutionConfig, shapes: Mapping[str, tuple[int, ...]]
    ) -> Prepared:
        sinks = sinks_of(plan)
        queries = tuple((query, plan.program.tensor(query.target.tensor)) for query in plan.program.queries)
        wanted = (
            *map(plan.result, plan.program.exports),
            *result_names(plan),
            *(tensor.name for _, tensor in queries if tensor.role == "computed"),
            *(name for _, name in sinks),
        )
        # The engine says first what it cannot run; only then are weights loaded and drawn.
        outputs = tuple(dict.fromkeys(wanted))
        executable = engine.prepare(plan, config, outputs, self._cache.kept(plan))
        store = self._policies.store
        fixed = weight_values(plan, store, self._sources, engine, config)
        fixed |= parameter_values(plan, {**self._given, **shapes}, store, engine, config)
        _log.info("prepared %s for %s in %s", ", ".join(plan.program.exports), engine.name, config.precision)
        return Prepared(plan, config, engine, executable, outputs, fixed, sinks, queries)

    # Sinks and answers ----------------------------------------------------------------------------

    def _after(self, prepared: Prepared, results: Mapping[str, Array], bound: Bound) -> tuple[Answer, ...]:
        """Writes sinks and answers queries."""
        write_results(written(prepared, self._folders, results, bound))
        return answered(prepared, results, bound)

    def query(self, text: str) -> Answer:
        """The answer to `text`, such as `"Y[1, j]?"`, for this thread's last call, or for a run without inputs.

        Raises:
            SyntaxFuseError: `text` is no query. InputError, UnboundTensorError: nothing ran yet and the
                program needs inputs. RouteError: the query needs an engine that is not there.
        """
        call = self._asked_call()
        key = (text, call.prepared.config.precision)
        prepared = self._asked.get(key)
        if prepared is None:
            with self._lock:
                plan = self._build(self._sources.extended(ask(self._program.ir, self._program.source, text)))
                prepared = self._asked[key] = call.prepared.asking(plan, self._cache.kept(plan))
        (found,) = self._after(prepared, asked(prepared, call.bound), call.bound)
        return found

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The answers to the program's own queries, in text order, for this thread's last call."""
        if not self._program.ir.queries:
            return ()
        return (self._last_call() or self._run({})[0]).answers

    def why(self, atom: str) -> Derivation:
        """Why a fact such as `"Ancestor(Alice, Carol)"` holds in this thread's last call, or a run without inputs.

        A shortest derivation down to facts; `str()` of it is a proof tree. Of what does not hold, why not.

        Raises:
            InputError: `atom` is no relation with a constant for each argument.
        """
        return self._explained(atom, holds=True)

    def why_not(self, atom: str) -> Derivation:
        """Why a fact does not hold: of each rule for it, the first condition that fails.

        Raises:
            InputError: `atom` is no relation with a constant for each argument.
        """
        return self._explained(atom, holds=False)

    def _asked_call(self) -> Call:
        """What a question is about: this thread's last call, else one without inputs, of which demand runs nothing."""
        call = self._last_call()
        if call is None and self._config.mode == "demand":
            return Call(*self._settle(self._temperatures.given({})), 0.0, (), (), ())
        return call or self._run({})[0]

    def _explained(self, atom: str, *, holds: bool) -> Derivation:
        call = self._asked_call()
        plan = self._build(self._sources.extended(ask(self._program.ir, self._program.source, atom)))
        engine = _engine(self._engine)
        values = {name: engine.to_numpy(value) for name, value in {**call.prepared.fixed, **call.bound.values}.items()}
        return explained(plan, call.prepared.config, values, call.bound.symbols, holds=holds)

    # What there is to know ------------------------------------------------------------------------

    @property
    def backend(self) -> str:
        """The engine that runs: "numpy", "torch" or "jax"; "auto" until the first call decides."""
        return "auto" if self._engine is None else self._engine.name

    @property
    def plan(self) -> Plan:
        """The steps that run."""
        return self._plan

    @property
    def symbols(self) -> dict[str, tuple[str, ...]]:
        """Axis -> its symbols in position order: those of the program, of files, and of this thread's last inputs."""
        call = self._last_call()
        tables = {axis.name: axis.symbols for axis in self._plan.program.axes} if call is None else call.bound.symbols
        return {axis: table for axis, table in tables.items() if table is not None}

    def explain(self) -> Explanation:
        """Steps, routes and reasons; after a call also sizes, casts and times."""
        call = self._last_call()
        precision = None if self._config.precision == "auto" else self._config.precision
        return Explanation(
            plan=self._plan,
            backend=self.backend,
            backend_reason=self._reason,
            precision=precision if call is None else call.prepared.config.precision,
            shapes={} if call is None else call.bound.shapes,
            casts=() if call is None else tuple((c.tensor, c.given, c.used) for c in call.bound.casts),
            seconds=None if call is None else call.seconds,
            step_seconds=() if call is None else call.step_seconds,
            iterations={} if call is None else call.iterations,
            rules=() if call is None else call.rule_runs,
            notes=self._notes,
            estimates=() if call is None else call.estimates(),
        )

    def _last_call(self) -> Call | None:
        return getattr(self._local, "call", self._last)

    def __repr__(self) -> str:
        return f"<Runner of {', '.join(self._program.ir.exports) or 'no exports'} on {self.backend}>"


def _engine(engine: Engine | None) -> Engine:
    assert engine is not None, "a call chooses the engine first"
    return engine
