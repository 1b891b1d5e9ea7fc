"""Rows of the table of mistakes that only the torch engine and its modules raise; see `fuse_ref.mistakes`."""

from __future__ import annotations

from fuse_ref.errors import AxisError, ConfigError, DtypeError, GradientError, InputError
from fuse_ref.mistakes.row import Example, Mistake

__all__ = ["TORCH_MISTAKES"]

_MODULE = "import torch, fuse_torch; m = fuse_torch.FuseModule"

TORCH_MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "FUSE250",
        ConfigError,
        "two names that are one in a module",
        "{first} and {second} would both be called {name} in the module",
        "rename one of them: dots become __, and names that torch reserves get a trailing _",
        (
            Example(
                "type and type_ would both be called type_ in the module",
                python=f"{_MODULE}('axis i = 2; param type[i]; param type_[i]; Y[i] = type[i] type_[i]')",
            ),
        ),
    ),
    Mistake(
        "FUSE251",
        InputError,
        "too many positional inputs",
        "the module takes {takes} positional inputs, but {got} were given",
        "positions follow the program's input lines; free tensors are given by name",
        (
            Example(
                "takes 1 (X) positional inputs, but 2 were given",
                python=f"{_MODULE}('input X[i]; Y[i] = 2 X[i]'); m(torch.ones(2), torch.ones(2))",
            ),
        ),
    ),
    Mistake(
        "FUSE252",
        DtypeError,
        "input of another type than the module's",
        "{name} must be {expected} here, but {got} was given",
        "",
        (
            Example(
                "X must be float32 here, but float64 was given",
                python=f"{_MODULE}('input X[i]; Y[i] = 2 X[i]'); m(torch.ones(2, dtype=torch.float64))",
            ),
            Example(
                "X must be float32 here, but int64 was given",
                python=f"{_MODULE}('input X[i]; Y[i] = 2 X[i]'); m(torch.ones(2, dtype=torch.int64))",
            ),
            Example(
                "T must be int64 here, but float32 was given",
                python=f"{_MODULE}('input T[i]: int64; Y[i] = 2 T[i]'); m(torch.ones(2))",
            ),
        ),
    ),
    Mistake(
        "FUSE253",
        DtypeError,
        "input of a module that is no tensor",
        "{name} must be a torch tensor, but {got} was given",
        "a Runner takes arrays of any kind: fuse_torch.compile(program)",
        (
            Example(
                "X must be a torch tensor, but list was given",
                python=f"{_MODULE}('input X[i]; Y[i] = 2 X[i]'); m([1.0, 2.0])",
            ),
        ),
    ),
    Mistake(
        "FUSE254",
        DtypeError,
        "facts that are no positions",
        "positions of facts must be whole numbers, but {got} was given",
        "symbols are given as tuples of strings, without Facts",
        (
            Example(
                "positions of facts must be whole numbers, but float32 was given",
                python="import fuse_torch; fuse_torch.Facts([[0.5, 1.0]])",
            ),
        ),
    ),
    Mistake(
        "FUSE255",
        AxisError,
        "facts of the wrong shape",
        "positions of facts must be (count, arity): {problem}",
        "",
        (
            Example("their shape is (2,)", python="import fuse_torch; fuse_torch.Facts([0, 1])"),
            Example(
                "1 axes were given for tuples of 2",
                python="import fuse_torch; fuse_torch.Facts([[0, 1]], axes=[3])",
            ),
        ),
    ),
    Mistake(
        "FUSE256",
        ConfigError,
        "unknown way to keep state",
        "state must be 'buffer' or 'carry', but {value} was given",
        "",
        (
            Example(
                "state must be 'buffer' or 'carry', but 'none' was given",
                python=f"{_MODULE}('Y[i] = 2 X[i]', state='none')",
            ),
        ),
    ),
    Mistake(
        "FUSE257",
        AxisError,
        "parameter of unknown size",
        "the size of axis {axis} of parameter {name} is not known when the module is made",
        "write a line axis {axis} = 64, or give sizes={{'{axis}': 64}}",
        (
            Example(
                "the size of axis j of parameter W is not known",
                python=f"{_MODULE}('axis i = 2; param W[i, j]; Y[i] = W[i, j] X[j]')",
            ),
        ),
    ),
    Mistake(
        "FUSE258",
        ConfigError,
        "unknown option of the fuse back end",
        "there is no option {option} of the fuse back end",
        "options that begin with fuse.: {known}",
        (
            Example(
                "did you mean 'fuse.inner'?",
                python=(
                    "import torch; f = torch.compile(lambda x: x + 1, backend='fuse', options={'fuse.iner': 'eager'}); "
                    "f(torch.ones(2))"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE259",
        ConfigError,
        "wrong value of an option of the fuse back end",
        "option {option} must be {expected}, but {value} was given",
        "",
        (
            Example(
                "option fuse.replan must be True or False, but 'yes' was given",
                python=(
                    "import torch; f = torch.compile(lambda x: x + 1, backend='fuse', "
                    "options={'fuse.replan': 'yes', 'fuse.inner': 'eager'}); f(torch.ones(2))"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE260",
        ConfigError,
        "setting that the inner compiler does not take",
        "fuse.inner={inner} takes no {what}: {names}",
        "options without fuse. in front, and mode=, are inductor's",
        (
            Example(
                "takes no options: max_autotune",
                python=(
                    "import torch; f = torch.compile(lambda x: x + 1, backend='fuse', "
                    "options={'max_autotune': True, 'fuse.inner': 'aot_eager'}); f(torch.ones(2))"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE261",
        AxisError,
        "parameter that was replaced by one of another shape",
        "{name} is {got} in the module, but {expected} in the program",
        "",
        (
            Example(
                "W is (1,) in the module, but (2,) in the program",
                python=(
                    f"{_MODULE}('axis i = 2; param W[i]; Y[i] = 2 W[i]'); m.W = torch.nn.Parameter(torch.ones(1)); m()"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE269",
        GradientError,
        "a module's state where it must not move",
        "the module keeps the state of {name} in a buffer, which {where} would move on behind your back",
        'FuseModule(…, state="carry") takes the state and gives it, so nothing moves by itself',
        (
            Example(
                "the module keeps the state of H in a buffer, which a transformation of torch.func would move on behind "
                "your back",
                python=(
                    "import torch; from fuse_torch import FuseModule; "
                    'm = FuseModule("H[*t+1] = 0.5 H[*t] + U[t]\\nexport H")\n'
                    "torch.func.grad(lambda u: m(U=u))(torch.ones(3))"
                ),
            ),
        ),
    ),
)
