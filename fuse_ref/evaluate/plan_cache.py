"""Plans kept on disk between processes, and where engines keep what they make of them: `compile(cache_dir=…)`."""

from __future__ import annotations

import json
import os
import platform
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import opt_einsum  # type: ignore[import-untyped]

import fuse_ref.analysis
import fuse_ref.ir
import fuse_ref.plan
from fuse_ref.evaluate.entries import Entries, Kept, Kind, state_of
from fuse_ref.ir.json import Json, encoded
from fuse_ref.ir.nodes import ProgramIR
from fuse_ref.mistakes import mistake
from fuse_ref.plan.json import NotAPlan, plan_from_json, plan_to_json
from fuse_ref.plan.steps import Plan
from fuse_ref.source import Source
from fuse_ref.version import __version__

__all__ = ["PlanCache", "plan_cache"]

PLANS: Final = Kind("plans", "plan", "fuse-plan 2", 256 * 2**20)


def plan_cache(folder: str | os.PathLike[str] | None) -> PlanCache:
    """The cache in `folder`, which is made if it is not there, for its owner alone; None keeps nothing.

    Raises:
        ConfigError: it cannot be made, or is no folder.
    """
    if folder is None:
        return PlanCache(None)
    path = Path(folder).expanduser().resolve()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise mistake("FUSE223", None, folder=str(folder), problem=problem) from error
    return PlanCache(path)


class PlanCache:
    """One file per plan. An entry that is damaged, of another version or of another user is made anew.

    Plans hold data alone and are checked, but what they say is executed: the folder deserves as much
    trust as the programs. It may be deleted at any time.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._known: list[tuple[Plan, str]] = []  # plans of this cache with their keys
        self._encoded: tuple[ProgramIR, Json, tuple[Source, ...]] | None = None  # the last program
        self._lock = threading.Lock()

    def plan(self, program: ProgramIR, settings: Mapping[str, Json], build: Callable[[], Plan]) -> Plan:
        """The plan that `build` would make, from disk when an earlier process has made it.

        Args:
            program: what is planned.
            settings: all else that decides the plan: sizes, hints, shapes, mode, passes.
        """
        if self._folder is None:
            return build()
        entries = Entries(self._folder, PLANS)
        data, sources = self._data(program)
        texts: Json = [[source.name, source.text] for source in sources]
        # Places in the text too decide, since errors show them.
        key = entries.key(_software(), texts, data, settings)
        plan = entries.read(key, lambda body: plan_from_json(json.loads(body), program, sources))
        if plan is None:
            plan = build()
            _keep(entries, key, plan, sources)
        with self._lock:
            self._known.append((plan, key))
        return plan

    def kept(self, plan: Plan) -> Kept | None:
        """Where an engine keeps what it makes of `plan`, which this cache gave; None without a folder."""
        if self._folder is None:
            return None
        key = next(key for known, key in reversed(self._known) if known is plan)
        return Kept(self._folder, key)

    def _data(self, program: ProgramIR) -> tuple[Json, tuple[Source, ...]]:
        if self._encoded is None or self._encoded[0] is not program:
            self._encoded = (program, *encoded(program))
        _, data, sources = self._encoded
        return data, sources


def _keep(entries: Entries, key: str, plan: Plan, sources: Sequence[Source]) -> None:
    try:
        body = json.dumps(plan_to_json(plan, sources), ensure_ascii=True, separators=(",", ":")).encode()
    except NotAPlan as error:
        entries.leave(key, str(error))
        return
    entries.write(key, body)


@cache
def _software() -> Sequence[str]:
    """Versions, and the state of our own files: whoever changes the planner gets new plans."""
    versions = [__version__, platform.python_version(), np.__version__, opt_einsum.__version__]
    rooms = (fuse_ref.ir, fuse_ref.analysis, fuse_ref.plan)
    return [*versions, *state_of(*(Path(next(iter(room.__path__))) for room in rooms))]
