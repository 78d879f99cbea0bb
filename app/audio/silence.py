"""What drives the mixer while no device does: a thread that mixes into the void at the pace of the clock.

So the playhead moves, and live notes end, where nothing can be heard. Exactly one of a device's callback and this
clock touches the mixer at any time.
"""

from __future__ import annotations

import threading
import time
from typing import Final

import numpy as np

from app.audio.mixer import MAX_BLOCK, Mixer
from synth.spec.audio import SAMPLE_RATE_HZ

_STEP_S: Final = 0.01
_MAX_CATCH_UP_S: Final = 1.0


class SilentClock:
    """Drives the mixer in real time while no device does. A thread of its own, asleep while a device plays."""

    def __init__(self, mixer: Mixer) -> None:
        self._mixer = mixer
        self._is_wanted = threading.Event()
        self._is_idle = threading.Event()
        self._is_idle.set()
        self._is_closing = False
        self._void = np.zeros((MAX_BLOCK, 2), dtype=np.float32)
        self._thread = threading.Thread(target=self._run, name="silent-clock", daemon=True)
        self._thread.start()

    def resume(self) -> None:
        """Drive the mixer from now on."""
        self._is_idle.clear()
        self._is_wanted.set()

    def suspend(self) -> None:
        """Leave the mixer to somebody else; on return this thread no longer touches it."""
        self._is_wanted.clear()
        self._is_idle.wait()

    def close(self) -> None:
        """End the thread."""
        self._is_closing = True
        self._is_wanted.set()
        self._thread.join()

    def _run(self) -> None:
        mixed_until_s = time.monotonic()
        while True:
            if not self._is_wanted.is_set():
                self._is_idle.set()
                self._is_wanted.wait()
                mixed_until_s = time.monotonic()
            if self._is_closing:
                self._is_idle.set()
                return
            time.sleep(_STEP_S)
            now_s = time.monotonic()
            mixed_until_s = max(mixed_until_s, now_s - _MAX_CATCH_UP_S)  # a machine that was asleep
            n_frames = int((now_s - mixed_until_s) * SAMPLE_RATE_HZ)
            mixed_until_s += n_frames / SAMPLE_RATE_HZ
            while n_frames > 0:
                count = min(n_frames, MAX_BLOCK)
                self._mixer.mix(self._void[:count])
                n_frames -= count
