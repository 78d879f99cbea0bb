"""Errors that name the key and its place in a passage or preset, as `voices[0].lanes.pitch[3]: 130 is above 96.`"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from synth.errors import UserError


class PlacedError(UserError):
    """A fault at a place inside a document; the place grows outwards as the error passes through `at`."""

    def __init__(self, place: str, problem: str, *, remedy: str = "") -> None:
        super().__init__(f"{place}: {problem}" if place else problem, remedy=remedy)
        self.place = place
        self.problem = problem


def join_place(outer: str, inner: str) -> str:
    """`voices[0]` and `lanes.pitch` -> `voices[0].lanes.pitch`; an index `[3]` follows without a dot."""
    if not outer or not inner:
        return outer or inner
    return f"{outer}{inner}" if inner.startswith("[") else f"{outer}.{inner}"


@contextmanager
def at(place: str) -> Iterator[None]:
    """Give every PlacedError raised inside the outer `place`."""
    try:
        yield
    except PlacedError as fault:
        raise PlacedError(join_place(place, fault.place), fault.problem, remedy=fault.remedy) from fault
