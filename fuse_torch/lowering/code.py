"""The `forward` of a module as Python code: bind the call's values, check them, run the graph.

Everything stands in one straight-line function per program, because Dynamo caches per code object:
through one shared function, the ninth program would run uncompiled. Modules with equal plans share
the function, so twelve equal layers compile once.
"""

from __future__ import annotations

import functools
import linecache
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import torch
from torch.fx.graph import CodeGen

from fuse_ref.analysis.lengths import Extent, Fixed, FloorDivide, Length, Linear, Maximum, Minimum, Times
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.densely import runs_densely
from fuse_ref.evaluate.logic import relations_of
from fuse_ref.plan.key import plan_key
from fuse_ref.plan.steps import Plan
from fuse_torch import refusal
from fuse_torch.binding import ABSENT, Signature, bind, tables, widened
from fuse_torch.logic.hidden import hide_crossings
from fuse_torch.lowering.checked import with_checks
from fuse_torch.lowering.limit import over_limit, split_call
from fuse_torch.lowering.lower import PRECISION, Lowered, Slot, lower
from fuse_torch.lowering.needed import extents
from fuse_torch.relations import dense_tables
from fuse_torch.split_operator import cast_of, seed_for
from fuse_torch.splitting import Splitting, run_in_blocks, splitting_of
from fuse_torch.splitting import register as register_splitting

__all__ = ["Forward", "forward_of"]


@dataclass(frozen=True, slots=True)
class Forward:
    """The generated function of one plan."""

    function: Callable[..., Any]  # forward(self, …)
    source: str
    lowered: Lowered
    owns_precision: bool  # the module needs a buffer `PRECISION`
    splitting: Splitting | None  # how calls obey a memory limit


@dataclass(frozen=True, slots=True)
class _Variant:
    key: str  # of the plan
    carry: bool
    checked: bool
    memory_limit: int | None
    crossing: tuple[object, ...]  # settings of rules

    @property
    def splitting_key(self) -> str:
        return f"{self.key} {self.checked} {self.memory_limit}"


_FORWARDS: dict[_Variant, Forward] = {}
_LOCK = threading.Lock()


def forward_of(plan: Plan, attributes: Mapping[str, str], config: ExecutionConfig, *, carry: bool) -> Forward:
    """The function for `plan`, made once in this process.

    Args:
        attributes: module name of every parameter and weight.
        config: how the module executes.
        carry: the function takes `state=` and returns (result, new state).
    """
    logical = relations_of(plan) or runs_densely(config)
    crossing = (config.breaks, config.dense_limit, config.time_limit, runs_densely(config)) if logical else ()
    variant = _Variant(plan_key(plan), carry, config.checked, config.memory_limit, crossing)
    with _LOCK:
        found = _FORWARDS.get(variant)
        if found is None:
            found = _generate(plan, attributes, config, variant)
            _FORWARDS[variant] = found
        return found


def _generate(plan: Plan, attributes: Mapping[str, str], config: ExecutionConfig, variant: _Variant) -> Forward:
    lowered = lower(plan, plan.program.exports, frozenset(attributes.values()), config)
    crosses = hide_crossings(lowered.graph, config.breaks)
    if variant.checked:
        with_checks(lowered)
    refusal.register(variant.key, lowered.checked)
    # Rules obey the limit themselves.
    limit = None if crosses else variant.memory_limit
    splitting = None if limit is None else splitting_of(lowered, limit)
    if splitting is not None:
        register_splitting(variant.splitting_key, splitting)
    prologue = _Prologue(lowered, attributes, variant, splitting)
    lowered.graph.set_codegen(_ForwardCode(prologue))
    made = lowered.graph.python_code("self")
    filename = f"<fuse {', '.join(plan.program.exports)} {variant.key[:12]}.{len(_FORWARDS)}>"
    scope: dict[str, Any] = {**made.globals, **prologue.scope}
    exec(compile(made.src, filename, "exec"), scope)  # our own text: a program's names are in it as identifiers only
    linecache.cache[filename] = (len(made.src), None, made.src.splitlines(keepends=True), filename)
    return Forward(scope["forward"], made.src, lowered, prologue.owns_precision, splitting)


class _ForwardCode(CodeGen):
    """FX code generation with our signature and prologue in front of the graph's lines."""

    def __init__(self, prologue: _Prologue) -> None:
        super().__init__()
        self._prologue = prologue

    def gen_fn_def(self, free_vars: list[str], maybe_return_annotation: str, *, expanded_def: bool = False) -> str:
        return "\n    ".join([self._prologue.signature(), *self._prologue.lines()])

    def generate_output(self, output_args: Any, *, descs: Any = None, repr_fn: Callable[[object], str] = repr) -> str:
        text = repr_fn(output_args)
        return f"return {text}, {{}}" if self._prologue.carry else f"return {text}"


class _Prologue:
    def __init__(
        self, lowered: Lowered, attributes: Mapping[str, str], variant: _Variant, splitting: Splitting | None
    ) -> None:
        self.lowered = lowered
        self.splitting = splitting
        self.splitting_key = variant.splitting_key
        self.plan = lowered.plan
        self.attributes = attributes
        self.key = variant.key
        self.carry = variant.carry
        self.tensors = {tensor.name: tensor for tensor in self.plan.program.tensors}
        self.slots = {slot.tensor.name: slot for slot in (*lowered.givens, *lowered.states)}
        taken = {node.name for node in lowered.graph.nodes}
        self.local: dict[str, str] = {}
        for name in ("self", "rest", "named", "parameters", "buffers", "precision", "values", "state", "parts"):
            self.local[name] = _unused(name if name in ("self", "state") else f"_{name}", taken)
        self.open = [slot for slot in lowered.givens if slot.tensor.name not in lowered.handles]
        self.shape_names = {slot.tensor.name: _unused(f"_{slot.variable}_shape", taken) for slot in self.open}
        float_states = [slot for slot in lowered.states if slot.tensor.dtype == "float"]
        needs = any(slot.tensor.dtype == "float" for slot in lowered.givens) or lowered.needs_precision
        self.owns_precision = not float_states and needs
        self.precision_of = float_states[0].variable if float_states else None
        signature = Signature(
            plan=self.plan,
            names=tuple(slot.tensor.name for slot in lowered.givens),
            variables=tuple(slot.variable for slot in lowered.givens),
            positional=sum(slot.tensor.role == "input" for slot in lowered.givens),
            dense=_hidden(lowered),
            handles=lowered.handles,
        )
        helpers = {
            "absent": ABSENT,
            "bind": bind,
            "signature": signature,
            "widened": widened,
            "tables": tables,
            "tracing": refusal.tracing,
            "refuse": refusal.refuse,
            "stand_in": torch.ops.fuse_torch.refuse.default,
            "split": torch.ops.fuse_torch.split.default,
            "run_in_blocks": run_in_blocks,
            "seed_for": seed_for,
            "cast_of": cast_of,
            "Tensor": torch.Tensor,
            "dict": Mapping,
            "int64": torch.int64,
            "boolean": torch.bool,
        }
        self.helper = {name: _unused(f"_fuse_{name}", taken) for name in helpers}
        self.scope = {self.helper[name]: value for name, value in helpers.items()}

    # Parts -------------------------------------------------------------------------------------

    def signature(self) -> str:
        local, absent = self.local, self.helper["absent"]
        positional = [f"{s.variable}={absent}" for s in self.lowered.givens if s.tensor.role == "input"]
        by_name = [f"{s.variable}={absent}" for s in self.lowered.givens if s.tensor.role != "input"]
        state = [f"{local['state']}=None"] if self.carry else []
        parts = [local["self"], *positional, f"*{local['rest']}", *by_name, *state, f"**{local['named']}"]
        return f"def forward({', '.join(parts)}):"

    def lines(self) -> list[str]:
        return [*self._bind(), *self._states(), *self._conversions(), *self._checks(), *self._limit()]

    def _bind(self) -> list[str]:
        local, helper = self.local, self.helper
        variables = [slot.variable for slot in self.lowered.givens]
        surplus = [local["rest"], local["named"]]
        absent = [f"not isinstance({slot.variable}, {helper['Tensor']})" for slot in self.open]
        closed = [slot for slot in self.lowered.givens if slot not in self.open]
        absent += [f"{slot.variable} is {helper['absent']}" for slot in closed]
        # A mapping may be the only argument.
        absent += [f"isinstance({slot.variable}, {helper['dict']})" for slot in closed]
        values = f"({''.join(f'{name}, ' for name in variables)})"
        call = f"{helper['bind']}({helper['signature']}, {values}, {local['rest']}, {local['named']})"
        target = f"{', '.join(variables)}, = " if variables else ""
        return [f"if {' or '.join([*surplus, *absent])}:", f"    {target}{call}"]

    def _states(self) -> list[str]:
        lines: list[str] = []
        weights = set(self.plan.weights)
        stores = (("parameters", False), ("buffers", True))
        for store, is_weight in stores:
            slots = [slot for slot in self.lowered.states if (slot.tensor.name in weights) == is_weight]
            if slots:
                lines.append(f"{self.local[store]} = {self.local['self']}._{store}")
            for slot in slots:
                name = self.attributes[slot.tensor.name]
                lines.append(f"{slot.variable} = {self.local[store]}.get({name!r})")
                # A parametrised or pruned tensor is an attribute, not an entry of the dict.
                lines.append(f"if {slot.variable} is None: {slot.variable} = getattr({self.local['self']}, {name!r})")
        if self.precision_of is not None:
            lines.append(f"{self.local['precision']} = {self.precision_of}.dtype")
        elif self.owns_precision:
            lines.append(f"{self.local['precision']} = {self.local['self']}._buffers[{PRECISION!r}].dtype")
        else:
            lines.append(f"{self.local['precision']} = torch.float32")
            self.scope["torch"] = torch
        return lines

    def _conversions(self) -> list[str]:
        lines: list[str] = []
        sparse: list[str] = []
        for slot in self.open:
            variable = slot.variable
            match slot.tensor.dtype:
                case "float":
                    pass
                case "int64":
                    wrong = f"{variable}.dtype is not {self.helper['int64']}"
                    lines.append(f"if {wrong}: {variable} = {self.helper['widened']}({variable})")
                case "bool":
                    sparse.append(f"{variable}.dtype is not {self.helper['boolean']} or {variable}.is_sparse")
                case _:
                    assert_never(slot.tensor.dtype)
        if sparse:
            every = "".join(f"{slot.variable}, " for slot in self.lowered.givens)
            call = f"{self.helper['tables']}({self.helper['signature']}, ({every}))"
            lines.append(f"if {' or '.join(sparse)}: {every}= {call}")
        return lines

    def _checks(self) -> list[str]:
        plan = self.lowered.checked
        used = {check.tensor for check in plan.size_checks}
        compared = [check.expected for check in plan.size_checks]
        compared += [check.length for check in plan.range_checks]
        used.update(name for length in compared for name in extents(length))
        lines = [
            f"{self.shape_names[slot.tensor.name]} = {slot.variable}.shape"
            for slot in self.open
            if slot.tensor.name in used
        ]
        wrong = [*self._wrong_types(), *self._wrong_ranks(used), *self._wrong_sizes(), *self._wrong_states()]
        wrong += self._wrong_devices()
        if not wrong:
            return lines
        slots = [*self.open, *self.lowered.states]
        every = f"[{', '.join([*(slot.variable for slot in slots), *self._constants()])}]"
        precision = self.local["precision"]
        lines += [
            f"if {' or '.join(wrong)}:",
            f"    if {self.helper['tracing']}(): return {self._stand_ins(every)}",
            f"    {self.helper['refuse']}({self.local['self']}._blueprint.narrowed(), {every}, {precision})",
        ]
        return lines

    def _limit(self) -> list[str]:
        if self.splitting is None:
            return []
        slots = {name: slot.variable for name, slot in self.slots.items()}
        local = [self.local[name] for name in ("self", "precision", "parts")]
        size = functools.partial(_text, extent=lambda tensor, position: f"{slots[tensor]}.shape[{position}]")
        over = over_limit(self.lowered, self.splitting.limit, size, f"{local[1]}.itemsize")
        lines, result = split_call(self.splitting, self.splitting_key, tuple(slots.values()), local, self.helper)
        return [f"if {over}:", *lines, f"    return {f'({result}, {{}})' if self.carry else result}"]

    # Conditions --------------------------------------------------------------------------------

    def _wrong_types(self) -> list[str]:
        return [f"{slot.variable}.dtype is not {self._dtype(slot)}" for slot in self.open]

    def _dtype(self, slot: Slot) -> str:
        kinds = {"float": self.local["precision"], "int64": self.helper["int64"], "bool": self.helper["boolean"]}
        return kinds[slot.tensor.dtype]

    def _wrong_ranks(self, used: set[str]) -> list[str]:
        wrong: list[str] = []
        for slot in self.open:
            name, rank = slot.tensor.name, len(slot.tensor.axes)
            got = f"len({self.shape_names[name]})" if name in used else f"{slot.variable}.dim()"
            wrong.append(f"{got} != {rank}")
        return wrong

    def _wrong_sizes(self) -> list[str]:
        wrong: list[str] = []
        for check in self.lowered.checked.size_checks:
            got = self._extent(check.tensor, check.position)
            differs = "!=" if check.relation == "==" else "<"
            wrong.append(f"{got} {differs} {self._size(check.expected)}")
        wrong.extend(f"{self._size(check.length)} < 0" for check in self.lowered.checked.range_checks)
        return list(dict.fromkeys(wrong))

    def _wrong_states(self) -> list[str]:
        wrong: list[str] = []
        for slot in self.lowered.states:
            sizes = [length.value for length in self.plan.shape(slot.tensor.name) if isinstance(length, Fixed)]
            wrong.append(f"{slot.variable}.shape != {tuple(sizes)!r}")
        return wrong

    def _wrong_devices(self) -> list[str]:
        """Operations of torch may give any numbers for tensors of two devices: linear does for the meta device."""
        placed = [slot.variable for slot in (*self.lowered.states, *self.open) if slot.tensor.axes]
        placed += self._constants()
        return [f"{placed[0]}.device != {other}.device" for other in placed[1:]]

    def _constants(self) -> list[str]:
        """Sources and literals, where they alone say on which device the module is."""
        if any(slot.tensor.axes for slot in self.lowered.states):
            return []  # they move together
        held = [attribute for attribute, name in self.lowered.sources if self.tensors[name].axes]
        held += [attribute for attribute, operation in self.lowered.literals if operation.output.lengths]
        return [f"{self.local['self']}._buffers[{attribute!r}]" for attribute in held]

    # Sizes as Python text ----------------------------------------------------------------------

    def _extent(self, tensor: str, position: int) -> str:
        if tensor in self.shape_names:
            return f"{self.shape_names[tensor]}[{position}]"
        return f"{self.slots[tensor].variable}.shape[{position}]"

    def _size(self, length: Length, extent: Callable[[str, int], str] | None = None) -> str:
        return _text(length, extent or self._extent)

    def _likely_extent(self, tensor: str, position: int) -> str:
        """The size as it should be: of a tensor of wrong rank any that compiles."""
        if tensor in self.lowered.handles:
            return "2"  # nobody knows before the relation is opened
        if tensor not in self.shape_names:
            return self._extent(tensor, position)
        shape, rank = self.slots[tensor].variable + ".shape", len(self.tensors[tensor].axes)
        return f"({shape}[{position}] if len({shape}) == {rank} else 2)"

    def _stand_ins(self, every: str) -> str:
        """Calls of the refusing operator in the shapes of the outputs."""
        parts: dict[str, str] = {}
        precision = self.local["precision"]
        kinds = {"float": precision, "int64": self.helper["int64"], "bool": self.helper["boolean"]}
        for name in self.lowered.outputs:
            sizes = [f"max(0, {self._size(length, self._likely_extent)})" for length in self.plan.shape(name)]
            dtype = kinds[self.tensors[name].dtype]
            size = f"[{', '.join(sizes)}]"
            parts[name] = f"{self.helper['stand_in']}({every}, {self.key!r}, {precision}, {size}, {dtype})"
        if len(parts) == 1:
            result = next(iter(parts.values()))
        else:
            result = f"{{{', '.join(f'{name!r}: {call}' for name, call in parts.items())}}}"
        return f"({result}, {{}})" if self.carry else result


def _hidden(lowered: Lowered) -> Callable[..., dict[str, torch.Tensor]]:
    """`dense_tables`, which works in NumPy, as a call that Dynamo leaves alone."""
    if all(slot.tensor.dtype != "bool" or slot.tensor.name in lowered.handles for slot in lowered.givens):
        return dense_tables  # never called; `disable` would load all of Dynamo
    disable = torch.compiler.disable(reason="fuse: a Boolean input that is no dense bool tensor is read in NumPy")
    hidden: Callable[..., dict[str, torch.Tensor]] = disable(dense_tables)
    return hidden


def _text(length: Length, extent: Callable[[str, int], str]) -> str:
    match length:
        case Fixed(value):
            return str(value)
        case Extent(tensor, position):
            return extent(tensor, position)
        case Linear(terms, offset):
            parts = [f"{factor} * {_text(item, extent)}" for item, factor in terms]
            return f"({' + '.join([*parts, str(offset)])})"
        case FloorDivide(numerator, divisor):
            return f"({_text(numerator, extent)} // {divisor})"
        case Times(items):
            return f"({' * '.join(_text(item, extent) for item in items)})"
        case Minimum(items):
            return f"min({', '.join(_text(item, extent) for item in items)})"
        case Maximum(items):
            return f"max({', '.join(_text(item, extent) for item in items)})"
        case _:
            assert_never(length)


def _unused(wanted: str, taken: set[str]) -> str:
    while wanted in taken:
        wanted += "_"
    taken.add(wanted)
    return wanted
