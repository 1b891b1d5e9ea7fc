"""Mistakes about a program's own functions, imports, concat and attention (FUSE137 to FUSE149)."""

from __future__ import annotations

from fuse_ref.errors import AxisError, ManifestError, OperatorError
from fuse_ref.mistakes.row import Example, Mistake

__all__ = ["FUNCTION_MISTAKES"]

FUNCTION_MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "FUSE137",
        OperatorError,
        "a call that does not fit the function",
        "{name} is called with {got}, and line {line} defines {expected}",
        "",
        (
            Example(
                "add is called with 1 argument, and line 1 defines add(A[i], B[i])",
                "fn add(A[i], B[i]) = A[i] + B[i]\nY[i] = add(X[i])",
            ),
            Example("called with 'c='", "fn scale(A[i], b) = b A[i]\nY[i] = scale(X[i], 2, c=3)"),
            Example("called with without", "fn twice(A[i]) = 2 A[i]\nY[i] = twice[i] X[i]"),
        ),
    ),
    Mistake(
        "FUSE138",
        AxisError,
        "an argument that does not fit the parameter",
        "this argument does not fit {name} (line {line}): {reason}",
        "",
        (
            Example("A[i, j] has 2 indices, and X[i] has only 1", "fn trace(A[i, j]) = A[i, i]\nY = trace(X[i])"),
            Example(
                "its letter k is k in Q[p, k] and d in K[q, d]",
                "fn dot(A[k], B[k]) = A[k] B[k]\nY[p, q] = dot(Q[p, k], K[q, d])",
            ),
            Example("give it a name in an equation", "fn twice(A[i]) = 2 A[i]\nY[i] = twice(W[i, j] X[j])"),
            Example("needs a plain variable", "fn total(A[i]) = sum(i: A[i])\nY = total(X[0])"),
        ),
    ),
    Mistake(
        "FUSE139",
        OperatorError,
        "a function that calls itself",
        "the function {name} calls itself: {cycle}",
        "a repeated computation is written as a recurrence over an index: H[t+1, d] = ... H[t, d]",
        (
            Example(
                "the function f calls itself: f -> g -> f",
                "fn f(X[i]) = 2 g(X[i])\nfn g(X[i]) = f(X[i]) + 1\nY[i] = f(Z[i])",
            ),
        ),
    ),
    Mistake(
        "FUSE140",
        OperatorError,
        "a function under a name that is taken",
        "{name!r} cannot be defined here: it is {taken}",
        "choose another name",
        (
            Example("it is a function of the library", "fn relu(X[i]) = max(X[i], 0)\nY[i] = relu(Z[i])"),
            Example("defined in line 1", "fn f(X[i]) = 2 X[i]\nfn f(X[i]) = 3 X[i]\nY[i] = f(Z[i])"),
            Example("it is a tensor, defined in line 2", "fn f(X[i]) = 2 X[i]\nf[i] = X[i]"),
        ),
    ),
    Mistake(
        "FUSE141",
        OperatorError,
        "functions that make an expression too large",
        "putting {name} and the functions it calls into this statement makes more than {limit} parts",
        "compute parts of it in equations of their own",
        (
            Example(
                "more than 20000 parts",
                python=(
                    "Program('\\n'.join(['fn f0(x) = x + x', *(f'fn f{k}(x) = f{k-1}(f{k-1}(x))'"
                    " for k in range(1, 12)), 'Y[i] = f11(X[i])']))"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE142",
        OperatorError,
        "imports in a circle",
        "{path} imports itself: {cycle}",
        "move what both files need into a third one",
        (
            Example(
                "b.fuse imports itself: b.fuse -> a.fuse -> b.fuse",
                python=(
                    "import tempfile, pathlib; folder = pathlib.Path(tempfile.mkdtemp())\n"
                    "(folder / 'a.fuse').write_text('import \"b.fuse\"\\n')\n"
                    "(folder / 'b.fuse').write_text('import \"a.fuse\"\\n')\n"
                    "Program('import \"b.fuse\"', path=folder / 'main.fuse')"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE143",
        ManifestError,
        "an import that cannot be read",
        "the import {path} cannot be read: {problem}",
        "relative paths start at the folder of the file that has the import line",
        (
            Example(
                "the import layers_of_nobody.fuse cannot be read: No such file or directory",
                'import "layers_of_nobody.fuse"\nY[i] = X[i]',
            ),
        ),
    ),
    Mistake(
        "FUSE144",
        ManifestError,
        "an import outside the allowed folders",
        "the import {path} lies outside the folders that the program may use ({roots})",
        "Program(text, path=..., allowed_roots=[...]) allows more",
        (Example("lies outside the folders", 'import "../../other/layers.fuse"\nY[i] = X[i]'),),
    ),
    Mistake(
        "FUSE145",
        AxisError,
        "concat of another length than its axis",
        "concat makes {actual} positions along axis {axis}, which has {expected}",
        "the arguments' sizes along the concatenated index add up to the axis's size",
        (
            Example(
                "concat makes 3 positions along axis j, which has 4",
                "axis j = 4\nA[k] = [1, 2]\nB[l] = [3]\nC[j] = concat(A[k], B[l], axis=j)",
            ),
        ),
    ),
    Mistake(
        "FUSE146",
        OperatorError,
        "a concat inside the argument of another",
        "this argument of concat has another concat in it, and both would make the same index",
        "give the inner one a name in an equation of its own",
        (
            Example(
                "has another concat in it",
                "C[j] = concat(relu(concat(A[j], B[j])), D[j])",
            ),
        ),
    ),
    Mistake(
        "FUSE147",
        AxisError,
        "attention without its indices",
        "this call is no attention: {reason}",
        "attention(Q[p, k], K[q, k], V[q, v]) sums over k and q and has the other indices",
        (
            Example("Q and K share an index that V lacks", "Y[p, v] = attention(Q[p, d], K[q, k], V[q, v])"),
            Example("K and V share one index that Q lacks", "Y[p, v] = attention(Q[p, k], K[q, k], V[r, v])"),
            Example("its result has the index p", "Y[v] = attention(Q[p, k], K[q, k], V[q, v])"),
            Example("it sums over q", "Y[p, q] = attention(Q[p, k], K[q, k], V[q, v])"),
        ),
    ),
    Mistake(
        "FUSE148",
        AxisError,
        "a slice averaged by a loss",
        "{name} is the mean over a slice that the left-hand side lacks, and a slice has no name to write that with",
        "give the part that is read a name first, Part[:] = T[2:4], then {name}(Part[i], …)",
        (
            Example("mse is the mean over a slice", "L = mse(T[0:2], N[1:3])"),
            Example(
                "cross_entropy is the mean over a slice",
                "input N[e]: int64; L = cross_entropy(T[0:2, c], N[0:2], axis=c)",
            ),
        ),
    ),
)
