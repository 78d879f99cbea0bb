"""Back-pressure: when the machine cannot keep up, quality yields before sound does, and voices after quality.

Steps go from what was wished for by halves to 1; only then does the number of voices shrink. Both come back, one at a
time, once there has been room for a while.
"""

from __future__ import annotations

from typing import Final

_BUSY: Final = 0.85  # of the time: no room is left
_IDLE: Final = 0.35  # twice the work would fit
_ROOM_S: Final = 4.0  # before something is given back
_WINDOW_S: Final = 0.5
_FEW_FRAMES: Final = 2  # ahead of the performer: sound is about to break
_HASTE_S: Final = 0.25  # between two steps down for that reason


class Pressure:
    """One sampler's. Times are seconds on any clock.

    n_steps      jumps a block of latents is drawn in now
    max_voices   None: as many as are played
    load         share of the last half second that was work
    """

    def __init__(self, n_steps: int) -> None:
        self.n_steps = self._wished = n_steps
        self.max_voices: int | None = None
        self.load = 0.0
        self._work_s = 0.0
        self._window_at_s: float | None = None
        self._room_since_s: float | None = None
        self._down_at_s = -_HASTE_S
        self._fewest = 1 << 16  # frames ahead, in this window

    def worked(self, seconds: float) -> None:
        """So long for voices that sound."""
        self._work_s += seconds

    def look(self, now_s: float, n_voices: int, frames_ahead: int) -> None:
        """Call it often. frames_ahead: of the voice that is worst off, those not yet needed."""
        if n_voices:
            self._fewest = min(self._fewest, frames_ahead)
            if frames_ahead < _FEW_FRAMES and now_s - self._down_at_s >= _HASTE_S:
                self._down(now_s, n_voices)
        if self._window_at_s is None:
            self._window_at_s = now_s
        passed_s = now_s - self._window_at_s
        if passed_s < _WINDOW_S:
            return
        self.load = self._work_s / passed_s
        self._work_s, self._window_at_s = 0.0, now_s
        if n_voices and self.load > _BUSY and now_s - self._down_at_s >= _HASTE_S:
            self._down(now_s, n_voices)
        elif self.load < _IDLE and self._fewest >= _FEW_FRAMES:
            self._room_since_s = now_s if self._room_since_s is None else self._room_since_s
            if now_s - self._room_since_s >= _ROOM_S:
                self._up(now_s)
        else:
            self._room_since_s = None
        self._fewest = 1 << 16

    def _down(self, now_s: float, n_voices: int) -> None:
        self._down_at_s, self._room_since_s = now_s, None
        if self.n_steps > 1:
            self.n_steps //= 2
        else:
            self.max_voices = max(n_voices - 1, 1)

    def _up(self, now_s: float) -> None:
        self._room_since_s = now_s
        if self.max_voices is not None:
            self.max_voices += 1
            if self.max_voices > _MANY_VOICES:
                self.max_voices = None
        elif self.n_steps < self._wished:
            self.n_steps = min(self.n_steps * 2, self._wished)


_MANY_VOICES: Final = 16
