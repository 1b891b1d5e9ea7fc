"""What a generated `forward` does before the graph's lines: bind the call's values, check them, choose the plan."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import assert_never

import torch

from fuse_ref.analysis.lengths import Extent, Fixed, FloorDivide, Length, Linear, Maximum, Minimum, Times
from fuse_torch import refusal
from fuse_torch.binding import ABSENT, Signature, autocasts, bind, listed_among, tables, widened
from fuse_torch.lowering.emitter import identifier
from fuse_torch.lowering.limit import over_limit, split_call
from fuse_torch.lowering.listing import Listing, Listings
from fuse_torch.lowering.lower import PRECISION, Lowered, Slot
from fuse_torch.lowering.needed import extents
from fuse_torch.lowering.stateful import begin_lines, results_of, state_lines
from fuse_torch.relations import dense_tables
from fuse_torch.split_operator import cast_of, seed_for
from fuse_torch.splitting import Splitting, run_in_blocks
from fuse_torch.streams import begun, freshness, guarded, held, stateful, without_starts

__all__ = ["Prologue"]


class Prologue:
    """The lines in front of a graph, and the names that they use."""

    def __init__(
        self,
        lowered: Lowered,
        attributes: Mapping[str, str],
        key: str,
        listing: Listing,
        splitting: Splitting | None,
        splitting_key: str,
        *,
        carry: bool,
    ) -> None:
        self.lowered = lowered
        self.splitting = splitting
        self.splitting_key = splitting_key
        self.plan = lowered.plan
        self.attributes = attributes
        self.key = key
        self.carry = carry
        self.listing = listing
        self.listings = Listings()
        self.tensors = {tensor.name: tensor for tensor in self.plan.program.tensors}
        self.slots = {slot.tensor.name: slot for slot in (*lowered.givens, *lowered.states)}
        taken = {node.name for node in lowered.graph.nodes}
        self.local: dict[str, str] = {}
        self.streams = stateful(lowered.plan)
        for name in (
            "self",
            "rest",
            "named",
            "parameters",
            "buffers",
            "precision",
            "values",
            "state",
            "parts",
            "listed",
        ):
            self.local[name] = _unused(name if name in ("self", "state") else f"_{name}", taken)
        # The graph may give these names to values of its own: by then starts have been used.
        entering = {slot.variable for slot in (*lowered.givens, *lowered.states, *lowered.carried)}
        self.starts = {s.tensor: _unused(identifier(s.tensor), entering) for s in self.streams}
        self.results = results_of(lowered.plan)
        self.open = [slot for slot in lowered.givens if slot.tensor.name not in lowered.handles]
        self.asked = [slot for slot in self.open if slot.tensor.name in listing.choices]
        # What the function takes: a plan for listed tuples is called with all that the other one takes.
        own = [(slot.tensor.name, slot.variable) for slot in lowered.givens]
        takes = dict.fromkeys([*listing.takes, *own])
        self.by_position = [variable for name, variable in takes if self.tensors[name].role == "input"]
        self.by_name = [variable for name, variable in takes if self.tensors[name].role != "input"]
        self.shape_names = {slot.tensor.name: _unused(f"_{slot.variable}_shape", taken) for slot in self.open}
        float_states = [slot for slot in lowered.states if slot.tensor.dtype == "float"]
        needs = any(slot.tensor.dtype == "float" for slot in lowered.givens) or lowered.needs_precision
        needs = needs or bool(self.asked)  # plans for listed tuples may need it
        self.owns_precision = not float_states and needs
        self.precision_of = float_states[0].variable if float_states else None
        signature = Signature(
            plan=self.plan,
            names=tuple(slot.tensor.name for slot in lowered.givens),
            variables=tuple(slot.variable for slot in lowered.givens),
            positional=sum(slot.tensor.role == "input" for slot in lowered.givens),
            dense=_hidden(lowered, listing),
            handles=(*lowered.handles, *listing.choices),
        )
        helpers = {
            "absent": ABSENT,
            "bind": bind,
            "signature": signature,
            "widened": widened,
            "autocasts": autocasts,
            "listed_among": listed_among,
            "listings": self.listings,
            "strided": torch.strided,
            "tables": tables,
            "tracing": refusal.tracing,
            "refuse": refusal.refuse,
            "stand_in": torch.ops.fuse_torch.refuse.default,
            "split": torch.ops.fuse_torch.split.default,
            "run_in_blocks": run_in_blocks,
            "seed_for": seed_for,
            "cast_of": cast_of,
            "begun": begun,
            "freshness": freshness,
            "held": held,
            "without_starts": without_starts,
            "guarded": guarded,
            "streams": self.streams,
            "Tensor": torch.Tensor,
            "dict": Mapping,
            "int64": torch.int64,
            "boolean": torch.bool,
        }
        self.helper = {name: _unused(f"_fuse_{name}", taken) for name in helpers}
        self.scope = {self.helper[name]: value for name, value in helpers.items()}

    # Parts -------------------------------------------------------------------------------------

    def signature(self) -> str:
        """The function's first line."""
        local, absent = self.local, self.helper["absent"]
        positional = [f"{variable}={absent}" for variable in self.by_position]
        by_name = [f"{variable}={absent}" for variable in (*self.by_name, *self.starts.values())]
        state = [f"{local['state']}=None"] if self.carry else []
        parts = [local["self"], *positional, f"*{local['rest']}", *by_name, *state, f"**{local['named']}"]
        return f"def forward({', '.join(parts)}):"

    def lines(self) -> list[str]:
        """In order."""
        start = [*begin_lines(self), *self._bind(), *self._choose()]
        return [*start, *self._states(), *self._conversions(), *self._checks(), *self._limit(), *state_lines(self)]

    def _bind(self) -> list[str]:
        local, helper = self.local, self.helper
        variables = [slot.variable for slot in self.lowered.givens]
        surplus = [local["rest"], local["named"]]
        taken = [slot for slot in self.open if slot not in self.asked]
        absent = [f"not isinstance({slot.variable}, {helper['Tensor']})" for slot in taken]
        closed = [slot for slot in self.lowered.givens if slot not in taken]
        absent += [f"{slot.variable} is {helper['absent']}" for slot in closed]
        # A mapping may be the only argument.
        absent += [f"isinstance({slot.variable}, {helper['dict']})" for slot in closed]
        values = f"({''.join(f'{name}, ' for name in variables)})"
        call = f"{helper['bind']}({helper['signature']}, {values}, {local['rest']}, {local['named']})"
        target = f"{', '.join(variables)}, = " if variables else ""
        return [f"if {' or '.join([*surplus, *absent])}:", f"    {target}{call}"]

    def _choose(self) -> list[str]:
        """Where a call lists the tuples of a relation that this plan takes as truth values, another plan runs."""
        if not self.asked:
            return []
        local, helper = self.local, self.helper
        kinds = helper["boolean"], helper["strided"]
        other = [
            f"not isinstance({v}, {helper['Tensor']}) or {v}.dtype is not {kinds[0]} or {v}.layout is not {kinds[1]}"
            for v in (slot.variable for slot in self.asked)
        ]
        every = "".join(f"{slot.variable}, " for slot in self.lowered.givens)
        choices = repr(tuple(slot.tensor.name for slot in self.asked))
        call = f"{helper['listed_among']}({helper['signature']}, ({every}), {choices})"
        given = [*self.by_position, *(f"{variable}={variable}" for variable in self.by_name)]
        given += [f"{local['state']}={local['state']}"] if self.carry else []
        found = f"{local['self']}._planned_for({helper['listings']}, {local['listed']})"
        return [
            f"if {' or '.join(other)}:",
            f"    {every}{local['listed']} = {call}",
            f"    if {local['listed']}:",
            f"        return getattr({helper['listings']}, {found})({', '.join([local['self'], *given])})",
        ]

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
        own = self.local["precision"]
        for slot in self.open:
            variable = slot.variable
            match slot.tensor.dtype:
                case "float":
                    wrong = f"{variable}.dtype is not {own} and {self.helper['autocasts']}({variable})"
                    lines.append(f"if {wrong}: {variable} = {variable}.to({own})")
                case "int64":
                    wrong = f"{variable}.dtype is not {self.helper['int64']}"
                    lines.append(f"if {wrong}: {variable} = {self.helper['widened']}({variable})")
                case "bool" if slot in self.asked:
                    pass
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
        compared += [length for stream in self.streams for length in stream.lengths]
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
            f"    {self.helper['refuse']}({self._blueprint()}.narrowed(), {every}, {precision})",
        ]
        return lines

    def _blueprint(self) -> str:
        found = f"{self.local['self']}._blueprint"
        return f"{found}.listing({self.listing.listed!r})" if self.listing.listed else found

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
            wrong.append(f"{got} {differs} {self.size(check.expected)}")
        wrong.extend(f"{self.size(check.length)} < 0" for check in self.lowered.checked.range_checks)
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

    def size(self, length: Length, extent: Callable[[str, int], str] | None = None) -> str:
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
        for name, _, lengths, kind in self.results:
            sizes = [f"max(0, {self.size(length, self._likely_extent)})" for length in lengths]
            dtype = kinds[kind]
            size = f"[{', '.join(sizes)}]"
            parts[name] = f"{self.helper['stand_in']}({every}, {self.key!r}, {precision}, {size}, {dtype})"
        if len(parts) == 1:
            result = next(iter(parts.values()))
        else:
            result = f"{{{', '.join(f'{name!r}: {call}' for name, call in parts.items())}}}"
        return f"({result}, {{}})" if self.carry else result


def _hidden(lowered: Lowered, listing: Listing) -> Callable[..., dict[str, torch.Tensor]]:
    """`dense_tables`, which works in NumPy, as a call that Dynamo leaves alone."""
    closed = {*lowered.handles, *listing.choices}
    if all(slot.tensor.dtype != "bool" or slot.tensor.name in closed for slot in lowered.givens):
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
