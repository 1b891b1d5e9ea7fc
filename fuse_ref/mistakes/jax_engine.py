"""Rows of the table of mistakes that only the JAX engine makes: FUSE275 to FUSE299."""

from __future__ import annotations

from fuse_ref.errors import (
    AxisError,
    CapacityError,
    ConfigError,
    DtypeError,
    InputError,
    MissingFrameworkError,
    UnboundTensorError,
)
from fuse_ref.mistakes.row import Example, Mistake

__all__ = ["JAX_MISTAKES"]

_FUNCTION = 'import fuse_jax\nfn = fuse_jax.compile("input X[b, d]; param W[o, d] ~ ones(); axis o = 2, d = 3; Y[b, o] = W[o, d] X[b, d]")\n'
_ONES = "{'W': np.ones((2, 3))}"

JAX_MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "FUSE275",
        MissingFrameworkError,
        "framework that is not installed",
        "{framework} {least} or newer is needed, but {found}",
        'pip install "fuse-torch[jax]"',
        (
            Example(
                "but JAX is not installed\nhelp: pip install",
                python=(
                    "import sys\nfrom unittest import mock\nfrom fuse_jax.versions import require_jax\n"
                    'with mock.patch.dict(sys.modules, {"jax": None}):\n    require_jax()'
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE276",
        ConfigError,
        "float64 while JAX has it switched off",
        "precision='float64' needs 64-bit numbers, which JAX has switched off",
        "jax.config.update('jax_enable_x64', True) at the start, or `with jax.enable_x64(True):` around compile and calls",
        (
            Example(
                "which JAX has switched off",
                python=(
                    "import fuse_jax, jax\nwith jax.enable_x64(False):\n"
                    '    fuse_jax.compile("Y[i] = 2 X[i]", config=ExecutionConfig(precision="float64"))'
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE277",
        UnboundTensorError,
        "parameter that the params lack",
        "parameter {name} is not in params, which have {given}",
        "fn.init(key) makes all of them",
        (Example("parameter W is not in params, which have nothing", python=_FUNCTION + "fn({}, X=np.ones((4, 3)))"),),
    ),
    Mistake(
        "FUSE278",
        InputError,
        "name in the params that is no parameter",
        "params have {name}, which is no parameter of the program; its parameters are {known}",
        "",
        (
            Example(
                "params have V, which is no parameter of the program; its parameters are W",
                python=_FUNCTION + f"fn({{**{_ONES}, 'V': np.ones(3)}}, X=np.ones((4, 3)))",
            ),
        ),
    ),
    Mistake(
        "FUSE279",
        AxisError,
        "constant of another shape",
        "{name} has shape {got}, but the function was compiled for {expected}",
        "",
        (
            Example(
                "F has shape (2,), but the function was compiled for (3,)",
                python=(
                    'import fuse_jax\npolicies = RuntimePolicies(weight_store={"F": np.ones(3)})\n'
                    'fn = fuse_jax.compile("input X[i]; Y[i] = F[i] X[i]", policies=policies)\n'
                    "fn({'F': np.ones(2)}, X=np.ones(3))"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE280",
        InputError,
        "params that are no mapping",
        "params must be a mapping from names to arrays, but {got} was given",
        "fn(params, X=array): params come first, fn.init(key) makes them",
        (
            Example(
                "params must be a mapping from names to arrays, but ndarray was given",
                python=_FUNCTION + "fn(np.ones((4, 3)))",
            ),
        ),
    ),
    Mistake(
        "FUSE281",
        DtypeError,
        "parameter that is not of a float type",
        "parameter {name} must hold floating-point numbers, but its type is {got}",
        "",
        (
            Example(
                "parameter W must hold floating-point numbers, but its type is int32",
                python=_FUNCTION + "fn({'W': np.ones((2, 3), np.int32)}, X=np.ones((4, 3)))",
            ),
        ),
    ),
    Mistake(
        "FUSE282",
        AxisError,
        "parameter whose size is not known yet",
        "the size of axis {axis} of parameter {name} is not known yet: {reason}",
        "fn.init(key, {axis}=64) sets it, so does a line `axis {axis} = 64`; "
        "fn.init(key, inputs) takes it from the shapes of inputs",
        (
            Example(
                "the size of axis d of parameter W is not known yet: X gives it",
                python=(
                    'import fuse_jax, jax\nfn = fuse_jax.compile("input X[b, d]; param W[d]; Y[b] = W[d] X[b, d]")\n'
                    "fn.init(jax.random.key(0))"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE283",
        InputError,
        "state that the program does not have",
        "state has {name}, but the program has no stream of that name",
        "fn.initial_state() is the first state; {{}} for a program without streams",
        (
            Example(
                "state has H, but the program has no stream of that name",
                python=_FUNCTION + f"fn.step({_ONES}, {{'H': np.ones(3)}}, {{'X': np.ones((4, 3))}})",
            ),
        ),
    ),
    Mistake(
        "FUSE284",
        CapacityError,
        "Boolean export too large to be dense",
        "{name} would have {elements} elements as a dense array, more than dense_limit = {limit}",
        "ExecutionConfig(dense_limit={elements}) allows it",
        (
            Example(
                "B would have 6 elements as a dense array, more than dense_limit = 5",
                python=(
                    "import fuse_jax\nconfig = ExecutionConfig(dense_limit=5)\n"
                    'fn = fuse_jax.compile("input B(x, y); export B; Y[x] = B[x, y]", config=config)\n'
                    "fn({}, B=np.ones((2, 3), bool))"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE285",
        InputError,
        "more positional inputs than the program has",
        "{got} inputs were given by position, but the program has {known}",
        "inputs are taken in the order of the `input` lines",
        (
            Example(
                "2 inputs were given by position, but the program has 1: X",
                python=(
                    "import fuse_jax.nnx\nfrom flax import nnx\n"
                    'm = fuse_jax.nnx.FuseModule("input X[i]; Y[i] = 2 X[i]", rngs=nnx.Rngs(0))\n'
                    "m(np.ones(3), np.ones(3))"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE286",
        ConfigError,
        "names that become one name in a module",
        "tensors {first} and {second} would both be {attribute} in a module",
        "rename one of them",
        (
            Example(
                "tensors program and program_ would both be program_ in a module",
                python=(
                    "import fuse_jax.nnx\nfrom flax import nnx\n"
                    'text = "param program[i]; param program_[i]; axis i = 2; Y[i] = program[i] program_[i]"\n'
                    "fuse_jax.nnx.FuseModule(text, rngs=nnx.Rngs(0))"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE287",
        DtypeError,
        "traced relation of another form",
        "relation {name} is traced and is {got}; inside jit it must be bool with {arity} axes, or whole numbers (rows, {arity})",
        "a row of positions that holds no tuple is marked by -1",
        (
            Example(
                "relation Edge is traced and is float32 of shape (1, 2); inside jit it must be bool with 2 axes",
                python=(
                    "import fuse_jax, jax\n"
                    'fn = fuse_jax.compile("input Edge(x, y); Y[x] = Edge(x, y)")\n'
                    "jax.jit(fn)({}, Edge=np.array([[0.0, 1.0]]))"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE288",
        AxisError,
        "symbol that a compiled function does not know",
        "symbol {value} is not on axis {axis}, which {has}",
        "",
        (
            Example(
                "symbol 'Anne' is not on axis x, which has 'Ann', 'Bob'\nhelp: did you mean 'Ann'?",
                python=(
                    "import fuse_jax\n"
                    'fn = fuse_jax.compile("P(Ann); P(Bob); input Q(x); Z[x] = P(x) Q(x)")\n'
                    'fn({}, Q=[("Anne",)])'
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE289",
        CapacityError,
        "more tuples than compiled code has room for",
        "{name} has {count} tuples, but there is room for {capacity}",
        "ExecutionConfig(capacity={{'{name}': {count}}}) makes room",
        (
            Example(
                "Path has 3 tuples, but there is room for 2",
                python=(
                    "import fuse_jax\nconfig = ExecutionConfig(capacity={'Path': 2})\n"
                    'text = "input Edge(x, y); Path(x, y) <- Edge(x, y); Path(x, z) <- Path(x, y), Edge(y, z)"\n'
                    "fuse_jax.compile(text, config=config)({}, Edge=np.array([[0, 1], [1, 2]]))"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE290",
        AxisError,
        "traced positions on an axis of unknown size",
        "positions of {name} are traced, so that they do not tell the size of axis {axis}",
        "a line `axis {axis} = 100`, sizes={{'{axis}': 100}}, or another tensor on that axis gives it",
        (
            Example(
                "positions of Edge are traced, so that they do not tell the size of axis x",
                python=(
                    "import fuse_jax, jax\n"
                    'fn = fuse_jax.compile("input Edge(x, y); Y[x] = Edge(x, y)")\n'
                    "jax.jit(fn)({}, Edge=np.array([[0, 1]]))"
                ),
            ),
        ),
    ),
)
