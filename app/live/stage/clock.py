"""When the mixer will ask for a frame of the stream, told from when it has asked for others.

Requests are seen late, never early, by as much as the machine was busy; so an early one moves the clock at once and a
late one a little (an asymmetric form of the delay-locked loop of F. Adriaensen, Using a DLL to filter time, Linux
Audio Conference 2005). A request far from where it was expected (a device was opened, a server was started again)
begins anew.
"""

from __future__ import annotations

from typing import Final

from synth.spec.audio import SAMPLE_RATE_HZ

_EARLY_SHARE: Final = 0.3
_LATE_SHARE: Final = 0.03
_LOST_S: Final = 0.1  # and half a block
_DRIFT_SHARE: Final = 1e-4  # of an error, per request, into the rate
_MOST_DRIFT: Final = 1e-3


class StreamClock:
    """Frame f of the stream is due at `due_s(f)`, on time.monotonic()'s clock. One thread.

    block     frames of the last request
    """

    def __init__(self) -> None:
        self.block = 0
        self.is_running = False
        self._frame = 0  # of the last request's first frame
        self._at_s = 0.0  # when it was made, as far as is known
        self._step_s = 1.0 / SAMPLE_RATE_HZ
        self.restarts = 0

    def take(self, read: int, block: int, at_s: float) -> None:
        """The mixer had asked for `read` frames in all after it asked for `block` of them at `at_s`."""
        first = read - block
        if self.is_running and first == self._frame:
            return
        error_s = at_s - self.due_s(first)
        lost_s = _LOST_S + 0.5 * block / SAMPLE_RATE_HZ
        if not self.is_running or first < self._frame or abs(error_s) > lost_s:
            self.restarts += self.is_running
            self.is_running = block > 0
            self._at_s, self._step_s = at_s, 1.0 / SAMPLE_RATE_HZ
        else:
            share = _EARLY_SHARE if error_s < 0.0 else _LATE_SHARE
            self._at_s = self.due_s(first) + share * error_s
            n_frames = max(first - self._frame, 1)
            step_s = self._step_s + _DRIFT_SHARE * share * error_s / n_frames
            nominal_s = 1.0 / SAMPLE_RATE_HZ
            self._step_s = min(max(step_s, nominal_s * (1.0 - _MOST_DRIFT)), nominal_s * (1.0 + _MOST_DRIFT))
        self._frame, self.block = first, block

    def due_s(self, frame: float) -> float:
        """When the mixer asks for `frame`, were its blocks one frame long."""
        return self._at_s + (frame - self._frame) * self._step_s

    def frame_at(self, t_s: float) -> float:
        """The frame that is due at `t_s`."""
        return self._frame + (t_s - self._at_s) / self._step_s
