"""Many random programs, one after another or in several processes: progress, throughput, every disagreement."""

from __future__ import annotations

import functools
import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.draw import draw
from tests.fuzz.gradients import gradient_problems, jax_gradient
from tests.fuzz.judge import ENGINES, Engine, Problem, Verdict, Way, judge
from tests.fuzz.shrink import shrunken
from tests.fuzz.sketch import Sketch

__all__ = ["EVERYTHING", "Finding", "examine", "run", "shrink_finding"]

EVERYTHING: tuple[Way, ...] = (
    ("numpy", "float64"),
    ("numpy", "float32"),
    ("torch", "float64"),
    ("torch", "float32"),
    ("torch compiled", "float64"),
    ("torch aot", "float32"),
    ("jax", "float64"),
    ("jax", "float32"),
)


@dataclass
class Finding:
    """What one seed showed."""

    seed: int
    accepted: bool
    refused: str
    on_edge: int
    problems: list[Problem] = field(default_factory=list)
    smallest: str = ""  # the program after shrinking, with its values


_DIRECT = EVERYTHING[:4]  # what computes without compiling: a hundred programs in some seconds


def ways_of(seed: int, every: int) -> tuple[Way, ...]:
    """NumPy and torch in both precisions; of every so many programs what compiles too, its float32 for a fourth."""
    if seed % every:
        return _DIRECT
    cheap = tuple(way for way in EVERYTHING if way not in (("torch aot", "float32"), ("jax", "float32")))
    return EVERYTHING if (seed // every) % 4 == 0 else cheap


def examine(seed: int, ways: tuple[Way, ...] = EVERYTHING, *, gradients: bool = True, shrink: bool = True) -> Finding:
    """One program by the ways given; its gradients by torch against differences, by JAX where JAX is among them."""
    sketch = draw(seed)
    verdict = judge(sketch, ways)
    problems = list(verdict.problems)
    if verdict.accepted and gradients and not problems and not verdict.not_yet:
        with_jax = any(engine == "jax" for engine, _ in ways)
        problems += gradient_problems(sketch, jax_way=jax_gradient if with_jax else None)
    finding = Finding(seed, verdict.accepted, verdict.refused, verdict.on_edge, problems)
    if problems and shrink:
        finding.smallest = shrink_finding(sketch, problems[0])
    return finding


def shrink_finding(sketch: Sketch, problem: Problem, engines: Mapping[str, Engine] = ENGINES) -> str:
    """The smallest program that shows a problem of the same engine and kind, with what it shows."""

    def again(candidate: Sketch) -> Verdict | list[Problem]:
        if problem.kind == "gradient":
            return gradient_problems(candidate)
        precisions = [problem.words[:7]] if problem.words[:7] in ("float32", "float64") else ["float64", "float32"]
        ways: tuple[Way, ...] = tuple((problem.engine, precision) for precision in precisions)  # type: ignore[misc]
        # What the oracle or the reading of the program shows needs no engine.
        return judge(candidate, ways if problem.engine in engines else (), engines)

    def alike(candidate: Sketch) -> list[Problem]:
        found = again(candidate)
        problems = found if isinstance(found, list) else found.problems
        first = problem.words.split(": ")[:2] if problem.kind == "crash" else None
        return [
            each
            for each in problems
            if (each.engine, each.kind) == (problem.engine, problem.kind)
            and (first is None or each.words.split(": ")[:2] == first)
        ]

    smallest = shrunken(sketch, lambda candidate: bool(alike(candidate)))
    shown = alike(smallest)
    text = smallest.text()
    values = {name: array.tolist() for name, array in smallest.values(0).items() if _occurs(name, text)}
    words = shown[0].words if shown else "does not happen again"
    return f"{text}\nvalues {json.dumps(values)}\n{words}"


def _occurs(name: str, text: str) -> bool:
    return f"{name}[" in text or f"{name}(" in text or name in text.replace("(", " ").replace(")", " ").split()


def _examined(seed: int, every: int) -> Finding:
    return examine(seed, ways_of(seed, every))


def findings(first: int, count: int, jobs: int, every: int) -> Iterator[Finding]:
    seeds = range(first, first + count)
    look = functools.partial(_examined, every=every)
    if jobs == 1:
        yield from map(look, seeds)
        return
    # Compiled programs gather in memory: each process lives for some hundred programs.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=500) as pool:
        yield from pool.map(look, seeds, chunksize=20)


def run(first: int, count: int, jobs: int, every: int = 1, log: Path | None = None) -> int:
    """Prints as it goes; the number of programs that disagreed.

    Args:
        every: of so many programs one is compiled by torch and JAX too; 1 compiles all.
        first: seed of the first program; a stopped run goes on at the last seed it printed.
        log: file that every disagreement is added to.
    """
    started = time.monotonic()
    totals: Counter[str] = Counter()
    for number, finding in enumerate(findings(first, count, jobs, every), start=1):
        totals["accepted"] += finding.accepted
        totals["not yet"] += finding.refused.startswith("RouteError")
        totals["on an edge"] += finding.on_edge
        if finding.problems:
            totals["disagree"] += 1
            lines = [f"{each.engine}, {each.kind}: {each.words}" for each in finding.problems]
            text = "\n".join([f"== seed {finding.seed}", *lines, "-- smallest:", finding.smallest, ""])
            print(text, flush=True)
            if log is not None:
                with log.open("a", encoding="utf-8") as file:
                    file.write(text)
        if number % 50 == 0 or number == count:
            seconds = time.monotonic() - started
            shown = ", ".join(f"{name} {total}" for name, total in totals.items())
            print(
                f"{number} of {count} (to seed {first + number - 1}): {shown}; {number / seconds:.1f} a second",
                flush=True,
            )
    return totals["disagree"]
