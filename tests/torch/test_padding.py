"""Padding that copies only where it adds something, and asks nothing of open sizes."""

from __future__ import annotations

import torch
from torch._dynamo.testing import CompileCounter

from fuse_torch import FuseModule
from fuse_torch.lowering.padding import padded

TEXT = "axis o = 3, c = 2, dx = 3\nparam F[o, c, dx] ~ xavier()\nY[b, o, x] = F[o, c, dx] I[b, c, x+dx]\nM[b, o] max= Y[b, o, x]"


def test_nothing_is_copied_where_nothing_is_added() -> None:
    x = torch.randn(2, 3)
    assert padded(x, (0, 0, 0, 0), 0.0) is x
    assert padded(x, (0, 1), 7.0).tolist() == [[*row, 7.0] for row in x.tolist()]
    assert padded(x, (-1, 0), 0.0).tolist() == x[:, 1:].tolist()


def test_compiled_sizes_stay_open() -> None:
    counter = CompileCounter()
    module = FuseModule(TEXT)
    compiled = torch.compile(module, backend=counter)
    for batch, length in ((2, 5), (3, 6), (4, 9), (7, 30), (5, 4)):
        image = torch.randn(batch, 2, length)
        torch.testing.assert_close(compiled(I=image), module(I=image))
    assert counter.frame_count <= 2


def test_no_copy_of_an_image_is_in_the_graph() -> None:
    graphs: list[torch.fx.GraphModule] = []

    def keep(graph: torch.fx.GraphModule, _: list[torch.Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    torch.compile(FuseModule(TEXT), backend=keep, dynamic=True)(I=torch.randn(2, 2, 7))
    targets = {node.target for node in graphs[0].graph.nodes}
    assert torch.constant_pad_nd not in targets
    assert torch.conv1d in targets


def test_empty_arrays_get_their_neutral_element() -> None:
    module = FuseModule("M[b] max= X[b, x]")
    assert module(X=torch.zeros(2, 0)).tolist() == [-torch.inf, -torch.inf]
    assert torch.compile(module, backend="eager")(X=torch.zeros(3, 0)).tolist() == [-torch.inf] * 3
