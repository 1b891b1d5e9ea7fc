"""borders.fuse: symbols, negation, counts, a shortest path, and why a fact holds or does not."""

from __future__ import annotations

from pathlib import Path

from fuse_ref import Program


def main() -> dict[str, tuple[str, ...]]:
    """The countries that each relation of the program holds for."""
    runner = Program.from_file(Path(__file__).with_suffix(".fuse")).compile()
    results = runner()
    for answer in runner.answers:
        print(answer)
    print("far from Chile:", *results["Far"].columns[0])
    print(runner.why("Far(Suriname)"))
    print(runner.why_not("Landlocked(Peru)"))
    return {name: tuple(results[name].columns[0]) for name in ("Landlocked", "Shadowed", "Far")}


if __name__ == "__main__":
    main()
