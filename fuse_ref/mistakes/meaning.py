"""Mistakes about what a program means: names, indices, axes, functions (FUSE100 to FUSE149)."""

from __future__ import annotations

from fuse_ref.errors import (
    AxisError,
    ConfigError,
    DtypeError,
    ManifestError,
    OperatorError,
    UnboundTensorError,
    UnknownFunctionError,
)
from fuse_ref.mistakes.row import Example, Mistake

__all__ = ["MEANING_MISTAKES"]

MEANING_MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "FUSE100",
        UnknownFunctionError,
        "unknown function",
        "there is no function {name!r}",
        "the functions are listed in docs/language.md; a relation's arguments are indices only",
        (
            Example("did you mean 'softmax'", "Y[i] = sofmax(W[i, j] X[j])"),
            Example("did you mean 'softmax'", "Y[i] = sofmax(X[i] + 1)"),
        ),
    ),
    Mistake(
        "FUSE101",
        UnknownFunctionError,
        "space before the parenthesis of a function",
        "{name!r} is a function, and with a space before its parenthesis it is read as a product",
        "write {name}(...) without the space",
        (Example("'relu' is a function", "Y[i] = relu (X[i])"),),
    ),
    Mistake(
        "FUSE102",
        OperatorError,
        "a tensor under a function's name",
        "{name!r} is a function of the library, so no tensor can have that name",
        "choose another name, for example {name}_value",
        (Example("'relu' is a function", "relu[i] = X[i]"), Example("'softmax'", "input softmax[i]\nY[i] = X[i]")),
    ),
    Mistake(
        "FUSE103",
        AxisError,
        "a variable in a fact",
        "the fact {name} has the variable {variable!r}; a fact is about constants",
        "write a symbol (capitalised or in quotes) or a number, or give the fact a body with <-",
        (Example("has the variable 'x'", "Parent(Alice, x)"),),
    ),
    Mistake(
        "FUSE104",
        AxisError,
        "wrong number of indices",
        "{name} is read with {got} but has {expected} (line {line})",
        "",
        (
            Example("W is read with 1 index but has 2 indices (line 1)", "input W[i, j]\nY[i] = W[i]"),
            Example("read with no index but has 1 index", "input w[i]\nY = 2 w"),
        ),
    ),
    Mistake(
        "FUSE105",
        AxisError,
        "an index that is no whole number",
        "{what} is {value}, and an index or size must be a whole number",
        "",
        (Example("L is 2.5", "L = 2.5\nY[i] = X[i, L]"), Example("d is 1.5", "axis d = 1.5\nY[d] = X[d]")),
    ),
    Mistake(
        "FUSE106",
        AxisError,
        "an index of an unknown form",
        "{text!r} is no index: {reason}",
        "indices are i, 3, i+1, 2*x+dx, N-1-i, x/2, a slice, X[p] or *t",
        (
            Example("two variables are multiplied", "Y[i] = X[i*j, j]"),
            Example("divides by 'j'", "Y[i] = X[i/j, j]"),
            Example("'relu(i)' is no index", "Y[i] = X[relu(i)]"),
        ),
    ),
    Mistake(
        "FUSE107",
        OperatorError,
        "two projection operators for one tensor",
        "{name} is defined with {first!r} (line {line}) and with {second!r}",
        "use one operator in all equations of a tensor, or give one of them another name",
        (Example("Y is defined with 'max=' (line 1) and with 'avg='", "Y[i] max= X[i, j]\nY[i] avg= Z[i, j]"),),
    ),
    Mistake(
        "FUSE108",
        OperatorError,
        "wrong arguments of a function",
        "{name} takes {expected}, not {got}",
        "",
        (
            Example("relu takes (x), not 2 arguments", "Y[i] = relu(X[i], 2)"),
            Example("clip takes (x, lo, hi), not 1 argument", "Y[i] = clip(X[i])"),
            Example("relu takes (x), not 'slope='", "Y[i] = relu(X[i], slope=2)"),
        ),
    ),
    Mistake(
        "FUSE109",
        OperatorError,
        "wrong word for an option",
        "{name} has no {option} {value!r}; there are {allowed}",
        "",
        (
            Example("gelu has no approximate 'sigmoid'", 'Y[i] = gelu(X[i], approximate="sigmoid")'),
            Example("cast has no dtype 'float8'", "Y[i] = cast(X[i], float8)"),
        ),
    ),
    Mistake(
        "FUSE110",
        AxisError,
        "a function without its axis",
        "{name} works along an axis, and here it is not clear which: {reason}",
        "write {name}(..., axis=j) or mark the index on the left-hand side with a dot: Y[i, j.]",
        (
            Example("the left-hand side has no index", "Y = softmax(X[i])"),
            Example(
                "'k' is not an index of the left-hand side, nor of its argument", "Y[i] = softmax(X[i, j], axis=k)"
            ),
        ),
    ),
    Mistake(
        "FUSE111",
        AxisError,
        "two sizes for one axis",
        "axis {axis} is {first} by {first_place}, but {second} by {second_place}",
        "",
        (
            Example(
                "axis i is 3 by W (line 1), but 2 by V (line 2)",
                "W[i] = [1, 2, 3]\nV[i] = [1, 2]\nY[i] = W[i] V[i]",
            ),
            Example("axis d is 4 by axis d = 4 (line 1), but 2", "axis d = 4\nW[d] = [1, 2]"),
        ),
    ),
    Mistake(
        "FUSE112",
        AxisError,
        "symbols and positions on one axis",
        "the axis of {name}'s argument {position} has symbols such as {symbol!r} (line {line}), so {number} is no place on it",
        "use symbols only, or positions only, on one axis",
        (Example("has symbols such as 'Alice' (line 1), so 3", "P(Alice, Bob)\nP(3, Bob)"),),
    ),
    Mistake(
        "FUSE113",
        AxisError,
        "more symbols or positions than the axis has",
        "axis {axis} has {size} positions by {place}, but {what}",
        "make the axis larger, or check the spelling of its symbols",
        (
            Example("but 'Cid' is symbol number 3", "axis x = 2\nP(x) <- Q(x)\nQ(Ann)\nQ(Bob)\nQ(Cid)"),
            Example("but position 5 is written", "axis i = 3\nY[i] = X[i]\nY[5] = 1"),
        ),
    ),
    Mistake(
        "FUSE114",
        AxisError,
        "a symbol that a fixed table lacks",
        "axis {axis} has the symbols {symbols} (line {line}), and {symbol!r} is none of them",
        "",
        (Example("'Bib' is none of them", "axis x = {Ann, Bob}\nQ(Ann)\nP(x) <- Q(x), x != Bib"),),
    ),
    Mistake(
        "FUSE115",
        UnboundTensorError,
        "an export or query of nothing",
        "{name} is neither defined nor used in the program",
        "",
        (
            Example("Z is neither defined nor used", "Y[i] = X[i]\nexport Z"),
            Example("did you mean 'Yes'", "Yes(A)\nYess(A)?"),
        ),
    ),
    Mistake(
        "FUSE116",
        AxisError,
        "a ragged literal",
        "the literal's rows differ: {first} and {second} items side by side",
        "give every row the same number of items",
        (Example("2 and 1 items side by side", "W = [[1, 2], [3]]"),),
    ),
    Mistake(
        "FUSE117",
        AxisError,
        "a literal of another rank",
        "the literal has {got} but {expected}",
        "",
        (Example("the literal has 2 axes but W[i] has 1", "W[i] = [[1, 2], [3, 4]]"),),
    ),
    Mistake(
        "FUSE118",
        OperatorError,
        "declared twice",
        "{name} is already declared in line {line}",
        "keep one of the two declarations",
        (Example("X is already declared in line 1", "input X[i]\ninput X[j]\nY[i] = X[i]"),),
    ),
    Mistake(
        "FUSE119",
        OperatorError,
        "a projection without its indices",
        "{name}(...) does not say which index it goes over",
        "write {name}(j: ...) with the index before a colon",
        (Example("sum(...) does not say", "Y[i] = sum(X[i, j])"),),
    ),
    Mistake(
        "FUSE120",
        OperatorError,
        "declared and defined",
        "{name} is declared by {keyword!r} in line {line}, so no equation can define it",
        "remove the declaration or the equation",
        (Example("X is declared by 'input' in line 1", "input X[i]\nX[i] = Z[i]"),),
    ),
    Mistake(
        "FUSE121",
        AxisError,
        "an index that is only for the other side",
        "{text!r} cannot stand here: {reason}",
        "",
        (
            Example("letters of a declaration differ", "input X[i, i]\nY[i] = X[i, i]"),
            Example("only one index can be marked", "Y[i., j.] = softmax(X[i, j])"),
            Example("one virtual index", "H[*t, *s+1] = H[*t, *s]"),
            Example("it stands for a number here", "Y[i] = relu(1:2) X[i]"),
        ),
    ),
    Mistake(
        "FUSE123",
        DtypeError,
        "a string as a value",
        "the string {text!r} stands where a number is needed",
        "strings are file names after '=', symbols in indices, and words of options",
        (Example("'abc'", 'Y[i] = relu("abc") X[i]'),),
    ),
    Mistake(
        "FUSE125",
        OperatorError,
        "a definition that needs a value",
        "{name} has to be computed from something: {reason}",
        "",
        (Example("an initialiser's arguments are numbers", "param W[i] ~ normal(0, X)\nY[i] = W[i]"),),
    ),
    Mistake(
        "FUSE126",
        OperatorError,
        "a projection operator for a relation",
        "{name} is a relation, and its rules combine with OR, not with {operator!r}",
        "write = or <-, or brackets on the left-hand side for a number",
        (Example("R is a relation", "R(x) max= S(x, y)"),),
    ),
    Mistake(
        "FUSE127",
        ConfigError,
        "not the JSON of a program",
        "this is no program that this version can read: {reason}",
        "write it again with Program.to_json()",
        (Example("format version 99", python="Program.from_json({'format': 'fuse-program', 'version': 99})"),),
    ),
    Mistake(
        "FUSE132",
        OperatorError,
        "an argument that is not known before the run",
        "{argument} of {name} must be {kind}, known before the run, and is {got}",
        "write a number, or a constant such as K = 4",
        (
            Example(
                "k of topk must be a whole number, 0 or more, known before the run, and is 2.5",
                "Y[i] = topk(X[i], 2.5)",
            ),
            Example("known before the run, and is N[i]", "Y[i] = topk(X[i], N[i])"),
            Example("base of rope must be a number", "Y[p, d] = rope(X[p, d], p, base=B)"),
            Example("p of dropout must be a number from 0 to 1", "Y[i] = dropout(X[i], 1.5)"),
        ),
    ),
    Mistake(
        "FUSE133",
        DtypeError,
        "one_hot of numbers that are not whole",
        "one_hot marks positions, so {what} must hold whole numbers, and it holds {dtype}",
        "declare it: `input {what}[...]: int64`, or round it: one_hot(cast(..., int64))",
        (
            Example(
                "one_hot marks positions, so X must hold whole numbers, and it holds float",
                python='Program("input X[e]\\nH[e, c] = one_hot(X[e], 4)").plan()',
            ),
        ),
    ),
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
)
