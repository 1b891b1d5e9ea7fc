"""The `"fuse"` back end of torch.compile: passes over Dynamo's graphs, then an inner compiler.

torch finds `fuse` through the entry point group `torch_dynamo_backends`, without an import of ours:

    torch.compile(model, backend="fuse", options={"fuse.inner": "inductor"})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.fx import GraphModule

from fuse_ref.errors import ConfigError
from fuse_torch.backend.inner import compile_inner
from fuse_torch.backend.options import Options, read_options
from fuse_torch.backend.passes import PASSES, Pass, PassResult, run_passes
from fuse_torch.backend.report import Break, Graph, Report, forget, record, report

__all__ = [
    "PASSES",
    "Break",
    "Graph",
    "Options",
    "Pass",
    "PassResult",
    "Report",
    "fuse",
    "report",
]


def fuse(
    gm: GraphModule,
    example_inputs: Sequence[Any],
    *,
    options: Mapping[str, Any] | None = None,
    mode: str | None = None,
) -> Callable[..., Any]:
    """Compile one graph of Dynamo's: run the passes that fire, hand the result to the inner compiler.

    Args:
        gm: the graph, with parameters and inputs as placeholders. It may be changed.
        example_inputs: its inputs, fake or real.
        options: `fuse.inner`: `"inductor"` (default), `"aot_eager"`, `"eager"` or a callable
            `(gm, example_inputs) -> callable`; `fuse.replan`, `fuse.attention`: whether those passes run.
            All others go to the inner compiler.
        mode: of inductor, such as `"max-autotune"`.

    Returns:
        The compiled graph. Where an option is wrong, a function that raises the ConfigError when it is
        called: an error raised here would reach the user as one of Dynamo's own.
    """
    try:
        read = read_options(options, mode)
    except ConfigError as error:
        return _raising(error)
    results = run_passes(gm, read)
    record(gm, results)
    return compile_inner(gm, example_inputs, read)


def _raising(error: ConfigError) -> Callable[..., Any]:
    def refused(*values: object) -> Any:
        raise error

    return refused


# torch.compiler.reset() calls this.
fuse.reset = forget  # type: ignore[attr-defined]
