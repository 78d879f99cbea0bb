"""Sound for devices that do not run at 48 kHz: mixed ahead at 48 kHz and converted, on a thread of its own.

The callback only copies out of a ring; it costs about 40 ms more latency than a 48 kHz device has. soxr's thread-local
work releases the GIL, so the audio thread waits for nobody.
"""

from __future__ import annotations

import threading
import time
from typing import Final

import numpy as np

from app.audio.mixer import Mixer
from synth.spec.audio import SAMPLE_RATE_HZ
from synth.spec.controls import Float32Array

_BLOCK: Final = 256  # frames at 48 kHz mixed at once
_AHEAD_S: Final = 0.04
_STEP_S: Final = 0.004
_RING_FRAMES: Final = 32_768


class RateConverter:
    """The mixer's sound at another rate. read() belongs to the audio thread, everything else to others."""

    def __init__(self, mixer: Mixer, rate_hz: int) -> None:
        import soxr  # most devices run at 48 kHz and never need it

        self._mixer = mixer
        self._resampler = soxr.ResampleStream(SAMPLE_RATE_HZ, rate_hz, 2, dtype="float32", quality="HQ")
        self._ahead = int(_AHEAD_S * rate_hz)  # frames; grown by the audio thread only
        self.latency_s = _AHEAD_S
        self._ring = np.zeros((_RING_FRAMES, 2), dtype=np.float32)
        self._written = 0  # frames; this converter's thread
        self._read = 0  # frames; audio thread
        self._is_closing = False
        self._block = np.zeros((_BLOCK, 2), dtype=np.float32)
        self._fill()
        self._thread = threading.Thread(target=self._run, name="rate-converter", daemon=True)
        self._thread.start()

    def read(self, out: Float32Array) -> bool:
        """Audio thread. Fill `out` [n, 2]; False, and silence at its end, when the converter fell behind."""
        size = self._ring.shape[0]
        self._ahead = max(self._ahead, min(2 * out.shape[0], size // 2))  # a device with long blocks
        count = min(out.shape[0], self._written - self._read)
        start = self._read % size
        first = min(count, size - start)
        np.copyto(out[:first], self._ring[start : start + first])
        np.copyto(out[first:count], self._ring[: count - first])
        out[count:].fill(0.0)
        self._read += count
        return count == out.shape[0]

    def close(self) -> None:
        """End the thread."""
        self._is_closing = True
        self._thread.join()

    def _run(self) -> None:
        while not self._is_closing:
            self._fill()
            time.sleep(_STEP_S)

    def _fill(self) -> None:
        """Mix until the ring is as full as it should be."""
        while self._written - self._read < self._ahead:
            self._mixer.mix(self._block)
            converted = self._resampler.resample_chunk(self._block)
            size = self._ring.shape[0]
            start = self._written % size
            first = min(len(converted), size - start)
            self._ring[start : start + first] = converted[:first]
            self._ring[: len(converted) - first] = converted[first:]
            self._written += len(converted)
