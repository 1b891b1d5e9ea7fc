"""Rows of the table of mistakes that analysis and planning find; see `fuse_ref.mistakes` for the code ranges."""

from __future__ import annotations

from fuse_ref.errors import AxisError, ConfigError, DtypeError, SafetyError, StratificationError
from fuse_ref.mistakes.row import Example, Mistake

__all__ = ["ANALYSIS_MISTAKES"]

ANALYSIS_MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "FUSE150",
        AxisError,
        "Two sizes for one axis",
        "axis {axis} is {actual} in {tensor} but {expected} {other}",
        "a size of 1 is not repeated: write B[i, 0] to use one position of an axis",
        (
            Example(
                "axis k is 32 in Key (line 2) but 64 in Query (line 1)",
                python=(
                    'Program("input Query[p, k]\\ninput Key[q, k]\\nY[p, q] = Query[p, k] Key[q, k]")'
                    '.compile(backend="numpy")(Query=np.ones((2, 64)), Key=np.ones((3, 32)))'
                ),
            ),
            Example(
                "axis d is 1 in X (line 2) but 4 by axis d = 4",
                python=('Program("axis d = 4\\nY = X[d] X[d]\\nexport Y").compile(backend="numpy")(X=np.ones(1))'),
            ),
        ),
    ),
    Mistake(
        "FUSE151",
        AxisError,
        "Wrong number of axes",
        "{tensor} has {expected} here, and an array of shape {shape} was given",
        "",
        (
            Example(
                "X has 2 axes [b, d] here, and an array of shape (3,) was given",
                python='Program("input X[b, d]\\nY[b] = X[b, d]").compile(backend="numpy")(X=np.zeros(3))',
            ),
        ),
    ),
    Mistake(
        "FUSE152",
        AxisError,
        "An index without a size",
        "nothing gives the size of index {variable!r}: no tensor that is given has it alone",
        "add a line `axis {letter} = ...`",
        (
            Example("nothing gives the size of index 'j'", python='Program("Y[i, j] = X[i]").plan()'),
            Example("it does not change a value that is there", python='Program("X[i] = relu(X[i])").plan()'),
        ),
    ),
    Mistake(
        "FUSE153",
        AxisError,
        "A read that never fits",
        "{read} fits at no position of {variable!r}: {tensor} has {have} there, the first read needs {need}",
        "",
        (
            Example(
                "has 2 there, the first read needs 3",
                python=('Program("F = [1, 1, 1]\\nX = [1, 2]\\nY[x] = F[dx] X[x+dx]\\nexport Y").plan()'),
            ),
        ),
    ),
    Mistake(
        "FUSE154",
        AxisError,
        "A position beyond the end",
        "{read} reads position {position}, but {tensor} has length {have} there",
        "positions count from 0",
        (
            Example(
                "X[3] reads position 3, but X has length 2 there",
                program="X = [1, 2]\nY = X[3]",
            ),
        ),
    ),
    Mistake(
        "FUSE155",
        AxisError,
        "A size that the program fixes differently",
        "sizes={{{name!r}: {size}}}, but axis {axis} is {expected} {other}",
        "sizes= adds a line `axis {name} = {size}`; it does not replace one",
        (
            Example(
                "sizes={'d': 3}, but axis d is 4 by axis d = 4 (line 1)",
                python='Program("axis d = 4\\nY = X[d]").plan({"d": 3})',
            ),
        ),
    ),
    Mistake(
        "FUSE156",
        AxisError,
        "A size for an axis that the program lacks",
        "no index {name!r} is read alone in the program, so {what}={{{name!r}: ...}} names no axis",
        "",
        (Example("no index 'e' is read alone", python='Program("Y = X[d]").plan({"e": 3})'),),
    ),
    Mistake(
        "FUSE157",
        AxisError,
        "Lengths too different along a stepped axis",
        "axis {axis} is {actual} in {tensor} but {expected} {other}; "
        "offsets reach {reach}, so lengths along it may differ by at most {reach}",
        "",
        (
            Example(
                "axis l is 1 in U (line 1) but 3 in V (line 2)",
                python=('Program("U[l] = [1]\\nV[l] = [1, 2, 3]\\nX[l+1] = U[l] V[l] X[l]\\nexport X").plan()'),
            ),
        ),
    ),
    Mistake(
        "FUSE158",
        AxisError,
        "An axis too short for what is written",
        "axis {axis} is {actual} in {tensor}, but facts and constant indices need {expected} positions",
        "",
        (
            Example(
                "axis x is 2 in B (line 2), but facts and constant indices need 6 positions",
                python='Program("A[5] = 1\\nY = A[x] B[x]").compile(backend="numpy")(B=np.ones(2))',
            ),
        ),
    ),
    Mistake(
        "FUSE159",
        AxisError,
        "Slices of different lengths",
        "slices of one equation pair in order and have equal lengths, but {first} has {have} and {second} has {need}",
        "",
        (
            Example(
                "but X[0:2] has 2 and Z[0:3] has 3",
                python='Program("X = [1, 2, 3]\\nZ = [1, 2, 3]\\nY = X[0:2] Z[0:3]").plan()',
            ),
        ),
    ),
    Mistake(
        "FUSE160",
        StratificationError,
        "Negation in a cycle",
        "{tensor} depends on its own negation: {cycle}",
        "a rule may deny only what is derived before it",
        (
            Example(
                "Win depends on its own negation: Win <- not Win",
                program="Move(A, B)\nWin(x) <- Move(x, y), not Win(y)",
            ),
        ),
    ),
    Mistake(
        "FUSE161",
        SafetyError,
        "A variable that nothing binds",
        "variable {variable!r} {where} stands in no positive atom and no numeric reference of the body",
        "add an atom that says which values {variable} has",
        (
            Example(
                "variable 'y' of the head stands in no positive atom",
                program="P(A)\nQ(x, y) <- P(x)",
            ),
            Example("variable 'y' below `not` stands in no", program="P(A)\nR(A, B)\nQ(x) <- P(x), not R(x, y)"),
        ),
    ),
    Mistake(
        "FUSE162",
        ConfigError,
        "A cycle in single mode",
        'mode="single" runs no fixpoint, and {tensors} need each other: {reason}',
        'use mode="auto" or mode="fixpoint"',
        (
            Example(
                'mode="single" runs no fixpoint, and R need each other',
                python=(
                    'Program("R[i] = 0.5 M[i, j] R[j] + 1\\nexport R")'
                    '.compile(backend="numpy", config=ExecutionConfig(mode="single"))(M=np.eye(2))'
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE163",
        DtypeError,
        "A target that is no class",
        "the target of cross_entropy lacks the class index {axis!r}, so it must hold integer classes, "
        "and {target} is {dtype}",
        "declare it: `input {target}[...]: int64`, or give probabilities with the index {axis}",
        (
            Example(
                "the target of cross_entropy lacks the class index 'c'",
                python='Program("input T[e]\\nL = cross_entropy(X[e, c], T[e])").plan()',
            ),
        ),
    ),
    Mistake(
        "FUSE164",
        AxisError,
        "Two computed lengths for one axis",
        "axis {axis} is {actual} in {tensor} but {expected} in {other}",
        "add a line `axis {letter} = ...` if one of them should be cut or filled with zeros",
        (
            Example(
                "axis y is 4 in Q (line 3) but 3 in P (line 2)",
                python=(
                    'Program("A = [1, 2, 3, 4, 5, 6]\\nP[x/2] = A[x]\\nQ[y] = A[y+2]\\n'
                    'Y = P[y] Q[y]\\nexport Y").plan()'
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE165",
        AxisError,
        "A recurrence backwards without a length",
        "{tensor} runs backwards along {variable!r}, and nothing says where it starts",
        "add a line `axis {letter} = ...` or a base case at a constant position",
        (
            Example(
                "B runs backwards along 't'",
                python='Program("input U[t]\\nB[t] = 0.5 B[t+1] + U[t]").plan()',
            ),
        ),
    ),
    Mistake(
        "FUSE166",
        AxisError,
        "A gathered axis without a size",
        "nothing gives the size of axis {position} of {tensor}: it is written only at the positions that {index} holds",
        "name it and say how long it is: `axis n = ...` and a line that has {tensor}[{letters}], "
        "such as `{tensor}[{letters}] += 0`",
        (
            Example(
                "nothing gives the size of axis 0 of Y: it is written only at the positions that X[p] holds",
                python='Program("input X[p]: int64\\nY[X[p], d] = Z[p, d]").plan()',
            ),
        ),
    ),
    Mistake(
        "FUSE167",
        DtypeError,
        "An index that holds no whole numbers",
        "{index} stands as an index of {source} and holds {holds}; an index is a tensor of whole numbers",
        "declare it: `input {index}[...]: int64`",
        (
            Example(
                "X stands as an index of E and holds float numbers",
                python='Program("input X[p]\\nY[p, d] = E[X[p], d]").plan()',
            ),
            Example(
                "Z stands as an index of E and holds float numbers",
                python='Program("Z[p] = floor(X[p])\\nY[p, d] = E[Z[p], d]").plan()',
            ),
            Example(
                "W stands as an index of E and holds learned numbers",
                python='Program("param W[p]\\naxis p = 3\\nY[p, d] = E[W[p], d]").plan()',
            ),
        ),
    ),
    Mistake(
        "FUSE168",
        DtypeError,
        "Symbols that are put in order",
        "`{operator}` compares positions, and {variable} stands for symbols such as {symbol!r}",
        "`==` and `!=` compare symbols; a tensor can say their order: `Rank[x] < Rank[y]`",
        (
            Example(
                "`<` compares positions, and x stands for symbols such as 'Ann'",
                program="Parent(Ann, Bob)\nQ(x, y) <- Parent(x, y), x < y",
            ),
            Example(
                "`<` compares positions, and x stands for symbols such as 'Ann'",
                python='Program("input P(x, y)\\nQ(x, y) <- P(x, y), x < y").compile()(P=[("Ann", "Bob")])',
            ),
        ),
    ),
    Mistake(
        "FUSE170",
        AxisError,
        "The largest of nothing",
        "{name} gives a position along {axis!r}, which has none",
        "",
        (
            Example(
                "argmax gives a position along 'j', which has none",
                python='Program("Y[i] = argmax(X[i, j])").compile(backend="numpy")(X=np.zeros((2, 0)))',
            ),
        ),
    ),
    Mistake(
        "FUSE171",
        AxisError,
        "Pairs along an axis of odd length",
        "{name} turns positions in pairs, and axis {axis} has {actual} of them",
        "give it an even size, or turn a slice: rope(X[p, 0:4], p)",
        (
            Example(
                "rope turns positions in pairs, and axis d has 3 of them",
                python='Program("Y[p, d] = rope(X[p, d], p)").compile(backend="numpy")(X=np.zeros((2, 3)))',
            ),
        ),
    ),
    Mistake(
        "FUSE172",
        AxisError,
        "Another size than a function makes",
        "axis {axis} has {actual} positions, but {name} makes {expected}{why}",
        "",
        (
            Example(
                "axis c has 3 positions, but one_hot makes 4",
                python=(
                    'Program("input X[e]: int64\\nH[e, c] = one_hot(X[e], 4) W[c]").compile(backend="numpy")'
                    "(X=[0, 1], W=[1.0, 2.0, 3.0])"
                ),
            ),
            Example(
                "axis q has 3 positions, but causal_mask makes 2 there, as many as axis p has",
                python='Program("Y[p, q] = X[p, q] causal_mask()").compile(backend="numpy")(X=np.zeros((2, 3)))',
            ),
        ),
    ),
    Mistake(
        "FUSE173",
        AxisError,
        "A stream that needs what is not there yet",
        "the stream {name} cannot be computed position by position: {reason}",
        "a stream reads itself at *t, or a fixed number of positions before; with an ordinary index in place of *t the whole axis is stored",
        (
            Example("it reads its own future", python='Program("S[*t] = 0.5 S[*t+1] + U[t]").plan()'),
            Example("S[*t+1] needs S[k]", python='Program("S[*t+1] = sum(k: S[k]) + U[t]").plan()'),
            Example("S[0] lies ever farther back", python='Program("S[*t+1] = S[*t] + S[0] + U[t]").plan()'),
        ),
    ),
)
