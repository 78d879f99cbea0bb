"""Work in a box of time: a measure that is cut short says so with a smaller n, never by being wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Progress = Callable[[float, float], None]
Item = TypeVar("Item")


class TimeBox:
    """Seconds that a measure may take, counted from when the box is made. None: as long as it needs.

    was_cut  whether something was left out because the time was over
    """

    def __init__(self, limit_s: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.limit_s = limit_s
        self._started_s = clock()
        self.was_cut = False

    @property
    def spent_s(self) -> float:
        """Seconds since the box was made."""
        return self._clock() - self._started_s

    def take(
        self, items: Sequence[Item], on_progress: Progress | None = None, *, share: float = 1.0, least: int = 1
    ) -> Iterator[Item]:
        """Items one after the other until `share` of the box is used up; the first `least` in any case."""
        for done, item in enumerate(items):
            if done >= least and self.limit_s is not None and self.spent_s > share * self.limit_s:
                self.was_cut = True
                return
            yield item
            if on_progress is not None:
                on_progress(done + 1, len(items))
