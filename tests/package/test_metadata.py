"""What the installed distribution promises to pip and to torch."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from fuse_jax.versions import LEAST_FLAX, LEAST_JAX
from fuse_ref.version import __version__
from tests.boundaries.sources import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_torch_finds_the_back_end_with_only_torch_imported() -> None:
    code = (
        "import sys, torch\n"
        "assert 'fuse_torch' not in sys.modules\n"
        "assert 'fuse' in torch._dynamo.list_backends()\n"
        "model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())\n"
        "compiled = torch.compile(model, backend='fuse', options={'fuse.inner': 'eager'})\n"
        "for rows in (4, 5):\n"
        "    x = torch.randn(rows, 3)\n"
        "    torch.testing.assert_close(compiled(x), model(x))\n"
        "assert 'fuse_torch' in sys.modules\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_version_is_said_once() -> None:
    assert importlib.metadata.version("fuse-torch") == __version__
    assert "version" not in PROJECT


def test_the_script_is_installed() -> None:
    script = Path(sys.executable).with_name("fuse")
    result = subprocess.run([script, "--version"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, f"fuse {__version__}\n")


def test_base_install_is_small() -> None:
    names = {re.match(r"[\w.-]+", requirement)[0] for requirement in PROJECT["dependencies"]}  # type: ignore[index]
    assert names == {"numpy", "lark", "ml_dtypes", "opt_einsum", "scipy"}


def test_no_other_functorch_is_asked_for() -> None:
    wanted = [
        *PROJECT["dependencies"],
        *(item for group in PROJECT["optional-dependencies"].values() for item in group),
    ]
    assert [item for item in wanted if item.startswith("functorch")] == []


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_constraints_are_plain_versions() -> None:
    assert {
        name: version
        for name, version in pinned().items()
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)*(\.post\d+)?", version)
    } == {}


def test_constraints_pin_all_that_is_asked_for() -> None:
    def canonical(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    groups = PROJECT["optional-dependencies"].values()
    wanted = {
        canonical(re.match(r"[\w.-]+", item)[0]) for item in [*PROJECT["dependencies"], *(i for g in groups for i in g)]
    }  # type: ignore[index]
    assert wanted - {"fuse-torch"} <= {canonical(name) for name in pinned()}


def test_the_tests_run_with_the_pinned_versions() -> None:
    differing = {}
    for name in ("numpy", "lark", "ml_dtypes", "opt_einsum", "scipy", "torch", "jax", "jaxlib", "flax", "optax"):
        installed = importlib.metadata.version(name).partition("+")[0]
        if installed != pinned()[name]:
            differing[name] = (installed, pinned()[name])
    assert differing == {}


def test_the_least_jax_version_is_the_same_everywhere() -> None:
    asked = dict(item.split(">=") for item in PROJECT["optional-dependencies"]["jax"])
    for name, least in (("jax", LEAST_JAX), ("flax", LEAST_FLAX)):
        assert asked[name].partition(",")[0] == ".".join(map(str, least))
