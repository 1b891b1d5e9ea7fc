"""library.fuse on facts from the standard library's source files: who needs whom, and what classes may reach."""

from __future__ import annotations

from pathlib import Path

from source_facts import facts

from fuse_ref import Program, Relation


def main(pattern: str = "**/*.py") -> dict[str, Relation]:
    """The relations of the program.

    Args:
        pattern: which files, under the folder of the standard library.
    """
    runner = Program.from_file(Path(__file__).with_suffix(".fuse")).compile()
    results = runner(facts(pattern))
    found = {name: value for name, value in results.items() if isinstance(value, Relation)}
    for name, relation in found.items():
        print(f"{name}: {len(relation)} pairs, such as {', '.join(map(str, relation.rows[:2]))}")
    return found


if __name__ == "__main__":
    main()
