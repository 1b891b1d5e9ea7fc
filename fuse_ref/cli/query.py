"""`fuse query`: ask a program, and have the answers explained."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

from fuse_ref.cli.calls import add_call, compiled, inputs_of
from fuse_ref.cli.exits import Exit
from fuse_ref.cli.programs import add_program, load_program, sizes_of
from fuse_ref.cli.progress import busy
from fuse_ref.cli.run import plain, print_answer
from fuse_ref.config import ExecutionConfig
from fuse_ref.errors import FuseError
from fuse_ref.evaluate.answer import Answer
from fuse_ref.evaluate.relation import Row
from fuse_ref.evaluate.runner import Runner
from fuse_ref.language import syntax_tree as st
from fuse_ref.language.parser import parse_query
from fuse_ref.language.printer import print_expression
from fuse_ref.source import Source

__all__ = ["add", "explained", "facts_of", "handle"]

EXPLAINED = 10  # rows of an answer; --json has all


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    command = commands.add_parser("query", help="ask a program", description=__doc__)
    add_program(command)
    command.add_argument(
        "queries", metavar="QUERY", nargs="+", help='such as "Ancestor(Alice, x)?"; the question mark may be left out'
    )
    add_call(command)
    command.add_argument(
        "--demand", action="store_true", help="derive only what the queries need (ExecutionConfig(mode='demand'))"
    )
    command.add_argument(
        "--why",
        action="store_true",
        help="explain every row by a shortest derivation, and a fact that does not hold by what is missing",
    )
    command.add_argument("--json", action="store_true", help="print the answers as JSON, derivations too")
    return command


def handle(arguments: argparse.Namespace) -> int:
    program = load_program(arguments.program)
    inputs = inputs_of(arguments, program)
    try:
        for text in arguments.queries:
            parse_query(Source(text, "<query>"))
    except FuseError as error:
        print(error, file=sys.stderr)
        return Exit.USAGE
    try:
        config = ExecutionConfig(mode="demand") if arguments.demand else None
        runner = compiled(arguments, program, config)
        if inputs:
            with busy("running"):
                runner(inputs)
        return show(runner, arguments)
    except FuseError as error:
        # A program that cannot even be planned raises again, and ends with the code for wrong programs.
        program.plan(sizes_of(arguments) or None)
        print(error, file=sys.stderr)
        return Exit.RUN


def show(runner: Runner, arguments: argparse.Namespace) -> int:
    answers = []
    for text in arguments.queries:
        with busy(text):
            answers.append(runner.query(text))
    if arguments.json:
        print(json.dumps({"answers": [document(runner, answer, arguments.why) for answer in answers]}, indent=2))
        return Exit.OK
    for answer in answers:
        print_answer(answer)
        if arguments.why:
            for line in explained(runner, answer):
                print(line)
    return Exit.OK


def document(runner: Runner, answer: Answer, why: bool) -> dict[str, object]:
    found: dict[str, object] = {"query": answer.text, "rows": [[plain(x) for x in row] for row in answer.rows]}
    if why and answer.values is None:
        found["why"] = [runner.why(fact).to_dict() for fact in facts_of(answer)]
    return found


def explained(runner: Runner, answer: Answer) -> Iterator[str]:
    """A derivation for each of the first rows; of a fact that does not hold, what is missing."""
    facts = facts_of(answer)
    for fact in facts[:EXPLAINED]:
        yield ""
        yield str(runner.why(fact))
    if len(facts) > EXPLAINED:
        yield f"… {len(facts) - EXPLAINED} more to explain"


def facts_of(answer: Answer) -> list[str]:
    """The facts that an answer's rows stand for: the query with the rows' values; one that asks nothing, as it is.

    Numeric queries stand for none.
    """
    target = parse_query(Source(answer.text, "<query>"))
    if answer.values is not None:
        return []
    if isinstance(target, st.Name) or not answer.variables:
        return [print_expression(target)]
    return [print_expression(_filled(target, dict(zip(answer.variables, row, strict=True)))) for row in answer.rows]


def _filled(target: st.Reference | st.Application, values: dict[str, Row | object]) -> st.Expression:
    """The query with values for its variables."""

    def filled(item: st.Expression) -> st.Expression:
        if not isinstance(item, st.Name) or item.name not in values:
            return item
        value = values[item.name]
        return st.Number(value, item.span) if isinstance(value, int) else st.String(str(value), item.span)

    if isinstance(target, st.Application):
        return st.Application(target.name, tuple(map(filled, target.arguments)), target.keywords, target.span)
    return st.Reference(target.name, tuple(map(filled, target.indices)), target.span)
