"""What `fuse repl` does with a line: a program that grows, and questions to it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from fuse_ref.cli.exits import UsageProblem
from fuse_ref.cli.programs import read_source
from fuse_ref.cli.progress import busy
from fuse_ref.cli.query import explained
from fuse_ref.cli.run import print_answer, print_export
from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import FuseError
from fuse_ref.evaluate.runner import Runner
from fuse_ref.program import Program

__all__ = ["COMMANDS", "Session", "unfinished"]

# Name, what follows it, what it does. `:help` prints them, completion offers them, and a test compares docs/command_line.md.
COMMANDS: tuple[tuple[str, str, str], ...] = (
    (":help", "", "this list"),
    (":why", "FACT or QUERY?", "a shortest derivation of a fact, or of each row of an answer"),
    (":whynot", "FACT", "for each rule, the first condition at which it fails to give the fact"),
    (":run", "", "run the program and show what it exports"),
    (":explain", "", "the plan: steps, routes and why; after a run also times"),
    (":demand", "on or off", "derive only what queries need"),
    (":list", "", "the program as it stands"),
    (":undo", "", "take the last statement back"),
    (":load", "FILE", "begin anew with a program"),
    (":save", "FILE", "write the program to a file"),
    (":quit", "", "leave; so does the end of the input"),
)

_OPENING, _CLOSING = "([{", ")]}"
_GOES_ON = ("<-", ":-", "←", "=", "+", "*", "/", ",", "∧", " and", " or", " not", " <", " >", "->")


def unfinished(text: str) -> bool:
    """Whether a statement goes on in the next line: a bracket is open, or it ends with an operator."""
    depth, quoted, escaped, bare = 0, False, False, []
    for line in text.splitlines():
        quoted = False
        for char in line:
            if quoted:
                quoted, escaped = escaped or char != '"', char == "\\" and not escaped
                continue
            if char == "#":
                break
            quoted = char == '"'
            depth += (char in _OPENING) - (char in _CLOSING)
            bare.append(char)
        bare.append("\n")
    return depth > 0 or "".join(bare).rstrip().endswith(_GOES_ON)


class Session:
    """A program, the statements typed in, and the run that answers questions.

    Args:
        text: the program to begin with.
        path: its file, which relative paths in it start from.
        compiled: makes a program ready.
        inputs: of every run, by the program they are for.
    """

    def __init__(
        self,
        text: str,
        path: Path | None,
        compiled: Callable[[Program, ExecutionConfig | None], Runner],
        inputs: Callable[[Program], Mapping[str, object]],
    ) -> None:
        self._compiled, self._inputs = compiled, inputs
        self._demand = False
        self._begin(text, path)

    def _begin(self, text: str, path: Path | None) -> None:
        program = Program(text, path=path)
        self._path = path
        self._texts = [text]  # each with one statement more; the last is the program
        self._program = program
        self._runner: Runner | None = None

    @property
    def names(self) -> list[str]:
        """What completion offers: the program's tensors and symbols."""
        symbols = {symbol for axis in self._program.ir.axes for symbol in axis.symbols or () if symbol.isidentifier()}
        return sorted({tensor.name for tensor in self._program.ir.tensors} | symbols)

    def line(self, text: str) -> bool:
        """Does what a statement, question or command says; whether the session goes on.

        What is wrong is told on standard error, and changes nothing.
        """
        text = text.strip()
        if not text or text.startswith("#"):
            return True
        try:
            if text.startswith(":"):
                return self._command(text)
            if text.rstrip(" .").endswith("?"):
                self._ask(text.rstrip(" ."))
            else:
                self._add(text)
        except (FuseError, UsageProblem) as error:
            print(error, file=sys.stderr)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
        return True

    # Statements and questions ---------------------------------------------------------------------

    def _add(self, statement: str) -> None:
        before = self._texts[-1]
        text = f"{before}{'' if not before or before.endswith(chr(10)) else chr(10)}{statement}\n"
        self._program = Program(text, path=self._path)
        self._texts.append(text)
        self._runner = None

    def _ready(self) -> Runner:
        """A Runner of the program as it stands, which has seen the inputs."""
        if self._runner is None:
            runner = self._compiled(self._program, ExecutionConfig(mode="demand") if self._demand else None)
            inputs = dict(self._inputs(self._program))
            if inputs:
                with busy("running"):
                    runner(inputs)
            self._runner = runner
        return self._runner

    def _ask(self, question: str) -> None:
        with busy(question):
            answer = self._ready().query(question)
        print_answer(answer)

    # Commands -------------------------------------------------------------------------------------

    def _command(self, text: str) -> bool:
        name, _, rest = text.partition(" ")
        rest = rest.strip()
        needs = {command: what for command, what, _ in COMMANDS}
        if name not in needs:
            raise UsageProblem(f"there is no command {name}: :help lists them")
        if bool(needs[name]) != bool(rest):
            what = f"needs {needs[name]}" if needs[name] else "stands alone"
            raise UsageProblem(f"{name} {what}")
        match name:
            case ":help":
                for command, what, does in COMMANDS:
                    print(f"{command + ' ' + what:24}{does}")
                print(f"{'Ancestor(Alice, x)?':24}a question: its answer")
                print(f"{'Parent(Alice, Bob)':24}anything else is added to the program")
            case ":why":
                self._why(rest)
            case ":whynot":
                print(self._ready().why_not(rest))
            case ":run":
                with busy("running"):
                    outputs = self._ready()(dict(self._inputs(self._program)))
                for export, value in outputs.items():
                    print_export(export, value)
            case ":explain":
                print(self._ready().explain())
            case ":demand":
                self._set_demand(rest)
            case ":list":
                print(self._texts[-1], end="")
            case ":undo":
                self._undo()
            case ":load":
                source = read_source(rest)
                self._begin(source.text, Path(rest))
            case ":save":
                self._save(Path(rest))
        return name != ":quit"

    def _why(self, text: str) -> None:
        runner = self._ready()
        if not text.endswith("?"):
            print(runner.why(text))
            return
        answer = runner.query(text)
        print_answer(answer)
        for line in explained(runner, answer):
            print(line)

    def _set_demand(self, word: str) -> None:
        if word not in ("on", "off"):
            raise UsageProblem(":demand needs on or off")
        self._demand = word == "on"
        self._runner = None

    def _undo(self) -> None:
        if len(self._texts) == 1:
            raise UsageProblem("there is nothing to take back")
        self._texts.pop()
        self._program = Program(self._texts[-1], path=self._path)
        self._runner = None

    def _save(self, path: Path) -> None:
        try:
            path.write_text(self._texts[-1], encoding="utf-8")
        except OSError as error:
            raise UsageProblem(f"cannot write {path}: {error.strerror}") from error
        print(f"wrote {path}")
