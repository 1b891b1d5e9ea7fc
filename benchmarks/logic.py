"""Rules on facts from files, against DuckDB, SciPy and clingo: `python -m benchmarks.logic --help` chooses among them.

Each engine runs in a process of its own and reads the same files. What is told are its CPU seconds, user and
system, less those that a bare interpreter takes to start, medians of interleaved repetitions; all
engines must find the same number of tuples. Soufflé does not run here: what it would take is told from what it took
beside a rival elsewhere (`logic_problems.Souffle`). Memory is the most that a process held, less what it holds with
its imports alone.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.logic_problems import PROBLEMS, Problem, Souffle, write
from benchmarks.table import Row, duration, print_rows

__all__ = ["TITLE", "rows"]

TITLE: Final = "Logic, from files, a process each: CPU time net of interpreter start; the best rival as hand-written"

_FUSE: Final = "benchmarks.logic_fuse"
_RIVALS: Final = {
    "DuckDB": "benchmarks.rivals.logic_duckdb",
    "SciPy": "benchmarks.rivals.logic_scipy",
    "clingo": "benchmarks.rivals.logic_clingo",
}
_SIZES: Final = ("small", "medium", "large")

MANY: Final = 1_000_000  # tuples from which start-up is no excuse
MOST_RATIO: Final = 1.0  # to the best rival, where there are that many
MOST_SMALL: Final = 1.5  # where there are fewer
MOST_MEAN: Final = 0.5
MOST_MEMORY: Final = 4.0  # times the tuples as int32 columns
LIMIT: Final = 45.0  # seconds of the clock, for each process


@dataclass(frozen=True, slots=True)
class _Run:
    seconds: float
    peak: int
    size: int


def rows(
    names: Sequence[str] = (), sizes: Sequence[str] = _SIZES, repetitions: int = 3, limit: float = LIMIT
) -> Iterator[Row]:
    """Rows of each chosen problem and of each rival, and the geometric means.

    Args:
        names: parts of names of problems; none: all.
        sizes: of "small", "medium", "large".
        repetitions: of problems that take less than five seconds a round; others run once.
        limit: seconds of the clock that each process may take.
    """
    for module in (_FUSE, *_RIVALS.values(), "scipy.sparse.csgraph"):
        # Where nothing is kept beside the sources, an import compiles them: that is no time of theirs.
        subprocess.run([sys.executable, "-c", f"import {module}"], env=_environment(), check=True)
    start = statistics.median(_child("benchmarks.rivals.logic_report", (), limit).seconds for _ in range(5))
    imported = _child(_FUSE, (), limit).peak
    ratios: dict[bool, list[float]] = {True: [], False: []}
    for problem in PROBLEMS:
        if problem.size in sizes and (not names or any(name in problem.name for name in names)):
            with tempfile.TemporaryDirectory() as folder:
                write(problem, Path(folder))
                found = _measured(problem, Path(folder), repetitions, limit)
            yield from _told(problem, found, start, imported, ratios)
    for many, what, most in ((True, f"of {MANY:,} tuples or more", MOST_MEAN), (False, "of fewer tuples", None)):
        if ratios[many]:
            mean = math.exp(statistics.fmean(map(math.log, ratios[many])))
            target = "" if most is None else f"≤ {most:g}×"
            met = None if most is None else mean <= most
            yield Row(f"geometric mean {what}", "", "", f"{mean:.3f}×", "", target, met)


def _measured(problem: Problem, folder: Path, repetitions: int, limit: float) -> dict[str, list[_Run]]:
    """The runs of each engine that came to an end in time."""
    engines = {"Fuse": _FUSE} | {name: _RIVALS[name] for name in problem.engines}
    found: dict[str, list[_Run]] = {name: [] for name in engines}
    for turn in range(repetitions):
        began = time.monotonic()
        order = list(engines)
        for name in (*order[turn % len(order) :], *order[: turn % len(order)]):
            try:
                found[name].append(_child(engines[name], (problem.family, str(folder)), limit))
            except subprocess.TimeoutExpired:
                del engines[name], found[name]
        if time.monotonic() - began > 5.0:
            break
    sizes = {name: {run.size for run in runs} for name, runs in found.items()}
    if len(set().union(*sizes.values())) > 1:
        raise AssertionError(f"{problem.name}: engines disagree about the number of tuples: {sizes}")
    return found


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _child(module: str, arguments: tuple[str, ...], limit: float) -> _Run:
    """Run `module`; CPU seconds are those of its whole life, loading and exit included."""
    with tempfile.TemporaryFile() as output:
        command = [sys.executable, "-m", module, *arguments]
        process = subprocess.Popen(command, stdout=output, env=_environment())
        end = time.monotonic() + limit
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > end:
                process.kill()
                process.wait()
                raise subprocess.TimeoutExpired(process.args, limit)
            time.sleep(0.01)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{module} {' '.join(arguments)} ended with {process.returncode}")
        output.seek(0)
        told = json.loads(output.read().decode().splitlines()[-1])
    return _Run(usage.ru_utime + usage.ru_stime, told["peak"], told["size"])


def _told(
    problem: Problem, found: dict[str, list[_Run]], start: float, imported: int, ratios: dict[bool, list[float]]
) -> Iterator[Row]:
    runs = found.pop("Fuse", [])
    if not runs:
        yield Row(problem.name, "", "", f"over {LIMIT:g} s", "", "", False)
        return
    size = runs[0].size
    many = size >= MANY
    times = {name: statistics.median(run.seconds for run in part) - start for name, part in found.items()}
    fuse = statistics.median(run.seconds for run in runs) - start
    unit = "counted" if problem.family == "triangles" else "tuples"
    what = f"{problem.name} ({size:,} {unit})"
    if problem.seconds is not None:
        target, met = f"≤ {problem.seconds:g} s", fuse <= problem.seconds
        yield Row(what, "", duration(fuse), duration(fuse), "", target, met)
    elif times:
        best = min(times, key=times.__getitem__)
        ratio, most = fuse / times[best], MOST_RATIO if many else MOST_SMALL
        ratios[many].append(ratio)
        met = round(ratio, 2) <= most
        yield Row(f"{what}: {best}", duration(times[best]), duration(fuse), f"{ratio:.3f}×", "", f"≤ {most:g}×", met)
        for name in sorted(times.keys() - {best}, key=times.__getitem__):
            yield Row(f"    {name}", duration(times[name]), "", f"{fuse / times[name]:.3f}×", "", "")
    if problem.souffle is not None and many and problem.souffle.rival in times:
        yield _of_souffle(problem.souffle, times[problem.souffle.rival], fuse)
    for name in problem.engines:
        if name not in found:
            yield Row(f"    {name}", f"over {LIMIT:g} s", "", "", "", "")
    if many and problem.family != "triangles":  # whose result is one number
        peak, tuples = max(0, *(run.peak - imported for run in runs)), size * 2 * 4
        memory = peak / tuples
        figures = (f"{tuples / 1e6:.3g} MB", f"{peak / 1e6:.3g} MB", f"{memory:.2f}×")
        yield Row("    memory, beside the tuples", *figures, "", f"≤ {MOST_MEMORY:g}×", memory <= MOST_MEMORY)


def _of_souffle(souffle: Souffle, rival: float, fuse: float) -> Row:
    """Fuse beside the time that Soufflé would take, if it were to its rival as it was on another machine."""
    ratio = souffle.seconds / souffle.rival_seconds
    compiled = souffle.form == "compiled"
    what = f"    Soufflé, {souffle.form}: elsewhere {ratio:.2f}× {souffle.rival}"
    target, met = ("≤ 1×", fuse <= ratio * rival) if compiled else ("", None)
    return Row(what, f"({duration(ratio * rival)})", "", f"{fuse / (ratio * rival):.3f}×", "", target, met)


def main() -> int:
    """The table, of chosen problems."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.logic", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names of problems; none: all")
    parser.add_argument("--size", action="append", choices=_SIZES, help="may be given again; none: all")
    parser.add_argument("--repeat", type=int, default=3, help="rounds, where one takes less than five seconds")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds that each process may take")
    given = parser.parse_args()
    print_rows(TITLE, rows(given.names, given.size or _SIZES, given.repeat, given.limit))
    return 0


if __name__ == "__main__":
    sys.exit(main())
