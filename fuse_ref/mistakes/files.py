"""Rows of the table of mistakes; see `fuse_ref.mistakes` for the code ranges."""

from __future__ import annotations

from fuse_ref.errors import AxisError, CapacityError, ManifestError, MissingFrameworkError
from fuse_ref.mistakes.row import Example, Mistake

__all__ = ["FILE_MISTAKES"]

_SOURCE = "import tempfile, pathlib; folder = pathlib.Path(tempfile.mkdtemp())"

FILE_MISTAKES: tuple[Mistake, ...] = (
    Mistake(
        "FUSE320",
        ManifestError,
        "file that is not there",
        "there is no file {path}",
        "relative paths start at {start}",
        (Example("there is no file", python="Program('W[i] = \"no_such.npy\"; Y[i] = 2 W[i]').compile()"),),
    ),
    Mistake(
        "FUSE321",
        ManifestError,
        "file ending that does not work",
        "{path} cannot be {action}: its ending is {ending}",
        "endings that work: {endings}",
        (
            Example("its ending is '.xyz'", python="Program('W[i] = \"w.xyz\"; Y[i] = 2 W[i]').compile()"),
            Example("cannot be written: its ending is '.txt'", python="Program('\"w.txt\" = X[i]').compile()(X=[1.0])"),
        ),
    ),
    Mistake(
        "FUSE322",
        ManifestError,
        "file outside the allowed folders",
        "{path} lies outside the folders that the program may use ({roots})",
        "RuntimePolicies(allowed_roots=[…]) allows more",
        (Example("lies outside the folders", python="Program('W[i] = \"../w.npy\"; Y[i] = 2 W[i]').compile()"),),
    ),
    Mistake(
        "FUSE323",
        ManifestError,
        "file that cannot be read",
        "{path} cannot be read: {problem}",
        "",
        (
            Example(
                "is not an array of numbers",
                python=(
                    f"{_SOURCE}; np.save(folder / 'w.npy', np.array(['a']))\n"
                    "Program('W[i] = \"w.npy\"; Y[i] = 2 W[i]', path=folder / 'p.fuse').compile()"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE324",
        ManifestError,
        "array missing from an archive",
        "{path} holds {holds}, {problem}",
        "name one of them: {cure_path}",
        (
            Example(
                "holds 'a', 'b', but no 'c'",
                python=(
                    f"{_SOURCE}; np.savez(folder / 'w.npz', a=np.ones(2), b=np.ones(2))\n"
                    "Program('W[i] = \"w.npz:c\"; Y[i] = 2 W[i]', path=folder / 'p.fuse').compile()"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE325",
        AxisError,
        "file with another number of axes",
        "{path} holds an array with {got}, but {name} has {expected}",
        "",
        (
            Example(
                "but W has 1 axis",
                python=(
                    f"{_SOURCE}; np.save(folder / 'w.npy', np.ones((2, 2)))\n"
                    "Program('W[i] = \"w.npy\"; Y[i] = 2 W[i]', path=folder / 'p.fuse').compile()"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE326",
        ManifestError,
        "file that cannot be written",
        "{path} cannot be written: {problem}",
        "",
        (
            Example(
                "out.npy cannot be written",
                python=(
                    f"{_SOURCE}; (folder / 'out.npy').mkdir()\n"
                    "Program('\"out.npy\" = X[i]', path=folder / 'p.fuse').compile()(X=[1.0])"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE327",
        ManifestError,
        "line of a file that cannot be read",
        "{path}, line {line}: {problem}",
        "",
        (
            Example(
                "edges.csv, line 2: it has 1 cells, and line 1 has 2",
                python=(
                    f"{_SOURCE}; (folder / 'edges.csv').write_text('a,b\\nc\\n')\n"
                    "Program('Edge(x, y) = \"edges.csv\"; N[x] = Edge(x, y)', path=folder / 'p.fuse').compile()"
                ),
            ),
            Example(
                "w.csv, line 2: column 2 is no number: 'x'",
                python=(
                    f"{_SOURCE}; (folder / 'w.csv').write_text('1,2\\n3,x\\n')\n"
                    "Program('W[i, j] = \"w.csv\"; Y[i] = W[i, j]', path=folder / 'p.fuse').compile()"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE328",
        CapacityError,
        "relation of a file too large to be dense",
        "{name} would be a dense array of {shape} = {elements} elements, more than dense_limit = {limit}",
        "ExecutionConfig(dense_limit={elements}) allows it, one byte an element",
        (
            Example(
                "Edge would be a dense array of 2 × 1000000001 = 2000000002 elements",
                python=(
                    f"{_SOURCE}; (folder / 'edges.csv').write_text('0,5\\n1,1000000000\\n')\n"
                    "Program('Edge(x, y) = \"edges.csv\"; N[x, y] = exp(Edge[x, y])', path=folder / 'p.fuse').compile()()"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE329",
        AxisError,
        "facts of a file with another number of columns",
        "{path} has {got}, but {name} has {expected}",
        "",
        (
            Example(
                "edges.csv has 3 columns, but Edge has 2 arguments",
                python=(
                    f"{_SOURCE}; (folder / 'edges.csv').write_text('a,b,c\\n')\n"
                    "Program('Edge(x, y) = \"edges.csv\"; N[x] = Edge(x, y)', path=folder / 'p.fuse').compile()"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE330",
        ManifestError,
        "file format whose package is not installed",
        "{path} needs the package {name}, which is not installed",
        "pip install 'fuse-torch[files]'",
        (
            Example(
                "t.parquet needs the package pyarrow",
                python=(
                    f"{_SOURCE}; (folder / 't.parquet').write_bytes(b'')\n"
                    "import sys, unittest.mock\n"
                    "with unittest.mock.patch.dict(sys.modules, {'pyarrow': None, 'pyarrow.parquet': None}):\n"
                    "    Program('P(x) = \"t.parquet\"; N = P(x)', path=folder / 'p.fuse').compile()"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE331",
        AxisError,
        "symbols and positions of files on one axis",
        "{where} holds {kind}, but axis {axis} has {known} from {first}",
        "columns that hold whole numbers throughout are positions: write such names with a letter, as n12",
        (
            Example(
                "column 1 of b.csv holds positions, but axis x has symbols from column 1 of a.csv",
                python=(
                    f"{_SOURCE}; (folder / 'a.csv').write_text('Ann\\n'); (folder / 'b.csv').write_text('0\\n')\n"
                    "Program('P(x) = \"a.csv\"; Q(x) = \"b.csv\"; N = P(x) Q(x)', path=folder / 'p.fuse').compile()"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE332",
        ManifestError,
        "manifest with a wrong entry",
        "{manifest}, weight {entry}: {problem}",
        "",
        (
            Example(
                "the manifest, weight W: there is no file w.npy", python="ManifestWeightStore({'W': 'w.npy'}).load('W')"
            ),
            Example(
                "weight W: its shape is said to be (2, 2), and the file has (2, 3)",
                python=(
                    f"{_SOURCE}; np.save(folder / 'w.npy', np.ones((2, 3)))\n"
                    "ManifestWeightStore({'W': {'path': 'w.npy', 'shape': [2, 2]}}, base_path=folder).load('W')"
                ),
            ),
            Example("did you mean 'shape'?", python="ManifestWeightStore({'W': {'path': 'w.npy', 'shpae': [2]}})"),
            Example(
                "weight W: it has path and value: exactly one of path, value and shards",
                python="ManifestWeightStore({'W': {'path': 'w.npy', 'value': [2]}})",
            ),
        ),
    ),
    Mistake(
        "FUSE333",
        ManifestError,
        "copy of a weight or source that strict_mmap forbids",
        "{holder}: strict_mmap=True forbids a copy, and {reason}",
        "what is used as its file has it needs none: .npy of the run's precision, on the CPU",
        (
            Example(
                "weight W: strict_mmap=True forbids a copy, and it is compressed",
                python=(
                    f"{_SOURCE}; np.savez_compressed(folder / 'w.npz', W=np.ones(2, np.float32))\n"
                    "store = ManifestWeightStore({'W': 'w.npz'}, base_path=folder)\n"
                    "Program('Y[i] = 2 W[i]').compile(policies=RuntimePolicies(store, strict_mmap=True))()"
                ),
            ),
            Example(
                "w.npy, source W: strict_mmap=True forbids a copy, and the run takes it as float32, its file has float64",
                python=(
                    f"{_SOURCE}; np.save(folder / 'w.npy', np.ones(2))\n"
                    "program = Program('W[i] = \"w.npy\"; Y[i] = 2 W[i]', path=folder / 'p.fuse')\n"
                    "program.compile(policies=RuntimePolicies(strict_mmap=True))()"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE334",
        ManifestError,
        "field of a manifest that is not read yet",
        "{manifest}, weight {entry}: {field} is not supported yet",
        "store the weight as plain numbers",
        (
            Example(
                "weight W: quant is not supported yet",
                python="ManifestWeightStore({'W': {'path': 'w.npy', 'quant': {'mode': 'int8'}}})",
            ),
        ),
    ),
    Mistake(
        "FUSE335",
        ManifestError,
        "file that is no manifest",
        "{manifest} cannot be used: {problem}",
        "",
        (
            Example("there is no such file", python="ManifestWeightStore('no_such.json')"),
            Example(
                "its version is 2, and this software reads version 1",
                python="ManifestWeightStore({'version': 2, 'weights': {}})",
            ),
        ),
    ),
    Mistake(
        "FUSE344",
        CapacityError,
        "relation too large to be dense",
        "a relation of {count} would be a dense array of {shape} = {elements} elements, more than dense_limit = {limit}",
        "use .rows, .columns or .positions, whose size follows the tuples; ExecutionConfig(dense_limit={elements}) allows it",
        (
            Example(
                "a relation of 1 tuple would be a dense array of 9000 × 9000 = 81000000 elements",
                python=(
                    "from fuse_ref.relations.tuples import Tuples\n"
                    "Relation(Tuples([np.array([1]), np.array([2])], (9000, 9000)), (None, None)).dense()"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE345",
        AxisError,
        "symbols and positions of inputs on one axis",
        "{name} gives {kind} on axis {axis}, but {first} gives {known} there",
        "give both by symbol or both by position; axis {axis} = {{Ann, Bob}} says which position a symbol has",
        (
            Example(
                "Q gives positions on axis x, but P gives symbols there",
                python="Program('input P(x); input Q(x); Y[x] = P(x) + Q(x)').compile()(P=['Ann'], Q=[0])",
            ),
        ),
    ),
    Mistake(
        "FUSE346",
        MissingFrameworkError,
        "table of a package that is not installed",
        "{call} needs the package {name}, which is not installed",
        "{install}",
        (
            Example(
                "to_pandas() needs the package pandas",
                python=(
                    "import sys, unittest.mock\n"
                    "with unittest.mock.patch.dict(sys.modules, {'pandas': None}):\n"
                    "    Relation(np.eye(2, dtype=bool), (None, None)).to_pandas()"
                ),
            ),
        ),
    ),
    Mistake(
        "FUSE347",
        CapacityError,
        "relation too large for a file of truth values",
        "{path} would hold truth values, {shape} = {elements} of them, more than dense_limit = {limit}",
        ".tsv, .csv, .jsonl, .json and .parquet hold the facts alone; ExecutionConfig(dense_limit={elements}) allows it",
        (
            Example(
                "r.npy would hold truth values, 9000 × 9000 = 81000000 of them",
                python=(
                    f"{_SOURCE}; from fuse_ref.files.paths import Place\n"
                    "from fuse_ref.files.sinks import Result, write_results\n"
                    "from fuse_ref.relations.tuples import Tuples\n"
                    "place = Place(folder / 'r.npy', None, 'r.npy')\n"
                    "write_results([Result(place, 'R', Tuples.empty((9000, 9000)))])"
                ),
            ),
        ),
    ),
)
