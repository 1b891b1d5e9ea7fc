"""Names that were probably meant."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean 'Parent'?`, or "" where nothing known is close to `word`."""
    import difflib  # for mistakes alone

    candidates = list(known)
    close = difflib.get_close_matches(word, candidates, n=1, cutoff=0.6)
    if not close:
        # difflib minds capitals; people who mistype a name often do not.
        close = [candidate for candidate in candidates if candidate.lower() == word.lower()]
    return f"did you mean '{close[0]}'?" if close else ""
