"""The end of a rewriting: rules that read what nothing derives are left out, given relations get their names back."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from fuse_ref.relations.asked import GIVEN
from fuse_ref.relations.literals import Names, written_rule
from fuse_ref.relations.rules import Atom, Denial, Rule

__all__ = ["pruned"]


def pruned(rules: Sequence[Rule], derived: Collection[str], names: Names) -> tuple[Rule, ...]:
    """The rules, each once, without those that can give nothing.

    Args:
        derived: relations that hold only what rules derive: without a rule they are empty.
    """
    found = list(dict.fromkeys(_given_by_name(rule) for rule in rules))
    while True:
        heads = {rule.head for rule in found}
        empty = {name for name in derived if name not in heads}
        kept = [less for rule in found if (less := _without(rule, empty, names)) is not None]
        if kept == found:
            return tuple(found)
        found = kept


def _without(rule: Rule, empty: Collection[str], names: Names) -> Rule | None:
    """The rule where relations are empty; None where it gives nothing."""
    if any(isinstance(item, Atom) and item.relation in empty for item in rule.body):
        return None
    body = tuple(item for item in rule.body if not isinstance(item, Denial) or item.atom.relation not in empty)
    if body == rule.body:
        return rule
    return dataclasses.replace(rule, body=body, text=written_rule(rule.head, rule.terms, body, names))


def _given_by_name(rule: Rule) -> Rule:
    """The rule with given relations under their own names."""
    if not any(isinstance(item, Atom) and item.relation.endswith(GIVEN) for item in rule.body):
        return rule
    body = tuple(
        dataclasses.replace(item, relation=item.relation.removesuffix(GIVEN)) if isinstance(item, Atom) else item
        for item in rule.body
    )
    return dataclasses.replace(rule, body=body)
