"""The clips of successive renders: one being heard, perhaps one being worked on, and those just replaced."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from app.render.clip import Clip

# Whoever plays the audio opens a clip a moment after being told; until then the one before must not vanish.
_RETIRED_KEPT = 2


class ClipShelf:
    """Lets the last render be heard until the next has something better for the place that is heard."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.heard: Clip | None = None
        self.working: Clip | None = None
        self._retired: deque[Clip] = deque()

    def begin(self, n_samples: int, n_stems: int) -> Clip:
        """The clip for a new request: what was rendered last, as far as it reaches; empty at first."""
        unheard = self.working if self.working is not self.heard else None
        if unheard is not None and (unheard.n_samples, unheard.n_stems) == (n_samples, n_stems):
            return unheard
        base = unheard or self.heard
        self.working = Clip(self._folder, n_samples, n_stems) if base is None else base.follow_up(n_samples, n_stems)
        if unheard is not None and self.working is not unheard:
            unheard.delete()
        return self.working

    def publish(self) -> Clip | None:
        """Let the working clip be heard -> it, or None when it already is."""
        if self.working is None or self.working is self.heard:
            return None
        if self.heard is not None:
            self._retired.append(self.heard)
        while len(self._retired) > _RETIRED_KEPT:
            self._retired.popleft().delete()
        self.heard = self.working
        return self.heard
