"""The compiler behind the passes. Everything of torch that is not documented is called here only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.fx import GraphModule

from fuse_torch.backend.options import Options

__all__ = ["compile_inner"]


def compile_inner(gm: GraphModule, example_inputs: Sequence[Any], options: Options) -> Callable[..., Any]:
    """`gm` compiled by the inner compiler of `options`."""
    if not isinstance(options.inner, str):
        compiled: Callable[..., Any] = options.inner(gm, example_inputs)
        return compiled
    if options.inner == "inductor":
        return _inductor(gm, example_inputs, options)
    # Imported late: loading Dynamo takes longer than the rest of Fuse.
    from torch._dynamo import lookup_backend

    found: Callable[..., Any] = lookup_backend(options.inner)(gm, list(example_inputs))
    return found


def _inductor(gm: GraphModule, example_inputs: Sequence[Any], options: Options) -> Callable[..., Any]:
    import torch._inductor

    settings = dict(options.others)
    if options.mode is not None:
        settings = {**torch._inductor.list_mode_options(options.mode), **settings}
    compiled: Callable[..., Any] = torch._inductor.compile(gm, list(example_inputs), options=settings or None)
    return compiled
