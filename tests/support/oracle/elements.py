"""One element at a time: expressions as closures from positions of variables to a Python float."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import TypeAlias

from fuse_ref.language import syntax_tree as tree
from tests.support.oracle.errors import OracleError
from tests.support.oracle.functions import (
    ALONG,
    COMPARISONS,
    ELEMENTWISE,
    LEAVES,
    TUCKER,
    Function,
    divide,
    larger,
    power,
    smaller,
)
from tests.support.oracle.lengths import Lengths
from tests.support.oracle.program import Definition, Loaded, free_variables, is_variable
from tests.support.oracle.ranges import slice_start
from tests.support.oracle.references import (
    Affine,
    FromEnd,
    Gather,
    Index,
    Quotient,
    Read,
    SliceIndex,
    Symbol,
)
from tests.support.oracle.shaped import block_variables
from tests.support.oracle.whole import step_of_tucker

__all__ = ["Elements", "Env", "Values", "combined", "is_truth", "truth_of"]

Env: TypeAlias = dict[str, int]
Values: TypeAlias = dict[str, dict[tuple[int, ...], float]]  # tensor -> position -> element
Value: TypeAlias = Callable[[Env], float]
Truth: TypeAlias = Callable[[Env], bool]


def truth_of(x: float) -> bool:
    return x > 0.0


def combined(operator: str, items: Iterator[float]) -> float:
    """All items put together by a projection; its neutral element when there are none."""
    match operator:
        case "sum":
            return sum(items, 0.0)
        case "prod":
            return math.prod(items, start=1.0)
        case "avg":
            values = list(items)
            return sum(values, 0.0) / len(values) if values else 0.0
        case "max" | "min":
            choose, result = (larger, -math.inf) if operator == "max" else (smaller, math.inf)
            for item in items:
                result = choose(result, item)
            return result
        case _:
            raise OracleError(operator)


def is_truth(loaded: Loaded, expression: tree.Expression) -> bool:
    """Whether an expression is a truth value: a relation's atom, `not`, a comparison, or made of these."""
    read = loaded.read(expression)
    if read is not None:
        return read.boolean
    match expression:
        case tree.Compare() | tree.Not() | tree.And() | tree.Or():
            return True
        case tree.Product(factors):
            return any(is_truth(loaded, factor) for _, factor in factors)
        case tree.Projection(_, _, body):
            return is_truth(loaded, body)
        case _:
            return False


class Elements:
    """The expressions of one equation. Memories of inner results last until `forget`."""

    def __init__(self, loaded: Loaded, lengths: Lengths, values: Values, item: Definition) -> None:
        self.loaded = loaded
        self.lengths = lengths
        self.values = values
        self.item = item
        self.memories: list[dict[tuple[int, ...], object]] = []

    def forget(self) -> None:
        for memory in self.memories:
            memory.clear()

    def size(self, variable: str) -> int:
        return self.lengths.ranges[self.item.number, variable]

    def environments(self, env: Env, variables: list[str] | tuple[str, ...]) -> Iterator[Env]:
        """`env` with every combination of positions of `variables`, the first one slowest."""
        inner = dict(env)
        for positions in itertools.product(*(range(self.size(name)) for name in variables)):
            inner.update(zip(variables, positions, strict=True))
            yield inner

    def _remembered(self, names: list[str], compute: Callable[[Env], object]) -> Callable[[Env], object]:
        memory: dict[tuple[int, ...], object] = {}
        self.memories.append(memory)
        names = list(dict.fromkeys(names))

        def call(env: Env) -> object:
            key = tuple(env[name] for name in names)
            if key not in memory:
                memory[key] = compute(env)
            return memory[key]

        return call

    # References ---------------------------------------------------------------------------------

    def position(self, read: Read, place: int) -> Callable[[Env], int]:
        index: Index = read.indices[place]
        match index:
            case Affine(terms, offset):
                return lambda env: offset + sum(factor * env[name] for name, factor in terms)
            case Quotient(Affine(terms, offset), divisor):
                return lambda env: (offset + sum(factor * env[name] for name, factor in terms)) // divisor
            case FromEnd(distance):
                size = self.lengths.shapes[read.tensor][place]
                return lambda env: size - distance
            case Symbol(name):
                position = self.lengths.symbols[read.tensor, place][name]
                return lambda env: position
            case SliceIndex(variable, _, _, step):
                start = int(slice_start(index, self.lengths.shapes[read.tensor][place]))
                return lambda env: start + step * env[variable]
            case Gather(inner, offset):
                element = self.element(inner)
                # A negative one does not count from the end: like any other outside, it is no position.
                return lambda env: int(element(env)) + offset

    def element(self, read: Read) -> Value:
        places = [self.position(read, place) for place in range(len(read.indices))]
        tensor, values = read.tensor, self.values
        if read.boolean:
            return lambda env: float(values[tensor].get(tuple(place(env) for place in places), 0.0) > 0.0)
        # What lies outside is no key of the dictionary: it reads as 0.
        return lambda env: values[tensor].get(tuple(place(env) for place in places), 0.0)

    # Numbers ------------------------------------------------------------------------------------

    def value(self, expression: tree.Expression) -> Value:
        read = self.loaded.read(expression)
        if read is not None:
            return self.element(read)
        match expression:
            case tree.Number(number):
                return lambda env: float(number)
            case tree.Name(name) if name in self.loaded.constants:
                constant = float(self.loaded.constants[name])
                return lambda env: constant
            case tree.Name(name) if is_variable(name):
                return lambda env: float(env[name])
            case tree.Sum(terms):
                parts = [(1.0 if sign == "+" else -1.0, self.value(term)) for sign, term in terms]
                return lambda env: sum((sign * part(env) for sign, part in parts), 0.0)
            case tree.Product(factors):
                return self._product([(operator, self.value(factor)) for operator, factor in factors])
            case tree.Negate(operand):
                inner = self.value(operand)
                return lambda env: -inner(env)
            case tree.Power(base, exponent):
                left, right = self.value(base), self.value(exponent)
                return lambda env: power(left(env), right(env))
            case tree.Compare() | tree.Not() | tree.And() | tree.Or():
                truth = self.truth(expression)
                return lambda env: float(truth(env))
            case tree.Case(branches, default):
                choices = [(self.truth(condition), self.value(result)) for condition, result in branches]
                otherwise = (lambda env: 0.0) if default is None else self.value(default)
                return self._case(choices, otherwise)
            case tree.Projection(operator, variables, body):
                inner = self.value(body)
                free = list(free_variables(self.loaded, expression))
                return self._remembered(
                    free,
                    lambda env: combined(operator, (inner(each) for each in self.environments(env, variables))),
                )
            case tree.Application():
                return self._function(expression)
            case _:
                raise OracleError(f"not a value: {expression}")

    @staticmethod
    def _product(factors: list[tuple[str, Value]]) -> Value:
        def product(env: Env) -> float:
            result = 1.0
            for operator, factor in factors:
                result = result * factor(env) if operator == "*" else divide(result, factor(env))
            return result

        return product

    @staticmethod
    def _case(choices: list[tuple[Truth, Value]], otherwise: Value) -> Value:
        def case(env: Env) -> float:
            for holds, result in choices:
                if holds(env):
                    return result(env)
            return otherwise(env)

        return case

    # Truth values -------------------------------------------------------------------------------

    def truth(self, expression: tree.Expression) -> Truth:
        match expression:
            case tree.And(operands):
                parts = [self.truth(operand) for operand in operands]
                return lambda env: all(part(env) for part in parts)
            case tree.Or(operands):
                parts = [self.truth(operand) for operand in operands]
                return lambda env: any(part(env) for part in parts)
            case tree.Not(operand):
                inner = self.truth(operand)
                return lambda env: not inner(env)
            case tree.Compare():
                return self._comparison(expression)
            case tree.Product(factors) if all(operator == "*" for operator, _ in factors):
                # In a Boolean equation a product is a conjunction, each factor a conjunct of its own.
                return self.truth(tree.And(tuple(factor for _, factor in factors), expression.span))
            case tree.Projection("sum" | "max", variables, body) if is_truth(self.loaded, body):
                inner = self.truth(body)
                return lambda env: any(inner(each) for each in self.environments(env, variables))
            case _:
                number = self.value(expression)
                return lambda env: truth_of(number(env))

    def _comparison(self, expression: tree.Compare) -> Truth:
        compare = COMPARISONS[expression.operator]
        symbol = self.loaded.compared_symbol(expression)
        if symbol is not None:
            variable, name = symbol
            position = self.lengths.variable_symbols[self.item.number, variable][name]
            return lambda env: compare(env[variable], position)
        left, right = self.value(expression.left), self.value(expression.right)
        return lambda env: compare(left(env), right(env))

    # Functions ----------------------------------------------------------------------------------

    def _bound(self, call: tree.Application, function: Function) -> tuple[list[tree.Expression], list[str]]:
        """Arguments in the order of the function's parameters, and its words."""
        keywords = {key: value for key, value in call.keywords if key != "axis"}
        given = list(call.arguments)
        arguments: list[tree.Expression] = []
        for name in function.parameters:
            if given:
                arguments.append(given.pop(0))
            elif name in keywords:
                arguments.append(keywords.pop(name))
            elif name in function.defaults:
                arguments.append(tree.Number(function.defaults[name], call.span))
            else:
                raise OracleError(f"{call.name} lacks its argument {name}")
        words: list[str] = []
        for name, default in function.words:
            word = given.pop(0) if given else keywords.pop(name, None)
            match word:
                case tree.Name(text) | tree.String(text):
                    words.append(text)
                case None if default is not None:
                    words.append(default)
                case _:
                    raise OracleError(f"{call.name} lacks its word {name}")
        if given or keywords:
            raise OracleError(f"{call.name} has too many arguments")
        return arguments, words

    def _function(self, call: tree.Application) -> Value:
        name = call.name
        if name == "const":
            return self.value(call.arguments[0])
        if name in ("max", "min"):
            parts = [self.value(argument) for argument in call.arguments]
            return lambda env: combined(name, (part(env) for part in parts))
        if name in ELEMENTWISE:
            function = ELEMENTWISE[name]
            arguments, words = self._bound(call, function)
            inner = [self.value(argument) for argument in arguments]
            return lambda env: function.apply(*(part(env) for part in inner), *words)
        axis = next((value.name for key, value in call.keywords if key == "axis"), "")
        if name in ALONG:
            return self._along(call, ALONG[name], axis)
        if name in LEAVES:
            line = self.value(call.arguments[0])
            leave = LEAVES[name]
            return self._remembered(
                list(free_variables(self.loaded, call)),
                lambda env: leave([line(each) for each in self.environments(env, (axis,))]),
            )
        match name:
            case "cross_entropy":
                return self._cross_entropy(call, axis)
            case "tucker_dense":
                return self._whole(call)
            case "one_hot":
                position = self.value(call.arguments[0])
                return lambda env: float(position(env) == env[axis])
            case "causal_mask":
                rows = next(value.name for key, value in call.keywords if key == "rows")
                return lambda env: float(env[axis] <= env[rows])
            case "concat":
                return self._concat(call, axis)
            case _:
                raise OracleError(f"unknown function {name}")

    def _along(self, call: tree.Application, function: Function, axis: str) -> Value:
        arguments, _ = self._bound(call, function)
        lines = [self.value(argument) for argument in arguments]
        free = [name for argument in arguments for name in free_variables(self.loaded, argument) if name != axis]

        def whole(env: Env) -> object:
            each = [[line(inner) for line in lines] for inner in self.environments(env, (axis,))]
            return function.apply(*(list(column) for column in zip(*each, strict=True)))

        remembered = self._remembered(free, whole)
        return lambda env: remembered(env)[env[axis]]

    def _whole(self, call: tree.Application) -> Value:
        (argument, *numbers), _ = self._bound(call, TUCKER)
        inner, (rank, threshold) = self.value(argument), [self.value(number)({}) for number in numbers]
        free = list(dict.fromkeys(free_variables(self.loaded, argument)))

        def whole(env: Env) -> object:
            cells = {tuple(each[name] for name in free): inner(each) for each in self.environments({}, free)}
            return step_of_tucker(cells, [self.size(name) for name in free], int(rank), threshold)

        remembered = self._remembered([], whole)
        return lambda env: remembered(env)[tuple(env[name] for name in free)]

    def _cross_entropy(self, call: tree.Application, axis: str) -> Value:
        logits, target = (self.value(argument) for argument in call.arguments)
        logarithms = ALONG["log_softmax"].apply
        if axis in set(free_variables(self.loaded, call.arguments[1])):

            def weighted(env: Env) -> float:
                pairs = [(logits(each), target(each)) for each in self.environments(env, (axis,))]
                logs = logarithms([x for x, _ in pairs])
                return -sum((weight * log for log, (_, weight) in zip(logs, pairs, strict=True)), 0.0)

            return weighted

        def chosen(env: Env) -> float:
            logs = logarithms([logits(each) for each in self.environments(env, (axis,))])
            kind = int(target(env))
            if not 0 <= kind < len(logs):
                raise OracleError(f"class {kind} of {len(logs)}")
            return -logs[kind]

        return chosen

    def _concat(self, call: tree.Application, axis: str) -> Value:
        blocks = [(self.value(argument), block_variables(self.loaded, argument)) for argument in call.arguments]

        def element(env: Env) -> float:
            place = env[axis]
            for value, names in blocks:
                sizes = [self.size(name) for name in names]
                if place < math.prod(sizes):
                    inner = dict(env)
                    for name, size in reversed(list(zip(names, sizes, strict=True))):
                        place, inner[name] = divmod(place, size)
                    return value(inner)
                place -= math.prod(sizes)
            return 0.0

        return element
