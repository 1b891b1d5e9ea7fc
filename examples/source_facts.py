"""What the standard library's own source files say of themselves, found by `ast`, as facts for library.fuse."""

from __future__ import annotations

import ast
from pathlib import Path

HOME = Path(ast.__file__).parent
LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "site-packages", "ensurepip", "turtledemo"}


def facts(pattern: str) -> dict[str, set[tuple[str, str]]]:
    """Imports between modules, classes with their bases and methods, and what each method calls on itself."""
    found: dict[str, set[tuple[str, str]]] = {n: set() for n in ("Imports", "Inherits", "Defines", "Named", "Calls")}
    for path in HOME.glob(pattern):
        parts = path.relative_to(HOME).with_suffix("").parts
        if LEFT_OUT.isdisjoint(parts):
            module = ".".join(parts).removesuffix(".__init__")
            for node in ast.walk(ast.parse(path.read_bytes())):
                match node:
                    case ast.Import(names=names):
                        found["Imports"] |= {(module, item.name) for item in names}
                    case ast.ImportFrom(module=str(name), level=0):
                        found["Imports"].add((module, name))
                    case ast.ClassDef(name=name, bases=bases, body=body):
                        found["Inherits"] |= {(name, base.id) for base in bases if isinstance(base, ast.Name)}
                        for method in (item for item in body if isinstance(item, ast.FunctionDef)):
                            full = f"{name}.{method.name}"
                            found["Defines"].add((name, full))
                            found["Named"].add((full, method.name))
                            found["Calls"] |= {(full, call) for call in calls(method)}
    return found


def calls(method: ast.FunctionDef) -> set[str]:
    """The names x of `self.x(…)`."""
    attributes = [node.func for node in ast.walk(method) if isinstance(node, ast.Call)]
    return {f.attr for f in attributes if isinstance(f, ast.Attribute) and ast.unparse(f.value) == "self"}
