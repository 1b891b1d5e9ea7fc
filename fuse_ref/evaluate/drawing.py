"""The graph of a plan as a picture: one SVG without anything from outside."""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence
from typing import Final

from fuse_ref.evaluate.graph import ROUTES, Graph, Node
from fuse_ref.evaluate.layers import Layout, Point, lay_out

__all__ = ["to_svg"]

_CHARACTER: Final = 6.6  # width in pixels, at the font size below
_HEIGHT: Final = 24.0
_MARGIN: Final = 16.0
_LEGEND: Final = 30.0

_STYLE: Final = """\
text { font: 11px sans-serif; text-anchor: middle; dominant-baseline: central; fill: #111; }
.node rect { stroke: #555; }
.given rect { fill: #fff; stroke-dasharray: 4 2; }
.tensor rect { fill: #fff; }
.export rect { fill: #fff; stroke: #111; stroke-width: 2.5; }
.unsupported rect { stroke: #c62828; stroke-width: 2; }
.edge { fill: none; stroke: #888; marker-end: url(#arrow); }
.back { stroke: #c26b00; stroke-dasharray: 5 3; }
.legend text { text-anchor: start; }"""


def to_svg(graph: Graph, *, title: str = "plan") -> str:
    """The graph as SVG text: rounded boxes are tensors, others steps in the colour of their route, with a legend.

    Args:
        title: what the picture is of.
    """
    layout = lay_out({node.key: _width(node) for node in graph.nodes}, [(e.tail, e.head) for e in graph.edges])
    items = _legend_items(graph)
    width = max(layout.width, sum(_legend_width(text) for text, _, _ in items)) + 2 * _MARGIN
    height = layout.height + _HEIGHT + 2 * _MARGIN + _LEGEND
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
        f"<title>{html.escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 1 L7 4 L0 7 z" fill="#888"/></marker></defs>',
        *_legend(items),
        f'<g transform="translate({_MARGIN:g} {_MARGIN + _LEGEND + _HEIGHT / 2:g})">',
        *_edges(layout),
        *(_node(node, layout.centres[node.key]) for node in graph.nodes),
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines)


def _width(node: Node) -> float:
    return max(30.0, len(node.label) * _CHARACTER + 16)


def _node(node: Node, centre: Point) -> str:
    (x, y), width = centre, _width(node)
    step = node.route is not None
    kinds = ["node", node.kind, *([] if node.runs else ["unsupported"])]
    fill = f' fill="{ROUTES[node.route]}"' if node.route is not None else ""
    return (
        f'<g class="{" ".join(kinds)}"><title>{html.escape(node.detail)}</title>'
        f'<rect x="{x - width / 2:.1f}" y="{y - _HEIGHT / 2:.1f}" width="{width:.1f}" height="{_HEIGHT:g}" '
        f'rx="{2 if step else _HEIGHT / 2:g}"{fill}/>'
        f'<text x="{x:.1f}" y="{y:.1f}">{html.escape(node.label)}</text></g>'
    )


def _edges(layout: Layout) -> list[str]:
    lines = []
    for path, back in zip(layout.paths, layout.backward, strict=True):
        kind = "edge back" if back else "edge"
        lines.append(f'<path class="{kind}" d="{_curve(path, upward=back)}"/>')
    return lines


def _curve(path: Sequence[Point], *, upward: bool) -> str:
    """A smooth line through the bends, from the rim of the tail to the rim of the head."""
    rim = _HEIGHT / 2
    sign = -1 if upward else 1
    points = list(path)
    if points[0] == points[-1]:
        x, y = points[0]
        return f"M{x + 20:.1f} {y + rim:.1f} c 0 22 40 22 40 {-rim:.1f} s -40 {-rim - 22:.1f} -40 {-rim:.1f}"
    points[0] = (points[0][0], points[0][1] + sign * rim)
    points[-1] = (points[-1][0], points[-1][1] - sign * rim)
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        middle = (y0 + y1) / 2
        parts.append(f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}")
    return " ".join(parts)


def _legend_items(graph: Graph) -> list[tuple[str, str, str]]:
    """Text, class and fill of each entry."""
    kinds = {node.kind for node in graph.nodes}
    words = (("given", "given or learned"), ("tensor", "tensor"), ("export", "export"))
    items: list[tuple[str, str, str]] = [(text, kind, "") for kind, text in words if kind in kinds]
    items += [(f"{route} step", "step", ROUTES[route]) for route in graph.routes]
    if any(not node.runs for node in graph.nodes):
        items.append(("cannot run yet", "unsupported tensor", ""))
    return items


def _legend_width(text: str) -> float:
    return len(text) * _CHARACTER + 46


def _legend(items: Sequence[tuple[str, str, str]]) -> list[str]:
    lines, x = ['<g class="legend">'], _MARGIN
    for text, kind, fill in items:
        colour = f' fill="{fill}"' if fill else ""
        rounding = 2 if fill or "unsupported" in kind else 7
        lines.append(
            f'<g class="node {kind}"><rect x="{x:.1f}" y="{_MARGIN:g}" width="24" height="14" rx="{rounding}"{colour}/>'
            f'<text x="{x + 30:.1f}" y="{_MARGIN + 7:g}">{html.escape(text)}</text></g>'
        )
        x += _legend_width(text)
    return [*lines, "</g>"]
