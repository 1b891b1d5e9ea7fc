"""Programs that run in order along an axis, with what they are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["PROGRAMS", "Recurrent", "numbers"]

Draw = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Recurrent:
    text: str
    inputs: Callable[[Draw, int], Mapping[str, np.ndarray]]  # of a source of numbers and a length


def numbers(seed: int) -> Draw:
    source = np.random.default_rng(seed)
    return lambda *shape: source.normal(size=shape) * 0.5


def _gates(draw: Draw, letters: str, rows: int, columns: int) -> dict[str, np.ndarray]:
    return {f"W{g}": draw(rows, columns) for g in letters} | {f"U{g}": draw(rows, rows) for g in letters}


PROGRAMS: dict[str, Recurrent] = {
    "rnn": Recurrent(
        "H[i, t+1] = tanh(W[i, j] H[j, t] + V[i, k] U[k, t] + B[i])\nexport H",
        lambda draw, n: {"W": draw(3, 3), "V": draw(3, 2), "U": draw(2, n), "B": draw(3)},
    ),
    "rnn with a start": Recurrent(
        "H[i, 0] = A[i]\nH[i, t+1] = tanh(W[i, j] H[j, t] + U[i, t])\nexport H",
        lambda draw, n: {"W": draw(3, 3), "U": draw(3, n), "A": draw(3)},
    ),
    "batched": Recurrent(
        "H[b, t, i] = tanh(H[b, t-1, j] W[j, i] + X[b, t, i])\nY[b, i] = H[b, t, i]\nexport Y",
        lambda draw, n: {"W": draw(2, 2), "X": draw(4, n, 2)},
    ),
    "lstm": Recurrent(
        """
        I[t, h] = sig(Wi[h, d] X[t, d] + Ui[h, k] H[t-1, k])
        F[t, h] = sig(Wf[h, d] X[t, d] + Uf[h, k] H[t-1, k])
        G[t, h] = tanh(Wg[h, d] X[t, d] + Ug[h, k] H[t-1, k])
        O[t, h] = sig(Wo[h, d] X[t, d] + Uo[h, k] H[t-1, k])
        C[t, h] = F[t, h] C[t-1, h] + I[t, h] G[t, h]
        H[t, h] = O[t, h] tanh(C[t, h])
        export H, C
        """,
        lambda draw, n: {"X": draw(n, 2), **_gates(draw, "ifgo", 3, 2)},
    ),
    "gru": Recurrent(
        """
        R[t, h] = sig(Wr[h, d] X[t, d] + Ur[h, k] H[t-1, k])
        Z[t, h] = sig(Wz[h, d] X[t, d] + Uz[h, k] H[t-1, k])
        N[t, h] = tanh(Wn[h, d] X[t, d] + R[t, h] (Un[h, k] H[t-1, k]))
        H[t, h] = (1 - Z[t, h]) N[t, h] + Z[t, h] H[t-1, h]
        export H
        """,
        lambda draw, n: {"X": draw(n, 2), **_gates(draw, "rzn", 3, 2)},
    ),
    "state space": Recurrent(
        "S[t+1, n] = A[n] S[t, n] + Bn[n, d] X[t, d]\nY[t, d] = Cn[d, n] S[t+1, n]\nexport Y",
        lambda draw, n: {"A": draw(3), "Bn": draw(3, 2), "Cn": draw(2, 3), "X": draw(n, 2)},
    ),
    "layers": Recurrent(
        """
        S[0, d] = X[d]
        Q[l, e] = relu(W[l, e, d] S[l, d])
        S[l+1, d.] = lnorm(V[l, d, e] Q[l, e] + S[l, d])
        Y[d] = S[L, d]
        L = 2
        export Y
        """,
        lambda draw, n: {"X": draw(n + 1), "W": draw(2, 3, n + 1), "V": draw(2, n + 1, 3)},
    ),
    "fibonacci": Recurrent("axis t = 12\nF[0] = 0\nF[1] = 1\nF[t+2] = F[t+1] + F[t]\nexport F", lambda draw, n: {}),
    "window of 3": Recurrent(
        "Z[i, t] = 0.5 Z[i, t-1] - 0.2 Z[i, t-3] + U[i, t]\nexport Z", lambda draw, n: {"U": draw(2, n)}
    ),
    "backward": Recurrent(
        "axis t = 5\nB[4, s] = 1\nB[t, s] = A[s, s'] B[t+1, s'] E[t+1, s']\nexport B",
        lambda draw, n: {"A": draw(n, n), "E": draw(5, n)},
    ),
    "backward from a range": Recurrent(
        """
        G[i, t] = S[i, t]
        A[i, t] = tanh(G[i, t+1]) + U[t]
        G[j, t] = A[i, t] W[i, j]
        export G, A
        """,
        lambda draw, n: {"S": draw(2, n + 1), "U": draw(n), "W": draw(2, 2)},
    ),
    "forward and backward": Recurrent(
        """
        axis t = 4
        F[0, s] = P[s] E[0, s]
        F[t+1, s'] = F[t, s] A[s, s'] E[t+1, s']
        B[3, s] = 1
        B[t, s] = A[s, s'] B[t+1, s'] E[t+1, s']
        M[t, s] = F[t, s] B[t, s]
        export M
        """,
        lambda draw, n: {"A": draw(n, n) ** 2, "E": draw(4, n) ** 2, "P": draw(n) ** 2},
    ),
    "kalman means": Recurrent(
        """
        K[t] = P[t] / (P[t] + 0.5)
        M[t+1] = A[0] (M[t] + K[t] (Z[t] - M[t]))
        P[t+1] = A[0]**2 (1 - K[t]) P[t] + 0.1
        P[0] = 1
        export M, P
        """,
        lambda draw, n: {"A": draw(1), "Z": draw(n)},
    ),
    "viterbi": Recurrent(
        """
        V[0, s] max= X[0, s]
        V[t+1, s'] max= V[t, s] + Tr[s, s'] + X[t+1, s']
        export V
        """,
        lambda draw, n: {"X": draw(5, n), "Tr": draw(n, n)},
    ),
    "viterbi's path": Recurrent(
        """
        axis t = 5
        V[0, s] max= X[0, s]
        V[t+1, s'] max= V[t, s] + Tr[s, s'] + X[t+1, s']
        Back[t, s'] = argmax(V[t, s] + Tr[s, s'], axis=s)
        P[4] = argmax(V[4, s], axis=s)
        P[t] = Back[t, P[t+1]]
        export P
        """,
        lambda draw, n: {"X": draw(5, n), "Tr": draw(n, n)},
    ),
    "edit distance": Recurrent(
        """
        axis i = 5, j = 4
        D[0, 0] = 0
        D[i+1, 0] min= D[i, 0] + 1
        D[0, j+1] min= D[0, j] + 1
        D[i+1, j+1] min= D[i, j+1] + 1
        D[i+1, j+1] min= D[i+1, j] + 1
        D[i+1, j+1] min= D[i, j] + case { A[i] == B[j] -> 0; default -> 1 }
        export D
        """,
        lambda draw, n: {"A": np.sign(draw(4)), "B": np.sign(draw(3))},
    ),
    "grid": Recurrent(
        "D[i+1, j+1] = 0.5 D[i, j+1] + 0.3 D[i+1, j] + X[i, j]\nexport D", lambda draw, n: {"X": draw(3, n)}
    ),
    "position as number": Recurrent(
        "S[0] = 2\nS[t+1] = S[t] + t X[t] + X[t-1]\nexport S", lambda draw, n: {"X": draw(n)}
    ),
    "first position read by all": Recurrent(
        "axis t = 6\nS[0] = X[0]\nS[1] = 2 S[0]\nS[t+2] = S[t+1] - S[t] + S[0]\nexport S",
        lambda draw, n: {"X": draw(n)},
    ),
    "offsets beside": Recurrent(
        "axis t = 4\nS[i, 0] = X[i]\nS[i, t+1] = sum(dx: K[dx] S[i+dx, t]) + X[i]\nexport S",
        lambda draw, n: {"X": draw(n + 2), "K": draw(2)},
    ),
    "unequal starts": Recurrent(
        "Y[t] = X[t] Z[t-1]\nZ[t] = Y[t] + 1\nQ[t+2] = Y[t] + Q[t+1] + Z[t+1]\nexport Y, Z, Q",
        lambda draw, n: {"X": draw(n + 1)},
    ),
    "written ahead": Recurrent(
        "Q[0] = 1\nQ[1] = 2\nY[t] = X[t] Q[t]\nQ[t+2] = Y[t+1] + Q[t+1]\nexport Y, Q",
        lambda draw, n: {"X": draw(n + 1)},
    ),
    "running maximum": Recurrent(
        "M[t] max= X[t]\nM[t] max= M[t-1] - 0.1 X[t]\nexport M", lambda draw, n: {"X": draw(n)}
    ),
    "average": Recurrent(
        "axis t = 3\nM[0, 0] = 1\nM[t, j] avg= M[t-1, k] W[k, j]\nexport M", lambda draw, n: {"W": draw(n, n)}
    ),
    "product": Recurrent("M[t+1] prod= M[t] X[t]\nexport M", lambda draw, n: {"X": draw(n)}),
    "two that alternate": Recurrent(
        "A[t+1] = B[t] + 1\nB[t+1] = A[t] X[t]\nexport A, B", lambda draw, n: {"X": draw(n)}
    ),
    "ends at different positions": Recurrent(
        """
        axis t = 4
        A[0] = X[0]
        A[t+2] = 0.4 A[t+1] - 0.4 A[t] + 0.1 B[t+1]
        B[t] = 0.7 A[t-1] + X[t]
        C[0] = X[1]
        C[t+1] = 0.5 B[t-2] - 0.5 B[t+1] + t
        export A, B, C
        """,
        lambda draw, n: {"X": draw(4)},
    ),
    "case": Recurrent(
        "S[t+1] = case { t < 2 -> S[t] + X[t]; default -> 2 S[t] }\nexport S", lambda draw, n: {"X": draw(n)}
    ),
}
