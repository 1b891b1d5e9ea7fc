"""`fuse graph`, and the graph and picture behind it."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from fuse_ref.evaluate.drawing import to_svg
from fuse_ref.evaluate.graph import ROUTES, graph_of, to_dot
from fuse_ref.evaluate.layers import lay_out
from fuse_ref.program import Program

SVG = "{http://www.w3.org/2000/svg}"
TEXT = """input X[b, j]
H[b, i] = relu(W[i, j] X[b, j])
Y[b, i.] = softmax(H[b, i])
S[i, *t+1] = tanh(dropout(S[i, *t], 0.1) + U[i, t])
"out.npy" = Y[b, i]
export Y, S
"""
PROGRAMS = sorted((Path(__file__).parents[1] / "programs").glob("*.fuse"))


def names(svg: str, kind: str) -> list[str]:
    root = ET.fromstring(svg)
    drawing = root.findall(f"{SVG}g")[-1]
    return [g.find(f"{SVG}text").text for g in drawing if kind in g.get("class", "").split()]  # type: ignore[union-attr,misc]


def test_svg(fuse, write, tmp_path) -> None:
    result = fuse("graph", write("p.fuse", TEXT), "-o", "new/g.svg", "--set", "i=3")
    assert (result.code, result.out, result.err) == (0, "wrote new/g.svg\n", "")
    svg = (tmp_path / "new" / "g.svg").read_text()
    assert set(names(svg, "given")) == {"X  b × j", "W  3 × j", "U  3 × t"}
    assert names(svg, "export") == ["Y  b × 3", "S  3"] or "S  3 × t" in names(svg, "export")
    assert set(re.findall(r'fill="(#\w+)"', svg)) >= {ROUTES["dense"], ROUTES["streaming"], ROUTES["host"]}
    assert "streaming step" in svg  # the legend
    assert "cannot run yet" in svg
    assert "route dense: acyclic, numeric head" in svg
    assert "H[b, i] = relu(W[i, j] X[b, j])" in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")  # nothing from outside
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["g.svg"]


def test_dot(fuse, write, tmp_path) -> None:
    path = write("p.fuse", TEXT)
    printed = fuse("graph", path)
    assert printed.code == 0
    assert fuse("graph", path, "-o", "g.dot").code == 0
    assert (tmp_path / "g.dot").read_text() == printed.out
    lines = printed.out.splitlines()
    assert lines[0] == "digraph plan {"
    assert lines[-1] == "}"
    nodes = dict(re.findall(r'^  (\w+) \[label="([^"]*)"', printed.out, re.MULTILINE))
    arrows = set(re.findall(r"^  (\w+) -> (\w+);", printed.out, re.MULTILINE))
    steps = [key for key, label in nodes.items() if label[0].isdigit()]
    made = {step: next((nodes[b] for a, b in arrows if a == step), nodes[step]) for step in steps}
    reads = {made[step]: {nodes[a] for a, b in arrows if b == step} for step in steps}
    assert reads["H  b × i"] == {"X  b × j", "W  i × j"}
    assert reads["Y  b × i"] == {"H  b × i"}
    assert any(made.endswith("Store out.npy") and tails == {"Y  b × i"} for made, tails in reads.items())


def test_files_that_cannot_be_written(fuse, write, tmp_path) -> None:
    path = write("p.fuse", TEXT)
    assert "use .svg or .dot" in fuse("graph", path, "-o", "g.png").err
    assert fuse("graph", path, "-o", "g.png").code == 2
    (tmp_path / "g.svg").mkdir()
    result = fuse("graph", path, "-o", "g.svg")
    assert result.code == 2
    assert "cannot write g.svg" in result.err
    assert fuse("graph", write("bad.fuse", "Y = (1\n"), "-o", "h.svg").code == 1
    assert not (tmp_path / "h.svg").exists()


def test_names_that_mean_something_to_svg_and_dot(fuse, write) -> None:
    path = write("p.fuse", 'Y[x] = P(x, "a<b & \\"c\\"") + 2 \nP(Ann, "]]>")\nexport Y\n')
    assert fuse("graph", path, "-o", "g.svg").code == 0
    ET.fromstring((path.parent / "g.svg").read_text())
    # In the text of the equation: quotes behind a backslash, both told apart from the end of the label.
    assert r"a<b & \\\"c\\\"" in fuse("graph", path).out


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_no_boxes_overlap(path: Path) -> None:
    graph = graph_of(Program.from_file(path).plan())
    root = ET.fromstring(to_svg(graph, title=path.name))
    assert root.find(f"{SVG}title").text == path.name  # type: ignore[union-attr]
    boxes = []
    for rect in root.findall(f"{SVG}g")[-1].iter(f"{SVG}rect"):
        boxes.append(tuple(float(rect.get(key, "")) for key in ("x", "y", "width", "height")))
    assert len(boxes) == len(graph.nodes)
    for (x, y, w, h), (x2, y2, w2, h2) in itertools.combinations(boxes, 2):
        assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    assert all(x >= 0 and x + w <= width and y + h <= height for x, y, w, h in boxes)
    assert to_dot(graph).count(" -> ") == len(graph.edges)


def test_layers() -> None:
    widths = dict.fromkeys("abcde", 40.0)
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("c", "a"), ("d", "c"), ("e", "e")]
    layout = lay_out(widths, edges)
    y = {name: place[1] for name, place in layout.centres.items()}
    assert y["a"] < y["b"] < y["c"]
    assert y["d"] == y["b"]  # just above its reader
    assert layout.backward == (False, False, False, True, False, True)
    for (tail, head), path in zip(edges, layout.paths, strict=True):
        assert path[0] == layout.centres[tail]
        assert path[-1] == layout.centres[head]
    assert len(layout.paths[2]) == 3  # passes the layer of b
    assert lay_out({}, []).paths == ()


def test_explanations_show_the_same_graph() -> None:
    runner = Program("input X[b, j]\nY[b, i] = relu(W[i, j] X[b, j])").compile("numpy")
    explanation = runner.explain()
    graph = graph_of(runner.plan)
    assert explanation.to_dot() == to_dot(graph)
    page = explanation._repr_html_()
    assert explanation.to_svg() in page
    assert f"background: {ROUTES['dense']}" in page
