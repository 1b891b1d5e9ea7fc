"""Tests behind the rows that no program of the agreement catalogue shows by itself: row, engine, test."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["FEATURE_TESTS", "Kind"]

Kind: TypeAlias = Literal["native", "routed"]

# row -> engine -> tests; a cell is recorded when all of its tests passed. "routed": the work is done elsewhere, by
# another engine or on the host, and handed over.
_FIRST = "tests/logic/test_first_programs.py::test_"
_ESTIMATES = "tests/agreement/test_sampling.py::test_"

_FIXPOINTS = "tests/agreement/test_fixpoints.py::test_"
_SLOPES = "tests/agreement/test_fixpoint_gradients.py::test_"
_COMPILED = "tests/torch/test_fixpoints.py::test_"

_STREAMS = "tests/evaluate/test_streams.py::test_"
_RECURRENCES = "tests/evaluate/test_recurrences.py::test_"
_TORCH_STREAMS = "tests/torch/test_streams.py::test_"

_HEAT = "tests/agreement/test_temperatures.py::test_"
_NARROW = "tests/agreement/test_precision.py::test_"

FEATURE_TESTS: dict[str, dict[str, tuple[Kind, tuple[str, ...]]]] = {
    **{
        row: {
            "NumPy": ("native", (f"{_NARROW}ten_thousand_ones", f"{_NARROW}values")),
            "torch eager": ("native", (f"{_NARROW}gradients", f"{_NARROW}ten_thousand_ones", f"{_NARROW}values")),
            'torch "fuse"': ("native", (f"{_NARROW}gradients", f"{_NARROW}values")),
            "JAX": ("native", (f"{_NARROW}gradients", f"{_NARROW}ten_thousand_ones", f"{_NARROW}values")),
        }
        for row in ("bfloat16", "float16")
    },
    "temperatures and schedules": {
        "NumPy": ("native", (f"{_HEAT}a_number", f"{_HEAT}rounds_of_a_fixpoint", f"{_HEAT}twenty_calls_compile_once")),
        "torch eager": (
            "native",
            (
                f"{_HEAT}a_number",
                f"{_HEAT}gradients",
                f"{_HEAT}rounds_of_a_fixpoint",
                f"{_HEAT}twenty_calls_compile_once",
            ),
        ),
        'torch "fuse"': ("native", (f"{_HEAT}a_module_counts_as_it_is_told",)),
        "JAX": (
            "native",
            (
                f"{_HEAT}a_number",
                f"{_HEAT}an_iteration_is_an_argument_of_compiled_jax",
                f"{_HEAT}gradients",
                f"{_HEAT}rounds_of_a_fixpoint",
            ),
        ),
    },
    "Boolean Datalog": {
        "NumPy": ("native", (f"{_FIRST}answers", "tests/relations/test_derive.py::test_random_rules")),
        "torch eager": (
            "routed",
            (f"{_FIRST}answers", "tests/torch/test_logic.py::test_runners_agree_with_numpy"),
        ),
        'torch "fuse"': (
            "routed",
            ("tests/torch/test_logic_compiled.py::test_a_hundred_calls_with_facts_of_every_size_compile_once",),
        ),
        "JAX": (
            "routed",
            (f"{_FIRST}answers", "tests/jax/test_logic.py::test_every_form_of_facts_gives_what_numpy_gives"),
        ),
    },
    'Boolean Datalog, logic="dense"': {
        "torch eager": ("native", ("tests/torch/test_logic.py::test_runners_agree_with_numpy",)),
        'torch "fuse"': ("native", ("tests/torch/test_logic_compiled.py::test_dense_logic_is_one_graph_of_torch",)),
        "JAX": (
            "native",
            ("tests/jax/test_logic.py::test_small_relations_need_no_host_and_large_ones_no_compiled_loop",),
        ),
    },
    "queries and explanations": {
        "NumPy": (
            "native",
            (
                f"{_FIRST}answers",
                f"{_FIRST}explanations_speak_as_programs_do",
                "tests/relations/test_demand_runs.py::test_derivations",
                "tests/relations/test_demand_runs.py::test_what_is_missing",
            ),
        ),
        "torch eager": ("routed", (f"{_FIRST}answers", f"{_FIRST}explanations_speak_as_programs_do")),
        "JAX": ("routed", (f"{_FIRST}answers", f"{_FIRST}explanations_speak_as_programs_do")),
    },
    "relation × dense": {
        "NumPy": ("native", (f"{_FIRST}a_relation_times_numbers",)),
        "torch eager": (
            "native",
            (f"{_FIRST}a_relation_times_numbers", "tests/torch/test_aggregate.py::test_values_and_gradients"),
        ),
        'torch "fuse"': (
            "native",
            ("tests/torch/test_logic_compiled.py::test_gradients_on_both_sides_of_compiled_rules",),
        ),
        "JAX": (
            "native",
            (f"{_FIRST}a_relation_times_numbers", "tests/jax/test_aggregates.py::test_values_and_gradients"),
        ),
    },
    "max= and min= cycles over relations": {
        "NumPy": ("native", (f"{_FIRST}shortest_paths", f"{_FIXPOINTS}paths_along_edges")),
        "torch eager": ("native", (f"{_FIXPOINTS}paths_along_edges", f"{_SLOPES}paths_along_edges")),
        'torch "fuse"': ("routed", (f"{_COMPILED}relations_and_paths_in_compiled_code",)),
        "JAX": ("native", (f"{_FIXPOINTS}paths_along_edges", f"{_SLOPES}paths_along_edges")),
    },
    "Monte Carlo projection": {
        "NumPy": (
            "native",
            (
                f"{_ESTIMATES}one_seed_is_one_estimate_on_every_engine",
                "tests/evaluate/test_sampling.py::test_estimates_are_unbiased_and_exact_where_all_terms_are_drawn",
            ),
        ),
        "torch eager": (
            "native",
            (
                f"{_ESTIMATES}one_seed_is_one_estimate_on_every_engine",
                f"{_ESTIMATES}gradients_of_the_sampled_terms",
            ),
        ),
        'torch "fuse"': ("native", (f"{_ESTIMATES}compiled_modules_draw_the_same",)),
        "JAX": (
            "native",
            (
                f"{_ESTIMATES}one_seed_is_one_estimate_on_every_engine",
                f"{_ESTIMATES}gradients_of_the_sampled_terms",
            ),
        ),
    },
    "streaming and rolling indices": {
        "NumPy": ("native", (f"{_STREAMS}as_by_loops_and_in_parts", f"{_RECURRENCES}as_by_loops")),
        "torch eager": (
            "native",
            (
                f"{_TORCH_STREAMS}both_ways_to_keep_state",
                f"{_TORCH_STREAMS}both_routes_have_the_same_values_and_gradients",
                "tests/torch/test_recurrences.py::test_as_numpy",
                "tests/torch/test_recurrences.py::test_gradients",
            ),
        ),
        'torch "fuse"': (
            "routed",
            (
                f"{_TORCH_STREAMS}a_stream_between_dense_layers_is_two_graphs",
                f"{_TORCH_STREAMS}opaque_streams_stand_in_one_graph",
                "tests/torch/test_recurrences.py::test_compiled_steps_are_one_scan_of_any_length",
            ),
        ),
        "JAX": (
            "native",
            (
                "tests/jax/test_streams.py::test_steps_equal_one_call_and_the_runner",
                "tests/jax/test_streams.py::test_step_by_step_is_compiled_once_and_has_gradients",
                "tests/jax/test_recurrences.py::test_as_on_numpy",
                "tests/jax/test_recurrences.py::test_gradients",
            ),
        ),
    },
    "demand mode": {
        "NumPy": ("native", (f"{_FIRST}new_inputs_on_demand", "tests/relations/test_demand_runs.py::test_answers")),
        "torch eager": ("routed", (f"{_FIRST}new_inputs_on_demand",)),
        "JAX": ("routed", (f"{_FIRST}new_inputs_on_demand",)),
    },
    "fixpoint mode, rules": {
        "NumPy": ("native", (f"{_FIRST}settings_do_not_change_what_holds",)),
        "torch eager": ("routed", (f"{_FIRST}settings_do_not_change_what_holds",)),
        "JAX": ("routed", (f"{_FIRST}settings_do_not_change_what_holds",)),
    },
    "fixpoint mode, numbers": {
        "NumPy": ("native", (f"{_FIXPOINTS}a_recurrence_as_a_fixpoint", f"{_FIXPOINTS}page_rank")),
        "torch eager": (
            "native",
            (
                f"{_FIXPOINTS}a_recurrence_as_a_fixpoint",
                f"{_FIXPOINTS}page_rank",
                f"{_SLOPES}an_equilibrium_layer",
            ),
        ),
        'torch "fuse"': ("routed", (f"{_COMPILED}compiled_code_breaks_at_a_fixpoint_once",)),
        "JAX": (
            "native",
            (
                f"{_FIXPOINTS}a_recurrence_as_a_fixpoint",
                f"{_FIXPOINTS}page_rank",
                f"{_SLOPES}an_equilibrium_layer",
            ),
        ),
    },
    "gradients": {
        "NumPy": (
            "native",
            (
                "tests/gradients/test_catalogue.py::test_numpy_gives_what_autograd_gives",
                "tests/gradients/test_cycles.py::test_cycles",
            ),
        ),
        'torch "fuse"': ("native", ("tests/torch/test_compile.py::test_training_gives_the_gradients_of_eager_code",)),
    },
    "memory-mapped sources": {
        "NumPy": (
            "native",
            (
                "tests/files/test_files.py::test_npy_is_memory_mapped_and_stays_as_it_is",
                "tests/files/test_mapped.py::test_numpy",
            ),
        ),
        "torch eager": ("native", ("tests/files/test_mapped.py::test_torch",)),
        'torch "fuse"': ("native", ("tests/files/test_mapped.py::test_torch_fuse",)),
        "JAX": ("native", ("tests/files/test_mapped.py::test_jax",)),
    },
    "weights policies: stores, manifests, folders, strict_mmap": {
        "NumPy": (
            "native",
            (
                "tests/evaluate/test_runner_inputs.py::test_parameters_and_free_tensors_from_the_store",
                "tests/weights/test_manifest.py::test_strict_mmap_takes_the_file_itself",
            ),
        ),
        "torch eager": (
            "native",
            (
                "tests/torch/test_module_state.py::test_weights_of_the_store",
                "tests/weights/test_manifest.py::test_strict_mmap_maps_weights_of_modules_and_functions",
            ),
        ),
        'torch "fuse"': (
            "native",
            tuple(
                f"tests/torch/test_compiled_weights.py::test_{name}"
                for name in ("manifests", "stores_in_memory_and_initial_values", "allowed_roots", "strict_mmap")
            ),
        ),
        "JAX": (
            "native",
            (
                "tests/jax/test_parameters.py::test_the_weight_store_gives_first_values",
                "tests/weights/test_manifest.py::test_strict_mmap_maps_weights_of_modules_and_functions",
            ),
        ),
    },
    "device selection": {
        "NumPy": ("native", ("tests/evaluate/test_runner.py::test_devices",)),
        "torch eager": (
            "native",
            (
                "tests/torch/test_runner.py::test_the_run_follows_the_device_of_its_inputs",
                "tests/torch/test_devices.py::test_a_runner_brings_its_inputs_to_its_device",
                "tests/torch/test_devices.py::test_tensors_on_two_devices",
            ),
        ),
        'torch "fuse"': (
            "native",
            (
                "tests/torch/test_devices.py::test_compiled_modules_run_where_they_are",
                "tests/torch/test_devices.py::test_tensors_on_two_devices",
            ),
        ),
        "JAX": (
            "native",
            ("tests/jax/test_settings.py::test_devices", "tests/jax/test_devices.py::test_two_devices"),
        ),
    },
    "graph tooling": {
        "NumPy": ("native", ("tests/cli/test_graph.py::test_svg", "tests/cli/test_graph.py::test_dot")),
        "torch eager": (
            "native",
            (
                "tests/torch/test_runner.py::test_the_graph_can_be_called_and_differentiated_without_fuse",
                "tests/torch/test_graph_tools.py::test_explanations_of_runners",
            ),
        ),
        'torch "fuse"': (
            "native",
            (
                "tests/torch/test_graph_tools.py::test_the_report_of_a_compiled_module",
                "tests/torch/test_graph_tools.py::test_graphs_of_runners_compile",
                "tests/torch/test_graph_tools.py::test_exported_modules_compile",
            ),
        ),
        "JAX": (
            "native",
            (
                "tests/jax/test_graph_tools.py::test_explanations_of_runners",
                "tests/jax/test_graph_tools.py::test_jaxprs_are_of_the_operations_alone",
            ),
        ),
    },
    # By the frameworks' own tools; nothing exports what the back end "fuse" compiled.
    "export": {
        "torch eager": ("native", ("tests/torch/test_export.py::test_a_dynamic_batch",)),
        "JAX": ("native", ("tests/jax/test_graph_tools.py::test_exported_functions_take_every_length",)),
    },
}
