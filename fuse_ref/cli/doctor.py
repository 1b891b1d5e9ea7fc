"""`fuse doctor`: what is installed, whether it fits, and what to install for the rest."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from typing import Literal

from fuse_ref.cli.exits import Exit
from fuse_ref.records import dataclass
from fuse_ref.version import __version__

__all__ = ["Finding", "add", "examine", "fits", "handle"]

DISTRIBUTION = "fuse-torch"

# The parts a user may go without, the extra that brings them, and what they are for.
OPTIONAL: tuple[tuple[str, str, str], ...] = (
    ("torch", "torch", "FuseModule and torch.compile"),
    ("jax", "jax", "fuse_jax.compile"),
    ("jaxlib", "jax", "fuse_jax.compile"),
    ("flax", "jax", "fuse_jax.nnx and fuse_jax.linen"),
    ("optax", "jax", "training with Flax"),
    ("scikit-learn", "demo", "fuse demo"),
    ("matplotlib", "demo", "fuse demo"),
    ("tqdm", "demo", "fuse demo"),
    ("pyarrow", "files", ".parquet files"),
)
REQUIRED = ("numpy", "lark", "ml_dtypes", "opt_einsum")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    found: str  # a version or a value, "" when it is not there
    verdict: Literal["ok", "missing", "old", "new", "info"]
    advice: str  # what to do, "" when nothing


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    command = commands.add_parser("doctor", help="examine the installation", description=__doc__)
    command.add_argument("--json", action="store_true", help="the findings as JSON")
    return command


def handle(arguments: argparse.Namespace) -> int:
    findings = examine()
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        print(table(findings))
    broken = any(finding.what in REQUIRED and finding.verdict != "ok" for finding in findings)
    return Exit.RUN if broken else Exit.OK


def table(findings: list[Finding]) -> str:
    what = max(len(finding.what) for finding in findings)
    found = max(len(finding.found) for finding in findings)
    lines = [
        f"{finding.what:<{what}}  {finding.found:<{found}}  {finding.verdict:<7}  {finding.advice}".rstrip()
        for finding in findings
    ]
    return "\n".join(lines)


def examine() -> list[Finding]:
    """Everything in reading order; imports neither torch nor jax."""
    ranges = version_ranges()
    findings = [
        Finding("fuse", __version__, "ok", ""),
        Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", "ok", ""),
    ]
    findings += [part(name, "", "every command", ranges) for name in REQUIRED]
    findings += [part(name, extra, purpose, ranges) for name, extra, purpose in OPTIONAL]
    findings += [back_end(), compiler(), *threads(), blas()]
    return findings


def version_ranges() -> dict[str, str]:
    """What our own package asks of others: name -> ">=2.13,<2.14"."""
    try:
        requirements = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    ranges: dict[str, str] = {}
    for requirement in requirements:
        name, specifiers = re.match(r"([\w.-]+)(?:\[[^\]]*\])?\s*([^;]*)", requirement).groups()  # type: ignore[union-attr]
        ranges[canonical(name)] = specifiers.strip()
    return ranges


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def part(name: str, extra: str, purpose: str, ranges: dict[str, str]) -> Finding:
    wanted = ranges.get(canonical(name), "")
    package = f"'{DISTRIBUTION}[{extra}]'" if extra else DISTRIBUTION
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "", "missing", f"for {purpose}: pip install {package}")
    verdict = fits(version, wanted)
    if verdict == "ok":
        return Finding(name, version, "ok", "")
    return Finding(name, version, verdict, f"{purpose} was made for {name}{wanted}: pip install {package}")


def fits(version: str, wanted: str) -> Literal["ok", "old", "new"]:
    """Whether a version lies in a range of the form `>=a,<b`; other clauses are not looked at."""
    own = numbers(version)
    for clause in wanted.split(","):
        match = re.fullmatch(r"\s*(>=|<)\s*([\d.]+)\s*", clause)
        if match is None:
            continue
        bound = numbers(match[2])
        width = max(len(own), len(bound))
        padded, limit = own + (0,) * (width - len(own)), bound + (0,) * (width - len(bound))
        if match[1] == ">=" and padded < limit:
            return "old"
        if match[1] == "<" and padded >= limit:
            return "new"
    return "ok"


def numbers(version: str) -> tuple[int, ...]:
    """The release part: "2.13.0+cpu" is (2, 13, 0)."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(word) for word in match[0].split(".")) if match else ()


def back_end() -> Finding:
    what = 'torch.compile backend "fuse"'
    found = importlib.metadata.entry_points(group="torch_dynamo_backends", name="fuse")
    if not found:
        return Finding(
            what, "", "missing", f"the package is not installed, only on the path: pip install {DISTRIBUTION}"
        )
    return Finding(what, next(iter(found)).value, "ok", "")


def compiler() -> Finding:
    """Inductor makes C++ on the CPU; without a compiler only `fuse.inner` "aot_eager" and "eager" work."""
    what = "C++ compiler"
    for name in (os.environ.get("CXX", ""), "g++", "clang++", "c++"):
        if name and (path := shutil.which(name)):
            return Finding(what, os.path.basename(path), "ok", "")
    return Finding(what, "", "missing", "torch.compile needs one for its default compiler: install g++ or clang++")


def threads() -> Iterator[Finding]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cores", f"{usable} of {os.cpu_count()}", "info", "")
    for name in THREAD_VARIABLES:
        if name in os.environ:
            yield Finding(name, os.environ[name], "info", "")


def blas() -> Finding:
    import numpy as np

    config = np.show_config(mode="dicts")
    library = config.get("Build Dependencies", {}).get("blas", {}) if isinstance(config, dict) else {}
    found = f"{library.get('name', 'unknown')} {library.get('version', '')}".strip()
    try:
        import threadpoolctl
    except ModuleNotFoundError:  # a tool for developers, and the kernel is only good to know
        return Finding("numpy's BLAS", found, "info", "")
    kernels = {pool.get("architecture", "") for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}
    found += f", kernel {', '.join(sorted(kernels - {''}))}" if kernels - {""} else ""
    return Finding("numpy's BLAS", found, "info", "")
