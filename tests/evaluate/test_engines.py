"""How engines are found, and what happens when a framework is missing."""

from __future__ import annotations

import sys
import types
import warnings

import numpy as np
import pytest

from fuse_ref import ConfigError, FallbackWarning, InputError, Program
from fuse_ref.evaluate.numpy_engine import ENGINE, NumpyEngine

TEXT = "Y[i] = 2 X[i]"


class Lacking(types.ModuleType):
    """A package whose engine cannot be imported, for the reason `error`."""

    def __init__(self, error: ImportError) -> None:
        super().__init__("fuse_jax")
        self.error = error

    def __getattr__(self, name: str) -> object:
        raise self.error


class Pretending(NumpyEngine):
    """NumPy under another name: shows who was asked."""

    name = "torch"  # type: ignore[assignment]


@pytest.fixture
def jax_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fuse_jax", Lacking(ImportError("no jax", name="jax")))


@pytest.fixture
def torch_pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("fuse_torch")
    module.ENGINE = Pretending()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fuse_torch", module)


@pytest.mark.usefixtures("jax_missing")
def test_a_missing_framework_runs_on_numpy_with_one_warning() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        runner = Program(TEXT).compile("jax")
        first, second = runner(X=[1.0]), runner(X=[2.0])
    assert [warning.category for warning in seen] == [FallbackWarning]
    assert 'backend="jax" runs on NumPy: jax is not installed (pip install "fuse-torch[jax]")' in str(seen[0].message)
    assert seen[0].filename == __file__
    assert runner.backend == "numpy"
    assert (first["Y"].tolist(), second["Y"].tolist()) == ([2], [4])
    assert 'backend="jax" is not there' in str(runner.explain())


def test_any_other_import_error_rises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fuse_jax", Lacking(ImportError("broken", name="scipy")))
    with pytest.raises(ImportError, match="broken"):
        Program(TEXT).compile("jax")
    monkeypatch.setitem(sys.modules, "fuse_jax", Lacking(ImportError("a name is missing")))
    with pytest.raises(ImportError, match="a name is missing"):
        Program(TEXT).compile("jax")


@pytest.mark.usefixtures("torch_pretended")
def test_auto_follows_the_inputs_of_the_first_call() -> None:
    runner = Program(TEXT).compile()
    assert runner.backend == "auto"
    runner(X=np.ones(2))
    assert runner.backend == "numpy"
    runner = Program("Y[i] = W[i] X[i]").compile()
    Tensor = type("Tensor", (np.ndarray,), {"__module__": "torch"})
    # A subclass of ndarray is NumPy's; only the type's own framework counts otherwise.
    runner(X=np.ones(2).view(Tensor), W=[1.0, 2.0])
    assert runner.backend == "numpy"
    assert Program(TEXT).compile("torch").backend == "torch"


def test_auto_never_depends_on_what_is_installed() -> None:
    runner = Program(TEXT).compile()
    runner(X=[1.0, 2.0])
    assert runner.backend == "numpy"
    runner = Program("Y = [1, 2]").compile()
    assert runner()["Y"].tolist() == [1, 2]
    assert runner.backend == "numpy"


def test_arrays_of_two_frameworks() -> None:
    Tensor = type("Tensor", (), {"__module__": "torch"})
    Array = type("Array", (), {"__module__": "jax"})
    with pytest.raises(InputError, match="X is an array of torch and W one of jax") as caught:
        Program("Y[i] = W[i] X[i]").compile()({"X": Tensor(), "W": Array()})
    assert caught.value.code == "FUSE309"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"backend": "tensorflow"},
            "backend must be one of 'auto', 'numpy', 'torch', 'jax', but 'tensorflow' was given",
        ),
        ({"backend": "pytorch"}, "did you mean 'torch'?"),
        ({"config": {"seed": 1}}, "config must be a ExecutionConfig"),
        ({"policies": "all"}, "policies must be a RuntimePolicies, but 'all' was given"),
        ({"cache_dir": 3}, "cache_dir must be a folder, but 3 was given"),
    ],
)
def test_wrong_arguments_of_compile(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Program(TEXT).compile(**arguments)  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert caught.value.code == "FUSE209"


def test_the_engine_shares_what_it_may() -> None:
    from fuse_ref import ExecutionConfig

    config = ExecutionConfig(precision="float64")
    array = np.arange(3.0)
    assert ENGINE.asarray(array, "float", config) is array
    assert ENGINE.asarray([1, 2], "float", config).dtype == np.float64
    assert ENGINE.asarray([1, 2], "int64", config).dtype == np.int64
    assert ENGINE.asarray([True], "bool", config).dtype == np.bool_
    assert ENGINE.to_numpy(array) is array
