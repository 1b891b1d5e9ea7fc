"""`Program.compile`: arguments checked, a Runner made."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import cast, get_args

from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.runner import BackendChoice, ProgramLike, Runner
from fuse_ref.mistakes import mistake
from fuse_ref.mistakes.suggest import did_you_mean
from fuse_ref.policies import RuntimePolicies

__all__ = ["compile_program"]


def compile_program(
    program: ProgramLike,
    *,
    backend: BackendChoice = "auto",
    config: ExecutionConfig | None = None,
    policies: RuntimePolicies | None = None,
    sizes: Mapping[str, int] | None = None,
    hints: Mapping[str, int] | None = None,
    device: str | None = None,
    cache_dir: str | PathLike[str] | None = None,
    kind: type[Runner] = Runner,
) -> Runner:
    """A Runner for `program`; `Program.compile` describes the arguments. `kind` is the class to make.

    Raises:
        ConfigError: an argument with a wrong value, or a `cache_dir` that cannot be used.
    """
    choices = get_args(BackendChoice)
    if backend not in choices:
        expected = "one of " + ", ".join(map(repr, choices))
        cure = did_you_mean(str(backend), choices)
        raise mistake("FUSE209", None, cure=cure, field="backend", expected=expected, value=repr(backend))
    for field, value, expected_kind in (("config", config, ExecutionConfig), ("policies", policies, RuntimePolicies)):
        if value is not None and not isinstance(value, cast(type, expected_kind)):
            raise mistake("FUSE209", None, field=field, expected=f"a {expected_kind.__name__}", value=repr(value))
    if cache_dir is not None and not isinstance(cache_dir, str | PathLike):
        raise mistake("FUSE209", None, field="cache_dir", expected="a folder", value=repr(cache_dir))
    return kind(
        program,
        backend=backend,
        config=config,
        policies=policies,
        sizes=sizes,
        hints=hints,
        device=device,
        cache_dir=cache_dir,
    )
