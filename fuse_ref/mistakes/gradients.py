"""Rows of the table of mistakes about programs of gradients; see `fuse_ref.mistakes`."""

from __future__ import annotations

from fuse_ref.errors import GradientError
from fuse_ref.mistakes.row import Example, Mistake

__all__ = ["GRADIENT_MISTAKES"]

_MADE = "from fuse_ref import generate_gradient_program as made\n"

GRADIENT_MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "FUSE270",
        GradientError,
        "gradient program of a stream",
        "the gradient goes through {name}, which is a stream, and gradient programs cross no streams yet",
        "write the stream along a stored axis, `t` in place of `*t`, or let torch or JAX differentiate the program",
        (
            Example(
                "goes through H, which is a stream",
                python=f"{_MADE}made('H[*t+1] = tanh(W H[*t] + X[t])\\nL = H[*t]\\nexport L', {{'L': '1'}}, ['W'])",
            ),
        ),
    ),
    Mistake(
        "FUSE271",
        GradientError,
        "gradient program of a base case that is an array",
        "{name} is defined by {operator} and by a whole array, and gradient programs take no arrays there",
        "give the array a name of its own and read it in an equation",
        (
            Example(
                "Y is defined by max= and by a whole array",
                python=f"{_MADE}made('Y = const([1, 2])\\nY[i] max= X[i]\\nL = Y[i]\\nexport L', {{'L': '1'}}, ['X'])",
            ),
        ),
    ),
    Mistake(
        "FUSE272",
        GradientError,
        "gradient program of a registered function",
        "the registered function {function} has no derivative that a program can call",
        "register_function(..., gradient=...) takes the name of the registered function that is the derivative",
        (
            Example(
                "the registered function example_bump has no derivative",
                python=(
                    f"{_MADE}register_function('example_bump', numpy=np.tanh)\n"
                    "made('L = sum(i: example_bump(X[i]))', {'L': '1'}, ['X'])"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE273",
        GradientError,
        "gradient of what has none",
        "there is no gradient of {name}: it {what}",
        "seeds and export_grads name tensors of numbers",
        (
            Example(
                "there is no gradient of V: it is no tensor of the program",
                python=f"{_MADE}made('L = W[i]', {{'L': '1'}}, ['V'])",
            ),
            Example(
                "there is no gradient of N: it holds whole numbers",
                python=f"{_MADE}made('input N[i]: int64\\nL = N[i] W[i]', {{'L': '1'}}, ['N'])",
            ),
        ),
    ),
    Mistake(
        "FUSE274",
        GradientError,
        "gradient program whose sizes cannot be written",
        "the gradient of {name} would run over other positions than the program does",
        "let torch or JAX differentiate the program, or declare the sizes of its axes",
        (
            Example(
                "the gradient of X would run over other positions",
                python=f"{_MADE}made('L = X[0:2, 1:3]**2', {{'L': '1'}}, ['X'])",
            ),
        ),
    ),
)
