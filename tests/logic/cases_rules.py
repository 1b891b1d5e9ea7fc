"""Logic programs by hand: rules, recursion, negation, `or`, constants, comparisons of symbols, several arities."""

from __future__ import annotations

from tests.logic.case import Case

__all__ = ["CASES"]

CLOSURE = "path(X,Z) :- edge(X,Z). path(X,Z) :- path(X,Y), edge(Y,Z)."
PATH_SQL = "with recursive p(a, b) as (select a, b from Edge union select p.a, e.b from p join Edge e on p.b = e.a)"
EDGE = {"Edge": "xy"}
FAMILY = {"Parent": "xy", "Male": "x"}

CASES: tuple[Case, ...] = (
    # Joins ----------------------------------------------------------------------------------------
    Case(
        "aunt",
        {"Sister": "xy", "Parent": "xy"},
        "Aunt(x, z) <- Sister(x, y), Parent(y, z)",
        ("Aunt",),
        sql={"Aunt": "select s.a, p.b from Sister s join Parent p on s.b = p.a"},
        sets={},
    ),
    Case(
        "self-join with two different ones",
        {"Parent": "xy"},
        "Sibling(x, y) <- Parent(p, x), Parent(p, y), x != y",
        ("Sibling",),
        sql={"Sibling": "select l.b, r.b from Parent l join Parent r on l.a = r.a where l.b <> r.b"},
    ),
    Case(
        "repeated variable in one atom",
        EDGE,
        "Loop(x) <- Edge(x, x)",
        ("Loop",),
        sets={"Loop": lambda g: {(a,) for a, b in g["Edge"] if a == b}},
    ),
    Case(
        "repeated variable in the head",
        {"Male": "x"},
        "Same(x, x) <- Male(x)",
        ("Same",),
        sets={"Same": lambda g: {(a, a) for (a,) in g["Male"]}},
    ),
    Case(
        "arguments turned round",
        EDGE,
        "Back(y, x) :- Edge(x, y).\nBoth(x, y) = Edge(x, y) Back(x, y)",
        ("Back", "Both"),
        sets={
            "Back": lambda g: {(b, a) for a, b in g["Edge"]},
            "Both": lambda g: {(a, b) for a, b in g["Edge"] if (b, a) in g["Edge"]},
        },
    ),
    Case(
        "product of unjoined atoms",
        {"P": "x", "Q": "y"},
        "Pair(x, y) <- P(x), Q(y)",
        ("Pair",),
        sets={"Pair": lambda g: {(a, b) for (a,) in g["P"] for (b,) in g["Q"]}},
    ),
    Case(
        "triangles",
        EDGE,
        "Triangle(x, y, z) <- Edge(x, y), Edge(y, z), Edge(z, x)",
        ("Triangle",),
        sql={
            "Triangle": "select e.a, f.a, g.a from Edge e join Edge f on e.b = f.a join Edge g on f.b = g.a where g.b = e.a"
        },
        dense=0.4,
    ),
    Case(
        "four-cycles, projected",
        EDGE,
        "Corner(x) <- Edge(x, a), Edge(a, b), Edge(b, c), Edge(c, x)",
        ("Corner",),
        clingo="corner(X) :- edge(X,A), edge(A,B), edge(B,C), edge(C,X).",
    ),
    Case(
        "a variable only tested",
        EDGE,
        "Source(x) <- Edge(x, _)\nSink(y) <- Edge(_, y)\nInner(x) <- Edge(_, x), Edge(x, _)",
        ("Source", "Sink", "Inner"),
        clingo="source(X) :- edge(X,_). sink(Y) :- edge(_,Y). inner(X) :- edge(_,X), edge(X,_).",
    ),
    # Arities --------------------------------------------------------------------------------------
    Case(
        "no arguments",
        EDGE,
        "Any() <- Edge(_, _)\nLoops() <- Any(), Edge(x, x)\nNo() <- not Any()",
        ("Any", "Loops", "No"),
        clingo="any() :- edge(_,_). loops() :- any(), edge(X,X). no() :- not any().",
        dense=0.1,
    ),
    Case(
        "a given relation without arguments",
        {"On": "", "P": "x"},
        "Q(x) <- On(), P(x)\nR(x) <- P(x), not On()",
        ("Q", "R"),
        clingo="q(X) :- on(), p(X). r(X) :- p(X), not on().",
    ),
    Case(
        "one argument",
        {"P": "x", "Q": "x"},
        "Both(x) <- P(x), Q(x)\nOnly(x) <- P(x), not Q(x)\nEither(x) <- P(x) or Q(x)",
        ("Both", "Only", "Either"),
        sets={
            "Both": lambda g: g["P"] & g["Q"],
            "Only": lambda g: g["P"] - g["Q"],
            "Either": lambda g: g["P"] | g["Q"],
        },
    ),
    Case(
        "three arguments",
        {"T": "xyz"},
        "Turn(y, z, x) <- T(x, y, z)\nMid(y) <- T(x, y, x)\nNext(x, w) <- T(x, y, z), T(z, y, w)",
        ("Turn", "Mid", "Next"),
        sql={
            "Turn": "select b, c, a from T",
            "Mid": "select b from T where a = c",
            "Next": "select l.a, r.c from T l join T r on l.c = r.a and l.b = r.b",
        },
        dense=0.1,
    ),
    Case(
        "four arguments",
        {"Edge": "xy", "Q": "xyzw"},
        "Walk(a, b, c, d) <- Edge(a, b), Edge(b, c), Edge(c, d)\nRing(a) <- Walk(a, _, _, a)\nOther(a, d) <- Q(a, b, b, d), not Walk(a, b, _, d)",
        ("Walk", "Ring", "Other"),
        clingo="walk(A,B,C,D) :- edge(A,B), edge(B,C), edge(C,D). ring(A) :- walk(A,_,_,A). other(A,D) :- q(A,B,B,D), not walk(A,B,_,D).",
        dense=0.15,
    ),
    # Recursion ------------------------------------------------------------------------------------
    Case(
        "closure, left-linear",
        EDGE,
        "Path(x, z) <- Edge(x, z)\nPath(x, z) <- Path(x, y), Edge(y, z)",
        ("Path",),
        sql={"Path": f"{PATH_SQL} select * from p"},
    ),
    Case(
        "closure, right-linear",
        EDGE,
        "Path(x, z) <- Edge(x, z)\nPath(x, z) <- Edge(x, y), Path(y, z)",
        ("Path",),
        sql={"Path": f"{PATH_SQL} select * from p"},
    ),
    Case(
        "closure, non-linear",
        EDGE,
        "Path(x, z) <- Edge(x, z)\nPath(x, z) <- Path(x, y), Path(y, z)",
        ("Path",),
        clingo=CLOSURE,
    ),
    Case(
        "closure with a condition in the step",
        {"Edge": "xy", "Blocked": "x"},
        "Path(x, y) <- Edge(x, y), not Blocked(y)\nPath(x, z) <- Path(x, y), Edge(y, z), not Blocked(z), x != z",
        ("Path",),
        clingo="path(X,Y) :- edge(X,Y), not blocked(Y). path(X,Z) :- path(X,Y), edge(Y,Z), not blocked(Z), X != Z.",
    ),
    Case(
        "closure both ways",
        EDGE,
        "Linked(x, y) <- Edge(x, y)\nLinked(x, y) <- Linked(y, x)\nLinked(x, z) <- Linked(x, y), Linked(y, z)",
        ("Linked",),
        clingo="linked(X,Y) :- edge(X,Y). linked(X,Y) :- linked(Y,X). linked(X,Z) :- linked(X,Y), linked(Y,Z).",
        dense=0.1,
    ),
    Case(
        "reachable from some",
        {"Edge": "xy", "Start": "x"},
        "Reach(x) <- Start(x)\nReach(y) <- Reach(x), Edge(x, y)",
        ("Reach",),
        sql={
            "Reach": "with recursive r(a) as (select a from Start union select e.b from r join Edge e on r.a = e.a) select a from r"
        },
    ),
    Case(
        "even and odd",
        {"Edge": "xy", "Start": "x"},
        "Even(x) <- Start(x)\nEven(y) <- Odd(x), Edge(x, y)\nOdd(y) <- Even(x), Edge(x, y)",
        ("Even", "Odd"),
        clingo="even(X) :- start(X). even(Y) :- odd(X), edge(X,Y). odd(Y) :- even(X), edge(X,Y).",
    ),
    Case(
        "three that need each other",
        EDGE,
        "A(x, y) <- Edge(x, y)\nB(x, z) <- A(x, y), Edge(y, z)\nC(x, z) <- B(x, y), Edge(z, y)\nA(x, z) <- C(x, y), B(y, z)",
        ("A", "B", "C"),
        clingo="a(X,Y) :- edge(X,Y). b(X,Z) :- a(X,Y), edge(Y,Z). c(X,Z) :- b(X,Y), edge(Z,Y). a(X,Z) :- c(X,Y), b(Y,Z).",
        dense=0.12,
    ),
    Case(
        "same generation",
        {"Parent": "xy"},
        "Same(x, y) <- Parent(p, x), Parent(p, y)\nSame(x, y) <- Parent(p, x), Same(p, q), Parent(q, y)",
        ("Same",),
        clingo="same(X,Y) :- parent(P,X), parent(P,Y). same(X,Y) :- parent(P,X), same(P,Q), parent(Q,Y).",
    ),
    Case(
        "pointers",
        {"New": "xy", "Assign": "xy", "Load": "xy", "Store": "xy"},
        "Pts(y, x) <- New(y, x)\nPts(y, x) <- Assign(y, z), Pts(z, x)\nPts(y, w) <- Load(y, x), Pts(x, z), Pts(z, w)\nPts(z, w) <- Store(y, x), Pts(y, z), Pts(x, w)",
        ("Pts",),
        clingo="pts(Y,X) :- new(Y,X). pts(Y,X) :- assign(Y,Z), pts(Z,X). pts(Y,W) :- load(Y,X), pts(X,Z), pts(Z,W). pts(Z,W) :- store(Y,X), pts(Y,Z), pts(X,W).",
        dense=0.12,
    ),
    Case(
        "reachable along labels",
        {"Arc": "xly", "Good": "l"},
        "Way(x, y) <- Arc(x, l, y), Good(l)\nWay(x, z) <- Way(x, y), Arc(y, l, z), Good(l)",
        ("Way",),
        clingo="way(X,Y) :- arc(X,L,Y), good(L). way(X,Z) :- way(X,Y), arc(Y,L,Z), good(L).",
        dense=0.06,
    ),
    Case(
        "recursion with a third argument",
        EDGE,
        "Via(x, y, z) <- Edge(x, y), Edge(y, z)\nVia(x, y, w) <- Via(x, y, z), Edge(z, w)",
        ("Via",),
        clingo="via(X,Y,Z) :- edge(X,Y), edge(Y,Z). via(X,Y,W) :- via(X,Y,Z), edge(Z,W).",
        dense=0.15,
    ),
    Case(
        "nothing but itself",
        {"P": "x"},
        "Q(x) <- Q(x)\nR(x) <- P(x), Q(x)\nQ(x) <- R(x)",
        ("Q", "R"),
        clingo="q(X) :- q(X). r(X) :- p(X), q(X). q(X) :- r(X).",
    ),
    # Negation -------------------------------------------------------------------------------------
    Case(
        "unreachable",
        {"Edge": "xy", "Node": "x"},
        "Path(x, z) <- Edge(x, z)\nPath(x, z) <- Path(x, y), Edge(y, z)\nFar(x, y) <- Node(x), Node(y), not Path(x, y)",
        ("Far",),
        sql={
            "Far": f"{PATH_SQL} select m.a, n.a from Node m, Node n where not exists (select 1 from p where p.a = m.a and p.b = n.a)"
        },
    ),
    Case(
        "roots and leaves",
        {"Parent": "xy"},
        "Root(x) <- Parent(x, _), not Parent(_, x)\nLeaf(x) <- Parent(_, x), not Parent(x, _)",
        ("Root", "Leaf"),
        sql={
            "Root": "select a from Parent where a not in (select b from Parent)",
            "Leaf": "select b from Parent where b not in (select a from Parent)",
        },
    ),
    Case(
        "three strata",
        {"Edge": "xy", "Node": "x"},
        "Reach(x, y) <- Edge(x, y)\nReach(x, z) <- Reach(x, y), Edge(y, z)\nApart(x, y) <- Node(x), Node(y), not Reach(x, y)\nJoined(x) <- Node(x), not Lonely(x)\nLonely(x) <- Node(x), not Some(x)\nSome(x) <- Reach(x, y), not Apart(y, x)",
        ("Apart", "Lonely", "Joined", "Some"),
        clingo="reach(X,Y) :- edge(X,Y). reach(X,Z) :- reach(X,Y), edge(Y,Z). apart(X,Y) :- node(X), node(Y), not reach(X,Y). joined(X) :- node(X), not lonely(X). lonely(X) :- node(X), not some(X). some(X) :- reach(X,Y), not apart(Y,X).",
    ),
    Case(
        "all of them",
        {"Likes": "xy", "Dish": "y", "Person": "x"},
        "Misses(x) <- Person(x), Dish(y), not Likes(x, y)\nAll(x) <- Person(x), not Misses(x)",
        ("All",),
        sql={
            "All": "select p.a from Person p where not exists (select 1 from Dish d where not exists (select 1 from Likes l where l.a = p.a and l.b = d.a))"
        },
        dense=0.7,
    ),
    Case(
        "negation before its atoms",
        EDGE,
        "One(x, y) <- not Edge(y, x), x != y, Edge(x, y)",
        ("One",),
        sets={"One": lambda g: {(a, b) for a, b in g["Edge"] if a != b and (b, a) not in g["Edge"]}},
    ),
    Case(
        "negation inside recursion, of what is complete",
        {"Edge": "xy", "Wall": "xy", "Start": "x"},
        "In(x) <- Start(x)\nIn(y) <- In(x), Edge(x, y), not Wall(x, y), not Wall(y, x)",
        ("In",),
        clingo="in(X) :- start(X). in(Y) :- in(X), edge(X,Y), not wall(X,Y), not wall(Y,X).",
    ),
    Case(
        "not of a parenthesis",
        {"P": "x", "Q": "x", "R": "x"},
        "A(x) <- P(x), not (Q(x) and R(x))\nB(x) <- P(x), not (Q(x) or R(x))\nC(x) <- P(x), not (Q(x) and not R(x))",
        ("A", "B", "C"),
        sets={
            "A": lambda g: g["P"] - (g["Q"] & g["R"]),
            "B": lambda g: g["P"] - (g["Q"] | g["R"]),
            "C": lambda g: g["P"] - (g["Q"] - g["R"]),
        },
    ),
    Case(
        "a constant below not",
        {"Likes": "xy", "Person": "x"},
        'A(x) <- Person(x), not Likes(x, Ann)\nB(x) <- Person(x), not Likes("東京", x)',
        ("A", "B"),
        clingo='a(X) :- person(X), not likes(X,"Ann"). b(X) :- person(X), not likes("東京",X).',
        dense=0.5,
    ),
    Case(
        "not of what is empty",
        {"P": "x", "E": "x"},
        "No(x) <- E(x), not P(x), P(x)\nAll(x) <- P(x), not No(x)",
        ("No", "All"),
        sets={"No": lambda g: set(), "All": lambda g: g["P"]},
    ),
    # Or -------------------------------------------------------------------------------------------
    Case(
        "or of conjunctions",
        {"Edge": "xy", "P": "x"},
        "Q(x) <- Edge(x, y) and P(y) or Edge(y, x) and P(y)",
        ("Q",),
        clingo="q(X) :- edge(X,Y), p(Y). q(X) :- edge(Y,X), p(Y).",
    ),
    Case(
        "or within a conjunction",
        {"Edge": "xy", "P": "x", "Q": "x"},
        "A(x, y) <- Edge(x, y), (P(x) or Q(y) or not P(y))",
        ("A",),
        clingo="a(X,Y) :- edge(X,Y), p(X). a(X,Y) :- edge(X,Y), q(Y). a(X,Y) :- edge(X,Y), not p(Y).",
    ),
    Case(
        "or in recursion",
        EDGE,
        "Linked(x, y) <- Edge(x, y) or Edge(y, x)\nLinked(x, z) <- Linked(x, y), (Edge(y, z) or Edge(z, y))",
        ("Linked",),
        clingo="linked(X,Y) :- edge(X,Y). linked(X,Y) :- edge(Y,X). linked(X,Z) :- linked(X,Y), edge(Y,Z). linked(X,Z) :- linked(X,Y), edge(Z,Y).",
        dense=0.12,
    ),
    Case(
        "many rules for one head",
        {"A": "x", "B": "x", "C": "xy"},
        "R(x, Ann) <- A(x)\nR(Bob, y) <- B(y)\nR(x, y) <- C(x, y)\nR(x, x) <- A(x), B(x)\nR(Ann, Bob)",
        ("R",),
        clingo='r(X,"Ann") :- a(X). r("Bob",Y) :- b(Y). r(X,Y) :- c(X,Y). r(X,X) :- a(X), b(X). r("Ann","Bob").',
    ),
    # Constants ------------------------------------------------------------------------------------
    Case(
        "constants in atoms",
        EDGE,
        'A(x) <- Edge(Ann, x)\nB(x) <- Edge(x, "New York")\nC() <- Edge(Bob, Ann)\nD(x) <- Edge("a \\"b\\" c", x), Edge(x, "two\\nlines")',
        ("A", "B", "C", "D"),
        clingo='a(X) :- edge("Ann",X). b(X) :- edge(X,"New York"). c() :- edge("Bob","Ann"). d(X) :- edge("a \\"b\\" c",X), edge(X,"two\\nlines").',
        dense=0.5,
    ),
    Case(
        "a symbol that no fact has",
        EDGE,
        "A(x) <- Edge(x, Nobody)\nB(x) <- Edge(x, _), x != Nobody\nC(Nobody, x) <- Edge(x, _)",
        ("A", "B", "C"),
        clingo='a(X) :- edge(X,"Nobody"). b(X) :- edge(X,_), X != "Nobody". c("Nobody",X) :- edge(X,_).',
    ),
    Case(
        "comparisons of symbols",
        EDGE,
        'A(x, y) <- Edge(x, y), x == y\nB(x, y) <- Edge(x, y), x != Ann, y != "äöü"\nC(x, y) <- Edge(x, y), (x == Ann or y == Bob)\nD(x, y) <- Edge(x, y), not (x == y)',
        ("A", "B", "C", "D"),
        clingo='a(X,Y) :- edge(X,Y), X = Y. b(X,Y) :- edge(X,Y), X != "Ann", Y != "äöü". c(X,Y) :- edge(X,Y), X = "Ann". c(X,Y) :- edge(X,Y), Y = "Bob". d(X,Y) :- edge(X,Y), X != Y.',
        dense=0.4,
    ),
    Case(
        "from one node",
        EDGE,
        "Path(x, z) <- Edge(x, z)\nPath(x, z) <- Path(x, y), Edge(y, z)\nFrom(x) <- Path(Ann, x)\nTo(x) <- Path(x, Bob)\nRound() <- Path(Ann, Ann)",
        ("From", "To", "Round"),
        clingo=CLOSURE + 'from(X) :- path("Ann",X). to(X) :- path(X,"Bob"). round() :- path("Ann","Ann").',
    ),
    Case(
        "heads of constants alone",
        EDGE,
        "Is(Ann) <- Edge(x, x)\nIs(Bob) <- Edge(_, _), not Edge(Bob, Bob)\nIs(x) <- Edge(x, y), Is(y)",
        ("Is",),
        clingo='is("Ann") :- edge(X,X). is("Bob") :- edge(_,_), not edge("Bob","Bob"). is(X) :- edge(X,Y), is(Y).',
    ),
    Case(
        "Unicode spellings",
        FAMILY,
        "Father(x, y) ← Parent(x, y) ∧ Male(x)\nMother(x, y) ← Parent(x, y), ¬Male(x)",
        ("Father", "Mother"),
        sets={
            "Father": lambda g: {(a, b) for a, b in g["Parent"] if (a,) in g["Male"]},
            "Mother": lambda g: {(a, b) for a, b in g["Parent"] if (a,) not in g["Male"]},
        },
    ),
)
