"""Facts and text from files: symbols, positions, sizes of axes, on every engine."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

import fuse_jax
import fuse_torch
from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import FuseError
from fuse_ref.policies import RuntimePolicies
from fuse_ref.program import Program

BACKENDS = ("numpy", "torch", "jax")


def compiled(text: str, folder: Path, backend: str = "numpy", **settings: object):  # type: ignore[no-untyped-def]
    return Program(text, path=folder / "p.fuse").compile(backend, **settings)  # type: ignore[arg-type]


def refused(text: str, folder: Path, **settings: object) -> FuseError:
    with pytest.raises(FuseError) as caught:
        compiled(text, folder, **settings)
    return caught.value


def rows(runner, name: str, **inputs: object) -> list[tuple[object, ...]]:  # type: ignore[no-untyped-def]
    return list(runner(inputs)[name].rows)


# Text ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_tokens_look_up_embeddings(tmp_path: Path, backend: str) -> None:
    text = 'X(p, t) = "prompt.txt"\nEmbX[p, d] = X(p, t) Emb[t, d]\nexport EmbX, X'
    for words in ("the cat sat on\nthe  mat", "a", ""):
        (tmp_path / "prompt.txt").write_text(words)
        tokens = words.split()
        vocabulary = list(dict.fromkeys(tokens))
        runner = compiled(text, tmp_path, backend)
        for seed in (0, 1):
            emb = np.random.default_rng(seed).normal(size=(len(vocabulary), 3)).astype(np.float32)
            result = runner(Emb=emb)
            expected = [emb[vocabulary.index(token)].tolist() for token in tokens]
            assert np.asarray(result["EmbX"]).tolist() == expected
            assert list(result["X"].rows) == list(enumerate(tokens))
        assert runner.symbols.get("t", ()) == tuple(vocabulary)


def test_modules_and_functions_look_up_too(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("b a b")
    text = 'X(p, t) = "prompt.txt"\naxis d = 2\nparam Emb[t, d] ~ ones()\nEmbX[p, d] = X(p, t) Emb[t, d]\nexport EmbX'
    program = Program(text, path=tmp_path / "p.fuse")
    module = fuse_torch.FuseModule(program)
    assert module.Emb.shape == (2, 2)
    with torch.no_grad():
        module.Emb.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert module().tolist() == [[1, 2], [3, 4], [1, 2]]
    module().sum().backward()
    assert module.Emb.grad.tolist() == [[2, 2], [1, 1]]
    function = fuse_jax.compile(program)
    assert np.asarray(function({"Emb": np.array([[1.0, 2.0], [3.0, 4.0]])})["EmbX"]).tolist() == [
        [1, 2],
        [3, 4],
        [1, 2],
    ]
    assert {a.name: a.symbols for a in module.plan.program.axes}["t"] == ("b", "a")


def test_text_is_for_relations(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("a b")
    assert "X(p, t)" in str(refused('X[p, t] = "prompt.txt"; Y[p] = X[p, t]', tmp_path))
    assert "prompt.txt has 2 columns, but X has 1 argument" in str(refused('X(p) = "prompt.txt"; Y = X(p)', tmp_path))


# Facts -----------------------------------------------------------------------------------------

EDGES = 'Edge(x, y) = "{name}"\nOut[x] = Edge(x, y)\nexport Edge, Out'


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["e.csv", "e.tsv", "e.json", "e.jsonl", "e.parquet"])
def test_facts_of_symbols(tmp_path: Path, backend: str, name: str) -> None:
    pairs = [("Ann", "New York"), ("Bob, Jr", "Rome"), ("Ann", "Rome"), ("Ann", "Rome")]
    write(tmp_path / name, pairs)
    runner = compiled(EDGES.format(name=name), tmp_path, backend)
    people = list(dict.fromkeys(a for a, _ in pairs))
    assert set(rows(runner, "Edge")) == set(pairs)
    assert len(rows(runner, "Edge")) == 3  # duplicates count once
    counts = [len({b for a, b in pairs if a == person}) for person in people]
    assert np.asarray(runner()["Out"]).tolist() == counts


def write(path: Path, pairs: list[tuple[object, object]]) -> None:
    import json

    match path.suffix:
        case ".csv" | ".tsv":
            with path.open("w", newline="") as file:
                csv.writer(file, delimiter="," if path.suffix == ".csv" else "\t").writerows(pairs)
        case ".json":
            path.write_text(json.dumps(pairs))
        case ".jsonl":
            path.write_text("".join(json.dumps({"y": b, "x": a, "more": 1}) + "\n" for a, b in pairs))
        case ".parquet":
            import pyarrow
            import pyarrow.parquet

            table = pyarrow.table({"y": [b for _, b in pairs], "x": [a for a, _ in pairs], "more": [0] * len(pairs)})
            pyarrow.parquet.write_table(table, path)


@pytest.mark.parametrize("name", ["e.csv", "e.json", "e.parquet"])
def test_facts_of_positions(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, [(0, 3), (2, 1)])
    runner = compiled(EDGES.format(name=name), tmp_path)
    result = runner()
    assert result["Edge"].shape == (3, 4)
    assert result["Edge"].positions.tolist() == [[0, 3], [2, 1]]
    assert result["Out"].tolist() == [1, 0, 1]


def test_one_column_and_truth_values(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("Ann\nBob\n")
    (tmp_path / "p.json").write_text('["Ann", "Bob"]')
    (tmp_path / "b.json").write_text("[[true, false], [false, true]]")
    for name in ("p.csv", "p.json"):
        assert rows(compiled(f'P(x) = "{name}"; N = P(x); export P, N', tmp_path), "P") == [("Ann",), ("Bob",)]
    assert rows(compiled(EDGES.format(name="b.json"), tmp_path), "Edge") == [(0, 0), (1, 1)]
    np.save(tmp_path / "b.npy", np.array([[0.0, -1.0], [0.5, 0.0]]))
    for backend in BACKENDS:
        assert rows(compiled(EDGES.format(name="b.npy"), tmp_path, backend), "Edge") == [(1, 0)]
    assert fuse_torch.FuseModule(Program(EDGES.format(name="b.npy"), path=tmp_path / "p.fuse"))()["Out"].tolist() == [
        0,
        1,
    ]


def test_headings(tmp_path: Path) -> None:
    text = EDGES.format(name="e.csv")
    for content, expected in (
        ("x,y\nAnn,Bob\n", [("Ann", "Bob")]),  # the letters
        ("y,x\nAnn,Bob\n", [("Bob", "Ann")]),  # in another order
        ("x,weight,y\nAnn,3,Bob\n", [("Ann", "Bob")]),  # among others
        ("from,to\n0,1\n2,0\n", [(0, 1), (2, 0)]),  # words over numbers
        ("from,to\nAnn,Bob\n", [("Ann", "Bob"), ("from", "to")]),  # nothing tells that this is one
        ("", []),
    ):
        (tmp_path / "e.csv").write_text(content)
        assert sorted(rows(compiled(text, tmp_path), "Edge")) == expected


def test_symbols_are_numbered_after_the_programs_own(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Cid,Bob\nDan,Ann\n")
    (tmp_path / "b.csv").write_text("Eve\nAnn\n")
    text = """
    Q(x) = "b.csv"
    R[x] = P(x, x') Q(x) + S[x]
    P(x, x') = "a.csv"
    S[Bob] = 1
    T[x] = R[x] Z[Ann] + V[x] Z[x]
    export T, P, Q
    """
    runner = compiled(text, tmp_path)
    # Facts (Bob), constants (Ann), then the files in text order, line by line.
    assert runner.symbols == {"x": ("Bob", "Ann", "Eve", "Cid", "Dan"), "x#2": ("Bob", "Ann")}
    result = runner(Z=np.ones(5), V=np.arange(5.0))
    assert set(result["P"].rows) == {("Cid", "Bob"), ("Dan", "Ann")}
    assert result["P"].shape == (5, 2)
    assert result["T"].tolist() == [1.0, 1.0, 2.0, 3.0, 4.0]


def test_inputs_add_symbols_after_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Ann\nBob\n")
    runner = compiled('P(x) = "a.csv"; axis x = 3; input Q(x); N[x] = P(x) + Q(x); export N, Q', tmp_path)
    assert runner(Q=["Cid", "Ann"])["N"].tolist() == [2, 1, 1]
    assert rows(runner, "Q", Q=["Cid"]) == [("Cid",)]


def test_axes_are_as_long_as_others_on_them(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("0\n")
    np.save(tmp_path / "w.npy", np.arange(3.0))
    assert compiled('P(x) = "p.csv"; W[x] = "w.npy"; Y[x] = P(x) + W[x]', tmp_path)()["Y"].tolist() == [1, 1, 2]
    assert compiled('P(x) = "p.csv"; W = [1, 2]; Y[x] = P(x) + W[x]', tmp_path)()["Y"].tolist() == [2, 2]
    store = RuntimePolicies(weight_store={"V": np.zeros(4)})
    runner = compiled('P(x) = "p.csv"; Y[x] = P(x) + V[x]', tmp_path, policies=store)
    assert runner()["Y"].tolist() == [1, 0, 0, 0]
    assert compiled('P(x) = "p.csv"; axis x = 2; Y[x] = 2 P(x)', tmp_path)()["Y"].tolist() == [2, 0]
    assert compiled('P(x) = "p.csv"; Y[x] = 2 P(x)', tmp_path, sizes={"x": 3})()["Y"].tolist() == [2, 0, 0]
    error = refused('P(x) = "p.csv"; Y[x] = P(x) + V[x]', tmp_path, sizes={"x": 0})
    assert "axis x" in str(error)


def test_a_position_or_symbol_too_many(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("0\n5\n")
    error = refused('P(x) = "p.csv"; axis x = 4; Y[x] = 2 P(x)', tmp_path)
    assert "5 in P (p.csv, line 2) is not on axis x, which has the positions 0 to 3" in str(error)
    (tmp_path / "p.csv").write_text("0\n-1\n")
    assert "-1 in P (p.csv, line 2) is not on axis x" in str(refused('P(x) = "p.csv"; Y[x] = 2 P(x)', tmp_path))
    (tmp_path / "p.csv").write_text("a\nb\n")
    error = refused('P(x) = "p.csv"; axis x = 1; Y[x] = 2 P(x)', tmp_path)
    assert "axis x has 1 positions by axis x = 1 (line 1), but 'b' is symbol number 2" in str(error)
    assert refused('P(x) = "p.csv"; axis x = {A, b}; Y[x] = 2 P(x)', tmp_path).code == "FUSE113"


def test_symbols_and_positions_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("a,1\nb,2\n")
    assert rows(compiled(EDGES.format(name="e.csv"), tmp_path), "Edge") == [("a", 1), ("b", 2)]
    error = refused('Edge(x, y) = "e.csv"; Y[x, y] = Edge(x, y) W[x] W[y]', tmp_path)
    assert error.code == "FUSE331"
    assert "column 2 of e.csv holds positions, but axis" in str(error)
    assert "has symbols from column 1 of e.csv" in str(error)
    assert refused('Q(x) = "q.csv"; Q[Ann] = 1; N = Q(x)', tmp_path).code == "FUSE320"
    (tmp_path / "q.csv").write_text("0\n")
    assert "has symbols from the program" in str(refused('Q(x) = "q.csv"; S[x] = 2 Q(x); Y = S[Ann]', tmp_path))


def test_facts_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("a,b\nc,\n")
    assert "e.csv, line 2: column 2 is empty" in str(refused(EDGES.format(name="e.csv"), tmp_path))
    (tmp_path / "e.csv").write_text("a,b,c\n")
    assert "e.csv has 3 columns, but Edge has 2 arguments" in str(refused(EDGES.format(name="e.csv"), tmp_path))
    for content, words in (
        ('{"a": 1}', "facts are a list of rows"),
        ('[["a", 1.5]]', "e.json, line 1: 1.5 is neither a symbol nor a position"),
        ('[["a", "b"], ["c"]]', "e.json, line 2: it has 1 cells, and the first row has 2"),
        ('[["a", null]]', "None is neither a symbol nor a position"),
    ):
        (tmp_path / "e.json").write_text(content)
        assert words in str(refused(EDGES.format(name="e.json"), tmp_path))


def test_the_dense_limit(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("0,1\n3,1\n")
    text = EDGES.format(name="e.csv")
    assert compiled(text, tmp_path, config=ExecutionConfig(dense_limit=8))()["Out"].tolist() == [1, 0, 0, 1]
    # Rules read tuples.
    rule = 'Edge(x, y) = "e.csv"\nBack(y, x) <- Edge(x, y)\nexport Back'
    runner = compiled(rule, tmp_path, config=ExecutionConfig(dense_limit=7))
    assert runner()["Back"].rows == ((1, 0), (1, 3))
    with pytest.raises(FuseError, match="2 tuples would be a dense array of 2 × 4 = 8 elements") as caught:
        runner()["Back"].dense()
    assert caught.value.code == "FUSE344"
    small = ExecutionConfig(dense_limit=7)
    program = Program(text.replace("export Edge, Out", "export Out"), path=tmp_path / "p.fuse")
    assert fuse_torch.FuseModule(program, config=small)().tolist() == [1, 0, 0, 1]
    assert fuse_jax.compile(program, config=small)({})["Out"].tolist() == [1, 0, 0, 1]
    # Where nothing holds, no tuple says so.
    program = Program('Edge(x, y) = "e.csv"\nOut[x, y] = not Edge(x, y)', path=tmp_path / "p.fuse")
    for make in (fuse_torch.FuseModule, fuse_jax.compile):
        with pytest.raises(FuseError) as caught:
            make(program, config=small)
        assert caught.value.code == "FUSE328"
        assert "Edge would be a dense array of 4 × 2 = 8 elements, more than dense_limit = 7" in str(caught.value)


# Sources among other definitions ---------------------------------------------------------------


def test_a_file_is_a_base_case(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.array([1.0, 2.0, 3.0]))
    np.save(tmp_path / "v.npy", np.array([10.0, 1.0, 10.0]))
    for backend in BACKENDS:

        def result(text: str, backend: str = backend) -> list[float]:
            return np.asarray(compiled(text, tmp_path, backend)()["Y"]).tolist()

        assert result('W[i] = "w.npy"; W[1] = 5; Y[i] = W[i]') == [1, 7, 3]
        assert result('W[i] = "w.npy"; W[i] = "v.npy"; Y[i] = W[i]') == [11, 3, 13]
        assert result('Y[i] = "w.npy"; V[i] = "v.npy"; Y[i] min= V[i]') == [1, 1, 3]
        assert result('W[0, i] = "w.npy"; W[1, i] = "v.npy"; Y[k, i] = W[k, i]') == [[1, 2, 3], [10, 1, 10]]


def test_the_explicit_form_of_such_a_file(tmp_path: Path) -> None:
    text = 'W[0, i] = "w.npy"\nW[1, i] = "v.npy"\nY[k, i] = W[k, i]\n'
    program = Program(text)
    assert Program(program.explicit()).digest == program.digest
    assert 'W_file[i] = "w.npy"' in program.explicit()


# Sinks -----------------------------------------------------------------------------------------


def test_relations_are_written_as_facts(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text('Ann,"Rome, Italy"\nBob,Oslo\n')
    text = "".join(f'"o{ending}" = Edge(x, y)\n' for ending in (".csv", ".tsv", ".json", ".jsonl", ".npy"))
    compiled(f'Edge(x, y) = "e.csv"\n{text}', tmp_path)()
    with (tmp_path / "o.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["Ann", "Rome, Italy"], ["Bob", "Oslo"]]
    assert (tmp_path / "o.tsv").read_text() == "Ann\tRome, Italy\nBob\tOslo\n"
    for name in ("o.csv", "o.tsv", "o.json", "o.jsonl"):
        assert rows(compiled(EDGES.format(name=name), tmp_path), "Edge") == [("Ann", "Rome, Italy"), ("Bob", "Oslo")]
    assert np.load(tmp_path / "o.npy").tolist() == [[True, False], [False, True]]


# What files are used for -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["t.csv", "t.npy", "t.json"])
def test_whole_numbers_are_positions_and_classes(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.csv").write_text("1\n0\n1\n")
    (tmp_path / "t.json").write_text("[1, 0, 1]")
    np.save(tmp_path / "t.npy", np.array([1, 0, 1], np.int32))
    e = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    x = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]], np.float32)
    gather = Program(f'T[p] = "{name}"\nY[p, d] = E[T[p], d]\nexport Y', path=tmp_path / "p.fuse")
    loss = Program(f'T[p] = "{name}"\nY[p] = cross_entropy(X[p, c], T[p], axis=c)\nexport Y', path=tmp_path / "p.fuse")
    losses = [np.log(np.exp(row).sum()) - row[t] for row, t in zip(x, [1, 0, 1], strict=True)]
    for backend in BACKENDS:
        assert np.asarray(gather.compile(backend)(E=e)["Y"]).tolist() == e[[1, 0, 1]].tolist()  # type: ignore[call-overload]
        np.testing.assert_allclose(loss.compile(backend)(X=x)["Y"], losses, rtol=1e-5)  # type: ignore[call-overload]
    assert fuse_torch.FuseModule(gather)({"E": torch.from_numpy(e)}).tolist() == e[[1, 0, 1]].tolist()
    assert Program(loss.explicit()).digest == loss.digest


def test_queries_know_the_symbols_of_files(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("Ann,Bob\nBob,Cid\nBob,Dan\n")
    runner = compiled('E(x, y) = "e.csv"\nOut[x] = E(x, y)\nOut[Bob]?\nexport Out', tmp_path)
    runner()
    assert runner.answers[0].rows == ((2.0,),)
    assert runner.query("Out[x]?").rows == (("Ann", 1.0), ("Bob", 2.0))
    assert runner.query("Out[Zed]?").rows == ()


def test_written_through_a_link_to_the_outside(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "runs").symlink_to(outside)
    (outside / "y.csv").write_text("old")
    (inside / "y.csv").symlink_to(outside / "y.csv")
    for name in ("runs/y.csv", "y.csv", "runs/new/y.csv"):
        assert refused(f'"{name}" = X[i]', inside).code == "FUSE322"  # before anything runs
    assert (outside / "y.csv").read_text() == "old"
    assert sorted(path.name for path in outside.iterdir()) == ["y.csv"]
    policies = RuntimePolicies(allowed_roots=[outside])
    compiled('"runs/y.csv" = X[i]', inside, policies=policies)(X=[1.5])
    assert (outside / "y.csv").read_text() == "1.5\n"
