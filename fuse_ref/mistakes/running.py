"""Rows of the table of mistakes; see `fuse_ref.mistakes` for the code ranges."""

from __future__ import annotations

from fuse_ref.errors import (
    AxisError,
    ConfigError,
    DeviceError,
    GradientError,
    InputError,
    LimitError,
    NonFiniteError,
    OperatorError,
    ProgramFileError,
    RouteError,
    SyntaxFuseError,
    UnknownFunctionError,
)
from fuse_ref.mistakes.row import Example, Mistake

__all__ = ["RUNNING_MISTAKES"]

RUNNING_MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "FUSE200",
        ConfigError,
        "setting with a wrong value",
        "{field} must be {expected}, but {value} was given",
        "",
        (
            Example(
                "precision must be one of 'float32', 'float64', 'bfloat16', 'float16', 'auto', but 'float23' was given",
                python='ExecutionConfig(precision="float23")',
            ),
            Example(
                "max_iters must be a whole number, at least 1, but 0 was given", python="ExecutionConfig(max_iters=0)"
            ),
            Example("tol must be a finite number, 0 or more, but -1 was given", python="ExecutionConfig(tol=-1)"),
            Example("did you mean 'single'?", python='ExecutionConfig(mode="singel")'),
        ),
    ),
    Mistake(
        "FUSE201",
        RouteError,
        "step that cannot run yet",
        "step {number} ({kind} of {tensors}) cannot run on the {engine} engine: {reason}",
        "the plan of the program shows every step with its route: Program(…).plan() or fuse explain",
        (
            Example(
                "(Recurrence of H)",
                python=('Program("H[i, *t+1] = dropout(H[i, *t], 0.1) + U[i, t]").compile()(U=np.ones((2, 3)))'),
            ),
        ),
    ),
    Mistake(
        "FUSE202",
        RouteError,
        "setting whose engine is not there yet",
        "{setting} cannot be used yet: {reason}",
        "",
        (
            Example(
                "time_limit=1.0 cannot be used yet",
                python='Program("Y[i] = 2 X[i]").compile(config=ExecutionConfig(time_limit=1))(X=[1.0])',
            ),
        ),
    ),
    Mistake(
        "FUSE203",
        DeviceError,
        "device that the engine does not have",
        "the {engine} engine cannot run on device {device!r}: {reason}",
        'device="auto" takes what the engine has',
        (
            Example(
                "the numpy engine cannot run on device 'cuda:0'",
                python='Program("Y[i] = 2 X[i]").compile(backend="numpy", device="cuda:0")(X=[1.0])',
            ),
        ),
    ),
    Mistake(
        "FUSE204",
        ConfigError,
        "setting for a tensor that the program lacks",
        "{field} names {name}, which the program does not define",
        "",
        (
            Example(
                "temperatures names Z, which the program does not define",
                python='Program("Y[i] = sig(X[i])").compile(config=ExecutionConfig(temperatures={"Z": 0.5}))(X=[1.0])',
            ),
        ),
    ),
    Mistake(
        "FUSE205",
        ConfigError,
        "policy with a wrong value",
        "{field} must be {expected}, but {value} was given",
        "",
        (
            Example("weight_store must be a weight store or a mapping", python="RuntimePolicies(weight_store=3)"),
            Example("mode must be one of 'int8', 'int4', but 'int3' was given", python='QuantizationPolicy("int3")'),
        ),
    ),
    Mistake(
        "FUSE207",
        NonFiniteError,
        "NaN or infinity in a checked run",
        "{tensor} holds {what} at {position}",
        "checked=True stops at the first value that is not finite; look at what {tensor} is made from",
        (
            Example(
                "Y holds -inf at [1]",
                python='Program("Y[i] = log(X[i])").compile(config=ExecutionConfig(checked=True))(X=[1.0, 0.0])',
            ),
        ),
    ),
    Mistake(
        "FUSE208",
        InputError,
        "explanation of what is no fact",
        "{atom} cannot be explained: {reason}",
        "write a relation with a constant for each argument, such as Parent(Alice, Bob)",
        (
            Example(
                "Y(1) cannot be explained: Y holds numbers, and only facts of relations are derived",
                python='Program("Y[i] = const([1, 2])").compile().why("Y(1)")',
            ),
            Example(
                "Path(Ann, x) cannot be explained: x is a variable",
                python='Program("Path(Ann, Bob)").compile().why("Path(Ann, x)")',
            ),
        ),
    ),
    Mistake(
        "FUSE209",
        ConfigError,
        "wrong argument of compile",
        "{field} must be {expected}, but {value} was given",
        "",
        (
            Example(
                "backend must be one of 'auto', 'numpy', 'torch', 'jax', but 'tensorflow' was given",
                python='Program("Y[i] = 2 X[i]").compile(backend="tensorflow")',
            ),
        ),
    ),
    Mistake(
        "FUSE210",
        AxisError,
        "class number outside its axis",
        "a class of {tensor} is {number}, but axis {axis} has the positions 0 to {last}",
        "classes count from 0",
        (
            Example(
                "is 3, but axis c has the positions 0 to 1",
                python=(
                    'Program("input T[e]: int64; Loss = cross_entropy(X[e, c], T[e], axis=c)")'
                    ".compile(config=ExecutionConfig(checked=True))(X=np.zeros((1, 2)), T=[3])"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE211",
        InputError,
        "state that the program does not have",
        "the state names {name}, but the program has no stream of that name",
        "",
        (Example("the state names H", python='Program("Y[i] = 2 X[i]").compile().load_state({"H": np.zeros(2)})'),),
    ),
    Mistake(
        "FUSE215",
        InputError,
        "state of another shape",
        "the state of {name} has shape {got}, but this call needs {expected}",
        "runner.reset_state() begins anew; a batch of another size has a state of its own",
        (
            Example(
                "the state of H has shape (1, 2), but this call needs (1, 3)",
                python='r = Program("H[i, *t+1] = 0.5 H[i, *t] + U[i, t]").compile("numpy")\n'
                "r(U=np.ones((2, 4)))\nr(U=np.ones((3, 4)))",
            ),
        ),
    ),
    Mistake(
        "FUSE212",
        RouteError,
        "query that cannot be answered yet",
        "the query {query} cannot be answered yet: {reason}",
        "",
        (
            Example(
                "the query Y[i+1]? cannot be answered yet",
                python='Program("Y[i] = 2 X[i]; Y[i+1]?").compile()(X=[1.0, 2.0])',
            ),
        ),
    ),
    Mistake(
        "FUSE213",
        SyntaxFuseError,
        "text that is no query",
        "{query!r} is not one query",
        'a query is a reference and a question mark: "Ancestor(Alice, x)?", "Y[0, j]?", "Y?"',
        (
            Example(
                "'Y[i]?; X[i]?' is not one query",
                python=('runner = Program("Y[i] = 2 X[i]").compile(); runner(X=[1.0]); runner.query("Y[i]?; X[i]?")'),
            ),
        ),
    ),
    Mistake(
        "FUSE214",
        AxisError,
        "index that points outside its tensor",
        "{index} is {position}{where}, but {tensor} has {count} positions there",
        "positions count from 0, never from the end; without checked=True one outside reads 0 and writes nothing",
        (
            Example(
                "X[p]+1 is 5 at p = 1, but E has 5 positions there",
                python=(
                    'Program("Y[p, d] = E[X[p]+1, d]")'
                    ".compile(config=ExecutionConfig(checked=True))(E=np.ones((5, 2)), X=[0, 4])"
                ),
            ),
            Example(
                "X[p] is -1 at p = 0, but Y has 3 positions there",
                python=(
                    'Program("axis n = 3; Y[X[p]] = Z[p]; Y[n] += 0")'
                    ".compile(config=ExecutionConfig(checked=True))(Z=np.ones(2), X=[-1, 2])"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE217",
        InputError,
        "Training without a key",
        "training=True switches dropout on, which draws random numbers, and no key was given",
        "call it with key=jax.random.key(0), and with another key for each step",
        (
            Example(
                "which draws random numbers, and no key was given\nhelp: call it with key=",
                python=(
                    'import fuse_jax\nfuse_jax.compile("Y[i] = dropout(X[i], 0.5)")({}, {"X": np.ones(3)}, training=True)'
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE219",
        ConfigError,
        "function that cannot be registered",
        "{name!r} cannot be registered: {reason}",
        "",
        (
            Example("the library has a function of that name", python="register_function('relu', numpy=np.tanh)"),
            Example("a program cannot write that name", python="register_function('sum', numpy=np.tanh)"),
            Example("numpy=3 is no function", python="register_function('cube_root', numpy=3)"),
            Example("its arguments cannot be counted", python="register_function('every', numpy=lambda *x: x[0])"),
            Example(
                "another function is registered",
                python=(
                    "register_function('example_taken', numpy=np.tanh); register_function('example_taken', numpy=np.exp)"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE220",
        GradientError,
        "registered function without a gradient",
        "the registered function {name} has no {what}",
        "register_function(..., gradient=...) takes one, or the name of the function that is the derivative",
        (
            Example(
                "the registered function example_flat has no gradient",
                python=(
                    "from fuse_ref.evaluate.registered import gradients_of\n"
                    "register_function('example_flat', numpy=np.floor); x = np.zeros(2)\n"
                    "gradients_of('example_flat', [x], x)"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE221",
        UnknownFunctionError,
        "registered function that is missing",
        "the program calls {name}, which was registered where it was read and is not registered here",
        "call register_function({name!r}, ...) before the program runs",
        (
            Example(
                "calls example_lost, which was registered",
                python=(
                    "register_function('example_gone', numpy=np.tanh)\n"
                    "data = Program('Y[i] = example_gone(X[i])').to_json()\n"
                    "import json; text = json.dumps(data).replace('example_gone', 'example_lost')\n"
                    "Program.from_json(json.loads(text)).compile('numpy')(X=[1.0])"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE222",
        OperatorError,
        "wrong result of a registered function",
        "the registered function {name} gave {got} and not {expected}",
        "a registered function works element by element: its result has the shape of its arguments together",
        (
            Example(
                "gave the shape () and not the shape (2,)",
                python=(
                    "register_function('example_total', numpy=lambda x: x.sum())\n"
                    "Program('Y[i] = example_total(X[i])').compile('numpy')(X=[1.0, 2.0])"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE223",
        ConfigError,
        "folder of the cache that cannot be used",
        "cache_dir={folder} cannot be used: {problem}",
        "choose a folder that this user may write to",
        (
            Example(
                "cannot be used: File exists",
                # A file, where a folder is wanted.
                python="import sys; Program('Y[i] = 2 X[i]').compile(cache_dir=sys.executable)",
            ),
        ),
    ),
    Mistake(
        "FUSE224",
        InputError,
        "program that is no text",
        "a program is a text, but a value of type {got} was given",
        "give the equations as a string; Program.from_file(path) reads a file",
        (
            Example("a program is a text, but a value of type int was given", python="Program(3)"),
            Example("a value of type bytes was given", python="Program(b'Y[i] = X[i]')"),
        ),
    ),
    Mistake(
        "FUSE227",
        ProgramFileError,
        "program file that cannot be read",
        "cannot read {path}: {problem}",
        "relative paths start at the current folder, {folder}",
        (Example("cannot read no_such.fuse: No such file or directory", python="Program.from_file('no_such.fuse')"),),
    ),
    Mistake(
        "FUSE228",
        LimitError,
        "run beyond its memory limit",
        "a run would hold {needed} bytes at once, more than memory_limit={limit}: {what}",
        "give a larger memory_limit, or smaller inputs; a run is split along an index whose positions do not need "
        "each other, where there is one",
        (
            Example(
                "Y needs an array of shape (100, 100)",
                python=(
                    'Program("Y[i, j] = X[i] X[j]").compile(config=ExecutionConfig(memory_limit=2000))(X=np.ones(100))'
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE229",
        RouteError,
        "export of a run that would be split",
        "{name} has an open size in the export, and its run is too large for memory_limit={limit} as a whole",
        "export with fixed sizes, with examples that fit, or without memory_limit: a graph of open sizes cannot "
        "choose a number of blocks",
        (
            Example(
                "X has an open size in the export, and its run is too large for memory_limit=2000 as a whole",
                python=(
                    "import torch, fuse_torch; m = fuse_torch.FuseModule('input X[i, j]; L = abs(2 X[i, j])', "
                    "config=ExecutionConfig(memory_limit=2000)); "
                    "torch.export.export(m, (torch.ones(200, 4),), dynamic_shapes=({0: torch.export.Dim('i')},), "
                    "strict=False)"
                ),
            ),
        ),
    ),
)
