"""`fuse run`."""

from __future__ import annotations

import json

import numpy as np
import pytest

LAYER = "input X[b, j]\nY[b, i] = relu(W[i, j] X[b, j])\nexport Y\n"


@pytest.fixture
def layer(write, tmp_path):
    np.save(tmp_path / "w.npy", np.array([[1.0, -1.0], [0.5, 0.5], [2.0, 0.0]]))
    np.save(tmp_path / "x.npy", np.array([[1.0, 3.0]]))
    return write("layer.fuse", LAYER)


def test_exports_are_printed(fuse, layer) -> None:
    result = fuse("run", layer, "--input", "W=w.npy", "--input", "X=x.npy")
    assert (result.code, result.err) == (0, "")
    assert result.out == "Y (1 × 3, float32) [[0. 2. 2.]]\n"


def test_new_values_give_new_results(fuse, layer, tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.array([[3.0, 1.0], [0.0, 2.0]]))
    result = fuse("run", layer, "--input", "W=w.npy", "--input", "X=x.npy", "--json")
    document = json.loads(result.out)
    assert document["backend"] == "numpy"
    assert document["exports"]["Y"] == {
        "shape": [2, 3],
        "dtype": "float32",
        "values": [[2.0, 2.0, 6.0], [0.0, 1.0, 0.0]],
    }
    assert document["answers"] == []


def test_queries_are_answered(fuse, write) -> None:
    result = fuse("run", write("p.fuse", "W = [1, 2]\nX = [3, 4]\nY = W[i] X[i]\nY?\nexport Y\n"))
    assert result.code == 0
    assert result.out.splitlines()[0].startswith("Y")
    assert "11" in result.out


def test_out_files(fuse, layer, tmp_path) -> None:
    words = ("run", layer, "--input", "W=w.npy", "--input", "X=x.npy", "--out")
    for name in ("y.npy", "new/y.npz", "y.json"):
        result = fuse(*words, name)
        assert result.code == 0, result.err
        assert result.out == f"wrote Y to {name}\n"
    expected = np.array([[0.0, 2.0, 2.0]])
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)
    np.testing.assert_array_equal(np.load(tmp_path / "new" / "y.npz")["Y"], expected)
    np.testing.assert_array_equal(json.loads((tmp_path / "y.json").read_text())["Y"], expected)
    assert fuse(*words, "y.txt").code == 2


def test_npy_holds_one_export(fuse, write) -> None:
    result = fuse("run", write("two.fuse", "A = [1, 2]\nB = [3]\nexport A, B\n"), "--out", "y.npy")
    assert result.code == 2
    assert "use .npz" in result.err


def test_inputs_from_archives_and_json(fuse, layer, write, tmp_path) -> None:
    np.savez(tmp_path / "both.npz", w=np.eye(2), other=np.ones(3))
    np.savez(tmp_path / "one.npz", x=np.array([[5.0, -1.0]]))
    result = fuse("run", layer, "--input", "W=both.npz:w", "--input", "X=one.npz")
    assert (result.code, result.out) == (0, "Y (1 × 2, float32) [[5. 0.]]\n")
    write("x.json", "[[1, 2]]")
    result = fuse("run", layer, "--input", "W=both.npz:w", "--input", "X=x.json")
    assert (result.code, result.out) == (0, "Y (1 × 2, float32) [[1. 2.]]\n")


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("absent.npy", "no file"),
        ("w.xml", "use .npy, .npz, "),
        ("both.npz", "holds"),
        ("both.npz:nothing", "'nothing'"),
        ("words.json", "no JSON"),
        ("fake.npy", "fake.npy"),
        ("uneven.json", "rows differ in length"),
    ],
)
def test_inputs_that_cannot_be_read(fuse, layer, write, tmp_path, place: str, says: str) -> None:
    np.savez(tmp_path / "both.npz", w=np.eye(2), other=np.ones(3))
    write("w.xml", "1 2")
    write("words.json", "not json")
    write("uneven.json", "[[1], [2, 3]]")
    (tmp_path / "fake.npy").write_bytes(b"no array at all")
    result = fuse("run", layer, "--input", f"W={place}", "--input", "X=x.npy")
    assert result.code == 2
    assert says in result.err
    assert "input W" in result.err


def test_objects_are_never_unpickled(fuse, layer, tmp_path) -> None:
    np.save(tmp_path / "bad.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert fuse("run", layer, "--input", "W=bad.npy", "--input", "X=x.npy").code == 2


def test_an_input_given_twice(fuse, layer) -> None:
    result = fuse("run", layer, "--input", "W=w.npy", "--input", "W=x.npy")
    assert result.code == 2
    assert "W twice" in result.err


def test_a_wrong_program_is_1_and_a_failing_run_is_3(fuse, layer, write, tmp_path) -> None:
    assert fuse("run", write("bad.fuse", "Y = (1\n")).code == 1
    missing = fuse("run", layer, "--input", "W=w.npy")
    assert missing.code == 3
    assert "X" in missing.err
    np.save(tmp_path / "wide.npy", np.ones((1, 5)))
    sizes = fuse("run", layer, "--input", "W=w.npy", "--input", "X=wide.npy")
    assert sizes.code == 3
    assert "axis j" in sizes.err
    later = fuse("run", write("later.fuse", "H[*t+1] = dropout(H[*t], 0.1) + 1\nexport H\n"))
    assert later.code == 3


def test_an_input_of_no_use_is_a_warning(fuse, layer) -> None:
    result = fuse("run", layer, "--input", "W=w.npy", "--input", "X=x.npy", "--input", "Z=x.npy")
    assert result.code == 0
    assert result.err.startswith("warning: ")
    assert "Z" in result.err
    assert "fuse_ref" not in result.err


def test_set_makes_parameters(fuse, write) -> None:
    path = write("param.fuse", "param W[i, j] ~ ones()\nY[i] = W[i, j]\nexport Y\n")
    result = fuse("run", path, "--set", "i=2", "--set", "j=3")
    assert (result.code, result.out) == (0, "Y (2, float32) [3. 3.]\n")


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_every_backend(fuse, layer, backend: str) -> None:
    result = fuse("run", layer, "--backend", backend, "--input", "W=w.npy", "--input", "X=x.npy", "--json")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document["backend"] == backend
    assert document["exports"]["Y"]["values"] == [[0.0, 2.0, 2.0]]


def test_inputs_of_every_format(fuse, write, tmp_path) -> None:
    path = write("p.fuse", "input Edge(x, y)\ninput W[x]\nOut[y] = Edge(x, y) W[x]\nexport Out\n")
    write("w.csv", "1\n10\n")
    write("w.jsonl", "1\n10\n")
    write("w.json", '{"w": [1, 10], "v": 0}')
    np.save(tmp_path / "w.npy", np.array([1.0, 10.0]))
    write("e.csv", "Ann,Cid\nBob,Dan\nAnn,Dan\n")
    write("e.tsv", "Ann\tCid\nBob\tDan\nAnn\tDan\n")
    write("e.json", '[["Ann", "Cid"], ["Bob", "Dan"], ["Ann", "Dan"]]')
    write("e.jsonl", '["Ann", "Cid"]\n["Bob", "Dan"]\n["Ann", "Dan"]\n')
    for weights in ("w.csv", "w.jsonl", "w.json:w", "w.npy"):
        for edges in ("e.csv", "e.tsv", "e.json", "e.jsonl"):
            result = fuse("run", path, "--input", f"W={weights}", "--input", f"Edge={edges}")
            assert (result.code, result.out, result.err) == (0, "Out (2, float32) [ 1. 11.]\n", "")
    text = write("t.fuse", "input X(p, t)\nCount[t] = X(p, t)\nexport X, Count\n")
    write("words.txt", "to be or not to be")
    result = fuse("run", text, "--input", "X=words.txt", "--json")
    document = json.loads(result.out)
    assert document["exports"]["Count"]["values"] == [2, 2, 1, 1]
    assert document["exports"]["X"]["rows"][:2] == [[0, "to"], [1, "be"]]
    printed = fuse("run", text, "--input", "X=words.txt").out
    assert printed.startswith("X (6 × 4, 6 of them)\n  0, to\n  1, be\n")


def test_exports_in_every_format(fuse, write, tmp_path) -> None:
    path = write("p.fuse", "A = [[1, 2], [3, 4]]\nY[i, j] = A[i, j] / 2\nexport Y\n")
    expected = [[0.5, 1.0], [1.5, 2.0]]
    for name in ("y.npz", "y.npy", "y.safetensors", "y.json", "y.jsonl", "y.csv", "y.tsv"):
        result = fuse("run", path, "--out", name)
        assert (result.code, result.out) == (0, f"wrote Y to {name}\n"), result.err
        again = write("again.fuse", f'Z[i, j] = "{name}{":Y" if name == "y.json" else ""}"\nexport Z\n')
        assert json.loads(fuse("run", again, "--json").out)["exports"]["Z"]["values"] == expected
    facts = write("f.fuse", 'P(Ann, "New York")\nP(Bob, Rome)\nQ[x, y] = 2 P(x, y)\nexport P, Q\n')
    assert "holds one array, the program exports 2" in fuse("run", facts, "--out", "y.csv").err


def test_numbers_that_json_lacks(fuse, write) -> None:
    result = fuse("run", write("p.fuse", "A = [1, 0, -1]\nY[i] = log(A[i])\nexport Y\n"), "--json")
    assert json.loads(result.out, parse_constant=pytest.fail)["exports"]["Y"]["values"] == [0.0, "-Infinity", "NaN"]


def test_the_cache_folder(fuse, layer, tmp_path) -> None:
    words = ("run", layer, "--input", "W=w.npy", "--input", "X=x.npy", "--cache-dir", "cache")
    first = fuse(*words)
    count = len(list((tmp_path / "cache" / "plans").iterdir()))
    assert first.code == 0
    assert count >= 1
    assert fuse(*words) == first
    assert len(list((tmp_path / "cache" / "plans").iterdir())) == count
    assert fuse(*words[:-1], "w.npy").code == 3
    wrong = fuse(*words, "--set", "j=5")
    assert wrong.code == 3
    assert "axis j" in wrong.err


def test_columns_of_an_input_are_found_by_its_letters(fuse, write) -> None:
    path = write("p.fuse", "input Edge(from_, to_)\nOut[a] = Edge(a, b) W[b]\nW = [1, 10]\nexport Edge, Out\n")
    write("e.csv", "weight,to_,from_\n3,b,a\n4,c,a\n")
    result = fuse("run", path, "--input", "Edge=e.csv", "--json")
    document = json.loads(result.out)
    assert document["exports"]["Edge"]["rows"] == [["a", "b"], ["a", "c"]]
    assert document["exports"]["Out"]["values"] == [11]
