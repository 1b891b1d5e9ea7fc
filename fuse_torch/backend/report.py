"""What the last compilation did: its graphs, the passes that fired, where and why graphs broke."""

from __future__ import annotations

import dis
import re
import sys
import threading
import warnings
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any, TypeAlias

from torch._guards import CompileContext
from torch.fx import GraphModule

from fuse_ref.errors import FuseWarning
from fuse_torch.backend.passes import PassResult

__all__ = ["Break", "Graph", "Report", "forget", "record", "report"]


@dataclass(frozen=True, slots=True)
class Graph:
    """One graph that was handed to the inner compiler."""

    function: str  # the Python function that it begins in
    nodes: int  # calls, without inputs and outputs
    calls: tuple[tuple[str, int], ...]  # what is called how often, most frequent first

    def __str__(self) -> str:
        most = ", ".join(f"{count} {name}" for name, count in self.calls[:4])
        return f"{self.function}: {self.nodes} calls ({most}{', …' if len(self.calls) > 4 else ''})"


@dataclass(frozen=True, slots=True)
class Break:
    """A place where a graph ended before its function did."""

    equation: str  # of the program, "" where the break is in other code
    reason: str
    place: str  # "file:line in function"

    def __str__(self) -> str:
        return f"{self.equation or self.place}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Report:
    """One compilation: all graphs that one call of a compiled function made."""

    passes: tuple[PassResult, ...] = ()  # one per pass, summed over the graphs
    graphs: tuple[Graph, ...] = ()
    breaks: tuple[Break, ...] = ()
    skipped: tuple[str, ...] = ()  # functions that called compiled ones but were not compiled themselves

    def __str__(self) -> str:
        if not self.graphs:
            return "nothing was compiled yet"
        lines = [f"{len(self.graphs)} graph{'s' if len(self.graphs) != 1 else ''}"]
        lines += [f"  {number}: {graph}" for number, graph in enumerate(self.graphs, 1)]
        fired = [item for item in self.passes if item.fired]
        lines.append("passes: " + (", ".join(f"{item.name} {item.fired}×" for item in fired) or "none fired"))
        lines += [f"  {item.name} saved {item.saved}" for item in fired if item.saved]
        lines.append(f"breaks: {len(self.breaks) or 'none'}")
        lines += [f"  {item}" for item in self.breaks]
        if self.skipped:
            lines.append("not compiled, though what they call is: " + ", ".join(self.skipped))
        return "\n".join(lines)


# Recording -------------------------------------------------------------------------------------


_Place: TypeAlias = tuple[str, int]  # file, line


@dataclass(frozen=True, slots=True)
class _Caller:
    """A function that was running when one that it calls was compiled."""

    name: str
    file: str
    first: int  # lines
    last: int
    compiled: bool = False  # runs as compiled code, between two graphs of its own
    loops: bool = False  # called from inside a loop, where a break leaves the whole function uncompiled

    def has(self, place: _Place) -> bool:
        return place[0] == self.file and self.first <= place[1] <= self.last


@dataclass(slots=True)
class _Compilation:
    """What is known of the compilation under way, or of the last one."""

    thread: int
    call: int  # id of the frame in which the compiled function was called
    compiler: weakref.ref[Any] | None  # what torch.compile made: another one is another compilation
    functions: set[int] = field(default_factory=set)  # Dynamo's numbers: one that comes again is a recompilation
    graphs: list[Graph] = field(default_factory=list)
    passes: list[PassResult] = field(default_factory=list)
    breaks: list[Break] = field(default_factory=list)
    compiled: list[_Place] = field(default_factory=list)  # where compiled functions, or resumed parts, begin
    callers: list[_Caller] = field(default_factory=list)  # the user's functions on the stack, outermost first


_LOCK = threading.Lock()
_last: _Compilation | None = None
_warned: set[_Place] = set()  # functions that were said not to be compiled
_counted: Counter[str] = Counter()  # breaks of the process when the last graph was recorded


def report() -> Report:
    """The last compilation of the back end in this process. Safe to call from any thread."""
    with _LOCK:
        last = _last
        if last is None:
            return Report()
        uncompiled = [c.name for c in last.callers if not (c.compiled or any(map(c.has, last.compiled)))]
        skipped = tuple(dict.fromkeys(uncompiled))
        return Report(_summed(last.passes), tuple(last.graphs), tuple(last.breaks), skipped)


def forget() -> None:
    """Drop what is remembered; `torch.compiler.reset()` does this."""
    global _last, _counted
    with _LOCK:
        _last = None
        _counted = Counter()
        _warned.clear()


def record(gm: GraphModule, results: tuple[PassResult, ...]) -> None:
    """Remember one graph of the compilation under way."""
    global _last, _counted
    reason = getattr(gm, "compile_subgraph_reason", None)
    stack = list(getattr(reason, "user_stack", ()))
    context = CompileContext.try_get()
    number = -1 if context is None or context.compile_id is None else int(context.compile_id.frame_id)
    call, compiler, callers, code = _surroundings()
    skipped: list[_Caller] = []
    with _LOCK:
        current = _last
        if current is None or not _continues(current, call, compiler, number):
            known = None if compiler is None else weakref.ref(compiler)
            current = _Compilation(threading.get_ident(), call, known)
            _last = current
        name = "a function" if code is None else code.co_name
        counts = _break_counts()
        if code is not None and name != _resumed(name) and not current.compiled:
            # The graph before the break was empty, and so this is the first that the back end sees.
            before = list((counts - _counted).elements())[-1:]
            current.breaks.extend(_break(text, f"{code.co_filename}:{code.co_firstlineno}") for text in before)
        _counted = counts
        current.functions.add(number)
        current.graphs.append(_graph(gm, _resumed(name)))
        current.passes.extend(results)
        current.callers.extend(callers)
        if code is not None:
            current.compiled.append((code.co_filename, code.co_firstlineno))
        if reason is not None and reason.graph_break:
            last = stack[-1] if stack else None
            place = "" if last is None else f"{last.filename}:{last.lineno} in {last.name}"
            current.breaks.append(_break(str(reason.reason), place))
        if any(item.equation for item in current.breaks):
            skipped = [
                item
                for item in callers
                if item.loops and not (item.compiled or any(map(item.has, current.compiled)))
                if (item.file, item.first) not in _warned
            ]
            _warned.update((item.file, item.first) for item in skipped)
    for item in skipped:
        warnings.warn(
            f"{item.name} is not compiled, though what it calls is: a graph breaks inside its loop. "
            'ExecutionConfig(breaks="opaque") makes rules one operator, for stacks of layers too',
            FuseWarning,
            stacklevel=2,
        )


def _break_counts() -> Counter[str]:
    """How often graphs broke in this process, by reason."""
    from torch._dynamo.utils import counters

    return Counter(counters["graph_break"])


def _continues(current: _Compilation, call: int, compiler: Any, number: int) -> bool:
    """Whether a graph belongs to `current`: the same call of the same compiled function, nothing twice."""
    known = None if current.compiler is None else current.compiler()
    same = current.thread == threading.get_ident() and current.call == call and known is compiler
    return same and number not in current.functions


def _surroundings() -> tuple[int, Any, list[_Caller], CodeType | None]:
    """From the stack: id of the outermost compiled call, what torch.compile made, callers, and what is compiled.

    Dynamo calls a back end deep inside the call of the compiled function, and says no more than that.
    """
    outermost, compiler = 0, None
    traced: CodeType | None = None
    callers: list[_Caller] = []
    running: list[_Caller] = []
    for frame in _frames(sys._getframe(1)):
        name, file = frame.f_code.co_name, frame.f_code.co_filename
        if name == "__call__" and type(frame.f_locals.get("self")).__name__ == "_TorchCompileWrapper":
            compiler = frame.f_locals["self"]
        elif name == "_compile" and file.endswith("convert_frame.py"):
            traced = frame.f_locals.get("code")
        elif name == "compile_wrapper" and file.endswith("eval_frame.py"):
            outermost = id(frame)
            callers = list(reversed(running))
        elif not _is_machinery(file):
            lines = [line for _, _, line in frame.f_code.co_lines() if line]
            first = frame.f_code.co_firstlineno
            # Dynamo has put names of its own into the code of a function that it compiled parts of.
            compiled = any(name.startswith(("__compiled_fn", "__resume_at")) for name in frame.f_code.co_names)
            last = max(lines, default=first)
            name = _resumed(frame.f_code.co_qualname)
            running.append(_Caller(name, file, first, last, compiled, _in_loop(frame)))
    return outermost, compiler, callers, traced


def _in_loop(frame: FrameType) -> bool:
    """Whether a loop of the frame's function is around what it runs now."""
    jumps = (item for item in dis.get_instructions(frame.f_code) if item.opname.startswith("JUMP_BACKWARD"))
    return any(int(item.argval) <= frame.f_lasti < item.offset for item in jumps)


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


_MACHINERY = re.compile(r"torch[/\\](_dynamo|_guards|_utils_internal|__init__|nn[/\\]modules[/\\]module|_?compile)")


def _is_machinery(file: str) -> bool:
    return bool(_MACHINERY.search(file)) or "fuse_torch" in file or file.endswith("contextlib.py")


def _resumed(name: str) -> str:
    """The function that a resumed part (`torch_dynamo_resume_in_forward_at_12`) belongs to."""
    found = re.search(r"torch_dynamo_resume_in_(\w+)_at_\d+", name)
    return name if found is None else name[: found.start()] + found.group(1)


def _graph(gm: GraphModule, function: str) -> Graph:
    calls = [node for node in gm.graph.nodes if node.op.startswith("call_")]
    counted = Counter(_target(node.target) for node in calls)
    return Graph(function, len(calls), tuple(counted.most_common()))


def _target(target: Any) -> str:
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))


def _break(text: str, place: str) -> Break:
    """A break of our own says `fuse: «equation» reason` in the reason that it gives to torch."""
    given = re.search(r"\(reason: (.*)\)$", text, re.MULTILINE)  # what torch.compiler.disable was told
    reason = text.partition("\n")[0] if given is None else given.group(1)
    ours = re.fullmatch(r"fuse: «(.*)» (.*)", reason)
    return Break("", reason, place) if ours is None else Break(ours.group(1), ours.group(2), place)


def _summed(results: list[PassResult]) -> tuple[PassResult, ...]:
    names = dict.fromkeys(result.name for result in results)
    summed: list[PassResult] = []
    for name in names:
        mine = [result for result in results if result.name == name]
        saved = "; ".join(result.saved for result in mine if result.saved)
        refused = tuple(reason for result in mine for reason in result.refused)
        flops, stored = sum(result.flops for result in mine), sum(result.bytes for result in mine)
        summed.append(PassResult(name, sum(result.fired for result in mine), saved, refused, flops, stored))
    return tuple(summed)
