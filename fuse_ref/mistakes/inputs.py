"""Rows of the table of mistakes; see `fuse_ref.mistakes` for the code ranges."""

from __future__ import annotations

from fuse_ref.errors import AxisError, DtypeError, InputError, UnboundTensorError
from fuse_ref.mistakes.row import Example, Mistake

__all__ = ["INPUT_MISTAKES"]

_SCALE = 'Program("input X[i]; Y[i] = 2 X[i]").compile()'
_EDGE = 'Program("input Edge(x, y); Out[x] = Edge(x, y)").compile()'

INPUT_MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "FUSE300",
        InputError,
        "declared input that is not given",
        "input {name} is declared, but the call does not give it",
        "",
        (
            Example("input X is declared, but the call does not give it", python=f"{_SCALE}()"),
            Example("the call gives 'x': did you mean 'X'?", python=f"{_SCALE}(x=[1.0])"),
        ),
    ),
    Mistake(
        "FUSE301",
        UnboundTensorError,
        "tensor found nowhere",
        "{name} is used, but neither defined in the program, nor given by the call, nor in the weight store",
        "",
        (
            Example("W is used, but neither defined", python='Program("Y[i] = W[i, j] X[j]").compile()(X=[1.0])'),
            Example(
                "did you mean 'Parent'?",
                python='Program("Parent(Ann, Bob)\\nChild(y, x) <- Prent(x, y)").compile()()',
            ),
            Example(
                "the call gives 'Wt': did you mean 'W_t'?",
                python='Program("Y[i] = W_t[i, j] X[j]").compile()(X=[1.0], Wt=[[1.0]])',
            ),
        ),
    ),
    Mistake(
        "FUSE302",
        InputError,
        "inputs that are not a mapping",
        "inputs must be a mapping from names to arrays, but {value} was given",
        "give arrays by name: runner(X=array) or runner({{'X': array}})",
        (Example("but ndarray was given", python=f"{_SCALE}(np.ones(3))"),),
    ),
    Mistake(
        "FUSE303",
        DtypeError,
        "values of the wrong type",
        "{name} takes {expected}, but {got} was given",
        "",
        (
            Example(
                "T takes int64 values, but float64 was given",
                python='Program("input T[i]: int64; Y[i] = T[i]").compile()(T=[0.5])',
            ),
            Example("X takes numbers, but complex128 was given", python=f"{_SCALE}(X=[1j])"),
            Example(
                "Edge takes truth values or positions, but float64 was given",
                python=f"{_EDGE}(Edge=np.array([[0.0, 1.0]]))",
            ),
        ),
    ),
    Mistake(
        "FUSE304",
        DtypeError,
        "value that is not an array",
        "{name} cannot be made an array: {problem}",
        "rows of one length and of one type make an array",
        (Example("X cannot be made an array", python=f"{_SCALE}(X=[[1.0], [2.0, 3.0]])"),),
    ),
    Mistake(
        "FUSE305",
        AxisError,
        "tuples of the wrong length",
        "{name} has {arity} arguments, but {got} was given",
        "",
        (Example("Edge has 2 arguments, but a tuple of 3 was given", python=f"{_EDGE}(Edge=[(0, 1, 2)])"),),
    ),
    Mistake(
        "FUSE306",
        AxisError,
        "symbol or position outside its axis",
        "{value} in {name} is not on axis {axis}, which {has}",
        "",
        (
            Example(
                "did you mean 'Ann'?",
                python='Program("axis x = {Ann, Bob}; input P(x); Y[x] = P(x)").compile()(P=[("Anne",)])',
            ),
            Example("-1 in Edge is not on axis x", python=f"{_EDGE}(Edge=[(-1, 0)])"),
        ),
    ),
    Mistake(
        "FUSE307",
        InputError,
        "tensor given twice",
        "{name} is given twice: in the mapping and as a keyword",
        "",
        (Example("X is given twice", python=f"{_SCALE}({{'X': [1.0]}}, X=[2.0])"),),
    ),
    Mistake(
        "FUSE308",
        InputError,
        "value for a tensor that the program itself makes",
        "{name} cannot be given: {reason}",
        "",
        (
            Example("Y cannot be given: the program defines it", python=f"{_SCALE}(X=[1.0], Y=[1.0])"),
            Example(
                "W cannot be given: it is a parameter",
                python='Program("axis i = 1, j = 1; param W[i, j]; Y[i] = W[i, j] X[j]").compile()(X=[1.0], W=[[1.0]])',
            ),
        ),
    ),
    Mistake(
        "FUSE309",
        InputError,
        "inputs of two frameworks",
        "{first} is an array of {first_framework} and {second} one of {second_framework}",
        'choose the engine: compile(backend="torch")',
        (
            Example(
                "X is an array of torch and W one of jax",
                python=(
                    'Tensor = type("Tensor", (), {"__module__": "torch"}); Array = type("Array", (), {"__module__": "jax"}); '
                    'Program("Y[i] = W[i] X[i]").compile()({"X": Tensor(), "W": Array()})'
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE310",
        DtypeError,
        "whole number too large",
        "{name} holds {value}, which {dtype} cannot hold",
        "",
        (
            Example(
                "T holds 18446744073709551615, which int64 cannot hold",
                python='Program("input T[i]: int64; Y[i] = T[i]").compile()(T=np.array([2**64 - 1], np.uint64))',
            ),
        ),
    ),
    Mistake(
        "FUSE311",
        AxisError,
        "parameter made for another size",
        "{name} was made as {made} for the sizes of the first call, and this call needs {needed}",
        "a line `axis {axis} = {size}` says which size is meant",
        (
            Example(
                "W was made as (2,) for the sizes of the first call, and this call needs (3,)",
                python=(
                    'runner = Program("param W[i]; Y[i] = W[i] X[i]").compile(); '
                    "runner(X=[1.0, 2.0]); runner(X=[1.0, 2.0, 3.0])"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE312",
        DtypeError,
        "weight that is not an array of numbers",
        "weight {name} is not an array of numbers: {problem}",
        "",
        (Example("weight W is not an array of numbers", python="InMemoryWeightStore({'W': ['a']})"),),
    ),
)
