"""`import`: the statements of other files, with and without a prefix."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from fuse_ref import AxisError, FuseError, ManifestError, OperatorError, Program


def write(folder: Path, **files: str) -> Path:
    """Writes `name.fuse` for each; returns the path of a main program there."""
    for name, text in files.items():
        place = folder / f"{name.replace('__', '/')}.fuse"
        place.parent.mkdir(exist_ok=True)
        place.write_text(text, encoding="utf-8")
    return folder / "main.fuse"


def means(text: str, path: Path) -> str:
    return Program(text, path=path).explicit()


def test_without_a_prefix_the_statements_stand_where_the_line_stands(tmp_path: Path) -> None:
    path = write(tmp_path, layers="L = 2\nH[i] = W[i, j] X[j, L]\n'y.npy' = H[i]; H[i]?; export H".replace("'", '"'))
    text = 'import "layers.fuse"\nY[i] = relu(H[i])'
    assert means(text, path) == means("L = 2\nH[i] = W[i, j] X[j, L]\nY[i] = relu(H[i])", path)


NN = """
L = 1
axis d = 2
W[d] = [1, 3]
fn scale(X[i], s) = s X[i] / sqrt(X[j]**2)
H[d] = scale(X[L, d], 2) W[d] + cast(softmax(Z[d, e], axis=e) Z[d, e], int64)
R(x) <- S(x, Ann), x != Bob
K[x] = 0
K[Ann] = L
"""


def test_with_a_prefix_its_names_and_axes_have_it(tmp_path: Path) -> None:
    path = write(tmp_path, layers=NN)
    text = 'axis d = 5\nimport "layers.fuse" as nn\nY[i] = nn.scale(nn.H[i], s=3) B[d]'
    by_hand = """
axis d = 5
nn.L = 1
axis nn.d = 2
nn.W[nn.d] = [1, 3]
nn.H[nn.d] = (2 nn.X[nn.L, nn.d] / sqrt(nn.X[nn.L, nn.j]**2)) nn.W[nn.d] + cast(softmax(nn.Z[nn.d, nn.e], axis=nn.e) nn.Z[nn.d, nn.e], int64)
nn.R(nn.x) <- nn.S(nn.x, "Ann"), nn.x != "Bob"
nn.K[nn.x] = 0
nn.K["Ann"] = nn.L
Y[i] = (3 nn.H[i] / sqrt(nn.H[nn.j]**2)) B[d]
"""
    program = Program(text, path=path)
    assert program.explicit() == Program(by_hand).explicit()
    assert Program(program.explicit()).ir == program.ir
    assert {axis.name: axis.size for axis in program.ir.axes}["nn.d"] == 2


def test_a_prefixed_program_runs(tmp_path: Path) -> None:
    path = write(
        tmp_path, layers="input X[b, d]\nH[b] = X[b, d]**2", outer='import "layers.fuse" as in\n'.replace("in", "inner")
    )
    runner = Program('import "outer.fuse" as o\nY[b] = 2 o.inner.H[b]', path=path).compile("numpy")
    for size in (3, 1, 0):
        given = np.arange(2.0 * size).reshape(size, 2)
        assert runner({"o.inner.X": given})["Y"].tolist() == (2 * (given**2).sum(1)).tolist()


def test_sizes_of_a_prefixed_axis(tmp_path: Path) -> None:
    path = write(tmp_path, layers="param W[o, d] ~ ones()\nH[o] = W[o, d]")
    program = Program('import "layers.fuse" as nn\nY[i] = nn.H[i]', path=path)
    assert program.compile("numpy", sizes={"nn.o": 2, "nn.d": 3})()["Y"].tolist() == [3.0, 3.0]


def test_two_prefixes_are_two_copies(tmp_path: Path) -> None:
    path = write(tmp_path, layer="H[i] = W[i] X[i]")
    program = Program('import "layer.fuse" as a\nimport "layer.fuse" as b\nY[i] = a.H[i] + b.H[i]', path=path)
    assert set(program.tensors) == {"a.H", "a.W", "a.X", "b.H", "b.W", "b.X", "Y"}


def test_a_file_reached_on_two_ways_is_one_copy(tmp_path: Path) -> None:
    path = write(
        tmp_path, base="H[i] = X[i]", left='import "base.fuse"\nA[i] = H[i]', right='import "base.fuse"\nB[i] = H[i]'
    )
    text = 'import "left.fuse"\nimport "right.fuse"\nimport "base.fuse"\nY[i] = A[i] B[i]'
    assert Program(text, path=path).explicit().count("H[i] = X[i]") == 1


def test_nested_imports_start_at_their_own_file(tmp_path: Path) -> None:
    path = write(tmp_path, lib__a='import "b.fuse"\nA[i] = B[i]', lib__b="B[i] = 2 X[i]")
    assert "B[i] = 2 X[i]" in means('import "lib/a.fuse"\nY[i] = A[i]', path)


def test_sources_of_an_imported_file_lie_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path, lib__a='W[i] = "w.npy"')
    np.save(tmp_path / "lib" / "w.npy", np.array([1.0, 2.0], np.float32))
    runner = Program('import "lib/a.fuse" as a\nY[i] = 2 a.W[i]', path=path).compile("numpy")
    assert runner()["Y"].tolist() == [2.0, 4.0]


def test_symbols_are_numbered_where_the_line_stands(tmp_path: Path) -> None:
    path = write(tmp_path, facts="Likes(Ann, Bob)\n\n\n\nLikes(Cid, Ann)")
    program = Program('Likes(Zoe, Zoe)\nimport "facts.fuse"\nLikes(Dan, Dan)\nT[x] = Likes(x, y)', path=path)
    assert program.ir.axes[0].symbols == ("Zoe", "Ann", "Cid", "Dan")


def test_without_a_path_imports_start_at_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, layers="H[i] = 2 X[i]")
    monkeypatch.chdir(tmp_path)
    assert "H[i] = 2 X[i]" in Program('import "layers.fuse"\nY[i] = H[i]').explicit()


def test_json_digest_pickle_and_format(tmp_path: Path) -> None:
    path = write(tmp_path, layers="\nH[i] = 2 X[i]\n")
    text = 'import   "layers.fuse"   as nn\nY[i] = nn.H[i]  # twice\n'
    program = Program(text, path=path)
    assert program.format() == 'import "layers.fuse" as nn\nY[i] = nn.H[i]  # twice\n'
    copy = Program.from_json(json.loads(json.dumps(program.to_json())))
    (tmp_path / "layers.fuse").unlink()
    assert copy.ir == program.ir
    assert copy.digest == program.digest
    span = copy.ir.equations[0].span
    assert (span.source.name, span.line, span.text) == (str(tmp_path / "layers.fuse"), 2, "H[i] = 2 X[i]")
    assert pickle.loads(pickle.dumps(program)).digest == program.digest
    write(tmp_path, layers="H[i] = 3 X[i]")
    assert Program(text, path=path).digest != program.digest


def test_questions_need_no_file(tmp_path: Path) -> None:
    path = write(tmp_path, layers="H[i] = 2 X[i]")
    runner = Program('import "layers.fuse"\nY[i] = H[i]', path=path).compile("numpy")
    runner(X=[1.0, 2.0])
    (tmp_path / "layers.fuse").unlink()
    assert runner.query("H[i]?").values.tolist() == [2.0, 4.0]


@pytest.mark.parametrize(("bad", "code"), [("H[i] = relu(", "FUSE"), ("H[i] = sofmax(X[i] + 1)", "FUSE100")])
def test_mistakes_in_an_imported_file_name_it(tmp_path: Path, bad: str, code: str) -> None:
    path = write(tmp_path, layers=f"\n  {bad}\n")
    with pytest.raises(FuseError) as caught:
        Program('import "layers.fuse" as nn\nY[i] = nn.H[i]', path=path)
    assert f"{tmp_path / 'layers.fuse'}:2:" in str(caught.value)
    assert caught.value.code is not None
    assert caught.value.code.startswith(code)


def test_a_mistake_in_a_body_names_the_call_that_makes_it(tmp_path: Path) -> None:
    library = "fn inner(A[i, j]) = relu(A[i, j])\nfn outer(B[i]) = 2 inner(2 B[i])\nfn last(C) = outer(C)"
    path = write(tmp_path, layers=library)
    with pytest.raises(AxisError) as caught:
        Program('import "layers.fuse" as nn\n\nY[i] = 3 + nn.last(W[i])', path=path)
    error = caught.value
    assert error.code == "FUSE138"
    assert error.span is not None
    assert (error.span.source.name, error.span.line) == (str(tmp_path / "layers.fuse"), 2)
    assert error.message.endswith(f"; the call is nn.last(W[i]) at {path}:3:12")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    # The other way round the definition lies elsewhere.
    with pytest.raises(AxisError, match=rf"does not fit nn.inner \(line 1 of {tmp_path / 'layers.fuse'}\)") as caught:
        Program('import "layers.fuse" as nn\nY[i] = nn.inner(W[i])', path=path)
    assert "the call is" not in caught.value.message
    # Within one file too, and not where the call itself is underlined.
    with pytest.raises(AxisError, match=r"has only 1; the call is outer\(W\[i\]\) at <program>:4:8"):
        Program(f"{library}\nY[i] = outer(W[i])")
    with pytest.raises(AxisError) as caught:
        Program(f"{library}\nY[i] = outer(inner(W[i]))")
    assert caught.value.message.endswith("has only 1")


def test_a_circle_shows_its_files(tmp_path: Path) -> None:
    path = write(tmp_path, a='import "b.fuse"', b='X[i] = 2 Z[i]\nimport "c.fuse" as c', c='import "a.fuse"')
    with pytest.raises(OperatorError, match=r"imports itself: a\.fuse -> b\.fuse -> c\.fuse -> a\.fuse") as caught:
        Program('import "a.fuse"\nY[i] = X[i]', path=path)
    assert caught.value.span is not None
    assert caught.value.span.source.name.endswith("c.fuse")


def test_the_program_itself_is_part_of_a_circle(tmp_path: Path) -> None:
    path = write(tmp_path, main='import "a.fuse"\nY[i] = X[i]', a='import "main.fuse"')
    with pytest.raises(OperatorError, match=r"main\.fuse -> a\.fuse -> main\.fuse"):
        Program.from_file(path)


def test_imports_stay_in_the_allowed_folders(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    write(tmp_path, layers="H[i] = 2 X[i]")
    (inner / "link.fuse").symlink_to(tmp_path / "layers.fuse")
    for name in ("../layers.fuse", "link.fuse", str(tmp_path / "layers.fuse")):
        text = f'import "{name}"\nY[i] = H[i]'
        with pytest.raises(ManifestError, match="outside the folders"):
            Program(text, path=inner / "main.fuse")
        assert Program(text, path=inner / "main.fuse", allowed_roots=[tmp_path]).exports.keys() == {"Y"}


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bad.fuse").write_bytes(b"\xff\xfe")
    for name, problem in (("missing.fuse", "No such file"), ("bad.fuse", "no UTF-8"), (".", "Is a directory")):
        with pytest.raises(ManifestError, match=problem) as caught:
            Program(f'\nimport "{name}"\nY[i] = X[i]', path=tmp_path / "main.fuse")
        assert caught.value.span is not None
        assert caught.value.span.line == 2
