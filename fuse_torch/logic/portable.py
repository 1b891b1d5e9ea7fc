"""Routed calls as text, for graphs that leave the process: exported programs hold their rules."""

from __future__ import annotations

import json
from typing import Any

from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import FuseError
from fuse_ref.ir.json import decoded, encoded
from fuse_ref.mistakes import mistake
from fuse_ref.plan.json import NotAPlan, plan_from_json, plan_to_json
from fuse_ref.source import Source
from fuse_torch.logic.crossing import find_crossing, is_registered

__all__ = ["key_of", "text_of"]


def text_of(key: str) -> str:
    """The call named `key` with the plan that it is of."""
    crossing = find_crossing(key)
    config = crossing.config
    data, sources = encoded(crossing.origin.program)
    try:
        plan = plan_to_json(crossing.origin, sources)
    except NotAPlan:  # places in a text that is no text of the program
        return key
    names = ("mode", "dense_limit", "memory_limit", "time_limit")  # of settings that rules depend on
    settings = {name: getattr(config, name) for name in names}
    texts = [[source.name, source.text] for source in sources]
    return f"{key}\n{json.dumps([texts, data, plan, list(crossing.outputs), settings], separators=(',', ':'))}"


def key_of(text: str) -> str:
    """The key in what `text_of` gave, by which `find_crossing` finds the call in this process.

    Raises:
        RouteError: text of another process, and of another version of this package.
    """
    key, _, rest = text.partition("\n")
    if not is_registered(key) and rest:
        _register(rest)
    if not is_registered(key):
        raise _unknown()
    return key


def _register(rest: str) -> None:
    # Imported here because lowering makes calls that need this file.
    from fuse_torch.lowering.lower import lower

    parts: Any = json.loads(rest)
    try:
        texts, data, plan, outputs, settings = parts
        sources = [Source(text, name) for name, text in texts]
        program = decoded(data, sources)
        lower(plan_from_json(plan, program, sources), tuple(outputs), config=ExecutionConfig(**settings))
    except (FuseError, NotAPlan, TypeError, ValueError) as error:
        raise _unknown() from error


def _unknown() -> FuseError:
    reason = "its rules were written by another version of Fuse; export the module again"
    return mistake("FUSE202", None, setting="the operator fuse_torch::rules", reason=reason)
