"""Who may import whom: rooms in one order, frameworks at the edges, no cycles."""

from __future__ import annotations

import graphlib

import pytest

from tests.boundaries.sources import Import, imports, module_name, package_files

# Each room imports its own level and the levels before it. Rooms of one level may use each other.
LEVELS: tuple[tuple[str, ...], ...] = (
    ("fuse_ref.version", "fuse_ref.records", "fuse_ref.source"),
    ("fuse_ref.errors",),
    ("fuse_ref.mistakes",),
    ("fuse_ref.language",),
    ("fuse_ref.ir",),
    ("fuse_ref.analysis",),
    ("fuse_ref.relations",),
    ("fuse_ref.plan",),
    (
        "fuse_ref.schedules",
        "fuse_ref.config",
        "fuse_ref.policies",
        "fuse_ref.weights",
        "fuse_ref.files",
        "fuse_ref.evaluate",
    ),
    ("fuse_ref.program",),
    ("fuse_ref.gradients",),
    ("fuse_ref",),  # the public names
    ("fuse_torch", "fuse_jax"),
    ("fuse_ref.demo",),
    ("fuse_ref.cli",),
)

FRAMEWORKS = ("torch", "functorch", "jax", "jaxlib", "flax", "optax", "scipy", "sklearn", "matplotlib", "tqdm", "rich")

# What a package may import of the frameworks, by room; the first prefix that fits counts.
ALLOWED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("fuse_ref.demo", ("torch", "jax", "sklearn", "matplotlib", "tqdm")),
    ("fuse_ref.relations", ("scipy",)),
    ("fuse_ref.evaluate.aggregate", ("scipy",)),
    ("fuse_ref.evaluate.relaxation", ("scipy",)),
    ("fuse_ref", ()),
    ("fuse_torch", ("torch", "functorch")),
    ("fuse_jax", ("jax", "jaxlib", "flax", "optax")),
)

# An import that would close a cycle, and why it does not at run time.
BACK_EDGES: dict[tuple[str, str], str] = {
    ("fuse_ref.plan.steps", "fuse_ref.plan.text"): "str(plan): the table is made from the classes of steps",
}

ALL = tuple(item for path in package_files() for item in imports(path))


def level(module: str) -> int:
    best, found = "", -1
    for number, rooms in enumerate(LEVELS):
        for room in rooms:
            if (module == room or module.startswith(room + ".")) and len(room) > len(best):
                best, found = room, number
    return found


def describe(item: Import) -> str:
    return f"{item.module}:{item.line} imports {item.target}"


def wrong_direction(items: tuple[Import, ...]) -> list[str]:
    ours = [item for item in items if item.target.startswith("fuse_")]
    return [describe(item) for item in ours if level(item.target) > level(item.module)]


def wrong_framework(items: tuple[Import, ...]) -> list[str]:
    found = []
    for item in items:
        top = item.target.partition(".")[0]
        if top in FRAMEWORKS:
            allowed = next(
                names for room, names in ALLOWED if item.module == room or item.module.startswith(room + ".")
            )
            if top not in allowed:
                found.append(describe(item))
    return found


def cycle(items: tuple[Import, ...], excused: dict[tuple[str, str], str]) -> list[str]:
    """The modules of one import cycle in order, [] when there is none.

    An import for annotations alone is none: two types of one room may name each other.
    """
    graph: dict[str, set[str]] = {}
    for item in items:
        ours = item.target.startswith("fuse_") and item.target != item.module
        same_room = item.module.split(".")[:2] == item.target.split(".")[:2]
        if ours and not (item.typing_only and same_room) and (item.module, item.target) not in excused:
            graph.setdefault(item.module, set()).add(item.target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_every_module_has_a_room() -> None:
    homeless = [module_name(path) for path in package_files() if level(module_name(path)) < 0]
    # "fuse_ref" itself is a room, so a new file at its top must be named in LEVELS.
    top = {module_name(path) for path in package_files() if module_name(path).count(".") == 1}
    named = {room for rooms in LEVELS for room in rooms}
    assert not homeless
    assert {name for name in top if name.startswith("fuse_ref.")} <= named


def test_rooms_import_only_what_stands_before_them() -> None:
    assert wrong_direction(ALL) == []


def test_frameworks_stay_in_their_package() -> None:
    assert wrong_framework(ALL) == []


def test_torch_and_jax_packages_do_not_know_each_other() -> None:
    pairs = (("fuse_torch", "fuse_jax"), ("fuse_jax", "fuse_torch"))
    crossing = [
        describe(item)
        for item in ALL
        for one, other in pairs
        if item.module.partition(".")[0] == one and item.target.partition(".")[0] == other
    ]
    assert crossing == []


def test_no_import_cycles() -> None:
    assert cycle(ALL, BACK_EDGES) == []


def test_excused_imports_are_lazy_and_still_there() -> None:
    made = {(item.module, item.target): item for item in ALL}
    assert set(BACK_EDGES) <= set(made)
    assert all(made[edge].lazy for edge in BACK_EDGES)


@pytest.mark.parametrize(
    ("module", "target", "check"),
    [
        ("fuse_ref.language.parser", "fuse_ref.ir.nodes", wrong_direction),
        ("fuse_ref.mistakes.row", "fuse_ref.language.parser", wrong_direction),
        ("fuse_ref.evaluate.runner", "fuse_torch.module", wrong_direction),
        ("fuse_ref.plan.build", "torch", wrong_framework),
        ("fuse_ref.evaluate.runner", "scipy.special", wrong_framework),
        ("fuse_jax.function", "torch.nn", wrong_framework),
    ],
)
def test_the_checks_can_fail(module: str, target: str, check) -> None:  # type: ignore[no-untyped-def]
    assert check((Import(module, target, 1, True, False),)) == [f"{module}:1 imports {target}"]


def test_the_cycle_check_can_fail() -> None:
    there = Import("fuse_ref.plan.a", "fuse_ref.plan.b", 1, False, False)
    back = Import("fuse_ref.plan.b", "fuse_ref.plan.a", 1, True, False)
    assert set(cycle((there, back), {})) == {"fuse_ref.plan.a", "fuse_ref.plan.b"}
    assert cycle((there, back), {(back.module, back.target): "excused"}) == []
