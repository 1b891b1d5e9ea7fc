"""Steps of relations: rules, the truth tables and joins that they and dense steps need first."""

from __future__ import annotations

from dataclasses import replace

from fuse_ref.analysis.check import Checked
from fuse_ref.analysis.dependencies import Group
from fuse_ref.ir.nodes import ProgramIR
from fuse_ref.ir.variables import reads
from fuse_ref.plan.estimates import Estimates
from fuse_ref.plan.iterating import iterated, relaxing_round
from fuse_ref.plan.logic import Table, lower_rules
from fuse_ref.plan.lower import Definition, lower_table
from fuse_ref.plan.references import Tensors
from fuse_ref.plan.relaxing import base_name, relaxed
from fuse_ref.plan.steps import Condition, Output, Shape, Step
from fuse_ref.plan.values import Builder, Unsupported
from fuse_ref.records import dataclass
from fuse_ref.relations.rules import Rule, atoms, elements

__all__ = ["Relational", "is_positive", "read_by_logic", "sparse_relations"]


def read_by_logic(program: ProgramIR, checked: Checked, tensors: Tensors, needed: set[str]) -> set[str]:
    """Tensors that rules or queries read: their facts stay relations."""
    specs = tensors.specs
    found = {query.target.tensor for query in program.queries}
    for number, equation in enumerate(program.equations):
        name = equation.target.tensor
        if specs[name].boolean and name in needed:
            found.update(a.tensor for a in checked.dependencies.reads[number] if a.tensor is not None)
    return found


def sparse_relations(
    program: ProgramIR, checked: Checked, tensors: Tensors, needed: set[str], logical: set[str]
) -> frozenset[str]:
    """The relations that a run has the tuples of: what logical steps make or read."""
    found = set()
    for group in checked.dependencies.groups:
        cycle = checked.cycles.get(group.tensors)
        for name in group.tensors:
            spec = tensors.specs[name]
            kinds = {program.equations[i].kind for i in group.equations}
            made = cycle is not None or not kinds <= {"fact", "literal", "source"}
            if cycle is not None and not all(tensors.specs[other].boolean for other in group.tensors):
                continue  # relations in a cycle with numbers are truth values
            if spec.boolean and name in needed and spec.virtual is None and (made or name in logical):
                found.add(name)
    for name in (logical | _read_by_relaxations(program, checked, tensors)) & needed:
        if tensors.specs[name].boolean and tensors.specs[name].role in ("input", "free"):
            found.add(name)
    return frozenset(found)


def _read_by_relaxations(program: ProgramIR, checked: Checked, tensors: Tensors) -> set[str]:
    """What numeric cycles of `max=` and `min=` read: they run tuple by tuple."""
    found: set[str] = set()
    for group in checked.dependencies.groups:
        if group.tensors in checked.cycles and all(
            tensors.specs[name].operator in ("max=", "min=") for name in group.tensors
        ):
            found.update(group.needs)
    return found


def is_positive(checked: Checked, tensors: Tensors, group: Group) -> bool:
    """Whether a group of relations is a fixpoint, whichever way it also may be run: it denies none of its own."""
    specs, found = tensors.specs, checked.dependencies.reads
    return all(specs[name].boolean and specs[name].virtual is None for name in group.tensors) and not any(
        access.negated and access.tensor in group.tensors for number in group.equations for access in found[number]
    )


@dataclass(frozen=True, slots=True)
class Relational:
    """Makes the steps of one program."""

    program: ProgramIR
    checked: Checked
    tensors: Tensors
    estimates: Estimates

    def logical(self, step: Step) -> list[Step]:
        """A step of rules, after the truth tables that they read."""
        rules: list[Rule] = []
        tables: list[Step] = []
        conditions: list[Condition] = []
        for name in step.writes:
            definitions = [
                (i, Definition(self.program.equations[i], self.checked.shapes.equations[i]))
                for i in step.equations
                if self.program.equations[i].target.tensor == name
            ]
            try:
                made, wanted = lower_rules(name, definitions, self.tensors)
                tables.extend(made_step for table in wanted for made_step in self._table(name, table))
            except Unsupported as why:
                return [replace(step, unsupported=str(why))]
            rules.extend(made)
            conditions.extend(table.condition for table in wanted)
        own = tuple(name for table in tables for name in table.writes)
        read = {atom.relation for rule in rules for atom in atoms(rule)} | {
            tensor for rule in rules for tensor in elements(rule)
        }
        needs = tuple(name for name in (*step.reads, *own) if name in read)
        return [*tables, replace(step, reads=needs, rules=tuple(rules), tables=tuple(conditions))]

    def _table(self, tensor: str, table: Table) -> list[Step]:
        """The steps that make a truth table for the rules of `tensor`."""
        number = self.estimates.number
        builder = lower_table(table.name, table.body, table.variables, table.shapes, self.tensors, number)
        names = tuple(dict.fromkeys(read.tensor for read in reads(table.body)))
        step = Step("Dense", (), names, (table.name,), "dense", f"a truth table for {tensor}")
        return [*self.joins(step, builder), self.measured(step, builder)]

    def relaxing(self, step: Step) -> list[Step] | None:
        """A cycle of `max=` or `min=` over relations as what each change touches; None where it is something else."""
        definitions: dict[str, list[tuple[Definition, bool]]] = {name: [] for name in step.writes}
        for i, definition in self._definitions(step):
            cyclic = any(access.tensor in step.writes for access in self.checked.dependencies.reads[i])
            definitions[definition.equation.target.tensor].append((definition, cyclic))
        try:
            found = relaxed(step.writes, definitions, self.tensors, self.estimates.number)
        except Unsupported as why:
            return [replace(step, unsupported=str(why))]
        if found is None:
            return None
        before: list[Step] = []
        for builder in found.builders:
            dense = Step("Dense", (), step.reads, (), "dense", f"before the fixpoint of {', '.join(step.writes)}")
            before.extend(self.joins(dense, builder))
            made = tuple(operation.output.out for operation in builder.operations)
            if made:
                before.append(self.measured(replace(dense, writes=made), builder))
        base = [base_name(name) for name in step.writes]
        operands = (operand.value for item in found.relaxations for operand in item.operands)
        relations = (item.relation for item in found.relaxations)
        needs = dict.fromkeys(name for name in (*base, *operands, *relations) if name not in step.writes)
        step = replace(step, reads=tuple(needs), relaxations=found.relaxations)
        try:
            loop = relaxing_round(step, self.tensors, {name: base_name(name) for name in step.writes})
        except Unsupported as why:
            return [replace(step, unsupported=str(why))]
        return [*before, replace(step, loop=loop)]

    def iterating(self, step: Step) -> list[Step]:
        """A cycle of numbers as rounds of dense operations, after what is the same in every round."""
        definitions: dict[str, list[Definition]] = {name: [] for name in step.writes}
        for _, definition in self._definitions(step):
            definitions[definition.equation.target.tensor].append(definition)
        try:
            builders, steps = iterated(step, definitions, self.tensors, self.estimates)
        except Unsupported as why:
            return [replace(step, unsupported=str(why))]
        joins = [made for builder in builders for made in self.joins(replace(step, writes=(builder.name,)), builder)]
        return [*joins, *steps]

    def _definitions(self, step: Step) -> list[tuple[int, Definition]]:
        """The equations of a step with their positions in the program."""
        equations, shapes = self.program.equations, self.checked.shapes.equations
        return [(i, Definition(equations[i], shapes[i])) for i in step.equations]

    def joins(self, step: Step, builder: Builder) -> list[Step]:
        """The step that makes the relations of a dense step's products."""
        if not builder.rules:
            return []
        rules = tuple(rule for rule, _ in builder.rules)
        shapes = tuple(Shape(rule.head, lengths) for rule, lengths in builder.rules)
        needs = tuple(name for name in step.reads if any(name == a.relation for rule in rules for a in atoms(rule)))
        made = tuple(rule.head for rule in rules)
        reason = f"the combinations that {step.writes[0]} sums" if step.writes else "the combinations of a sink"
        return [Step("Relation", (), needs, made, "logical", reason, rules=rules, shapes=shapes, span=step.span)]

    def measured(self, step: Step, builder: Builder) -> Step:
        """`step` with a builder's operations and what they cost."""
        operations = tuple(builder.operations)
        outputs = {tensor: self._given_output(tensor) for tensor in step.reads}
        step = replace(step, reads=(*step.reads, *(rule.head for rule, _ in builder.rules)))
        flops = largest = 0
        for operation in operations:
            flops += self.estimates.flops(operation, outputs)
            outputs[operation.output.out] = operation.output
            largest = max(largest, self.estimates.elements(operation.output))
        return replace(
            step,
            operations=operations,
            contractions=tuple(builder.contractions),
            sampled=tuple(builder.sums),
            flops=flops,
            largest=largest,
        )

    def _given_output(self, tensor: str) -> Output:
        lengths = self.tensors.shapes[tensor]
        labels = tuple(str(k) for k in range(len(lengths)))
        return Output(tensor, labels, lengths, self.tensors.dtypes[tensor])
