"""Catalogue: models as people write them: convolution, attention, graphs, factors, kernels, probability, cells."""

from __future__ import annotations

from tests.agreement.case import Case, given

__all__ = ["MODEL_CASES"]

_BD = ({"b": 3, "d": 4, "h": 2, "c": 5}, {"b": 2, "d": 3, "h": 4, "c": 6})
_PQ = ({"p": 3, "q": 3, "k": 4, "v": 2, "h": 2}, {"p": 5, "q": 5, "k": 2, "v": 3, "h": 3})
_N = ({"n": 4, "d": 3, "e": 2}, {"n": 5, "d": 2, "e": 4})

_IMAGES: tuple[Case, ...] = (
    Case(
        "depthwise_separable",
        "Deep[b, c, x] = F[c, dx] X[b, c, x+dx]\nY[b, o, x] = relu(P[o, c] Deep[b, c, x])\nexport Y",
        (given("F", "c f"), given("X", "b c n"), given("P", "o c")),
        ({"b": 2, "c": 3, "f": 2, "n": 6, "o": 4}, {"b": 3, "c": 2, "f": 3, "n": 8, "o": 5}),
    ),
    Case(
        "gated_causal_convolution",
        "A[b, t] = F[k] X[b, t-2*k]\nG[b, t] = H[k] X[b, t-2*k]\nY[b, t] = tanh(A[b, t]) sig(G[b, t]) + X[b, t]\nexport Y",
        (given("X", "b t"), given("F", "k"), given("H", "g")),
        ({"k": 2, "g": 2, "b": 2, "t": 6}, {"k": 3, "g": 2, "b": 3, "t": 8}),
        one="b",
    ),
    Case(
        "transposed_convolution",
        "axis o = 9\nY[2*x+dx] = F[dx] X[x]\nZ[o] = relu(Y[o])\nexport Z",
        (given("F", "f"), given("X", "n")),
        ({"f": 3, "n": 4}, {"f": 2, "n": 3}),
        one="f",
    ),
    Case(
        "global_pooling_and_gates",
        "Pool[b, c] avg= X[b, c, x, y]\nGate[b, c] = sig(U[c, r] relu(W[r, c'] Pool[b, c']))\n"
        "Y[b, c, x, y] = X[b, c, x, y] Gate[b, c]\nexport Y",
        (given("X", "b c w h"), given("U", "c r"), given("W", "r c")),
        ({"b": 2, "c": 3, "w": 2, "h": 4, "r": 2}, {"b": 3, "c": 4, "w": 3, "h": 2, "r": 2}),
    ),
    Case(
        "overlapping_pooling",
        "Y[b, x] max= X[b, 2*x+dx] + K[dx]\nZ[b, x] avg= X[b, 2*x+dx] K[dx]\nexport Y, Z",
        (given("X", "b n"), given("K", "f")),
        ({"b": 2, "n": 7, "f": 3}, {"b": 3, "n": 9, "f": 2}),
    ),
    Case(
        "group_normalisation",
        "Mean[b, c/2] avg= X[b, c, x]\nVar[b, c/2] avg= (X[b, c, x] - Mean[b, c/2])**2\n"
        "Y[b, c, x] = (X[b, c, x] - Mean[b, c/2]) / sqrt(Var[b, c/2] + 0.1) G[c]\nexport Y",
        (given("X", "b c n"), given("G", "c")),
        ({"b": 2, "c": 4, "n": 3}, {"b": 3, "c": 5, "n": 2}),
        one="b",
        relaxed=10,
    ),
    Case(
        "edges_of_an_image",
        "K[dx, dy] = [[1, 0, -1], [2, 0, -2], [1, 0, -1]]\nH[x, y] = K[dx, dy] X[x+dx, y+dy]\n"
        "V[x, y] = K[dy, dx] X[x+dx, y+dy]\nY[x, y] = sqrt(H[x, y]**2 + V[x, y]**2 + 0.01)\nexport Y",
        (given("X", "w h"),),
        ({"w": 5, "h": 4}, {"w": 6, "h": 7}),
        one="-",
    ),
    Case(
        "heat_equation",
        "U1[x] = X[x] + 0.1 (X[x-1] - 2 X[x] + X[x+1])\nU2[x] = U1[x] + 0.1 (U1[x-1] - 2 U1[x] + U1[x+1])\nexport U2",
        (given("X", "x"),),
        ({"x": 6}, {"x": 9}),
        one="-",
    ),
    Case(
        "game_of_life",
        "input X(x, y)\nK[dx, dy] = [[1, 1, 1], [1, 1, 1], [1, 1, 1]]\nAround[x, y] = K[dx, dy] X[x+dx-1, y+dy-1] + 0 X[x, y]\n"
        "Y[x, y] = case { Around[x, y] == 3 -> 1; Around[x, y] == 4 -> X[x, y]; default -> 0 }\nexport Y",
        (given("X", "x y", kind="relation"),),
        ({"x": 4, "y": 5}, {"x": 6, "y": 5}),
        one="-",
        differentiable=False,
    ),
)

_ATTENTION: tuple[Case, ...] = (
    Case(
        "causal_attention",
        "S[p, q] = Q[p, k] K[q, k] / 2\nC[p, q.] = masked_softmax(S[p, q], q <= p)\nY[p, v] = C[p, q] V[q, v]\nexport Y",
        (given("Q", "p k"), given("K", "p k"), given("V", "p v")),
        _PQ,
    ),
    Case(
        "attention_with_a_slope",
        "C[h, p, q.] = softmax(Q[h, p, k] K[h, q, k] / 2 - M[h] (p - q) (q <= p) - 1000 (q > p))\n"
        "Y[h, p, v] = C[h, p, q] V[h, q, v]\nexport Y",
        (given("Q", "h p k"), given("K", "h p k"), given("V", "h p v"), given("M", "h", 0.1, 1.0)),
        _PQ,
    ),
    Case(
        "attention_with_relative_positions",
        "C[p, q.] = softmax(Q[p, k] K[q, k] + B[p-q+4])\nY[p, v] = C[p, q] V[q, v]\nexport Y",
        (given("Q", "p k"), given("K", "q k"), given("B", "n"), given("V", "q v")),
        ({"p": 3, "q": 4, "k": 2, "v": 2, "n": 9}, {"p": 4, "q": 5, "k": 3, "v": 2, "n": 9}),
    ),
    Case(
        "local_attention",
        "S[p, q] = Q[p, k] K[q, k]\nC[p, q.] = masked_softmax(S[p, q], abs(p - q) <= 1)\nY[p, v] = C[p, q] V[q, v]\nexport Y",
        (given("Q", "p k"), given("K", "p k"), given("V", "p v")),
        _PQ,
    ),
    Case(
        "linear_attention",
        "KV[k, v] = exp(K[q, k]) V[q, v]\nNorm[p] = exp(Q[p, k]) sum(q: exp(K[q, k]))\n"
        "Y[p, v] = exp(Q[p, k]) KV[k, v] / Norm[p]\nexport Y",
        (given("Q", "p k", -1, 1), given("K", "q k", -1, 1), given("V", "q v")),
        ({"p": 3, "q": 4, "k": 2, "v": 3}, {"p": 2, "q": 5, "k": 3, "v": 2}),
    ),
    Case(
        "multi_query_attention",
        "C[h, p, q.] = softmax(Q[h, p, k] K[q, k] / sqrt(4))\nA[h, p, v] = C[h, p, q] V[q, v]\n"
        "Y[p, d] = O[d, h, v] A[h, p, v]\nexport Y",
        (given("Q", "h p k"), given("K", "q k"), given("V", "q v"), given("O", "d h v")),
        ({"h": 2, "p": 3, "q": 4, "k": 2, "v": 3, "d": 5}, {"h": 3, "p": 2, "q": 5, "k": 4, "v": 2, "d": 3}),
    ),
    Case(
        "rotated_attention",
        "QR[p, k] = rope(Q[p, k], p)\nKR[q, k] = rope(K[q, k], q)\nC[p, q.] = softmax(QR[p, k] KR[q, k])\n"
        "Y[p, v] = C[p, q] V[q, v]\nexport Y",
        (given("Q", "p k"), given("K", "q k"), given("V", "q v")),
        ({"p": 3, "q": 4, "k": 4, "v": 2}, {"p": 5, "q": 3, "k": 2, "v": 3}),
    ),
    Case(
        "gated_feed_forward",
        "H[b, h] = silu(W1[h, d] X[b, d]) (W3[h, d] X[b, d])\nY[b, d.] = rmsnorm(W2[d, h] H[b, h] + X[b, d], eps=0.1) G[d]\nexport Y",
        (given("X", "b d"), given("W1", "h d"), given("W3", "h d"), given("W2", "d h"), given("G", "d")),
        _BD,
    ),
    Case(
        "embeddings_and_tied_weights",
        "input T[b, p]: int64\nX[b, p, d] = E[T[b, p], d] + P[p, d]\nLogits[b, p, t] = X[b, p, d] E[t, d]\n"
        "Y[b, p, t.] = log_softmax(Logits[b, p, t])\nexport Y",
        (given("T", "b p", kind="classes", classes="t"), given("E", "t d"), given("P", "p d")),
        ({"b": 2, "p": 3, "t": 5, "d": 4}, {"b": 3, "p": 2, "t": 6, "d": 3}),
    ),
    Case(
        "top_two_experts",
        "Gate[b, e.] = softmax(G[e, d] X[b, d])\nKept[b, e.] = topk(Gate[b, e], 2)\n"
        "Share[b, e] = Kept[b, e] / sum(f: Kept[b, f])\nY[b, o] = Share[b, e] gelu(W[e, o, d] X[b, d])\nexport Y",
        (given("X", "b d"), given("G", "e d"), given("W", "e o d")),
        ({"b": 2, "d": 3, "e": 4, "o": 2}, {"b": 3, "d": 2, "e": 5, "o": 3}),
    ),
)

_GRAPHS: tuple[Case, ...] = (
    Case(
        "graph_convolution",
        "Deg[n] = A[n, m] + 1\nH[n, e] = relu((A[n, m] X[m, d] / sqrt(Deg[n] Deg[m]) + X[n, d] / Deg[n]) W[d, e])\nexport H",
        (given("A", "n n", 0, 1), given("X", "n d"), given("W", "d e")),
        _N,
    ),
    Case(
        "graph_largest_and_mean",
        "input Edge(n, m)\nBig[n, d] max= Edge(n, m) X[m, d]\nBig[n, d] max= X[n, d]\n"
        "Mean[n, d] avg= Edge(n, m) X[m, d]\nexport Big, Mean",
        (given("Edge", "n n", kind="relation"), given("X", "n d")),
        _N,
    ),
    Case(
        "graph_attention",
        "input Edge(n, m)\nZ[n, e] = X[n, d] W[d, e]\nL[n, m] = leaky_relu(Z[n, e] U[e] + Z[m, e] V[e], 0.2)\n"
        "C[n, m.] = masked_softmax(L[n, m], Edge(n, m))\nY[n, e] = C[n, m] Z[m, e]\nexport Y",
        (given("Edge", "n n", kind="relation"), given("X", "n d"), given("W", "d e"), given("U", "e"), given("V", "e")),
        _N,
    ),
    Case(
        "ranks_of_pages_in_two_steps",
        "T[n, m] = A[n, m] / sum(l: A[l, m])\nR1[n] = 0.85 T[n, m] X[m] + 0.15\nR2[n] = 0.85 T[n, m] R1[m] + 0.15\nexport R2",
        (given("A", "n n", 0.1, 1), given("X", "n", 0, 1)),
        _N,
    ),
    Case(
        "shortest_paths_in_two_steps",
        "input Edge(x, y)\nD1[y] min= D[x] + W[x, y] (Edge(x, y))\nD1[y] min= D[y]\nD2[y] min= Edge(x, y), D1[x] + W[x, y]\n"
        "D2[y] min= D1[y]\nexport D2",
        (given("Edge", "x x", kind="relation"), given("D", "x", 0, 2), given("W", "x x", 0.1, 1)),
        ({"x": 3}, {"x": 5}),
    ),
)

_FACTORS: tuple[Case, ...] = (
    Case(
        "knowledge_scores",
        "TransE[s, o] = -sum(d: abs(X[s, d] + R[d] - X[o, d]))\nDistMult[s, o] = X[s, d] R[d] X[o, d]\n"
        "Rescal[s, o] = X[s, d] M[d, e] X[o, e]\nexport TransE, DistMult, Rescal",
        (given("X", "n d"), given("R", "d"), given("M", "d d")),
        ({"n": 3, "d": 2}, {"n": 4, "d": 5}),
    ),
    Case(
        "neural_tensor_layer",
        "Y[b, k] = tanh(X[b, d] W[k, d, e] Z[b, e] + V[k, d] X[b, d] + C[k])",
        (given("X", "b d"), given("W", "k d e"), given("Z", "b e"), given("V", "k d"), given("C", "k")),
        ({"b": 2, "d": 3, "k": 4, "e": 2}, {"b": 3, "d": 2, "k": 2, "e": 4}),
    ),
    Case(
        "matrix_factors_with_biases",
        "P[u, i] = A[u, r] B[i, r] + Bu[u] + Bi[i] + M\nLoss = (K[u, i] (D[u, i] - P[u, i])**2) / sum(u, i: K[u, i])\nexport P, Loss",
        (
            given("A", "u r"),
            given("B", "i r"),
            given("Bu", "u"),
            given("Bi", "i"),
            given("M"),
            given("K", "u i", 0.1, 1.0),
            given("D", "u i"),
        ),
        ({"u": 2, "i": 3, "r": 2}, {"u": 4, "i": 2, "r": 3}),
        relaxed=10,
    ),
    Case(
        "tensor_train",
        "Y[i, j, k, l] = A[i, r] B[r, j, s] C[s, k, t] D[t, l]",
        (given("A", "i r"), given("B", "r j s"), given("C", "s k t"), given("D", "t l")),
        (
            {"i": 2, "j": 3, "k": 2, "l": 3, "r": 2, "s": 3, "t": 2},
            {"i": 3, "j": 2, "k": 4, "l": 2, "r": 3, "s": 2, "t": 3},
        ),
    ),
    Case(
        "covariance_and_correlation",
        "Mean[d] avg= X[n, d]\nCov[d, e] avg= (X[n, d] - Mean[d]) (X[n, e] - Mean[e])\n"
        "Cor[d, e] = Cov[d, e] / sqrt((Cov[d, d] + 0.1) (Cov[e, e] + 0.1))\nexport Cov, Cor",
        (given("X", "n d"),),
        _N,
        relaxed=10,
    ),
    Case(
        "determinants_and_cross_products",
        "Eps[i, j, k] = [[[0, 0, 0], [0, 0, 1], [0, -1, 0]], [[0, 0, -1], [0, 0, 0], [1, 0, 0]], [[0, 1, 0], [-1, 0, 0], [0, 0, 0]]]\n"
        "Cross[b, i] = Eps[i, j, k] U[b, j] V[b, k]\nDet[b] = Eps[i, j, k] M[b, 0, i] M[b, 1, j] M[b, 2, k]\nexport Cross, Det",
        (given("U", "b j"), given("V", "b j"), given("M", "b m j")),
        ({"b": 2, "j": 3, "m": 3}, {"b": 4, "j": 3, "m": 3}),
    ),
    Case(
        "cosine_transform",
        "N = 4\nY[b, k] = X[b, n] cos(3.14159265 (n + 0.5) k / N)\naxis k = 4\nexport Y",
        (given("X", "b n"),),
        ({"b": 2, "n": 4}, {"b": 3, "n": 4}),
        relaxed=10,
    ),
    Case(
        "polynomial_features",
        "Y[b, i] = X[b]**i C[i]\nZ[b] = Y[b, i]\nexport Y, Z",
        (given("X", "b", 0.2, 1.5), given("C", "i")),
        ({"b": 3, "i": 4}, {"b": 2, "i": 5}),
    ),
)

_KERNELS: tuple[Case, ...] = (
    Case(
        "three_kernels",
        "Gauss[i, j] = exp(-(X[i, d] - X[j, d])**2 / 2)\nLaplace[i, j] = exp(-sum(d: abs(X[i, d] - X[j, d])))\n"
        "Poly[i, j] = (X[i, d] X[j, d] + 1)**2\nexport Gauss, Laplace, Poly",
        (given("X", "n d", -1, 1),),
        _N,
    ),
    Case(
        "radial_network",
        "H[b, c] = exp(-(X[b, d] - M[c, d])**2 / (2 S[c]**2))\nY[b] = W[c] H[b, c] / sum(k: H[b, k])\nexport Y",
        (given("X", "b d", -1, 1), given("M", "c d", -1, 1), given("S", "c", 0.7, 2.0), given("W", "c")),
        _BD,
    ),
    Case(
        "nearest_centres",
        "D[b, c] = (X[b, d] - M[c, d])**2\nA[b] = argmax(-D[b, c], axis=c)\nBest[b] min= D[b, c]\nexport A, Best",
        (given("X", "b d"), given("M", "c d")),
        _BD,
        differentiable=False,
    ),
)

_PROBABILITY: tuple[Case, ...] = (
    Case(
        "forward_algorithm_in_three_steps",
        "A0[s] = P[s] B[s, 0]\nA1[s'] = A0[s] T[s, s'] B[s', 1]\nA2[s'] = A1[s] T[s, s'] B[s', 2]\nL = log(sum(s: A2[s]))\nexport A2, L",
        (given("P", "s", 0.1, 1), given("T", "s s", 0.1, 1), given("B", "s t", 0.1, 1)),
        ({"s": 2, "t": 3}, {"s": 4, "t": 5}),
    ),
    Case(
        "best_path_in_three_steps",
        "V0[s] = log(P[s]) + log(B[s, 0])\nV1[s'] max= V0[s] + log(T[s, s']) + log(B[s', 1])\n"
        "V2[s'] max= V1[s] + log(T[s, s']) + log(B[s', 2])\nY max= V2[s]\nexport V2, Y",
        (given("P", "s", 0.1, 1), given("T", "s s", 0.1, 1), given("B", "s t", 0.1, 1)),
        ({"s": 2, "t": 3}, {"s": 4, "t": 5}),
    ),
    Case(
        "naive_bayes",
        "L[b, c] = log(P[c]) + sum(d: X[b, d] log(W[c, d]) + (1 - X[b, d]) log(1 - W[c, d]))\nY[b, c.] = softmax(L[b, c])\nexport Y",
        (given("P", "c", 0.1, 1), given("X", "b d", 0, 1), given("W", "c d", 0.1, 0.9)),
        _BD,
    ),
    Case(
        "mixture_of_gaussians",
        "L[b, c] = log(P[c]) - sum(d: (X[b, d] - M[c, d])**2 / (2 V[c, d]) + log(V[c, d]) / 2)\nR[b, c.] = softmax(L[b, c])\n"
        "N[c] = sum(b: R[b, c])\nNew[c, d] = R[b, c] X[b, d] / N[c]\nexport R, New",
        (given("P", "c", 0.1, 1), given("X", "b d"), given("M", "c d"), given("V", "c d", 0.5, 2)),
        _BD,
    ),
    Case(
        "variational_autoencoder",
        "Mu[b, h] = WM[h, d] X[b, d]\nLv[b, h] = tanh(WV[h, d] X[b, d])\nZ[b, h] = Mu[b, h] + exp(Lv[b, h] / 2) Noise[b, h]\n"
        "P[b, d] = sig(WD[d, h] Z[b, h])\nFit = avg(b: sum(d: (P[b, d] - X[b, d])**2))\n"
        "KL = avg(b: -sum(h: 1 + Lv[b, h] - Mu[b, h]**2 - exp(Lv[b, h])) / 2)\nLoss = Fit + KL\nexport P, Loss",
        (given("X", "b d", 0, 1), given("WM", "h d"), given("WV", "h d"), given("WD", "d h"), given("Noise", "b h")),
        _BD,
    ),
    Case(
        "sprinkler",
        "PR = [0.8, 0.2]\nPS[r, s] = [[0.6, 0.4], [0.99, 0.01]]\nPG[s, r, g] = [[[1, 0], [0.2, 0.8]], [[0.1, 0.9], [0.01, 0.99]]]\n"
        "Joint[r] = PR[r] PS[r, s] PG[s, r, g] Seen[g]\nY[r] = Joint[r] / Joint[q]\nexport Y",
        (given("Seen", "g", 0.1, 1),),
        ({"g": 2}, {"g": 2}),
        one="-",
    ),
)

_LOSSES: tuple[Case, ...] = (
    Case(
        "losses",
        "Hinge = avg(b: relu(1 - T[b] P[b]))\nHuber = avg(b: case { abs(P[b] - T[b]) < 1 -> (P[b] - T[b])**2 / 2; default -> abs(P[b] - T[b]) - 0.5 })\n"
        "Focal = -sum(b: (1 - sig(P[b]))**2 log(sig(P[b])))\nSmooth = sum(b: softplus(-T[b] P[b]))\nexport Hinge, Huber, Focal, Smooth",
        (given("P", "b"), given("T", "b")),
        _BD,
    ),
    Case(
        "contrast_of_pairs",
        "S[i, j] = X[i, d] Z[j, d] / 0.5\nLoss = -avg(i: log_softmax(S[i, i'], axis=i') (i == i') + 0)\nT = sum(i: relu(S[i, 0] - S[i, i] + 0.2))\nexport Loss, T",
        (given("X", "n d", -1, 1), given("Z", "n d", -1, 1)),
        _N,
    ),
)

_CELLS: tuple[Case, ...] = (
    Case(
        "lstm_step",
        "I[b, h] = sig(WI[h, d] X[b, d] + UI[h, h'] H[b, h'])\nF[b, h] = sig(WF[h, d] X[b, d] + UF[h, h'] H[b, h'] + 1)\n"
        "G[b, h] = tanh(WG[h, d] X[b, d] + UG[h, h'] H[b, h'])\nNew[b, h] = F[b, h] C[b, h] + I[b, h] G[b, h]\n"
        "Out[b, h] = tanh(New[b, h])\nexport New, Out",
        (
            given("X", "b d"),
            given("H", "b h"),
            given("C", "b h"),
            *(given(f"W{gate}", "h d") for gate in "IFG"),
            *(given(f"U{gate}", "h h") for gate in "IFG"),
        ),
        _BD,
    ),
    Case(
        "gru_step",
        "Z[b, h] = sig(WZ[h, d] X[b, d] + UZ[h, h'] H[b, h'])\nR[b, h] = sig(WR[h, d] X[b, d] + UR[h, h'] H[b, h'])\n"
        "N[b, h] = tanh(WN[h, d] X[b, d] + UN[h, h'] R[b, h'] H[b, h'])\nY[b, h] = Z[b, h] H[b, h] + (1 - Z[b, h]) N[b, h]\nexport Y",
        (
            given("X", "b d"),
            given("H", "b h"),
            *(given(f"W{gate}", "h d") for gate in "ZRN"),
            *(given(f"U{gate}", "h h") for gate in "ZRN"),
        ),
        _BD,
    ),
    Case(
        "highway_layer",
        "T[b, d] = sig(WT[d, e] X[b, e] - 1)\nY[b, d] = T[b, d] relu(WH[d, e] X[b, e]) + (1 - T[b, d]) X[b, d]\nexport Y",
        (given("X", "b d"), given("WT", "d d"), given("WH", "d d")),
        _BD,
    ),
)

MODEL_CASES: tuple[Case, ...] = (
    *_IMAGES,
    *_ATTENTION,
    *_GRAPHS,
    *_FACTORS,
    *_KERNELS,
    *_PROBABILITY,
    *_LOSSES,
    *_CELLS,
)
