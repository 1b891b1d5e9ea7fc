"""What holds locks and compiled code, and so can be neither pickled nor copied."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["Unpicklable"]


class Unpicklable:
    """A base for such classes; its error says what to pickle instead."""

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        raise TypeError(
            f"a {name} cannot be pickled or copied: it holds compiled code, locks and open files. "
            "Pickle its Program, or program.to_json(), and compile that again where it is needed"
        )
