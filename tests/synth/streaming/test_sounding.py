"""What the performer's process does before it has to hurry."""

from __future__ import annotations

import subprocess
import sys

from synth.streaming.frames import CAUSAL_FFT

_FIRST_BLOCK = """
import sys
import numpy as np
from synth.streaming.rings import RING_FRAMES, FrameRings
from synth.streaming.sounding import FrameSounder, decoder_window, warm_up

if {is_warm}:
    warm_up({pulse_fft})
rings = FrameRings(4, {pulse_fft})
rings.ready[:] = RING_FRAMES
sounder = FrameSounder(rings, decoder_window())
hz, out = np.full((4, 128), 220.0), np.zeros((4, 128), dtype=np.float32)
before = set(sys.modules)
sounder.start(2)
sounder.process(hz, out)
print(*sorted(set(sys.modules) - before))
"""


def _imported_by_the_first_block(*, is_warm: bool) -> list[str]:
    script = _FIRST_BLOCK.format(is_warm=is_warm, pulse_fft=CAUSAL_FFT)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60.0
    ).stdout.split()


def test_the_first_block_of_the_first_note_imports_nothing_once_warmed_up() -> None:
    assert "numpy.fft" in _imported_by_the_first_block(is_warm=False)  # else there is nothing to warm up for
    assert _imported_by_the_first_block(is_warm=True) == []
