"""Plans kept on disk between processes: `compile(cache_dir=…)`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import opt_einsum  # type: ignore[import-untyped]

import fuse_ref.analysis
import fuse_ref.ir
import fuse_ref.plan
from fuse_ref.ir.json import Json, encoded
from fuse_ref.ir.nodes import ProgramIR
from fuse_ref.mistakes import mistake
from fuse_ref.plan.json import NotAPlan, plan_from_json, plan_to_json
from fuse_ref.plan.steps import Plan
from fuse_ref.source import Source
from fuse_ref.version import __version__

__all__ = ["PlanCache", "plan_cache"]

_FORMAT: Final = "fuse-plan 1"
_log = logging.getLogger("fuse.cache")


def plan_cache(folder: str | os.PathLike[str]) -> PlanCache:
    """The cache in `folder`, which is made if it is not there, for its owner alone.

    Raises:
        ConfigError: it cannot be made, or is no folder.
    """
    path = Path(folder).expanduser().resolve()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise mistake("FUSE223", None, folder=str(folder), problem=problem) from error
    return PlanCache(path / "plans")


class PlanCache:
    """One file per plan. An entry that is damaged, of another version or of another user is made anew.

    Entries hold data alone and are checked, but what they say is executed: the folder deserves as much
    trust as the programs. It may be deleted at any time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def plan(self, program: ProgramIR, settings: Mapping[str, Json], build: Callable[[], Plan]) -> Plan:
        """The plan that `build` would make, from disk when an earlier process has made it.

        Args:
            program: what is planned.
            settings: all else that decides the plan: sizes, hints, shapes, mode, passes.
        """
        data, sources = encoded(program)
        key = _key(data, sources, settings)
        path = self._folder / f"{key}.json"
        found = self._read(path, key, program, sources)
        if found is not None:
            _log.info("plan %s read from %s", key[:12], self._folder)
            return found
        plan = build()
        self._write(path, key, plan, sources)
        return plan

    def _read(self, path: Path, key: str, program: ProgramIR, sources: Sequence[Source]) -> Plan | None:
        """The plan in `path`, or None with a log line that says why not."""
        try:
            with path.open("rb") as file:
                if hasattr(os, "getuid") and os.fstat(file.fileno()).st_uid != os.getuid():
                    raise NotAPlan("another user wrote it")
                head, _, body = file.read().partition(b"\n")
            if head != _head(key, body):
                raise NotAPlan("its first line does not fit the rest")
            return plan_from_json(json.loads(body), program, sources)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            _log.warning("plan %s is made anew: %s", path, error)
            return None

    def _write(self, path: Path, key: str, plan: Plan, sources: Sequence[Source]) -> None:
        """Writes beside the place and renames: whoever reads sees a whole file, and the last of two writers wins."""
        try:
            body = json.dumps(plan_to_json(plan, sources), ensure_ascii=True, separators=(",", ":")).encode()
        except NotAPlan as error:
            _log.warning("plan %s is not kept: %s", path, error)
            return
        temporary = path.with_name(f".{path.stem[:16]}-{uuid.uuid4().hex}")
        try:
            self._folder.mkdir(exist_ok=True, mode=0o700)
            try:
                with temporary.open("xb") as file:
                    file.write(_head(key, body) + b"\n" + body)
                os.replace(temporary, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    temporary.unlink()
                raise
        except OSError as error:
            # The run does not need it: the next process plans again.
            _log.warning("plan %s is not kept: %s", path, error)


def _head(key: str, body: bytes) -> bytes:
    return f"{_FORMAT} {key} {hashlib.sha256(body).hexdigest()}".encode()


def _key(program: Json, sources: Sequence[Source], settings: Mapping[str, Json]) -> str:
    """What decides a plan, places in the text included, since errors show them."""
    parts = [_FORMAT, _software(), [[source.name, source.text] for source in sources], program, settings]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def _software() -> Sequence[str]:
    """Versions, and the state of our own files: whoever changes the planner gets new plans."""
    found = [__version__, platform.python_version(), np.__version__, opt_einsum.__version__]
    for package in (fuse_ref.ir, fuse_ref.analysis, fuse_ref.plan):
        for file in sorted(Path(next(iter(package.__path__))).rglob("*.py")):
            state = file.stat()
            found.append(f"{file.name} {state.st_size} {state.st_mtime_ns}")
    return found
