"""Logic programs by hand: positions and arithmetic, numeric conjuncts, counting and other aggregates."""

from __future__ import annotations

import math

from tests.logic.case import Case

__all__ = ["CASES"]

EDGE = {"Edge": "xy"}
INF = math.inf

CASES: tuple[Case, ...] = (
    # Positions ------------------------------------------------------------------------------------
    Case(
        "order of positions",
        EDGE,
        "Up(x, y) <- Edge(x, y), x < y\nFar(x, y) <- Edge(x, y), x + 1 < y\nNear(x, y) <- Edge(x, y), y - x <= 1, x - y <= 1\nEq(x, y) <- Edge(x, y), x == y",
        ("Up", "Far", "Near", "Eq"),
        sql={
            "Up": "select * from Edge where a < b",
            "Far": "select * from Edge where a + 1 < b",
            "Near": "select * from Edge where abs(a - b) <= 1",
            "Eq": "select * from Edge where a = b",
        },
        positions=True,
        dense=0.5,
    ),
    Case(
        "positions and numbers",
        EDGE,
        "A(x, y) <- Edge(x, y), x >= 2, y < 4\nB(x, y) <- Edge(x, y), 2 * x > y + 1\nC(x, y) <- Edge(x, y), x * x - y >= 3\nD(x, y) <- Edge(x, y), x + y == 4",
        ("A", "B", "C", "D"),
        sql={
            "A": "select * from Edge where a >= 2 and b < 4",
            "B": "select * from Edge where 2 * a > b + 1",
            "C": "select * from Edge where a * a - b >= 3",
            "D": "select * from Edge where a + b = 4",
        },
        positions=True,
        dense=0.5,
    ),
    Case(
        "constants that are positions",
        EDGE,
        "A(y) <- Edge(1, y)\nB(x) <- Edge(x, 0), not Edge(x, 1)\nC(2, y) <- Edge(0, y)",
        ("A", "B", "C"),
        clingo="a(Y) :- edge(1,Y). b(X) :- edge(X,0), not edge(X,1). c(2,Y) :- edge(0,Y).",
        positions=True,
        dense=0.4,
    ),
    Case(
        "a step further",
        {"S": "t"},
        "N(t) <- S(t)\nN(t+1) <- N(t)",
        ("N",),
        sets={"N": lambda g: {(k,) for k in range(6) if any(t <= k for (t,) in g["S"])}},
        positions=True,
    ),
    Case(
        "walks counted in steps",
        {"Edge": "xy", "Start": "x"},
        "At(x, 0) <- Start(x)\nAt(y, t+1) <- At(x, t), Edge(x, y)",
        ("At",),
        sql={
            "At": "with recursive w(a, t) as (select a, 0 from Start union select e.b, w.t + 1 from w join Edge e on e.a = w.a where w.t < 5) select a, t from w"
        },
        positions=True,
    ),
    Case(
        "offsets in atoms",
        {"S": "t"},
        "Pair(t) <- S(t), S(t+1)\nEdge(t) <- S(t), not S(t-1)\nGap(t) <- S(t), S(t+2), not S(t+1)",
        ("Pair", "Edge", "Gap"),
        sets={
            "Pair": lambda g: {(t,) for (t,) in g["S"] if (t + 1,) in g["S"]},
            "Edge": lambda g: {(t,) for (t,) in g["S"] if (t - 1,) not in g["S"]},
            "Gap": lambda g: {(t,) for (t,) in g["S"] if (t + 2,) in g["S"] and (t + 1,) not in g["S"]},
        },
        positions=True,
    ),
    Case(
        "halves",
        EDGE,
        "Up(x/2, y) <- Edge(x, y)\nTree(x, y) <- Edge(x, y), Edge(x/2, y)",
        ("Up", "Tree"),
        sql={
            "Up": "select a // 2, b from Edge",
            "Tree": "select e.a, e.b from Edge e join Edge f on f.a = e.a // 2 and f.b = e.b",
        },
        positions=True,
        dense=0.4,
    ),
    Case(
        "ancestors in a heap",
        {"S": "x"},
        "Above(x, x) <- S(x)\nAbove(x, y/2) <- Above(x, y)",
        ("Above",),
        sets={"Above": lambda g: {(x, x >> k) for (x,) in g["S"] for k in range(4)}},
        positions=True,
    ),
    Case(
        "a grid",
        {"Wall": "xy"},
        "In(0, 0)\nIn(x+1, y) <- In(x, y), Free(x, y)\nIn(x, y+1) <- In(x, y), Free(x, y)\nFree(x, y) <- Row(x), Row(y), not Wall(x, y)\nRow(0)\nRow(x+1) <- Row(x)",
        ("In",),
        clingo="row(0..N-1) :- N = {size}. free(X,Y) :- row(X), row(Y), not wall(X,Y). in(0,0). in(X+1,Y) :- in(X,Y), free(X,Y), row(X+1). in(X,Y+1) :- in(X,Y), free(X,Y), row(Y+1).",
        positions=True,
    ),
    Case(
        "smaller ones along a path",
        EDGE,
        "Down(x, y) <- Edge(x, y), y < x\nDown(x, z) <- Down(x, y), Edge(y, z), z < y",
        ("Down",),
        sql={
            "Down": "with recursive d(a, b) as (select a, b from Edge where b < a union select d.a, e.b from d join Edge e on d.b = e.a where e.b < d.b) select * from d"
        },
        positions=True,
        dense=0.4,
    ),
    # Numeric conjuncts ----------------------------------------------------------------------------
    Case(
        "a threshold binds",
        {},
        "Close(x, y) <- Sim[x, y] > 1\nBoth(x) <- Sim[x, x]",
        ("Close", "Both"),
        sql={"Close": "select a, b from Sim where c > 1", "Both": "select a from Sim where a = b and c > 0"},
        numbers={"Sim": 2},
        positions=True,
    ),
    Case(
        "thresholds of tuples",
        EDGE,
        "A(x, y) <- Edge(x, y), W[x, y] >= 2\nB(x, y) <- Edge(x, y), V[x] < V[y]\nC(x) <- Edge(x, y), V[x] + V[y] > 3, x != y",
        ("A", "B", "C"),
        sql={
            "A": "select e.a, e.b from Edge e join W w on w.a = e.a and w.b = e.b where w.c >= 2",
            "B": "select e.a, e.b from Edge e join V v on v.a = e.a join V u on u.a = e.b where v.b < u.b",
            "C": "select e.a from Edge e join V v on v.a = e.a join V u on u.a = e.b where v.b + u.b > 3 and e.a <> e.b",
        },
        numbers={"W": 2, "V": 1},
        positions=True,
        dense=0.4,
    ),
    Case(
        "a numeric factor is a conjunct",
        {"P": "x"},
        "Q(x) = P(x) V[x]\nR(x) <- P(x), not V[x]",
        ("Q", "R"),
        sql={
            "Q": "select p.a from P p join V v on v.a = p.a where v.b > 0",
            "R": "select p.a from P p join V v on v.a = p.a where v.b <= 0",
        },
        numbers={"V": 1},
        positions=True,
    ),
    Case(
        "a threshold in recursion",
        {"Start": "x"},
        "Reach(x) <- Start(x)\nReach(y) <- Reach(x), W[x, y] > 2",
        ("Reach",),
        sql={
            "Reach": "with recursive r(a) as (select a from Start union select w.b from r join W w on r.a = w.a where w.c > 2) select a from r"
        },
        numbers={"W": 2},
        positions=True,
    ),
    Case(
        "a sum within a rule",
        {"P": "x"},
        "Heavy(x) <- P(x), sum(y: W[x, y]) > 4\nSome(x) <- P(x), max(y: W[x, y]) >= 4",
        ("Heavy", "Some"),
        sql={
            "Heavy": "select p.a from P p where (select sum(c) from W where W.a = p.a) > 4",
            "Some": "select p.a from P p where (select max(c) from W where W.a = p.a) >= 4",
        },
        numbers={"W": 2},
        positions=True,
    ),
    # Counting -------------------------------------------------------------------------------------
    Case(
        "children counted",
        EDGE,
        "Children[x] = Edge(x, y)\nPairs[x] = Edge(x, y) Edge(x, z)\nAll = Edge(x, y)",
        ("Children", "Pairs", "All"),
        sql={
            "Children": "select a, count(*) from Edge group by a",
            "Pairs": "select e.a, count(*) from Edge e join Edge f on e.a = f.a group by e.a",
            "All": "select count(*) from Edge",
        },
        positions=True,
        dense=0.4,
    ),
    Case(
        "children of symbols counted",
        EDGE,
        "Children[x] = Edge(x, y)\nOthers[x] = Edge(x, y), x != y, not Edge(y, x)",
        ("Children", "Others"),
        sql={
            "Children": "select a, count(*) from Edge group by a",
            "Others": "select a, count(*) from Edge e where a <> b and not exists (select 1 from Edge f where f.a = e.b and f.b = e.a) group by a",
        },
        dense=0.4,
    ),
    Case(
        "counts compared",
        EDGE,
        "Out[x] = Edge(x, y)\nBusy(x) <- Out[x] >= 2\nBusier(x, y) <- Edge(x, y), Out[x] > Out[y]",
        ("Busy", "Busier"),
        sql={
            "Busy": "select a from Edge group by a having count(*) >= 2",
            "Busier": "select e.a, e.b from Edge e where (select count(*) from Edge f where f.a = e.a) > (select count(*) from Edge f where f.a = e.b)",
        },
        positions=True,
        dense=0.3,
    ),
    Case(
        "closure counted",
        EDGE,
        "Path(x, z) <- Edge(x, z)\nPath(x, z) <- Path(x, y), Edge(y, z)\nReaches[x] = Path(x, y)\nTop(x) <- Reaches[x] > 2",
        ("Reaches", "Top"),
        sql={
            "Reaches": "with recursive p(a, b) as (select a, b from Edge union select p.a, e.b from p join Edge e on p.b = e.a) select a, count(*) from p group by a",
            "Top": "with recursive p(a, b) as (select a, b from Edge union select p.a, e.b from p join Edge e on p.b = e.a) select a from p group by a having count(*) > 2",
        },
    ),
    # Aggregates -----------------------------------------------------------------------------------
    Case(
        "aggregates of a tensor over tuples",
        EDGE,
        "Sum[x] = Edge(x, y) V[y]\nTop[x] max= Edge(x, y), V[y]\nLow[x] min= Edge(x, y), V[y]\nMean[x] avg= Edge(x, y) V[y]\nProd[x] prod= Edge(x, y), V[y]",
        ("Sum", "Top", "Low", "Mean", "Prod"),
        sql={
            "Sum": "select e.a, sum(v.b) from Edge e join V v on v.a = e.b group by e.a",
            "Top": "select e.a, max(v.b) from Edge e join V v on v.a = e.b group by e.a",
            "Low": "select e.a, min(v.b) from Edge e join V v on v.a = e.b group by e.a",
            "Mean": "select e.a, avg(v.b) from Edge e join V v on v.a = e.b group by e.a",
            "Prod": "select e.a, product(v.b) from Edge e join V v on v.a = e.b group by e.a",
        },
        numbers={"V": 1},
        neutral={"Top": -INF, "Low": INF, "Prod": 1},
        positions=True,
        dense=0.4,
    ),
    Case(
        "aggregates with filters",
        EDGE,
        "Top[x] max= Edge(x, y), x < y, V[y]\nLow[x] min= Edge(x, y), not Edge(y, x), V[y] > 0, V[y]\nMean avg= Edge(x, y), V[x] < V[y], V[x]",
        ("Top", "Low", "Mean"),
        sql={
            "Top": "select e.a, max(v.b) from Edge e join V v on v.a = e.b where e.a < e.b group by e.a",
            "Low": "select e.a, min(v.b) from Edge e join V v on v.a = e.b where v.b > 0 and not exists (select 1 from Edge f where f.a = e.b and f.b = e.a) group by e.a",
            "Mean": "select coalesce(avg(v.b), 0) from Edge e join V v on v.a = e.a join V u on u.a = e.b where v.b < u.b",
        },
        numbers={"V": 1},
        neutral={"Top": -INF, "Low": INF},
        positions=True,
        dense=0.4,
    ),
    Case(
        "filters alone",
        EDGE,
        "Any[x] max= Edge(x, y), Edge(y, x)",
        ("Any",),
        sql={"Any": "select distinct e.a, 1 from Edge e join Edge f on e.b = f.a and f.b = e.a"},
        neutral={"Any": -INF},
        positions=True,
        dense=0.3,
    ),
    Case(
        "the last and the first position",
        {"On": "xt"},
        "Last[x] max= On(x, t) t\nFirst[x] min= On(x, t), t\nMean[x] avg= On(x, t), t",
        ("Last", "First", "Mean"),
        sql={
            "Last": "select a, max(b) from On_ group by a",
            "First": "select a, min(b) from On_ group by a",
            "Mean": "select a, avg(b) from On_ group by a",
        },
        neutral={"Last": -INF, "First": INF},
        positions=True,
        dense=0.4,
    ),
    Case(
        "one step of relaxation",
        EDGE,
        "D[y] min= Edge(x, y), V[x] + W[x, y]",
        ("D",),
        sql={
            "D": "select e.b, min(v.b + w.c) from Edge e join V v on v.a = e.a join W w on w.a = e.a and w.b = e.b group by e.b"
        },
        numbers={"V": 1, "W": 2},
        neutral={"D": INF},
        positions=True,
        dense=0.4,
    ),
    Case(
        "matrices over tuples",
        EDGE,
        "Agg[x, z] = Edge(x, y) W[y, z]\nForm = Edge(x, y) V[x] V[y]\nTwice[x, z] = Edge(x, y) Edge(y, z)",
        ("Agg", "Form", "Twice"),
        sql={
            "Agg": "select e.a, w.b, sum(w.c) from Edge e join W w on w.a = e.b group by e.a, w.b",
            "Form": "select coalesce(sum(v.b * u.b), 0) from Edge e join V v on v.a = e.a join V u on u.a = e.b",
            "Twice": "select e.a, f.b, count(*) from Edge e join Edge f on e.b = f.a group by e.a, f.b",
        },
        numbers={"V": 1, "W": 2},
        positions=True,
        dense=0.4,
    ),
    Case(
        "rules and numbers by turns",
        EDGE,
        "Deg[x] = Edge(x, y)\nHub(x) <- Deg[x] > 1\nInto[y] = Hub(x) Edge(x, y)\nBest(y) <- Into[y] > 0, not Hub(y)\nScore = Best(y) V[y]",
        ("Hub", "Into", "Best", "Score"),
        sql={
            "Hub": "select a from Edge group by a having count(*) > 1",
            "Into": "select b, count(*) from Edge where a in (select a from Edge group by a having count(*) > 1) group by b",
            "Best": "select distinct b from Edge where a in (select a from Edge group by a having count(*) > 1) and b not in (select a from Edge group by a having count(*) > 1)",
            "Score": "select coalesce(sum(b), 0) from V where a in (select distinct b from Edge where a in (select a from Edge group by a having count(*) > 1) and b not in (select a from Edge group by a having count(*) > 1))",
        },
        numbers={"V": 1},
        positions=True,
        dense=0.3,
    ),
    Case(
        "what is not counted",
        {"P": "x", "Edge": "xy"},
        "None[x] = P(x), not Edge(x, _)\nFew(x) <- P(x), Count[x] < 2\nCount[x] = Edge(x, _)",
        ("None", "Few", "Count"),
        sql={
            "None": "select a, 1 from P where a not in (select a from Edge)",
            "Few": "select p.a from P p where (select count(*) from Edge e where e.a = p.a) < 2",
            "Count": "select a, count(*) from Edge group by a",
        },
        positions=True,
        dense=0.3,
    ),
)
