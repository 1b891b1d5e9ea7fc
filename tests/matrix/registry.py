"""Tests behind the rows that no program of the agreement catalogue shows by itself: row, engine, test."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["FEATURE_TESTS", "Kind"]

Kind: TypeAlias = Literal["native", "routed"]

# row -> engine -> tests; a cell is recorded when all of its tests passed. "routed": the work is done elsewhere, by
# another engine or on the host, and handed over.
FEATURE_TESTS: dict[str, dict[str, tuple[Kind, tuple[str, ...]]]] = {
    "gradients": {
        'torch "fuse"': ("native", ("tests/torch/test_compile.py::test_training_gives_the_gradients_of_eager_code",)),
    },
    "memory-mapped sources": {
        "NumPy": ("native", ("tests/files/test_files.py::test_npy_is_memory_mapped_and_stays_as_it_is",)),
    },
    "weights policies": {
        "NumPy": ("native", ("tests/evaluate/test_runner_inputs.py::test_parameters_and_free_tensors_from_the_store",)),
        "torch eager": ("native", ("tests/torch/test_module_state.py::test_weights_of_the_store",)),
        "JAX": ("native", ("tests/jax/test_parameters.py::test_the_weight_store_gives_first_values",)),
    },
    "device selection": {
        "NumPy": ("native", ("tests/evaluate/test_runner.py::test_devices",)),
        "torch eager": ("native", ("tests/torch/test_runner.py::test_the_run_follows_the_device_of_its_inputs",)),
        "JAX": ("native", ("tests/jax/test_settings.py::test_devices",)),
    },
    "graph and export tooling": {
        "NumPy": ("native", ("tests/cli/test_graph.py::test_svg", "tests/cli/test_graph.py::test_dot")),
        "torch eager": ("native", ("tests/torch/test_export.py::test_a_dynamic_batch",)),
    },
}
