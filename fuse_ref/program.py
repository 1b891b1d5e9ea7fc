"""A Fuse program: the door to everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from fuse_ref.analysis.check import check_program
from fuse_ref.analysis.rules import unsafe_rules
from fuse_ref.errors import FuseError
from fuse_ref.files.imports import with_imports
from fuse_ref.files.texts import program_text
from fuse_ref.ir.from_syntax import build_program
from fuse_ref.ir.json import Json, digest, from_json, to_json
from fuse_ref.ir.nodes import Dtype, ProgramIR, Role
from fuse_ref.ir.text import explicit_text
from fuse_ref.language.formatter import format_text
from fuse_ref.language.parser import parse
from fuse_ref.mistakes import mistake
from fuse_ref.plan.build import build_plan
from fuse_ref.plan.steps import Plan
from fuse_ref.records import dataclass
from fuse_ref.source import Source

if TYPE_CHECKING:
    from fuse_ref.config import ExecutionConfig
    from fuse_ref.evaluate.runner import Runner
    from fuse_ref.policies import RuntimePolicies

__all__ = ["Program", "TensorSpec", "as_program"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a program says about one of its tensors.

    Attributes:
        axes: names of its axes, one per dimension.
        shape: their sizes; None where a size is open until the call.
        dtype: "float" is the precision of the run.
        role: "input", "param", "free" (given by the call or the weight store), "source" or "computed".
    """

    name: str
    axes: tuple[str, ...]
    shape: tuple[int | None, ...]
    dtype: Dtype
    boolean: bool
    role: Role


class Program:
    """A Fuse program, read and checked.

    Args:
        text: the program (docs/language.md).
        path: the file it comes from: shown in errors, and its folder is where relative names of files start, imports
            among them. Without one they start at the current folder.
        allowed_roots: folders that imports may lie in, beside the one where relative names start.

    Raises:
        FuseError: the first mistake in the text; its `.others` are the further ones.
    """

    def __init__(
        self,
        text: str,
        *,
        path: str | PathLike[str] | None = None,
        allowed_roots: Sequence[str | PathLike[str]] = (),
    ) -> None:
        if not isinstance(text, str):
            raise mistake("FUSE224", None, got=type(text).__name__)
        source = Source(text, "<program>" if path is None else str(path))
        errors: list[FuseError] = []
        place = None if path is None else Path(path)
        module = with_imports(parse(source, errors), source, place, [Path(root) for root in allowed_roots], errors)
        program = build_program(module, errors)
        # Sizes and cycles need the whole program; a rule is safe or not by itself.
        errors.extend(unsafe_rules(program) if errors else check_program(program).errors)
        if errors:
            errors.sort(key=lambda error: _order(error, source))
            first, *others = errors
            first.others = tuple(others)
            raise first
        self._setup(program, source, place)

    def _setup(self, ir: ProgramIR, source: Source, path: Path | None) -> None:
        self._ir = ir
        self._source = source
        self._path = path

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> Program:
        """The program in the file at `path` (UTF-8).

        Raises:
            ProgramFileError: no such file, or one that cannot be read; an OSError too.
            FuseError: as of `Program`.
        """
        return cls(program_text(path), path=path)

    def __getstate__(self) -> dict[str, object]:
        # What properties have cached can be made again, and some of it cannot be pickled.
        return {name: value for name, value in vars(self).items() if name.startswith("_")}

    @property
    def ir(self) -> ProgramIR:
        """What the program means, as data."""
        return self._ir

    @property
    def source(self) -> str:
        """The text as given."""
        return self._source.text

    @property
    def path(self) -> Path | None:
        """The file it was read from, or None."""
        return self._path

    @cached_property
    def tensors(self) -> Mapping[str, TensorSpec]:
        """Every tensor by name: inputs and parameters as declared, then in order of first use."""
        sizes = {axis.name: axis.size for axis in self._ir.axes}
        return MappingProxyType(
            {
                t.name: TensorSpec(t.name, t.axes, tuple(sizes[a] for a in t.axes), t.dtype, t.boolean, t.role)
                for t in self._ir.tensors
            }
        )

    def _select(self, names: tuple[str, ...]) -> Mapping[str, TensorSpec]:
        return MappingProxyType({name: self.tensors[name] for name in names})

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """The tensors of the `input` lines, in text order."""
        return self._select(tuple(t.name for t in self._ir.tensors if t.role == "input"))

    @property
    def params(self) -> Mapping[str, TensorSpec]:
        """The tensors of the `param` lines, in text order."""
        return self._select(tuple(t.name for t in self._ir.tensors if t.role == "param"))

    @property
    def exports(self) -> Mapping[str, TensorSpec]:
        """The outputs, in text order."""
        return self._select(self._ir.exports)

    @property
    def queries(self) -> Mapping[str, TensorSpec]:
        """The tensor that each query of the program asks, by the query's text."""
        return MappingProxyType({query.text: self.tensors[query.target.tensor] for query in self._ir.queries})

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what the program means; layout and comments do not count."""
        return digest(self._ir)

    def plan(self, sizes: Mapping[str, int] | None = None) -> Plan:
        """The steps that engines run; `str()` of it is a table.

        Args:
            sizes: axis letter -> size, like lines `axis d = 64`.

        Raises:
            AxisError: sizes that do not fit each other or the text.
        """
        return build_plan(self._ir, sizes=sizes)

    def compile(
        self,
        backend: Literal["auto", "numpy", "torch", "jax"] = "auto",
        *,
        config: ExecutionConfig | None = None,
        policies: RuntimePolicies | None = None,
        sizes: Mapping[str, int] | None = None,
        hints: Mapping[str, int] | None = None,
        device: str | None = None,
        cache_dir: str | PathLike[str] | None = None,
    ) -> Runner:
        """A Runner for this program.

        Args:
            backend: the engine; "auto" follows the framework of the first call's inputs.
            config: how to execute; the keywords here beat its fields.
            policies: where weights come from and which files may be touched.
            sizes: axis letter -> size, like lines `axis d = 64`.
            hints: axis letter -> size that the contraction order assumes while the axis is open.
            device: as `ExecutionConfig.device`.
            cache_dir: folder that keeps plans, torch graphs and JAX's compiled code between processes.

        Raises:
            ConfigError: a setting with a wrong value.
            RouteError: a setting or step whose engine is not there.
        """
        # Imported late: a program that is only checked or printed needs no engine.
        from fuse_ref.evaluate.compiling import compile_program

        return compile_program(
            self,
            backend=backend,
            config=config,
            policies=policies,
            sizes=sizes,
            hints=hints,
            device=device,
            cache_dir=cache_dir,
        )

    def format(self) -> str:
        """The text in canonical layout, comments kept."""
        return format_text(self._source)

    def explicit(self) -> str:
        """The program with every projection written out; it parses back to the same meaning."""
        return explicit_text(self._ir)

    def to_json(self) -> dict[str, Json]:
        """The program as JSON data with a format version."""
        return to_json(self._ir, self._source)

    @classmethod
    def from_json(cls, data: object) -> Program:
        """The program that `to_json` gave.

        Raises:
            ConfigError: another format or version, or data that is no program.
        """
        ir, source = from_json(data)
        program = cls.__new__(cls)
        program._setup(ir, source, None if source.name.startswith("<") else Path(source.name))
        return program

    def __repr__(self) -> str:
        name = "" if self._path is None else f" {self._path}"
        return f"<Program{name}: {', '.join(self._ir.exports) or 'no exports'}>"


def _order(error: FuseError, source: Source) -> tuple[int, str, int]:
    """Imported files first, since the program's own mistakes may follow from theirs; then the order of the text."""
    if error.span is None:
        return 0, "", 0
    if error.span.source is not source:
        return 1, error.span.source.name, error.span.start
    return 2, "", error.span.start


def as_program(program: Program | str) -> Program:
    """A program from a program or its text."""
    return program if isinstance(program, Program) else Program(program)
