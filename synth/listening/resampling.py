"""Any input rate to the rate listening works at, sample after sample, half a millisecond late."""

from __future__ import annotations

from typing import Final

import numpy as np

from synth.spec.controls import Float32Array

LISTENING_RATE_HZ: Final = 16_000
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 4_000, 384_000

_N_PHASES: Final = 256  # places between two input samples: the nearest is -55 dB at 8 kHz, far below breath
_HALF_WIDTH: Final = 8  # zero crossings of the kernel to either side
_PASS_SHARE: Final = 0.92  # of the lower of both Nyquist frequencies
_KAISER_BETA: Final = 6.0


class StreamResampler:
    """Windowed-sinc interpolation (Smith & Gossett 1984) of one channel. One thread.

    `delay_s` is how far the output lies behind the input: half the kernel.
    """

    def __init__(self, from_hz: float, to_hz: int = LISTENING_RATE_HZ) -> None:
        """Raises ValueError for a rate that is no sound card's."""
        if not LOWEST_RATE_HZ <= from_hz <= HIGHEST_RATE_HZ:
            raise ValueError(f"the input rate {from_hz} Hz is out of range")
        self._step = from_hz / to_hz  # input samples an output sample
        cut_off = min(1.0, to_hz / from_hz) * _PASS_SHARE  # of the input's Nyquist frequency
        self._half = int(np.ceil(_HALF_WIDTH / cut_off))
        self._kernels = _kernels(self._half, cut_off)
        self._offsets = np.arange(2 * self._half + 1)
        self._kept = np.zeros(2 * self._half, dtype=np.float32)
        self._next = float(self._half)  # where the next output sample lies in what is kept
        self.delay_s = self._half / from_hz

    def process(self, audio: Float32Array) -> Float32Array:
        """The next input samples [n] -> as many output samples as they complete [about n / step]."""
        kept = np.concatenate((self._kept, audio))
        last = len(kept) - self._half - 1  # the last place whose kernel is covered
        if last < self._next:
            self._kept = kept
            return np.zeros(0, dtype=np.float32)
        n_out = int((last - self._next) / self._step) + 1
        places = self._next + self._step * np.arange(n_out)
        whole = places.astype(np.int64)
        phases = np.rint((places - whole) * _N_PHASES).astype(np.int64)
        windows = kept[(whole - self._half)[:, None] + self._offsets]
        out = np.einsum("ij,ij->i", windows, self._kernels[phases])
        following = self._next + self._step * n_out
        dropped = max(min(int(following) - self._half, len(kept)), 0)
        self._kept, self._next = kept[dropped:], following - dropped
        return out


def _kernels(half: int, cut_off: float) -> Float32Array:
    """-> [_N_PHASES + 1, 2 half + 1]: weights of the samples around a place `phase / _N_PHASES` past the middle one."""
    offsets = np.arange(-half, half + 1)[None, :] - (np.arange(_N_PHASES + 1) / _N_PHASES)[:, None]
    inside = np.clip(1.0 - (offsets / (half + 1.0)) ** 2, 0.0, 1.0)
    kernels = np.sinc(cut_off * offsets) * np.i0(_KAISER_BETA * np.sqrt(inside))
    return (kernels / kernels.sum(axis=1, keepdims=True)).astype(np.float32)
