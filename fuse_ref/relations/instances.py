"""Relations with constants for arguments, derived alone: constants are put into rules, and calls that end a rule hand on.

`Ancestor(Alice, x)?` needs no relation of pairs. Where the first argument stays Alice in all rules it is
put into them; where recursion comes last in a rule, its answers are answers of the rule as they stand, and
it is enough to know from where answers are asked for. (J. Naughton, R. Ramakrishnan, Y. Sagiv, J. Ullman:
Efficient evaluation of right-, left- and multi-linear rules, SIGMOD 1989; Argument reduction by factoring,
VLDB 1989. Extended here to mutual recursion and to mixtures of the forms.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TypeAlias, TypeGuard

from fuse_ref.records import dataclass
from fuse_ref.relations.asked import Asked
from fuse_ref.relations.literals import substituted, substituted_value, variables, variables_of
from fuse_ref.relations.passing import bound_after, bound_arguments, ordered
from fuse_ref.relations.rules import Apply, Assignment, Atom, Constant, Filter, Literal, Rule, Term, Value, Variable

__all__ = ["Analysis", "Instance", "Key", "Pattern", "Piece", "Site", "analysed", "free_terms"]

Analysis: TypeAlias = "dict[tuple[str, Pattern], Instance]"  # what an instance reads of its group, itself included
Pattern: TypeAlias = "tuple[Constant | Site | None, ...]"  # one per argument of a relation; None where it is free

Inside: TypeAlias = Callable[[Literal], bool]  # whether it is an atom of the recursive group

MOST_INSTANCES = 64  # that one analysis looks into


@dataclass(frozen=True, slots=True)
class Site:
    """A place in a rule that asks for several values of an argument, and needs no more than all answers together."""

    number: int


@dataclass(frozen=True, slots=True)
class Key:
    """A relation as it is asked for inside an instance."""

    relation: str
    bound: tuple[int, ...]  # arguments that have a value
    columns: tuple[int, ...]  # for every other argument, in order, its column in the instance's answers


@dataclass(frozen=True, slots=True)
class Piece:
    """A rule of a key's relation, with what is constant put in."""

    rule: Rule
    start: tuple[Term, ...] | None  # of the seeds' atom, one per column of theirs; None: seeds are not looked at
    body: tuple[Literal, ...]  # in the order in which bindings pass
    answers: tuple[Value, ...]  # head terms by column; what the rule gives when it has no tail
    calls: Mapping[int, tuple[str, Pattern]]  # literals of the body that read an instance
    tail: tuple[Key, tuple[Term, ...]] | None  # the last call and its bound arguments: not in `body`


@dataclass(slots=True)
class Instance:
    """A relation with some arguments constant."""

    relation: str
    pattern: Pattern
    root: Key
    # For each key the constants that its bound arguments have in all calls; None: several values, kept as seeds.
    keys: dict[Key, tuple[Constant | None, ...]] = field(default_factory=dict)
    pieces: dict[Key, list[Piece]] = field(default_factory=dict)

    @property
    def seed_columns(self) -> int:
        """The most arguments that differ between calls of one key."""
        return max(values.count(None) for values in self.keys.values())


def free_terms(terms: tuple[Term, ...], pattern: Pattern) -> tuple[Term, ...]:
    """The terms of an atom at the arguments that `pattern` leaves free."""
    return tuple(term for term, value in zip(terms, pattern, strict=True) if value is None)


def analysed(relation: str, pattern: Pattern, asked: Asked, sizes: Mapping[str, int] | None) -> Analysis | None:
    """The instance and all of its recursive group that it reads; None where the rules have not the forms for it."""
    found: Analysis = {}
    left = [(relation, pattern)]
    while left:
        place = left.pop()
        if place in found:
            continue
        instance = _analysed_alone(*place, asked, sizes)
        if instance is None or len(found) == MOST_INSTANCES:
            return None
        found[place] = instance
        left.extend(call for pieces in instance.pieces.values() for piece in pieces for call in piece.calls.values())
    return found


def _analysed_alone(relation: str, pattern: Pattern, asked: Asked, sizes: Mapping[str, int] | None) -> Instance | None:
    bound = tuple(k for k, value in enumerate(pattern) if value is not None)
    root = Key(relation, bound, tuple(range(len(pattern) - len(bound))))
    instance = Instance(relation, pattern, root)
    # A constant that depends on sizes may lie outside of its axis: it stays a seed, which the axis then drops.
    instance.keys[root] = tuple(value if fixed(value) else None for value in pattern if value is not None)
    while True:
        instance.pieces = {}
        before = dict(instance.keys)
        left = [root]
        while left:
            key = left.pop()
            if key in instance.pieces:
                continue
            pieces = [_piece(rule, key, instance, asked, sizes) for rule in asked.rules_of(key.relation)]
            instance.pieces[key] = [piece for piece in pieces if isinstance(piece, Piece)]
            if "other form" in pieces:
                return None
            for piece in instance.pieces[key]:
                if piece.tail is not None:
                    _called(instance, *piece.tail)
                    left.append(piece.tail[0])
        if instance.keys == before:
            return instance


def fixed(value: Constant | Site | None) -> TypeGuard[Constant]:
    """Whether it is a constant that is known before sizes are."""
    return isinstance(value, Constant) and isinstance(value.value, int) and value.value >= 0


def _called(instance: Instance, key: Key, terms: tuple[Term, ...]) -> None:
    """Notes the arguments of a call: those that differ between calls, or are variables, become seeds."""
    values = tuple(term if isinstance(term, Constant) and fixed(term) else None for term in terms)
    known = instance.keys.get(key)
    instance.keys[key] = (
        values if known is None else tuple(a if a == b else None for a, b in zip(known, values, strict=True))
    )


def _piece(rule: Rule, key: Key, instance: Instance, asked: Asked, sizes: Mapping[str, int] | None) -> Piece | str:
    """The rule under a key; "never" where its constants differ, "other form" where it does not fit."""
    entered = _entered(rule, key, instance.keys[key])
    if entered is None:
        return "never"
    start, body, terms = entered
    known = {term.name for term in start if isinstance(term, Variable)}
    free = [terms[k] for k in range(len(terms)) if k not in key.bound]
    answers = tuple(term for _, term in sorted(zip(key.columns, free, strict=True), key=lambda pair: pair[0]))
    group = asked.group[key.relation]

    def inside(item: Literal) -> bool:
        return isinstance(item, Atom) and asked.group.get(item.relation) == group

    tail = _tail(body, free, known, inside)
    order = ordered(body, known, derived=asked.derived, sizes=sizes, last=tail)
    found = _tail_call(order, free, known, key, inside)
    if found is not None:
        order = order[:-1]
    calls: dict[int, tuple[str, Pattern]] = {}
    again: list[int] = []
    for k, item in enumerate(order):
        if isinstance(item, Atom) and inside(item):
            pattern: Pattern = tuple(term if isinstance(term, Constant) else None for term in item.terms)
            if _same_call(item, key, instance.root, terms) and start:
                again.append(k)
                calls[k] = instance.relation, instance.pattern
            elif any(value is not None for value in pattern):
                calls[k] = item.relation, pattern
            else:
                return "other form"
    if len(again) > 1 and any(isinstance(value, Site) for value in instance.pattern):
        return "other form"  # both would have to be of one seed
    if again and not _seeds_only_in(again, order, start, answers, found):
        return "other form"
    return Piece(rule, None if again else start, tuple(order), answers, calls, found)


def _entered(
    rule: Rule, key: Key, values: tuple[Constant | None, ...]
) -> tuple[tuple[Term, ...], list[Literal], tuple[Value, ...]] | None:
    """The rule with the constants put in: terms of the seeds, body, head terms. None: it cannot give these constants."""
    constants: dict[str, Constant] = {}
    extra: list[Literal] = []
    seeds: list[Term] = []
    in_atoms = {name for item in rule.body if isinstance(item, Atom) for name in variables(item)}
    for argument, value in zip(key.bound, values, strict=True):
        term = rule.terms[argument]
        match term:
            case Variable(name):
                if value is None:
                    seeds.append(term)
                elif constants.setdefault(name, value) != value:
                    return None
            case Constant():
                if value is None:
                    seeds.append(term)
                elif fixed(term) and term != value:
                    return None
                elif term != value:
                    extra.append(Filter("==", term, value))
            case Apply("add", (Variable(name), Constant(int() as number))) if value is not None and name in in_atoms:
                position = Constant(int(value.value) - number)  # type: ignore[arg-type]
                if not fixed(position) or constants.setdefault(name, position) != position:
                    return None
            case _:
                made = Variable(f"{rule.head.lower()}~{argument}")
                extra.append(Assignment(made, term))
                if value is None:
                    seeds.append(made)
                else:
                    constants[made.name] = value
    body = substituted([*extra, *rule.body], constants)
    terms = tuple(substituted_value(term, constants) for term in rule.terms)
    start = [constants.get(seed.name, seed) if isinstance(seed, Variable) else seed for seed in seeds]
    return tuple(start), body, terms


def _tail(body: list[Literal], free: list[Value], known: set[str], inside: Inside) -> Atom | None:
    """The recursive atom that alone has the head's free variables, each once: the order of the others may let it be last."""
    names = [term.name for term in free if isinstance(term, Variable) and term.name not in known]
    if not free or len(set(names)) < len(free):
        return None
    having = [item for item in body if set(variables(item)) & set(names)]
    if len(having) != 1 or not isinstance(having[0], Atom) or not inside(having[0]):
        return None
    stands = [term.name for term in having[0].terms if isinstance(term, Variable) and term.name in names]
    return having[0] if sorted(stands) == sorted(names) else None


def _tail_call(
    order: list[Literal], free: list[Value], known: set[str], key: Key, inside: Inside
) -> tuple[Key, tuple[Term, ...]] | None:
    """What the last literal asks for where its answers are the head's."""
    if not order or not isinstance(last := order[-1], Atom) or not inside(last):
        return None
    if free and _tail(order, free, known, inside) is not last:
        return None
    before = known
    for item in order[:-1]:
        before = bound_after(item, before)
    bound = tuple(k for k, has in enumerate(bound_arguments(last, before)) if has)
    if len(last.terms) - len(bound) != len(free):
        return None
    terms = tuple(last.terms[k] for k in bound)
    if all(isinstance(term, Constant) for term in terms):
        return None  # an instance of its own
    column = {term.name: key.columns[k] for k, term in enumerate(free) if isinstance(term, Variable)}
    columns = [column[term.name] for k, term in enumerate(last.terms) if k not in bound and isinstance(term, Variable)]
    return Key(last.relation, bound, tuple(columns)), terms


def _same_call(atom: Atom, key: Key, root: Key, terms: tuple[Value, ...]) -> bool:
    """Whether a rule of the instance's own relation asks for what it is itself asked for."""
    return key == root and atom.relation == root.relation and all(atom.terms[k] == terms[k] for k in root.bound)


def _seeds_only_in(
    again: list[int],
    order: list[Literal],
    start: tuple[Term, ...],
    answers: tuple[Value, ...],
    tail: tuple[Key, tuple[Term, ...]] | None,
) -> bool:
    """Whether the seeds' variables are distinct and stand nowhere but in these calls: then any seed's answers will do."""
    names = [term.name for term in start if isinstance(term, Variable)]
    if len(set(names)) < len(start):
        return False
    elsewhere = {name for k, item in enumerate(order) if k not in again for name in variables(item)}
    elsewhere |= {name for value in (*answers, *(tail[1] if tail else ())) for name in variables_of(value)}
    # In the calls themselves the free arguments may not be seeds either.
    inside = [name for k in again for name in _all_names(order[k])]
    return not elsewhere & set(names) and all(inside.count(name) == len(again) for name in names)


def _all_names(literal: Literal) -> list[str]:
    return [term.name for term in literal.terms if isinstance(term, Variable)] if isinstance(literal, Atom) else []
