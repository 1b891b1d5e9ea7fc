"""The state of streams between calls: what a call begins with, and what it leaves for the next one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fuse_ref.analysis.lengths import evaluate
from fuse_ref.config import ExecutionConfig
from fuse_ref.evaluate.engine import Array, Engine
from fuse_ref.evaluate.unpicklable import Unpicklable
from fuse_ref.mistakes import mistake
from fuse_ref.plan.steps import Plan, Stream
from fuse_ref.weights.arrays import numpy_array

__all__ = ["Stateful", "initial", "kept_state", "of_streams", "result_names", "state_shape", "state_values"]


def of_streams(plan: Plan, values: Mapping[str, object]) -> tuple[Mapping[str, object], dict[str, object]]:
    """What a call gives, and apart from it the states that it gives to streams."""
    names = {stream.tensor for stream in plan.streams if stream.state and stream.tensor in values}
    if not names:
        return values, {}
    return {k: v for k, v in values.items() if k not in names}, {name: values[name] for name in names}


def result_names(plan: Plan) -> tuple[str, ...]:
    """The values that a run must give for the next one."""
    return tuple(stream.kept for stream in plan.streams if stream.kept)


def state_shape(stream: Stream, shape_of: Callable[[str], tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of a stream's state.

    Args:
        shape_of: tells the shape of what a call is given.
    """
    return tuple(max(0, evaluate(length, lambda tensor, k: shape_of(tensor)[k])) for length in stream.lengths)


def initial(stream: Stream, shape: tuple[int, ...], given: object = None) -> np.ndarray:
    """The state where nothing was before, or `given` was just before the first position."""
    state = np.full(shape, stream.neutral)
    if given is not None:
        array = np.asarray(given)
        if array.shape != shape[1:]:
            raise mistake("FUSE215", None, name=stream.tensor, got=array.shape, expected=shape[1:])
        state[-1] = array
    return state


def state_values(
    plan: Plan,
    state: Mapping[str, Array],
    given: Mapping[str, object],
    shapes: Mapping[str, tuple[int, ...]],
    engine: Engine,
    config: ExecutionConfig,
) -> dict[str, Array]:
    """What a call gives to the streams of its plan.

    Args:
        state: of streams that go on.
        given: states by which others begin, without the virtual index.
        shapes: of everything else that the call is given.

    Raises:
        InputError: a state of another shape than this call needs.
    """
    found: dict[str, Array] = {}
    for stream in plan.streams:
        name, dtype = stream.tensor, stream.dtype
        goes_on = name in state and name not in given
        if stream.state:
            shape = state_shape(stream, shapes.__getitem__)
            if goes_on:
                if tuple(state[name].shape) != shape:
                    raise mistake("FUSE215", None, name=name, got=tuple(state[name].shape), expected=shape)
                found[stream.state] = engine.asarray(state[name], dtype, config)
            else:
                value = given.get(name)
                start = initial(stream, shape, None if value is None else numpy_array(value))
                found[stream.state] = engine.asarray(start.astype(_kind(dtype)), dtype, config)
        if stream.fresh:
            found[stream.fresh] = engine.asarray(np.asarray(not goes_on), "bool", config)
    return found


def _kind(dtype: str) -> type:
    return {"float": np.float64, "int64": np.int64, "bool": np.bool_}[dtype]


def kept_state(plan: Plan, results: Mapping[str, Array]) -> dict[str, Array]:
    """The state that a run leaves, by stream."""
    return {stream.tensor: results[stream.kept] for stream in plan.streams if stream.kept}


class Stateful(Unpicklable):
    """What a Runner has of the streams of its program. States are rebound, never written into."""

    _plan: Plan
    _state: dict[str, Array]

    @property
    def state(self) -> dict[str, Array]:
        """For each stream that a call has run the last positions that later ones read, the newest last; see `load_state`.

        The positions are the first dimension.
        """
        return dict(self._state)

    def reset_state(self) -> None:
        """Forget what streams have seen: the next call begins anew."""
        self._state = {}

    def load_state(self, state: Mapping[str, object]) -> None:
        """Go on from a state that `state` gave, here or in another Runner of an equal program.

        Streams that it does not name begin anew.

        Raises:
            InputError: a name that is no stream of the program.
        """
        streams = {stream.tensor for stream in self._plan.streams if stream.state}
        for name in state:
            if name not in streams:
                raise mistake("FUSE211", None, name=name)
        self._state = dict(state)
